//! The recorded cases, each a named test: on 1, 2 and 4 shards where a task is what is tested. The servers of 4 shards
//! receive by epoll, the others as the machine allows; `KAPACITOR_FARAD_RECEIVE=epoll` (or `io_uring`) before
//! `cargo test -p farad-tests --test conformance` runs everything on one of them.
//!
//! `cases-pending.txt` lists the cases that wait for something to be built: they run and are reported, and do not fail;
//! a listed case that passes fails the run, so that the list stays true (`FARAD_TEST_BLESS=1` strikes it off instead).

use std::{
    collections::BTreeMap,
    io,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use farad_tests::{
    case::{self, Case, Kind},
    influxdb,
    pending::Pending,
    server::patience,
    stand::Stands,
};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// Cases mostly wait for stillness, so that many at once cost little.
const SIDE_BY_SIDE: usize = 24;

/// How long a case waits for what it wants, and how long where it is not expected to come.
const LIMIT: Duration = Duration::from_secs(10);
const LIMIT_PENDING: Duration = Duration::from_secs(2);

/// How often a case of timers is tried: recorded on a machine without other work, its points must come between two ticks.
const ATTEMPTS_BY_THE_CLOCK: usize = 6;

/// What the trials share.
struct Run {
    pending: Pending,
    stands: Stands,
    /// Whether all trials of a case passed, by the case's name.
    passed: Mutex<BTreeMap<String, bool>>,
}

fn main() -> io::Result<ExitCode> {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(SIDE_BY_SIDE);
    let cases = case::find(&case::root())?;
    let run = Run { pending: Pending::read()?, stands: Stands::default(), passed: Mutex::default() };
    if let Some(unknown) = run.pending.cases().find(|name| cases.iter().all(|case| case.name != *name)) {
        return Err(io::Error::other(format!("cases-pending.txt: there is no case {unknown}")));
    }

    let has_influxdb = influxdb::is_installed();
    let skipped = cases.iter().filter(|case| case.needs_influxdb() && !has_influxdb).count();
    let run = Arc::new(run);
    let conclusion = libtest_mimic::run(&arguments, trials(cases, &run, has_influxdb));
    let Some(run) = Arc::into_inner(run) else { return Err(io::Error::other("a trial is still running")) };
    let Run { pending, stands, passed } = run;
    let panics = stands.panics();
    // Ends the servers, which leaving the process would not.
    drop(stands);
    if arguments.list {
        return Ok(ExitCode::SUCCESS);
    }

    let passed = passed.into_inner().unwrap_or_else(PoisonError::into_inner);
    let count = |wanted: (bool, bool)| {
        passed.iter().filter(|(name, passed)| (pending.contains(name), **passed) == wanted).count()
    };
    println!(
        "{} cases: {} as recorded, {} pending, {} failed",
        passed.len(),
        count((false, true)),
        count((true, false)),
        count((false, false)),
    );
    if skipped > 0 {
        println!("SKIPPED {skipped} cases: influxd is not installed; FARAD_TEST_INSTALL=1 scripts/test installs it");
    }
    let done: Vec<_> = pending.cases().filter(|name| passed.get(*name) == Some(&true)).collect();
    if std::env::var_os("FARAD_TEST_BLESS").is_some() {
        pending.strike_off(&done)?;
    } else if !done.is_empty() {
        println!("FAILED: these pass now, remove them from tests/cases-pending.txt: {}", done.join(" "));
        return Ok(ExitCode::FAILURE);
    }
    for log in &panics {
        println!("FAILED: a process panicked; its log:\n{log}");
    }
    Ok(if conclusion.has_failed() || !panics.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// All trials, those of cases that have a server for themselves spread evenly among the others, so that few wait.
fn trials(cases: Vec<Case>, run: &Arc<Run>, has_influxdb: bool) -> Vec<Trial> {
    let trial = |case: &Case, shards: usize| {
        let (case, run) = (case.clone(), run.clone());
        let plural = if shards == 1 { "" } else { "s" };
        let name = match case.kind {
            Kind::Api => case.name.clone(),
            Kind::Stream | Kind::Batch => format!("{} [{shards} shard{plural}]", case.name),
        };
        let ignored = case.needs_influxdb() && !has_influxdb;
        Trial::ignorable_test(name, move || run_case(&run, &case, shards)).with_ignored_flag(ignored)
    };
    let (alone, shared): (Vec<_>, Vec<_>) = cases.into_iter().partition(|case| case.kind == Kind::Api);
    let shared: Vec<_> = [1, 2, 4].iter().flat_map(|shards| shared.iter().map(|case| trial(case, *shards))).collect();
    let alone: Vec<_> = alone.iter().map(|case| trial(case, 2)).collect();

    let every = shared.len().div_ceil(alone.len().max(1));
    let mut alone = alone.into_iter();
    let mut trials = Vec::new();
    for (index, trial) in shared.into_iter().enumerate() {
        if index % every == 0 {
            trials.extend(alone.next());
        }
        trials.push(trial);
    }
    trials.extend(alone);
    trials
}

fn run_case(run: &Run, case: &Case, shards: usize) -> Result<Completion, Failed> {
    let reason = run.pending.reason(&case.name);
    let limit = if reason.is_some() { LIMIT_PENDING } else { LIMIT };
    let attempt = || run.stands.run(case, shards, limit * patience()).unwrap_or_else(|error| vec![error]);
    let mut found = attempt();
    for _ in 1..ATTEMPTS_BY_THE_CLOCK {
        if case.follows_the_clock() && !found.is_empty() && reason.is_none() {
            println!("{} [{shards}] again: {}", case.name, found.join("; "));
            found = attempt();
        }
    }
    let mut passed = run.passed.lock().unwrap_or_else(PoisonError::into_inner);
    *passed.entry(case.name.clone()).or_insert(true) &= found.is_empty();
    match (found.first(), reason) {
        (None, _) => Ok(Completion::Completed),
        (Some(first), Some(reason)) => Ok(Completion::ignored_with(format!("pending: {reason}; {first}"))),
        (Some(_), None) => Err(found.join("\n").into()),
    }
}
