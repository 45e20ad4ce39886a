//! Times in the log: RFC 3339, UTC, exactly three fraction digits.

use serde::{Deserialize, Deserializer, Serializer, de::Error as _};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// Cuts to whole milliseconds and moves to UTC, so that what is stored, compared and printed is one value.
pub(crate) fn truncate(time: OffsetDateTime) -> OffsetDateTime {
    let time = time.checked_to_offset(UtcOffset::UTC).unwrap_or(time);
    time.replace_millisecond(time.millisecond()).expect("a millisecond taken from a time is in range")
}

pub(crate) fn to_text(time: OffsetDateTime) -> String {
    let (date, clock) = (time.date(), time.time());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        clock.hour(),
        clock.minute(),
        clock.second(),
        clock.millisecond()
    )
}

pub(crate) fn serialize<S: Serializer>(time: &OffsetDateTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&to_text(truncate(*time)))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OffsetDateTime, D::Error> {
    let text = String::deserialize(deserializer)?;
    OffsetDateTime::parse(&text, &Rfc3339).map(truncate).map_err(D::Error::custom)
}
