//! Options changed while the server runs (reference: configuration §6, http-api §19).
//!
//! An override names a section, an element of it, and the options that differ from the file. Together with the file's
//! configuration they make the effective one, which is checked as a whole before it takes the old one's place.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tokio::sync::watch;
use toml::{Table, Value};

use super::{
    Config, ConfigError,
    services::{Kind, Section},
};
use crate::store::{OverrideTable, StoreError};

/// The options of one element that differ.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Override {
    pub section: String,
    /// Empty for a section that is no list.
    pub element: String,
    /// The element is not in the file.
    pub created: bool,
    pub options: BTreeMap<String, Json>,
}

/// What a request changes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Action {
    pub set: BTreeMap<String, Json>,
    pub delete: Vec<String>,
    pub add: BTreeMap<String, Json>,
    pub remove: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum OverrideError {
    #[error("failed to apply update: {0}")]
    Action(String),
    #[error("failed to override configuration {place}: {message}")]
    Refused { place: String, message: String },
    #[error("failed to update configuration {place}: {error}")]
    Store { place: String, error: StoreError },
}

/// Longest name of an element: it is part of a key of the store.
const ELEMENT_BYTES_MAX: usize = 400;

/// By section and element.
type Overridden = BTreeMap<(String, String), Override>;

/// The effective configuration; cheap to clone.
#[derive(Clone)]
pub struct Live {
    shared: Arc<Shared>,
}

struct Shared {
    /// The configuration of file, environment and flags.
    base: Table,
    overridden: Mutex<Overridden>,
    current: watch::Sender<Arc<Config>>,
    table: Option<OverrideTable>,
}

impl Live {
    /// A configuration that nobody overrides.
    pub fn fixed(config: Config) -> Live {
        let current = watch::Sender::new(Arc::new(config));
        Live { shared: Arc::new(Shared { base: Table::new(), overridden: Mutex::default(), current, table: None }) }
    }

    /// `base` with the overrides of the store. One that does not fit any more is left out with an error in the log.
    pub fn open(config: Config, base: Table, table: OverrideTable) -> Result<Live, StoreError> {
        let mut overridden = Overridden::new();
        let mut config = config;
        if !config.skip_config_overrides {
            for kept in table.all()? {
                let place = (kept.section.clone(), kept.element.clone());
                overridden.insert(place.clone(), kept);
                match effective(&base, &overridden).and_then(read) {
                    Ok(next) => config = next,
                    Err(error) => {
                        let (section, element) = &place;
                        tracing::error!(
                            service = "config-override",
                            section,
                            element,
                            err = error,
                            "an override is left out"
                        );
                        overridden.remove(&place);
                    }
                }
            }
        }
        let current = watch::Sender::new(Arc::new(config));
        let shared = Shared { base, overridden: Mutex::new(overridden), current, table: Some(table) };
        Ok(Live { shared: Arc::new(shared) })
    }

    pub fn get(&self) -> Arc<Config> {
        self.shared.current.borrow().clone()
    }

    /// Sees every change.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Config>> {
        self.shared.current.subscribe()
    }

    /// The overridable sections as they are in effect.
    pub fn table(&self) -> Table {
        let overridden = self.shared.overridden.lock().unwrap_or_else(PoisonError::into_inner);
        effective(&self.shared.base, &overridden).unwrap_or_else(|_| self.shared.base.clone())
    }

    /// Carries out a change, or nothing of it. Waits for the disk.
    pub fn change(&self, section: &str, element: Option<&str>, action: Action) -> Result<(), OverrideError> {
        let place = format!("{section}/{}", element.unwrap_or_default());
        let refused = |message: String| OverrideError::Refused { place: place.clone(), message };
        let mut overridden = self.shared.overridden.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = overridden.clone();
        let changed = apply(&self.shared.base, &mut next, section, element, action)?;
        let table = effective(&self.shared.base, &next).map_err(refused)?;
        let config = read(table).map_err(|message| refused(format!("failed validation: {message}")))?;
        if let Some(store) = &self.shared.table {
            let entries = changed.iter().map(|place| (place, next.get(place)));
            store.put(entries).map_err(|error| OverrideError::Store { place: place.clone(), error })?;
        }
        *overridden = next;
        self.shared.current.send_replace(Arc::new(config));
        Ok(())
    }
}

