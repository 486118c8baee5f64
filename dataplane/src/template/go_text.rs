//! Floats and durations as Go prints them (reference: nodes-alert-join-io §3.1, §3.1b).

use std::fmt::Write;

/// First exponent that `%v` writes out.
const EXPONENT_FROM: i32 = 6;

/// Appends a float as `%v` does: shortest digits, with an exponent below 1e-4 and from 1e6 on.
pub fn float(x: f64, out: &mut String) {
    if x.is_nan() {
        return out.push_str("NaN");
    }
    if x.is_infinite() {
        return out.push_str(if x > 0.0 { "+Inf" } else { "-Inf" });
    }
    let scientific = format!("{x:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();

    if x != 0.0 && !(-4..EXPONENT_FROM).contains(&exponent) {
        out.push_str(digits);
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "e{sign}{:02}", exponent.abs());
    } else {
        let _ = write!(out, "{x}");
    }
}

/// A duration: `0s`, `1.5ms`, `1h0m0.25s`.
pub fn duration(nanoseconds: i64) -> String {
    let mut out = String::new();
    if nanoseconds < 0 {
        out.push('-');
    }
    let total = nanoseconds.unsigned_abs();
    let (unit, name) = match total {
        0 => return "0s".into(),
        1..1_000 => (1, "ns"),
        1_000..1_000_000 => (1_000, "µs"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    };
    let mut whole = total / unit;
    if unit == 1_000_000_000 {
        let (hours, minutes) = (whole / 3_600, whole / 60 % 60);
        if hours > 0 {
            let _ = write!(out, "{hours}h");
        }
        if whole >= 60 {
            let _ = write!(out, "{minutes}m");
        }
        whole %= 60;
    }
    let _ = write!(out, "{whole}");
    let (rest, width) = (total % unit, unit.ilog10() as usize);
    if rest > 0 {
        let fraction = format!("{rest:0width$}");
        let _ = write!(out, ".{}", fraction.trim_end_matches('0'));
    }
    out.push_str(name);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_go_does() {
        let cases = [
            (1.0, "1"),
            (0.1, "0.1"),
            (95.5, "95.5"),
            (123_456.0, "123456"),
            (999_999.0, "999999"),
            (1_000_000.0, "1e+06"),
            (20_000_000.0, "2e+07"),
            (123_456_789.0, "1.23456789e+08"),
            (1_234_567.891, "1.234567891e+06"),
            (1e20, "1e+20"),
            (1e21, "1e+21"),
            (1e-5, "1e-05"),
            (1e-7, "1e-07"),
            (0.0001, "0.0001"),
            (0.0, "0"),
            (-2.5, "-2.5"),
        ];
        for (x, expected) in cases {
            let mut out = String::new();
            float(x, &mut out);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn durations_print_as_go_does() {
        let cases = [
            (0, "0s"),
            (999, "999ns"),
            (1_500, "1.5µs"),
            (1_234_567, "1.234567ms"),
            (59_999_999_999, "59.999999999s"),
            (60_000_000_000, "1m0s"),
            (3_600_000_000_001, "1h0m0.000000001s"),
            (90_061_001_000_000, "25h1m1.001s"),
            (-1_500_000_000, "-1.5s"),
        ];
        for (nanoseconds, expected) in cases {
            assert_eq!(duration(nanoseconds), expected);
        }
    }
}
