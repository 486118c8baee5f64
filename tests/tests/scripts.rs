//! Scripts through every door: `farad check`, `farad fmt` and the API, the broken and the hostile ones among them.

// What helps a test may panic as the test may.
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path, process::Command};

use farad_tests::server::{Server, binaries};
use serde_json::json;
use tempfile::TempDir;

const FORMATTED: &str = "stream\n    |from()\n        .measurement('cpu')\n    |log()\n";
const UNFORMATTED: &str = "stream|from().measurement( 'cpu' )|log()";
const BROKEN: &str = "stream\n    |form()\n    |widnow()\n";

/// Exit status and what was said on standard error.
fn farad(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(binaries().join("farad")).current_dir(folder).args(arguments).output().unwrap();
    let status = output.status.code().unwrap_or_else(|| panic!("{arguments:?}: {:?}", output.status));
    (status, String::from_utf8(output.stderr).unwrap())
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

#[test]
fn check_says_what_is_wrong_with_each_file() {
    let warned = "stream\n    |from()\n    |where(lambda: strlength(\"s\") > 1)\n";
    let files = [("good.tick", FORMATTED), ("bad.tick", BROKEN), ("worse.tick", "stream|"), ("warned.tick", warned)];
    let folder = folder(&files);
    let check = |files: &[&str]| farad(folder.path(), &[&["check"], files].concat());
    assert_eq!(check(&["good.tick"]), (0, String::new()));
    let (status, said) = check(&["warned.tick"]);
    assert_eq!(status, 0);
    assert!(said.starts_with("warning: ") && said.contains("= help: did you mean strLength?"), "{said}");
    let (status, said) = check(&["good.tick", "bad.tick", "worse.tick"]);
    assert_eq!(status, 3);
    for part in ["--> bad.tick:2:6", "2 |     |form()\n  |      ^^^^\n  = help: did you mean |from?", "worse.tick:1:8"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(said.ends_with("2 scripts have errors\n"), "{said}");
    assert_eq!(check(&["nowhere.tick"]).0, 3);
    let mut json_check = Command::new(binaries().join("farad"));
    let output =
        json_check.current_dir(folder.path()).args(["check", "--json", "good.tick", "bad.tick"]).output().unwrap();
    let files: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&files[0]["diagnostics"], &files[1]["file"]), (&json!([]), &json!("bad.tick")));
    assert_eq!(files[1]["diagnostics"][0]["position"], json!({ "line": 2, "char": 6 }));
    assert_eq!(check(&[]).0, 2);
}

#[test]
fn fmt_rewrites_what_parses_and_check_rewrites_nothing() {
    let files = [("a.tick", UNFORMATTED), ("b.tick", FORMATTED), ("c.tick", "stream|"), ("d.tick", UNFORMATTED)];
    let folder = folder(&files);
    let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let fmt = |arguments: &[&str]| farad(folder.path(), &[&["fmt"], arguments].concat());
    assert_eq!(fmt(&["--check", "b.tick"]), (0, String::new()));
    assert_eq!(fmt(&["--check", "a.tick", "b.tick", "d.tick"]), (3, "not formatted: a.tick d.tick\n".to_owned()));
    let (status, said) = fmt(&["--check", "a.tick", "c.tick"]);
    assert_eq!(status, 3);
    assert!(said.contains("--> c.tick:1:8") && said.contains("not formatted: a.tick"), "{said}");
    assert_eq!(text("a.tick"), UNFORMATTED);
    // One that does not parse stays as it is, and keeps no other from being written.
    let (status, said) = fmt(&["a.tick", "b.tick", "c.tick", "d.tick"]);
    assert_eq!(status, 3);
    assert!(said.contains("--> c.tick:1:8") && !said.contains("d.tick"), "{said}");
    assert_eq!(
        [text("a.tick"), text("b.tick"), text("c.tick"), text("d.tick")],
        [FORMATTED, FORMATTED, "stream|", FORMATTED]
    );
    assert_eq!(fmt(&["--check", "a.tick", "b.tick", "d.tick"]).0, 0);
    assert_eq!(fmt(&["nowhere.tick"]).0, 3);
    assert_eq!(fmt(&[]).0, 2);
}

#[test]
fn hostile_scripts_are_refused_at_every_door() {
    let server = Server::start(1, &[]).unwrap();
    assert_eq!(server.define("t", "stream|from()|log()").unwrap(), 200);
    let processes = (server.control_pid(), server.dataplane_pid());
    let deep = 100_000;
    let scripts = [
        ("long", "x".repeat(10 << 20)),
        ("parentheses", format!("var x = {}1{}\nstream|from()|log()", "(".repeat(deep), ")".repeat(deep))),
        ("signs", format!("var x = {}1\nstream|from()|log()", "-".repeat(deep))),
        ("negations", format!("stream|from().where(lambda: {}TRUE)", "!".repeat(deep))),
        ("lambdas", format!("stream|from().where({}TRUE)", "lambda: ".repeat(deep))),
        ("lists", format!("var x = {}{}\nstream|from()|log()", "[".repeat(deep), "]".repeat(deep))),
        ("calls", format!("stream|from().where(lambda: {}1.0{})", "abs(".repeat(deep), ")".repeat(deep))),
        ("sums", format!("stream|from().where(lambda: 1{} > 0)", " + 1".repeat(deep))),
        ("nodes", format!("stream|from(){}", "|log()".repeat(deep))),
        ("arguments", format!("stream|from()|union(stream{})", "|from()|union(stream".repeat(deep))),
    ];
    let folder = folder(&[]);
    for (name, script) in &scripts {
        let file = format!("{name}.tick");
        fs::write(folder.path().join(&file), script).unwrap();
        assert_eq!(farad(folder.path(), &["check", &file]).0, 3, "{name}");
        // What is only too long for a task may well be formatted.
        let status = farad(folder.path(), &["fmt", &file]).0;
        assert!(status == 3 || *name == "nodes" && status == 0, "{name}: {status}");
        let dbrps = json!([{"db": "d", "rp": "r"}]);
        let task = json!({"id": "x", "type": "stream", "script": script, "dbrps": dbrps}).to_string();
        for path in ["/kapacitor/v1/tasks", "/kapacitor/v1/templates"] {
            let answer = server.call("POST", path, Some(&task)).unwrap();
            assert_eq!(answer.status, 400, "{name} at {path}: {:.300}", answer.text());
            assert!(answer.json()["error"].as_str().is_some_and(|error| !error.is_empty()), "{name}");
        }
    }
    assert_eq!((server.control_pid(), server.dataplane_pid()), processes);
    assert!(server.is_executing("t") && !server.log().contains("panicked"), "{}", server.log());
}
