//! When operators want to be woken.
//!
//! Time is what the task is told: the clock of the shard for live tasks, the replay's own for replays. Each operator has
//! one time at most, so this is as long as the graph; an operator with a clock a group keeps the groups' times itself and
//! asks for the earliest.

/// The time of an operator that wants nothing.
const NEVER: i64 = i64::MAX;

/// Nanoseconds since 1970 throughout.
#[derive(Debug, Default)]
pub struct Timers {
    /// By slot.
    due: Vec<i64>,
    /// The earliest of `due`, or earlier.
    next: i64,
}

impl Timers {
    pub fn new(slots: usize) -> Timers {
        Timers { due: vec![NEVER; slots], next: NEVER }
    }

    /// Asks to be woken at `time`; an earlier time that is asked for stands.
    pub fn set(&mut self, slot: usize, time: i64) {
        if let Some(due) = self.due.get_mut(slot) {
            *due = (*due).min(time);
            self.next = self.next.min(time);
        }
    }

    /// When something may be due.
    pub fn next(&self) -> i64 {
        self.next
    }

    /// The operator whose time came first, if it came by `now`; of equal times the first slot.
    pub fn pop(&mut self, now: i64) -> Option<(usize, i64)> {
        if self.next > now || self.next == NEVER {
            return None;
        }
        let (slot, due) = self.due.iter_mut().enumerate().min_by_key(|(_, due)| **due)?;
        self.next = *due;
        (*due <= now && *due != NEVER).then(|| (slot, std::mem::replace(due, NEVER)))
    }

    /// The clock was set back by `by`: what is due in a second stays so.
    pub fn set_back(&mut self, by: i64) {
        self.due.iter_mut().filter(|due| **due != NEVER).for_each(|due| *due -= by);
        self.next = if self.next == NEVER { NEVER } else { self.next - by };
    }

    /// Times before `now` become `now`: what was missed (a machine that slept) is not made up for.
    pub fn skip(&mut self, now: i64) {
        self.due.iter_mut().for_each(|due| *due = (*due).max(now));
        self.next = self.next.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_is_woken_first_and_once() {
        let mut timers = Timers::new(3);
        assert_eq!(timers.pop(i64::MAX - 1), None);
        timers.set(2, 10);
        timers.set(1, 20);
        timers.set(2, 15);
        timers.set(9, 1);
        assert_eq!(timers.pop(9), None);
        assert_eq!(timers.pop(30), Some((2, 10)));
        assert_eq!(timers.pop(30), Some((1, 20)));
        assert_eq!(timers.pop(30), None);
        assert_eq!(timers.next(), NEVER);
    }

    #[test]
    fn a_clock_that_is_set_back_makes_nothing_later() {
        let mut timers = Timers::new(2);
        timers.set_back(1);
        assert_eq!((timers.next(), timers.pop(i64::MAX)), (NEVER, None));
        timers.set(1, 1_010);
        timers.set_back(1_000);
        assert_eq!((timers.pop(9), timers.pop(10), timers.next()), (None, Some((1, 10)), 10));
        assert_eq!((timers.pop(i64::MAX - 1), timers.next()), (None, NEVER));
    }

    #[test]
    fn what_was_slept_through_is_due_once() {
        let mut timers = Timers::new(1);
        timers.set(0, 10);
        timers.skip(1_000);
        assert_eq!(timers.pop(1_000), Some((0, 1_000)));
    }
}
