//! User-defined functions: a process and a socket, streams and batches, options, and what goes wrong.

#![allow(clippy::unwrap_used)]

use std::{
    io::Write,
    path::PathBuf,
    process::{Child, Command},
    time::Duration,
};

use farad_tests::{
    server::{Server, until},
    sink::Sink,
};
use flate2::{Compression, write::GzEncoder};

fn function() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("udf/moving_sum.py")
}

/// A server that knows `sums` (a process, stream), `batches` (a process, batch) and, with a socket, `far`.
fn server(socket: Option<&str>) -> (Server, tempfile::TempDir) {
    server_with(socket, &[])
}

fn server_with(socket: Option<&str>, environment: &[(&str, &str)]) -> (Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("farad.toml");
    let section = |name: &str, edge: &str| {
        let script = function().display().to_string();
        format!(
            "[udf.functions.{name}]\nprog = \"python3\"\nargs = [\"-u\", {script:?}, \"{edge}\", \"pipes\"]\n\
             timeout = \"10s\"\n"
        )
    };
    let mut text = "[task]\nsnapshot-interval = \"200ms\"\n".to_owned();
    text += &(section("sums", "stream") + &section("batches", "batch"));
    if let Some(path) = socket {
        text += &format!("[udf.functions.far]\nsocket = {path:?}\ntimeout = \"10s\"\n");
    }
    std::fs::write(&file, text).unwrap();
    let path = file.display().to_string();
    let environment = [&[("KAPACITOR_CONFIG_PATH", &*path)], environment].concat();
    (Server::start(2, &environment).unwrap(), folder)
}

fn define(server: &Server, id: &str, script: &str) -> (u16, String) {
    let definition = serde_json::json!({
        "id": id, "type": "stream", "status": "enabled", "script": script, "dbrps": [{"db": "d", "rp": "autogen"}],
    });
    let answer = server.call("POST", "/kapacitor/v1/tasks", Some(&definition.to_string())).unwrap();
    (answer.status, answer.text())
}

/// Waits until the task's httpOut shows the text.
fn shows(server: &Server, id: &str, expected: &str) {
    let seen = || server.call("GET", &format!("/kapacitor/v1/tasks/{id}/o"), None).unwrap().text();
    assert!(until(Duration::from_secs(10), || seen().contains(expected)), "{}\n{}", seen(), server.log());
}

const LINES: &str = "m,host=a v=1 1000000000\nm,host=b v=10 1000000000\nm,host=a v=2i 2000000000\n";

