//! The real binaries, started in a folder of their own.

use std::{
    fs::File,
    io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    http::{self, Answer},
    process,
};

/// A task that counts the points of each host.
pub const COUNTING: &str =
    "stream|from().measurement('cpu').groupBy('host')|stateCount(lambda: TRUE)|httpOut('counts')";

/// How the shards receive: `auto`, `io_uring` or `epoll`. Set for a run of tests, it holds for all of their servers.
pub const RECEIVE: &str = "KAPACITOR_FARAD_RECEIVE";

/// A running Farad; killed with its data plane when it is dropped.
pub struct Server {
    pub address: SocketAddr,
    pub data: TempDir,
    shards: usize,
    environment: Vec<(String, String)>,
    child: Child,
}

/// The folder of the binaries: that of this test's profile.
pub fn binaries() -> PathBuf {
    let mut folder = std::env::current_exe().unwrap_or_default();
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    folder
}

impl Server {
    /// Starts both processes on a free port and waits until they answer.
    pub fn start(shards: usize, environment: &[(&str, &str)]) -> io::Result<Server> {
        let server = Server::spawn(shards, environment)?;
        server.wait_until_up(Duration::from_secs(20))?;
        Ok(server)
    }

    /// The same without waiting, for servers that do not answer just anybody.
    pub fn spawn(shards: usize, environment: &[(&str, &str)]) -> io::Result<Server> {
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let data = tempfile::Builder::new().prefix("farad-test-").tempdir()?;
        let environment: Vec<_> =
            environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let child = spawn(address, data.path(), shards, &environment)?;
        Ok(Server { address, data, shards, environment, child })
    }

    /// Starts the control plane again, on the same port and data.
    pub fn restart_control(&mut self) -> io::Result<()> {
        self.child = spawn(self.address, self.data.path(), self.shards, &self.environment)?;
        Ok(())
    }

    pub fn control_pid(&self) -> u32 {
        self.child.id()
    }

    /// Pid of the data plane: the process whose command line names this server's link socket.
    pub fn dataplane_pid(&self) -> Option<u32> {
        let data = self.data.path().to_string_lossy().into_owned();
        process::all()
            .find(|(_, command)| command.contains("farad-dataplane") && command.contains(&data))
            .map(|(pid, _)| pid)
    }

    pub fn call(&self, method: &str, path: &str, body: Option<&str>) -> io::Result<Answer> {
        http::request(self.address, method, path, &[], body.map(str::as_bytes))
    }

    pub fn write(&self, db: &str, rp: &str, lines: &str) -> io::Result<Answer> {
        self.call("POST", &format!("/write?db={db}&rp={rp}"), Some(lines))
    }

    /// Defines and enables a stream task on database `d`, retention policy `r`; gives the status.
    pub fn define(&self, id: &str, script: &str) -> io::Result<u16> {
        let dbrps = json!([{"db": "d", "rp": "r"}]);
        let task = json!({"id": id, "type": "stream", "script": script, "status": "enabled", "dbrps": dbrps});
        Ok(self.call("POST", "/kapacitor/v1/tasks", Some(&task.to_string()))?.status)
    }

    pub fn is_executing(&self, id: &str) -> bool {
        let answer = self.call("GET", &format!("/kapacitor/v1/tasks/{id}"), None);
        answer.is_ok_and(|answer| answer.status == 200 && answer.json()["executing"] == true)
    }

    /// The counts of all hosts that a task with the script [`COUNTING`] shows.
    pub fn counts(&self, id: &str) -> Vec<u64> {
        let Ok(answer) = self.call("GET", &format!("/kapacitor/v1/tasks/{id}/counts"), None) else { return Vec::new() };
        let json = answer.json();
        json["series"].as_array().into_iter().flatten().filter_map(|row| row["values"][0][1].as_u64()).collect()
    }

    pub fn highest_count(&self, id: &str) -> u64 {
        self.counts(id).into_iter().max().unwrap_or_default()
    }

    pub fn wait_until_up(&self, limit: Duration) -> io::Result<()> {
        let up = || {
            self.call("GET", "/kapacitor/v1/ping", None).is_ok_and(|answer| answer.status == 204)
                && self.call("POST", "/write?db=_&rp=_", Some("")).is_ok_and(|answer| answer.status == 204)
        };
        if until(limit, up) {
            return Ok(());
        }
        Err(io::Error::other(format!("the server did not come up; its log:\n{}", self.log())))
    }

    /// What both processes wrote to standard error.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.data.path().join("log")).unwrap_or_default()
    }

    /// Waits for the control plane to end by itself.
    pub fn wait(&mut self, limit: Duration) -> io::Result<Option<std::process::ExitStatus>> {
        let end = Instant::now() + limit * patience();
        loop {
            match self.child.try_wait()? {
                Some(status) => return Ok(Some(status)),
                None if Instant::now() > end => return Ok(None),
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The control plane first: it would start its data plane again.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(pid) = self.dataplane_pid() {
            process::signal(pid, "KILL");
        }
    }
}

/// By how much limits are stretched on the machines of continuous integration (`CI=true`), which share their cores with
/// others: a limit holds on a machine that has nothing else to do.
pub fn patience() -> u32 {
    static PATIENCE: OnceLock<u32> = OnceLock::new();
    *PATIENCE.get_or_init(|| if std::env::var_os("CI").is_some_and(|ci| ci == "true") { 5 } else { 1 })
}

/// Polls until `done` or `limit`, stretched by [`patience`], has passed.
pub fn until(limit: Duration, done: impl Fn() -> bool) -> bool {
    let end = Instant::now() + limit * patience();
    loop {
        if done() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn spawn(address: SocketAddr, data: &Path, shards: usize, environment: &[(String, String)]) -> io::Result<Child> {
    let log = File::options().create(true).append(true).open(data.join("log"))?;
    let folder = data.to_string_lossy().into_owned();
    Command::new(binaries().join("farad"))
        .args(["serve", "--shards", &shards.to_string()])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", data)
        .env("KAPACITOR_HTTP_BIND_ADDRESS", address.to_string())
        .env("KAPACITOR_DATA_DIR", &folder)
        .env("KAPACITOR_STORAGE_BOLTDB", format!("{folder}/kapacitor.db"))
        .env("KAPACITOR_INFLUXDB_0_ENABLED", "false")
        // How the shards receive, so that everything can be run on each back end.
        .envs(std::env::var_os(RECEIVE).map(|choice| (RECEIVE, choice)))
        .envs(environment.iter().cloned())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}
