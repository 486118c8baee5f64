//! A file laid over the defaults, key by key.

use std::{collections::BTreeMap, ops::Range, path::Path};

use serde::{Deserialize, Serialize, de::IntoDeserializer};
use toml::{
    Spanned, Table, Value,
    de::{DeTable, DeValue},
};

use super::{BasicAuth, ConfigError, Lines, UdfFunction, Udp, duration, limits, services::Section};

/// Sections of the original that are accepted and do nothing here yet.
const NOT_BUILT: [&str; 15] = [
    "azure",
    "collectd",
    "consul",
    "dns",
    "file-discovery",
    "fluxtask",
    "gce",
    "graphite",
    "marathon",
    "nerve",
    "opentsdb",
    "scraper",
    "serverset",
    "static-discovery",
    "triton",
];

/// Options of sections that autoscale nodes use, for discovery alone.
const OF_DISCOVERY: [&str; 4] = ["ec2.port", "ec2.profile", "ec2.refresh-interval", "kubernetes.resource"];

/// The same, that mean nothing to a server that never calls out.
const WITHOUT_EFFECT: [&str; 2] = ["reporting", "tls"];

/// Lines of the sections of a file, by name; of a list those of its elements.
pub type Places = BTreeMap<String, Vec<usize>>;

/// Whether every element of a section says that it is off: then it has no effect in the original either.
fn is_off(value: &Value) -> bool {
    let off = |element: &Value| element.get("enabled").and_then(Value::as_bool) == Some(false);
    match value {
        Value::Array(elements) => elements.iter().all(off),
        element => off(element),
    }
}

/// Lays a file over `table`. Keys count in any case; unknown ones become warnings.
pub fn merge(table: &mut Table, text: &str, path: &Path, warnings: &mut Vec<String>) -> Result<Places, ConfigError> {
    let mut file = File { text, path, warnings };
    let parsed = DeTable::parse(text).map_err(|error| {
        let line = file.line(&error.span().unwrap_or_default());
        ConfigError::Parse(format!("{}: line {line}: {}", path.display(), error.message()))
    })?;
    let mut places = Places::new();
    for (key, value) in in_order(parsed.into_inner()) {
        let (name, at) = (key.get_ref().to_lowercase(), key.span());
        let elements = match value.get_ref() {
            DeValue::Array(elements) => elements.iter().map(|element| file.line(&element.span())).collect(),
            _ => vec![file.line(&at)],
        };
        places.insert(name.clone(), elements);
        match (table.get_mut(&name), value.into_inner()) {
            (None, value) if NOT_BUILT.contains(&name.as_str()) => {
                if !is_off(&plain(Spanned::new(at.clone(), value))?) {
                    file.warn(&at, &name, ": this section is not built yet and has no effect");
                }
            }
            (None, _) if WITHOUT_EFFECT.contains(&name.as_str()) => {}
            (None, _) => file.warn(&at, &name, ": unknown, has no effect"),
            (Some(Value::Table(section)), DeValue::Table(given)) => file.lay(section, given, &name)?,
            (Some(Value::Array(elements)), DeValue::Array(given)) => {
                elements.clear();
                for element in given {
                    elements.push(file.element(section_defaults(&name), element, &name)?);
                }
            }
            (Some(Value::Array(elements)), given @ DeValue::Table(_)) => {
                let one = Spanned::new(at, given);
                *elements = vec![file.element(section_defaults(&name), one, &name)?];
            }
            (Some(known), given) => file.put(known, Spanned::new(at, given), &name)?,
        }
    }
    Ok(places)
}

/// A file that is being read.
struct File<'a> {
    text: &'a str,
    path: &'a Path,
    warnings: &'a mut Vec<String>,
}

