//! The levels that flapping looks at (reference: nodes-alert-join-io §2.5).

use proto::value::Level;
use serde::{Deserialize, Serialize};

/// `.flapping` and `.history`.
#[derive(Clone, Copy, Debug)]
pub struct Flapping {
    pub low: f64,
    pub high: f64,
    /// Number of levels, at least 2.
    pub history: usize,
}

/// A ring of levels; all OK at first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct History {
    levels: Vec<Level>,
    newest: usize,
}

impl History {
    pub fn new(length: usize) -> History {
        History { levels: vec![Level::Ok; length.max(2)], newest: 0 }
    }

    pub fn bytes(&self) -> usize {
        self.levels.capacity() * size_of::<Level>()
    }

    pub fn push(&mut self, level: Level) {
        self.newest = (self.newest + 1) % self.levels.len();
        self.levels[self.newest] = level;
    }

    /// Share of changes among the levels, the weights rising from the newest on. The odd order of comparisons is the
    /// original's: the newest change weighs least, and the oldest level is compared with the newest.
    pub fn share_of_changes(&self) -> f64 {
        let length = self.levels.len();
        let steps = (length - 1) as f64;
        // The lowest is 1.2 / 1.5, as exactly as a constant of the original is computed.
        let (low, high) = (0.8, 1.2);
        let (mut weight, step) = (low, (high - low) / steps);
        let mut sum = 0.0;
        for index in 0..length - 1 {
            let current = (self.newest + index) % length;
            let previous = (current + length - 1) % length;
            if self.levels[current] != self.levels[previous] {
                sum += weight;
            }
            weight += step;
        }
        sum / steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_weighted() {
        let mut history = History::new(3);
        assert_eq!(history.share_of_changes(), 0.0);
        history.push(Level::Critical);
        // Newest against second newest (0.8), then oldest against newest (1.0).
        assert!((history.share_of_changes() - 0.9).abs() < 1e-12);
        history.push(Level::Critical);
        assert!((history.share_of_changes() - 0.5).abs() < 1e-12);
        // The newest change alone among five is no less than a threshold of 0.2.
        let mut history = History::new(5);
        history.push(Level::Info);
        history.push(Level::Ok);
        assert_eq!(history.share_of_changes(), 0.2);
    }
}
