//! A file laid over the defaults, key by key.

use std::path::Path;

use toml::{Table, Value};

use super::{ConfigError, Udp, services::Section};

/// Sections of the original that are accepted and do nothing here yet.
const NOT_BUILT: [&str; 18] = [
    "azure",
    "collectd",
    "consul",
    "dns",
    "ec2",
    "file-discovery",
    "fluxtask",
    "gce",
    "graphite",
    "kubernetes",
    "marathon",
    "nerve",
    "opentsdb",
    "scraper",
    "serverset",
    "static-discovery",
    "swarm",
    "triton",
];

/// The same, that mean nothing to a server that never calls out.
const WITHOUT_EFFECT: [&str; 2] = ["reporting", "tls"];

/// Whether every element of a section says that it is off: then it has no effect in the original either.
fn is_off(value: &Value) -> bool {
    let off = |element: &Value| element.get("enabled").and_then(Value::as_bool) == Some(false);
    match value {
        Value::Array(elements) => elements.iter().all(off),
        element => off(element),
    }
}

/// Lays a file over `table`. Keys count in any case; unknown ones become warnings.
pub fn merge(table: &mut Table, text: &str, path: &Path, warnings: &mut Vec<String>) -> Result<(), ConfigError> {
    let parsed: Table = toml::from_str(text).map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        ConfigError::Parse(format!("{}: line {line}: {}", path.display(), error.message()))
    })?;
    for (key, value) in parsed {
        let key = key.to_lowercase();
        let place = |inner: &str, message: &str| {
            let line = line_of(text, &key, inner);
            let dot = if inner.is_empty() { "" } else { "." };
            format!("{}: line {line}: {key}{dot}{inner}{message}", path.display())
        };
        match (table.get_mut(&key), value) {
            (None, value) if NOT_BUILT.contains(&key.as_str()) => {
                if !is_off(&value) {
                    warnings.push(place("", ": this section is not built yet and has no effect"));
                }
            }
            (None, _) if WITHOUT_EFFECT.contains(&key.as_str()) => {}
            (None, _) => warnings.push(place("", ": unknown, has no effect")),
            (Some(Value::Table(section)), Value::Table(given)) => {
                lay(section, given, &place, warnings)?;
            }
            (Some(Value::Array(elements)), given @ (Value::Array(_) | Value::Table(_))) => {
                let given = match given {
                    Value::Array(given) => given,
                    one => vec![one],
                };
                elements.clear();
                for element in given {
                    let Value::Table(given) = element else {
                        return Err(ConfigError::Parse(place("", " wants tables")));
                    };
                    let mut table = element_defaults(&key);
                    lay(&mut table, given, &place, warnings)?;
                    elements.push(Value::Table(table));
                }
            }
            (Some(known), given) if fits(known, &given) => *known = given,
            (Some(known), given) => {
                let message = format!(" wants {}, not {}", with_article(known), with_article(&given));
                return Err(ConfigError::Parse(place("", &message)));
            }
        }
    }
    Ok(())
}

/// Lays the keys of a section over what it holds; `place` makes messages.
fn lay(
    section: &mut Table,
    given: Table,
    place: &dyn Fn(&str, &str) -> String,
    warnings: &mut Vec<String>,
) -> Result<(), ConfigError> {
    for (inner, value) in given {
        let inner = inner.to_lowercase();
        match section.get(&inner) {
            Some(known) if fits(known, &value) => {
                section.insert(inner, value);
            }
            Some(known) => {
                let message = format!(" wants {}, not {}", with_article(known), with_article(&value));
                return Err(ConfigError::Parse(place(&inner, &message)));
            }
            None => warnings.push(place(&inner, ": unknown, has no effect")),
        }
    }
    Ok(())
}

/// What an element of an array section is laid over.
fn element_defaults(section: &str) -> Table {
    match Section::find(section) {
        Some(section) => section.element(),
        None => Table::try_from(Udp::default()).unwrap_or_default(),
    }
}

/// Durations are text or a plain 0, and floats may be written as integers.
fn fits(known: &Value, given: &Value) -> bool {
    known.same_type(given)
        || matches!((known, given), (Value::Float(_), Value::Integer(_)) | (Value::String(_), Value::Integer(0)))
}

fn with_article(value: &Value) -> String {
    let name = value.type_str();
    let article = if name.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("{article} {name}")
}

/// Line of a section (or of a key outside any), or of the key `inner` in it, for messages.
fn line_of(text: &str, section: &str, inner: &str) -> usize {
    let names = |line: &str, key: &str| {
        let line = line.trim_start_matches(['[', ' ', '\t']).to_lowercase();
        line.strip_prefix(key)
            .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-' || c == '_'))
    };
    let start = text.lines().position(|line| names(line, section)).unwrap_or_default();
    if inner.is_empty() {
        return 1 + start;
    }
    let below = text.lines().skip(start + 1).position(|line| names(line, inner));
    1 + below.map_or(start, |below| start + 1 + below)
}