fn read(table: Table) -> Result<Config, String> {
    let config = Config::of(table).map_err(|error| match error {
        ConfigError::Invalid(message) => message,
        other => other.to_string(),
    })?;
    config.check().map_err(|fault| fault.message)?;
    Ok(config)
}

/// Enters an action; returns the places that changed.
fn apply(
    base: &Table,
    overridden: &mut Overridden,
    section: &str,
    element: Option<&str>,
    action: Action,
) -> Result<Vec<(String, String)>, OverrideError> {
    let invalid = |message: &str| OverrideError::Action(format!("invalid update action: {message}"));
    let changes = !action.set.is_empty() || !action.delete.is_empty();
    let lists = !action.add.is_empty() || !action.remove.is_empty();
    if section.is_empty() {
        return Err(invalid("must provide section name"));
    }
    if changes && lists {
        return Err(invalid("cannot provide both set/delete and add/remove actions in the same update"));
    }
    if !action.add.is_empty() && !action.remove.is_empty() {
        return Err(invalid("cannot provide both add and remove actions in the same update"));
    }
    let unknown = |options: Vec<&String>| {
        let names = options.into_iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        let message = match names.as_str() {
            "" => format!("unknown section {section}"),
            names => format!("unknown options [{names}] in section {section}"),
        };
        OverrideError::Refused { place: format!("{section}/{}", element.unwrap_or_default()), message }
    };
    if lists {
        if element.is_some_and(|element| !element.is_empty()) {
            return Err(invalid("must not provide element when adding or removing an override"));
        }
        let known = Section::find(section).ok_or_else(|| unknown(action.add.keys().collect()))?;
        if !action.add.is_empty() {
            let key = known.key.ok_or_else(|| {
                OverrideError::Action(format!("section {section:?} is not a list, cannot add new element"))
            })?;
            return add(base, overridden, known, key, action.add).map(|place| vec![place]);
        }
        if known.key.is_none() {
            // There is nothing to remove.
            return Ok(Vec::new());
        }
        let places: Vec<_> = action.remove.into_iter().map(|element| (section.to_owned(), element)).collect();
        places.iter().for_each(|place| drop(overridden.remove(place)));
        return Ok(places);
    }
    let Some(element) = element else {
        return Err(invalid("element not specified, are you missing a trailing '/'?"));
    };
    let place = (section.to_owned(), element.to_owned());
    let known =
        Section::find(section).filter(|known| overridden.contains_key(&place) || find(base, known, element).is_some());
    let Some(known) = known else {
        let harmless = action.set.is_empty() && Section::find(section).is_some();
        return if harmless { Ok(Vec::new()) } else { Err(unknown(action.set.keys().collect())) };
    };
    let entry = overridden.entry(place.clone()).or_insert_with(|| Override {
        section: section.to_owned(),
        element: element.to_owned(),
        ..Override::default()
    });
    for name in &action.delete {
        entry.options.remove(name);
    }
    let strange: Vec<_> = action.set.keys().filter(|name| known.option(name).is_none()).collect();
    if !strange.is_empty() {
        return Err(unknown(strange));
    }
    if let Some(key) = known.key.filter(|key| action.set.contains_key(*key)) {
        return Err(OverrideError::Refused {
            place: format!("{section}/{element}"),
            message: format!("cannot override element key {key}"),
        });
    }
    entry.options.extend(action.set);
    if entry.options.is_empty() && !entry.created {
        overridden.remove(&place);
    }
    Ok(vec![place])
}

