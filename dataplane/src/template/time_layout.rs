//! Times as Go's layouts show them, in UTC (reference: nodes-alert-join-io §3.1b).

use std::fmt::Write;

use crate::{json::civil, rfc3339::days as days_since_1970};

const DAY: i64 = 86_400_000_000_000;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// A time in calendar units.
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    pub year: i64,
    /// From 1.
    pub month: i64,
    pub day: i64,
    /// From 1.
    pub day_of_year: i64,
    /// 0 is Sunday.
    weekday: usize,
    pub hour: i64,
    pub minute: i64,
    pub second: i64,
    pub nanosecond: i64,
}

impl Parts {
    /// Of nanoseconds since 1970.
    pub fn of(time: i64) -> Parts {
        let seconds = time.div_euclid(1_000_000_000);
        let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil(days);
        let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
        let index = (month - 1).clamp(0, 11) as usize;
        Parts {
            year,
            month,
            day,
            day_of_year: before[index] + day + i64::from(leap && month > 2),
            // 1970-01-01 was a Thursday.
            weekday: (days + 4).rem_euclid(7) as usize,
            hour: second / 3_600,
            minute: second / 60 % 60,
            second: second % 60,
            nanosecond: time.rem_euclid(1_000_000_000),
        }
    }

    pub fn month_name(self) -> &'static str {
        MONTHS[(self.month - 1).clamp(0, 11) as usize]
    }

    /// 0 is Sunday.
    pub fn weekday(self) -> i64 {
        self.weekday as i64
    }

    pub fn weekday_name(self) -> &'static str {
        WEEKDAYS[self.weekday % 7]
    }
}

/// `2006-01-02 15:04:05.5 +0000 UTC`.
pub fn default(time: i64) -> String {
    format(time, "2006-01-02 15:04:05.999999999 -0700 MST")
}

/// Parts of layouts; where two match, the longer one stands first.
const TOKENS: [&str; 31] = [
    "January", "Monday", "-07:00", "Z07:00", "-0700", "Z0700", "2006", "002", "-07", "Jan", "Mon", "MST", "01", "02",
    "_2", "03", "04", "05", "06", "15", "PM", "pm", "Z07", "1", "2", "3", "4", "5", ".0", ".9", ",0",
];

/// The time by a layout: tokens are replaced, everything else stands for itself.
pub fn format(time: i64, layout: &str) -> String {
    let parts = Parts::of(time);
    let mut out = String::with_capacity(layout.len() + 8);
    let mut rest = layout;
    let mut after_seconds = false;
    while let Some(character) = rest.chars().next() {
        if let Some(length) = fraction(rest).filter(|_| after_seconds) {
            push_fraction(parts.nanosecond, &rest[..length], &mut out);
            rest = &rest[length..];
            after_seconds = false;
            continue;
        }
        let token = TOKENS.iter().filter(|token| rest.starts_with(**token)).max_by_key(|token| token.len());
        let length = match token {
            Some(token) if push(token, &parts, rest, &mut out) => token.len(),
            _ => {
                out.push(character);
                character.len_utf8()
            }
        };
        after_seconds = matches!(token, Some(&("05" | "5")));
        rest = &rest[length..];
    }
    out
}

