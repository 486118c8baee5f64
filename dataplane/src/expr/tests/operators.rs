//! The operators (reference: tickscript §9).

use super::*;

#[test]
fn ints() {
    let row7 = row([("used", int(7))]);
    row7.check(&[
        (r#""used" + 3"#, int(10)),
        (r#""used" - 10"#, int(-3)),
        (r#""used" * -2"#, int(-14)),
        (r#""used" / 2"#, int(3)),
        (r#""used" / -2"#, int(-3)),
        (r#"-"used" / 2"#, int(-3)),
        (r#""used" % 3"#, int(1)),
        (r#"-"used" % 3"#, int(-1)),
        (r#""used" % -3"#, int(1)),
        (r#"--"used""#, int(7)),
    ]);
    let max = row([("n", int(i64::MAX))]);
    max.check(&[(r#""n" + 1"#, int(i64::MIN)), (r#""n" * 2"#, int(-2)), (r#"-"n""#, int(-i64::MAX))]);
    let min = row([("n", int(i64::MIN)), ("m", int(-1)), ("zero", int(0))]);
    min.check(&[
        (r#""n" - 1"#, int(i64::MAX)),
        (r#"-"n""#, int(i64::MIN)),
        (r#""n" / "m""#, int(i64::MIN)),
        (r#""n" % "m""#, int(0)),
    ]);
    for text in [r#""n" / "zero""#, r#""n" % "zero""#, r#"1s / "zero""#, r#"1m / duration("zero", 1s)"#] {
        assert_eq!(min.eval(text), Err(EvalError::DivideByZero));
    }
    assert_eq!(min.holds(r#""n" / "zero" > 1"#), Err(EvalError::DivideByZero));
}

#[test]
fn precedence() {
    row([("n", int(5))]).check(&[
        ("1 + 2 * 3", int(7)),
        ("10 - 3 - 2", int(5)),
        ("100 / 10 * 2", int(20)),
        ("2 * 7 % 4", int(2)),
        (r#"-"n" + 1"#, int(-4)),
        ("(TRUE OR TRUE) AND FALSE", boolean(false)),
        ("!FALSE AND FALSE", boolean(false)),
        (r#"1 + 1 == 2 AND "n" > 2"#, boolean(true)),
        (r#""n" < 2 == FALSE"#, boolean(true)),
        (r#"TRUE == "n" > 2"#, boolean(true)),
        ("FALSE == FALSE == FALSE", boolean(false)),
        (r#""n" - -3"#, int(8)),
        ("!!TRUE", boolean(true)),
    ]);
}

#[test]
fn floats() {
    row([("v", float(2.0)), ("idle", float(92.5))]).check(&[
        (r#""idle" + 0.25"#, float(92.75)),
        (r#""idle" / 4.0"#, float(23.125)),
        (r#"-"idle""#, float(-92.5)),
        (r#"string("v" / 0.0)"#, text("+Inf")),
        (r#"string(-"v" / 0.0)"#, text("-Inf")),
        (r#"string(0.0 * ("v" / 0.0))"#, text("NaN")),
        (r#"sqrt(-"v") == sqrt(-"v")"#, boolean(false)),
        (r#"sqrt(-"v") != sqrt(-"v")"#, boolean(true)),
        (r#"sqrt(-"v") > 0.0"#, boolean(false)),
        (r#""v" / 0.0 > 1000000.0"#, boolean(true)),
        (r#"string(0.0 * -"v")"#, text("-0")),
        (r#"int("v" / 0.0)"#, int(i64::MIN)),
    ]);
}

#[test]
fn ints_and_floats_compare_but_do_not_add() {
    let mixed = row([("i", int(2)), ("f", float(2.5))]);
    mixed.check(&[
        (r#""i" == "f""#, boolean(false)),
        (r#""i" != "f""#, boolean(true)),
        (r#""i" < "f""#, boolean(true)),
        (r#""f" <= "i""#, boolean(false)),
        (r#""i" == 2.0"#, boolean(true)),
        (r#"2 > "f""#, boolean(false)),
        (r#"float("i") + "f""#, float(4.5)),
    ]);
    mixed.refuse(&[r#""i" + "f""#, r#""f" - 1"#, r#""i" * 2.0"#, r#""i" / 2.0"#, r#""f" % 2.0"#]);
    row([("i", int(9_007_199_254_740_993)), ("f", float(9_007_199_254_740_992.0))])
        .check(&[(r#""i" == "f""#, boolean(true))]);
}

#[test]
fn durations() {
    row([("i", int(250)), ("f", float(0.1)), ("span", seconds(3)), ("n", int(7))]).check(&[
        ("1s + 1m", seconds(61)),
        ("1s - 2s", seconds(-1)),
        ("3 * 2s", seconds(6)),
        ("2s * 1.5", seconds(3)),
        ("1.5 * 2s", seconds(3)),
        ("-10s", seconds(-10)),
        (r#""i" * 1ms"#, nanoseconds(250_000_000)),
        (r#""f" * 1s"#, nanoseconds(100_000_000)),
        ("1s * 0.3333333333", nanoseconds(333_333_333)),
        ("1h == 60m", boolean(true)),
        ("1h > 59m", boolean(true)),
        ("1m != 60s", boolean(false)),
        ("10s / 4", nanoseconds(2_500_000_000)),
        ("10s / 1.5", nanoseconds(6_666_666_666)),
        ("10s / 3s", int(3)),
        ("1s / 2s", int(0)),
        ("-10s / 3", nanoseconds(-3_333_333_333)),
        (r#"1m / "n""#, nanoseconds(8_571_428_571)),
        ("1s / 0.0", nanoseconds(i64::MIN)),
        (r#""span" + 500ms"#, nanoseconds(3_500_000_000)),
        (r#""span" > 2s"#, boolean(true)),
        (r#""span" / 1u"#, int(3_000_000)),
    ]);
}

#[test]
fn texts() {
    let row = row([("s", text("beta")), ("n", int(-1)), ("e", text(""))]).tag("host", "é");
    row.check(&[
        (r#""s" + '!'"#, text("beta!")),
        (r#""host" + ':' + "s" + string("n")"#, text("é:beta-1")),
        ("'' + ''", text("")),
        (r#""s" >= 'beta'"#, boolean(true)),
        (r#""s" < 'betaa'"#, boolean(true)),
        (r#""s" > 'Z'"#, boolean(true)),
        (r#""host" > 'z'"#, boolean(true)),
        (r#""e" < 'a'"#, boolean(true)),
    ]);
}

#[test]
fn logic() {
    for (a, b) in [(true, true), (true, false), (false, true), (false, false)] {
        row([("a", boolean(a)), ("b", boolean(b))]).check(&[
            (r#""a" AND "b""#, boolean(a && b)),
            (r#""a" OR "b""#, boolean(a || b)),
            (r#""a" == "b""#, boolean(a == b)),
            (r#""a" != "b""#, boolean(a != b)),
            (r#"!("a" AND "b")"#, boolean(!(a && b))),
            (r#"-"a""#, boolean(!a)),
        ]);
    }
}

#[test]
fn patterns() {
    let row = row([("path", text("/var/log"))]).tag("host", "web01");
    row.check(&[
        (r#""host" =~ /^web/"#, boolean(true)),
        (r#""host" !~ /^web/"#, boolean(false)),
        (r#""path" =~ /^\/var\/log$/"#, boolean(true)),
        (r#""path" !~ /LOG/"#, boolean(true)),
        (r#""host" =~ /(?i)^WEB\d+$/"#, boolean(true)),
        (r#"("host" =~ /1$/) == TRUE"#, boolean(true)),
        (r#""host" =~ /1/ AND "path" =~ /log/"#, boolean(true)),
        (r#""host" =~ if("path" == '', /x/, /w/)"#, boolean(true)),
        ("'abc' =~ /b/", boolean(true)),
        (r#"regexReplace(/(\w+)01/, "host", '$1')"#, text("web")),
    ]);
}

#[test]
fn wrong_types() {
    row([("i", int(1)), ("f", float(1.0)), ("s", text("up")), ("b", boolean(true))]).refuse(&[
        r#""s" == 1"#,
        r#""b" == 1"#,
        r#""s" * 2"#,
        r#""s" - 'a'"#,
        r#""b" > FALSE"#,
        r#""i" AND TRUE"#,
        r#""f" OR TRUE"#,
        r#"duration("i", 1s) > 5"#,
        r#"duration("i", 1s) % 2s"#,
        r#""i" / 1s"#,
        r#""time" - "time""#,
        r#""time" > "time""#,
        r#""time" == "time""#,
        r#""s" == /u/"#,
        r#""i" =~ /1/"#,
        r#""s" =~ 'u'"#,
        r#"!"f""#,
        r#"!"i""#,
        r#"!"s""#,
        r#"-"s""#,
        r#"-"nope""#,
        r#"-"time""#,
    ]);
}
