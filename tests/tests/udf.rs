//! User-defined functions: a process and a socket, streams and batches, options, and what goes wrong.

#![allow(clippy::unwrap_used)]

use std::{
    path::PathBuf,
    process::{Child, Command},
    time::Duration,
};

use farad_tests::server::{Server, until};

fn function() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("udf/moving_sum.py")
}

/// A server that knows `sums` (a process, stream), `batches` (a process, batch) and, with a socket, `far`.
fn server(socket: Option<&str>) -> (Server, tempfile::TempDir) {
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
    (Server::start(2, &[("KAPACITOR_CONFIG_PATH", &path)]).unwrap(), folder)
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
