//! Live batch tasks beside something that answers like an InfluxDB: what is asked, what becomes of the answers, and what
//! goes wrong.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use farad_tests::{
    server::{Server, until},
    sink::Sink,
    stand_in::{Reply, Request, StandIn},
};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(20);

/// Two hosts, three points and one without a value.
const ANSWER: &str = r#"{"results":[{"series":[
    {"name":"cpu","tags":{"host":"a"},"columns":["time","v"],"values":[["2020-09-13T12:26:40Z",1],["2020-09-13T12:26:41Z",2]]},
    {"name":"cpu","tags":{"host":"b"},"columns":["time","v"],"values":[["2020-09-13T12:26:40Z",5],["2020-09-13T12:26:41Z",null]]}]}]}"#;

fn beside(urls: &[String]) -> Server {
    let mut environment = vec![
        ("KAPACITOR_INFLUXDB_0_ENABLED".to_owned(), "true".to_owned()),
        ("KAPACITOR_INFLUXDB_0_DISABLE_SUBSCRIPTIONS".to_owned(), "true".to_owned()),
    ];
    environment.extend(urls.iter().enumerate().map(|(n, url)| (format!("KAPACITOR_INFLUXDB_0_URLS_{n}"), url.clone())));
    let environment: Vec<(&str, &str)> = environment.iter().map(|(key, value)| (&**key, &**value)).collect();
    Server::start(2, &environment).unwrap()
}

fn call(server: &Server, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let body = body.map(|body| body.to_string());
    let answer = server.call(method, &format!("/kapacitor/v1{path}"), body.as_deref()).unwrap();
    (answer.status, serde_json::from_str(&answer.text()).unwrap_or_default())
}

fn define(server: &Server, id: &str, kind: &str, script: &str) {
    let dbrps = json!([{ "db": "d", "rp": "r" }]);
    let task = json!({ "id": id, "type": kind, "status": "enabled", "script": script, "dbrps": dbrps });
    let (status, answer) = call(server, "POST", "/tasks", Some(task));
    assert_eq!(status, 200, "{answer}");
}

fn status(server: &Server, id: &str, status: &str) -> u16 {
    call(server, "PATCH", &format!("/tasks/{id}"), Some(json!({ "status": status }))).0
}

const QUERY: &str = "batch|query('SELECT v FROM d.r.cpu').period(1m).every(1s).groupBy('host')";

#[test]
fn answers_run_through_the_task_and_are_counted_with_the_failures() {
    let influxdb = StandIn::start(|request: &Request| match request.query().contains("mem") {
        true => Reply { status: 503, ..Reply::from(r#"{"error":"timeout"}"#) },
        false => ANSWER.into(),
    })
    .unwrap();
    let server = beside(&[influxdb.url()]);
    let sink = Sink::start().unwrap();
    let failing = "batch|query('SELECT v FROM d.r.mem').period(1m).every(1s)|log()";
    define(&server, "t", "batch", &format!("{QUERY}|sum('v')|httpPost('{}/sums/s')\n{failing}", sink.url()));
    let node = |node: &str| call(&server, "GET", "/tasks/t", None).1["stats"]["node-stats"][node].clone();
    let counted =
        || node("query1")["batches_queried"].as_u64() >= Some(2) && node("query4")["errors"].as_u64() >= Some(1);
    assert!(until(LIMIT, counted), "{} {}\n{}", node("query1"), node("query4"), server.log());
    let query = node("query1");
    assert_eq!(query["points_queried"].as_u64(), query["batches_queried"].as_u64().map(|batches| batches / 2 * 3));
    let sums: Vec<_> =
        sink.take("/sums").into_values().flatten().map(|body| body["series"][0]["values"][0][1].clone()).collect();
    assert_eq!(sums[..2], [json!(3), json!(5)]);
    let request = influxdb.requests().into_iter().find(|request| request.query().contains("cpu")).unwrap();
    assert_eq!((&*request.call, request.parameter("db"), &*request.body), ("POST /query", "", ""));
    assert_eq!(request.header("user-agent"), "KapacitorInfluxDBClient");
    assert!(request.query().starts_with("SELECT v FROM d.r.cpu WHERE time >= '"), "{}", request.query());
    assert!(request.query().ends_with("' GROUP BY host"), "{}", request.query());
}

#[test]
fn what_a_batch_task_sends_back_arrives_at_stream_tasks() {
    let influxdb = StandIn::start(|_: &Request| ANSWER.into()).unwrap();
    let server = beside(&[influxdb.url()]);
    let sink = Sink::start().unwrap();
    let listener = json!({
        "id": "listener", "type": "stream", "status": "enabled", "dbrps": [{ "db": "back", "rp": "r" }],
        "script": format!("stream|from().measurement('sums')|httpPost('{}/back/p')", sink.url()),
    });
    assert_eq!(call(&server, "POST", "/tasks", Some(listener)).0, 200);
    let back = "kapacitorLoopback().database('back').retentionPolicy('r').measurement('sums')";
    define(&server, "t", "batch", &format!("{QUERY}|sum('v')|{back}"));
    assert!(until(LIMIT, || sink.count("/back") >= 4), "{}", server.log());
    let body = sink.take("/back").into_values().flatten().next().unwrap();
    assert_eq!((&body["series"][0]["name"], &body["series"][0]["tags"]), (&json!("sums"), &json!({ "host": "a" })));
}

#[test]
fn a_cluster_that_nobody_knows_ends_the_task() {
    let influxdb = StandIn::start(|_: &Request| ANSWER.into()).unwrap();
    let server = beside(&[influxdb.url()]);
    define(&server, "t", "batch", &format!("{QUERY}.cluster('nowhere')|log()"));
    let task = || call(&server, "GET", "/tasks/t", None).1;
    assert!(until(LIMIT, || task()["executing"] == false), "{}", task());
    assert_eq!(task()["error"], "query1: failed to get InfluxDB client: no such InfluxDB config nowhere");
    assert_eq!((&task()["status"], influxdb.queries().len()), (&json!("enabled"), 0));
}

#[test]
fn a_stop_does_not_wait_for_a_query() {
    let influxdb =
        StandIn::start(|_: &Request| Reply { delay: Duration::from_secs(60), ..Reply::from(ANSWER) }).unwrap();
    let server = beside(&[influxdb.url()]);
    define(&server, "t", "batch", &format!("{QUERY}|log()"));
    assert!(until(LIMIT, || !influxdb.queries().is_empty()), "{}", server.log());
    let started = Instant::now();
    assert_eq!(status(&server, "t", "disabled"), 200);
    assert!(started.elapsed() < LIMIT, "{:?}", started.elapsed());
    let asked = influxdb.queries().len();
    assert_eq!(status(&server, "t", "enabled"), 200);
    assert!(until(LIMIT, || influxdb.queries().len() > asked), "it runs again");
}
