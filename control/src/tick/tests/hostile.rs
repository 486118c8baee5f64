//! Scripts that want to overflow a stack or the memory.

use std::time::{Duration, Instant};

use super::check;
use crate::tick::{format_script, parser::SCRIPT_BYTES_MAX};

/// A stack as small as any that a server runs scripts on.
const STACK_BYTES: usize = 2 << 20;

/// The script is refused, soon, with a message that says why.
fn refused(script: String, why: &str) {
    let shown: String = script.chars().take(40).collect();
    let started = Instant::now();
    let checked = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
        let message = check(&script).err().map(|error| error.to_string());
        let _ = format_script(&script);
        message
    });
    let message = checked.unwrap().join().unwrap();
    assert!(message.as_deref().is_some_and(|message| message.contains(why)), "{shown}: {message:?}");
    assert!(started.elapsed() < Duration::from_secs(20), "{shown}: {:?}", started.elapsed());
}

#[test]
fn a_script_of_ten_megabytes_is_refused() {
    refused("x".repeat(10 << 20), "bytes");
    refused(format!("var x = '{}'", "a".repeat(10 << 20)), "bytes");
}

#[test]
fn deep_parentheses_are_refused() {
    refused(format!("var x = {}1{}", "(".repeat(100_000), ")".repeat(100_000)), "nested deeper");
    refused(format!("stream|from().where(lambda: {}", "(".repeat(100_000)), "nested deeper");
}

#[test]
fn deep_lists_are_refused() {
    refused(format!("var x = {}{}", "[".repeat(100_000), "]".repeat(100_000)), "unexpected [");
}

#[test]
fn long_runs_of_signs_are_refused() {
    refused(format!("var x = {}1", "-".repeat(100_000)), "nested deeper");
    refused(format!("var x = {}TRUE", "!".repeat(100_000)), "nested deeper");
}

#[test]
fn deep_lambdas_and_calls_are_refused() {
    refused(format!("stream|eval({}", "lambda: ".repeat(100_000)), "unexpected lambda");
    refused(format!("stream{}", "|eval(stream".repeat(50_000)), "nested deeper");
    refused(format!("stream|eval(lambda: {}", "abs(".repeat(100_000)), "nested deeper");
    refused(format!("stream{}", "|a(b".repeat(100_000)), "nested deeper");
}

#[test]
fn long_sums_are_refused() {
    refused(format!("var x = 1{}", " + 1".repeat(100_000)), "nested deeper");
    refused(format!("stream|from().where(lambda: TRUE{})", " AND TRUE".repeat(50_000)), "nested deeper");
}

#[test]
fn long_chains_end_at_the_most_nodes_of_a_task() {
    refused(format!("stream|from(){}", "|log()".repeat(100_000)), "at most 1000 nodes");
    refused(format!("stream|from(){}|nothing()", ".quiet()".repeat(100_000)), "nothing");
    refused(format!("stream|from()|default(){}", ".tag('a','b')".repeat(50_000)), "at most 10000 properties");
}

#[test]
fn vars_that_double_are_refused() {
    let double = |first: &str, next: fn(usize) -> String| {
        let lines: Vec<String> = (1..60).map(|n| format!("var x{n} = {}", next(n - 1))).collect();
        format!("stream|from()\nvar x0 = {first}\n{}", lines.join("\n"))
    };
    refused(double("'aaaaaaaaaaaaaaaa'", |n| format!("x{n} + x{n}")), "too large");
    refused(double("['a']", |n| format!("[x{n}, x{n}]")), "too large");
    refused(double("lambda: \"v\" + 1.0", |n| format!("lambda: x{n} + x{n}")), "too large");
}

#[test]
fn regular_expressions_are_counted() {
    let many = "\nvar b = /\\w{100}/".repeat(20_000);
    refused(format!("stream|from(){many}"), "regular expressions");
}

#[test]
fn text_that_is_no_script_is_refused() {
    let broken =
        ["var x = 'abc", "stream|from(", "\u{feff}stream|from()", "stream|from().measurement('a'", "\0", "'", "/", "_"];
    for script in broken {
        assert!(check(script).is_err(), "{script:?}");
        assert_eq!(format_script(script), script);
    }
    const { assert!(SCRIPT_BYTES_MAX <= 4 << 20) };
}

#[test]
fn no_row_of_tokens_brings_the_compiler_down() {
    let words = [
        "stream", "|", "from", "(", ")", ".", "lambda:", "'a'", "\"", "'", "/", "=~", "1", "1s", "[", "é", "//", "\n",
        "@", "var", "=", "x", ",", "dbrp", "-", "*",
    ];
    let mut state = 1_u64;
    for _ in 0..20_000 {
        let mut script = String::new();
        for _ in 0..12 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            script += words[(state >> 33) as usize % words.len()];
        }
        if let Err(error) = check(&script) {
            for found in error.diagnostics {
                assert!(found.render("x", &script).starts_with("error: "), "{script:?}");
            }
        }
        let _ = format_script(&script);
    }
}
