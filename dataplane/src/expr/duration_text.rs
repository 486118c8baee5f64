//! Durations as scripts write them (reference: tickscript §10, `string` and `duration`).

/// Units from the largest to the smallest, in nanoseconds.
const UNITS: [(&str, i64); 7] = [
    ("w", 7 * 24 * 3_600_000_000_000),
    ("d", 24 * 3_600_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("u", 1_000),
];

/// The duration in the largest unit that divides it; what is below a microsecond is cut off.
pub fn format(nanoseconds: i64) -> String {
    if nanoseconds == 0 {
        return "0s".to_owned();
    }
    let (unit, size) = UNITS.into_iter().find(|(_, size)| nanoseconds % size == 0).unwrap_or(("u", 1_000));
    format!("{}{unit}", nanoseconds / size)
}

/// Why a text is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurationError {
    Syntax,
    Overflow,
}

/// Reads `-`? and then one or more of digits and unit, such as `1h30m`. No fraction, no `+`, no blank.
pub fn parse(text: &str) -> Result<i64, DurationError> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if rest.is_empty() {
        return Err(DurationError::Syntax);
    }
    let mut total = 0i64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or(DurationError::Syntax)?;
        let (number, after) = rest.split_at(digits);
        if number.is_empty() {
            return Err(DurationError::Syntax);
        }
        let number: i64 = number.parse().map_err(|_| DurationError::Overflow)?;
        let (size, after) = unit(after).ok_or(DurationError::Syntax)?;
        // Negative while summing, since the least duration has no positive counterpart.
        total = number
            .checked_neg()
            .and_then(|number| number.checked_mul(size))
            .and_then(|part| total.checked_add(part))
            .ok_or(DurationError::Overflow)?;
        rest = after;
    }
    if negative { Ok(total) } else { total.checked_neg().ok_or(DurationError::Overflow) }
}

/// The unit at the start of `text`, in nanoseconds, and what follows it.
fn unit(text: &str) -> Option<(i64, &str)> {
    // `ms` before `m`.
    let names = [("ms", 1_000_000), ("µ", 1_000)];
    names.into_iter().chain(UNITS).find_map(|(name, size)| text.strip_prefix(name).map(|rest| (size, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn the_largest_unit_that_divides_is_shown() {
        let shown = [(3600 * SECOND, "1h"), (90 * SECOND, "90s"), (36 * 3600 * SECOND, "36h"), (0, "0s")];
        let more = [(-90 * SECOND, "-90s"), (7 * 86_400 * SECOND, "1w"), (25_000, "25u"), (999, "0u"), (1_500, "1u")];
        for (duration, text) in shown.into_iter().chain(more) {
            assert_eq!(format(duration), text);
        }
    }

    #[test]
    fn compound_texts_are_read() {
        let good = [("1h30m", 5400 * SECOND), ("1w2d", 9 * 86_400 * SECOND), ("-5s", -5 * SECOND), ("5ms", 5_000_000)];
        for (text, duration) in good.into_iter().chain([("15u", 15_000), ("15µ", 15_000), ("1m1ms", 60_001_000_000)]) {
            assert_eq!(parse(text), Ok(duration), "{text}");
        }
        for text in ["", "-", "5", "1.5h", "+5s", "5S", "1ns", "1us", " 1s", "1s ", "--1s", "s", "1h30"] {
            assert_eq!(parse(text), Err(DurationError::Syntax), "{text}");
        }
        assert_eq!(parse("15251w"), Err(DurationError::Overflow));
        assert_eq!(parse("99999999999999999999s"), Err(DurationError::Overflow));
    }
}
