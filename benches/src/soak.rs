//! `soak`: full speed for minutes while hosts come and go, with barriers that delete the groups of those that went.
//!
//! Prints the resident memory of both processes after each minute. At the end it has to be that after the first minute:
//! whatever grows with every host that ever was shows here.
//!
//! Usage: `soak [MINUTES]` (10), with `farad` and `farad-dataplane` beside it.

use std::{
    fmt::Write,
    fs,
    io::{self, Write as _},
    net::SocketAddr,
    process::ExitCode,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::json;

use crate::{
    BenchError,
    http::Client,
    process::{Cores, Farad},
};

/// Hosts that write at a time.
const HOSTS: u64 = 20_000;

/// Lines of a body; as many hosts in a row, of a window of hosts that moves on.
const LINES: u64 = 2_000;

/// Hosts that come, and go, with each body.
const NEW: u64 = 20;

/// The end may be so far from the first minute.
const TOLERANCE: f64 = 0.1;

/// Two windows, a regrouping, a join and an httpOut behind a barrier that deletes.
const SCRIPT: &str = "
var live = stream|from().measurement('cpu').groupBy('dc', 'host')|barrier().idle(3s).delete(TRUE)
var hosts = live|window().period(1s).every(1s)|mean('usage').as('usage')
var all = live|groupBy('dc')|window().period(1s).every(1s).align()|max('usage').as('usage')
hosts|eval(lambda: \"usage\" * 2.0).as('twice').keep()|stateCount(lambda: \"usage\" > 50.0)|httpOut('hosts')
all|httpOut('all')
live|join(live).as('a', 'b')|where(lambda: \"a.usage\" > 99.5)|log().level('DEBUG')
";

/// The program; its argument is that of the process.
pub fn main() -> ExitCode {
    let minutes = std::env::args().nth(1).map_or(Some(10), |text| text.parse().ok());
    let done = match minutes {
        Some(minutes) if minutes > 0 => run(minutes),
        _ => Err(BenchError::Usage("soak [MINUTES]".into())),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether the memory stayed.
fn run(minutes: u64) -> Result<bool, BenchError> {
    let cores = Cores((0..thread::available_parallelism().map_or(1, usize::from)).collect());
    let farad = Farad::start(2, &cores, &cores)?;
    let task = json!({
        "id": "soak",
        "type": "stream",
        "dbrps": [{ "db": "d", "rp": "r" }],
        "script": SCRIPT,
        "status": "enabled",
    });
    let mut client = Client::connect(farad.address).map_err(BenchError::io("the API"))?;
    let answer =
        client.call("POST", "/kapacitor/v1/tasks", task.to_string().as_bytes()).map_err(BenchError::io("the API"))?;
    if answer.status != 200 {
        return Err(BenchError::Refused { call: "define".into(), status: answer.status, answer: answer.text() });
    }
    let (stop, bodies, refused) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let mut memory = Vec::new();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| write(farad.address, &stop, &bodies, &refused));
        }
        let start = Instant::now();
        for minute in 1..=minutes {
            thread::sleep((start + Duration::from_secs(60 * minute)).saturating_duration_since(Instant::now()));
            let bytes: Vec<u64> = farad.pids().into_iter().map(resident).collect();
            let sent = bodies.load(Ordering::Relaxed);
            println!(
                "minute {minute:>3}: control {:>5} MiB, data plane {:>5} MiB, {} lines, {} hosts so far, {} refused",
                bytes.first().unwrap_or(&0) >> 20,
                bytes.get(1).unwrap_or(&0) >> 20,
                sent * LINES,
                HOSTS + sent * NEW,
                refused.load(Ordering::Relaxed),
            );
            let _ = io::stdout().flush();
            memory.push(bytes.iter().sum::<u64>() as f64);
        }
        stop.store(true, Ordering::Relaxed);
    });
    let (Some(first), Some(last)) = (memory.first(), memory.last()) else { return Ok(false) };
    let change = last / first - 1.0;
    println!("from the first minute to the last: {:+.1} %", change * 100.0);
    Ok(change.abs() <= TOLERANCE)
}

/// Writes as fast as answers come.
fn write(address: SocketAddr, stop: &AtomicBool, bodies: &AtomicU64, refused: &AtomicU64) {
    let (mut client, mut text, mut request) = (None, String::new(), Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let turn = bodies.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        text.clear();
        for line in 0..LINES {
            // All hosts of the window have their turn, the oldest go, new ones come.
            let host = turn * NEW + (turn * LINES + line) % HOSTS;
            let usage = (host * 7 + turn) % 100;
            let _ = writeln!(text, "cpu,dc=dc-{},host=host-{host} usage={usage}.5,idle={line}i {now}", host % 50);
        }
        request.clear();
        let head = format!("POST /write?db=d&rp=r HTTP/1.1\r\nHost: soak\r\nContent-Length: {}\r\n\r\n", text.len());
        request.extend_from_slice(head.as_bytes());
        request.extend_from_slice(text.as_bytes());
        if client.is_none() {
            client = Client::connect(address).ok();
        }
        let answer = client.as_mut().and_then(|client| client.exchange(&request).ok());
        if answer.as_ref().is_none_or(|answer| answer.status != 204) {
            refused.fetch_add(1, Ordering::Relaxed);
        }
        if answer.is_none_or(|answer| answer.close) {
            client = None;
        }
    }
}

/// Resident memory of a process, bytes.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or_default() << 10
}
