//! A file laid over the defaults, key by key.

use std::path::Path;

use toml::{Table, Value};

use super::{ConfigError, HttpPost, Influxdb, Udp};

/// Sections of the original that are accepted and do nothing here yet, beside those that are read.
const NOT_BUILT: [&str; 38] = [
    "alert",
    "alerta",
    "auth",
    "azure",
    "bigpanda",
    "collectd",
    "consul",
    "discord",
    "dns",
    "ec2",
    "file-discovery",
    "fluxtask",
    "gce",
    "graphite",
    "hipchat",
    "kafka",
    "kubernetes",
    "marathon",
    "mqtt",
    "nerve",
    "opentsdb",
    "opsgenie",
    "opsgenie2",
    "pagerduty",
    "pagerduty2",
    "pushover",
    "scraper",
    "sensu",
    "serverset",
    "servicenow",
    "slack",
    "smtp",
    "snmptrap",
    "static-discovery",
    "swarm",
    "talk",
    "teams",
    "telegram",
];

/// The same, that mean nothing to a server that never calls out.
const WITHOUT_EFFECT: [&str; 5] = ["reporting", "tls", "triton", "victorops", "zenoss"];

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
            (None, _) if key == "udf" || NOT_BUILT.contains(&key.as_str()) => {
                warnings.push(format!("{}: section [{key}] is not built yet and has no effect", path.display()));
            }
            (None, _) if WITHOUT_EFFECT.contains(&key.as_str()) => {}
            (None, _) => warnings.push(place("", ": unknown, has no effect")),
            (Some(Value::Table(section)), Value::Table(given)) => {
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
            }
            (Some(Value::Array(elements)), Value::Array(given)) => {
                *elements = given.into_iter().map(|element| element_over_defaults(&key, element)).collect();
            }
            (Some(Value::Array(elements)), given @ Value::Table(_)) => {
                *elements = vec![element_over_defaults(&key, given)];
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

/// An element of an array section: its unset keys have their defaults, however many elements there are.
fn element_over_defaults(section: &str, element: Value) -> Value {
    let defaults = match section {
        "influxdb" => Value::try_from(Influxdb::default()),
        "httppost" => Value::try_from(HttpPost::default()),
        _ => Value::try_from(Udp::default()),
    };
    match (defaults, element) {
        (Ok(Value::Table(mut table)), Value::Table(given)) => {
            table.extend(given.into_iter().map(|(key, value)| (key.to_lowercase(), value)));
            Value::Table(table)
        }
        (_, element) => element,
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