/// Writes what a token stands for; `false` if it is no token here.
fn push(token: &str, parts: &Parts, rest: &str, out: &mut String) -> bool {
    let hour = match parts.hour % 12 {
        0 => 12,
        hour => hour,
    };
    let _ = match token {
        "January" => out.write_str(parts.month_name()),
        // `Jan` followed by another letter is a word of its own, as `January` is a token of its own.
        "Jan" => out.write_str(&parts.month_name()[..3]),
        "Monday" => out.write_str(parts.weekday_name()),
        "Mon" if rest.strip_prefix("Mon").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase())) => {
            return false;
        }
        "Mon" => out.write_str(&parts.weekday_name()[..3]),
        "2006" => write!(out, "{:04}", parts.year),
        "06" => write!(out, "{:02}", parts.year.rem_euclid(100)),
        "01" => write!(out, "{:02}", parts.month),
        "1" => write!(out, "{}", parts.month),
        "002" => write!(out, "{:03}", parts.day_of_year),
        "02" => write!(out, "{:02}", parts.day),
        "_2" => write!(out, "{:2}", parts.day),
        "2" => write!(out, "{}", parts.day),
        "15" => write!(out, "{:02}", parts.hour),
        "03" => write!(out, "{hour:02}"),
        "3" => write!(out, "{hour}"),
        "04" => write!(out, "{:02}", parts.minute),
        "4" => write!(out, "{}", parts.minute),
        "05" => write!(out, "{:02}", parts.second),
        "5" => write!(out, "{}", parts.second),
        "PM" => out.write_str(if parts.hour >= 12 { "PM" } else { "AM" }),
        "pm" => out.write_str(if parts.hour >= 12 { "pm" } else { "am" }),
        "MST" => out.write_str("UTC"),
        "-0700" => out.write_str("+0000"),
        "-07:00" => out.write_str("+00:00"),
        "-07" => out.write_str("+00"),
        "Z0700" | "Z07:00" | "Z07" => out.write_str("Z"),
        _ => return false,
    };
    true
}

/// Length of a fraction of seconds (`.000`, `,999`) at the start of `rest`, if there is one and no digit follows.
fn fraction(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    let (b'.' | b',', digit @ (b'0' | b'9')) = (*bytes.first()?, *bytes.get(1)?) else { return None };
    let length = 1 + bytes[1..].iter().take_while(|&&byte| byte == digit).count();
    (!bytes.get(length).is_some_and(u8::is_ascii_digit)).then_some(length)
}

fn push_fraction(nanosecond: i64, token: &str, out: &mut String) {
    let digits = format!("{nanosecond:09}");
    let shown = &digits[..(token.len() - 1).min(9)];
    let shown = if token.ends_with('9') { shown.trim_end_matches('0') } else { shown };
    if !shown.is_empty() {
        out.push_str(&token[..1]);
        out.push_str(shown);
    }
}

/// The time by so many years, months and days later, days beyond the end of a month counting on; none out of range.
pub fn add_date(time: i64, years: i64, months: i64, days: i64) -> Option<i64> {
    let (day, of_day) = (time.div_euclid(DAY), time.rem_euclid(DAY));
    let (year, month, day_of_month) = civil(day);
    let months = year.checked_add(years)?.checked_mul(12)?.checked_add(month - 1)?.checked_add(months)?;
    let year = Some(months.div_euclid(12)).filter(|year| (-1_000_000..1_000_000).contains(year))?;
    let first = days_since_1970(year, months.rem_euclid(12) + 1, 1);
    let day = first.checked_add(day_of_month - 1)?.checked_add(days)?;
    day.checked_mul(DAY)?.checked_add(of_day)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2020-09-13T12:26:40.5Z, a Sunday.
    const TIME: i64 = 1_600_000_000_500_000_000;

    #[test]
    fn layouts_show_their_tokens() {
        let cases = [
            ("2006-01-02T15:04:05Z07:00", "2020-09-13T12:26:40Z"),
            ("Mon Jan _2 15:04:05 2006", "Sun Sep 13 12:26:40 2020"),
            ("Monday, 02-Jan-06 15:04:05 MST", "Sunday, 13-Sep-20 12:26:40 UTC"),
            ("3:04PM", "12:26PM"),
            ("03:04:05.000 pm", "12:26:40.500 pm"),
            ("15:04:05.999999 -0700", "12:26:40.5 +0000"),
            ("002 of 06", "257 of 20"),
            ("January 2, at 5 past", "September 13, at 40 past"),
            ("Month", "Month"),
            ("é", "é"),
        ];
        for (layout, expected) in cases {
            assert_eq!(format(TIME, layout), expected, "{layout}");
        }
        assert_eq!(default(TIME), "2020-09-13 12:26:40.5 +0000 UTC");
        assert_eq!(default(0), "1970-01-01 00:00:00 +0000 UTC");
        assert_eq!(Parts::of(951_782_400_000_000_000).day_of_year, 60);
    }
}
