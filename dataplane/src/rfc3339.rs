//! Times as JSON has them: RFC 3339 in any zone, as nanoseconds.

/// What stands for the original's zero time, which lies far before the first that can be told.
pub const ZERO_TIME: i64 = i64::MIN;

/// Nanoseconds since 1970; times out of range are the zero time. `None` for what is no time.
pub fn parse(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| -> Option<i64> {
        let part = bytes.get(range)?;
        part.iter().try_fold(0_i64, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
    };
    let is = |at: usize, byte: u8| bytes.get(at) == Some(&byte);
    let separators = is(4, b'-') && is(7, b'-') && (is(10, b'T') || is(10, b't')) && is(13, b':') && is(16, b':');
    if !separators {
        return None;
    }
    let (year, month, day) = (digits(0..4)?, digits(5..7)?, digits(8..10)?);
    let (hour, minute, second) = (digits(11..13)?, digits(14..16)?, digits(17..19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut at = 19;
    let mut fraction = 0;
    if is(at, b'.') {
        at += 1;
        let mut unit = 100_000_000;
        while let Some(digit) = bytes.get(at).filter(|byte| byte.is_ascii_digit()) {
            fraction += i64::from(digit - b'0') * unit;
            unit /= 10;
            at += 1;
        }
    }
    let zone = match bytes.get(at)? {
        b'Z' | b'z' if bytes.len() == at + 1 => 0,
        sign @ (b'+' | b'-') if is(at + 3, b':') && bytes.len() == at + 6 => {
            let seconds = digits(at + 1..at + 3)? * 3_600 + digits(at + 4..at + 6)? * 60;
            if *sign == b'+' { seconds } else { -seconds }
        }
        _ => return None,
    };
    let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - zone;
    let nanoseconds = seconds.checked_mul(1_000_000_000).and_then(|nanoseconds| nanoseconds.checked_add(fraction));
    Some(nanoseconds.unwrap_or(ZERO_TIME))
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar, by eras of 400 years that start on March 1st
/// (H. Hinnant, "chrono-compatible low-level date algorithms").
pub fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_read_in_any_zone() {
        assert_eq!(parse("2020-09-13T12:26:40Z"), Some(1_600_000_000_000_000_000));
        assert_eq!(parse("2020-09-13T14:26:40.5+02:00"), Some(1_600_000_000_500_000_000));
        assert_eq!(parse("1969-12-31T23:59:59.999999999Z"), Some(-1));
        assert_eq!(parse("0001-01-01T00:00:00Z"), Some(ZERO_TIME));
        for bad in ["", "1600000000", "2020-09-13 12:26:40Z", "2020-13-13T12:26:40Z", "2020-09-13T12:26:40"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(nanoseconds in any::<i64>()) {
            let mut text = String::new();
            crate::json::rfc3339(nanoseconds, &mut text);
            prop_assert_eq!(parse(&text), Some(nanoseconds));
        }
    }
}
