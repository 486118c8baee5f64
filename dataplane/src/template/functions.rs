//! Functions of templates beyond Go's own: `json`, and those that the rewriter puts in.

use std::sync::Arc;

use gotmpl::{FuncMap, Result, SafeKind, TemplateError, Value, ValueFunc};

use super::{Kind, go_text, object};

pub const FIELD: &str = "farad_field";
pub const METHOD: &str = "farad_method";
pub const SHOW: &str = "farad_show";
pub const PRINT: &str = "farad_print";
pub const PRINTLN: &str = "farad_println";
pub const NUMBER: &str = "farad_number";
pub const FOR_VERB: &str = "farad_for_verb";
pub const GO_TYPES: &str = "farad_go_types";
pub const INDEX_TAGS: &str = "farad_index_tags";
pub const RANGE: &str = "farad_range";
pub const NIL: &str = "farad_nil";

const OF_GO: [&str; 19] = [
    "and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "index", "slice", "len", "print", "printf", "println",
    "html", "js", "urlquery", "call",
];

/// Whether a script may call a function.
pub fn exists(kind: Kind, name: &str) -> bool {
    OF_GO.contains(&name)
        || (matches!(kind, Kind::Details | Kind::Row | Kind::Event) && matches!(name, "json" | "jsonCompact"))
}

/// The functions to add to a template's own.
pub fn all(kind: Kind) -> FuncMap {
    let mut functions = FuncMap::new();
    let mut add = |name: &str, function: fn(&[Value]) -> Result<Value>| {
        functions.insert(name.to_owned(), Arc::new(function) as ValueFunc);
    };
    add(FIELD, field);
    add(METHOD, field);
    if kind == Kind::Details {
        // Numbers stay numbers: scripts in the page want them so.
        add(SHOW, |arguments| Ok(arguments.last().map_or(Value::Nil, object::shown)));
    } else {
        add(SHOW, |arguments| {
            Ok(match arguments.last() {
                Some(value @ (Value::Float(_) | Value::Map(_) | Value::List(_))) => {
                    Value::String(display(value).into())
                }
                Some(value) => object::shown(value),
                None => Value::Nil,
            })
        });
    }
    add(PRINT, |arguments| Ok(Value::String(print(arguments).into())));
    add(PRINTLN, |arguments| {
        let texts: Vec<String> = arguments.iter().map(display).collect();
        Ok(Value::String(format!("{}\n", texts.join(" ")).into()))
    });
    add(NUMBER, |arguments| Ok(arguments.last().map_or(Value::Nil, object::as_number)));
    add(FOR_VERB, for_verb);
    add(GO_TYPES, go_types);
    add(INDEX_TAGS, index_tags);
    add(RANGE, |arguments| match arguments.last() {
        Some(value @ (Value::Map(_) | Value::List(_) | Value::Nil)) => Ok(value.clone()),
        other => {
            let shown = other.map(display).unwrap_or_default();
            Err(TemplateError::Exec(format!("range can't iterate over {shown}")))
        }
    });
    add(NIL, |_| Ok(Value::Nil));
    if matches!(kind, Kind::Details | Kind::Row | Kind::Event) {
        add("json", |arguments| json(arguments, "\n"));
        add("jsonCompact", |arguments| json(arguments, ""));
    }
    functions
}

/// Where, receiver, path, arguments of a method.
fn field(arguments: &[Value]) -> Result<Value> {
    let [Value::String(place), receiver, Value::String(path), rest @ ..] = arguments else {
        return Err(TemplateError::Exec("malformed access to a field".into()));
    };
    let mut value = receiver.clone();
    let mut names = path.split('.').peekable();
    while let Some(name) = names.next() {
        let arguments = if names.peek().is_none() { rest } else { &[] };
        value = object::field(&value, name, arguments).map_err(|error| match error {
            TemplateError::Exec(text) => TemplateError::Exec(format!("{place}: {text}")),
            other => other,
        })?;
    }
    Ok(value)
}

/// Marks a number that its verb does not fit: as a text it fits no better, and [`go_types`] mends what is said of it. The
/// template crate itself would convert it.
const WRONG: char = '\u{1}';

/// The value in the form that a verb of `printf` wants.
fn for_verb(arguments: &[Value]) -> Result<Value> {
    let [Value::String(verb), value] = arguments else {
        return Err(TemplateError::Exec("malformed operand of printf".into()));
    };
    let wrong = |type_name: &str| Ok(Value::String(format!("{WRONG}{type_name}={}", display(value)).into()));
    match (&**verb, value) {
        ("d" | "o" | "b" | "c" | "U" | "t", Value::Float(_)) => return wrong("float64"),
        ("f" | "F" | "e" | "E" | "g" | "G", Value::Int(_)) => return wrong("int64"),
        _ => {}
    }
    Ok(match &**verb {
        "d" | "x" | "X" | "o" | "b" | "c" | "U" => object::as_number(value),
        "v" if matches!(value, Value::Float(_) | Value::Map(_) | Value::List(_)) => {
            Value::String(display(value).into())
        }
        "T" => Value::String(object::type_of(value).into()),
        _ => object::shown(value),
    })
}

/// Operands one after the other, with a blank between two that are both no strings.
fn print(operands: &[Value]) -> String {
    let mut out = String::new();
    let mut after_string = true;
    for operand in operands {
        let is_string = matches!(operand, Value::String(_) | Value::Safe { .. });
        if !after_string && !is_string {
            out.push(' ');
        }
        out.push_str(&display(operand));
        after_string = is_string;
    }
    out
}

/// A value as `%v` prints it.
pub fn display(value: &Value) -> String {
    match value {
        Value::Float(x) => {
            let mut out = String::new();
            go_text::float(*x, &mut out);
            out
        }
        Value::Map(map) => {
            let members: Vec<String> = map.iter().map(|(key, value)| format!("{key}:{}", display(value))).collect();
            format!("map[{}]", members.join(" "))
        }
        Value::List(values) => {
            let texts: Vec<String> = values.iter().map(display).collect();
            format!("[{}]", texts.join(" "))
        }
        Value::Nil => "<nil>".into(),
        other => object::shown(other).to_string(),
    }
}

/// Whole numbers of the data are `int64` to Go, where the template crate says `int`.
fn go_types(arguments: &[Value]) -> Result<Value> {
    Ok(match arguments.last() {
        Some(Value::String(text)) if text.contains("%!") => {
            let text = text.replace(&format!("string={WRONG}"), "");
            let text = ["(int=", "(EXTRA int=", ", int="]
                .iter()
                .fold(text, |text, wrong| text.replace(wrong, &wrong.replace("int=", "int64=")));
            Value::String(text.into())
        }
        other => other.cloned().unwrap_or(Value::Nil),
    })
}

fn index_tags(arguments: &[Value]) -> Result<Value> {
    match arguments {
        [Value::Map(tags), Value::String(key)] => {
            Ok(tags.get(&**key).cloned().unwrap_or_else(|| Value::String("".into())))
        }
        _ => Err(TemplateError::Exec("index of the tags wants one string".into())),
    }
}

fn json(arguments: &[Value], end: &str) -> Result<Value> {
    let [value] = arguments else {
        return Err(TemplateError::Exec(format!("wrong number of args for json: want 1 got {}", arguments.len())));
    };
    let mut text = String::new();
    object::to_json(value, &mut text)?;
    text.push_str(end);
    Ok(Value::Safe { kind: SafeKind::Js, s: text.into() })
}
