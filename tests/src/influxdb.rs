//! A real InfluxDB 1.x of a test's own, in a temporary folder.

use std::{
    fs::{self, File},
    io,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use libtest_mimic::{Arguments, Failed, Trial};

use crate::{
    http::{self, Answer, encode},
    server::until,
};

/// Whether `influxd` can be started here; `scripts/test` installs it where it may.
pub fn is_installed() -> bool {
    Command::new("influxd").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// What each of such a test's trials does.
pub type Test = fn() -> Result<(), Failed>;

/// Runs trials by name; without `influxd` they are shown as ignored. Ends the process.
pub fn run_trials(tests: &[(&str, Test)]) -> ! {
    let installed = is_installed();
    let trial = |(name, test): &(&str, Test)| {
        let name = if installed { (*name).to_owned() } else { format!("{name}: SKIPPED, influxd is not installed") };
        Trial::test(name, *test).with_ignored_flag(!installed)
    };
    libtest_mimic::run(&Arguments::from_args(), tests.iter().map(trial).collect()).exit();
}

/// Killed when it is dropped.
pub struct InfluxDb {
    pub address: SocketAddr,
    child: Child,
    data: tempfile::TempDir,
}

impl InfluxDb {
    /// Starts it and waits until its `_internal` database is there.
    pub fn start() -> io::Result<InfluxDb> {
        // Ports are picked before it binds them: another process can be faster, so once more.
        InfluxDb::start_once().or_else(|_| InfluxDb::start_once())
    }

    fn start_once() -> io::Result<InfluxDb> {
        let data = tempfile::Builder::new().prefix("farad-influxdb-").tempdir()?;
        // Both are held until both are picked, so that they differ.
        let (http, backup) = (TcpListener::bind(("127.0.0.1", 0))?, TcpListener::bind(("127.0.0.1", 0))?);
        let address = http.local_addr()?;
        let file = data.path().join("influxdb.conf");
        fs::write(&file, configuration(data.path(), address, backup.local_addr()?))?;
        drop((http, backup));
        let log = File::create(data.path().join("log"))?;
        let child = Command::new("influxd")
            .arg("-config")
            .arg(&file)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", data.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let influxdb = InfluxDb { address, child, data };
        let is_up = || influxdb.query("SHOW DATABASES").is_ok_and(|answer| answer.text().contains("_internal"));
        if until(Duration::from_secs(30), is_up) {
            return Ok(influxdb);
        }
        let log = fs::read_to_string(influxdb.data.path().join("log")).unwrap_or_default();
        Err(io::Error::other(format!("influxd did not start; its log:\n{log}")))
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Runs InfluxQL; an error that it answers is an error.
    pub fn query(&self, query: &str) -> io::Result<Answer> {
        let path = format!("/query?q={}", encode(query));
        successful(query, http::request(self.address, "POST", &path, &[], Some(b""))?)
    }

    /// Writes line protocol into the database's default retention policy.
    pub fn write(&self, database: &str, precision: &str, lines: &[u8]) -> io::Result<Answer> {
        let path = format!("/write?db={}&precision={precision}", encode(database));
        successful("write", http::request(self.address, "POST", &path, &[], Some(lines))?)
    }
}

impl Drop for InfluxDb {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn successful(what: &str, answer: Answer) -> io::Result<Answer> {
    if answer.status >= 300 || answer.text().contains("\"error\"") {
        return Err(io::Error::other(format!("InfluxDB answered {what} with {} {}", answer.status, answer.text())));
    }
    Ok(answer)
}

fn configuration(data: &Path, http: SocketAddr, backup: SocketAddr) -> String {
    let data = data.display();
    format!(
        r#"
reporting-disabled = true
bind-address = "{backup}"
[meta]
  dir = "{data}/meta"
[data]
  dir = "{data}/data"
  wal-dir = "{data}/wal"
[http]
  bind-address = "{http}"
  log-enabled = false
[monitor]
  store-enabled = true
  store-interval = "1s"
"#
    )
}
