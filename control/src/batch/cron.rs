//! Cron expressions with seconds and years, in the server's time zone.
//!
//! reference: batch-and-replay §3. Five fields are minute, hour, day, month, weekday; six add the year; seven begin with
//! the second. Lists, ranges, steps, names, `?`, `L`, `W`, `#` and the words with `@` work.

use tz::TimeZone;

/// Last year that is looked at.
const YEAR_MAX: i64 = 2099;

#[derive(Clone, Debug)]
pub struct Cron {
    seconds: u64,
    minutes: u64,
    hours: u64,
    days: Days,
    months: u64,
    weekdays: Weekdays,
    years: Option<Vec<i64>>,
    zone: TimeZone,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Days {
    any: bool,
    set: u64,
    last: bool,
    last_workday: bool,
    /// The workday nearest to these.
    nearest: Vec<i64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Weekdays {
    any: bool,
    set: u64,
    /// The last such weekday of the month.
    last: u64,
    /// Weekday and which of the month.
    nth: Vec<(i64, i64)>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    #[error("missing field(s)")]
    Missing,
    #[error("syntax error in {field} field: '{text}'")]
    Syntax { field: &'static str, text: String },
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Cron {
    /// Reads an expression for the zone of this machine.
    pub fn parse(text: &str) -> Result<Cron, CronError> {
        Cron::parse_in(text, TimeZone::local().unwrap_or_else(|_| TimeZone::utc()))
    }

    fn parse_in(text: &str, zone: TimeZone) -> Result<Cron, CronError> {
        let text = match text.trim() {
            "@yearly" | "@annually" => "0 0 0 1 1 * *",
            "@monthly" => "0 0 0 1 * * *",
            "@weekly" => "0 0 0 * * 0 *",
            "@daily" => "0 0 0 * * * *",
            "@hourly" => "0 0 * * * * *",
            text => text,
        };
        let mut fields: Vec<&str> = text.split_whitespace().collect();
        match fields.len() {
            0..5 => return Err(CronError::Missing),
            5 => {
                fields.insert(0, "0");
                fields.push("*");
            }
            6 => fields.insert(0, "0"),
            _ => fields.truncate(7),
        }
        let &[second, minute, hour, day, month, weekday, year] = fields.as_slice() else {
            return Err(CronError::Missing);
        };
        Ok(Cron {
            seconds: set("second", second, 0, 59, &[])?,
            minutes: set("minute", minute, 0, 59, &[])?,
            hours: set("hour", hour, 0, 23, &[])?,
            days: days(day)?,
            months: set("month", month, 1, 12, &MONTHS)?,
            weekdays: weekdays(weekday)?,
            years: match year {
                "*" | "?" => None,
                year => Some(values("year", year, 1970, YEAR_MAX, &[])?),
            },
            zone,
        })
    }

    /// The first match after a time, nanoseconds since 1970.
    pub fn next(&self, time: i64) -> Option<i64> {
        let second = time.div_euclid(1_000_000_000) + 1;
        let local = second + self.offset(second);
        let (mut day, mut from) = (local.div_euclid(86_400), local.rem_euclid(86_400));
        loop {
            let (year, month, date) = civil(day);
            if year > YEAR_MAX {
                return None;
            }
            if self.years.as_ref().is_none_or(|years| years.contains(&year))
                && self.months & (1 << month) != 0
                && self.is_day(year, month, date, day)
            {
                while let Some(found) = self.time_of_day(from) {
                    let wall = day * 86_400 + found;
                    let moment = wall - self.offset(wall - self.offset(wall));
                    // A time that a change of the clock leaves out, or has passed already, is not one.
                    if moment >= second && moment + self.offset(moment) == wall {
                        return moment.checked_mul(1_000_000_000);
                    }
                    from = found + 1;
                }
            }
            day += 1;
            from = 0;
        }
    }

    /// Seconds that local time is ahead of UTC.
    fn offset(&self, second: i64) -> i64 {
        self.zone.find_local_time_type(second).map_or(0, |local| i64::from(local.ut_offset()))
    }

    /// The first matching second of a day that is not before `from`.
    fn time_of_day(&self, from: i64) -> Option<i64> {
        let (hour, minute, second) = (from / 3_600, from / 60 % 60, from % 60);
        for h in bits(self.hours, hour, 23) {
            for m in bits(self.minutes, if h == hour { minute } else { 0 }, 59) {
                let first = if (h, m) == (hour, minute) { second } else { 0 };
                if let Some(s) = bits(self.seconds, first, 59).next() {
                    return Some(h * 3_600 + m * 60 + s);
                }
            }
        }
        None
    }

    /// Day of the month and weekday: if both are limited, either will do.
    fn is_day(&self, year: i64, month: i64, date: i64, day: i64) -> bool {
        match (self.days.any, self.weekdays.any) {
            (true, true) => true,
            (true, false) => self.weekdays.has(year, month, date, day),
            (false, true) => self.days.has(year, month, date, day),
            (false, false) => self.days.has(year, month, date, day) || self.weekdays.has(year, month, date, day),
        }
    }
}

impl Days {
    fn has(&self, year: i64, month: i64, date: i64, day: i64) -> bool {
        let length = month_length(year, month);
        let first = day - date + 1;
        let is_workday = |date: i64| !matches!(weekday(first + date - 1), 0 | 6);
        let last_workday = || (1..=length).rev().find(|date| is_workday(*date));
        let nearest = |wanted: i64| -> i64 {
            let wanted = wanted.min(length);
            match weekday(first + wanted - 1) {
                6 if wanted > 1 => wanted - 1,
                6 => wanted + 2,
                0 if wanted < length => wanted + 1,
                0 => wanted - 2,
                _ => wanted,
            }
        };
        self.set & (1 << date) != 0
            || self.last && date == length
            || self.last_workday && Some(date) == last_workday()
            || self.nearest.iter().any(|wanted| nearest(*wanted) == date)
    }
}

impl Weekdays {
    fn has(&self, year: i64, month: i64, date: i64, day: i64) -> bool {
        let weekday = weekday(day);
        self.set & (1 << weekday) != 0
            || self.last & (1 << weekday) != 0 && date + 7 > month_length(year, month)
            || self.nth.iter().any(|(wanted, nth)| *wanted == weekday && (date - 1) / 7 + 1 == *nth)
    }
}

fn bits(set: u64, from: i64, to: i64) -> impl Iterator<Item = i64> {
    (from..=to).filter(move |bit| set & (1 << bit) != 0)
}

fn set(field: &'static str, text: &str, min: i64, max: i64, names: &[&str]) -> Result<u64, CronError> {
    Ok(values(field, text, min, max, names)?.into_iter().fold(0, |set, value| set | 1 << value))
}

/// A list of values, ranges and steps.
fn values(field: &'static str, text: &str, min: i64, max: i64, names: &[&str]) -> Result<Vec<i64>, CronError> {
    let mut all = Vec::new();
    for part in text.split(',') {
        let wrong = || CronError::Syntax { field, text: part.to_owned() };
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse::<i64>().ok().filter(|step| *step > 0).ok_or_else(wrong)?),
            None => (part, 1),
        };
        let value = |text: &str| -> Result<i64, CronError> {
            let named = names.iter().position(|name| text.len() >= 3 && text.to_ascii_lowercase().starts_with(name));
            let number = named.map(|at| at as i64 + min).or_else(|| text.parse().ok());
            number.filter(|value| (min..=max).contains(value)).ok_or_else(wrong)
        };
        let (first, last) = match range {
            "*" | "?" => (min, max),
            range => match range.split_once('-') {
                Some((first, last)) => (value(first)?, value(last)?),
                None if part.contains('/') => (value(range)?, max),
                None => (value(range)?, value(range)?),
            },
        };
        if first > last {
            return Err(wrong());
        }
        all.extend((first..=last).step_by(usize::try_from(step).unwrap_or(usize::MAX)));
    }
    Ok(all)
}

fn days(text: &str) -> Result<Days, CronError> {
    let mut days = Days { any: matches!(text, "*" | "?"), ..Days::default() };
    for part in text.split(',') {
        match part.to_ascii_uppercase().as_str() {
            "L" => days.last = true,
            "LW" => days.last_workday = true,
            upper => match upper.strip_suffix('W') {
                Some(day) => days.nearest.extend(values("day-of-month", day, 1, 31, &[])?),
                None => days.set |= set("day-of-month", part, 1, 31, &[])?,
            },
        }
    }
    Ok(days)
}

fn weekdays(text: &str) -> Result<Weekdays, CronError> {
    const FIELD: &str = "day-of-week";
    let mut weekdays = Weekdays { any: matches!(text, "*" | "?"), ..Weekdays::default() };
    // 7 is Sunday, too.
    let one = |text: &str| -> Result<i64, CronError> {
        let value = values(FIELD, text, 0, 7, &WEEKDAYS)?.first().copied().unwrap_or_default();
        Ok(value % 7)
    };
    for part in text.split(',') {
        if let Some((day, nth)) = part.split_once('#') {
            let wrong = || CronError::Syntax { field: FIELD, text: part.to_owned() };
            let nth = nth.parse().ok().filter(|nth| (1..=5).contains(nth)).ok_or_else(wrong)?;
            weekdays.nth.push((one(day)?, nth));
        } else if let Some(day) = part.strip_suffix(['L', 'l']).filter(|day| !day.is_empty()) {
            weekdays.last |= 1 << one(day)?;
        } else {
            let days = set(FIELD, part, 0, 7, &WEEKDAYS)?;
            weekdays.set |= (days & 0x7f) | (days >> 7 & 1);
        }
    }
    Ok(weekdays)
}

/// 0 is Sunday; 1970-01-01 was a Thursday.
fn weekday(day: i64) -> i64 {
    (day + 4).rem_euclid(7)
}

fn month_length(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Year, month and day of a number of days since 1970.
fn civil(day: i64) -> (i64, i64, i64) {
    dataplane::json::civil(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(cron: &str, after: &str) -> String {
        let cron = Cron::parse_in(cron, TimeZone::utc()).unwrap();
        let mut text = String::new();
        dataplane::json::rfc3339(cron.next(dataplane::rfc3339::parse(after).unwrap()).unwrap(), &mut text);
        text
    }

    #[test]
    fn fields_count_from_five_to_seven() {
        let after = "2020-09-13T12:26:40.5Z";
        for (cron, expected) in [
            ("* * * * *", "2020-09-13T12:27:00Z"),
            ("*/10 * * * * *", "2020-09-13T12:30:00Z"),
            ("*/10 * * * * * *", "2020-09-13T12:26:50Z"),
            ("0 0 1 1 *", "2021-01-01T00:00:00Z"),
            ("0 0 1 1 * 2024", "2024-01-01T00:00:00Z"),
            ("@hourly", "2020-09-13T13:00:00Z"),
            ("@daily", "2020-09-14T00:00:00Z"),
            ("15,45 8-10/2 * sep mon-fri", "2020-09-14T08:15:00Z"),
            ("0 0 L * *", "2020-09-30T00:00:00Z"),
            ("0 0 31 * *", "2020-10-31T00:00:00Z"),
            ("0 0 29 2 *", "2024-02-29T00:00:00Z"),
            ("0 0 * * 5L", "2020-09-25T00:00:00Z"),
            ("0 0 * * 2#3", "2020-09-15T00:00:00Z"),
            // 2020-11-15 is a Sunday.
            ("0 0 15W 11 *", "2020-11-16T00:00:00Z"),
            ("0 0 LW 10 *", "2020-10-30T00:00:00Z"),
            // Day or weekday, if both are limited.
            ("0 0 20 * 2", "2020-09-15T00:00:00Z"),
            ("0 0 * * 7", "2020-09-20T00:00:00Z"),
        ] {
            assert_eq!(next(cron, after), expected, "{cron}");
        }
    }

    #[test]
    fn a_match_is_strictly_later() {
        assert_eq!(next("* * * * *", "2020-09-13T12:27:00Z"), "2020-09-13T12:28:00Z");
        assert_eq!(next("* * * * *", "2020-09-13T12:26:59.999Z"), "2020-09-13T12:27:00Z");
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        assert_eq!(Cron::parse("* * *").unwrap_err().to_string(), "missing field(s)");
        for bad in [
            "60 * * * *",
            "a * * * *",
            "5-2 * * * *",
            "*/0 * * * *",
            "* * * * 8",
            "* * 32 * *",
            "@often",
            "* * * * 1#9",
        ] {
            assert!(Cron::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Cron::parse_in("0 0 30 2 *", TimeZone::utc()).unwrap().next(0), None);
    }
}
