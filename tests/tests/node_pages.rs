//! The pages of `docs/nodes`: every example compiles, and gives what its page says.

#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

use farad_tests::server::{Server, until};

/// What a page shows.
#[derive(Default)]
struct Page {
    script: String,
    lines: String,
    json: String,
}

/// The pages by name.
fn pages() -> BTreeMap<String, Page> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/nodes");
    let mut pages = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if name == "README" {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let block = |language: &str| {
            let (_, rest) = text.split_once(&format!("```{language}\n"))?;
            Some(rest.split_once("```")?.0.to_owned())
        };
        let script = block("tick").unwrap_or_else(|| panic!("{name} has no example"));
        let page = Page { script, lines: block("lines").unwrap_or_default(), json: block("json").unwrap_or_default() };
        pages.insert(name, page);
    }
    pages
}

fn define(server: &Server, name: &str, script: &str, status: &str) -> (u16, String) {
    let definition = serde_json::json!({
        "id": name, "type": "stream", "status": status, "script": script, "dbrps": [{"db": name, "rp": "autogen"}],
    });
    let answer = server.call("POST", "/kapacitor/v1/tasks", Some(&definition.to_string())).unwrap();
    (answer.status, answer.text())
}

#[test]
fn every_example_is_a_task() {
    let server = Server::start(1, &[]).unwrap();
    for (name, page) in pages() {
        // Functions are those of a configuration, which this server has not.
        let expected = if name == "udf" { 400 } else { 200 };
        let answer = define(&server, &name, &page.script, "disabled");
        assert_eq!(answer.0, expected, "{name}: {}", answer.1);
    }
}

#[test]
fn what_a_page_shows_is_what_comes_out() {
    let server = Server::start(2, &[]).unwrap();
    let shown: Vec<_> = pages().into_iter().filter(|(_, page)| !page.lines.is_empty()).collect();
    assert!(shown.len() > 30);
    for (name, page) in &shown {
        let answer = define(&server, name, &page.script, "enabled");
        assert_eq!(answer.0, 200, "{name}: {}", answer.1);
        assert_eq!(server.write(name, "autogen", &page.lines).unwrap().status, 204, "{name}");
    }
    for (name, page) in &shown {
        let expected: serde_json::Value = serde_json::from_str(&page.json).unwrap();
        let out = || {
            let answer = server.call("GET", &format!("/kapacitor/v1/tasks/{name}/out"), None).unwrap();
            serde_json::from_str::<serde_json::Value>(&answer.text()).unwrap_or_default()
        };
        assert!(until(Duration::from_secs(10), || out() == expected), "{name}: {:#} is not {expected:#}", out());
    }
}

#[test]
fn every_node_of_the_language_has_a_page() {
    let methods = [
        "stream",
        "from",
        "where",
        "groupBy",
        "eval",
        "default",
        "delete",
        "window",
        "count",
        "sum",
        "mean",
        "median",
        "mode",
        "spread",
        "stddev",
        "first",
        "last",
        "min",
        "max",
        "percentile",
        "distinct",
        "top",
        "bottom",
        "holtWinters",
        "holtWintersWithFit",
        "elapsed",
        "difference",
        "cumulativeSum",
        "movingAverage",
        "sample",
        "shift",
        "derivative",
        "changeDetect",
        "stateDuration",
        "stateCount",
        "flatten",
        "combine",
        "trickle",
        "join",
        "union",
        "barrier",
        "stats",
        "deadman",
        "alert",
        "log",
        "httpOut",
        "httpPost",
        "influxDBOut",
        "kapacitorLoopback",
        "k8sAutoscale",
        "swarmAutoscale",
        "ec2Autoscale",
        "sideload",
        "udf",
    ];
    let pages = pages();
    for method in methods {
        assert!(pages.contains_key(method), "{method} has no page");
    }
}
