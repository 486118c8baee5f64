//! The command line against a stand-in server that records what it is asked: the requests of every verb, its look and
//! its exit status.

// What helps a test may panic as the test may.
#![allow(clippy::unwrap_used)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

use farad_tests::server::binaries;
use serde_json::{Value, json};

/// Requests in the order of their arrival: method, target and body.
type Requests = Arc<Mutex<Vec<String>>>;

/// Answers by what stands in for a server; the second argument is the number of requests before.
type Answers = fn(&str, &str, usize) -> (u16, String);

struct StandIn {
    address: SocketAddr,
    requests: Requests,
}

impl StandIn {
    fn start(answers: Answers) -> StandIn {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Requests::default();
        let seen = requests.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = seen.clone();
                thread::spawn(move || serve(stream, &seen, answers));
            }
        });
        StandIn { address, requests }
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }
}

fn serve(stream: TcpStream, seen: &Requests, answers: Answers) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut stream = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let mut words = line.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            match header.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().ok()?
                }
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let body = String::from_utf8_lossy(&body);
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.push(format!("{method} {target} {body}").trim_end().to_owned());
            seen.len() - 1
        };
        let (status, body) = answers(&method, &target, number);
        let head = match status {
            204 => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
            status => format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len()),
        };
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(body.as_bytes()).ok()?;
    }
}

struct Output {
    status: i32,
    out: String,
    err: String,
}

