//! Scripts of the behaviour cases: what formats to what, what is refused and where, what the graph looks like.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Value, json};

use crate::{
    task::{Definition, sole_dbrps},
    tick::{Options, Template, compile, compile_template, dot, format_script, udf::Udfs, vars::Vars},
};

/// Cases whose standard form is not its own standard form, by the rules of the language: where a break moves an operator
/// to another line the second run breaks there, too, and a comment in a lambda loses the blanks of an empty line.
const NOT_IDEMPOTENT: [&str; 3] =
    ["format_nested_chain_argument", "format_newline_in_binary", "format_comment_inside_lambda"];

/// Cases by area and name; of all areas if none is named.
fn cases(areas: &[&str]) -> Vec<(String, std::path::PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases");
    let mut cases = Vec::new();
    for area in std::fs::read_dir(root).unwrap().flatten() {
        let area_name = area.file_name().to_string_lossy().into_owned();
        if !areas.is_empty() && !areas.contains(&area_name.as_str()) {
            continue;
        }
        for case in std::fs::read_dir(area.path()).unwrap().flatten() {
            cases.push((format!("{area_name}/{}", case.file_name().to_string_lossy()), case.path()));
        }
    }
    assert!(!cases.is_empty());
    cases
}

/// A request of a case and what is expected of it.
struct Step {
    method: String,
    path: String,
    id: String,
    body: Value,
    status: u64,
    answer: Value,
}

fn steps(case: &Path) -> Vec<Step> {
    let text = std::fs::read_to_string(case.join("steps.json")).unwrap_or_else(|_| "[]".to_owned());
    let steps: Vec<Value> = serde_json::from_str(&text).unwrap();
    let step = |step: Value| {
        let request = &step["request"];
        let path = request["path"].as_str().unwrap_or_default().to_owned();
        let last = path.rsplit('/').next().and_then(|last| last.split('?').next()).unwrap_or_default();
        Step {
            method: request["method"].as_str().unwrap_or_default().to_owned(),
            id: request["body"]["id"].as_str().unwrap_or(last).to_owned(),
            body: request["body"].clone(),
            status: step["response"]["status"].as_u64().unwrap_or_default(),
            answer: step["response"]["body"].clone(),
            path,
        }
    };
    steps.into_iter().map(step).collect()
}

impl Step {
    /// The script that a request defines, if it is its own and not a template's.
    fn script(&self) -> Option<&str> {
        // An empty one changes nothing.
        let script = self.body["script"].as_str().filter(|script| self.method != "PATCH" || !script.is_empty());
        script.filter(|_| self.body.get("template-id").is_none())
    }

    fn is_template(&self) -> bool {
        self.path.contains("/templates")
    }

    /// Whether the script of the request stays: a template keeps one that its tasks cannot run.
    fn keeps_script(&self) -> bool {
        self.status == 200 || self.status == 500 && self.is_template()
    }

    /// What the request does: the text of the error, if it is refused.
    fn outcome(&self, script: &str) -> Result<(), String> {
        if self.is_template() {
            return compile_template(script, &Udfs::default()).map(|_| ()).map_err(|error| error.to_string());
        }
        let definition = Definition::read(self.body.to_string().as_bytes()).map_err(|error| error.to_string())?;
        let vars = definition.vars.unwrap_or_default();
        let compiled = compile(script, Options { vars: &vars }).map_err(|error| error.to_string())?;
        sole_dbrps(&compiled.dbrps, definition.dbrps.unwrap_or_default()).map(|_| ()).map_err(str::to_owned)
    }
}

/// Whether an expected string, literal or a pattern, is met.
fn fits(expected: &str, actual: &str) -> bool {
    match expected.strip_prefix("<re:").and_then(|rest| rest.strip_suffix('>')) {
        Some(pattern) => regex::Regex::new(&format!("(?s)^(?:{pattern})$")).unwrap().is_match(actual),
        None => expected == actual,
    }
}