fn add(
    base: &Table,
    overridden: &mut Overridden,
    section: &Section,
    key: &str,
    options: BTreeMap<String, Json>,
) -> Result<(String, String), OverrideError> {
    let refused = |message: String| OverrideError::Refused { place: format!("{}/", section.name), message };
    let element = match options.get(key) {
        None => return Err(OverrideError::Action(format!("missing key {key:?} in \"add\" map"))),
        Some(Json::String(element)) => element.clone(),
        Some(other) => {
            return Err(OverrideError::Action(format!("expected {key:?} key to be a string, got {}", go_kind(other))));
        }
    };
    if element.len() > ELEMENT_BYTES_MAX {
        return Err(refused(format!("{key} has {} bytes, {ELEMENT_BYTES_MAX} are the most", element.len())));
    }
    let place = (section.name.to_owned(), element.clone());
    if overridden.get(&place).is_some_and(|entry| entry.created) || find(base, section, &element).is_some() {
        return Err(refused(format!("element {element:?} exists already")));
    }
    let strange: Vec<_> = options.keys().filter(|name| section.option(name).is_none()).map(String::as_str).collect();
    if !strange.is_empty() {
        return Err(refused(format!("unknown options [{}] in section {}", strange.join(" "), section.name)));
    }
    let entry = Override { section: section.name.to_owned(), element, created: true, options };
    overridden.insert(place.clone(), entry);
    Ok(place)
}

/// The base with all overrides laid over it; the text says which option does not fit.
fn effective(base: &Table, overridden: &Overridden) -> Result<Table, String> {
    let mut table = base.clone();
    for entry in overridden.values() {
        let section = Section::find(&entry.section).ok_or_else(|| format!("unknown section {:?}", entry.section))?;
        let value = table.entry(section.name).or_insert_with(|| section.absent());
        let element = match (value, section.key) {
            (Value::Table(element), None) => element,
            (Value::Array(elements), Some(key)) => {
                let is_named = |element: &Value| element.get(key).and_then(Value::as_str) == Some(&*entry.element);
                let place = match elements.iter().position(is_named) {
                    Some(place) => place,
                    None if entry.created => {
                        let mut element = section.element();
                        // An InfluxDB that is written in the file is enabled, one that is added is not until that is said.
                        if section.option("enabled").is_some() {
                            element.insert("enabled".to_owned(), Value::Boolean(false));
                        }
                        elements.push(Value::Table(element));
                        elements.len() - 1
                    }
                    None => return Err(format!("section {} has no element {:?}", section.name, entry.element)),
                };
                match elements.get_mut(place) {
                    Some(Value::Table(element)) => element,
                    _ => return Err(format!("section {} is malformed", section.name)),
                }
            }
            _ => return Err(format!("section {} is malformed", section.name)),
        };
        for (name, given) in &entry.options {
            let option = section.option(name);
            let option = option.ok_or_else(|| format!("unknown options [{name}] in section {}", section.name))?;
            let value = convert(option.kind, given).map_err(|error| format!("cannot set option {name}: {error}"))?;
            element.insert(name.clone(), value);
        }
        // Elements are shown in order of their key.
        if let (Some(key), Some(Value::Array(elements))) = (section.key, table.get_mut(section.name)) {
            elements.sort_by_key(|element| element.get(key).and_then(Value::as_str).map(str::to_owned));
        }
    }
    Ok(table)
}

/// An element of the file, by name.
fn find<'a>(base: &'a Table, section: &Section, element: &str) -> Option<&'a Table> {
    match (base.get(section.name)?, section.key) {
        (Value::Table(table), None) => element.is_empty().then_some(table),
        (Value::Array(elements), Some(key)) => {
            let tables = elements.iter().filter_map(Value::as_table);
            tables.into_iter().find(|table| table.get(key).and_then(Value::as_str) == Some(element))
        }
        _ => None,
    }
}

