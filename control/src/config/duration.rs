//! Durations of configuration files: `1h30m`, `1.5s`, `0` (reference: configuration §2).

use std::time::Duration;

const UNITS: [(&str, f64); 7] =
    [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];

/// Parses a duration; the error is the text for a person.
pub fn parse(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let invalid = || format!("time: invalid duration {text:?}");
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut nanoseconds = 0.0;
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !(c.is_ascii_digit() || c == '.'))
            .ok_or_else(|| format!("time: missing unit in duration {text:?}"))?;
        let number: f64 = rest[..end].parse().map_err(|_| invalid())?;
        let behind = &rest[end..];
        let unit_end = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (name, further) = behind.split_at(unit_end);
        let unit = UNITS.iter().find(|(unit, _)| *unit == name);
        let (_, unit) = unit.ok_or_else(|| format!("time: unknown unit {name:?} in duration {text:?}"))?;
        nanoseconds += number * unit;
        rest = further;
    }
    if nanoseconds > i64::MAX as f64 {
        return Err(invalid());
    }
    Ok(Duration::from_nanos(nanoseconds as u64))
}
