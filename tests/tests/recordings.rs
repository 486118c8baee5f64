//! Recordings and replays end to end, and what is left of them when a process dies or the disk is full.

#![allow(clippy::unwrap_used)]

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use farad_tests::{
    process::signal,
    server::{Server, until},
    sink::Sink,
    stand_in::{Reply, Request, StandIn},
};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(20);

/// A server with a folder of recordings of its own.
fn start() -> (Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_string_lossy().into_owned();
    (Server::start(2, &[("KAPACITOR_REPLAY_DIR", &path)]).unwrap(), folder)
}

fn call(server: &Server, method: &str, path: &str, body: Option<Value>) -> io::Result<(u16, Value)> {
    let body = body.map(|body| body.to_string());
    let answer = server.call(method, &format!("/kapacitor/v1{path}"), body.as_deref())?;
    Ok((answer.status, serde_json::from_str(&answer.text()).unwrap_or_default()))
}

fn define(server: &Server, id: &str, script: &str) {
    let body = json!({ "id": id, "type": "stream", "script": script, "dbrps": [{ "db": "d", "rp": "r" }] });
    let (status, answer) = call(server, "POST", "/tasks", Some(body)).unwrap();
    assert_eq!(status, 200, "{answer}");
}

fn record(server: &Server, id: &str, stop: &str) {
    let body = json!({ "id": id, "task": "t", "stop": stop });
    let (status, answer) = call(server, "POST", "/recordings/stream", Some(body)).unwrap();
    assert_eq!(status, 201, "{answer}");
}

/// Waits until a recording or replay has ended.
fn ended(server: &Server, path: &str) -> Value {
    let done = || call(server, "GET", path, None).is_ok_and(|(status, _)| status == 200);
    assert!(until(LIMIT, done), "{path} does not end\n{}", server.log());
    call(server, "GET", path, None).unwrap().1
}

fn files(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()).collect()
}

/// Lines that do not pack well, one a second from `from` on.
fn noise(from: u64, lines: u64) -> String {
    let mut state = from + 1;
    let mut text = String::new();
    for second in from..from + lines {
        text.push_str("cpu,host=h");
        text.push_str(&(second % 50).to_string());
        for field in 0..10 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let separator = if field == 0 { ' ' } else { ',' };
            text.push_str(&format!("{separator}f{field}={}i", state >> 1));
        }
        text.push_str(&format!(" {}000000000\n", 1_600_000_000 + second));
    }
    text
}

#[test]
fn what_was_recorded_runs_through_the_task_and_nothing_else_does() {
    let (server, folder) = start();
    let sink = Sink::start().unwrap();
    let script = format!(
        "stream|from().measurement('cpu').groupBy('host')|window().period(10s).every(10s)|sum('v')|httpPost('{}/replay/sum')|httpOut('sum')",
        sink.url()
    );
    define(&server, "t", &script);
    record(&server, "r", "2020-09-13T12:28:00Z");
    let lines: String =
        (0..60).map(|n| format!("cpu,host=a v=1,s=\"x\\\"y\" {}000000000\nmem v=1\n", 1_600_000_000 + n)).collect();
    assert_eq!(server.write("d", "r", &lines).unwrap().status, 204);
    assert_eq!(server.write("other", "r", &lines).unwrap().status, 204);
    assert_eq!(server.write("d", "r", "cpu v=1 1600000100000000000").unwrap().status, 204);
    let recording = ended(&server, "/recordings/r");
    assert_eq!((&recording["status"], &recording["error"]), (&json!("finished"), &json!("")));
    let file = folder.path().join("r.srpl");
    assert_eq!(std::fs::metadata(&file).unwrap().len(), recording["size"].as_u64().unwrap());
    assert_eq!(&std::fs::read(&file).unwrap()[..2], b"\x1f\x8b");

    let body = json!({ "id": "p", "task": "t", "recording": "r", "recording-time": true });
    assert_eq!(call(&server, "POST", "/replays", Some(body)).unwrap().0, 201);
    let replay = ended(&server, "/replays/p");
    assert_eq!((&replay["status"], &replay["error"]), (&json!("finished"), &json!("")));
    assert_eq!(replay["stats"]["node-stats"]["from1"]["collected"], 60);
    let bodies = sink.take("/replay").into_values().flatten().collect::<Vec<_>>();
    assert_eq!(bodies.len(), 5, "the window that is open at the end is lost: {bodies:?}");
    assert!(bodies.iter().all(|body| body["series"][0]["values"][0][1] == 10.0), "{bodies:?}");
    // The live task is not enabled, and the replay's endpoint went with it.
    assert_eq!(call(&server, "GET", "/tasks/t/sum", None).unwrap().0, 404);
}

