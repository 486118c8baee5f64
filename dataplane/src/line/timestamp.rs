//! Timestamps and precisions (reference: http-api §5, §6).

use super::{
    error::{self, Reason},
    fields::skip_blanks,
};

/// Largest time either side of 1970, in nanoseconds.
const TIME_MAX: i64 = 9_223_372_036_854_775_806;

/// Unit of the timestamps of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Precision {
    /// Nanoseconds.
    unit: i64,
}

impl Precision {
    pub const NANOSECOND: Precision = Precision { unit: 1 };

    /// The query parameter `precision`; every unknown word means nanoseconds.
    pub fn of_query(word: &str) -> Precision {
        let unit = match word {
            "u" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60 * 1_000_000_000,
            "h" => 3_600 * 1_000_000_000,
            _ => 1,
        };
        Precision { unit }
    }

    /// A timestamp as nanoseconds since 1970; `None` outside the range of times.
    pub(super) fn scale(self, stamp: i64) -> Option<i64> {
        stamp.checked_mul(self.unit).filter(|time| (-TIME_MAX..=TIME_MAX).contains(time))
    }

    /// A time of arrival, cut to the precision.
    pub fn truncate(self, time: i64) -> i64 {
        time.saturating_sub(time.rem_euclid(self.unit))
    }
}

/// The time of a line whose fields end at `fields_end`; `default` if it has none. Nanoseconds since 1970.
pub fn time(line: &[u8], fields_end: usize, precision: Precision, default: i64) -> Result<i64, Reason> {
    let start = skip_blanks(line, fields_end);
    let rest = line.get(start..).unwrap_or_default();
    let token = rest.split(|byte| *byte == b' ').next().unwrap_or_default();
    if token.is_empty() {
        return Ok(default);
    }
    let digits = token.strip_prefix(b"-").unwrap_or(token);
    if !digits.iter().all(u8::is_ascii_digit) {
        return Err(Reason::BadTimestamp);
    }
    let text = std::str::from_utf8(token).unwrap_or_default();
    let stamp: i64 = match text.parse() {
        Ok(stamp) => stamp,
        Err(_) if digits.is_empty() => return Err(Reason::TimestampSyntax(error::shown(text))),
        Err(_) => return Err(Reason::TimestampOutOfRange(error::shown(text))),
    };
    let time = precision.scale(stamp).ok_or(Reason::TimeOutsideRange)?;
    match rest.get(token.len()..).unwrap_or_default().iter().all(|byte| *byte == b' ') {
        true => Ok(time),
        false => Err(Reason::InvalidPoint),
    }
}
