//! Ranges of time that flags name.

use super::{CliError, flags::Flags};

/// Nanoseconds of an InfluxQL duration (`10m`, `1h30m`, `2d`).
pub fn duration(text: &str) -> Result<i64, CliError> {
    crate::tick::literal::parse_duration(text).ok_or_else(|| CliError::Failed(format!("invalid duration {text:?}")))
}

/// RFC 3339 of a moment in nanoseconds since 1970.
pub fn time(nanoseconds: i64) -> String {
    let mut text = String::new();
    dataplane::json::rfc3339(nanoseconds, &mut text);
    text
}

/// Start and stop of `-start` or `-past`, and `-stop`; `now` is in nanoseconds since 1970.
pub fn range(flags: &Flags, now: i64) -> Result<(String, String), CliError> {
    let stamp = |text: &str| {
        let parsed = text.parse::<jiff::Timestamp>();
        parsed.map_err(|error| {
            CliError::Failed(format!("parsing time {text:?}: {error}; it must be like 2006-01-02T15:04:05Z"))
        })
    };
    let stop = match flags.get("stop").filter(|stop| !stop.is_empty()) {
        Some(stop) => stamp(stop)?,
        None => jiff::Timestamp::from_nanosecond(i128::from(now)).map_err(CliError::failed)?,
    };
    let (start, past) = (flags.get("start").unwrap_or_default(), flags.get("past").unwrap_or_default());
    let start = match (start, past) {
        ("", "") => return Err(CliError::Incomplete("must set one of start or past flags.".to_owned())),
        (start, "") => stamp(start)?,
        ("", past) => {
            let past = jiff::SignedDuration::from_nanos(duration(past)?);
            stop.checked_sub(past).map_err(CliError::failed)?
        }
        _ => return Err(CliError::Incomplete("cannot set both start and past flags.".to_owned())),
    };
    Ok((start.to_string(), stop.to_string()))
}
