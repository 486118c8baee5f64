//! Numbers of field values.
//!
//! The syntax is checked here; conversion to a double is the standard library's, which is exact.

use super::{
    error::{self, Reason},
    fields::RawValue,
};

/// Longest decimal without exponent that cannot overflow a double.
const SURELY_FINITE: usize = 300;

/// A token that begins like a number.
pub fn parse(token: &[u8]) -> Result<RawValue<'_>, Reason> {
    let digits = token.strip_prefix(b"-").unwrap_or(token);
    if let Some(digits) = digits.strip_suffix(b"i") {
        return integer(token, digits);
    }
    let (mut points, mut figures, mut exponent) = (0, 0, false);
    let mut before = token.first().copied().filter(|byte| *byte == b'-').unwrap_or_default();
    for &byte in digits {
        match byte {
            b'0'..=b'9' => figures += 1,
            b'.' if points == 0 => points = 1,
            b'e' | b'E' if before != 0 => exponent = true,
            b'+' | b'-' if matches!(before, b'e' | b'E') => {}
            _ => return Err(Reason::InvalidNumber),
        }
        before = byte;
    }
    if figures == 0 {
        return Err(if exponent { Reason::InvalidFloat } else { Reason::InvalidNumber });
    }
    if (exponent || token.len() > SURELY_FINITE) && float(token).is_none() {
        return Err(Reason::InvalidFloat);
    }
    Ok(RawValue::Float(token))
}

fn integer<'a>(token: &'a [u8], digits: &[u8]) -> Result<RawValue<'a>, Reason> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Reason::InvalidNumber);
    }
    let text = token.get(..token.len() - 1).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
    match text.parse() {
        Ok(integer) => Ok(RawValue::Int(integer)),
        Err(_) => Err(Reason::IntegerOutOfRange(error::shown(text))),
    }
}

/// The nearest double; `None` if there is none that is finite.
pub fn float(token: &[u8]) -> Option<f64> {
    let x: f64 = std::str::from_utf8(token).ok()?.parse().ok()?;
    x.is_finite().then_some(x)
}
