//! Property: what the formatter writes parses to the tree that it was given.

use proptest::prelude::*;

use crate::tick::{format::format, parser::parse, settle_script};

fn blank() -> impl Strategy<Value = String> {
    prop_oneof![Just(" "), Just("  "), Just("\n"), Just("\t\n  ")].prop_map(str::to_owned)
}

/// Blanks, line breaks and comments; not before a binary operator, which a comment would turn into an operand.
fn space() -> impl Strategy<Value = String> {
    prop_oneof![4 => blank(), 1 => "[ a-z*/'\"]{0,8}".prop_map(|text| format!(" // {text}\n"))]
}

fn name() -> impl Strategy<Value = String> {
    "x[a-zé_0-9]{0,6}"
}

fn regex() -> impl Strategy<Value = String> {
    r"/([a-z.]|\\/){1,6}/"
}

fn literal() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<u32>().prop_map(|x| x.to_string()),
        "0[0-7]{1,5}",
        r"[0-9]{1,9}\.[0-9]{1,9}",
        r"[0-9]{1,4}\.",
        r"\.[0-9]{1,4}",
        "[0-9]{1,4}(u|µ|ms|s|m|h|d|w)",
        r#"'([a-z "\n\\é]|\\'){0,8}[a-z]'"#,
        r#"'''[a-z"\n\\]{0,8}'''"#,
        r#""([a-z '.]|\\"){1,8}""#,
        Just("TRUE".to_owned()),
        Just("FALSE".to_owned()),
        name(),
    ]
}

/// Arguments or items, with space before each.
fn listed(items: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let item = (space(), items).prop_map(|(space, item)| format!("{space}{item}"));
    prop::collection::vec(item, 0..4).prop_map(|items| items.join(","))
}

const OPERATORS: [&str; 13] = ["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "AND", "OR"];

fn binary() -> impl Strategy<Value = String> {
    literal().prop_recursive(5, 40, 3, |inner| {
        let operator = prop::sample::select(&OPERATORS[..]);
        let matching = prop::sample::select(&["=~", "!~"][..]);
        prop_oneof![
            3 => (inner.clone(), blank(), operator, space(), inner.clone())
                .prop_map(|(left, a, operator, b, right)| format!("{left}{a}{operator}{b}{right}")),
            1 => (inner.clone(), blank(), matching, regex())
                .prop_map(|(left, a, operator, regex)| format!("({left}{a}{operator} {regex})")),
            2 => (space(), inner.clone()).prop_map(|(space, inner)| format!("({space}{inner})")),
            1 => (prop::sample::select(&["-", "!"][..]), inner.clone()).prop_map(|(sign, inner)| format!("{sign}{inner}")),
            1 => (name(), listed(prop_oneof![3 => inner, 1 => regex()]))
                .prop_map(|(name, arguments)| format!("{name}({arguments})")),
        ]
    })
}

fn list() -> impl Strategy<Value = String> {
    let item = prop_oneof![name(), Just("*".to_owned()), Just("'a'".to_owned()), Just("'''b'''".to_owned())];
    listed(item).prop_map(|items| format!("[{items}]"))
}

fn argument() -> impl Strategy<Value = String> {
    let plain = prop_oneof![
        3 => binary(),
        2 => (space(), binary()).prop_map(|(space, body)| format!("lambda:{space}{body}")),
        1 => list(),
        1 => Just("*".to_owned()),
        1 => regex(),
    ];
    plain.prop_recursive(2, 12, 3, |inner| {
        (name(), name(), listed(inner)).prop_map(|(head, call, arguments)| format!("{head}|{call}({arguments})"))
    })
}

fn chain() -> impl Strategy<Value = String> {
    let sign = prop::sample::select(&["|", ".", "@"][..]);
    let link = (space(), sign, space(), name(), listed(argument()))
        .prop_map(|(a, sign, b, name, arguments)| format!("{a}{sign}{b}{name}({arguments})"));
    (name(), prop::collection::vec(link, 1..4)).prop_map(|(head, links)| format!("{head}{}", links.concat()))
}

fn statement() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => (space(), name(), blank(), prop_oneof![binary(), chain(), list()])
            .prop_map(|(space, name, blank, value)| format!("var{space}{name} ={blank}{value}")),
        1 => (space(), name(), space()).prop_map(|(a, name, b)| format!("var{a}{name}{b}int")),
        1 => ("[a-z.]{0,5}", "[a-z]{0,5}").prop_map(|(db, rp)| format!("dbrp \"{db}\".\"{rp}\"")),
        1 => (name(), listed(argument())).prop_map(|(name, arguments)| format!("{name}({arguments})")),
        3 => chain(),
    ]
}