/// A value of a request as the option's kind.
fn convert(kind: Kind, given: &Json) -> Result<Value, String> {
    let wrong = |wanted: &str| format!("wrong kind {}, expected value of kind {wanted}: false", go_kind(given));
    let texts = |items: &Vec<Json>| -> Result<Value, String> {
        let text = |item: &Json| match item {
            Json::String(text) => Ok(Value::String(text.clone())),
            other => Err(format!(
                "failed to copy slice value: wrong kind {}, expected value of kind string: false",
                go_kind(other)
            )),
        };
        items.iter().map(text).collect::<Result<Vec<_>, _>>().map(Value::Array)
    };
    match (kind, given) {
        (Kind::Text, Json::String(text)) => Ok(Value::String(text.clone())),
        (Kind::Text, _) => Err(wrong("string")),
        (Kind::Flag, Json::Bool(flag)) => Ok(Value::Boolean(*flag)),
        (Kind::Flag, _) => Err(wrong("bool")),
        (Kind::Integer, Json::Number(number)) => {
            let whole = number.as_f64().filter(|x| x.fract() == 0.0 && x.abs() < 9e18).map(|x| x as i64);
            let integer = number.as_i64().or(whole);
            integer.map(Value::Integer).ok_or_else(|| format!("cannot convert {number} into int"))
        }
        (Kind::Integer, Json::String(text)) => {
            text.parse().map(Value::Integer).map_err(|_| format!("cannot convert string {text:?} into int"))
        }
        (Kind::Integer, _) => Err(wrong("int")),
        (Kind::Duration, Json::String(text)) => super::parse_duration(text).map(|_| Value::String(text.clone())),
        (Kind::Duration, _) => Err(format!("cannot unmarshal {} into int64", go_kind(given))),
        (Kind::Texts, Json::Array(items)) => texts(items),
        (Kind::Texts, _) => Err(wrong("slice")),
        (Kind::TextMap | Kind::Login, Json::Object(map)) => {
            let pair = |(name, value): (&String, &Json)| match value {
                Json::String(text) => Ok((name.clone(), Value::String(text.clone()))),
                other => Err(format!("wrong kind {}, expected value of kind string: false", go_kind(other))),
            };
            if kind == Kind::Login && map.keys().any(|name| !matches!(name.as_str(), "username" | "password")) {
                return Err("only username and password can be set".to_owned());
            }
            map.iter().map(pair).collect::<Result<Table, _>>().map(Value::Table)
        }
        (Kind::ListMap, Json::Object(map)) => {
            let pair = |(name, value): (&String, &Json)| match value {
                Json::Array(items) => Ok((name.clone(), texts(items)?)),
                other => Err(format!("wrong kind {}, expected value of kind slice: false", go_kind(other))),
            };
            map.iter().map(pair).collect::<Result<Table, _>>().map(Value::Table)
        }
        (Kind::TextMap | Kind::ListMap | Kind::Login, _) => Err(wrong("map")),
    }
}

