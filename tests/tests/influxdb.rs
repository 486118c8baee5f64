//! With a real InfluxDB 1.x: a subscription of its `_internal` database feeds a task, and its alerts arrive.
//!
//! Without `influxd` on the path the test is shown as ignored; `scripts/test` installs it where it may.

use std::time::Duration;

use farad_tests::{
    influxdb::{self, InfluxDb},
    server::{Server, until},
    sink::Sink,
};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let installed = influxdb::is_installed();
    let name = if installed { "alerts_of_internal" } else { "alerts_of_internal: SKIPPED, influxd is not installed" };
    let trial = Trial::test(name, alerts_of_internal).with_ignored_flag(!installed);
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit();
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
