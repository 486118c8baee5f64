//! With a real InfluxDB 1.x: a subscription of its `_internal` database feeds a task, and its alerts arrive.
//!
//! Without `influxd` on the path the test is shown as ignored; `scripts/test` installs it where it may.

use std::time::Duration;

use farad_tests::{
    influxdb::{self, InfluxDb},
    server::{Server, until},
    sink::Sink,
};
use libtest_mimic::Failed;

fn main() {
    influxdb::run_trials(&[
        ("alerts_of_internal", alerts_of_internal),
        ("points_are_written_and_databases_created", points_are_written_and_databases_created),
    ]);
}

/// Every type of field, tags of the node, a created database; one buffer by its size and one by its interval.
fn points_are_written_and_databases_created() -> Result<(), Failed> {
    let influxdb = InfluxDb::start()?;
    let url = format!("http://{}", influxdb.address);
    let environment = [("KAPACITOR_INFLUXDB_0_ENABLED", "true"), ("KAPACITOR_INFLUXDB_0_URLS_0", &*url)];
    let server = Server::start(2, &environment)?;
    let script = "stream
        |from().measurement('cpu').groupBy('host')
        |influxDBOut().database('out').retentionPolicy('autogen').create().tag('k', 'x y').buffer(2).flushInterval(1s)";
    let definition = serde_json::json!({
        "id": "out", "type": "stream", "status": "enabled", "script": script, "dbrps": [{"db": "d", "rp": "autogen"}],
    });
    let answer = server.call("POST", "/kapacitor/v1/tasks", Some(&definition.to_string()))?;
    if answer.status != 200 {
        return Err(answer.text().into());
    }
    server.write(
        "d",
        "autogen",
        "cpu,host=a v=1,s=\"x\\\"y\",b=true,n=3i 1600000000000000000\n\
         cpu,host=b v=2 1600000001000000000\n\
         cpu,host=a v=3 1600000002000000000\n",
    )?;
    let expected = concat!(
        r#"["2020-09-13T12:26:40Z",true,"a","x y",3,"x\"y",1],"#,
        r#"["2020-09-13T12:26:41Z",null,"b","x y",null,null,2],"#,
        r#"["2020-09-13T12:26:42Z",null,"a","x y",null,null,3]"#,
    );
    let arrived =
        || influxdb.query("SELECT * FROM out.autogen.cpu").is_ok_and(|answer| answer.text().contains(expected));
    match until(Duration::from_secs(20), arrived) {
        true => Ok(()),
        false => Err(format!("{}\n{}", influxdb.query("SELECT * FROM out.autogen.cpu")?.text(), server.log()).into()),
    }
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
