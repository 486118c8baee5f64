//! Scripts of the behaviour cases: what formats to what, and what is refused.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;

use super::{Options, compile, format_script};

fn cases() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases")
}

/// Pairs of a script that a case defines and its standard form that the case expects.
fn format_pairs() -> Vec<(String, String, String)> {
    let mut pairs = Vec::new();
    for folder in std::fs::read_dir(cases().join("language")).unwrap().flatten() {
        let Ok(steps) = std::fs::read_to_string(folder.path().join("steps.json")) else { continue };
        let steps: Vec<Value> = serde_json::from_str(&steps).unwrap();
        let mut scripts = BTreeMap::new();
        for step in &steps {
            let (request, response) = (&step["request"], &step["response"]["body"]);
            if let (Some(id), Some(script)) = (request["body"]["id"].as_str(), request["body"]["script"].as_str()) {
                scripts.insert(id.to_owned(), script.to_owned());
            }
            let path = request["path"].as_str().unwrap_or_default();
            let id = path.rsplit('/').next().unwrap_or_default().split('?').next().unwrap_or_default();
            let formatted = request["method"] == "GET" && !path.contains("raw") && path.contains("/tasks/");
            if let (true, Some(raw), Some(script)) = (formatted, scripts.get(id), response["script"].as_str()) {
                pairs.push((folder.file_name().to_string_lossy().into_owned(), raw.clone(), script.to_owned()));
            }
        }
    }
    pairs
}

#[test]
fn scripts_are_formatted_as_recorded() {
    let pairs = format_pairs();
    assert!(pairs.len() > 15, "{} pairs", pairs.len());
    for (case, raw, expected) in pairs {
        assert_eq!(format_script(&raw), expected, "{case}");
        // Where a line break moves an operator to another line, a second run breaks there, too: so do the original's rules.
        if !["format_nested_chain_argument", "format_newline_in_binary"].contains(&case.as_str()) {
            assert_eq!(format_script(&expected), expected, "{case}, twice");
        }
    }
}

#[test]
fn hostile_scripts_are_refused_and_nothing_overflows() {
    let scripts = [
        format!("var x = {}1{}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("var x = 1{}", " + 1".repeat(100_000)),
        format!("stream{}", "|log()".repeat(100_000)),
        format!("var x = {}1", "-".repeat(100_000)),
        format!("stream{}", "|a(b".repeat(100_000)),
        "x".repeat(10 << 20),
        "var x = 'abc".to_owned(),
        "stream|from(".to_owned(),
        "\u{feff}stream|from()".to_owned(),
        "stream|from().measurement('a'".to_owned(),
    ];
    for script in scripts {
        let shown: String = script.chars().take(40).collect();
        assert!(compile(&script, Options { vars: &BTreeMap::new() }).is_err(), "{shown}");
        let _ = format_script(&script);
    }
}

#[test]
fn several_errors_are_found_at_once() {
    let script = "var a = )\nvar b = 1\nvar c = ]\nstream|from()";
    let error = compile(script, Options { vars: &BTreeMap::new() }).unwrap_err();
    let places: Vec<_> =
        error.diagnostics.iter().filter_map(|found| found.position).map(|at| (at.line, at.char)).collect();
    assert_eq!(places, [(1, 9), (3, 9)]);
}
