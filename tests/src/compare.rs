//! Compares what a case wants with what came.
//!
//! Strings of what is wanted can be patterns: `<any>`, `<string>`, `<number>`, `<time>` (RFC 3339), `<uuid>` (alone or
//! within other text) and `<re:…>` (a regular expression for all of the text). An object with `"<more>": true` may have
//! other keys.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use regex::Regex;
use serde_json::{Map, Value};

/// Differences of one list that are told; the others rarely say more.
const TOLD_MAX: usize = 12;

const UUID: &str = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";

static TIME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    whole(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})")
});

/// A regular expression for the whole of a text, in which `.` matches line breaks.
fn whole(pattern: &str) -> Option<Regex> {
    Regex::new(&format!("(?s)^(?:{pattern})$")).ok()
}

/// What differs, a line each; nothing when all is as wanted. `tolerance` is relative and for all numbers.
pub fn differences(want: &Value, got: &Value, tolerance: f64) -> Vec<String> {
    let mut found = Vec::new();
    compare(want, got, tolerance, "", &mut found);
    found
}

fn compare(want: &Value, got: &Value, tolerance: f64, at: &str, found: &mut Vec<String>) {
    let same = match (want, got) {
        (Value::String(pattern), got) => matches(pattern, got),
        (Value::Object(want), Value::Object(got)) => return compare_objects(want, got, tolerance, at, found),
        (Value::Array(want), Value::Array(got)) => {
            let start = found.len();
            if want.len() != got.len() {
                found.push(format!("{at}: want {} items, got {}", want.len(), got.len()));
            }
            for (index, (want, got)) in want.iter().zip(got).enumerate() {
                compare(want, got, tolerance, &format!("{at}[{index}]"), found);
            }
            found.truncate(start + TOLD_MAX);
            return;
        }
        (Value::Number(want), Value::Number(got)) => want == got || close(want.as_f64(), got.as_f64(), tolerance),
        (want, got) => want == got,
    };
    if !same {
        found.push(format!("{at}: want {}, got {}", shown(want), shown(got)));
    }
}

fn compare_objects(
    want: &Map<String, Value>,
    got: &Map<String, Value>,
    tolerance: f64,
    at: &str,
    found: &mut Vec<String>,
) {
    let more_allowed = want.get("<more>") == Some(&Value::Bool(true));
    let keys: BTreeSet<_> = want.keys().chain(got.keys()).collect();
    for key in keys {
        match (want.get(key), got.get(key)) {
            _ if key == "<more>" => {}
            (Some(want), Some(got)) => compare(want, got, tolerance, &format!("{at}.{key}"), found),
            (Some(want), None) => found.push(format!("{at}.{key}: missing (want {})", shown(want))),
            (None, Some(_)) if more_allowed => {}
            (None, got) => found.push(format!("{at}.{key}: unexpected {}", shown(got.unwrap_or(&Value::Null)))),
        }
    }
}

fn close(want: Option<f64>, got: Option<f64>, tolerance: f64) -> bool {
    let (Some(want), Some(got)) = (want, got) else { return false };
    (want - got).abs() <= (tolerance * want.abs().max(got.abs())).max(1e-300)
}

fn matches(pattern: &str, got: &Value) -> bool {
    let text_matches = |regex: Option<&Regex>| got.as_str().is_some_and(|got| regex.is_some_and(|it| it.is_match(got)));
    match pattern {
        "<any>" => true,
        "<string>" => got.is_string(),
        "<number>" => got.is_number(),
        "<time>" => text_matches(TIME.as_ref()),
        _ => match pattern.strip_prefix("<re:").and_then(|rest| rest.strip_suffix('>')) {
            Some(regex) => text_matches(whole(regex).as_ref()),
            None if pattern.contains("<uuid>") => {
                text_matches(whole(&regex::escape(pattern).replace("<uuid>", UUID)).as_ref())
            }
            None => got == pattern,
        },
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Sorts a result by group, so that the order across groups does not count, while the order within each does.
pub fn by_group(mut result: Value) -> Value {
    for bodies in members(&mut result, "sinks") {
        if let Value::Array(bodies) = bodies {
            bodies.sort_by_cached_key(group_of_body);
        }
    }
    for out in members(&mut result, "outs") {
        if let Some(Value::Array(series)) = out.get_mut("series") {
            series.sort_by_cached_key(group_of_series);
        }
    }
    result
}

fn members<'a>(result: &'a mut Value, key: &str) -> impl Iterator<Item = &'a mut Value> {
    result.get_mut(key).and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut)
}

/// Name and tags of a series.
fn group_of_series(series: &Value) -> String {
    let tags: BTreeMap<_, _> = series.get("tags").and_then(Value::as_object).into_iter().flatten().collect();
    format!("{:?}{tags:?}", series.get("name"))
}

/// The groups of a posted body: that of an httpPost node, or of an alert with its points in `data`.
fn group_of_body(body: &Value) -> String {
    let series = body.get("data").unwrap_or(body).get("series").and_then(Value::as_array);
    series.into_iter().flatten().map(group_of_series).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patterns() {
        let uuid = "0a1b2c3d-0000-1111-2222-333344445555";
        let good = [
            (json!("<any>"), json!(null)),
            (json!("<string>"), json!("")),
            (json!("<number>"), json!(1.5)),
            (json!("<time>"), json!("2020-09-13T12:26:40.5Z")),
            (json!("/a.b/<uuid>"), json!(format!("/a.b/{uuid}"))),
            (json!("<uuid>"), json!(uuid)),
            (json!("<re:a.+>"), json!("a\nb")),
            (json!({"<more>": true, "a": 1}), json!({"a": 1.0, "b": 2})),
            (json!([1, 1.0]), json!([1.000_000_000_1, 1])),
        ];
        for (want, got) in good {
            assert_eq!(differences(&want, &got, 1e-9), Vec::<String>::new());
        }
        let bad = [
            (json!("<string>"), json!(1)),
            (json!("<number>"), json!(true)),
            (json!("<time>"), json!("2020-09-13 12:26:40")),
            (json!("/a.b/<uuid>"), json!(format!("/axb/{uuid}"))),
            (json!("<re:a+>"), json!("ab")),
            (json!({"a": 1}), json!({"a": 1, "b": 2})),
            (json!({"a": 1}), json!({})),
            (json!([1]), json!([1, 1])),
            (json!(1), json!(1.000_1)),
            (json!(1), json!("1")),
            (json!(true), json!(1)),
            (json!(null), json!(false)),
        ];
        for (want, got) in bad {
            assert_eq!(differences(&want, &got, 1e-9).len(), 1, "{want} {got}");
        }
    }

    #[test]
    fn order_counts_within_groups_only() {
        let body = |host: &str, value: i64| json!({"series": [{"name": "m", "tags": {"h": host}, "values": [value]}]});
        let alert = |host: &str, value: i64| json!({"id": "x", "data": body(host, value)});
        for one in [&body as &dyn Fn(&str, i64) -> Value, &alert] {
            let sinks = |bodies: [Value; 3]| by_group(json!({"sinks": {"/a": bodies}}));
            let want = sinks([one("a", 1), one("a", 2), one("b", 3)]);
            assert_eq!(want, sinks([one("b", 3), one("a", 1), one("a", 2)]));
            assert_ne!(want, sinks([one("a", 2), one("a", 1), one("b", 3)]));
        }
    }
}