/// The word that the original has for a JSON value's type.
fn go_kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "invalid",
        Json::Bool(_) => "bool",
        Json::Number(_) => "float64",
        Json::String(_) => "string",
        Json::Array(_) => "slice",
        Json::Object(_) => "map",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_converted_as_the_original_does() {
        let error = |kind, value: Json| convert(kind, &value).unwrap_err();
        assert_eq!(convert(Kind::Integer, &json!("2525")), Ok(Value::Integer(2525)));
        assert_eq!(convert(Kind::Integer, &json!(2525.0)), Ok(Value::Integer(2525)));
        assert_eq!(error(Kind::Integer, json!(2002.5)), "cannot convert 2002.5 into int");
        assert_eq!(error(Kind::Integer, json!("x")), "cannot convert string \"x\" into int");
        assert_eq!(error(Kind::Text, json!(1)), "wrong kind float64, expected value of kind string: false");
        assert_eq!(error(Kind::Flag, json!("true")), "wrong kind string, expected value of kind bool: false");
        assert_eq!(error(Kind::Duration, json!(5)), "cannot unmarshal float64 into int64");
        assert!(error(Kind::Duration, json!("5x")).contains("unknown unit"));
        assert_eq!(error(Kind::Texts, Json::Null), "wrong kind invalid, expected value of kind slice: false");
        assert_eq!(
            error(Kind::Texts, json!([1])),
            "failed to copy slice value: wrong kind float64, expected value of kind string: false"
        );
    }

    fn live() -> (tempfile::TempDir, Live) {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::store::Store::open(folder.path()).unwrap();
        let base = super::super::sections::defaults("/home/x");
        let live = Live::open(Config::of(base.clone()).unwrap(), base, store.overrides()).unwrap();
        (folder, live)
    }

    fn set(name: &str, value: Json) -> Action {
        Action { set: BTreeMap::from([(name.to_owned(), value)]), ..Action::default() }
    }

    #[test]
    fn a_change_that_fails_the_check_leaves_nothing() {
        let (_folder, live) = live();
        let error = live.change("sensu", Some(""), set("enabled", json!(true))).unwrap_err();
        assert!(error.to_string().contains("must specify client address"), "{error}");
        assert_eq!(live.get().elements("sensu")[0]["enabled"], Value::Boolean(false));
        live.change("influxdb", Some("default"), set("http-port", json!("9"))).unwrap();
        assert_eq!(live.get().influxdb[0].http_port, 9);
        let delete = Action { delete: vec!["http-port".into(), "nosuch".into()], ..Action::default() };
        live.change("influxdb", Some("default"), delete).unwrap();
        assert_eq!(live.get().influxdb[0].http_port, 0);
        assert!(live.change("influxdb", Some("default"), set("http-port", json!(70_000))).is_err());
    }

    #[test]
    fn what_is_removed_needs_not_be_there_and_an_added_influxdb_is_off() {
        let (_folder, live) = live();
        let remove = |element: &str| Action { remove: vec![element.to_owned()], ..Action::default() };
        let add = BTreeMap::from([("name".to_owned(), json!("two")), ("urls".to_owned(), json!(["http://x"]))]);
        live.change("influxdb", None, Action { add, ..Action::default() }).unwrap();
        assert!(!live.get().influxdb.iter().find(|cluster| cluster.name == "two").unwrap().enabled);
        live.change("influxdb", Some(""), remove("two")).unwrap();
        assert_eq!(live.get().influxdb.len(), 1);
        for (section, element) in [("smtp", None), ("smtp", Some("")), ("influxdb", None)] {
            live.change(section, element, remove("nosuch")).unwrap();
        }
        assert!(live.change("influxdb", Some("two"), remove("two")).is_err());
        assert!(live.change("nosuch", Some(""), Action::default()).is_err());
        assert!(live.change("smtp", Some(""), set("to", json!(["nobody"]))).is_err());
    }

    #[test]
    fn elements_are_added_once_and_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let base = super::super::sections::defaults("/home/x");
        let add = || Action {
            add: BTreeMap::from([("endpoint".to_owned(), json!("e")), ("url".to_owned(), json!("http://e"))]),
            ..Action::default()
        };
        {
            let store = crate::store::Store::open(folder.path()).unwrap();
            let live = Live::open(Config::of(base.clone()).unwrap(), base.clone(), store.overrides()).unwrap();
            live.change("httppost", None, add()).unwrap();
            assert!(live.change("httppost", None, add()).is_err());
            let long = BTreeMap::from([("endpoint".to_owned(), json!("e".repeat(401)))]);
            let error = live.change("httppost", None, Action { add: long, ..Action::default() }).unwrap_err();
            assert!(error.to_string().contains("400 are the most"), "{error}");
            assert_eq!(live.get().endpoint("e").unwrap().url, "http://e");
        }
        let store = crate::store::Store::open(folder.path()).unwrap();
        let live = Live::open(Config::of(base.clone()).unwrap(), base, store.overrides()).unwrap();
        assert_eq!(live.get().endpoint("e").unwrap().url, "http://e");
        live.change("httppost", None, Action { remove: vec!["e".into(), "x".into()], ..Action::default() }).unwrap();
        assert!(live.get().endpoint("e").is_none());
    }
}
