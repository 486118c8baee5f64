//! Warm tasks allocate nothing per point: what running a body allocates grows with the windows that close in it and with
//! the events, never with its points.

#![allow(clippy::unwrap_used)]

use std::{fmt::Write, rc::Rc, sync::Arc};

use control::tick::{Lowering, Options, compile, vars::Vars};
use dataplane::{
    gate::Gate,
    line::FastReader,
    routing::TaskRoute,
    shard::{
        command::Effects,
        outputs::{Dropped, ShardOutputs},
        owner::Owner,
        receiver::Receiver,
        reingest::Reingest,
    },
};
use farad_tests::staging::{receiver_of, stage};
use proto::{
    Plan,
    message::Settings,
    plan::{Dbrp, ServerInfo},
};
use tokio::sync::{mpsc, watch};

const SERIES: usize = 1_000;
const PASSES: usize = 20;
const SECOND: i64 = 1_000_000_000;

fn plan(script: &str) -> Plan {
    let compiled = compile(script, Options { vars: &Vars::default() }).unwrap();
    let lowering = Lowering {
        task: "t",
        master: "main",
        dbrps: &[Dbrp { db: "db".into(), rp: "rp".into() }],
        server: &ServerInfo { hostname: "h".into(), cluster_id: "c".into(), server_id: "s".into() },
        endpoint: &|_| None,
        influxdb: &|_| None,
        sideload: &|_| Ok(Vec::new()),
        udf: &|_| None,
        globals: &Vec::new,
        levels: &|_| Vec::new(),
    };
    compiled.pipeline.lower(&lowering).unwrap().0
}

/// Both halves of a shard with one task.
struct Shard {
    receiver: Receiver,
    owner: Owner,
    seconds: i64,
}

impl Shard {
    fn new(script: &str) -> Shard {
        let plan = plan(script);
        let route = Arc::new(TaskRoute::new(1, &plan, 1));
        let (failures, _) = mpsc::unbounded_channel();
        let effects = Effects {
            alerts: mpsc::channel(1).0,
            posts: mpsc::channel(1).0,
            influxdb: mpsc::channel(1).0,
            udf: mpsc::channel(1).0,
            failures,
            relays: mpsc::channel(1).0,
            gate: Arc::new(Gate::new(watch::channel(Settings::default()).1)),
            inhibitors: Arc::default(),
            taps: Default::default(),
        };
        let outputs = ShardOutputs {
            shard: 0,
            instance: 1,
            effects,
            dropped: Rc::<Dropped>::default(),
            reingest: Rc::<Reingest>::default(),
        };
        let mut owner = Owner::new(0, 1);
        owner.start(&plan, route.clone(), 0, outputs, Arc::default(), 0).unwrap();
        Shard { receiver: receiver_of(FastReader::default(), vec![route]), owner, seconds: 1_700_000_000 }
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
        let committed = stage(&mut self.receiver, body.as_bytes(), usize::MAX).unwrap();
        let owner = &mut self.owner;
        let mut blocks = committed.blocks;
        for (_, block) in &mut blocks {
            owner.define(0, &mut block.definitions);
        }
        let run = || {
            for (_, block) in &blocks {
                owner.run(0, block, 0..block.len(), 0, |failure| panic!("{failure:?}"));
            }
        };
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
