//! Warm tasks allocate nothing per point: what running a body allocates grows with the windows that close in it and with
//! the events, never with its points.

#![allow(clippy::unwrap_used)]

use std::fmt::Write;

use farad_tests::engine::Engine;

const SERIES: usize = 1_000;
const PASSES: usize = 20;
const SECOND: i64 = 1_000_000_000;

/// Both halves of a shard with one task, and the time of its last points.
struct Shard {
    engine: Engine,
    seconds: i64,
}

impl Shard {
    fn new(script: &str) -> Shard {
        Shard { engine: Engine::new(script).unwrap(), seconds: 1_700_000_000 }
    }

    /// Allocations of running a body of [`PASSES`] seconds.
    fn run(&mut self) -> u64 {
        let mut body = String::new();
        for pass in 0..PASSES {
            self.seconds += 1;
            for series in 0..SERIES {
                let (dc, idle) = (series % 8, (series * 7 + pass * 3) % 90 + 5);
                let _ = writeln!(
                    body,
                    "cpu,dc=dc-{dc},host=host-{series:05} usage_idle={idle}.5,user=1.25,system=2,n=3i {}",
                    self.seconds * SECOND
                );
            }
        }
        let blocks = self.engine.stage(body.as_bytes()).unwrap();
        let engine = &mut self.engine;
        let run = || engine.run(&blocks).unwrap();
        allocation_counter::measure(run).count_total
    }
}

/// Allocations of running a body, once everything has been seen.
fn warm(script: &str) -> u64 {
    let mut shard = Shard::new(script);
    for _ in 0..4 {
        shard.run();
    }
    shard.run()
}

/// The vectors of the rows at hand.
const SLICES: u64 = (SERIES * PASSES / 512 + 1) as u64 * 2;

#[test]
fn a_mean_and_an_alert() {
    let allocations = warm(
        "stream|from().measurement('cpu')|groupBy('host')|window().period(10s).every(10s)|mean('usage_idle')
            |alert().crit(lambda: \"mean\" < 0.0)",
    );
    assert!(allocations <= SLICES, "{allocations}");
}

#[test]
fn an_alert_on_every_point_that_does_not_fire() {
    let allocations = warm(
        "stream|from().measurement('cpu')|groupBy(*)|alert().warn(lambda: \"usage_idle\" < 0.0)
            .crit(lambda: \"host\" =~ /^db-[0-9]+$/ AND \"usage_idle\" < 5.0)",
    );
    assert!(allocations <= SLICES, "{allocations}");
}

#[test]
fn a_percentile_of_results() {
    let allocations = warm(
        "stream|from().measurement('cpu')|groupBy('host')|where(lambda: \"usage_idle\" > 1.0)
            |eval(lambda: 100.0 - \"usage_idle\", lambda: \"user\" + \"system\").as('busy', 'work')
            |window().period(1m).every(10s)|percentile('busy', 95.0)|where(lambda: \"percentile\" > 101.0)",
    );
    // Two windows of each series close; each hands on one point.
    let closed = (SERIES * PASSES / 10) as u64;
    assert!(allocations <= SLICES + 2 * closed, "{allocations}");
}

#[test]
fn aggregates_behind_one_window() {
    let allocations = warm(
        "var w = stream|from().measurement('cpu')|groupBy('dc')|window().period(10s).every(10s).align()
         w|max('usage_idle').as('max')|httpOut('max')
         w|count('usage_idle').as('count')|httpOut('count')",
    );
    // Eight groups, two windows each, two aggregates, and the points that were a maximum for a while.
    assert!(allocations <= SLICES + 8 * 2 * 8, "{allocations}");
}
