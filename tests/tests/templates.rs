//! Templates over the API: their vars in every type, the tasks that follow them, and changes that some task cannot follow.

// What helps a test may panic as the test may.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use farad_tests::{
    http::Answer,
    server::{Server, until},
};
use serde_json::{Value, json};

const TASKS: &str = "/kapacitor/v1/tasks";
const TEMPLATES: &str = "/kapacitor/v1/templates";

fn call(server: &Server, method: &str, path: &str, body: &Value) -> Answer {
    server.call(method, path, (!body.is_null()).then(|| body.to_string()).as_deref()).unwrap()
}

fn get(server: &Server, path: &str) -> Value {
    call(server, "GET", path, &Value::Null).json()
}

/// Defines an enabled task of a template on database `d`.
fn define_task(server: &Server, id: &str, template: &str, vars: &Value) {
    let task = json!({
        "id": id, "template-id": template, "vars": vars, "status": "enabled", "dbrps": [{"db": "d", "rp": "r"}],
    });
    let answer = call(server, "POST", TASKS, &task);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["template-id"], template);
}

/// The last rows of a task's `httpOut`, each as its tags and last values without the time; as text, to be compared.
fn rows(server: &Server, task: &str, name: &str) -> Vec<String> {
    let json = get(server, &format!("{TASKS}/{task}/{name}"));
    let row = |row: &Value| {
        let values = row["values"].as_array().and_then(|values| values.last()).cloned().unwrap_or_default();
        format!("{} {}", row["tags"], json!(values.as_array().map(|values| &values[1..])))
    };
    json["series"].as_array().into_iter().flatten().map(row).collect()
}

const EVERY_TYPE: &str = r#"
// Which measurement
// to watch.
var measurement string

// Hosts to leave out
var skipped = /^test/

// How much is too much
//
// In percent.
var limit = 90.0

var least = 2

var wanted = TRUE // of the next one
var pause = 1m

var groups = ['host']

var condition lambda

var everything = *

var computed = limit / 2.0

stream
    |from()
        .measurement(measurement)
        .groupBy(groups)
        .where(lambda: "host" !~ skipped AND wanted)
    |where(condition)
    |eval(lambda: "v" - limit, lambda: "n" * least, lambda: string(pause), lambda: computed)
        .as('over', 'n', 'pause', 'half')
    |httpOut('o')
"#;

