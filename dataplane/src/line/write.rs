//! Points as lines, as Kapacitor writes them to InfluxDB (reference: nodes-alert-join-io §7.1).

use std::fmt::Write;

use crate::{
    tags::TagSet,
    template::duration_text,
    value::{Field, Value},
};

/// Appends a line with its end. Values that InfluxDB cannot hold (null, NaN, infinities) are left out; of a point without
/// any other nothing is written. Returns whether there is a line, and how many fields were left out.
pub fn write_line(measurement: &str, tags: &TagSet, fields: &[Field], time: i64, out: &mut String) -> (bool, u64) {
    let start = out.len();
    escaped(measurement, &[',', ' '], out);
    for (key, value) in tags.iter().filter(|(_, value)| !value.is_empty()) {
        out.push(',');
        escaped(key.as_str(), &[',', '=', ' '], out);
        out.push('=');
        escaped(value, &[',', '=', ' '], out);
    }
    let mut sorted: Vec<&Field> = fields.iter().filter(|field| holds(&field.value)).collect();
    sorted.sort_by_key(|field| field.name);
    let left_out = (fields.len() - sorted.len()) as u64;
    if sorted.is_empty() {
        out.truncate(start);
        return (false, left_out);
    }
    for (nth, field) in sorted.iter().enumerate() {
        out.push(if nth == 0 { ' ' } else { ',' });
        escaped(field.name.as_str(), &[',', '=', ' ', '"'], out);
        out.push('=');
        value(&field.value, out);
    }
    // Writing to a string cannot fail.
    let _ = writeln!(out, " {time}");
    (true, left_out)
}

fn holds(value: &Value) -> bool {
    match value {
        Value::Float(x) => x.is_finite(),
        Value::Null | Value::Missing => false,
        Value::Int(_) | Value::Bool(_) | Value::String(_) | Value::Duration(_) => true,
    }
}

fn value(value: &Value, out: &mut String) {
    let _ = match value {
        // Shortest decimals, never an exponent.
        Value::Float(x) => write!(out, "{x}"),
        Value::Int(x) => write!(out, "{x}i"),
        Value::Bool(x) => write!(out, "{x}"),
        Value::String(text) => {
            quoted(text, out);
            Ok(())
        }
        Value::Duration(x) => {
            quoted(&duration_text(*x), out);
            Ok(())
        }
        Value::Null | Value::Missing => Ok(()),
    };
}

fn quoted(text: &str, out: &mut String) {
    out.push('"');
    escaped(text, &['"', '\\'], out);
    out.push('"');
}

fn escaped(text: &str, special: &[char], out: &mut String) {
    for character in text.chars() {
        // Outside of strings a line cannot hold its own end.
        if character == '\n' && !special.contains(&'\\') {
            out.push_str("\\n");
            continue;
        }
        if special.contains(&character) {
            out.push('\\');
        }
        out.push(character);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;

    fn line(measurement: &str, tags: &[(&str, &str)], fields: Vec<(&str, Value)>) -> (String, u64) {
        let tags = TagSet::new(tags.iter().map(|(key, value)| (Name::new(key).unwrap(), (*value).into())).collect());
        let field = |(name, value)| Field { name: Name::new(name).unwrap(), value };
        let fields: Vec<Field> = fields.into_iter().map(field).collect();
        let mut out = String::new();
        let (_, left_out) = write_line(measurement, &tags, &fields, 7, &mut out);
        (out, left_out)
    }

    #[test]
    fn every_type_and_every_escape() {
        let fields = vec![
            ("s", Value::String("say \"a\\b\"".into())),
            ("i", Value::Int(-3)),
            ("b", Value::Bool(true)),
            ("f \"x\"", Value::Float(1e21)),
            ("d", Value::Duration(1_500_000_000)),
        ];
        let (text, left_out) = line("c p,u", &[("b", "x=y z"), ("a", "1,2"), ("empty", "")], fields);
        let expected = "c\\ p\\,u,a=1\\,2,b=x\\=y\\ z b=true,d=\"1.5s\",f\\ \\\"x\\\"=1000000000000000000000,i=-3i,\
                        s=\"say \\\"a\\\\b\\\"\" 7\n";
        assert_eq!((text.as_str(), left_out), (expected, 0));
    }

    #[test]
    fn an_end_of_line_in_a_tag_does_not_end_the_line() {
        let (text, _) = line("m", &[("t", "a\nm v=2")], vec![("v", Value::String("x\ny".into()))]);
        assert_eq!(text, "m,t=a\\nm\\ v\\=2 v=\"x\ny\" 7\n");
    }

    #[test]
    fn what_cannot_be_held_is_left_out() {
        let fields = vec![("n", Value::Null), ("x", Value::Float(f64::NAN)), ("v", Value::Float(0.5))];
        assert_eq!(line("m", &[], fields), ("m v=0.5 7\n".to_owned(), 2));
        assert_eq!(line("m", &[("t", "b")], vec![("n", Value::Null)]), (String::new(), 1));
        assert_eq!(line("m", &[], vec![]), (String::new(), 0));
    }
}
