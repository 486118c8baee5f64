//! What the findings say and propose.

use super::check;
use crate::tick::{Options, compile, compile_template, udf::Udfs};

/// Message and help of the first finding.
fn first(script: &str) -> (String, String) {
    let error = check(script).unwrap_err();
    let found = error.diagnostics.into_iter().next().unwrap();
    (found.message, found.help.unwrap_or_default())
}

#[test]
fn misspelt_words_come_with_the_right_one() {
    let cases = [
        ("stream|form()", "did you mean |from?"),
        ("stream|from()|widnow()", "did you mean |window?"),
        ("stream|from().mesurement('a')", "did you mean .measurement?"),
        ("stream|from()|alert().slak()", "did you mean .slack?"),
        ("stream|from()|alert().slack().chanel('x')", "did you mean .channel?"),
        ("stream|from()|influxdbOut()", "did you mean |influxDBOut?"),
        ("var s = stream|from()\nvar m = s.mesurement", "did you mean .measurement?"),
        ("stream|from()\nvar threshold = 5\nvar x = treshold", "did you mean threshold?"),
        ("stream|from()\nvar x = true", "the literal is TRUE"),
        (
            "stream|from().measurement(string(1))",
            "string is a function of lambdas and of arithmetic, as in 0 + string(…)",
        ),
        ("stream|from().where(lambda: \"a\" && \"b\")", "the operator is AND"),
        ("stream|from().where(lambda: \"a\" || \"b\")", "the operator is OR"),
        ("stream|from().where(lambda: NOT \"a\")", "the operator is !"),
        ("stream|from().where(lambda: \"a\" = 1)", "equality is =="),
        ("stream|from()|deadman(0, 1s)", "write 0.0 for a float"),
        ("stream|from()|window().period('10s')", "write 10s for a duration"),
        ("stream|from().where('a')", "write lambda: in front of an expression"),
        ("stream|from().measurement(\"cpu\")", "write 'cpu' for a string"),
        ("var x = (1 + 2\nstream|from()", "the ( at line 1 char 9 is still open"),
        ("stream|from().groupBy(['a', 'b')", ""),
        ("stream|from().where(lambda: (\"a\" > 1)", "the ( at line 1 char 20 is still open"),
        ("stream\n|from().truncate(1m\n.measurement('a')", "the ( at line 2 char 17 is still open"),
        ("stream|from().measurement('a)", "its closing delimiter is missing"),
        (
            "stream|from().measurement('a)\n.where(lambda: \"b\" == 'c')",
            "the string at line 1 char 27 goes on to here: does it lack its closing quote?",
        ),
        ("stream|from().measurement(cpu)", "write 'cpu' for a string, \"cpu\" for a field or tag in a lambda"),
        ("stream|from().where(\"a\" == 'b')", "write lambda: in front of an expression of fields and tags"),
        ("stream|from()|eval(\"b\").as('x')", "write lambda: \"b\""),
        ("stream|from()|window().period(10)", "a duration has a unit: 10s for seconds, 10m for minutes"),
        ("stream|from()|window().periodCount('10')", "write 10 for an integer"),
        ("stream|from()|deadman('5', 1s)", "write 5.0 for a float"),
        ("stream|from()|barrier().delete('true')", "write TRUE"),
        ("stream|from()|window().period(1h30m)", "a duration has one unit: 90m, not 1h30m"),
        ("stream|from().where(lambda: \"a\" => 1)", "greater or equal is >="),
        ("stream|from().where(lambda: \"a\" =< 1)", "less or equal is <="),
        ("stream|from()|eval(lambda: \"a\" ? 1 : 2)", "a choice is written if(condition, one, other)"),
        ("stream|from();", "statements need no separator"),
        ("# a comment\nstream|from()", "comments begin with //"),
        ("dbrp telegraf.autogen\nstream|from()", "names of databases and retention policies have double quotes"),
        ("select x", "begin with stream|from() or batch|query('…')"),
    ];
    for (script, help) in cases {
        assert_eq!(first(script).1, help, "{script}: {}", first(script).0);
    }
}

#[test]
fn a_bad_regular_expression_says_why() {
    assert!(first("stream|from().where(lambda: \"a\" =~ /a(b/)").0.ends_with("regexp: unclosed group: `a(b`"));
}

#[test]
fn double_quotes_for_a_string_are_explained() {
    let (message, _) = first("stream|from().measurement(\"cpu\")");
    assert!(message.contains("did you use double quotes instead of single quotes?"), "{message}");
}

#[test]
fn the_other_operator_is_named() {
    let (message, _) = first("stream.from()");
    assert!(message.contains("no property method \"from\""), "{message}");
    assert!(message.contains("chaining method does exist. Use '|' operator instead: 'node|from(..)'."), "{message}");
    let (message, _) = first("stream|from()|measurement('a')");
    assert!(message.contains("no chaining method \"measurement\""), "{message}");
    let (message, _) = first("stream|from()@window()");
    assert!(message.contains("no UDF \"window\""), "{message}");
}

