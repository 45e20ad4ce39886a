//! Times as they are stored: whole milliseconds since 1970, UTC.

use time::{Duration, OffsetDateTime};

pub(crate) fn to_millis(time: OffsetDateTime) -> i64 {
    // The years a time can have fit 63 bits of milliseconds many times over.
    time.unix_timestamp() * 1_000 + i64::from(time.millisecond())
}

pub(crate) fn from_millis(millis: i64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH.checked_add(Duration::milliseconds(millis)).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// What of a time is kept.
pub(crate) fn truncate(time: OffsetDateTime) -> OffsetDateTime {
    from_millis(to_millis(time))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn keeps_whole_milliseconds_in_utc() {
        for (time, millis) in [
            (datetime!(1970-01-01 00:00:00.0019 UTC), 1),
            (datetime!(2024-05-01 12:00:00.1239 +2), 1_714_557_600_123),
            (datetime!(1969-12-31 23:59:59.9999 UTC), -1),
        ] {
            assert_eq!(to_millis(time), millis);
            assert_eq!(to_millis(truncate(time)), millis);
            assert!(truncate(time) <= time);
        }
    }
}
