//! The examples of the documents: every block of code in them is what it says it is.

use std::path::Path;

use super::check;
use crate::tick::{Options, compile, compile_template, format_script, manual, udf::Udfs, vars::Vars};

fn document(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)).unwrap()
}

/// The fenced blocks of a document: the words behind the fence, and the text.
fn blocks(document: &str) -> Vec<(&str, &str)> {
    let fenced = document.split("```").skip(1).step_by(2);
    fenced.map(|block| block.split_once('\n').unwrap()).collect()
}

#[test]
fn every_example_of_the_language_is_what_it_says() {
    let document = document("tickscript.md");
    let (mut scripts, mut template) = (0, "");
    for (word, text) in blocks(&document) {
        match word.split_once(' ').unwrap_or((word, "")) {
            ("tick", kind @ ("" | "formatted")) => {
                scripts += 1;
                let compiled = check(text).unwrap_or_else(|error| panic!("{text}: {error}"));
                assert!(compiled.warnings.is_empty(), "{text}: {:?}", compiled.warnings);
                assert!(kind.is_empty() || format_script(text) == text, "{}", format_script(text));
            }
            ("tick", "template") => {
                template = text;
                let vars = compile_template(text, &Udfs::default()).unwrap().vars;
                assert_eq!(vars["measurement"].description, "Which measurement to watch");
            }
            ("tick", error) => {
                let message = error.strip_prefix("error: ").unwrap();
                let said = check(text).map(|_| ()).unwrap_err().to_string();
                assert!(said.contains(message), "{text}: {said}");
            }
            ("json", _) => {
                let vars: Vars = serde_json::from_str(text).unwrap();
                compile(template, Options { vars: &vars }).unwrap();
            }
            ("text", _) => {
                let script = "stream|from()\n    |widnow()";
                let found = check(script).unwrap_err().diagnostics;
                assert_eq!(found[0].render("cpu.tick", script), text);
            }
            other => panic!("a block of {other:?}"),
        }
    }
    assert!(scripts >= 7, "{scripts} scripts");
}

#[test]
fn the_list_of_nodes_is_that_of_the_table() {
    assert_eq!(document("nodes.md"), manual::markdown(), "write it with: farad help nodes > docs/nodes.md");
}

#[test]
fn help_for_a_node_names_its_properties_and_handlers() {
    let window = manual::node("window").unwrap();
    assert!(window.contains("|window()") && window.contains(".period(duration)"), "{window}");
    let alert = manual::node("alert").unwrap();
    assert!(alert.contains(".slack()") && alert.contains(".channel(string)"), "{alert}");
    assert!(manual::node("nothing").is_none());
}
