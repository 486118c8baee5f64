//! Runs scenarios: warm up, measure, wait until everything is done, and check that it was done.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use crate::{
    BenchError,
    accounting::{CpuTime, Memory},
    arguments::Arguments,
    bodies::{self, Supply, head},
    http::Client,
    lines::BASE_TIME,
    load::{Outcome, Plan, connect, drive, histogram},
    process::{Cores, Farad},
    receiver::Receiver,
    report::{Report, Row, Times},
    requests,
    rival::Rival,
    scenario::{Scenario, Tasks},
    tasks,
};

/// Load before the measured time; goes on until every series was sent as often as the scenario says.
const WARM_UP: Duration = Duration::from_secs(1);

/// How long the highest rate is looked for before half of it is sent.
const CALIBRATION: Duration = Duration::from_secs(2);

/// Longest wait for a server to finish what it accepted.
const SETTLE_LIMIT: Duration = Duration::from_secs(15);

/// A server that uses less than this share of a core has nothing left to do.
const QUIET_SHARE: f64 = 0.05;

/// From one probe of latency to the next.
const PROBE_PERIOD: Duration = Duration::from_millis(10);

/// Growth of memory in the second half of a scenario that is worth a note.
const GROWTH_BYTES: u64 = 16 << 20;

/// Share of the time in which threads of the server wait for a core that is worth a note: figures are then low.
const WAIT_SHARE: f64 = 0.05;

/// A server under test.
struct Server<'a> {
    name: &'a str,
    address: SocketAddr,
    /// Its processes; of Farad the control plane first.
    pids: Vec<u32>,
    tasks: bool,
}

/// Runs all of them against Farad, and each against the rival where there is one.
pub fn run_all(scenarios: &[Scenario], arguments: &Arguments) -> Result<(), BenchError> {
    let load = &arguments.load_cores;
    let mut report = Report::new(arguments);
    for scenario in scenarios {
        // Bodies are made on all cores; nothing else runs meanwhile.
        Cores([&arguments.server_cores.0[..], &load.0[..]].concat()).pin_self()?;
        let warming = WARM_UP + if scenario.latency { CALIBRATION } else { Duration::ZERO };
        let supplies =
            bodies::prepare(scenario, warming + arguments.seconds * if scenario.requests > 0 { 2 } else { 1 });
        load.pin_self()?;
        let (row, supplies) = run_farad(scenario, supplies, arguments);
        report.add(row);
        let Some((address, pid)) = arguments.rival else { continue };
        report.add(run_rival(address, pid, scenario, supplies, arguments));
    }
    report.finish()
}

fn run_farad(scenario: &Scenario, mut supplies: Vec<Supply>, arguments: &Arguments) -> (Row, Vec<Supply>) {
    let mut measured = || -> Result<Row, BenchError> {
        let farad = Farad::start(arguments.shards, &arguments.server_cores, &arguments.load_cores)?;
        let server = Server { name: "farad", address: farad.address, pids: farad.pids(), tasks: true };
        let mut row = measure(&server, scenario, &mut supplies, arguments.seconds)?;
        if farad.pids() != server.pids {
            row.note("a process died and was started again");
        }
        let stopped = farad.stop();
        if !stopped.remaining.is_empty() {
            let (remaining, log) = (stopped.remaining.join(" and "), stopped.last_words.join(" / "));
            row.note(format!("did not end after SIGTERM: {remaining}; the log since: {log}"));
        }
        if let Some(first) = stopped.complaints.first() {
            row.note(format!("{} warnings or errors in the log, the first: {first}", stopped.complaints.len()));
        }
        Ok(row)
    };
    let row = measured().unwrap_or_else(|error| Row::failed("farad", scenario.name, &error));
    (row, supplies)
}

fn run_rival(
    address: SocketAddr,
    pid: u32,
    scenario: &Scenario,
    mut supplies: Vec<Supply>,
    arguments: &Arguments,
) -> Row {
    supplies.iter_mut().for_each(Supply::rewind);
    let measured = Rival::open(address, pid, &arguments.server_cores).and_then(|rival| {
        let server = Server { name: "rival", address: rival.address, pids: vec![rival.pid], tasks: rival.tasks };
        measure(&server, scenario, &mut supplies, arguments.seconds)
    });
    measured.unwrap_or_else(|error| Row::failed("rival", scenario.name, &error))
}

