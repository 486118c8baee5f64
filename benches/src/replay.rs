//! `replay`: how fast recordings run through a task, and how much memory that takes.
//!
//! A stream recording of Telegraf-like lines goes through `from|groupBy|window|mean` with the clock fast, a batch recording
//! through `mean`. Files are made ahead and lie in the server's folder when it starts, as imported ones do.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use crate::{
    BenchError,
    accounting::CpuTime,
    http::Client,
    lines::{BASE_TIME, Line, SECOND, Shape},
    process::{Cores, Farad},
};

/// Hosts of the stream recording; each has a line every ten seconds.
const HOSTS: usize = 10_000;

/// Rows of a batch of the batch recording.
const BATCH_ROWS: usize = 1_000;

const USAGE: &str = "usage: replay [STREAM-LINES [BATCH-ROWS]]
Defaults: 10000000 lines, 1000000 rows.";

/// The program; its arguments are those of the process.
pub fn main() -> std::process::ExitCode {
    match run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("replay: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), BenchError> {
    let number = |nth, default| match std::env::args().nth(nth) {
        Some(text) => text.parse::<usize>().map_err(|_| BenchError::Usage(USAGE.to_owned())),
        None => Ok(default),
    };
    let (lines, rows) = (number(1, 10_000_000)?, number(2, 1_000_000)?);
    let cores = Cores((0..thread::available_parallelism().map_or(1, usize::from)).collect());
    let prepare = |data: &Path| -> io::Result<()> {
        let folder = data.join(".kapacitor/replay");
        fs::create_dir_all(&folder)?;
        stream(&folder.join("stream.srpl"), lines)?;
        batch(&folder.join("batch.brpl"), rows)
    };
    let farad = Farad::start_prepared(2, &cores, &cores, prepare)?;
    let mut client = Client::connect(farad.address).map_err(BenchError::io("cannot connect"))?;
    let dbrps = json!([{ "db": "telegraf", "rp": "autogen" }]);
    let tasks = [
        ("stream", "stream|from().measurement('cpu')|groupBy('host')|window().period(1m).every(1m)|mean('usage_idle')"),
        ("batch", "batch|query('SELECT v FROM telegraf.autogen.cpu').period(1m).every(1m).groupBy('host')|mean('v')"),
    ];
    for (kind, script) in tasks {
        let task = json!({ "id": kind, "type": kind, "dbrps": dbrps, "script": script });
        call(&mut client, "POST", "/kapacitor/v1/tasks", &task)?;
        let replay = json!({ "id": kind, "task": kind, "recording": kind, "recording-time": true });
        let started = Instant::now();
        call(&mut client, "POST", "/kapacitor/v1/replays", &replay)?;
        let count = if kind == "stream" { lines } else { rows };
        follow(&mut client, &farad, kind, started, count)?;
    }
    Ok(())
}

/// Waits for a replay and tells what it took.
fn follow(client: &mut Client, farad: &Farad, kind: &str, started: Instant, count: usize) -> Result<(), BenchError> {
    let (mut shown, mut peak, mut first) = (0.0, 0, 0);
    let before: Vec<CpuTime> = farad.pids().into_iter().map(CpuTime::of).collect();
    loop {
        let replay = call(client, "GET", &format!("/kapacitor/v1/replays/{kind}"), &Value::Null)?;
        let resident: u64 = farad.pids().into_iter().map(resident).sum();
        let progress = replay["progress"].as_f64().unwrap_or_default();
        peak = peak.max(resident);
        if first == 0 && progress > 0.1 {
            first = resident;
        }
        if progress >= shown + 0.25 {
            shown = progress;
            println!("{kind}: {:.0} %, {} MiB resident in both processes", progress * 100.0, resident >> 20);
        }
        if replay["status"] != "running" {
            let seconds = started.elapsed().as_secs_f64();
            let rate = count as f64 / seconds;
            println!(
                "{kind}: {} {}, {count} in {seconds:.2} s, {rate:.0} a second, {} MiB at 10 %, {} MiB at most",
                replay["status"],
                replay["error"],
                first >> 20,
                peak >> 20
            );
            // Replays run on threads of their own, which have ended.
            let after = farad.pids().into_iter().map(CpuTime::of);
            let used: Vec<u64> =
                after.zip(&before).map(|(after, before)| after.since_by_ticks(before) / count as u64).collect();
            println!("{kind}: {used:?} ns of CPU time each, in control and data plane");
            return Ok(());
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn call(client: &mut Client, method: &str, path: &str, body: &Value) -> Result<Value, BenchError> {
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let answer = client.call(method, path, text.as_bytes()).map_err(BenchError::io(path))?;
    if answer.status >= 300 {
        return Err(BenchError::Refused {
            call: format!("{method} {path}"),
            status: answer.status,
            answer: answer.text(),
        });
    }
    Ok(serde_json::from_slice(&answer.body).unwrap_or_default())
}

fn resident(pid: u32) -> u64 {
    let pages = fs::read_to_string(format!("/proc/{pid}/statm")).ok();
    let pages = pages.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
    pages.unwrap_or_default() * rustix::param::page_size() as u64
}

fn stream(path: &Path, lines: usize) -> io::Result<()> {
    let mut file = GzEncoder::new(BufWriter::new(File::create(path)?), Compression::fast());
    let mut text = Vec::new();
    for number in 0..lines {
        text.extend_from_slice(b"telegraf\nautogen\n");
        let (series, pass) = (number % HOSTS, number / HOSTS);
        let time = BASE_TIME + pass as i64 * 10 * SECOND;
        Shape::Telegraf.write(Line { series, of: HOSTS, pass, time, firing: false }, &mut text);
        if text.len() > 1 << 20 {
            file.write_all(&text)?;
            text.clear();
        }
    }
    file.write_all(&text)?;
    file.finish()?.flush()
}

fn batch(path: &Path, rows: usize) -> io::Result<()> {
    let mut file = zip::ZipWriter::new(BufWriter::new(File::create(path)?));
    file.start_file("0", zip::write::SimpleFileOptions::default())?;
    for number in 0..rows / BATCH_ROWS {
        let (host, minute) = (number % 100, number / 100);
        let mut line = format!(
            "{{\"name\":\"cpu\",\"tmax\":\"2023-11-{:02}T{:02}:{:02}:00Z\",\"tags\":{{\"host\":\"h{host}\"}},\"points\":[",
            1 + minute / 1_440 % 28,
            minute / 60 % 24,
            minute % 60
        );
        for row in 0..BATCH_ROWS {
            let separator = if row > 0 { "," } else { "" };
            line.push_str(&format!(
                "{separator}{{\"fields\":{{\"v\":{}.25}},\"tags\":{{\"host\":\"h{host}\"}},\"time\":\"2023-11-01T00:{:02}:{:02}.{:03}Z\"}}",
                (number * 7 + row) % 1_000, row / 60 % 60, row % 60, row % 1_000
            ));
        }
        line.push_str("]}\n");
        file.write_all(line.as_bytes())?;
    }
    file.finish()?.flush()
}
