//! How long operators take for a message: the `avg_exec_time_ns` of statistics (reference: http-api §12).
//!
//! To read a clock twice per point and node would cost more than most nodes do. So one of [`TURNS`] runs of rows is timed
//! through the whole graph; what children take is not their parents'.

use std::time::{Duration, Instant};

/// One of so many turns of a task is timed.
const TURNS: u32 = 128;

/// Samples that the average is over, about.
const SAMPLES: u32 = 1_000;

/// Runs while a turn of a task is timed.
#[derive(Debug, Default)]
pub struct Stopwatch {
    runs: bool,
    turns: u32,
    /// What children of the operator that runs have taken so far.
    of_children: Duration,
}

/// An operator that is being timed.
pub struct Started {
    at: Instant,
    of_siblings: Duration,
}

impl Stopwatch {
    /// A turn begins.
    pub fn turn(&mut self) {
        self.runs = self.turns == 0;
        self.turns = (self.turns + 1) % TURNS;
    }

    /// The turn is over.
    pub fn rest(&mut self) {
        self.runs = false;
    }

    #[inline]
    pub fn start(&mut self) -> Option<Started> {
        self.runs.then(|| Started { at: Instant::now(), of_siblings: std::mem::take(&mut self.of_children) })
    }

    /// What the operator took by itself.
    pub fn stop(&mut self, started: &Started) -> Duration {
        let took = started.at.elapsed();
        let own = took.saturating_sub(self.of_children);
        self.of_children = started.of_siblings + took;
        own
    }
}

/// The moving average of one operator, nanoseconds a message.
#[derive(Debug, Default)]
pub struct ExecutionTime {
    average: f64,
    samples: u32,
}

impl ExecutionTime {
    pub fn record(&mut self, took: Duration, messages: usize) {
        if messages == 0 {
            return;
        }
        self.samples = (self.samples + 1).min(SAMPLES);
        self.average += (took.as_nanos() as f64 / messages as f64 - self.average) / f64::from(self.samples);
    }

    /// 0 until something was timed.
    pub fn nanoseconds(&self) -> u64 {
        self.average as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_timed_for_themselves() {
        let mut watch = Stopwatch::default();
        watch.turn();
        let parent = watch.start().unwrap();
        let child = watch.start().unwrap();
        std::thread::sleep(Duration::from_millis(20));
        let of_child = watch.stop(&child);
        let of_parent = watch.stop(&parent);
        assert!(of_child >= Duration::from_millis(20) && of_parent < of_child, "{of_parent:?} {of_child:?}");
        watch.rest();
        assert!(watch.start().is_none());
    }

    #[test]
    fn one_turn_of_many_is_timed() {
        let mut watch = Stopwatch::default();
        let timed = (0..2 * TURNS).filter(|_| {
            watch.turn();
            watch.start().is_some()
        });
        assert_eq!(timed.count(), 2);
    }

    #[test]
    fn the_average_is_of_messages() {
        let mut time = ExecutionTime::default();
        assert_eq!(time.nanoseconds(), 0);
        time.record(Duration::from_nanos(1_000), 10);
        time.record(Duration::from_nanos(300), 1);
        assert_eq!(time.nanoseconds(), 200);
    }
}
