//! References, order of evaluation, results, what is found when (reference: tickscript §6, §8, §12).

use super::*;

#[test]
fn references_are_time_then_field_then_tag_then_earlier_result() {
    let mut row = row([("v", float(1.0)), ("time", text("no")), ("a b", int(2)), ("we\"ird", int(1))]).tag("host", "a");
    row.results = fields(&[("v", float(9.0)), ("host", int(9)), ("r", int(7))]);
    row.check(&[
        (r#"unixNano("time")"#, int(row.time)),
        (r#""v""#, float(1.0)),
        (r#""host""#, text("a")),
        (r#""r" + 1"#, int(8)),
        (r#""a b""#, int(2)),
        (r#""we\"ird""#, int(1)),
    ]);
    assert_eq!(error(&row, r#""nope""#), r#"missing value: "nope""#);
}

#[test]
fn field_and_tag_of_one_name_fail_wherever_they_stand() {
    let row = row([("usage", float(1.0)), ("host", text("b"))]).tag("host", "a");
    let expected = r#"cannot have field and tags with same name "host""#;
    assert_eq!(error(&row, r#""host" != ''"#), expected);
    assert_eq!(error(&row, r#""usage" > 0.0 OR "host" == 'a'"#), expected);
    row.check(&[(r#""usage" + 1.0"#, float(2.0))]);
}

#[test]
fn decided_logic_skips_the_right_side_if_its_form_is_bool() {
    let row = row([("on", boolean(false)), ("yes", boolean(true)), ("v", float(1.0))]);
    row.check(&[
        (r#""on" AND "nope" > 1.0"#, boolean(false)),
        (r#""yes" OR "nope" > 1.0"#, boolean(true)),
        (r#""on" AND !"nope""#, boolean(false)),
        (r#""v" > 5.0 AND "nope" + 1.0 > 2.0"#, boolean(false)),
        (r#""on" AND "yes""#, boolean(false)),
        (r#"FALSE AND ("nope" == 'a')"#, boolean(false)),
        (r#"isPresent("nope") AND "nope" > 10.0"#, boolean(false)),
    ]);
    row.refuse(&[
        r#""on" AND "nope""#,
        r#""on" AND -"nope""#,
        r#""on" AND {"nope"}"#,
        r#""on" AND "v""#,
        r#""on" AND 1"#,
        r#""v" > 5.0 AND "nope""#,
        r#""v" > 5.0 AND int('x')"#,
        r#""yes" OR "nope""#,
        r#""nope" > 1.0 OR "v" > 0.0"#,
        r#""yes" AND "nope" > 1.0"#,
    ]);
}

#[test]
fn a_skipped_call_needs_types_only() {
    let row = row([("on", boolean(false)), ("s", text("x"))]);
    // The conversion would fail, but its type is bool.
    row.check(&[(r#""on" AND bool("s")"#, boolean(false))]);
    row.refuse(&[r#"!"on" AND bool("s")"#, r#""on" AND bool("nope")"#, r#""on" AND undefined("s")"#]);
}

#[test]
fn texts_of_missing_values() {
    let row = row([("usage", float(1.0)), ("s", text("x"))]);
    let expected = [
        (r#""nope" > 1.0"#, r#"left reference value "nope" is missing value"#),
        (r#"1.0 < "nope""#, r#"right reference value "nope" is missing value"#),
        (r#""usage" + "nope""#, r#"right reference value "nope" is missing value"#),
        (r#""usage" + "nope" > 1.0"#, "invalid math operator + for type missing"),
        (r#""nope" =~ /a/"#, r#"left reference value "nope" is missing value"#),
        (r#"-"nope""#, r#"missing value: "nope""#),
        (
            r#"abs("nope") + "usage""#,
            r#"Cannot call function "abs" argument "nope" is missing, values in scope are ["usage"]"#,
        ),
        (r#"isPresent("nope" + 1.0)"#, r#"Failed to handle 1 argument: left reference value "nope" is missing value"#),
        (r#"round("usage")"#, r#"undefined function: "round""#),
        ("abs(1)", r#"Cannot call function "abs" with args (1: int), available signatures are [(float)]."#),
        (
            r#""usage" + 1"#,
            "mismatched type to binary operator. got float + int. see bool(), int(), float(), string(), duration()",
        ),
        (r#""s" - 'a'"#, "invalid math operator - for type string"),
        (r#""s" AND 'a'"#, "invalid logical operator AND for type string"),
        (
            r#""usage" =~ /1/"#,
            "mismatched type to binary operator. got float =~ regex. see bool(), int(), float(), string(), duration()",
        ),
        ("1 / 0", "runtime error: integer divide by zero"),
        (r#""time""#, "expression returned unexpected type time"),
        ("now()", "expression returned unexpected type time"),
        ("if(TRUE, /a/, /b/)", "expression returned unexpected type regex"),
    ];
    for (text, message) in expected {
        assert_eq!(error(&row, text), message, "{text}");
    }
    assert!(error(&row, r#"int("s")"#).starts_with(r#"error calling "int": "#));
}

#[test]
fn predicates_must_be_bool() {
    let on = |value: Value| row([("v", value)]).holds(r#""v""#).map_err(|error| error.to_string());
    assert_eq!(on(boolean(true)), Ok(true));
    assert_eq!(on(boolean(false)), Ok(false));
    let unexpected =
        |kind: &str| Err(format!("TypeGuard: expression returned unexpected type {kind}, expected boolean"));
    assert_eq!(on(float(1.0)), unexpected("float"));
    assert_eq!(on(int(1)), unexpected("int"));
    assert_eq!(on(text("true")), unexpected("string"));
    assert_eq!(row([]).holds("1").map_err(|error| error.to_string()), unexpected("int"));
    assert_eq!(row([]).holds(r#""v""#), Err(EvalError::Missing(name("v"))));
    assert_eq!(row([]).holds("TRUE"), Ok(true));
}

#[test]
fn types_are_looked_up_for_each_point() {
    let mut lambda = compiled(r#""v" + "v""#);
    let mut eval = |value: Value| lambda.eval(&row([("v", value)]).scope(), &mut State::default());
    assert_eq!(eval(int(2)), Ok(int(4)));
    assert_eq!(eval(float(2.5)), Ok(float(5.0)));
    assert_eq!(eval(text("2")), Ok(text("22")));
    assert!(eval(boolean(true)).is_err());
    assert!(eval(Value::Null).is_err() && eval(Value::Missing).is_err());
    assert_eq!(eval(int(3)), Ok(int(6)));
}

#[test]
fn null_fields_are_taken_by_nothing() {
    let row = row([("n", Value::Null)]);
    row.refuse(&[r#""n""#, r#"isPresent("n")"#, r#""n" == "n""#, r#"if(TRUE, "n", "n")"#, r#"string("n")"#]);
}

#[test]
fn wrong_constants_are_found_by_compiling() {
    let message = |text: &str| Lambda::compile(&expr(text)).map(|_| ()).map_err(|error| error.to_string());
    let mismatch = |what: &str| {
        format!("mismatched type to binary operator. got {what}. see bool(), int(), float(), string(), duration()")
    };
    assert_eq!(
        message(r#""v" > 0.0 AND 1 > TRUE"#),
        Err(format!("Failed to handle right node: {}", mismatch("int > boolean")))
    );
    assert_eq!(message("1s > 2"), Err(mismatch("duration > int")));
    assert_eq!(message(r#"("v" > 1.0) + 1"#), Err(mismatch("boolean + int")));
    assert_eq!(message("1.0 % 2.0"), Err("invalid math operator % for type float".to_owned()));
    assert_eq!(message("abs(1 > TRUE)"), Err(format!("Failed to handle 1 argument: {}", mismatch("int > boolean"))));
    assert!(message(r#"!"v" + 1"#).is_err() && message("3 > 2 > 1").is_err() && message("/a/ == /a/").is_err());
    for text in [r#""v" + 1 > TRUE"#, "1", "abs(1)", "round(1.0)", r#""v" AND 1"#, "!1", "1 / 0", "float(1) + 1"] {
        assert_eq!(message(text), Ok(()), "{text}");
    }
    assert!(message("'a' =~ /(/").is_err_and(|text| text.contains("error parsing regexp")));
}

#[test]
fn too_deep_trees_are_refused() {
    let nested = |levels: usize| {
        let literal = proto::Expr::Literal(proto::Value::Int(1));
        (1..levels).fold(literal, |below, _| proto::Expr::Unary(proto::expr::UnaryOp::Minus, Box::new(below)))
    };
    assert!(Lambda::compile(&nested(proto::limits::EXPR_DEPTH_MAX)).is_ok());
    assert!(matches!(Lambda::compile(&nested(proto::limits::EXPR_DEPTH_MAX + 1)), Err(CompileError::TooDeep)));
}
