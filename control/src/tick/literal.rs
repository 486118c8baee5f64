//! Values of number and duration literals (reference: tickscript §3).

use super::lexer::TokenKind;

/// A literal without a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LiteralError(pub String);

/// Units of durations in nanoseconds, longer spellings before those they begin with.
pub const UNITS: [(&str, i64); 8] = [
    ("ms", 1_000_000),
    ("u", 1_000),
    ("µ", 1_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
];

/// Decimal, or octal with a leading zero.
pub fn int(digits: &str) -> Result<TokenKind, LiteralError> {
    let octal = digits.len() > 1 && digits.starts_with('0');
    let radix = if octal { 8 } else { 10 };
    match i64::from_str_radix(digits, radix) {
        Ok(value) => Ok(TokenKind::Int { value, octal }),
        Err(_) => Err(LiteralError(format!("illegal number syntax: {digits:?}"))),
    }
}

pub fn float(digits: &str) -> Result<TokenKind, LiteralError> {
    match digits.parse() {
        Ok(value) => Ok(TokenKind::Float(value)),
        Err(_) => Err(LiteralError(format!("illegal number syntax: {digits:?}"))),
    }
}

/// `digits` units of `unit` nanoseconds; leading zeros are decimal.
pub fn duration(digits: &str, unit: i64, text: &str) -> Result<TokenKind, LiteralError> {
    let value = digits.parse::<i64>().ok().and_then(|count| count.checked_mul(unit));
    match value {
        Some(value) => Ok(TokenKind::Duration { value, text: text.to_owned() }),
        None => Err(LiteralError(format!("overflowed duration {text}: choose a smaller duration"))),
    }
}

/// Whether a text is a regular expression of the dialect; the error says why not.
pub fn check_regex(pattern: &str) -> Result<(), LiteralError> {
    let failed = |reason: &str| LiteralError(format!("error parsing regexp: {reason}: `{pattern}`"));
    let translated = proto::regex_dialect::translate(pattern)
        .map_err(|error| LiteralError(format!("error parsing regexp: {error}")))?;
    match regex::Regex::new(&translated) {
        Ok(_) => Ok(()),
        // The last line of what it says is the reason; the others show the place in the translation.
        Err(error) => Err(failed(error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: "))),
    }
}

/// Durations as vars and API bodies write them: `-`? then one or more digits with a unit (`1h30m`).
pub fn parse_duration(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let mut sum: i64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let (digits, behind) = rest.split_at(end);
        let (unit, nanoseconds) = UNITS.iter().find(|(unit, _)| behind.starts_with(unit))?;
        sum = sum.checked_add(digits.parse::<i64>().ok()?.checked_mul(*nanoseconds)?)?;
        rest = &behind[unit.len()..];
    }
    Some(sign * sum)
}

/// Nanoseconds as a literal: a count of the largest unit that divides them; below a microsecond they are cut off.
pub fn duration_text(nanoseconds: i64) -> String {
    let fits = |(_, unit): &&(&str, i64)| nanoseconds % unit == 0;
    let largest = UNITS.iter().filter(fits).max_by_key(|(name, unit)| (*unit, *name == "u"));
    match largest {
        _ if nanoseconds == 0 => "0s".to_owned(),
        Some((name, unit)) => format!("{}{name}", nanoseconds / unit),
        None => format!("{}u", nanoseconds / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_vars_may_have_several_parts() {
        assert_eq!(parse_duration("1h30m"), Some(5_400_000_000_000));
        assert_eq!(parse_duration("-5s"), Some(-5_000_000_000));
        assert_eq!(parse_duration("1w2d"), Some(9 * 86_400_000_000_000));
        for bad in ["", "5", "1.5h", "+5s", "5S", "1ns", "-"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn durations_are_written_in_their_largest_unit() {
        let cases = [(0, "0s"), (90_000_000_000, "90s"), (3_600_000_000_000, "1h"), (-5_000, "-5u"), (1_500, "1u")];
        for (nanoseconds, text) in cases {
            assert_eq!(duration_text(nanoseconds), text);
        }
    }

    #[test]
    fn a_leading_zero_is_octal_for_integers_only() {
        assert_eq!(int("010"), Ok(TokenKind::Int { value: 8, octal: true }));
        assert!(int("08").is_err() && int("9223372036854775808").is_err());
        assert_eq!(duration("010", 1, "010s"), Ok(TokenKind::Duration { value: 10, text: "010s".into() }));
    }
}
