//! Bytes that mean no good: they are refused, cost bounded memory, and harm no other writer.

mod api;
mod bodies;
mod connections;
mod series;

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use farad_tests::{
    load::{LINES, Load},
    process::resident,
    server::{COUNTING, Server, patience, until},
};

/// The longest that a write of somebody else may take; far more than it does, for builds without optimization on
/// machines with other work.
const SOON: Duration = Duration::from_secs(3);

/// One test at a time: how long others wait says something only where nothing else uses the machine.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs something hostile beside well-behaved writers. Afterwards every point of theirs is counted once, none of their
/// writes was refused or took longer than `slowest`, both processes are the same as before, and they hold at most `growth`
/// bytes more.
fn beside_other_writers(growth: u64, slowest: Duration, hostile: impl FnOnce(&Server)) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let server = Server::start(2, &[]).unwrap_or_else(|error| panic!("{error}"));
    let defined = server.define("t", COUNTING);
    assert!(matches!(defined, Ok(200)), "{defined:?}\n{}", server.log());
    let load = Load::start(&server);
    assert!(until(Duration::from_secs(5), || load.seen().accepted > 20));
    let processes = || (Some(server.control_pid()), server.dataplane_pid());
    let memory = || [processes().0, processes().1].into_iter().flatten().map(resident).sum::<u64>();
    let (before, memory_before) = (processes(), memory());
    hostile(&server);
    let accepted = load.seen().accepted;
    assert!(until(Duration::from_secs(5), || load.seen().accepted > accepted + 20), "writers are stuck");
    let seen = load.end();
    assert_eq!(processes(), before, "a process died\n{}", server.log());
    assert!(!server.log().contains("panicked"), "{}", server.log());
    assert_eq!((seen.unavailable, seen.without_retry_after, seen.other, seen.failed), (0, 0, 0, 0), "{seen:?}");
    assert!(seen.slowest < slowest * patience(), "{seen:?}");
    let total = || server.counts("t").iter().sum::<u64>();
    assert!(until(Duration::from_secs(2), || total() == seen.accepted * LINES), "{} {seen:?}", total());
    let grown = memory().saturating_sub(memory_before);
    assert!(grown <= growth, "{grown} bytes more");
}

/// Bytes without a pattern, the same at every run (xorshift, Marsaglia 2003).
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(step).take(length).collect()
}