#[test]
fn a_dead_data_plane_fails_its_recordings_and_leaves_no_file() {
    let (server, folder) = start();
    define(&server, "t", "stream|from().measurement('cpu')");
    record(&server, "r", "2030-01-01T00:00:00Z");
    assert_eq!(server.write("d", "r", &noise(0, 5_000)).unwrap().status, 204);
    signal(server.dataplane_pid().unwrap(), "KILL");
    let recording = ended(&server, "/recordings/r");
    assert_eq!(recording["status"], "failed");
    assert!(!recording["error"].as_str().unwrap().is_empty());
    assert!(files(folder.path()).is_empty(), "{:?}", files(folder.path()));
    server.wait_until_up(LIMIT).unwrap();
    record(&server, "again", "2020-09-13T12:26:50Z");
    assert_eq!(server.write("d", "r", &noise(0, 100)).unwrap().status, 204);
    assert_eq!(ended(&server, "/recordings/again")["status"], "finished");
}

/// Kills the control plane while `r` is recorded and `p` replayed: the next one says of both that they failed, and why.
fn kill_control_and_find_failed(server: &mut Server) {
    signal(server.control_pid(), "KILL");
    server.wait(LIMIT).unwrap();
    server.restart_control().unwrap();
    server.wait_until_up(LIMIT).unwrap();
    for path in ["/recordings/r", "/replays/p"] {
        let entry = ended(server, path);
        assert_eq!(entry["status"], "failed", "{entry}");
        assert!(entry["error"].as_str().unwrap().contains("unexpected shutdown"), "{entry}");
    }
}

#[test]
fn a_dead_control_plane_fails_its_recordings_and_replays() {
    let (mut server, folder) = start();
    define(&server, "t", "stream|from().measurement('cpu')");
    record(&server, "first", "2020-09-13T12:27:00Z");
    assert_eq!(server.write("d", "r", &noise(0, 100)).unwrap().status, 204);
    assert_eq!(ended(&server, "/recordings/first")["status"], "finished");
    record(&server, "r", "2030-01-01T00:00:00Z");
    assert_eq!(server.write("d", "r", &noise(0, 5_000)).unwrap().status, 204);
    let body = json!({ "id": "p", "task": "t", "recording": "first", "clock": "real" });
    assert_eq!(call(&server, "POST", "/replays", Some(body)).unwrap().0, 201);
    kill_control_and_find_failed(&mut server);
    let only_first = || files(folder.path()) == [folder.path().join("first.srpl")];
    assert!(until(LIMIT, only_first), "{:?}", files(folder.path()));
    assert_eq!(server.write("d", "r", &noise(0, 100)).unwrap().status, 204);
}

#[test]
fn a_full_disk_fails_the_recording_and_ingest_goes_on() {
    let (server, folder) = start();
    define(&server, "t", "stream|from().measurement('cpu')");
    // The largest file that the process may write stands for the disk.
    let pid = server.dataplane_pid().unwrap().to_string();
    let limited = Command::new("prlimit").args(["--pid", &pid, "--fsize=65536"]).status().unwrap();
    assert!(limited.success());
    record(&server, "r", "2030-01-01T00:00:00Z");
    let mut from = 0;
    let failed =
        || call(&server, "GET", "/recordings/r", None).is_ok_and(|(_, recording)| recording["status"] == "failed");
    while !failed() && from < 2_000_000 {
        assert_eq!(server.write("d", "r", &noise(from, 5_000)).unwrap().status, 204);
        from += 5_000;
    }
    let recording = ended(&server, "/recordings/r");
    assert!(recording["error"].as_str().unwrap().contains("cannot write"), "{recording}");
    assert!(files(folder.path()).is_empty(), "{:?}", files(folder.path()));
    assert_eq!(server.write("d", "r", &noise(0, 100)).unwrap().status, 204);
    assert_eq!(server.dataplane_pid().unwrap().to_string(), pid, "the data plane lives");
}

