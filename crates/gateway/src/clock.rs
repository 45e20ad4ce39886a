//! The one place where the product asks what time it is.

use std::fmt;

use time::OffsetDateTime;

/// Tells the time. Everything below the gateway gets the time as an argument, so tests and simulations can
/// choose it by choosing the clock.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The present moment, in UTC.
    fn now(&self) -> OffsetDateTime;
}

/// The clock of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)] // here, so that it is needed nowhere else
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_clock_speaks_utc_and_does_not_stand_still() {
        let first = SystemClock.now();
        assert!(first.offset().is_utc());
        assert!(first.year() >= 2026);
        std::thread::sleep(std::time::Duration::from_millis(2));
        assert!(SystemClock.now() > first);
    }
}
