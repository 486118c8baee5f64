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

/// A line as a JSON object with the same keys, and its end. Integers are numbers, all else is text.
pub fn to_json(line: &str) -> String {
    let mut out = String::with_capacity(line.len() * 2);
    for (key, value, quoted) in pairs(line) {
        out.push(if out.is_empty() { '{' } else { ',' });
        json::string(key, &mut out);
        out.push(':');
        match value.parse::<i64>() {
            Ok(number) if !quoted && number.to_string() == value => json::int(number, &mut out),
            _ => json::string(&value, &mut out),
        }
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
}
