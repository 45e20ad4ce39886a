//! Where on the disk a message of 100 MB is, and that a kill leaves nothing of it behind.

use std::fmt;
use std::fs;
use std::path::Path;
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use rohrpost_tests::Server;

/// Kills that hit a huge delivery on its way in, and what became of its bytes.
#[derive(Default)]
pub struct Aimed {
    hits: u64,
    pub freed: u64,
}

impl Aimed {
    /// Waits until so many bytes lie in the spool folder, more than there can be for the moment after it, or until the
    /// delivery is stored.
    pub fn take_aim(&mut self, server: &Server, bytes: u64, huge: Option<&ScopedJoinHandle<'_, ()>>) {
        let incoming = server.data().join("incoming");
        let mut highest = 0;
        loop {
            let present = bytes_in(&incoming);
            highest = highest.max(present);
            // Less than before: the request was decrypted, or the body got its final name.
            if present >= bytes || present + 50_000_000 < highest {
                self.hits += 1;
                return;
            }
            if huge.is_none_or(ScopedJoinHandle::is_finished) {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl fmt::Display for Aimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} within huge deliveries, {} MB freed after kills", self.hits, self.freed / 1_000_000)
    }
}

/// Bytes in the files of a folder; a file may go while it is looked at.
pub fn bytes_in(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap();
    entries.filter_map(|entry| entry.unwrap().metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// After a start nothing of `left_behind` is in the spool folder any more, and the bodies are no more than what was ever
/// sent. Returns what was freed.
pub fn expect_freed(data: &Path, left_behind: u64, sent: u64) -> u64 {
    let (incoming, bodies) = (bytes_in(&data.join("incoming")), data.join("bodies"));
    // Clients are back at once, but not with as much.
    assert!(incoming < 20_000_000 || incoming < left_behind / 2, "{incoming} of {left_behind} bytes are still there");
    let kept: u64 = fs::read_dir(bodies).unwrap().map(|shard| bytes_in(&shard.unwrap().path())).sum();
    assert!(kept <= sent, "{kept} bytes in bodies/ of {sent} ever sent");
    left_behind.saturating_sub(incoming)
}
