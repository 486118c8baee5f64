//! `memory`: what a series, a group of a fused window and a point of a buffered one take.
//!
//! Resident memory of the data plane (one shard) before and after is what counts; beside it stands what the task says of
//! itself (`farad_task_bytes`). A million series are first written without any task (what the cache of series takes), then
//! with a task that looks at each point and keeps nothing (what a shard knows of the series that it owns), then with one
//! that keeps a fused window a group. The goals are those of groups and points; beside their keys, which are told.
//!
//! Usage: `memory [GROUPS [POINTS]]` (1000000 groups, 1000 points of each of 10000 groups), with `farad` and
//! `farad-dataplane` beside it.

use std::{
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use crate::{
    BenchError,
    accounting::Memory,
    bodies,
    http::Client,
    lines::{BASE_TIME, Line, Shape},
    load::{Connection, Plan, connect, drive},
    process::{Cores, Farad},
    scenario::{INGEST, Scenario, Tasks},
    tasks,
};

/// Groups whose windows are full of points.
const BUFFERED_GROUPS: usize = 10_000;

/// Longest wait for points that were accepted.
const WORK_LIMIT: Duration = Duration::from_secs(60);

/// Most bytes of a series in the cache, a group and a point, beside keys.
const SERIES_GOAL: f64 = 120.0;
const GROUP_GOAL: f64 = 400.0;
const POINT_GOAL: f64 = 32.0;

/// What the task with a buffered window says of itself.
const ACCOUNT: &str = "farad_task_bytes{task=\"bench-memory-buffered-0\"}";

const LOOKED_AT: &str = "stream|from().measurement('{measurement}')|where(lambda: \"usage_idle\" < 0.0)|log()";

/// The goal is that of a window with one function.
const FUSED: [(&str, &str, Option<f64>); 3] = [
    (
        "mean",
        "stream|from().measurement('{measurement}').groupBy('host')|window().period(10s).every(10s)|mean('usage_idle')",
        Some(GROUP_GOAL),
    ),
    (
        "mean and max",
        "var w = stream|from().measurement('{measurement}').groupBy('host')|window().period(10s).every(10s)\n\
         w|mean('usage_idle')\nw|max('usage_idle')",
        None,
    ),
    (
        "mean, an alert behind it",
        "stream|from().measurement('{measurement}').groupBy('host')|window().period(10s).every(10s)|mean('usage_idle')\
         |alert().crit(lambda: \"mean\" < 0.0)",
        None,
    ),
];

/// No window closes: each holds all points.
const BUFFERED: [(&str, &str, Option<f64>); 4] = [
    (
        "by time, a field",
        "stream|from().measurement('{measurement}').groupBy('host')|window().period(100h).every(100h)\
         |percentile('usage_idle', 95.0)",
        Some(POINT_GOAL),
    ),
    (
        "by count, a field",
        "stream|from().measurement('{measurement}').groupBy('host')|window().periodCount(1000).everyCount(1000000)\
         |percentile('usage_idle', 95.0)",
        Some(POINT_GOAL),
    ),
    (
        "by time, two fields",
        "var w = stream|from().measurement('{measurement}').groupBy('host')|window().period(100h).every(100h)\n\
         w|percentile('usage_idle', 95.0)\nw|median('other')",
        Some(POINT_GOAL),
    ),
    (
        "by time, whole points",
        "stream|from().measurement('{measurement}').groupBy('host')|window().period(100h).every(100h)|httpOut('w')",
        None,
    ),
];

/// The program; its arguments are those of the process.
pub fn main() -> ExitCode {
    let number = |nth, default| std::env::args().nth(nth).map_or(Some(default), |text| text.parse().ok());
    let done = match (number(1, 1_000_000), number(2, 1_000)) {
        (Some(groups), Some(points)) if groups > 0 && points > 1 => run(groups, points),
        _ => Err(BenchError::Usage("memory [GROUPS [POINTS]]".into())),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("memory: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether all goals were met.
fn run(groups: usize, points: usize) -> Result<bool, BenchError> {
    println!("| of {groups} | bytes each, resident | by the task's account | beside its key, goal |");
    println!("|---|---:|---:|---:|");
    let mut met = true;
    for (name, script, goal) in FUSED {
        met &= fused(name, script, goal, groups)?;
    }
    println!(
        "\n| of {points} points of {BUFFERED_GROUPS} groups | bytes a point, resident | by the task's account | goal |"
    );
    println!("|---|---:|---:|---:|");
    for (name, script, goal) in BUFFERED {
        met &= buffered(name, script, goal, points)?;
    }
    Ok(met)
}

/// A server with writers for it.
struct Bench<'a> {
    farad: &'a Farad,
    scenario: Scenario,
    connections: Vec<Connection<'a>>,
    passes: usize,
}

impl Bench<'_> {
    /// Writes so many more points of each series.
    fn write(&mut self, passes: usize) -> Result<(), BenchError> {
        self.passes += passes;
        let plan = Plan { passes: self.passes, ..Plan::full(Duration::ZERO) };
        let outcome = drive(&mut self.connections, plan);
        match outcome.refused.first_key_value() {
            None => Ok(()),
            Some((status, _)) => Err(BenchError::Refused {
                call: "write".into(),
                status: *status,
                answer: outcome.first_refusal.unwrap_or_default(),
            }),
        }
    }

    /// Defines a task, and writes until it has taken so many points of each series.
    fn run(&mut self, name: &'static str, script: &'static str, passes: usize) -> Result<tasks::Defined, BenchError> {
        let scenario = Scenario { name, tasks: Tasks::Same(1, script), ..self.scenario };
        let task = tasks::define(&scenario, self.farad.address, "")?;
        self.write_to(&task, passes, passes)?;
        Ok(task)
    }

    /// Writes on, until the task has taken `all` points of each series.
    fn write_to(&mut self, task: &tasks::Defined, passes: usize, all: usize) -> Result<(), BenchError> {
        self.write(passes)?;
        let (end, wanted) = (Instant::now() + WORK_LIMIT, (self.scenario.series * all) as u64);
        while task.statistics()?.is_none_or(|seen| seen.points < wanted) {
            if Instant::now() > end {
                return Err(BenchError::NotDone(wanted));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Resident bytes of the data plane for each series.
    fn resident(&self) -> f64 {
        let bytes = self.farad.dataplane().map_or(0, |pid| Memory::of(&[pid]).now);
        bytes as f64 / self.scenario.series as f64
    }

    /// A figure of `/metrics`, for each series.
    fn metric(&self, start: &str) -> Result<f64, BenchError> {
        let answer = Client::connect(self.farad.address)
            .and_then(|mut client| client.call("GET", "/metrics", b""))
            .map_err(BenchError::io("/metrics"))?;
        let text = answer.text();
        let value = text.lines().find_map(|line| line.strip_prefix(start)?.rsplit(' ').next()?.parse::<f64>().ok());
        Ok(value.unwrap_or_default() / self.scenario.series as f64)
    }
}

fn start<T>(series: usize, act: impl FnOnce(Bench<'_>) -> Result<T, BenchError>) -> Result<T, BenchError> {
    let scenario = Scenario { shape: Shape::Small, series, interval: 10, ..INGEST };
    let cores = Cores((0..thread::available_parallelism().map_or(1, usize::from)).collect());
    let mut supplies = bodies::prepare(&scenario, Duration::ZERO);
    let farad = Farad::start(1, &cores, &cores)?;
    let connections = connect(farad.address, &mut supplies).map_err(BenchError::io("connections of the load"))?;
    act(Bench { farad: &farad, scenario, connections, passes: 0 })
}

fn fused(name: &str, script: &'static str, goal: Option<f64>, groups: usize) -> Result<bool, BenchError> {
    start(groups, |mut bench| {
        let empty = bench.resident();
        bench.write(1)?;
        let cached = bench.resident();
        let cache = bench.metric("farad_shard_series_cache_bytes{shard=\"0\"}")?;
        let looking = bench.run("memory-looked-at", LOOKED_AT, 1)?;
        let known = bench.resident();
        looking.delete()?;
        // Three windows, so that everything is there that comes with the first that closes.
        bench.run("memory-fused", script, 3)?;
        let grouped = bench.resident();
        let account = bench.metric("farad_task_bytes{task=\"bench-memory-fused-0\"}")?;
        let mut line = Vec::new();
        Shape::Small.write(Line { series: 0, of: groups, pass: 0, time: BASE_TIME, firing: false }, &mut line);
        let key = line.iter().position(|byte| *byte == b' ').unwrap_or_default() as f64;
        let group_key = "host=host-0000000".len() as f64;
        let (series, group) = (cached - empty, grouped - known);
        println!("| series in the cache | {series:.0} | {cache:.0} | {:.0}, ≤ {SERIES_GOAL} |", series - key);
        println!("| series at its owner | {:.0} | | |", known - cached);
        let (beside, wanted) = (group - group_key, goal.map_or_else(String::new, |goal| format!(", ≤ {goal}")));
        println!("| group of a fused window: {name} | {group:.0} | {account:.0} | {beside:.0}{wanted} |");
        Ok(series - key <= SERIES_GOAL && goal.is_none_or(|goal| beside <= goal))
    })
}

fn buffered(name: &str, script: &'static str, goal: Option<f64>, points: usize) -> Result<bool, BenchError> {
    start(BUFFERED_GROUPS, |mut bench| {
        let task = bench.run("memory-buffered", script, 1)?;
        let (first, account) = (bench.resident(), bench.metric(ACCOUNT)?);
        bench.write_to(&task, points - 1, points)?;
        let more = (points - 1) as f64;
        let (resident, account) = ((bench.resident() - first) / more, (bench.metric(ACCOUNT)? - account) / more);
        let wanted = goal.map_or_else(String::new, |goal| format!("≤ {goal}"));
        println!("| {name} | {resident:.1} | {account:.1} | {wanted} |");
        Ok(goal.is_none_or(|goal| resident <= goal))
    })
}
