//! Batch tasks and subscriptions with a real InfluxDB 1.x.
//!
//! Without `influxd` on the path the tests are shown as ignored; `scripts/test` installs it where it may.

use std::time::Duration;

use farad_tests::{
    influxdb::{self, InfluxDb},
    server::{Server, until},
    sink::Sink,
};
use libtest_mimic::Failed;

fn main() {
    influxdb::run_trials(&[("batch_tasks", batch_tasks), ("subscriptions", subscriptions)]);
}

/// A server that has this InfluxDB as its default cluster.
fn beside(influxdb: &InfluxDb) -> Result<Server, Failed> {
    let url = influxdb.url();
    Ok(Server::start(
        2,
        &[
            ("KAPACITOR_INFLUXDB_0_ENABLED", "true"),
            ("KAPACITOR_INFLUXDB_0_URLS_0", &url),
            ("KAPACITOR_INFLUXDB_0_SUBSCRIPTIONS_SYNC_INTERVAL", "1s"),
            ("KAPACITOR_HOSTNAME", "127.0.0.1"),
        ],
    )?)
}

fn call(server: &Server, method: &str, path: &str, body: serde_json::Value) -> Result<serde_json::Value, Failed> {
    let text = if body.is_null() { None } else { Some(body.to_string()) };
    let answer = server.call(method, &format!("/kapacitor/v1{path}"), text.as_deref())?;
    if answer.status >= 300 {
        return Err(format!("{method} {path}: {}", answer.text()).into());
    }
    Ok(serde_json::from_str(&answer.text()).unwrap_or_default())
}

/// Waits until a recording or replay has finished.
fn finished(server: &Server, path: &str) -> Result<serde_json::Value, Failed> {
    let get = || call(server, "GET", path, serde_json::Value::Null);
    until(Duration::from_secs(20), || get().is_ok_and(|entry| entry["status"] != "running"));
    let entry = get()?;
    match entry["status"] == "finished" {
        true => Ok(entry),
        false => Err(entry.to_string().into()),
    }
}

/// A query each second, a recording of a range and its replay, and the range asked for directly.
fn batch_tasks() -> Result<(), Failed> {
    let influxdb = InfluxDb::start()?;
    let sink = Sink::start()?;
    influxdb.query("CREATE DATABASE d")?;
    let lines: String =
        (0..60).map(|n| format!("cpu,host=h{} v={n}i {}000000000\n", n % 2, 1_600_000_000 + n)).collect();
    influxdb.write("d", "ns", lines.as_bytes())?;
    let server = beside(&influxdb)?;
    let task = |id: &str, period: &str, status: &str| {
        let script = format!(
            "batch|query('SELECT v FROM d.autogen.cpu').period({period}).every(1s).groupBy('host')|count('v')|httpPost('{}/{id}/count')",
            sink.url()
        );
        serde_json::json!({ "id": id, "type": "batch", "status": status, "script": script, "dbrps": [{ "db": "d", "rp": "autogen" }] })
    };
    // Longer than since 2020, so that each tick finds all of it.
    call(&server, "POST", "/tasks", task("live", "5000w", "enabled"))?;
    if !until(Duration::from_secs(20), || sink.count("/live") >= 4) {
        return Err(format!("no result arrived\n{}", server.log()).into());
    }
    let bodies = sink.take("/live");
    let body = bodies.values().flatten().next().ok_or("a body")?;
    if body["series"][0]["values"][0][1] != 30 {
        return Err(format!("an unexpected count: {body}").into());
    }
    call(&server, "PATCH", "/tasks/live", serde_json::json!({ "status": "disabled" }))?;

    call(&server, "POST", "/tasks", task("range", "1s", "disabled"))?;
    let range = serde_json::json!({ "id": "r", "task": "range", "start": "2020-09-13T12:26:40Z", "stop": "2020-09-13T12:27:40Z" });
    call(&server, "POST", "/recordings/batch", range)?;
    finished(&server, "/recordings/r")?;
    let replay = serde_json::json!({ "id": "p", "task": "range", "recording": "r", "recording-time": true });
    call(&server, "POST", "/replays", replay)?;
    finished(&server, "/replays/p")?;
    let replayed = sink.count("/range");
    let direct = serde_json::json!({ "id": "q", "task": "range", "start": "2020-09-13T12:26:40Z", "stop": "2020-09-13T12:27:40Z", "recording-time": true });
    call(&server, "POST", "/replays/batch", direct)?;
    finished(&server, "/replays/q")?;
    match (replayed, sink.count("/range")) {
        (60, 120) => Ok(()),
        counts => Err(format!("replayed and asked for again: {counts:?}").into()),
    }
}

/// A subscription of an earlier server of the name gives way, that of others stays, and points arrive.
fn subscriptions() -> Result<(), Failed> {
    let influxdb = InfluxDb::start()?;
    let sink = Sink::start()?;
    influxdb.query("CREATE DATABASE d")?;
    influxdb.query("CREATE SUBSCRIPTION \"kapacitor\" ON d.autogen DESTINATIONS ANY 'http://127.0.0.1:1'")?;
    influxdb.query("CREATE SUBSCRIPTION \"other\" ON d.autogen DESTINATIONS ANY 'http://127.0.0.1:2'")?;
    let server = beside(&influxdb)?;
    let address = format!("http://{}", server.address);
    let listed = || influxdb.query("SHOW SUBSCRIPTIONS").map(|answer| answer.text()).unwrap_or_default();
    let made = || {
        let listed = listed();
        listed.contains(&address) && listed.contains("127.0.0.1:2") && !listed.contains("127.0.0.1:1\"")
    };
    if !until(Duration::from_secs(20), made) {
        return Err(format!("{}\n{}", listed(), server.log()).into());
    }
    let script = format!("stream|from().measurement('cpu')|httpPost('{}/subscribed/points')", sink.url());
    let task = serde_json::json!({ "id": "s", "type": "stream", "status": "enabled", "script": script, "dbrps": [{ "db": "d", "rp": "autogen" }] });
    call(&server, "POST", "/tasks", task)?;
    let write = || influxdb.write("d", "ns", b"cpu v=1").is_ok();
    if !until(Duration::from_secs(20), || write() && sink.count("/subscribed") > 0) {
        return Err(format!("no point arrived\n{}", server.log()).into());
    }
    Ok(())
}
