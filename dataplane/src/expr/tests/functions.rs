//! The functions (reference: tickscript §10).

use super::*;

#[test]
fn conversions() {
    let row = row([
        ("on", boolean(true)),
        ("f", float(2.999)),
        ("n", int(9_007_199_254_740_993)),
        ("big", float(-1e30)),
        ("s", text("1h30m")),
    ]);
    row.check(&[
        ("bool(1)", boolean(true)),
        ("bool(0.0)", boolean(false)),
        ("bool('F')", boolean(false)),
        (r#"bool("on")"#, boolean(true)),
        (r#"int("f")"#, int(2)),
        ("int(-1.99)", int(-1)),
        ("int('-12')", int(-12)),
        ("int('007')", int(7)),
        (r#"int("on")"#, int(1)),
        (r#"int("big")"#, int(i64::MIN)),
        (r#"float("n")"#, float(9_007_199_254_740_992.0)),
        ("float('1e3')", float(1000.0)),
        (r#"float("on")"#, float(1.0)),
        (r#"string("n")"#, text("9007199254740993")),
        ("string(1.0)", text("1")),
        ("string(3600s)", text("1h")),
        (r#"duration("n", 0s)"#, seconds(0)),
        ("duration(1.5, 1m)", seconds(90)),
        (r#"duration("s", 1s)"#, seconds(5400)),
        ("duration(3h)", seconds(10_800)),
        ("duration(1999.9999, 1ms)", nanoseconds(1_999_999_900)),
    ]);
    row.refuse(&[
        "bool(2)",
        "bool(0.5)",
        "bool('yes')",
        "int('1.5')",
        "int('0x10')",
        "int(' 1')",
        "int('9223372036854775808')",
        "int(5s)",
        "float(' 1')",
        "float(5s)",
        "float('1e999')",
        r#"string("time")"#,
        "string(/a/)",
        r#"duration("n")"#,
        "duration('1h')",
        "duration('1.5h', 1s)",
        r#"duration("on", 1s)"#,
    ]);
}

#[test]
fn presence_and_choice() {
    let row = row([("v", float(50.0)), ("on", boolean(true))]).tag("host", "a");
    row.check(&[
        (r#"isPresent("v")"#, boolean(true)),
        (r#"isPresent("host")"#, boolean(true)),
        (r#"!isPresent("x")"#, boolean(true)),
        (r#"if("v" > 100.0, 'crit', if("v" > 10.0, 'warn', 'ok'))"#, text("warn")),
        (r#"if("v" > 10.0, 1s, 1m)"#, seconds(1)),
        (r#""host" =~ if("v" > 10.0, /a/, /b/)"#, boolean(true)),
        (r#"unixNano(if("v" > 10.0, "time", "time"))"#, int(row.time)),
    ]);
    row.refuse(&[
        r#"if("on", 1, 2.0)"#,
        r#"if("v", 1.0, 2.0)"#,
        r#"if("on", "v", "nope")"#,
        r#"if(isPresent("nope"), "nope", 0.0)"#,
        r#"if("on", 1)"#,
        r#"isPresent("time")"#,
        "isPresent(1s)",
    ]);
}

#[test]
fn searching() {
    row([("s", text("héllo wörld"))]).check(&[
        (r#"strContains("s", 'llo')"#, boolean(true)),
        (r#"strContains("s", '')"#, boolean(true)),
        (r#"strContainsAny("s", 'xyo')"#, boolean(true)),
        (r#"strContainsAny("s", '')"#, boolean(false)),
        (r#"strCount("s", 'l')"#, int(3)),
        (r#"strCount("s", '')"#, int(12)),
        (r#"strHasPrefix("s", 'he')"#, boolean(false)),
        (r#"strHasSuffix("s", 'ld')"#, boolean(true)),
        (r#"strIndex("s", 'l')"#, int(3)),
        (r#"strIndex("s", 'x')"#, int(-1)),
        (r#"strIndex("s", '')"#, int(0)),
        (r#"strIndexAny("s", 'ol')"#, int(3)),
        (r#"strLastIndex("s", 'l')"#, int(11)),
        (r#"strLastIndex("s", '')"#, int(13)),
        (r#"strLastIndexAny("s", 'eh')"#, int(0)),
        (r#"strLength("s")"#, int(13)),
    ]);
}

#[test]
fn editing() {
    row([("s", text("hello"))]).check(&[
        (r#"strReplace("s", 'l', 'L', 1)"#, text("heLlo")),
        (r#"strReplace("s", 'l', 'LL', -1)"#, text("heLLLLo")),
        (r#"strReplace("s", 'l', 'L', 0)"#, text("hello")),
        (r#"strReplace("s", '', '-', -1)"#, text("-h-e-l-l-o-")),
        (r#"strReplace("s", '', '-', 2)"#, text("-h-ello")),
        (r#"strTrim("s", 'xo')"#, text("hell")),
        (r#"strTrimLeft("s", 'xh')"#, text("ello")),
        (r#"strTrimRight("s", 'lo')"#, text("he")),
        (r#"strTrimPrefix("s", 'he')"#, text("llo")),
        (r#"strTrimSuffix("s", 'xx')"#, text("hello")),
        (r#"regexReplace(/l+/, "s", 'L')"#, text("heLo")),
        (r#"regexReplace(/(?P<first>h)/, "s", '${first}1')"#, text("h1ello")),
        (r#"regexReplace(/(h)/, "s", '$1x')"#, text("ello")),
        (r#"regexReplace(/e/, "s", '$$')"#, text("h$llo")),
        (r#"regexReplace(/x*/, "s", '-')"#, text("-h-e-l-l-o-")),
        (r#"strSubstring("s", 1, 4)"#, text("ell")),
        (r#"strSubstring("s", 0, strLength("s") - 1)"#, text("hell")),
    ]);
    row([("s", text("  Été oh "))]).check(&[
        (r#"strToLower("s")"#, text("  été oh ")),
        (r#"strToUpper("s")"#, text("  ÉTÉ OH ")),
        (r#"strTrimSpace("s")"#, text("Été oh")),
        (r#"strReplace("s", '', '-', -1)"#, text("- - -É-t-é- -o-h- -")),
    ]);
    row([("s", text("hello"))]).refuse(&[
        r#"strSubstring("s", 0, 5)"#,
        r#"strSubstring("s", -1, 2)"#,
        r#"strSubstring("s", 0, -1)"#,
        r#"strSubstring("s", 3, 1)"#,
    ]);
}

#[test]
fn cut_characters_stay_bytes_inside_an_expression() {
    row([("s", text("aé日本"))]).check(&[
        (r#"strSubstring("s", 0, 2)"#, text("a\u{fffd}")),
        (r#"strLength(strSubstring("s", 0, 2))"#, int(2)),
        (r#"strSubstring("s", 0, 4) + strSubstring("s", 4, 6)"#, text("aé日")),
        (r#"strSubstring("s", 0, strLength("s") - 1)"#, text("aé日\u{fffd}\u{fffd}")),
    ]);
}

/// Values of `0.5`, then of `0.25`; `acosh` has another argument.
const MATH: &str = "abs 0.5 0.25|acos 1.0471975511965976 1.318116071652818|asin 0.5235987755982989 0.25268025514207865|\
    asinh 0.48121182505960347 0.24746646154726346|atan 0.4636476090008061 0.24497866312686414|\
    atanh 0.5493061443340548 0.25541281188299536|cbrt 0.7937005259840997 0.6299605249474366|ceil 1 1|\
    cos 0.8775825618903728 0.9689124217106447|cosh 1.1276259652063807 1.0314130998795732|\
    erf 0.5204998778130465 0.27632639016823696|erfc 0.4795001221869535 0.7236736098317631|\
    exp 1.6487212707001282 1.2840254166877414|exp2 1.414213562373095 1.189207115002721|\
    expm1 0.6487212707001282 0.2840254166877415|floor 0 0|log -0.6931471805599453 -1.3862943611198906|\
    log10 -0.3010299956639812 -0.6020599913279624|log1p 0.4054651081081644 0.22314355131420976|log2 -1 -2|\
    logb -1 -2|sin 0.479425538604203 0.24740395925452294|sinh 0.5210953054937474 0.2526123168081683|\
    sqrt 0.7071067811865476 0.5|tan 0.5463024898437905 0.25534192122103627|tanh 0.46211715726000974 0.24491866240370913|\
    trunc 0 0";

fn close(actual: &Value, expected: f64) {
    let Value::Float(x) = actual else { panic!("{} is no float", show(actual)) };
    assert!((x - expected).abs() <= 1e-13 * expected.abs().max(1.0), "{x:?} is not {expected:?}");
}

#[test]
fn math_of_one_argument() {
    for line in MATH.split('|') {
        let mut words = line.split_whitespace();
        let function = words.next().unwrap();
        for (x, expected) in [0.5, 0.25].into_iter().zip(words) {
            let result = row([("v", float(x))]).eval(&format!("{function}(\"v\")"));
            close(&result.unwrap_or_else(|error| panic!("{function}: {error}")), expected.parse().unwrap());
        }
    }
    close(&row([]).eval("acosh(2.0)").unwrap(), 1.3169578969248166);
    close(&row([]).eval("acosh(10.0)").unwrap(), 2.993222846126381);
}

#[test]
fn math_of_two_arguments_and_special_functions() {
    let expected = [
        (r#"atan2("v", -1.0)"#, 1.8925468811915387, 2.677945044588987),
        (r#"hypot("v", 4.0)"#, 5.0, 4.031128874149275),
        (r#"max("v", 2.5)"#, 3.0, 2.5),
        (r#"min("v", 2.5)"#, 2.5, 0.5),
        (r#"mod("v", -2.0)"#, 1.0, 0.5),
        (r#"mod(-"v", 2.0)"#, -1.0, -0.5),
        (r#"pow("v", 3.0)"#, 27.0, 0.125),
        ("pow10(-2)", 0.01, 0.01),
        (r#"gamma("v")"#, 2.0, 1.7724538509055159),
        (r#"j0("v")"#, -0.2600519549019335, 0.9384698072408129),
        (r#"j1("v")"#, 0.33905895852593637, 0.2422684576748739),
        (r#"jn(2, "v")"#, 0.4860912605858911, 0.03060402345868264),
        (r#"y0("v")"#, 0.3768500100127904, -0.44451873350670656),
        (r#"y1("v")"#, 0.3246744247918, -1.4714723926702433),
        (r#"yn(2, "v")"#, -0.16040039348492374, -5.441370837174267),
        (r#"trunc(-"v" / 2.0)"#, -1.0, 0.0),
        (r#"floor(-"v" / 2.0)"#, -2.0, -1.0),
    ];
    for (text, first, second) in expected {
        close(&row([("v", float(3.0))]).eval(text).unwrap(), first);
        close(&row([("v", float(0.5))]).eval(text).unwrap(), second);
    }
}

#[test]
fn arguments_of_wrong_types_and_counts() {
    row([("i", int(3)), ("f", float(1.5)), ("s", text("up"))]).refuse(&[
        r#"abs("i")"#,
        r#"max("i", 1)"#,
        r#"pow10("f")"#,
        r#"jn("f", 1.0)"#,
        "abs()",
        r#"abs("f", "f")"#,
        r#"strLength("f")"#,
        r#"strContains("s")"#,
        r#"humanBytes("s")"#,
        r#"STRLENGTH("s")"#,
        r#"hour("f")"#,
        r#"count("f")"#,
        r#"sigma("i")"#,
        r#"spread("i")"#,
        "now(1)",
        "abs(1.0, 1.0, 1.0, 1.0, 1.0)",
        r#"isPresent("f", "f", "f", "f", "f", "f")"#,
        "rand(0)",
        "rand('a')",
    ]);
}

#[test]
fn times() {
    let row = row([]);
    row.check(&[
        (r#"unixNano("time")"#, int(1_500_000_000_000_000_000)),
        ("unixNano(now())", int(NOW)),
        (r#"unixNano(now()) > unixNano("time")"#, boolean(true)),
        (r#"year("time")"#, int(2017)),
        (r#"month("time")"#, int(7)),
    ]);
}
