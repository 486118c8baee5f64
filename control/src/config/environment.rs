//! `KAPACITOR_` variables over the configuration (reference: configuration §2).
//!
//! A variable names section and key in upper case, `-` as `_`, elements of arrays by index. Only what is there already
//! is overridden.

use std::borrow::Cow;

use dataplane::value::parse_bool;
use toml::{Table, Value};

use super::{Config, ConfigError, limits};

/// Variables that say something else than a value of the configuration.
const OTHERS: [&str; 4] = ["CONFIG_PATH", "UNSAFE_SSL", "URL", "VERSION"];

/// Lays variables over a configuration. Those that lead to nothing become warnings.
pub fn apply(
    table: &mut Table,
    environment: &[(String, String)],
    warnings: &mut Vec<String>,
) -> Result<(), ConfigError> {
    let ours = |(name, text): &&(String, String)| {
        !text.is_empty() && name.strip_prefix("KAPACITOR_").is_some_and(|path| !OTHERS.contains(&path))
    };
    let mut variables: Vec<_> = environment.iter().filter(ours).collect();
    // A list grows element by element: the first comes before the second, and the ninth before the tenth.
    variables.sort_by_key(|(name, _)| (name.len(), name));
    let mut root = Value::Table(std::mem::take(table));
    for (name, text) in variables {
        match find(&mut root, &with_index(name.trim_start_matches("KAPACITOR_"))) {
            Some(value) => {
                let environment_error = |error: String| ConfigError::Environment { variable: name.clone(), error };
                *value = read(value, text).map_err(environment_error)?;
                let key = name.strip_prefix("KAPACITOR_FARAD_").unwrap_or_default().to_lowercase().replace('_', "-");
                if let Some(why) = limits::refuses(&format!("farad.{key}"), value) {
                    return Err(environment_error(why));
                }
            }
            None => warnings.push(format!("{name}: leads to nothing in the configuration, has no effect")),
        }
    }
    if let Value::Table(merged) = root {
        *table = merged;
    }
    Ok(())
}

/// The first `[[kubernetes]]` section needs no index.
fn with_index(path: &str) -> Cow<'_, str> {
    match path.strip_prefix("KUBERNETES_") {
        Some(rest) if !rest.starts_with(|c: char| c.is_ascii_digit()) => format!("KUBERNETES_0_{rest}").into(),
        _ => path.into(),
    }
}

/// Which variable is to blame for a configuration that cannot be read, if one is; `before` can be.
pub fn blame(before: &Table, environment: &[(String, String)], error: ConfigError) -> ConfigError {
    for variable in environment {
        let mut table = before.clone();
        let alone = apply(&mut table, std::slice::from_ref(variable), &mut Vec::new());
        if let Err(ConfigError::Invalid(error)) = alone.and_then(|()| Config::of(table)) {
            return ConfigError::Environment { variable: variable.0.clone(), error };
        }
    }
    error
}

/// The value that the rest of a variable's name leads to.
fn find<'a>(value: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    if path.is_empty() {
        return Some(value);
    }
    match value {
        Value::Table(table) => {
            let leads = |key: &String| {
                let spelt = key.to_uppercase().replace('-', "_");
                let rest = path.strip_prefix(&spelt).or_else(|| path.strip_prefix(key.as_str()))?;
                let end = rest.is_empty() || rest.starts_with('_');
                end.then(|| (key.clone(), rest.strip_prefix('_').unwrap_or(rest).to_owned()))
            };
            // Of keys that begin alike, the longest.
            let (key, rest) = table.keys().filter_map(leads).max_by_key(|(key, _)| key.len())?;
            find(table.get_mut(&key)?, &rest)
        }
        Value::Array(elements) => {
            let (index, rest) = path.split_once('_').unwrap_or((path, ""));
            let index: usize = index.parse().ok()?;
            // A list of texts grows by one.
            if rest.is_empty() && index == elements.len() && elements.iter().all(Value::is_str) {
                elements.push(Value::String(String::new()));
            }
            find(elements.get_mut(index)?, rest)
        }
        _ => None,
    }
}

/// A text as a value of the same type.
fn read(old: &Value, text: &str) -> Result<Value, String> {
    Ok(match old {
        Value::Boolean(_) => Value::Boolean(parse_bool(text).ok_or_else(|| format!("{text:?} is not true or false"))?),
        Value::Integer(_) => Value::Integer(text.parse().map_err(|_| format!("{text:?} is not an integer"))?),
        Value::Float(_) => Value::Float(text.parse().map_err(|_| format!("{text:?} is not a number"))?),
        Value::String(_) => Value::String(text.to_owned()),
        other => return Err(format!("a {} cannot be set by one variable", other.type_str())),
    })
}
