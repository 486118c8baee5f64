//! What the source of a task takes a second.

/// Messages a second, by whole seconds of the clock.
#[derive(Default)]
pub struct Rate {
    second: i64,
    current: u64,
    last: u64,
}

impl Rate {
    /// So many messages have come.
    pub fn add(&mut self, messages: u64, now: i64) {
        self.turn(now);
        self.current += messages;
    }

    /// Ends the seconds that are over.
    pub fn turn(&mut self, now: i64) {
        let second = now.div_euclid(1_000_000_000);
        if second != self.second {
            self.last = if second == self.second + 1 { self.current } else { 0 };
            (self.second, self.current) = (second, 0);
        }
    }

    /// Messages of the last whole second before the last turn.
    pub fn last(&self) -> f64 {
        self.last as f64
    }
}
