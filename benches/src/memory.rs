use std::fs;
use std::io;

use rohrpost_osci::source::ReadAt;

/// The most memory this process ever had, in bytes (`VmHWM`).
pub fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux shows the status of a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the status has VmHWM");
    let kilobytes = line.trim().trim_end_matches(" kB").parse::<u64>().expect("VmHWM is a number of kB");
    kilobytes * 1024
}

/// Bytes that need no memory: a pattern without long repetitions, of any length.
#[derive(Debug, Clone, Copy)]
pub struct Pattern(pub u64);

impl ReadAt for Pattern {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let length = buf.len().min(usize::try_from(self.0.saturating_sub(offset)).unwrap_or(usize::MAX));
        for (at, byte) in (offset..).zip(&mut buf[..length]) {
            *byte = (at ^ (at >> 8) ^ (at >> 16)) as u8;
        }
        Ok(length)
    }

    fn len(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_is_the_same_wherever_it_is_read() {
        let pattern = Pattern(1000);
        let mut whole = [0; 2000];
        assert_eq!(pattern.read_at(0, &mut whole).unwrap(), 1000);
        let mut part = [0; 10];
        assert_eq!(pattern.read_at(995, &mut part).unwrap(), 5);
        assert_eq!(part[..5], whole[995..1000]);
        assert_eq!(pattern.read_at(1001, &mut part).unwrap(), 0);
    }

    #[test]
    fn memory_has_a_peak() {
        assert!(peak_memory() > 100_000);
    }
}