#[test]
fn a_recording_ends_at_its_caps() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_string_lossy().into_owned();
    let environment = [
        ("KAPACITOR_REPLAY_DIR", &*path),
        ("KAPACITOR_REPLAY_RECORDING_MAX_SIZE", "100000"),
        ("KAPACITOR_REPLAY_RECORDING_MAX_DURATION", "2s"),
    ];
    let server = Server::start(2, &environment).unwrap();
    define(&server, "t", "stream|from().measurement('cpu')");
    record(&server, "long", "2030-01-01T00:00:00Z");
    let long = ended(&server, "/recordings/long");
    assert_eq!(long["error"], "the recording reached its longest duration of 2s", "{long}");
    record(&server, "large", "2030-01-01T00:00:00Z");
    let mut from = 0;
    let running = || call(&server, "GET", "/recordings/large", None).unwrap().0 == 202;
    while running() && from < 1_000_000 {
        assert_eq!(server.write("d", "r", &noise(from, 2_000)).unwrap().status, 204);
        from += 2_000;
    }
    let large = ended(&server, "/recordings/large");
    assert_eq!((&large["status"], &large["size"]), (&json!("failed"), &json!(0)));
    assert_eq!(large["error"], "the recording reached its largest size of 100000 bytes", "{large}");
    assert!(files(folder.path()).is_empty(), "{:?}", files(folder.path()));
}

/// A replay that takes long enough to be hit.
fn replay_slowly(server: &Server, id: &str, recording: &str) {
    let body = json!({ "id": id, "task": "t", "recording": recording, "clock": "real" });
    assert_eq!(call(server, "POST", "/replays", Some(body)).unwrap().0, 201);
}

#[test]
fn a_dead_data_plane_fails_its_replays_and_leaves_the_recording() {
    let (server, folder) = start();
    define(&server, "t", "stream|from().measurement('cpu')");
    record(&server, "r", "2020-09-13T12:27:00Z");
    assert_eq!(server.write("d", "r", &noise(0, 100)).unwrap().status, 204);
    assert_eq!(ended(&server, "/recordings/r")["status"], "finished");
    let before = std::fs::read(folder.path().join("r.srpl")).unwrap();
    replay_slowly(&server, "p", "r");
    assert_eq!(call(&server, "GET", "/replays/p", None).unwrap().0, 202);
    signal(server.dataplane_pid().unwrap(), "KILL");
    let replay = ended(&server, "/replays/p");
    assert_eq!(replay["status"], "failed", "{replay}");
    assert!(replay["error"].as_str().unwrap().contains("the data plane"), "{replay}");
    assert_eq!(std::fs::read(folder.path().join("r.srpl")).unwrap(), before);
    server.wait_until_up(LIMIT).unwrap();
    // The same recording runs again.
    let body = json!({ "id": "again", "task": "t", "recording": "r" });
    assert_eq!(call(&server, "POST", "/replays", Some(body)).unwrap().0, 201);
    assert_eq!(ended(&server, "/replays/again")["status"], "finished");
}

#[test]
fn a_replay_that_runs_shows_what_it_has_counted() {
    let folder = tempfile::tempdir().unwrap();
    let points = "d\nr\ncpu v=1 0\nd\nr\ncpu v=2 1000000\nd\nr\ncpu v=3 600000000000\n";
    let mut file = GzEncoder::new(std::fs::File::create(folder.path().join("r.srpl")).unwrap(), Compression::fast());
    file.write_all(points.as_bytes()).unwrap();
    file.finish().unwrap();
    let path = folder.path().to_string_lossy().into_owned();
    let server = Server::start(2, &[("KAPACITOR_REPLAY_DIR", &path)]).unwrap();
    define(&server, "t", "stream|from().measurement('cpu')|log()");
    define(&server, "other", "stream|from()");
    replay_slowly(&server, "p", "r");
    let get = |path: &str| call(&server, "GET", path, None).unwrap();
    let counted = || get("/tasks/t?replay-id=p").1["stats"]["node-stats"]["log2"]["collected"] == 2;
    assert!(until(LIMIT, counted), "{:?}", get("/tasks/t?replay-id=p"));
    let (status, task) = get("/tasks/t?replay-id=p");
    assert_eq!((status, &task["executing"], &task["status"]), (200, &json!(true), &json!("disabled")));
    assert_eq!(get("/tasks/t").1["executing"], false);
    let refused = |path: &str| (get(path).0, get(path).1["error"].as_str().unwrap_or_default().to_owned());
    assert_eq!(refused("/tasks/other?replay-id=p"), (400, "replay p is not for task: other".to_owned()));
    assert_eq!(refused("/tasks/t?replay-id=q"), (400, "no running replay with ID: q".to_owned()));
}

