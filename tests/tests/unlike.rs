//! Where Farad is deliberately unlike the original, seen from outside (`docs/differences.md`).

#![allow(clippy::unwrap_used)]

use std::{io::Write, time::Duration};

use farad_tests::{
    server::{Server, until},
    sink::Sink,
};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn a_point_reaches_each_from_once() {
    let server = Server::start(2, &[]).unwrap();
    let script = "
        stream|from().measurement('cpu').groupBy('host')|stateCount(lambda: TRUE)|httpOut('named')
        stream|from().groupBy('host')|stateCount(lambda: TRUE)|httpOut('any')";
    assert_eq!(server.define("both", script).unwrap(), 200);
    let lines: String = (1..=50).map(|time| format!("cpu,host=a v=1 {time}\nmem,host=b v=1 {time}\n")).collect();
    assert_eq!(server.write("d", "r", &lines).unwrap().status, 204);
    let counts = |endpoint: &str| {
        let answer = server.call("GET", &format!("/kapacitor/v1/tasks/both/{endpoint}"), None).unwrap().json();
        let row = |row: &Value| (row["tags"]["host"].clone(), row["values"][0][1].clone());
        let mut rows: Vec<_> = answer["series"].as_array().into_iter().flatten().map(row).collect();
        rows.sort_by_key(|(host, _)| host.to_string());
        Value::from_iter(rows.into_iter().map(|(host, count)| json!([host, count])))
    };
    for (endpoint, seen) in [("any", json!([["a", 50], ["b", 50]])), ("named", json!([["a", 50]]))] {
        assert!(until(LIMIT, || counts(endpoint) == seen), "{endpoint}: {}", counts(endpoint));
    }
}

/// A minute without points in a recording of hours ago: what goes by the clock sees it, although the replay takes no time.
#[test]
fn a_replay_has_a_clock_of_its_own() {
    const START: u64 = 1_600_000_000;
    let folder = tempfile::tempdir().unwrap();
    let times = (0..20).chain(80..100).map(|second| START + second);
    let text: String = times.map(|second| format!("d\nr\ncpu,host=a v=1 {second}000000000\n")).collect();
    let mut file = GzEncoder::new(Vec::new(), Compression::fast());
    file.write_all(text.as_bytes()).unwrap();
    std::fs::write(folder.path().join("gap.srpl"), file.finish().unwrap()).unwrap();
    let sink = Sink::start().unwrap();
    let server = Server::start(2, &[("KAPACITOR_REPLAY_DIR", &folder.path().display().to_string())]).unwrap();
    let url = sink.url();
    let script = format!(
        "var cpu = stream|from().measurement('cpu').groupBy('host')
         cpu|deadman(1.0, 10s).id('dead').post('{url}/dead/o')
         cpu|stats(10s).align()|httpPost('{url}/stats/o')
         cpu|barrier().idle(15s)|window().period(30s).every(30s)|count('v')|httpPost('{url}/barrier/o')"
    );
    let task = json!({ "id": "t", "type": "stream", "script": script, "dbrps": [{ "db": "d", "rp": "r" }] });
    let answer = server.call("POST", "/kapacitor/v1/tasks", Some(&task.to_string())).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let replay = json!({ "id": "p", "task": "t", "recording": "gap", "recording-time": true });
    assert_eq!(server.call("POST", "/kapacitor/v1/replays", Some(&replay.to_string())).unwrap().status, 201);
    let ended = || server.call("GET", "/kapacitor/v1/replays/p", None).unwrap();
    assert!(until(LIMIT, || ended().status == 200), "{}", server.log());
    assert_eq!(ended().json()["error"], "", "{}", server.log());
    let bodies = |path: &str| sink.take(path).into_values().flatten().collect::<Vec<Value>>();
    // Dead in the gap, alive behind it; at times of the recording. Handlers deliver on their own, behind the replay.
    let alive = || bodies("/dead").last().is_some_and(|event| event["level"] == "OK");
    assert!(until(LIMIT, alive), "{:?}\n{}", bodies("/dead"), server.log());
    let events = bodies("/dead");
    assert!(events.iter().all(|event| event["time"].as_str().unwrap().starts_with("2020-09-13T12:2")), "{events:?}");
    let mut dead: Vec<Value> = events.iter().map(|event| event["level"].clone()).collect();
    assert!((5..=8).contains(&dead.len()), "one each ten seconds of the gap: {dead:?}");
    dead.dedup();
    assert_eq!(dead, ["CRITICAL", "OK"]);
    let stats = bodies("/stats");
    assert!((9..=11).contains(&stats.len()), "one each ten seconds of the recording: {stats:?}");
    // A barrier that came 15 s after the last point before the gap closed the first window.
    let counts: Vec<Value> = bodies("/barrier").iter().map(|body| body["series"][0]["values"][0].clone()).collect();
    assert_eq!(counts.first(), Some(&json!(["2020-09-13T12:27:10Z", 20])), "{counts:?}");
}