fn farad(address: SocketAddr, arguments: &[&str]) -> Output {
    let output = Command::new(binaries().join("farad"))
        .arg("-url")
        .arg(format!("http://{address}"))
        .args(arguments)
        .env("TZ", "UTC")
        .output()
        .unwrap();
    Output {
        status: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn link(path: &str) -> Value {
    json!({ "rel": "self", "href": format!("/kapacitor/v1{path}") })
}

fn task(id: &str) -> Value {
    json!({
        "link": link(&format!("/tasks/{id}")), "id": id, "template-id": "", "type": "stream",
        "dbrps": [{ "db": "telegraf", "rp": "autogen" }], "script": "stream\n    |from()\n", "dot": "digraph t1 {\n}",
        "vars": {
            "lim": { "type": "float", "value": 3, "description": "" },
            "d": { "type": "duration", "value": 90_000_000_000_i64, "description": "" },
            "l": { "type": "list", "value": [{ "type": "string", "value": "a" }, { "type": "star", "value": null }], "description": "" },
        },
        "status": "enabled", "executing": true, "error": "", "stats": {},
        "created": "2026-11-23T06:20:47Z", "modified": "2026-11-23T06:20:47Z", "last-enabled": "0001-01-01T00:00:00Z",
    })
}

fn recording(status: &str) -> Value {
    json!({
        "link": link("/recordings/r1"), "id": "r1", "type": "stream", "size": 1_449, "error": "disk full",
        "date": "2026-11-23T06:21:28Z", "status": status,
    })
}

fn topic() -> Value {
    json!({
        "link": link("/alerts/topics/tp"), "id": "tp", "level": "CRITICAL", "collected": 1,
        "events-link": link("/alerts/topics/tp/events"), "handlers-link": link("/alerts/topics/tp/handlers"),
    })
}

/// A server that has one of everything. Recordings run when they are made and have ended when they are asked for.
fn one_of_each(method: &str, target: &str, _number: usize) -> (u16, String) {
    let path = target.split('?').next().unwrap_or_default().trim_start_matches("/kapacitor/v1");
    let handler = json!({
        "link": link("/alerts/topics/tp/handlers/h1"), "id": "h1", "kind": "log", "match": "", "options": { "path": "/a<b" },
    });
    let replay = json!({
        "link": link("/replays/p1"), "id": "p1", "task": "t1", "recording": "r1", "clock": "fast", "status": "finished",
        "date": "2026-11-23T06:21:28Z", "error": "",
    });
    let template = json!({
        "link": link("/templates/tpl"), "id": "tpl", "type": "stream", "error": "", "script": "var m string\n", "dot": "digraph tpl {\n}",
        "vars": { "m": { "type": "string", "value": null, "description": "which" } },
        "created": "2026-11-23T06:20:47Z", "modified": "2026-11-23T06:20:47Z",
    });
    let body = match (method, path) {
        ("DELETE", _) | ("POST", "/loglevel") => return (204, String::new()),
        (_, "/tasks/absent" | "/templates/absent") => return (404, json!({ "error": "no task exists" }).to_string()),
        ("PATCH", "/tasks/broken") => return (500, json!({ "error": "it cannot start" }).to_string()),
        ("GET", "/tasks") if target.contains("pattern=broken") => json!({ "tasks": [task("broken")] }),
        ("GET", "/tasks") if target.contains("pattern=nosuch") => json!({ "tasks": [] }),
        ("GET", "/tasks") => json!({ "tasks": [task("t1")] }),
        ("GET" | "PATCH", "/tasks/t1") | ("POST", "/tasks") => task("t1"),
        ("GET", "/templates") => json!({ "templates": [template] }),
        (_, "/templates" | "/templates/tpl") => template,
        ("GET", "/recordings") => json!({ "recordings": [recording("finished")] }),
        ("GET", "/recordings/r1") => recording("finished"),
        ("POST", "/recordings/query") => recording("failed"),
        ("POST", "/recordings/stream" | "/recordings/batch") => recording("running"),
        ("GET", "/replays") => json!({ "replays": [replay] }),
        (_, "/replays" | "/replays/batch" | "/replays/query" | "/replays/p1") => replay,
        ("GET", "/alerts/topics") => json!({ "topics": [topic()] }),
        ("GET", "/alerts/topics/tp") => topic(),
        ("GET", "/alerts/topics/tp/events") => json!({ "topic": "tp", "events": [{
            "id": "cpu:host=a", "state": { "message": "cpu is CRITICAL", "level": "CRITICAL", "time": "2026-11-23T06:20:47Z" },
        }] }),
        ("GET", "/alerts/topics/tp/handlers") => json!({ "topic": "tp", "handlers": [handler] }),
        (_, "/alerts/topics/tp/handlers" | "/alerts/topics/tp/handlers/h1") => handler,
        ("GET", "/service-tests") => json!({ "services": [{ "name": "slack" }] }),
        ("POST", "/service-tests/slack") => json!({ "success": false, "message": "service is not enabled" }),
        ("GET", "/debug/vars") => json!({
            "cluster_id": "c", "server_id": "s", "host": "h", "num_tasks": 2, "num_enabled_tasks": 1, "num_subscriptions": 0,
            "platform": "OSS", "version": "1", "kapacitor": {
                "a": { "name": "ingress", "tags": { "task_master": "main", "database": "telegraf", "retention_policy": "autogen",
                       "measurement": "cpu" }, "values": { "points_received": 5 } },
                "b": { "name": "ingress", "tags": { "task_master": "replay" }, "values": { "points_received": 9 } },
            },
        }),
        ("GET", "/storage/backup") => return (200, "copy".to_owned()),
        ("GET", "preview/logs") => return (200, "ts=1 lvl=info msg=a\n".to_owned()),
        _ => return (404, json!({ "error": "Not Found" }).to_string()),
    };
    (200, body.to_string())
}

/// The part of a list request of tasks that is always there.
fn tasks(fields: &str, pattern: &str) -> String {
    format!(
        "GET /kapacitor/v1/tasks?dot-view=attributes&{fields}limit=100&offset=0&pattern={pattern}&replay-id=&script-format=formatted"
    )
}

#[test]
fn every_verb_sends_the_requests_of_the_original() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_string_lossy().into_owned()
    };
    let script = file("a.tick", "stream|from()");
    let vars = file("vars.json", r#"{"n":{"type":"int","value":1}}"#);
    let yaml = file(
        "task.yaml",
        "id: absent\ntemplate-id: tpl\ndbrps:\n  - db: d\n    rp: r\nvars:\n  n:\n    type: int\n    value: 1\n",
    );
    let handler = file("h1.yml", "topic: tp\nid: h1\nkind: log\noptions:\n  path: /a\n");
    let backup = folder.path().join("backup").to_string_lossy().into_owned();
    let get = |path: &str| format!("GET /kapacitor/v1{path}");
    let shown = |id: &str| get(&format!("/tasks/{id}?dot-view=attributes&replay-id=&script-format=formatted"));
    let patch = |status: &str| format!("PATCH /kapacitor/v1/tasks/t1 {{\"status\":\"{status}\"}}");
    let cases: Vec<(Vec<&str>, Vec<String>)> = vec![
        (
            vec!["define", "absent", "-tick", &script, "-type", "stream", "-dbrp", "\"a.b\".c", "-vars", &vars],
            vec![
                shown("absent"),
                r#"POST /kapacitor/v1/tasks {"script":"stream|from()","type":"stream","dbrps":[{"db":"a.b","rp":"c"}],"vars":{"n":{"type":"int","value":1}},"id":"absent","status":"disabled"}"#.into(),
            ],
        ),
        (
            vec!["define", "absent", "-file", &yaml],
            vec![
                shown("absent"),
                r#"POST /kapacitor/v1/tasks {"template-id":"tpl","dbrps":[{"db":"d","rp":"r"}],"vars":{"n":{"type":"int","value":1}},"id":"absent","status":"disabled"}"#.into(),
            ],
        ),
        (
            vec!["define", "t1", "-template", "tpl"],
            vec![shown("t1"), r#"PATCH /kapacitor/v1/tasks/t1 {"template-id":"tpl"}"#.into(), patch("disabled"), patch("enabled")],
        ),
        (
            vec!["define", "t1", "-tick", &script, "-no-reload"],
            vec![shown("t1"), r#"PATCH /kapacitor/v1/tasks/t1 {"script":"stream|from()"}"#.into()],
        ),
        (
            vec!["define-template", "absent", "-tick", &script],
            vec![
                get("/templates/absent?script-format=formatted"),
                r#"POST /kapacitor/v1/templates {"script":"stream|from()","id":"absent"}"#.into(),
            ],
        ),
        (
            vec!["define-template", "tpl", "-tick", &script, "-type", "stream"],
            vec![
                get("/templates/tpl?script-format=formatted"),
                r#"PATCH /kapacitor/v1/templates/tpl {"type":"stream","script":"stream|from()"}"#.into(),
            ],
        ),
        (
            vec!["define-topic-handler", &handler],
            vec![
                get("/alerts/topics/tp/handlers/h1"),
                r#"PUT /kapacitor/v1/alerts/topics/tp/handlers/h1 {"topic":"tp","id":"h1","kind":"log","options":{"path":"/a"}}"#.into(),
            ],
        ),
        (vec!["enable", "t*"], vec![tasks("fields=link&", "t%2A"), patch("enabled")]),
        (vec!["disable", "t1"], vec![tasks("fields=link&", "t1"), patch("disabled")]),
        (
            vec!["reload", "t1"],
            vec![tasks("fields=link&", "t1"), patch("disabled"), tasks("fields=link&", "t1"), patch("enabled")],
        ),
        (vec!["enable", "nosuch"], vec![tasks("fields=link&", "nosuch")]),
        (vec!["delete", "tasks", "t1"], vec![tasks("fields=link&", "t1"), "DELETE /kapacitor/v1/tasks/t1".into()]),
        (
            vec!["delete", "recordings", "r1"],
            vec![get("/recordings?fields=link&limit=100&offset=0&pattern=r1"), "DELETE /kapacitor/v1/recordings/r1".into()],
        ),
        (
            vec!["delete", "topics", "tp"],
            vec![get("/alerts/topics?min-level=OK&pattern=tp"), "DELETE /kapacitor/v1/alerts/topics/tp".into()],
        ),
        (
            vec!["delete", "topic-handlers", "tp", "h*"],
            vec![
                get("/alerts/topics/tp/handlers?pattern=h%2A"),
                "DELETE /kapacitor/v1/alerts/topics/tp/handlers/h1".into(),
            ],
        ),
        (vec!["delete", "topic-handlers", "tp"], vec![]),
        (
            vec!["list", "tasks"],
            vec![tasks("fields=type&fields=status&fields=executing&fields=dbrps&", "")],
        ),
        (
            vec!["list", "templates"],
            vec![get("/templates?fields=type&fields=vars&limit=100&offset=0&pattern=&script-format=formatted")],
        ),
        (
            vec!["list", "recordings"],
            vec![get("/recordings?fields=type&fields=size&fields=date&fields=status&limit=100&offset=0&pattern=")],
        ),
        (
            vec!["list", "replays", "p*"],
            vec![get(
                "/replays?fields=task&fields=recording&fields=status&fields=clock&fields=date&limit=100&offset=0&pattern=p%2A",
            )],
        ),
        (vec!["list", "topics"], vec![get("/alerts/topics?min-level=OK&pattern=")]),
        (
            vec!["list", "topic-handlers", "tp", "h1"],
            vec![get("/alerts/topics?min-level=OK&pattern=tp"), get("/alerts/topics/tp/handlers?pattern=h1")],
        ),
        (vec!["list", "service-tests"], vec![get("/service-tests?pattern=")]),
        (
            vec!["show", "-replay", "p1", "t1"],
            vec![get("/tasks/t1?dot-view=attributes&replay-id=p1&script-format=formatted")],
        ),
        (vec!["show-template", "tpl"], vec![get("/templates/tpl?script-format=formatted")]),
        (
            vec!["show-topic", "tp"],
            vec![
                get("/alerts/topics/tp"),
                get("/alerts/topics/tp/events?min-level=OK"),
                get("/alerts/topics/tp/handlers?pattern="),
            ],
        ),
        (vec!["show-topic-handler", "tp", "h1"], vec![get("/alerts/topics/tp/handlers/h1")]),
        (
            vec!["record", "batch", "-task", "t1", "-start", "2026-11-23T00:00:00Z", "-stop", "2026-11-23T01:00:00Z"],
            vec![
                r#"POST /kapacitor/v1/recordings/batch {"task":"t1","start":"2026-11-23T00:00:00Z","stop":"2026-11-23T01:00:00Z"}"#.into(),
                get("/recordings/r1"),
            ],
        ),
        (
            vec!["record", "batch", "-task", "t1", "-past", "1h", "-stop", "2026-11-23T01:00:00Z", "-recording-id", "x", "-no-wait"],
            vec![
                r#"POST /kapacitor/v1/recordings/batch {"id":"x","task":"t1","start":"2026-11-23T00:00:00Z","stop":"2026-11-23T01:00:00Z"}"#.into(),
            ],
        ),
        (
            vec!["replay", "-task", "t1", "-recording", "r1", "-rec-time"],
            vec![r#"POST /kapacitor/v1/replays {"task":"t1","recording-time":true,"clock":"fast","recording":"r1"}"#.into()],
        ),
        (
            vec!["replay-live", "query", "-task", "t1", "-query", "SELECT 1", "-cluster", "c", "-real-clock"],
            vec![
                r#"POST /kapacitor/v1/replays/query {"task":"t1","recording-time":false,"clock":"real","query":"SELECT 1","cluster":"c"}"#.into(),
            ],
        ),
        (vec!["watch", "t1", "lvl=info+"], vec!["GET /kapacitor/v1preview/logs?lvl=info%2B&task=t1".into()]),
        (vec!["logs"], vec!["GET /kapacitor/v1preview/logs".into()]),
        (vec!["level", "debug"], vec![r#"POST /kapacitor/v1/loglevel {"level":"debug"}"#.into()]),
        (vec!["stats", "general"], vec![get("/debug/vars")]),
        (vec!["vars"], vec![get("/debug/vars")]),
        (
            vec!["service-tests", "sl*"],
            vec![get("/service-tests?pattern=sl%2A"), "POST /kapacitor/v1/service-tests/slack null".into()],
        ),
        (vec!["backup", &backup], vec![get("/storage/backup")]),
    ];
    let server = StandIn::start(one_of_each);
    for (arguments, expected) in cases {
        let output = farad(server.address, &arguments);
        assert_eq!(output.status, 0, "{arguments:?}: {}", output.err);
        assert_eq!(server.take(), expected, "{arguments:?}");
        let with_json: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        let output = farad(server.address, &with_json);
        if !matches!(arguments[0], "watch" | "logs") {
            assert!(serde_json::from_str::<Value>(&output.out).is_ok(), "{with_json:?}: {}", output.out);
        }
        server.take();
    }
    assert_eq!(std::fs::read_to_string(&backup).unwrap(), "copy");
}

#[test]
fn a_stream_is_recorded_for_a_while() {
    let server = StandIn::start(one_of_each);
    let output = farad(server.address, &["record", "stream", "-task", "t1", "-duration", "10m"]);
    assert_eq!((output.status, output.out.as_str()), (0, "r1\n"), "{}", output.err);
    let requests = server.take();
    assert!(requests[0].starts_with(r#"POST /kapacitor/v1/recordings/stream {"task":"t1","stop":"20"#), "{requests:?}");
    assert_eq!(requests[1..], ["GET /kapacitor/v1/recordings/r1"]);
}

#[test]
fn results_look_as_those_of_the_original() {
    let server = StandIn::start(one_of_each);
    let looks = |arguments: &[&str], expected: &[&str]| {
        let output = farad(server.address, arguments);
        assert_eq!(output.status, 0, "{}", output.err);
        let lines: Vec<&str> = output.out.lines().collect();
        assert_eq!(lines, expected, "{arguments:?}");
    };
    looks(
        &["list", "tasks"],
        &[
            "ID Type      Status    Executing Databases and Retention Policies",
            "t1 stream    enabled   true      [\"telegraf\".\"autogen\"]",
        ],
    );
    looks(&["list", "tasks", "nosuch"], &["ID Type      Status    Executing Databases and Retention Policies"]);
    looks(
        &["list", "templates"],
        &[
            "ID  Type      Vars                                    ",
            "tpl stream    m                                       ",
        ],
    );
    looks(
        &["list", "recordings"],
        &[
            "ID Type    Status    Size      Date                   ",
            "r1 stream  finished  1.4 kB    23 Nov 26 06:21 UTC    ",
        ],
    );
    looks(
        &["list", "replays"],
        &[
            "ID Task Recording Status   Clock   Date                   ",
            "p1 t1   r1        finished fast    23 Nov 26 06:21 UTC    ",
        ],
    );
    looks(&["list", "topics"], &["ID Level     Collected", "tp CRITICAL          1"]);
    looks(&["list", "topic-handlers"], &["Topic      ID         Kind       ", "tp         h1         log        "]);
    looks(&["list", "service-tests"], &["Service Name", "slack"]);
    looks(
        &["show", "t1"],
        &[
            "ID: t1",
            "Error: ",
            "Template: ",
            "Type: stream",
            "Status: enabled",
            "Executing: true",
            "Created: 23 Nov 26 06:20 UTC",
            "Modified: 23 Nov 26 06:20 UTC",
            "LastEnabled: 01 Jan 01 00:00 UTC",
            "Databases Retention Policies: [\"telegraf\".\"autogen\"]",
            "TICKscript:",
            "stream",
            "    |from()",
            "",
            "Vars:",
            "Name                          Type      Value                                   ",
            "d                             duration  1m30s                                   ",
            "l                             list      [a, *]                                  ",
            "lim                           float     3                                       ",
            "DOT:",
            "digraph t1 {",
            "}",
        ],
    );
    looks(
        &["show-topic", "tp"],
        &[
            "ID: tp",
            "Level: CRITICAL",
            "Collected: 1",
            "Handlers: [h1]",
            "Events:",
            "Event      Level    Message         Date                   ",
            "cpu:host=a CRITICAL cpu is CRITICAL 23 Nov 26 06:20 UTC    ",
        ],
    );
    looks(
        &["show-topic-handler", "tp", "h1"],
        &["ID: h1", "Topic: tp", "Kind: log", "Match: ", "Options: {\"path\":\"/a\\u003cb\"}"],
    );
    looks(
        &["stats", "ingress"],
        &[
            "Database Retention Policy Measurement Points Received",
            "telegraf autogen          cpu                       5",
        ],
    );
    looks(
        &["service-tests", "slack"],
        &["Service             Success   Message", "slack               false     service is not enabled"],
    );
    looks(&["logs"], &["ts=1 lvl=info msg=a"]);
    let template = farad(server.address, &["show-template", "tpl"]).out;
    let required = format!("{:30}{:10}{:40}{:40}", "m", "string", "<required>", "which");
    assert!(template.lines().any(|line| line == required), "{template}");
    let general = farad(server.address, &["stats", "general"]).out;
    assert!(general.starts_with(&format!("{:30}{:30}\n", "ClusterID:", "c")), "{general}");
}

#[test]
fn the_exit_status_says_what_went_wrong() {
    let server = StandIn::start(one_of_each);
    let cases: &[(&[&str], i32, &str)] = &[
        (&[], 1, "Error: Must pass a command."),
        (&["bogus"], 1, "Unknown command bogus"),
        (&["help"], 1, "Usage: farad"),
        (&["help", "define"], 0, "Usage: farad define"),
        (&["define"], 2, "Must provide a task ID."),
        (&["define", "a", "-nosuch", "x"], 2, "flag provided but not defined: -nosuch"),
        (&["define", "a", "-dbrp", "x"], 2, "does not contain a '.'"),
        (&["define", "a", "-tick", "/nosuch/file"], 3, "open /nosuch/file: No such file or directory"),
        (&["define", "a", "-file", "/nosuch/file.txt"], 3, "failed to open task file"),
        (&["define-topic-handler"], 2, "Must provide a path to a handler file."),
        (&["show", "a", "b"], 2, "Must specify one task ID"),
        (&["show", "absent"], 3, "no task exists"),
        (&["enable"], 2, "Must pass at least one task ID"),
        (&["enable", "broken"], 3, "enabling task broken: it cannot start"),
        (&["list"], 2, "Must specify 'tasks'"),
        (&["list", "bogus"], 3, "cannot list 'bogus' did you mean 'tasks'"),
        (&["delete", "bogus", "x"], 3, "cannot delete 'bogus' did you mean 'tasks'"),
        (&["delete", "tasks"], 2, "Must pass at least one ID"),
        (&["level"], 2, "Must pass a log level"),
        (&["record", "x"], 3, "Unknown record type \"x\", expected 'stream', 'batch' or 'query'"),
        (&["record", "stream", "-task", "t"], 3, "both task and duration are required"),
        (&["record", "stream", "-task", "t", "-duration", "x"], 3, "invalid duration"),
        (&["record", "batch", "-task", "t"], 3, "must set one of start or past flags."),
        (&["record", "batch", "-past", "1m"], 3, "task is required"),
        (&["record", "query", "-query", "q"], 3, "both query and type are required"),
        (&["record", "query", "-query", "q", "-type", "stream"], 3, "disk full"),
        (&["replay", "-task", "t"], 3, "must pass recording ID"),
        (&["replay-live", "x"], 3, "Unknown replay-live type \"x\", expected 'batch' or 'query'"),
        (&["watch"], 3, "must provide task ID."),
        (&["backup"], 3, "must provide file path for backup."),
        (&["service-tests"], 3, "must provide at least one service name or pattern."),
        (&["stats"], 3, "must provide a stats category"),
        (&["stats", "bogus"], 0, ""),
    ];
    for (arguments, status, message) in cases {
        let output = farad(server.address, arguments);
        assert_eq!(output.status, *status, "{arguments:?}: {}", output.err);
        assert!(output.err.contains(message), "{arguments:?}: {}", output.err);
    }
    let at = |url: &str| {
        let output = Command::new(binaries().join("farad")).args(["-url", url, "vars"]).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (status, message) = at("ftp://x");
    assert_eq!(status, 4, "{message}");
    assert!(message.contains("Unsupported protocol scheme: ftp, your address must start with http:// or https://"));
    assert_eq!(at("127.0.0.1:9092").0, 4);
    let (status, message) = at("http://127.0.0.1:1");
    assert_eq!(status, 3);
    assert!(message.contains("Is the server running there?"), "{message}");
}

/// Lists are fetched page by page, and all of them.
#[test]
fn long_lists_are_read_to_their_end() {
    fn pages(_: &str, target: &str, _: usize) -> (u16, String) {
        let offset: usize =
            target.split("offset=").nth(1).and_then(|rest| rest.split('&').next()).unwrap().parse().unwrap();
        let page: Vec<Value> = (offset..250.min(offset + 100)).map(|number| task(&format!("t{number:03}"))).collect();
        (200, json!({ "tasks": page }).to_string())
    }
    let server = StandIn::start(pages);
    let output = farad(server.address, &["list", "tasks"]);
    assert_eq!(output.out.lines().count(), 251);
    assert_eq!(server.take().len(), 3);
}