#[test]
fn several_errors_are_found_at_once() {
    let places = |script: &str| -> Vec<(usize, usize)> {
        let found = check(script).unwrap_err().diagnostics.into_iter();
        found.filter_map(|found| found.position).map(|at| (at.line, at.char)).collect()
    };
    assert_eq!(places("var a = )\nvar b = 1\nvar c = ]\nstream|from()"), [(1, 9), (3, 9)]);
    // Of statements, of properties in one chain, and not of what depends on a failed one.
    let script =
        "var a = stream|form()\nvar b = a|log()\nb|log()\nvar c = stream|from()\n  .measurement(1)\n  .foo()\nc|bar()";
    assert_eq!(places(script), [(1, 16), (5, 4), (6, 4), (7, 3)]);
    assert_eq!(places("stream|from()|eval(lambda: 1)|barrier()").len(), 2);
}

#[test]
fn what_is_accepted_and_hardly_meant_is_a_warning() {
    let warnings = |script: &str| check(script).unwrap().warnings;
    let found = warnings("stream|from()|eval(lambda: strLenght(\"a\"), lambda: \"v\" > 1).as('x', 'y')");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].help.as_deref(), Some("did you mean strLength?"));
    assert!(found[0].message.contains("line 1 char 28"), "{}", found[0].message);
    assert_eq!(warnings("stream|from()|where(lambda: 1 > TRUE)").len(), 1);
    let helps = [
        ("stream|from()|where(lambda: \"v\" =~ 'a/b')", "write /a\\/b/"),
        ("stream|from()|where(lambda: \"cpu\" == \"cpu-total\")", "write 'cpu-total' if a string is meant"),
        ("stream|from()|eval(lambda: round(\"v\")).as('x')", "write floor(x + 0.5)"),
    ];
    for (script, help) in helps {
        assert_eq!(warnings(script).first().and_then(|found| found.help.as_deref()), Some(help), "{script}");
    }
    let says = |script: &str, what: &str| {
        let found = warnings(script);
        assert!(found.len() == 1 && found[0].message.contains(what), "{script}: {found:?}");
    };
    says("stream|from()|where(lambda: if(\"v\" > 5, TRUE))", "if takes 3 arguments, got 2");
    says("var p = 5 m\nstream|from()|log()", "line 1 char 11: this does nothing");
    says("stream|from()|alert().message('{{ .ID }')", "the task cannot start: alert2: message: ");
    assert!(warnings("stream|from()|where(lambda: \"v\" > 1)").is_empty());
}

#[test]
fn a_start_that_will_fail_is_a_warning() {
    let found = check("stream|from()|window()|count('v')").unwrap().warnings;
    assert_eq!(found.len(), 1);
    assert!(found[0].message.contains("line 1 char 15: the task cannot start: window node must have"), "{found:?}");
    // Without values for its vars nothing can be said of a template's start.
    let template = compile_template("var p duration\nstream|from()|window().period(p)|count('v')", &Udfs::Any).unwrap();
    assert!(template.compiled.warnings.is_empty());
}

#[test]
fn values_for_vars_that_do_not_exist_are_warned_of() {
    let vars = serde_json::from_str(r#"{"treshold":{"type":"int","value":1}}"#).unwrap();
    let script = "var threshold = 5\nstream|from().where(lambda: \"v\" > threshold)";
    let found = compile(script, Options { vars: &vars }).unwrap().warnings;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].help.as_deref(), Some("did you mean threshold?"));
}

#[test]
fn scripts_that_write_a_point_for_everything_are_told_of_every_place() {
    let error = check("stream\n  .from().measurement('m')\n  .groupBy('a')\n  .window()\n  .log()").unwrap_err();
    let places = error.diagnostics.iter().filter_map(|found| found.position).map(|at| at.line);
    assert_eq!(places.collect::<Vec<_>>(), [2, 4, 5]);
    assert!(error.diagnostics.iter().all(|found| found.message.contains("Use '|' operator instead")));
}

#[test]
fn findings_are_told_to_programs_with_place_and_expectation() {
    let error = check("stream|from()\n  |where(lambda: \"a\" > )").unwrap_err();
    let found = serde_json::to_value(&error.diagnostics[0]).unwrap();
    assert_eq!(found["severity"], "error");
    assert_eq!(found["position"], serde_json::json!({ "line": 2, "char": 24 }));
    assert_eq!(found["span"], serde_json::json!({ "start": 37, "end": 38 }));
    assert!(found["expected"].as_array().unwrap().contains(&"number".into()), "{found}");
}

#[test]
fn a_check_without_a_server_takes_any_function_of_the_configuration() {
    let script = "var size int\nstream|from()@anomaly().field('v').size(size)|log()";
    let template = compile_template(script, &Udfs::Any).unwrap();
    assert_eq!(template.compiled.pipeline.nodes[2].name, "anomaly2");
    assert!(compile_template(script, &Udfs::default()).is_err());
}