#[test]
fn vars_of_every_type_with_defaults_overrides_and_descriptions() {
    let server = Server::start(2, &[]).unwrap();
    let answer = call(&server, "POST", TEMPLATES, &json!({"id": "t", "type": "stream", "script": EVERY_TYPE}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let var = |kind: &str, value: Value, text: &str| json!({"type": kind, "value": value, "description": text});
    let template = get(&server, &format!("{TEMPLATES}/t"));
    let list = json!([var("string", json!("host"), "")]);
    let vars = json!({
        "measurement": var("string", Value::Null, "Which measurement\nto watch."),
        "skipped": var("regex", json!("^test"), "Hosts to leave out"),
        "limit": var("float", json!(90.0), "How much is too much\n\nIn percent."),
        "least": var("int", json!(2), ""),
        "wanted": var("bool", json!(true), ""),
        "pause": var("duration", json!(60_000_000_000_i64), "of the next one"),
        "groups": var("list", list, ""),
        "condition": var("lambda", Value::Null, ""),
        "everything": var("star", json!({"typeOf": "star"}), ""),
        "computed": var("float", json!(45.0), ""),
    });
    // Whole floats are shown as integers.
    let whole = |vars: &Value| -> Value {
        serde_json::from_str(&vars.to_string().replace(".0,", ",").replace(".0}", "}")).unwrap()
    };
    assert_eq!(whole(&template["vars"]), whole(&vars));

    let always = json!({"type": "lambda", "value": "TRUE"});
    define_task(
        &server,
        "defaults",
        "t",
        &json!({"measurement": {"type": "string", "value": "m"}, "condition": always}),
    );
    let others = json!({
        "measurement": {"type": "string", "value": "m", "description": "mine"},
        "skipped": {"type": "regex", "value": "^b"},
        "limit": {"type": "float", "value": 10},
        "least": {"type": "int", "value": 5},
        "wanted": {"type": "bool", "value": true},
        "pause": {"type": "duration", "value": "90s"},
        "groups": {"type": "list", "value": [{"type": "string", "value": "dc"}]},
        "condition": {"type": "lambda", "value": "\"v\" > 1.0"},
        "unknown": {"type": "int", "value": 1},
    });
    define_task(&server, "overridden", "t", &others);
    let shown = get(&server, &format!("{TASKS}/overridden"));
    assert_eq!(shown["vars"]["measurement"], var("string", json!("m"), "mine"));
    assert_eq!(shown["vars"]["pause"]["value"], json!(90_000_000_000_i64));
    assert_eq!(shown["vars"]["unknown"]["value"], json!(1));
    assert!(shown["vars"]["everything"].is_null() && shown["script"].as_str().unwrap().contains("var least = 2"));

    let lines = "m,host=a,dc=x v=95,n=3i 1\nm,host=test1,dc=x v=20,n=1i 2\nm,host=b,dc=y v=100,n=1i 3\nm,host=a,dc=x v=1,n=9i 4";
    assert_eq!(server.write("d", "r", lines).unwrap().status, 204);
    // Columns in order: half, n, over, pause.
    let defaults = [r#"{"dc":"x","host":"a"} [45,18,-89,"1m"]"#, r#"{"dc":"y","host":"b"} [45,2,10,"1m"]"#];
    let sorted = |task: &str| {
        let mut rows = rows(&server, task, "o");
        rows.sort();
        rows
    };
    assert!(until(Duration::from_secs(10), || sorted("defaults") == defaults), "{:?}", sorted("defaults"));
    // `computed` follows the limit that was supplied; v = 1 is not above 1.
    let overridden = [r#"{"dc":"x","host":"test1"} [5,5,10,"90s"]"#];
    assert!(until(Duration::from_secs(10), || sorted("overridden") == overridden), "{:?}", sorted("overridden"));
}

#[test]
fn values_that_do_not_fit_are_refused_by_name() {
    let server = Server::start(1, &[]).unwrap();
    call(&server, "POST", TEMPLATES, &json!({"id": "t", "script": EVERY_TYPE}));
    let refused = |vars: Value, why: &str| {
        let task = json!({"id": "x", "template-id": "t", "vars": vars, "dbrps": [{"db": "d", "rp": "r"}]});
        let answer = call(&server, "POST", TASKS, &task);
        assert_eq!(answer.status, 400, "{vars}: {}", answer.text());
        assert!(answer.text().contains(why), "{vars}: {}", answer.text());
    };
    refused(json!({}), "missing value for var \\\"measurement\\\".");
    let with = |name: &str, var: Value| {
        let mut vars = json!({
            "measurement": {"type": "string", "value": "m"}, "condition": {"type": "lambda", "value": "TRUE"},
        });
        vars[name] = var;
        vars
    };
    let cases = [
        ("limit", json!({"type": "int", "value": 1}), "invalid type supplied for limit, got int exp float"),
        ("limit", json!({"type": "float", "value": "1"}), "invalid JSON"),
        ("least", json!({"type": "int", "value": 7.5}), "invalid JSON"),
        ("wanted", json!({"type": "bool", "value": "yes"}), "invalid var wanted"),
        ("skipped", json!({"type": "regex", "value": "("}), "invalid var skipped"),
        ("condition", json!({"type": "lambda", "value": "1 +"}), "invalid var condition"),
        ("pause", json!({"type": "duration", "value": "1 minute"}), "invalid JSON"),
        ("groups", json!({"type": "list", "value": [{"type": "int", "value": 1}]}), "invalid var groups"),
        ("measurement", json!({"type": "string"}), "invalid var measurement"),
        ("measurement", json!({"type": "text", "value": "m"}), "invalid JSON"),
    ];
    for (name, var, why) in cases {
        refused(with(name, var), why);
    }
    assert_eq!(call(&server, "GET", &format!("{TASKS}/x"), &Value::Null).status, 404);
}

/// Two tasks of one template that count points, and have counted some.
fn two_tasks() -> Server {
    let server = Server::start(2, &[]).unwrap();
    let script = "var n = 'a'\nstream|from().measurement('cpu')|stateCount(lambda: TRUE)|httpOut('counts')";
    assert_eq!(call(&server, "POST", TEMPLATES, &json!({"id": "t", "script": script})).status, 200);
    define_task(&server, "first", "t", &json!({}));
    let vars = json!({"n": {"type": "string", "value": "b"}, "order": {"type": "string", "value": "{{"}});
    define_task(&server, "second", "t", &vars);
    count(&server, 1);
    server
}

/// Writes a point and waits until both tasks have counted so many.
fn count(server: &Server, points: u64) {
    assert_eq!(server.write("d", "r", &format!("cpu v=1 {points}")).unwrap().status, 204);
    for task in ["first", "second"] {
        let counted = || server.highest_count(task) == points;
        assert!(until(Duration::from_secs(10), counted), "{task}: {:?} of {points}", server.counts(task));
    }
}

/// Both tasks run with the script that they had, and say so.
fn both_are_as_before(server: &Server) {
    for task in ["first", "second"] {
        let task = get(server, &format!("{TASKS}/{task}"));
        assert_eq!(
            (&task["executing"], &task["error"], &task["status"]),
            (&json!(true), &json!(""), &json!("enabled"))
        );
        assert!(task["script"].as_str().unwrap().contains("stateCount"), "{task}");
        assert!(task["dot"].as_str().unwrap().contains("state_count2"), "{task}");
    }
}

#[test]
fn a_change_that_a_task_cannot_follow_leaves_all_of_them_running() {
    let server = two_tasks();
    let changes = [
        // No value for a var.
        "var n = 'a'\nvar limit float\nstream|from()|where(lambda: \"v\" > limit)|httpOut(n)",
        // The type of a value that one task has.
        "var n = 1\nstream|from()|sample(n)|httpOut('o')",
        // What only a start finds.
        "var n = 'a'\nstream|from()|window()|count('v')|httpOut(n)",
    ];
    for script in changes {
        let answer = call(&server, "PATCH", &format!("{TEMPLATES}/t"), &json!({"script": script}));
        assert_eq!(answer.status, 500, "{}", answer.text());
        assert!(answer.text().contains("error reloading associated task "), "{}", answer.text());
        both_are_as_before(&server);
    }
    // They were never stopped: they go on counting where they were.
    count(&server, 2);
    // A script that is none reaches no task at all.
    let answer = call(&server, "PATCH", &format!("{TEMPLATES}/t"), &json!({"script": "stream|form()"}));
    assert_eq!(answer.status, 400, "{}", answer.text());
    count(&server, 3);
}

#[test]
fn a_change_that_the_data_plane_refuses_is_taken_back_from_the_tasks_that_followed() {
    let mut server = two_tasks();
    // The second task would have a template that does not parse, which its start finds; the first has started by then.
    let folder = tempfile::tempdir().unwrap();
    let source = format!("file://{}", folder.path().display());
    let script =
        format!("var order = 'x'\nstream|from().measurement('cpu')|sideload().source('{source}').order(order)|log()");
    let answer = call(&server, "PATCH", &format!("{TEMPLATES}/t"), &json!({"script": script}));
    assert_eq!(answer.status, 500, "{}", answer.text());
    assert!(answer.text().contains("error reloading associated task second: "), "{}", answer.text());
    assert!(answer.text().contains("unclosed action"), "{}", answer.text());
    both_are_as_before(&server);
    // Started anew, with the old script: also after another start of the control plane.
    count(&server, 1);
    farad_tests::process::signal(server.control_pid(), "KILL");
    assert!(server.wait(Duration::from_secs(10)).unwrap().is_some());
    server.restart_control().unwrap();
    server.wait_until_up(Duration::from_secs(20)).unwrap();
    both_are_as_before(&server);
    count(&server, 2);
}

#[test]
fn a_task_moves_between_templates_and_follows_the_one_it_has() {
    let server = Server::start(1, &[]).unwrap();
    for name in ["a", "b"] {
        let script = format!("stream|from()|httpOut('{name}')");
        assert_eq!(call(&server, "POST", TEMPLATES, &json!({"id": name, "script": script})).status, 200);
    }
    define_task(&server, "x", "a", &json!({}));
    let endpoint = |name: &str| call(&server, "GET", &format!("{TASKS}/x/{name}"), &Value::Null).status;
    assert_eq!((endpoint("a"), endpoint("b")), (200, 404));
    let path = format!("{TASKS}/x");
    assert_eq!(call(&server, "PATCH", &path, &json!({"template-id": "b"})).json()["template-id"], "b");
    // The running instance stays until it is started anew.
    assert_eq!((endpoint("a"), endpoint("b")), (200, 404));
    call(&server, "PATCH", &path, &json!({"status": "disabled"}));
    call(&server, "PATCH", &path, &json!({"status": "enabled"}));
    assert_eq!((endpoint("a"), endpoint("b")), (404, 200));
    // From now on only changes of the new template reach it; its own time of change stays.
    let modified = get(&server, &path)["modified"].clone();
    call(&server, "PATCH", &format!("{TEMPLATES}/a"), &json!({"script": "stream|from()|httpOut('c')"}));
    assert_eq!(endpoint("b"), 200);
    call(&server, "PATCH", &format!("{TEMPLATES}/b"), &json!({"script": "stream|from()|httpOut('d')"}));
    assert_eq!((endpoint("b"), endpoint("d")), (404, 200));
    assert_eq!(get(&server, &path)["modified"], modified);
    assert_eq!(call(&server, "POST", TASKS, &json!({"id": "y", "template-id": "no"})).status, 400);
}

#[test]
fn a_template_does_not_take_the_databases_of_running_tasks_away() {
    let server = Server::start(1, &[]).unwrap();
    let with = "dbrp \"d\".\"r\"\nstream|from()|httpOut('one')";
    assert_eq!(call(&server, "POST", TEMPLATES, &json!({ "id": "t", "script": with })).status, 200);
    for (id, status) in [("runs", "enabled"), ("rests", "disabled")] {
        let task = json!({ "id": id, "template-id": "t", "status": status });
        assert_eq!(call(&server, "POST", TASKS, &task).status, 200);
    }
    let without = json!({ "script": "stream|from()|httpOut('two')" });
    let answer = call(&server, "PATCH", &format!("{TEMPLATES}/t"), &without);
    assert_eq!(answer.status, 500, "{}", answer.text());
    assert!(answer.text().contains("error reloading associated task runs: the task has no dbrps"), "{}", answer.text());
    let task = get(&server, &format!("{TASKS}/runs"));
    assert_eq!((&task["executing"], &task["dbrps"]), (&json!(true), &json!([{ "db": "d", "rp": "r" }])));
    assert_eq!(call(&server, "GET", &format!("{TASKS}/runs/one"), &Value::Null).status, 200);
}
