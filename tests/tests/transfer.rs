//! Definitions leave a server and come to another one, or back: `export` and `import`, `backup` and its way back.

// What helps a test may panic as the test may.
#![allow(clippy::unwrap_used)]

use std::{path::Path, process::Command, time::Duration};

use farad_tests::{
    process,
    server::{Server, binaries, until},
};
use serde_json::{Value, json};

struct Output {
    status: i32,
    out: String,
    err: String,
}

fn farad(server: &Server, arguments: &[&str]) -> Output {
    let url = format!("http://{}", server.address);
    let output = Command::new(binaries().join("farad")).args(["-url", &url]).args(arguments).output().unwrap();
    Output {
        status: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn post(server: &Server, path: &str, body: &Value) {
    let answer = server.call("POST", &format!("/kapacitor/v1{path}"), Some(&body.to_string())).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn task(server: &Server, id: &str) -> Value {
    server.call("GET", &format!("/kapacitor/v1/tasks/{id}"), None).unwrap().json()
}

fn export(server: &Server, file: &Path) -> Value {
    let output = farad(server, &["export"]);
    assert_eq!(output.status, 0, "{}", output.err);
    std::fs::write(file, &output.out).unwrap();
    serde_json::from_str(&output.out).unwrap()
}

/// A server with one of everything that can be taken along.
fn filled() -> Server {
    let server = Server::start(2, &[]).unwrap();
    let dbrps = json!([{ "db": "d", "rp": "r" }]);
    let script = "// which\nvar m string\nvar pause = 1m\nvar groups = [*]\nstream\n    |from()\n        .measurement(m)\n        \
                  .groupBy(groups)\n    |stats(pause)\n";
    post(&server, "/templates", &json!({ "id": "watch", "script": script }));
    let vars = json!({
        "m": { "type": "string", "value": "cpu" },
        "pause": { "type": "duration", "value": 90_000_000_000_i64 },
        "groups": { "type": "list", "value": [{ "type": "string", "value": "host" }] },
    });
    let of_template =
        json!({ "id": "of-template", "template-id": "watch", "vars": vars, "dbrps": dbrps, "status": "enabled" });
    post(&server, "/tasks", &of_template);
    let own = "dbrp \"a\".\"b\"\n\n// kept as it is\nstream|from()|log()";
    post(&server, "/tasks", &json!({ "id": "own-dbrp", "script": own, "status": "enabled" }));
    post(
        &server,
        "/tasks",
        &json!({ "id": "resting", "script": "batch|query('SELECT v FROM \"d\".\"r\".m')", "dbrps": dbrps }),
    );
    let handler =
        json!({ "id": "page.me", "kind": "log", "match": "level() == CRITICAL", "options": { "path": "/tmp/a.log" } });
    post(&server, "/alerts/topics/ops/handlers", &handler);
    server
}

#[test]
fn what_is_exported_is_the_same_after_an_import() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first.json"), folder.path().join("second.json"));
    let one = filled();
    let exported = export(&one, &first);
    assert_eq!(exported["tasks"].as_array().unwrap().len(), 3);
    assert_eq!(exported["tasks"][1]["script"], "dbrp \"a\".\"b\"\n\n// kept as it is\nstream|from()|log()");

    let other = Server::start(2, &[]).unwrap();
    let path = first.to_string_lossy();
    let output = farad(&other, &["import", &path]);
    assert_eq!(output.status, 0, "{}{}", output.out, output.err);
    assert_eq!(export(&other, &second), exported);
    assert_eq!(task(&other, "of-template")["executing"], true);
    assert_eq!(task(&other, "own-dbrp")["executing"], true);
    assert_eq!(task(&other, "resting")["executing"], false);

    let output = farad(&other, &["import", &path]);
    assert_eq!(output.status, 0, "{}", output.err);
    assert!(output.out.contains("task own-dbrp") && output.out.contains("-overwrite"), "{}", output.out);
    let output = farad(&other, &["import", "-overwrite", "--json", &path]);
    let report: Value = serde_json::from_str(&output.out).unwrap();
    assert_eq!(report["made"].as_array().unwrap().len(), 5, "{report}");
    assert_eq!(export(&other, &second), exported);
}

#[test]
fn what_is_refused_is_named_and_the_rest_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("export.json");
    let path = file.to_string_lossy();
    let server = Server::start(2, &[]).unwrap();
    let dbrps = json!([{ "db": "d", "rp": "r" }]);
    let document = json!({ "tasks": [
        { "id": "bad", "script": "stream|nosuch()", "dbrps": dbrps, "status": "enabled" },
        { "id": "good", "script": "stream|from()|log()", "dbrps": dbrps, "status": "enabled" },
    ] });
    std::fs::write(&file, document.to_string()).unwrap();
    let output = farad(&server, &["import", "-no-enable", &path]);
    assert_eq!(output.status, 3);
    assert!(output.err.contains("task bad: ") && output.err.ends_with("1 made, 1 refused\n"), "{}", output.err);
    assert_eq!(task(&server, "good")["status"], "disabled");

    for (text, expected) in [("{}", "neither templates"), ("[1]", "neither templates"), ("{", "invalid JSON")] {
        std::fs::write(&file, text).unwrap();
        let output = farad(&server, &["import", &path]);
        assert_eq!(output.status, 3, "{text}");
        assert!(output.err.contains(expected), "{}", output.err);
    }
}

#[test]
fn a_backup_put_back_is_the_server_of_then() {
    let folder = tempfile::tempdir().unwrap();
    let (copy, file) = (folder.path().join("backup"), folder.path().join("export.json"));
    let mut server = filled();
    let before = export(&server, &file);
    assert_eq!(farad(&server, &["backup", &copy.to_string_lossy()]).status, 0);
    assert_eq!(farad(&server, &["delete", "tasks", "*"]).status, 0);
    assert_eq!(server.define("later", "stream|from()|log()").unwrap(), 200);

    process::signal(server.control_pid(), "TERM");
    assert!(server.wait(Duration::from_secs(10)).unwrap().is_some_and(|status| status.success()));
    std::fs::copy(&copy, server.data.path().join("farad.store").join("data.mdb")).unwrap();
    server.restart_control().unwrap();
    server.wait_until_up(Duration::from_secs(20)).unwrap();
    assert_eq!(export(&server, &file), before);
    assert!(until(Duration::from_secs(5), || server.is_executing("own-dbrp") && server.is_executing("of-template")));
}
