use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What counts as time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// CPU time of the calling thread: what others do on the machine is not in it.
    Thread,
    /// CPU time of all threads of this process, for work that the calling thread has done by others.
    Process,
    /// Time that passes, for work that waits. Only this one suffers from a busy machine.
    Wall,
}

impl Clock {
    /// Since some moment of the clock's own.
    pub fn now(self) -> Duration {
        let id = match self {
            Self::Thread => ClockId::ThreadCPUTime,
            Self::Process => ClockId::ProcessCPUTime,
            Self::Wall => ClockId::Monotonic,
        };
        Duration::try_from(clock_gettime(id)).expect("these clocks are never before their beginning")
    }

    /// How long `work` takes.
    pub fn time(self, work: impl FnOnce()) -> Duration {
        let start = self.now();
        work();
        self.now() - start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_never_go_back() {
        for clock in [Clock::Thread, Clock::Process, Clock::Wall] {
            let start = clock.now();
            let spent = clock.time(|| drop(vec![1; 1000]));
            assert!(clock.now() >= start + spent, "{clock:?}");
        }
    }
}