fn measure(
    server: &Server<'_>,
    scenario: &Scenario,
    supplies: &mut [Supply],
    seconds: Duration,
) -> Result<Row, BenchError> {
    if scenario.latency && !server.tasks {
        return Err(BenchError::Usage("this server has no tasks to time".into()));
    }
    let receiver = Receiver::start().map_err(BenchError::io("the receiver of alerts"))?;
    let begun = Instant::now();
    let tasks = server.tasks.then(|| tasks::define(scenario, server.address, &receiver.url())).transpose()?;
    let defining = begun.elapsed();
    let mut connections = connect(server.address, supplies).map_err(BenchError::io("connections of the load"))?;

    let (warming, measured, passes) = match scenario.warm_passes {
        0 => (Duration::ZERO, Duration::ZERO, 1),
        _ => (WARM_UP, seconds, 0),
    };
    let mut unmeasured = vec![drive(&mut connections, Plan { passes: scenario.warm_passes, ..Plan::full(warming) })];
    let mut plan = Plan { passes, ..Plan::full(measured) };
    if scenario.latency {
        let fastest = drive(&mut connections, Plan::full(CALIBRATION));
        plan.lines_per_second = Some(fastest.lines_per_second() / 2.0);
        unmeasured.push(fastest);
    }
    settle(server, &receiver);

    // The same load without requests, to compare with.
    let mut alone = None;
    if scenario.requests > 0 {
        let before = cpu_times(server);
        let outcome = drive(&mut connections, plan);
        settle(server, &receiver);
        alone = Some(shards_a_line(&cpu_times(server), &before, &outcome));
        unmeasured.push(outcome);
    }
    let before = cpu_times(server);
    let first = tasks.as_ref().and_then(|tasks| tasks.first()).unwrap_or_default().to_owned();
    let (outcome, half, probes, requested) = thread::scope(|scope| {
        let asking = (scenario.requests > 0)
            .then(|| scope.spawn(|| requests::drive(server.address, &first, scenario.requests, seconds)));
        let load = scope.spawn(|| drive(&mut connections, plan));
        let probing = scenario.latency.then(|| scope.spawn(|| probe(server.address, seconds)));
        thread::sleep(seconds / 2);
        let half = Memory::of(&server.pids);
        let probes = probing.and_then(|probing| probing.join().ok()).transpose();
        let requested = asking.and_then(|asking| asking.join().ok()).transpose();
        (load.join().unwrap_or_else(|_| Outcome::new()), half, probes, requested)
    });
    let probes = probes.map_err(BenchError::io("the probe of latency"))?;
    let requested = requested.map_err(BenchError::io("requests to the API"))?;
    let end = Memory::of(&server.pids);
    let late = settle(server, &receiver);
    let after = cpu_times(server);
    let used: Vec<u64> = after.iter().zip(&before).map(|(after, before)| after.since(before)).collect();
    let waited: u64 = after.iter().zip(&before).map(|(after, before)| after.waited_since(before)).sum();
    let memory = Memory::of(&server.pids);
    drop(connections);

    let total: u64 = used.iter().sum();
    let mut row = Row {
        server: server.name.to_owned(),
        scenario: scenario.name,
        lines_per_second: outcome.lines_per_second(),
        bytes_per_second: outcome.bytes as f64 / outcome.elapsed.as_secs_f64(),
        ns_per_line: total as f64 / outcome.lines.max(1) as f64,
        busy: total as f64 / 1e9 / (outcome.elapsed + late).as_secs_f64(),
        peak_bytes: memory.peak,
        writes: Some(Times::of(&outcome.writes)),
        alerts: None,
        notes: Vec::new(),
        failed: false,
    };
    note_load(&mut row, &outcome, late, end.now.saturating_sub(half.now));
    let control = used.first().copied().unwrap_or(0);
    if used.len() > 1 && control * 20 > total {
        row.note(format!("{:.0} ns of a line are the control plane's", control as f64 / outcome.lines.max(1) as f64));
    }
    if let (Some(alone), Some(requested)) = (alone, requested) {
        let with = shards_a_line(&after, &before, &outcome);
        row.note(format!(
            "shards: {alone:.0} ns a line without requests, {with:.0} with ({:+.1} %)",
            (with / alone.max(1e-9) - 1.0) * 100.0
        ));
        let (count, times) = (requested.times.len(), Times::of(&requested.times));
        row.note(format!("{count} requests, p50 / p99 / max {times} ms; {} refused", requested.refused));
    }
    let share = waited as f64 / (outcome.elapsed + late).as_nanos() as f64;
    if share > WAIT_SHARE {
        row.note(format!("threads of the server waited for a core {:.0} % of the time", share * 100.0));
    }
    let probe_count = probes.as_ref().map_or(0, |sent| sent.len() as u64);
    if let Some(sent) = probes {
        let (alerts, missing) = latencies(&sent, &receiver);
        row.alerts = Some(Times::of(&alerts));
        row.note(format!("{probe_count} probes at {:.0} lines/s", row.lines_per_second));
        if missing > 0 {
            row.note(format!("{missing} of {probe_count} alerts never came"));
        }
    }
    let all = |count: fn(&Outcome) -> u64| count(&outcome) + unmeasured.iter().map(count).sum::<u64>();
    if let Some(tasks) = tasks {
        if tasks.count() > 1 {
            row.note(format!("{} tasks defined in {:.1} s", tasks.count(), defining.as_secs_f64()));
        }
        check(&mut row, &tasks, all(|outcome| outcome.matching) + probe_count)?;
        tasks.delete()?;
        let expected = all(|outcome| outcome.firing) + probe_count;
        if receiver.posts() != expected {
            row.note(format!("{} alerts received of {expected}", receiver.posts()));
        }
    } else if !matches!(scenario.tasks, Tasks::None) {
        row.note("without its tasks: this server has none");
    }
    Ok(row)
}

