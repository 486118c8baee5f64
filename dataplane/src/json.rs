//! JSON as Kapacitor writes it: floats in their shortest form, `<`, `>` and `&` escaped, times in RFC 3339.
//!
//! reference: http-api §1 "JSON style", nodes-stream §15 "Rendering".

use std::fmt::Write;

use crate::{rfc3339::ZERO_TIME, value::Value};

/// A value that JSON cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("json: unsupported value: {0}")]
pub struct Unsupported(pub &'static str);

/// Appends a string with its quotes.
pub fn string(text: &str, out: &mut String) {
    out.push('"');
    let mut plain = 0;
    for (at, character) in text.char_indices() {
        let escape: Option<&str> = match character {
            '"' => Some("\\\""),
            '\\' => Some("\\\\"),
            '\n' => Some("\\n"),
            '\r' => Some("\\r"),
            '\t' => Some("\\t"),
            '<' => Some("\\u003c"),
            '>' => Some("\\u003e"),
            '&' => Some("\\u0026"),
            '\u{2028}' => Some("\\u2028"),
            '\u{2029}' => Some("\\u2029"),
            '\0'..='\u{1f}' => None,
            _ => continue,
        };
        out.push_str(&text[plain..at]);
        match escape {
            Some(escape) => out.push_str(escape),
            None => write_infallibly(out, format_args!("\\u{:04x}", u32::from(character))),
        }
        plain = at + character.len_utf8();
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

/// Appends a float: plain decimals for 1e-6 ≤ |x| < 1e21, else with an exponent.
pub fn float(x: f64, out: &mut String) -> Result<(), Unsupported> {
    if x.is_nan() {
        return Err(Unsupported("NaN"));
    }
    if x.is_infinite() {
        return Err(Unsupported(if x > 0.0 { "+Inf" } else { "-Inf" }));
    }
    let magnitude = x.abs();
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        let start = out.len();
        write_infallibly(out, format_args!("{x:e}"));
        // Rust writes `1e21`, JSON readers of the original expect `1e+21`.
        if let Some(at) = out.get(start..).and_then(|text| text.find('e'))
            && out.as_bytes().get(start + at + 1) != Some(&b'-')
        {
            out.insert(start + at + 1, '+');
        }
    } else {
        write_infallibly(out, format_args!("{x}"));
    }
    Ok(())
}

pub fn int(x: i64, out: &mut String) {
    write_infallibly(out, format_args!("{x}"));
}

pub fn value(value: &Value, out: &mut String) -> Result<(), Unsupported> {
    match value {
        Value::Float(x) => float(*x, out)?,
        Value::Int(x) | Value::Duration(x) => int(*x, out),
        Value::Bool(x) => out.push_str(if *x { "true" } else { "false" }),
        Value::String(text) => string(text, out),
        Value::Null => out.push_str("null"),
        Value::Missing => out.push_str("{}"),
    }
    Ok(())
}

/// Appends a time with its quotes: RFC 3339, as many decimals as needed.
pub fn time(nanoseconds: i64, out: &mut String) {
    out.push('"');
    rfc3339(nanoseconds, out);
    out.push('"');
}

/// Appends `2020-09-13T12:26:40.5Z`; [`ZERO_TIME`] as the original's zero time.
pub fn rfc3339(nanoseconds: i64, out: &mut String) {
    if nanoseconds == ZERO_TIME {
        return out.push_str("0001-01-01T00:00:00Z");
    }
    let (seconds, fraction) = (nanoseconds.div_euclid(1_000_000_000), nanoseconds.rem_euclid(1_000_000_000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    write_infallibly(out, format_args!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"));
    if fraction != 0 {
        write_infallibly(out, format_args!(".{fraction:09}"));
        out.truncate(out.trim_end_matches('0').len());
    }
    out.push('Z');
}

/// Year, month and day of a number of days since 1970-01-01, in the proleptic Gregorian calendar: the method of eras of
/// 400 years that start on March 1st (H. Hinnant, "chrono-compatible low-level date algorithms").
pub fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Writing to a `String` cannot fail.
fn write_infallibly(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut String)) -> String {
        let mut out = String::new();
        write(&mut out);
        out
    }

    #[test]
    fn floats_have_their_shortest_form() {
        let cases = [
            (1.0, "1"),
            (-0.0, "-0"),
            (0.000_001, "0.000001"),
            (1e-7, "1e-7"),
            (1.5e-7, "1.5e-7"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (-1.5e23, "-1.5e+23"),
        ];
        for (x, expected) in cases {
            assert_eq!(text(|out| float(x, out).unwrap()), expected);
        }
        assert_eq!(float(f64::NEG_INFINITY, &mut String::new()), Err(Unsupported("-Inf")));
    }

    #[test]
    fn strings_escape_what_a_browser_could_misread() {
        assert_eq!(
            text(|out| string("a<b>&\"\\\n\u{1}é\u{2028}", out)),
            r#""a\u003cb\u003e\u0026\"\\\n\u0001é\u2028""#
        );
    }

    #[test]
    fn times_show_as_many_decimals_as_they_need() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (1_600_000_000_500_000_000, "2020-09-13T12:26:40.5Z"),
            (-1, "1969-12-31T23:59:59.999999999Z"),
            (951_782_400_000_000_001, "2000-02-29T00:00:00.000000001Z"),
            (i64::MIN + 1, "1677-09-21T00:12:43.145224193Z"),
            (ZERO_TIME, "0001-01-01T00:00:00Z"),
        ];
        for (time, expected) in cases {
            assert_eq!(text(|out| rfc3339(time, out)), expected);
        }
    }
}