#[test]
fn points_go_to_a_process_and_come_back_in_their_groups() {
    let (server, _folder) = server(None);
    assert_eq!(define(&server, "t", "stream|from().groupBy('host')@sums().field('v')|httpOut('o')").0, 200);
    server.write("d", "autogen", LINES).unwrap();
    shows(&server, "t", r#"{"host":"a"},"columns":["time","sum"],"values":[["1970-01-01T00:00:02Z",3]]"#);
    shows(&server, "t", r#"{"host":"b"},"columns":["time","sum"],"values":[["1970-01-01T00:00:01Z",10]]"#);
    // Options are checked against what the function says of itself.
    let wrong = define(&server, "w", "stream|from()@sums().field(1)|httpOut('o')");
    assert!(wrong.0 == 400 && wrong.1.contains("unexpected arg to field, got INT expected STRING"), "{wrong:?}");
    assert_eq!(define(&server, "w", "stream|from()@nobody()|httpOut('o')").0, 400);
    assert_eq!(define(&server, "w", "stream|from()|window().period(1s).every(1s)@sums()|httpOut('o')").0, 500);
}

#[test]
fn batches_go_to_a_process_and_come_back() {
    let (server, _folder) = server(None);
    let script = "stream|from().groupBy('host')|window().period(1s).every(1s)@batches().field('v')|httpOut('o')";
    assert_eq!(define(&server, "t", script).0, 200);
    server
        .write("d", "autogen", "m,host=a v=1 1000000000\nm,host=a v=2 1500000000\nm,host=a v=3 2000000000\n")
        .unwrap();
    shows(&server, "t", r#"{"host":"a"},"columns":["time","sum"],"values":[["1970-01-01T00:00:02Z",3]]"#);
}

#[test]
fn an_error_of_the_function_fails_its_task_alone() {
    let (server, _folder) = server(None);
    assert_eq!(define(&server, "good", "stream|from().measurement('m')|httpOut('o')").0, 200);
    assert_eq!(define(&server, "bad", "stream|from().measurement('m')@sums().field('nope')|httpOut('o')").0, 200);
    assert_eq!(define(&server, "no", "stream|from().measurement('m')@sums().field('refuse')|httpOut('o')").0, 200);
    server.write("d", "autogen", LINES).unwrap();
    shows(&server, "good", "\"v\"");
    let error = |id: &str| server.call("GET", &format!("/kapacitor/v1/tasks/{id}"), None).unwrap().text();
    let fails = |id: &str, text: &str| until(Duration::from_secs(10), || error(id).contains(text));
    assert!(fails("bad", "sums2: point lacks the field nope"), "{}", error("bad"));
    assert!(fails("no", "failed to initialize processes this field is refused"), "{}", error("no"));
}

#[test]
fn a_task_that_fails_in_another_node_ends_its_function() {
    let (server, _folder) = server(None);
    let script = "var sums = stream|from().groupBy('host')@sums().field('v')\n\
                  sums|httpOut('o')\n\
                  sums|alert().crit(lambda: \"sum\" > 2).message('{{ .Nope }}')";
    assert_eq!(define(&server, "t", script).0, 200);
    server.write("d", "autogen", LINES).unwrap();
    let ended = || server.log().contains("end of input after 2 groups");
    assert!(until(Duration::from_secs(10), ended), "{}", server.log());
    let task = || server.call("GET", "/kapacitor/v1/tasks/t", None).unwrap().text();
    assert!(until(Duration::from_secs(10), || task().contains("can't evaluate field Nope")), "{}", task());
}

#[test]
fn a_task_that_starts_again_gives_its_function_the_last_snapshot() {
    let (server, _folder) = server(None);
    assert_eq!(define(&server, "t", "stream|from().groupBy('host')@sums().field('v')|httpOut('o')").0, 200);
    server.write("d", "autogen", LINES).unwrap();
    shows(&server, "t", "[\"1970-01-01T00:00:02Z\",3]");
    let kept = || server.log().contains("snapshot of 2 groups");
    assert!(until(Duration::from_secs(10), kept), "{}", server.log());
    for status in ["disabled", "enabled"] {
        let change = serde_json::json!({"status": status}).to_string();
        assert_eq!(server.call("PATCH", "/kapacitor/v1/tasks/t", Some(&change)).unwrap().status, 200);
    }
    server.write("d", "autogen", "m,host=a v=4 3000000000\n").unwrap();
    shows(&server, "t", "[\"1970-01-01T00:00:03Z\",7]");
}

/// Runs a task on a recording and gives what it posts, in order of arrival.
fn replay(server: &Server, kind: &str, script: &str, recording: &str, sink: &Sink) -> Vec<serde_json::Value> {
    let script = format!("{script}|httpPost('{}/{recording}/o')", sink.url());
    let task = serde_json::json!({
        "id": recording, "type": kind, "script": script, "dbrps": [{"db": "d", "rp": "autogen"}],
    });
    let answer = server.call("POST", "/kapacitor/v1/tasks", Some(&task.to_string())).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let replay =
        serde_json::json!({"id": recording, "task": recording, "recording": recording, "recording-time": true});
    let answer = server.call("POST", "/kapacitor/v1/replays", Some(&replay.to_string())).unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text());
    let entry = || server.call("GET", &format!("/kapacitor/v1/replays/{recording}"), None).unwrap();
    assert!(until(Duration::from_secs(20), || entry().status == 200), "{}", server.log());
    assert_eq!((&entry().json()["status"], &entry().json()["error"]), (&"finished".into(), &"".into()));
    sink.take(&format!("/{recording}")).into_values().flatten().map(|body| body["series"][0].clone()).collect()
}

/// 20,000 points are more than pipes hold; two functions in a row end one after the other.
#[test]
fn a_replay_ends_when_its_functions_have_said_everything() {
    let folder = tempfile::tempdir().unwrap();
    let line = |n: u64| format!("d\nautogen\nm,host=a v=1 {}\n", (n + 1) * 1_000_000_000);
    let text: String = (0..20_000).map(line).collect();
    let mut file = GzEncoder::new(Vec::new(), Compression::fast());
    file.write_all(text.as_bytes()).unwrap();
    std::fs::write(folder.path().join("points.srpl"), file.finish().unwrap()).unwrap();
    let sink = Sink::start().unwrap();
    let (server, _folder) = server_with(None, &[("KAPACITOR_REPLAY_DIR", &folder.path().display().to_string())]);
    let script =
        "stream|from().groupBy('host')@sums().field('v')@sums().field('sum')|where(lambda: \"sum\" > 199990000.0)";
    let seen = replay(&server, "stream", script, "points", &sink);
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0]["values"], serde_json::json!([["1970-01-01T05:33:20Z", 200_010_000]]));
}

#[test]
fn batches_of_a_replay_go_to_a_function() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = zip::ZipWriter::new(std::fs::File::create(folder.path().join("batches.brpl")).unwrap());
    file.start_file("0", zip::write::SimpleFileOptions::default()).unwrap();
    for minute in 0..3 {
        let point = |v: u32| {
            format!(
                "{{\"fields\":{{\"v\":{v}}},\"tags\":{{\"host\":\"a\"}},\"time\":\"2020-01-01T00:0{minute}:0{v}Z\"}}"
            )
        };
        let line = format!(
            "{{\"name\":\"m\",\"tmax\":\"2020-01-01T00:0{minute}:10Z\",\"group\":\"host=a\",\"tags\":{{\"host\":\"a\"}},\"points\":[{},{}]}}\n",
            point(1),
            point(2 + minute)
        );
        file.write_all(line.as_bytes()).unwrap();
    }
    file.finish().unwrap();
    let sink = Sink::start().unwrap();
    let (server, _folder) = server_with(None, &[("KAPACITOR_REPLAY_DIR", &folder.path().display().to_string())]);
    let script = "batch|query('SELECT v FROM d.autogen.m').period(1m).every(1m).groupBy('host')@batches().field('v')";
    let seen = replay(&server, "batch", script, "batches", &sink);
    let sums: Vec<_> = seen.iter().map(|series| series["values"][0][1].clone()).collect();
    assert_eq!(sums, [3, 4, 5], "{seen:?}");
    assert_eq!(seen[0]["tags"], serde_json::json!({"host": "a"}));
}

/// Killed when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_socket_is_as_good_as_a_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("udf.sock").display().to_string();
    let _running = Running(Command::new("python3").arg(function()).args(["stream", &path]).spawn().unwrap());
    assert!(until(Duration::from_secs(10), || std::path::Path::new(&path).exists()));
    let (server, _folder) = server(Some(&path));
    assert_eq!(define(&server, "t", "stream|from().groupBy('host')@far().field('v')|httpOut('o')").0, 200);
    server.write("d", "autogen", LINES).unwrap();
    shows(&server, "t", r#"{"host":"a"},"columns":["time","sum"],"values":[["1970-01-01T00:00:02Z",3]]"#);
}
