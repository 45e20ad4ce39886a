//! Points in time as they stand in process cards and selection rules (XML Schema Part 2, `dateTime`).

use std::fmt;

use thiserror::Error;
use time::{Date, Duration, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

/// A point in time together with its text, so that what was read is written again unchanged.
///
/// ```
/// use rohrpost_osci::datetime::DateTime;
/// use time::OffsetDateTime;
///
/// let read = DateTime::parse("2024-05-01T12:00:00.25+02:00")?;
/// assert_eq!(read.at().unix_timestamp(), 1_714_557_600);
/// assert_eq!(read.to_string(), "2024-05-01T12:00:00.25+02:00");
/// assert_eq!(DateTime::from(read.at()).to_string(), "2024-05-01T10:00:00.250Z");
/// # Ok::<(), rohrpost_osci::datetime::DateTimeInvalid>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DateTime {
    at: OffsetDateTime,
    text: String,
}

/// The text is no point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a date and time of the form 2024-05-01T10:00:00Z")]
pub struct DateTimeInvalid;

impl DateTime {
    /// Reads the usual form with any number of fraction digits; digits beyond nanoseconds are not looked at. Without
    /// zone it is UTC; the zone may lack its colon.
    ///
    /// # Errors
    /// If the text is anything else.
    pub fn parse(text: &str) -> Result<Self, DateTimeInvalid> {
        let text = text.trim_ascii();
        let at = parse(text).ok_or(DateTimeInvalid)?;
        Ok(Self { at, text: text.to_owned() })
    }

    /// The point in time.
    pub fn at(&self) -> OffsetDateTime {
        self.at
    }

    /// The text as read or as it will be written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Written in UTC with milliseconds, which every known reader understands; what is finer is cut off.
impl From<OffsetDateTime> for DateTime {
    fn from(at: OffsetDateTime) -> Self {
        let utc = at.to_offset(UtcOffset::UTC);
        let (date, time) = (utc.date(), utc.time());
        let text = format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            date.year(),
            u8::from(date.month()),
            date.day(),
            time.hour(),
            time.minute(),
            time.second(),
            time.millisecond()
        );
        Self { at, text }
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn parse(text: &str) -> Option<OffsetDateTime> {
    // More would be no precision that anybody has, and the text is kept.
    if !text.is_ascii() || text.len() > 64 {
        return None;
    }
    let (date, rest) = text.split_once('T')?;
    let zone_at = rest.find(['Z', '+', '-']).unwrap_or(rest.len());
    let (time, zone) = rest.split_at(zone_at);
    let local = PrimitiveDateTime::new(parse_date(date)?, Time::MIDNIGHT);
    let (time, fraction) = time.split_once('.').map_or((time, None), |(time, fraction)| (time, Some(fraction)));
    let [hour, minute, second] = numbers(time, ':')?;
    // 24:00:00 is the end of the day.
    let in_range = hour <= 23 && minute <= 59 && second <= 59 || (hour, minute, second) == (24, 0, 0);
    let seconds =
        in_range.then(|| Duration::seconds((i64::from(hour) * 60 + i64::from(minute)) * 60 + i64::from(second)))?;
    let nanoseconds = Duration::nanoseconds(fraction.map_or(Some(0), parse_fraction)?);
    let local = local.checked_add(seconds)?.checked_add(nanoseconds)?;
    let at = local.assume_utc().checked_sub(parse_zone(zone)?)?;
    // A zone can lead out of the years that can be written.
    (at.year() >= 0).then(|| at.to_offset(UtcOffset::UTC))
}

fn parse_date(text: &str) -> Option<Date> {
    if text.len() != 10 {
        return None;
    }
    let [year, month, day] = numbers(text, '-')?;
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    Date::from_calendar_date(i32::from(year), month, u8::try_from(day).ok()?).ok()
}

fn parse_fraction(digits: &str) -> Option<i64> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    format!("{digits:0<9}")[..9].parse().ok()
}

/// How far the zone is ahead of UTC.
fn parse_zone(zone: &str) -> Option<Duration> {
    if zone.is_empty() || zone == "Z" {
        return Some(Duration::ZERO);
    }
    let (sign, digits) = zone.split_at(1);
    let digits = digits.replacen(':', "", 1);
    if digits.len() != 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes): (i64, i64) = (digits[..2].parse().ok()?, digits[2..].parse().ok()?);
    let ahead = Duration::minutes(hours * 60 + minutes);
    (hours <= 14 && minutes <= 59).then_some(if sign == "-" { -ahead } else { ahead })
}

/// Exactly `N` numbers of at least two digits each.
fn numbers<const N: usize>(text: &str, separator: char) -> Option<[u16; N]> {
    let mut found = [0; N];
    let mut parts = text.split(separator);
    for slot in &mut found {
        let part = parts.next().filter(|part| part.len() >= 2 && part.bytes().all(|b| b.is_ascii_digit()))?;
        *slot = part.parse().ok()?;
    }
    parts.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn usual_forms_are_read() {
        for (text, expected) in [
            ("2024-05-01T10:00:00Z", datetime!(2024-05-01 10:00 UTC)),
            ("2024-05-01T10:00:00", datetime!(2024-05-01 10:00 UTC)),
            ("2024-05-01T10:00:00+02:00", datetime!(2024-05-01 08:00 UTC)),
            ("2024-05-01T10:00:00-0530", datetime!(2024-05-01 15:30 UTC)),
            ("2024-02-29T23:59:59.123456Z", datetime!(2024-02-29 23:59:59.123456 UTC)),
            ("2024-05-01T10:00:00.1234567890123Z", datetime!(2024-05-01 10:00:00.123456789 UTC)),
            ("2024-12-31T24:00:00Z", datetime!(2025-01-01 00:00 UTC)),
            (" 2024-05-01T10:00:00Z\n", datetime!(2024-05-01 10:00 UTC)),
        ] {
            assert_eq!(DateTime::parse(text).unwrap().at(), expected, "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "2024-05-01",
            "2024-05-01 10:00:00Z",
            "2024-13-01T10:00:00Z",
            "2023-02-29T10:00:00Z",
            "2024-05-01T25:00:00Z",
            "2024-05-01T24:00:01Z",
            "2024-05-01T10:00Z",
            "2024-05-01T10:00:60Z",
            "2024-05-01T10:00:00.Z",
            "2024-05-01T10:00:00.1x",
            "2024-05-01T10:00:00+2",
            "2024-05-01T10:00:00+15:00",
            "2024-05-01T10:00:00ZZ",
            "24-05-01T10:00:00Z",
            "9999-12-31T24:00:00Z",
            "9999-12-31T23:00:00-02:00",
            "0000-01-01T00:00:00+14:00",
            "-2024-05-01T10:00:00Z",
            "2024-05-01T10:00:00Ü",
        ] {
            assert_eq!(DateTime::parse(text), Err(DateTimeInvalid), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(millis in -62_135_596_800_000_i64..253_402_300_800_000) {
            let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).unwrap();
            let written = DateTime::from(at);
            prop_assert_eq!(DateTime::parse(written.as_str()).unwrap().at(), at);
        }
    }
}
