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
    assert!(until(LIMIT, || sink.count("/sums") >= 2), "{}", server.log());
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
fn the_next_server_that_can_be_reached_is_asked() {
    let influxdb = StandIn::start(|_: &Request| ANSWER.into()).unwrap();
    let gone = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let server = beside(&[influxdb.url(), format!("http://{gone}")]);
    define(&server, "t", "batch", &format!("{QUERY}|log()"));
    let node = || call(&server, "GET", "/tasks/t", None).1["stats"]["node-stats"]["query1"].clone();
    assert!(until(LIMIT, || node()["batches_queried"].as_u64() >= Some(4)), "{}\n{}", node(), server.log());
    assert_eq!(node()["errors"], 0);
}

#[test]
fn flux_is_asked_with_a_token_and_its_tables_are_batches() {
    let csv = "#datatype,string,long,dateTime:RFC3339,double,string,string\r\n\
               #group,false,false,false,false,true,true\r\n#default,_result,,,,,\r\n\
               ,result,table,_time,v,_measurement,host\r\n\
               ,,0,2020-09-13T12:26:40Z,1,cpu,a\r\n,,0,2020-09-13T12:26:41Z,2.5,cpu,a\r\n\
               ,,1,2020-09-13T12:26:40Z,7,cpu,b\r\n\r\n";
    let influxdb = StandIn::start(move |_: &Request| csv.into()).unwrap();
    let url = influxdb.url();
    let environment = [
        ("KAPACITOR_INFLUXDB_0_ENABLED", "true"),
        ("KAPACITOR_INFLUXDB_0_DISABLE_SUBSCRIPTIONS", "true"),
        ("KAPACITOR_INFLUXDB_0_TOKEN", "s3cret"),
        ("KAPACITOR_INFLUXDB_0_URLS_0", &url),
    ];
    let server = Server::start(2, &environment).unwrap();
    let sink = Sink::start().unwrap();
    let query = "batch|queryFlux('from(bucket: \"b\")').every(1s).org('o')";
    define(&server, "t", "batch", &format!("{query}|sum('v')|httpPost('{}/flux/s')", sink.url()));
    assert!(until(LIMIT, || sink.count("/flux") >= 2), "{}", server.log());
    let series: Vec<_> =
        sink.take("/flux").into_values().flatten().map(|body| body["series"][0].clone()).take(2).collect();
    assert_eq!((&series[0]["name"], &series[0]["tags"]), (&json!("cpu"), &json!({ "host": "a" })));
    assert_eq!((&series[0]["values"][0][1], &series[1]["values"][0][1]), (&json!(3.5), &json!(7)));
    let request = influxdb.requests().into_iter().next().unwrap();
    assert_eq!((&*request.call, request.parameter("org")), ("POST /api/v2/query", "o"));
    assert_eq!(request.header("authorization"), "Token s3cret");
    let body: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!((&body["query"], &body["type"]), (&json!("from(bucket: \"b\")"), &json!("flux")));
    let shown = call(&server, "GET", "/config/influxdb/default", None).1;
    assert_eq!((&shown["options"]["token"], &shown["redacted"]), (&json!(true), &json!(["password", "token"])));
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
