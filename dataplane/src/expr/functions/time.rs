//! Parts of times in the server's local zone: `TZ`, else `/etc/localtime`, else UTC.

use std::sync::LazyLock;

use tz::TimeZone;

use super::{
    Body, Function,
    Kind::{Int, Time},
    signature,
};

pub static FUNCTIONS: &[Function] = &[
    part("minute", |time| Local::of(time).second_of_day / 60 % 60),
    part("hour", |time| Local::of(time).second_of_day / 3600),
    part("weekday", |time| (Local::of(time).day + 4).rem_euclid(7)),
    part("day", |time| Local::of(time).date().2),
    part("month", |time| Local::of(time).date().1),
    part("year", |time| Local::of(time).date().0),
    part("unixNano", |time| time),
    Function { name: "now", signatures: &[signature(&[], Time)], body: Body::Now },
];

const fn part(name: &'static str, body: fn(i64) -> i64) -> Function {
    Function { name, signatures: const { &[signature(&[Time], Int)] }, body: Body::TimePart(body) }
}

static ZONE: LazyLock<TimeZone> = LazyLock::new(|| {
    let zone = match std::env::var("TZ") {
        Err(_) => TimeZone::local(),
        Ok(name) if name.is_empty() => return TimeZone::utc(),
        Ok(name) => TimeZone::from_posix_tz(&name),
    };
    zone.unwrap_or_else(|_| TimeZone::utc())
});

const DAY: i64 = 86_400;

/// A time on the clocks and calendars of a zone.
struct Local {
    /// Days since 1970-01-01.
    day: i64,
    second_of_day: i64,
}

impl Local {
    fn of(nanoseconds: i64) -> Local {
        Local::at(nanoseconds, &ZONE)
    }

    fn at(nanoseconds: i64, zone: &TimeZone) -> Local {
        let seconds = nanoseconds.div_euclid(1_000_000_000);
        let offset = zone.find_local_time_type(seconds).map_or(0, |local| i64::from(local.ut_offset()));
        let local = seconds + offset;
        Local { day: local.div_euclid(DAY), second_of_day: local.rem_euclid(DAY) }
    }

    /// Year, month and day of the Gregorian calendar.
    fn date(&self) -> (i64, i64, i64) {
        // Years are counted from March here, so that the leap day is the last one of its year; day 0 is 0000-03-01.
        let day = self.day + 719_468;
        let (era, day_of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        (year, month, day_of_year - (153 * month_from_march + 2) / 5 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Year, month, day, hour, minute, weekday.
    fn parts(seconds: i64, zone: &TimeZone) -> (i64, i64, i64, i64, i64, i64) {
        let local = Local::at(seconds * 1_000_000_000, zone);
        let (year, month, day) = local.date();
        (year, month, day, local.second_of_day / 3600, local.second_of_day / 60 % 60, (local.day + 4).rem_euclid(7))
    }

    #[test]
    fn calendar_parts_in_utc() {
        let utc = TimeZone::utc();
        assert_eq!(parts(0, &utc), (1970, 1, 1, 0, 0, 4));
        assert_eq!(parts(-1, &utc), (1969, 12, 31, 23, 59, 3));
        assert_eq!(parts(1_500_000_000, &utc), (2017, 7, 14, 2, 40, 5));
        assert_eq!(parts(951_826_332, &utc), (2000, 2, 29, 12, 12, 2));
        assert_eq!(parts(1_577_836_800, &utc), (2020, 1, 1, 0, 0, 3));
    }

    #[test]
    fn every_day_of_the_range_follows_the_one_before() {
        let utc = TimeZone::utc();
        let mut expected = (1677, 9, 22);
        for day in -106_751..106_752 {
            assert_eq!(Local::at(day * DAY * 1_000_000_000, &utc).date(), expected);
            let leap = expected.0 % 4 == 0 && (expected.0 % 100 != 0 || expected.0 % 400 == 0);
            let length = [31, 28 + i64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][expected.1 as usize - 1];
            expected = match expected {
                (year, 12, 31) => (year + 1, 1, 1),
                (year, month, day) if day == length => (year, month + 1, 1),
                (year, month, day) => (year, month, day + 1),
            };
        }
    }

    #[test]
    fn zones_have_summer_time() {
        let berlin = TimeZone::from_posix_tz("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        assert_eq!(parts(1_500_000_000, &berlin), (2017, 7, 14, 4, 40, 5));
        assert_eq!(parts(1_577_836_799, &berlin), (2020, 1, 1, 0, 59, 3));
    }
}
