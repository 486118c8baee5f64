//! Which writes of a shard are logged: a limited number a second, the others are counted.

use tokio::sync::mpsc;

use super::{command::WriteLog, limits::LOGGED_WRITES};

const SECOND: i64 = 1_000_000_000;

pub struct WriteLogger {
    lines: mpsc::Sender<WriteLog>,
    /// When the second began in which so many were logged.
    since: i64,
    logged: u32,
    left_out: u64,
}

impl WriteLogger {
    pub fn new(lines: mpsc::Sender<WriteLog>) -> WriteLogger {
        WriteLogger { lines, since: 0, logged: 0, left_out: 0 }
    }

    /// Whether one more may be logged; counts it. `now` is in nanoseconds since 1970.
    pub fn admits(&mut self, now: i64) -> bool {
        if now < self.since || now - self.since >= SECOND {
            (self.since, self.logged) = (now, 0);
            if self.left_out > 0 && self.lines.try_send(WriteLog::LeftOut(self.left_out)).is_ok() {
                self.left_out = 0;
            }
        }
        self.logged += 1;
        if self.logged > LOGGED_WRITES {
            self.logged = LOGGED_WRITES;
            self.left_out += 1;
            return false;
        }
        true
    }

    /// Hands a line over. Where too many wait it counts as left out.
    pub fn send(&mut self, line: WriteLog) {
        if self.lines.try_send(line).is_err() {
            self.left_out += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_a_limited_number_and_the_next_one_tells_of_the_rest() {
        let (lines, mut sent) = mpsc::channel(8);
        let mut logger = WriteLogger::new(lines);
        let admitted = (0..i64::from(LOGGED_WRITES) + 7).filter(|n| logger.admits(SECOND + n)).count();
        assert_eq!(admitted, LOGGED_WRITES as usize);
        assert!(sent.try_recv().is_err());
        assert!(logger.admits(3 * SECOND));
        assert!(matches!(sent.try_recv(), Ok(WriteLog::LeftOut(7))));
        // A clock that was set back opens a new second, too.
        assert!(logger.admits(SECOND));
    }
}