/// ns of shards for each line.
fn shards_a_line(after: &[CpuTime], before: &[CpuTime], outcome: &Outcome) -> f64 {
    let used: u64 = after.iter().zip(before).map(|(after, before)| after.shards_since(before)).sum();
    used as f64 / outcome.lines.max(1) as f64
}

fn note_load(row: &mut Row, outcome: &Outcome, late: Duration, growth: u64) {
    for (status, count) in &outcome.refused {
        let first = outcome.first_refusal.as_deref().unwrap_or_default();
        row.note(format!("{count} writes answered {status}, the first refusal: {first}"));
    }
    if outcome.used_up {
        row.note(format!("prepared bodies were used up after {:.1} s", outcome.elapsed.as_secs_f64()));
    }
    if late > Duration::from_millis(500) {
        row.note(format!("worked for {:.1} s after the last answer", late.as_secs_f64()));
    }
    if growth > GROWTH_BYTES {
        row.note(format!("memory grew by {} MB in the second half", growth >> 20));
    }
}

/// Compares what the first task saw with what was sent.
fn check(row: &mut Row, tasks: &tasks::Defined, sent: u64) -> Result<(), BenchError> {
    let Some(seen) = tasks.statistics()? else { return Ok(()) };
    if let Some(failure) = seen.failure {
        row.note(failure);
    }
    if seen.points != sent {
        row.note(format!("the task counts {} points of {sent}", seen.points));
    }
    if seen.errors > 0 {
        row.note(format!("the task counts {} errors", seen.errors));
    }
    Ok(())
}

fn cpu_times(server: &Server<'_>) -> Vec<CpuTime> {
    server.pids.iter().map(|pid| CpuTime::of(*pid)).collect()
}

/// Waits until the server uses no time and no alert comes any more; returns how long it was busy.
fn settle(server: &Server<'_>, receiver: &Receiver) -> Duration {
    const STEP: Duration = Duration::from_millis(100);
    let start = Instant::now();
    let (mut busy, mut quiet) = (Duration::ZERO, 0);
    let mut last = (cpu_times(server), receiver.posts());
    while quiet < 2 && start.elapsed() < SETTLE_LIMIT {
        thread::sleep(STEP);
        let now = (cpu_times(server), receiver.posts());
        let used: u64 = now.0.iter().zip(&last.0).map(|(now, last)| now.since(last)).sum();
        if used as f64 > STEP.as_nanos() as f64 * QUIET_SHARE || now.1 != last.1 {
            busy = start.elapsed();
            quiet = 0;
        } else {
            quiet += 1;
        }
        last = now;
    }
    busy
}

/// Writes lines that fire one by one; returns when each was sent.
fn probe(address: SocketAddr, seconds: Duration) -> std::io::Result<Vec<Instant>> {
    let mut client = Client::connect(address)?;
    let mut sent = Vec::new();
    let start = Instant::now();
    while start.elapsed() < seconds {
        let number = sent.len();
        let line = format!("cpu,host=probe usage_idle=-1,probe={number}i {}\n", BASE_TIME + number as i64);
        let request = head(line.len(), false) + &line;
        sent.push(Instant::now());
        let answer = client.exchange(request.as_bytes())?;
        if answer.status != 204 {
            return Err(std::io::Error::other(format!("{}: {}", answer.status, answer.text())));
        }
        let due = start + PROBE_PERIOD * sent.len() as u32;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(sent)
}

/// Times from each probe to its alert, ns, and how many never came.
fn latencies(sent: &[Instant], receiver: &Receiver) -> (Histogram<u64>, u64) {
    let arrived = receiver.probes();
    let (mut times, mut missing) = (histogram(), 0);
    for (number, sent) in sent.iter().enumerate() {
        match arrived.get(&(number as u64)) {
            Some(at) => drop(times.record(at.saturating_duration_since(*sent).as_nanos() as u64)),
            None => missing += 1,
        }
    }
    (times, missing)
}