fn script() -> impl Strategy<Value = String> {
    let line = (space(), statement()).prop_map(|(space, statement)| format!("{space}{statement}\n"));
    prop::collection::vec(line, 1..4).prop_map(|lines| lines.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn formatting_keeps_the_tree(script in script()) {
        let parsed = parse(&script);
        prop_assume!(parsed.diagnostics.is_empty());
        let formatted = format(&parsed.program);
        let again = parse(&formatted);
        prop_assert!(again.diagnostics.is_empty(), "{:?}\n{}", again.diagnostics, formatted);
        // Comments may move; from then on they stay.
        let twice = format(&again.program);
        prop_assert_eq!(formatted.matches("//").count(), twice.matches("//").count());
        prop_assert_eq!(again.program.bare(), parsed.program.bare(), "{}", formatted);
        // Where a break moves an operator to another line a second run breaks there, too, and that is all.
        let settled = settle_script(&script).unwrap();
        prop_assert_eq!(settle_script(&settled).unwrap(), settled);
    }
}

#[test]
fn functions_at_the_top_take_lambdas_and_lists() {
    assert_eq!(settle_script("f(lambda:(\"v\")>1,['a'])").unwrap(), "f(lambda: \"v\" > 1, ['a'])\n");
}

#[test]
fn a_break_spreads_over_a_long_condition_until_it_is_settled() {
    let script = format!("stream|from().where(lambda: \"a\" AND\n\"b\"{})", " AND \"c\"".repeat(50));
    let settled = settle_script(&script).unwrap();
    assert_eq!(settled.matches("AND\n").count(), 51);
    assert_eq!(settle_script(&settled).unwrap(), settled);
}

#[test]
fn comments_around_a_declared_name_stay() {
    let source = "var // of the name\nx = 1\nvar // of the typed\ny // of the type\nint\nstream|from()\n";
    let formatted = format(&parse(source).program);
    for comment in ["// of the name\nx = 1", "// of the typed\ny ", "// of the type\nint"] {
        assert!(formatted.contains(comment), "{formatted}");
    }
    assert_eq!(settle_script(source), settle_script(&formatted));
}

/// Behind a word a star multiplies, and in front of a sign it is none that can be read.
#[test]
fn a_star_that_is_an_operand_stands_in_parentheses() {
    for (source, expected) in [
        ("var x = (1 AND (*))", "var x = (1 AND (*))\n"),
        ("var x = 1 OR (*) == 2", "var x = 1 OR (*) == 2\n"),
        ("var x = 1 AND ((*) == 2)", "var x = 1 AND ((*) == 2)\n"),
        ("var x = -(*) == 2", "var x = -(*) == 2\n"),
        ("var x = (1 + (*)) == 2", "var x = (1 + *) == 2\n"),
        ("x * (*)", "x * *\n"),
        ("x\n// c\n* - 1", "x\n\n\n// c\n* - 1\n"),
        ("x\n// c\n* AND 1", "x\n\n\n// c\n* AND 1\n"),
        ("x\n// c\n* OR 1 + (*) == 2", "x\n\n\n// c\n* OR 1 + (*) == 2\n"),
        ("x * *\n* * *", "x * *\n\n*\n\n*\n\n*\n"),
        ("var x = lambda: (*)", "var x = lambda: (*)\n"),
        ("var x = lambda: (*) > 1", "var x = lambda: (*) > 1\n"),
        ("var x = 1 + (*) == 2", "var x = 1 + (*) == 2\n"),
        ("var x = (*)", "var x = *\n"),
    ] {
        let parsed = parse(source);
        assert!(parsed.diagnostics.is_empty(), "{source}: {:?}", parsed.diagnostics);
        let formatted = format(&parsed.program);
        assert_eq!(formatted, expected);
        assert_eq!(parse(&formatted).program.bare(), parsed.program.bare(), "{formatted}");
    }
}