/// A server beside something like an InfluxDB that never answers, while a recording and a replay wait for it.
#[test]
fn a_dead_control_plane_fails_recordings_and_replays_of_queries() {
    let influxdb = StandIn::start(|_: &Request| Reply { delay: Duration::from_secs(60), ..Reply::from("{}") }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (path, url) = (folder.path().to_string_lossy().into_owned(), influxdb.url());
    let environment = [
        ("KAPACITOR_REPLAY_DIR", &*path),
        ("KAPACITOR_INFLUXDB_0_ENABLED", "true"),
        ("KAPACITOR_INFLUXDB_0_DISABLE_SUBSCRIPTIONS", "true"),
        ("KAPACITOR_INFLUXDB_0_URLS_0", &*url),
    ];
    let mut server = Server::start(2, &environment).unwrap();
    let script = "batch|query('SELECT v FROM d.r.cpu').period(1s).every(1s)|log()";
    let task = json!({ "id": "b", "type": "batch", "script": script, "dbrps": [{ "db": "d", "rp": "r" }] });
    assert_eq!(call(&server, "POST", "/tasks", Some(task)).unwrap().0, 200);
    let range =
        |id: &str| json!({ "id": id, "task": "b", "start": "2020-09-13T12:26:40Z", "stop": "2020-09-13T12:26:50Z" });
    assert_eq!(call(&server, "POST", "/recordings/batch", Some(range("r"))).unwrap().0, 201);
    assert_eq!(call(&server, "POST", "/replays/batch", Some(range("p"))).unwrap().0, 201);
    assert!(until(LIMIT, || influxdb.queries().len() >= 2), "{:?}\n{}", influxdb.queries(), server.log());
    kill_control_and_find_failed(&mut server);
    assert!(files(folder.path()).is_empty(), "{:?}", files(folder.path()));
}

/// An archive as Kapacitor writes it, made by hand: two queries, of which the first entry is the last one's.
#[test]
fn an_archive_of_kapacitor_is_imported_and_replays() {
    let folder = tempfile::tempdir().unwrap();
    let mut archive = zip::ZipWriter::new(std::fs::File::create(folder.path().join("kapacitor.brpl")).unwrap());
    let entries = [
        (
            "0",
            vec![
                r#"{"name":"mem","tmax":"2020-09-13T12:26:50Z","points":[{"fields":{"f":7,"s":"\u003cx"},"tags":null,"time":"2020-09-13T12:26:49Z"}]}"#,
            ],
        ),
        (
            "1",
            vec![
                r#"{"name":"cpu","tmax":"2020-09-13T12:26:50Z","group":"cpu\nhost=a","byname":true,"tags":{"host":"a"},"points":[{"fields":{"f":0.5},"tags":{"host":"a"},"time":"2020-09-13T12:26:40Z"},{"fields":{"f":1e+21},"tags":{"host":"a"},"time":"2020-09-13T12:26:41Z"}]}"#,
                r#"{"name":"cpu","tmax":"2020-09-13T12:26:50Z","group":"cpu\nhost=b","byname":true,"tags":{"host":"b"}}"#,
            ],
        ),
    ];
    for (name, lines) in entries {
        archive.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        lines.iter().for_each(|line| writeln!(archive, "{line}").unwrap());
    }
    archive.finish().unwrap();
    let path = folder.path().to_string_lossy().into_owned();
    let server = Server::start(2, &[("KAPACITOR_REPLAY_DIR", &path)]).unwrap();
    let listed = ended(&server, "/recordings/kapacitor");
    assert_eq!((&listed["type"], &listed["status"]), (&json!("batch"), &json!("finished")));
    let sink = Sink::start().unwrap();
    let query = |text: &str| format!("batch|query('{text}').period(10s).every(10s)");
    let script = format!(
        "{}.groupBy('host').groupByMeasurement()|httpPost('{url}/first/o')\n{}|httpPost('{url}/second/o')",
        query("SELECT f FROM d.r.cpu"),
        query("SELECT * FROM d.r.mem"),
        url = sink.url()
    );
    let task = json!({ "id": "b", "type": "batch", "script": script, "dbrps": [{ "db": "d", "rp": "r" }] });
    assert_eq!(call(&server, "POST", "/tasks", Some(task)).unwrap().0, 200);
    let body = json!({ "id": "p", "task": "b", "recording": "kapacitor", "recording-time": true });
    assert_eq!(call(&server, "POST", "/replays", Some(body)).unwrap().0, 201);
    let replay = ended(&server, "/replays/p");
    assert_eq!((&replay["status"], &replay["error"]), (&json!("finished"), &json!("")));
    let seen = |prefix: &str| sink.take(prefix).into_values().flatten().collect::<Vec<_>>();
    let (first, second) = (seen("/first"), seen("/second"));
    assert_eq!((first.len(), second.len()), (1, 1), "an empty batch of a file is skipped: {first:?} {second:?}");
    assert_eq!(first[0]["series"][0]["values"], json!([["2020-09-13T12:26:40Z", 0.5], ["2020-09-13T12:26:41Z", 1e21]]));
    assert_eq!(second[0]["series"][0]["columns"], json!(["time", "f", "s"]));
    assert_eq!(second[0]["series"][0]["values"], json!([["2020-09-13T12:26:49Z", 7, "<x"]]));
    let wrong = json!({ "id": "one", "type": "batch", "script": format!("{}|log()", query("SELECT f FROM d.r.cpu")), "dbrps": [{ "db": "d", "rp": "r" }] });
    assert_eq!(call(&server, "POST", "/tasks", Some(wrong)).unwrap().0, 200);
    let body = json!({ "id": "q", "task": "one", "recording": "kapacitor" });
    assert_eq!(call(&server, "POST", "/replays", Some(body)).unwrap().0, 201);
    let error = "running replay: unexpected number of batch collectors. exp 2 got 1";
    assert_eq!(ended(&server, "/replays/q")["error"], error);
}

/// A clock that was wrong for one point: what goes by time runs through eleven days, not through two centuries.
#[test]
fn a_gap_of_centuries_ends() {
    let folder = tempfile::tempdir().unwrap();
    let lines = [0_i64, 7_000_000_000, 1_600_000_000].map(|second| format!("d\nr\ncpu v=1 {second}000000000\n"));
    let mut file = GzEncoder::new(std::fs::File::create(folder.path().join("r.srpl")).unwrap(), Compression::fast());
    file.write_all(lines.concat().as_bytes()).unwrap();
    file.finish().unwrap();
    let server = Server::start(2, &[("KAPACITOR_REPLAY_DIR", &folder.path().to_string_lossy())]).unwrap();
    let script = "var cpu = stream|from().measurement('cpu')\n cpu|stats(1s)|derivative('emitted')\n\
                  cpu|barrier().idle(1s)|window().period(1m).every(1m)|count('v')\n\
                  cpu|deadman(1.0, 10s).stateChangesOnly()";
    define(&server, "t", script);
    let body = json!({ "id": "p", "task": "t", "recording": "r", "recording-time": true });
    assert_eq!(call(&server, "POST", "/replays", Some(body)).unwrap().0, 201);
    let replay = ended(&server, "/replays/p");
    assert_eq!((&replay["status"], &replay["error"]), (&json!("finished"), &json!("")));
    assert_eq!(replay["stats"]["node-stats"]["from1"]["collected"], 3);
}

/// More events than a handler's queue holds, to a receiver that is slower than the replay.
#[test]
fn a_replay_waits_for_its_handlers() {
    let folder = tempfile::tempdir().unwrap();
    let line = |n: u64| format!("d\nr\ncpu,host=a v=1 {}\n", 1_600_000_000_000_000_000 + n);
    let mut file = GzEncoder::new(std::fs::File::create(folder.path().join("r.srpl")).unwrap(), Compression::fast());
    file.write_all((0..7_000).map(line).collect::<String>().as_bytes()).unwrap();
    file.finish().unwrap();
    let path = folder.path().to_string_lossy().into_owned();
    let server = Server::start(2, &[("KAPACITOR_REPLAY_DIR", &path)]).unwrap();
    let sink = Sink::start().unwrap();
    define(&server, "t", &format!("stream|from()|alert().crit(lambda: TRUE).post('{}/alerts/a')", sink.url()));
    let body = json!({ "id": "p", "task": "t", "recording": "r" });
    assert_eq!(call(&server, "POST", "/replays", Some(body)).unwrap().0, 201);
    assert_eq!(ended(&server, "/replays/p")["status"], "finished");
    assert!(until(LIMIT, || sink.count("/alerts") == 7_000), "{}\n{}", sink.count("/alerts"), server.log());
}

#[test]
fn files_of_an_earlier_server_are_listed_and_replay() {
    let (mut server, folder) = start();
    define(&server, "t", "stream|from().measurement('cpu')");
    record(&server, "r", "2020-09-13T12:26:50Z");
    assert_eq!(server.write("d", "r", &noise(0, 100)).unwrap().status, 204);
    assert_eq!(ended(&server, "/recordings/r")["status"], "finished");
    std::fs::copy(folder.path().join("r.srpl"), folder.path().join("moved.srpl")).unwrap();
    signal(server.control_pid(), "KILL");
    server.wait(LIMIT).unwrap();
    server.restart_control().unwrap();
    server.wait_until_up(LIMIT).unwrap();
    assert_eq!(ended(&server, "/recordings/moved")["status"], "finished");
    let body = json!({ "id": "p", "task": "t", "recording": "moved" });
    assert_eq!(call(&server, "POST", "/replays", Some(body)).unwrap().0, 201);
    let replay = ended(&server, "/replays/p");
    assert_eq!(replay["status"], "finished", "{replay}");
    assert_eq!(replay["stats"]["node-stats"]["from1"]["collected"], 11);
}

#[test]
fn files_of_kapacitor_replay_and_broken_ones_say_why_they_do_not() {
    let member = |text: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let (mut server, folder) = start();
    let sink = Sink::start().unwrap();
    let script = format!("stream|from().measurement('cpu').groupBy(*)|httpPost('{}/replay/points')", sink.url());
    define(&server, "t", &script);
    // Two members, the first with lines that end in CR LF, the second without an end of its last line.
    let first = member("d\r\nr\r\ncpu,host=a\\ b,z=\\ q b=true,f=1.5,i=2i,s=\"x\\\"y\" 1600000000000000000\r\n");
    let second = member("d\nr\ncpu,host=c f=3 1600000001000000000\nd\nr\nmem f=1 1600000002000000000");
    std::fs::write(folder.path().join("kapacitor.srpl"), [first, second].concat()).unwrap();
    std::fs::write(folder.path().join("plain.srpl"), "d\nr\ncpu f=3 1600000001000000000\n").unwrap();
    std::fs::write(folder.path().join("short.srpl"), member("d\nr\n")).unwrap();
    std::fs::write(folder.path().join("notes.txt"), "no recording").unwrap();
    signal(server.control_pid(), "KILL");
    server.wait(LIMIT).unwrap();
    server.restart_control().unwrap();
    server.wait_until_up(LIMIT).unwrap();
    let recordings = call(&server, "GET", "/recordings", None).unwrap().1;
    let mut ids: Vec<_> = recordings["recordings"].as_array().unwrap().iter().map(|entry| &entry["id"]).collect();
    ids.sort_by_key(|id| id.to_string());
    assert_eq!(ids, ["kapacitor", "plain", "short"]);
    let replay = |recording: &str| {
        let body = json!({ "id": recording, "task": "t", "recording": recording, "recording-time": true });
        assert_eq!(call(&server, "POST", "/replays", Some(body)).unwrap().0, 201);
        ended(&server, &format!("/replays/{recording}"))
    };
    let replayed = replay("kapacitor");
    assert_eq!((&replayed["status"], &replayed["error"]), (&json!("finished"), &json!("")));
    let mut series: Vec<_> =
        sink.take("/replay").into_values().flatten().map(|body| body["series"][0].clone()).collect();
    series.sort_by_key(|series| series["tags"]["host"].to_string());
    assert_eq!(series.len(), 2, "{series:?}");
    assert_eq!(series[0]["tags"], json!({ "host": "a b", "z": " q" }));
    assert_eq!(series[0]["columns"], json!(["time", "b", "f", "i", "s"]));
    assert_eq!(series[0]["values"], json!([["2020-09-13T12:26:40Z", true, 1.5, 2, "x\"y"]]));
    assert_eq!(series[1]["values"], json!([["2020-09-13T12:26:41Z", 3]]));
    let plain = replay("plain");
    assert_eq!(plain["status"], "failed");
    assert!(plain["error"].as_str().unwrap().contains("gzip: invalid header"), "{plain}");
    let short = replay("short");
    assert_eq!(short["status"], "failed");
    assert!(short["error"].as_str().unwrap().contains("expected another line"), "{short}");
}