impl File<'_> {
    fn line(&self, at: &Range<usize>) -> usize {
        1 + self.text.get(..at.start).unwrap_or(self.text).matches('\n').count()
    }

    fn about(&self, at: &Range<usize>, name: &str, message: &str) -> String {
        format!("{}: line {}: {name}{message}", self.path.display(), self.line(at))
    }

    fn warn(&mut self, at: &Range<usize>, name: &str, message: &str) {
        let warning = self.about(at, name, message);
        self.warnings.push(warning);
    }

    /// Lays the keys of a table over what it holds.
    fn lay(&mut self, table: &mut Table, given: DeTable<'_>, name: &str) -> Result<(), ConfigError> {
        let is_off = given.get("enabled").is_some_and(|enabled| enabled.get_ref().as_bool() == Some(false));
        for (key, value) in in_order(given) {
            let inner = key.get_ref().to_lowercase();
            let (name, at) = (format!("{name}.{inner}"), key.span());
            if OF_DISCOVERY.contains(&name.as_str()) && !is_off && value.get_ref().as_str() != Some("") {
                self.warn(&at, &name, ": discovery is not built yet, this has no effect");
            }
            match table.get_mut(&inner) {
                Some(known) => self.put(known, Spanned::new(at, value.into_inner()), &name)?,
                None => self.warn(&at, &name, ": unknown, has no effect"),
            }
        }
        Ok(())
    }

    /// One value in the place of another; its span is where the file names it.
    fn put(&mut self, known: &mut Value, given: Spanned<DeValue<'_>>, name: &str) -> Result<(), ConfigError> {
        let at = given.span();
        *known = match (name, given.into_inner()) {
            ("httppost.basic-auth", given @ DeValue::Table(_)) => {
                self.element(defaults(&BasicAuth::default()), Spanned::new(at, given), name)?
            }
            ("udf.functions", DeValue::Table(functions)) => {
                let mut laid = Table::new();
                for (function, given) in in_order(functions) {
                    let function = function.get_ref().to_string();
                    let name = format!("{name}.{function}");
                    laid.insert(function, self.element(defaults(&UdfFunction::default()), given, &name)?);
                }
                Value::Table(laid)
            }
            ("farad.lines", DeValue::Array(listeners)) => {
                let element = |given| self.element(defaults(&Lines::default()), given, name);
                Value::Array(listeners.into_iter().map(element).collect::<Result<_, _>>()?)
            }
            (_, given) => {
                let given = plain(Spanned::new(at.clone(), given))?;
                if let Some(message) = mismatch(known, &given) {
                    return Err(ConfigError::Parse(self.about(&at, name, &message)));
                }
                if let Some(why) = limits::refuses(name, &given) {
                    return Err(ConfigError::Parse(self.about(&at, name, &format!(" {why}"))));
                }
                given
            }
        };
        Ok(())
    }

    /// A table over its defaults.
    fn element(&mut self, mut table: Table, given: Spanned<DeValue<'_>>, name: &str) -> Result<Value, ConfigError> {
        let at = given.span();
        let DeValue::Table(given) = given.into_inner() else {
            return Err(ConfigError::Parse(self.about(&at, name, " wants tables")));
        };
        self.lay(&mut table, given, name)?;
        Ok(Value::Table(table))
    }
}

/// Keys and values as the file has them.
fn in_order<'i>(table: DeTable<'i>) -> Vec<(Spanned<std::borrow::Cow<'i, str>>, Spanned<DeValue<'i>>)> {
    let mut pairs: Vec<_> = table.into_iter().collect();
    pairs.sort_by_key(|(key, _)| key.span().start);
    pairs
}

fn plain(value: Spanned<DeValue<'_>>) -> Result<Value, ConfigError> {
    Value::deserialize(value.into_deserializer()).map_err(|error| ConfigError::Parse(error.message().to_owned()))
}

/// What an element of an array section is laid over.
fn section_defaults(section: &str) -> Table {
    Section::find(section).map_or_else(|| defaults(&Udp::default()), Section::element)
}

fn defaults(value: &impl Serialize) -> Table {
    Table::try_from(value).unwrap_or_default()
}

/// What is wrong with a value in the place of a default. Floats may be written as integers, and a key whose default is a
/// duration wants one.
fn mismatch(known: &Value, given: &Value) -> Option<String> {
    match (known, given) {
        (Value::String(default), Value::String(text)) if duration::parse(default).is_ok() => {
            duration::parse(text).err().map(|error| format!(": {error}"))
        }
        (Value::String(default), Value::Integer(0)) if duration::parse(default).is_ok() => None,
        (Value::String(default), Value::Integer(number)) if duration::parse(default).is_ok() => {
            Some(format!(": time: missing unit in duration \"{number}\""))
        }
        (Value::Float(_), Value::Integer(_)) => None,
        _ if known.same_type(given) => None,
        _ => Some(format!(" wants {}, not {}", with_article(known), with_article(given))),
    }
}

fn with_article(value: &Value) -> String {
    let name = value.type_str();
    let article = if name.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("{article} {name}")
}
