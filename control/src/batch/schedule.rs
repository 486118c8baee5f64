//! When queries are made (reference: batch-and-replay §3).

use super::cron::Cron;

/// Nanoseconds from 0001-01-01 to 1970-01-01: multiples are counted from year 1.
const YEAR_ONE: i128 = 62_135_596_800 * 1_000_000_000;

#[derive(Clone, Debug)]
pub enum Schedule {
    /// Nanoseconds.
    Every {
        every: i64,
        align: bool,
    },
    Cron(Box<Cron>),
}

impl Schedule {
    /// The tick of a recording that follows `time`; `None` if there is none.
    pub fn next(&self, time: i64) -> Option<i64> {
        match self {
            Schedule::Every { every, align: false } => time.checked_add(*every),
            Schedule::Every { every, align: true } => {
                // Rounded half up to a multiple.
                let wanted = i128::from(time) + i128::from(*every) + YEAR_ONE;
                let every = i128::from(*every);
                let below = wanted.rem_euclid(every);
                let rounded = if below * 2 < every { wanted - below } else { wanted - below + every };
                i64::try_from(rounded - YEAR_ONE).ok()
            }
            Schedule::Cron(cron) => cron.next(time),
        }
    }

    /// The first live tick after `now` of a task that started at `started`.
    pub fn live(&self, started: i64, now: i64) -> Option<i64> {
        match self {
            Schedule::Every { every, align: false } => {
                let ticks = now.saturating_sub(started).max(0) / every + 1;
                started.checked_add(every.checked_mul(ticks)?)
            }
            Schedule::Every { every, align: true } => {
                let every = i128::from(*every);
                let after = i128::from(now) + YEAR_ONE;
                i64::try_from(after - after.rem_euclid(every) + every - YEAR_ONE).ok()
            }
            Schedule::Cron(cron) => cron.next(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    /// 2020-09-13T12:26:40Z
    const T: i64 = 1_600_000_000 * SECOND;

    #[test]
    fn recordings_tick_from_their_start() {
        let plain = Schedule::Every { every: 10 * SECOND, align: false };
        assert_eq!(plain.next(T + 3), Some(T + 3 + 10 * SECOND));
        let aligned = Schedule::Every { every: 10 * SECOND, align: true };
        // Start :44.999 ticks at :50, start :45 at 13:00 of the reference's minute.
        assert_eq!(aligned.next(T + 4 * SECOND + 999_000_000), Some(T + 10 * SECOND));
        assert_eq!(aligned.next(T + 5 * SECOND), Some(T + 20 * SECOND));
    }

    #[test]
    fn multiples_are_counted_from_year_one() {
        let weeks = Schedule::Every { every: 7 * 86_400 * SECOND, align: true };
        // Weeks start on Monday: 2020-09-14.
        assert_eq!(weeks.live(0, T), Some(1_600_041_600 * SECOND));
        let sevens = Schedule::Every { every: 7 * SECOND, align: true };
        let tick = sevens.live(0, T).unwrap();
        assert_eq!((i128::from(tick) + YEAR_ONE) % (7 * i128::from(SECOND)), 0);
        assert!(tick > T && tick <= T + 7 * SECOND);
    }

    #[test]
    fn live_ticks_follow_the_start_and_a_slow_query_keeps_one() {
        let every = Schedule::Every { every: SECOND, align: false };
        assert_eq!(every.live(T, T), Some(T + SECOND));
        assert_eq!(every.live(T, T + SECOND), Some(T + 2 * SECOND));
        // A query begun at 1.0 that ends at 3.5: the tick 2 was kept; begun at 3.5, the next is 4.
        assert_eq!(every.live(T, T + 3_500_000_000), Some(T + 4 * SECOND));
    }
}
