//! Farad's processes: started on given cores in a folder of their own, and stopped again.

use std::{
    fs::{self, File},
    io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    process::{Pid, Signal, kill_process},
    thread::{CpuSet, sched_setaffinity},
};
use tempfile::TempDir;

use crate::{BenchError, http::Client};

const START_LIMIT: Duration = Duration::from_secs(20);

/// How long both processes may take to drain.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// Numbers of cores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cores(pub Vec<usize>);

impl Cores {
    /// Numbers and ranges with commas between: `0,2-3`.
    pub fn parse(text: &str) -> Option<Cores> {
        let mut cores = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
            if first > last || last >= CpuSet::MAX_CPU {
                return None;
            }
            cores.extend(first..=last);
        }
        Some(Cores(cores))
    }

    fn set(&self) -> CpuSet {
        let mut set = CpuSet::new();
        self.0.iter().for_each(|core| set.set(*core));
        set
    }

    /// Moves the calling thread there, and with it all that it will start.
    pub fn pin_self(&self) -> Result<(), BenchError> {
        sched_setaffinity(None, &self.set())
            .map_err(|error| BenchError::Io { what: format!("cannot run on cores {:?}", self.0), error: error.into() })
    }

    /// Moves all threads of a process there.
    pub fn pin_process(&self, pid: u32) -> io::Result<()> {
        for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
            let thread = entry?.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
            sched_setaffinity(thread, &self.set())?;
        }
        Ok(())
    }
}

/// A running Farad; killed with its data plane when it is dropped.
pub struct Farad {
    pub address: SocketAddr,
    data: TempDir,
    child: Child,
}

/// How a Farad ended.
#[derive(Debug)]
pub struct Stopped {
    /// Processes that had not ended when the time for draining was over.
    pub remaining: Vec<&'static str>,
    /// Last lines of the log, of what happened while they drained.
    pub last_words: Vec<String>,
    /// Lines of the log until then that tell of warnings or errors.
    pub complaints: Vec<String>,
}

impl Farad {
    /// Starts both processes on a free port and waits until they answer. They run on `cores`; the calling thread is on
    /// `own` afterwards.
    pub fn start(shards: usize, cores: &Cores, own: &Cores) -> Result<Farad, BenchError> {
        Farad::start_prepared(shards, cores, own, |_| Ok(()))
    }

    /// The same, after `prepare` has put into the folder what the server shall find there.
    pub fn start_prepared(
        shards: usize,
        cores: &Cores,
        own: &Cores,
        prepare: impl FnOnce(&Path) -> io::Result<()>,
    ) -> Result<Farad, BenchError> {
        let program = beside("farad")?;
        beside("farad-dataplane")?;
        let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
        let address = free.map_err(BenchError::io("cannot find a free port"))?;
        let data = tempfile::Builder::new().prefix("farad-bench-").tempdir();
        let data = data.map_err(BenchError::io("cannot make a folder"))?;
        prepare(data.path()).map_err(BenchError::io("cannot prepare the folder"))?;
        cores.pin_self()?;
        let child = spawn(&program, address, data.path(), shards);
        own.pin_self()?;
        let child = child.map_err(BenchError::io(format!("cannot start {}", program.display())))?;
        let farad = Farad { address, data, child };
        let end = Instant::now() + START_LIMIT;
        while !farad.is_up() {
            if Instant::now() > end {
                return Err(BenchError::NotUp(farad.log()));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(farad)
    }

    fn is_up(&self) -> bool {
        let Ok(mut client) = Client::connect(self.address) else { return false };
        let mut answers = |method, path| client.call(method, path, b"").is_ok_and(|answer| answer.status == 204);
        self.dataplane().is_some() && answers("GET", "/kapacitor/v1/ping") && answers("POST", "/write?db=_&rp=_")
    }

    /// Pid of the data plane.
    pub fn dataplane(&self) -> Option<u32> {
        let data = self.data.path().to_string_lossy();
        processes()
            .find(|(_, command)| command.contains("farad-dataplane") && command.contains(&*data))
            .map(|(pid, _)| pid)
    }

    /// Pids of both processes.
    pub fn pids(&self) -> Vec<u32> {
        [self.child.id()].into_iter().chain(self.dataplane()).collect()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.data.path().join("log")).unwrap_or_default()
    }

    /// Asks both processes to end and waits for them.
    pub fn stop(mut self) -> Stopped {
        let log = self.log();
        signal(self.child.id(), Signal::TERM);
        let end = Instant::now() + STOP_LIMIT;
        let mut remaining = vec!["control plane", "data plane"];
        while !remaining.is_empty() && Instant::now() < end {
            thread::sleep(Duration::from_millis(10));
            remaining.clear();
            if !matches!(self.child.try_wait(), Ok(Some(_))) {
                remaining.push("control plane");
            }
            if self.dataplane().is_some() {
                remaining.push("data plane");
            }
        }
        let last_words = self.log().split_off(log.len()).lines().map(str::to_owned).collect();
        let complaint = |line: &&str| ["lvl=warn", "lvl=error", "panicked"].iter().any(|word| line.contains(word));
        Stopped { remaining, last_words, complaints: log.lines().filter(complaint).map(str::to_owned).collect() }
    }
}

impl Drop for Farad {
    fn drop(&mut self) {
        // The control plane first: it would start its data plane again.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(pid) = self.dataplane() {
            signal(pid, Signal::KILL);
        }
    }
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// A program in the folder of this one.
fn beside(name: &str) -> Result<PathBuf, BenchError> {
    let own = std::env::current_exe().map_err(BenchError::io("cannot find this program"))?;
    let program = own.with_file_name(name);
    if program.is_file() { Ok(program) } else { Err(BenchError::Missing { program }) }
}

fn spawn(program: &Path, address: SocketAddr, data: &Path, shards: usize) -> io::Result<Child> {
    let log = File::create(data.join("log"))?;
    Command::new(program)
        .args(["serve", "--shards", &shards.to_string()])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", data)
        .env("KAPACITOR_HTTP_BIND_ADDRESS", address.to_string())
        .env("KAPACITOR_DATA_DIR", data)
        .env("KAPACITOR_STORAGE_BOLTDB", data.join("kapacitor.db"))
        .env("KAPACITOR_INFLUXDB_0_ENABLED", "false")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

/// Pid and command line of every process.
fn processes() -> impl Iterator<Item = (u32, String)> {
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let command = fs::read(entry.path().join("cmdline")).ok()?;
        Some((pid, String::from_utf8_lossy(&command).replace('\0', " ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_numbers_and_ranges() {
        assert_eq!(Cores::parse("0,2-3"), Some(Cores(vec![0, 2, 3])));
        for text in ["", "a", "3-1", "0,", "99999"] {
            assert_eq!(Cores::parse(text), None, "{text}");
        }
    }
}
