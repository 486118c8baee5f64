//! Lines of `key=value` pairs.

use std::fmt::Write;

use crate::json;

/// Appends ` key=value`; quoted only if it holds a blank, a quote or something that cannot be shown.
pub fn pair(key: &str, value: &str, line: &mut String) {
    let quoted = value.contains(|c: char| c == ' ' || c == '"' || c.is_control());
    // Writing to a String cannot fail.
    let _ = if quoted { write!(line, " {key}={value:?}") } else { write!(line, " {key}={value}") };
}

/// The pairs of a line, in order; a value comes with whether it was quoted.
pub fn pairs(line: &str) -> Vec<(&str, String, bool)> {
    let mut rest = line.trim_end_matches('\n').trim_start_matches(' ');
    let mut all = Vec::new();
    while let Some((key, behind)) = rest.split_once('=') {
        let (value, quoted, length) = match behind.strip_prefix('"') {
            Some(text) => {
                let (value, length) = unquoted(text);
                (value, true, length + 1)
            }
            None => {
                let end = behind.find(' ').unwrap_or(behind.len());
                (behind[..end].to_owned(), false, end)
            }
        };
        all.push((key, value, quoted));
        rest = behind.get(length..).unwrap_or_default().trim_start_matches(' ');
    }
    all
}

/// The text up to the closing quote with its escapes resolved, and the bytes that it took with that quote.
fn unquoted(text: &str) -> (String, usize) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, at + 1),
            '\\' => match chars.next().map(|(_, c)| c) {
                Some('n') => value.push('\n'),
                Some('t') => value.push('\t'),
                Some('r') => value.push('\r'),
                Some('u') => {
                    // `\u{1b}` or `\u001b`.
                    let rest = chars.as_str();
                    let (digits, length) = match rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
                        Some((digits, _)) => (digits, digits.len() + 2),
                        None => (rest.get(..4).unwrap_or_default(), 4),
                    };
                    value.extend(u32::from_str_radix(digits, 16).ok().and_then(char::from_u32));
                    for _ in 0..length {
                        chars.next();
                    }
                }
                Some(c) => value.push(c),
                None => break,
            },
            c => value.push(c),
        }
    }
    (value, text.len())
}

/// Messages of log nodes, whose lines hold data.
const OF_DATA: [&str; 4] = ["point", "begin batch", "batch point", "end batch"];

/// Whether an unquoted text is read as a number or a bool.
pub fn looks_typed(text: &str) -> bool {
    matches!(text, "true" | "false") || text.parse::<f64>().is_ok()
}

/// A line as a JSON object with the same keys, and its end. Integers are numbers, all else is text. In a line of a log node
/// the pairs `tag_K=V` and `field_K=V` are objects `tag` and `field`, as those who follow the log expect them, and fields
/// have their types.
pub fn to_json(line: &str) -> String {
    let pairs = pairs(line);
    let of_data = pairs.iter().any(|(key, value, _)| *key == "msg" && OF_DATA.contains(&value.as_str()));
    let mut out = String::with_capacity(line.len() * 2);
    out.push('{');
    let mut open = "";
    for (key, value, quoted) in &pairs {
        let inner = key.split_once('_').filter(|(object, _)| of_data && matches!(*object, "tag" | "field"));
        let (object, key) = inner.unwrap_or(("", key));
        if object != open && !open.is_empty() {
            out.push('}');
        }
        if !out.ends_with('{') {
            out.push(',');
        }
        if object != open && !object.is_empty() {
            json::string(object, &mut out);
            out.push_str(":{");
        }
        open = object;
        json::string(key, &mut out);
        out.push(':');
        let is_int = || value.parse::<i64>().is_ok_and(|number| number.to_string() == *value);
        let is_number = || value.parse::<f64>().is_ok_and(f64::is_finite) && !value.starts_with('+');
        let plain = match (of_data, object) {
            (false, _) => is_int(),
            (true, "field") => matches!(value.as_str(), "true" | "false") || is_number(),
            (true, _) => false,
        };
        if plain && !quoted { out.push_str(value) } else { json::string(value, &mut out) }
    }
    if !open.is_empty() {
        out.push('}');
    }
    out.push_str("}\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let mut line = String::from("ts=1");
        for value in ["plain", "", "a b", "a\"b\\c", "line\nnext\t", "\u{1b}[0m x", "é=x y", "a=b"] {
            pair("key", value, &mut line);
            assert_eq!(pairs(&line).last().unwrap().1, value, "{line}");
        }
        assert_eq!(pairs(&line).len(), 9);
        assert_eq!(pairs("rest of a \"cut line=\"x"), [("rest of a \"cut line", "x".to_owned(), true)]);
    }

    #[test]
    fn json_has_the_same_keys() {
        let line =
            "ts=2026-11-23T06:22:34.719Z lvl=info msg=\"http request\" status=204 id=007 duration=1.5µs referer=\n";
        assert_eq!(
            to_json(line),
            "{\"ts\":\"2026-11-23T06:22:34.719Z\",\"lvl\":\"info\",\"msg\":\"http request\",\"status\":204,\"id\":\"007\",\
             \"duration\":\"1.5µs\",\"referer\":\"\"}\n"
        );
    }

    #[test]
    fn data_of_log_nodes_have_objects_and_types() {
        let line = "lvl=info msg=point prefix=7 group= tag_g=1 tag_h=\"a b\" field_v=1.5 field_i=3 field_b=true \
                    field_n=\"5\" field_x=NaN time=t\n";
        assert_eq!(
            to_json(line),
            "{\"lvl\":\"info\",\"msg\":\"point\",\"prefix\":\"7\",\"group\":\"\",\"tag\":{\"g\":\"1\",\"h\":\"a b\"},\
             \"field\":{\"v\":1.5,\"i\":3,\"b\":true,\"n\":\"5\",\"x\":\"NaN\"},\"time\":\"t\"}\n"
        );
        assert!(to_json("msg=\"end batch\" tag_h=a\n").ends_with("\"tag\":{\"h\":\"a\"}}\n"));
        assert!(to_json("msg=other tag_h=1\n").ends_with("\"tag_h\":1}\n"));
    }
}
