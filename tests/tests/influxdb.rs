//! With a real InfluxDB 1.x: a subscription of its `_internal` database feeds a task, and its alerts arrive.
//!
//! Without `influxd` on the path the test is shown as ignored; `scripts/test` installs it where it may.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use farad_tests::{
    http,
    server::{Server, until},
    sink::Sink,
};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let installed = Command::new("influxd").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    let name = if installed { "alerts_of_internal" } else { "alerts_of_internal: SKIPPED, influxd is not installed" };
    let trial = Trial::test(name, alerts_of_internal).with_ignored_flag(!installed);
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit();
}

/// A running `influxd` with its own data.
struct InfluxDb {
    address: SocketAddr,
    child: Child,
    _data: tempfile::TempDir,
}

impl InfluxDb {
    fn start() -> Result<InfluxDb, Failed> {
        let data = tempfile::tempdir()?;
        let address = free_address()?;
        let config = configuration(data.path(), address, free_address()?);
        let file = data.path().join("influxdb.conf");
        fs::write(&file, config)?;
        let child =
            Command::new("influxd").arg("-config").arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let server = InfluxDb { address, child, _data: data };
        let up = || server.query("SHOW DATABASES").is_ok_and(|text| text.contains("_internal"));
        if !until(Duration::from_secs(30), up) {
            return Err("influxd did not start".into());
        }
        Ok(server)
    }

    fn query(&self, query: &str) -> Result<String, Failed> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let answer = http::request(self.address, "POST", &format!("/query?q={encoded}"), &[], Some(b""))?;
        if answer.status != 200 || answer.text().contains("\"error\"") {
            return Err(format!("{query}: {}", answer.text()).into());
        }
        Ok(answer.text())
    }
}

impl Drop for InfluxDb {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> Result<SocketAddr, Failed> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
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

/// The task of the README's tour.
const SCRIPT: &str = "stream
    |from()
        .database('_internal')
        .retentionPolicy('monitor')
        .measurement('runtime')
        .groupBy('hostname')
    |alert()
        .id('{{ .Name }}/{{ index .Tags \"hostname\" }}')
        .message('{{ .ID }} is {{ .Level }}: {{ index .Fields \"NumGoroutine\" }} goroutines')
        .crit(lambda: \"NumGoroutine\" > 0)
        .post('SINK/influx/alerts')
";

fn alerts_of_internal() -> Result<(), Failed> {
    let influxdb = InfluxDb::start()?;
    let sink = Sink::start()?;
    let server = Server::start(2, &[])?;
    let definition = serde_json::json!({
        "id": "goroutines",
        "type": "stream",
        "status": "enabled",
        "script": SCRIPT.replace("SINK", &sink.url()),
        "dbrps": [{"db": "_internal", "rp": "monitor"}],
    });
    let answer = server.call("POST", "/kapacitor/v1/tasks", Some(&definition.to_string()))?;
    if answer.status != 200 {
        return Err(answer.text().into());
    }
    influxdb.query(&format!(
        "CREATE SUBSCRIPTION \"farad\" ON \"_internal\".\"monitor\" DESTINATIONS ANY 'http://{}'",
        server.address
    ))?;
    if !until(Duration::from_secs(20), || sink.count("/influx") >= 2) {
        return Err(format!("no alert arrived\n{}", server.log()).into());
    }
    let received = sink.take("/influx");
    let alert = received.values().flatten().next().ok_or("an alert")?;
    let message = alert["message"].as_str().unwrap_or_default();
    let expected =
        regex::Regex::new(r"^runtime/.+ is CRITICAL: [0-9]+ goroutines$").map_err(|error| error.to_string())?;
    if !expected.is_match(message) || alert["data"]["series"][0]["name"] != "runtime" {
        return Err(format!("an unexpected alert: {alert}").into());
    }
    Ok(())
}
