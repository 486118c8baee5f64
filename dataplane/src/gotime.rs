//! Arithmetic on times as scripts expect it: multiples count from year 1, not from 1970.
//!
//! reference: nodes-stream §1, "Time arithmetic". It differs from counting since 1970 only for durations that do not
//! divide a day, and puts the start of a week on Monday.

/// Nanoseconds from 0001-01-01T00:00:00Z to 1970-01-01T00:00:00Z.
const SINCE_YEAR_ONE: i128 = 62_135_596_800 * 1_000_000_000;

/// Part of `time` beyond the last multiple of `duration`.
fn beyond(time: i64, duration: i64) -> i64 {
    // The remainder is smaller than a 64-bit duration.
    (i128::from(time) + SINCE_YEAR_ONE).rem_euclid(i128::from(duration)) as i64
}

/// The last multiple of `duration` not after `time`; `time` itself if `duration` is not positive.
pub fn truncate(time: i64, duration: i64) -> i64 {
    if duration <= 0 { time } else { time.saturating_sub(beyond(time, duration)) }
}

/// The multiple of `duration` nearest to `time`, half goes up; `time` itself if `duration` is not positive.
pub fn round(time: i64, duration: i64) -> i64 {
    if duration <= 0 {
        return time;
    }
    let beyond = beyond(time, duration);
    if beyond < duration - beyond { time.saturating_sub(beyond) } else { time.saturating_add(duration - beyond) }
}

/// Whether `time` is a multiple of `duration`, which must be positive.
pub fn is_multiple(time: i64, duration: i64) -> bool {
    duration > 0 && beyond(time, duration) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn half_goes_up_and_weeks_start_on_monday() {
        assert_eq!(round(15 * SECOND, 10 * SECOND), 20 * SECOND);
        assert_eq!(round(14 * SECOND, 10 * SECOND), 10 * SECOND);
        assert_eq!(round(-5 * SECOND, 10 * SECOND), 0);
        let week = 7 * 24 * 3600 * SECOND;
        // 1970-01-01 was a Thursday.
        assert_eq!(truncate(0, week), -3 * 24 * 3600 * SECOND);
        assert_eq!((truncate(7, 0), round(7, -1)), (7, 7));
        assert_eq!(truncate(i64::MIN + 1, 10), i64::MIN);
    }

    #[test]
    fn multiples_count_from_year_one() {
        // (62135596800 mod 7) = 4: the first multiple of 7 s after 1970 is at 3 s.
        assert!(is_multiple(3 * SECOND, 7 * SECOND));
        assert!(!is_multiple(0, 7 * SECOND));
    }
}