#[test]
fn scripts_are_formatted_as_recorded() {
    let mut pairs = 0;
    for (case, path) in cases(&[]) {
        let mut scripts = BTreeMap::new();
        for step in steps(&path) {
            if !step.keeps_script() || step.path.contains("raw") {
                continue;
            }
            if let ("POST" | "PATCH", Some(script)) = (step.method.as_str(), step.script()) {
                scripts.insert(step.id.clone(), script.to_owned());
            }
            let Some(expected) = step.answer["script"].as_str() else { continue };
            if let Some(raw) =
                scripts.get(&step.id).filter(|_| step.answer["template-id"].as_str().unwrap_or("").is_empty())
            {
                pairs += 1;
                assert_eq!(format_script(raw), expected, "{case}");
                if !NOT_IDEMPOTENT.iter().any(|name| case.ends_with(name)) {
                    assert_eq!(format_script(expected), expected, "{case}, twice");
                }
            }
        }
    }
    assert!(pairs > 60, "{pairs} pairs");
}

#[test]
fn scripts_are_accepted_and_refused_as_recorded() {
    let (mut checked, mut wrong) = (0, Vec::new());
    for (case, path) in cases(&[]) {
        for step in steps(&path) {
            let Some(script) = step.script().filter(|_| step.method == "POST") else { continue };
            // Other things than the script are refused there as well.
            if step.status == 400 && case.starts_with("api/") {
                continue;
            }
            checked += 1;
            let outcome = step.outcome(script);
            match (&outcome, step.answer["error"].as_str()) {
                (Err(message), Some(expected)) if step.status == 400 => {
                    if !fits(expected, message) {
                        wrong.push(format!("{case}: {script:?} gives {message:?}, not {expected:?}"));
                    }
                }
                (Ok(()), _) if step.status != 400 => {}
                _ => wrong.push(format!("{case}: {} for {script:?}, {} gives {outcome:?}", step.status, step.body)),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 300, "{checked} scripts");
}

/// Whether a case expects that its definition is refused.
fn expected_refusal(case: &Path) -> bool {
    let expected = std::fs::read_to_string(case.join("expected.json")).unwrap();
    serde_json::from_str::<Value>(&expected).unwrap()["define"]["status"] == 400
}

/// The vars that a case supplies.
fn vars(case: &Path) -> Vars {
    let text = std::fs::read_to_string(case.join("case.toml")).unwrap_or_default();
    let mut settings: Value = toml::from_str(&text).unwrap();
    serde_json::from_value(settings["vars"].take()).unwrap_or_default()
}

#[test]
fn scripts_of_all_streams_are_tasks() {
    let mut checked = 0;
    for (case, path) in cases(&[]) {
        let Ok(script) = std::fs::read_to_string(path.join("task.tick")) else { continue };
        checked += 1;
        let refused = expected_refusal(&path);
        match (compile(&script, Options { vars: &vars(&path) }), refused) {
            (Ok(_), false) | (Err(_), true) => {}
            (outcome, refused) => panic!("{case}: refused: {refused}, {:?}", outcome.map(|_| ())),
        }
    }
    assert!(checked > 400, "{checked} scripts");
}

#[test]
fn graphs_are_drawn_as_recorded() {
    let mut checked = 0;
    for (case, path) in cases(&["api", "language", "node_stats"]) {
        let mut graphs = BTreeMap::new();
        for step in steps(&path) {
            let defines = step.method == "POST" || step.method == "PATCH" && step.is_template();
            if let Some(script) = step.script().filter(|_| defines && step.keeps_script()) {
                let compiled = match step.is_template() {
                    true => compile_template(script, &Udfs::default()).map(|Template { compiled, .. }| compiled),
                    false => super::check(script),
                };
                if let Ok(compiled) = compiled {
                    graphs.insert(step.id.clone(), dot::plain(&step.id, &compiled.pipeline));
                }
            }
            let stands = step.answer["executing"] != true && step.method != "PATCH";
            let expected = step.answer["dot"].as_str().filter(|text| stands && text.starts_with("digraph"));
            if let (Some(expected), Some(graph)) = (expected, graphs.get(&step.id)) {
                checked += 1;
                assert_eq!(graph, expected, "{case}");
            }
        }
    }
    assert!(checked > 15, "{checked} graphs");
}

#[test]
fn vars_of_templates_are_shown_as_recorded() {
    let mut checked = 0;
    for (case, path) in cases(&["api", "language"]) {
        for step in steps(&path) {
            let Some(script) = step.script().filter(|_| step.method == "POST" && step.is_template()) else { continue };
            let Some(expected) = step.answer.get("vars") else { continue };
            checked += 1;
            let template = compile_template(script, &Udfs::default()).unwrap();
            assert_eq!(&json!(template.vars), expected, "{case}");
        }
    }
    assert!(checked > 2, "{checked} templates");
}
