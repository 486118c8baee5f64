//! The clocks of the process, read where a turn begins and handed down: nodes never read them themselves.

use std::{
    sync::LazyLock,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// A clock that is behind what it said by more than this was set back, nanoseconds; less is made up for by waiting.
pub const SET_BACK_MIN: i64 = 500_000_000;

/// Nanoseconds since 1970; 0 for a clock before that, the last instant for one beyond 2262.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// Nanoseconds since some instant of this process: for how long things take and how late they are, whoever sets the wall clock.
pub fn steady() -> i64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    i64::try_from(START.elapsed().as_nanos()).unwrap_or(i64::MAX)
}

/// By how much the wall clock was set back, if it was: it said `before`, and then `now`.
pub fn set_back(before: i64, now: i64) -> Option<i64> {
    Some(before.saturating_sub(now)).filter(|by| *by > SET_BACK_MIN)
}
