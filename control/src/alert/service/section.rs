//! A service's section of the configuration.

use std::time::Duration;

use dataplane::trust::Trust;
use toml::{Table, Value};

use super::ServiceError;
use crate::config::{flag, parse_duration, services};

/// One element, enabled.
pub struct Section<'a>(&'a Table);

impl<'a> Section<'a> {
    /// The element of a name; by the empty name the default one, or the only one.
    pub fn pick(service: &str, elements: &'a [Table], name: &str) -> Result<Section<'a>, ServiceError> {
        let key = services::Section::find(service).and_then(|section| section.key);
        let enabled: Vec<_> = elements.iter().map(Section).filter(|section| section.flag("enabled")).collect();
        if enabled.is_empty() {
            return Err(ServiceError::new("service is not enabled"));
        }
        let Some(key) = key else { return Ok(Section(enabled[0].0)) };
        let found = match (name, enabled.as_slice()) {
            ("", [only]) => Some(only),
            ("", several) => several.iter().find(|section| section.flag("default")),
            (name, several) => several.iter().find(|section| section.text(key) == name),
        };
        found.map(|section| Section(section.0)).ok_or_else(|| match name {
            "" => ServiceError(format!("no [[{service}]] section is the default one")),
            name => {
                ServiceError(format!("{}: no enabled [[{service}]] section has it", Section::unknown(service, name)))
            }
        })
    }

    /// Whether there is an element of this name, enabled or not.
    pub fn is_there(service: &str, elements: &[Table], name: &str) -> bool {
        let key = services::Section::find(service).and_then(|section| section.key);
        key.is_none_or(|key| elements.iter().any(|element| Section(element).text(key) == name))
    }

    /// Says that there is no such element.
    pub fn unknown(service: &str, name: &str) -> String {
        let key = services::Section::find(service).and_then(|section| section.key).unwrap_or_default();
        // An id of what?
        let key = if service == "kafka" { "cluster" } else { key };
        format!("unknown {key} {name:?}")
    }

    pub fn text(&self, name: &str) -> &'a str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// A handler's own option, or what the section says where it has none.
    pub fn or<'b>(&self, own: &'b str, name: &str) -> &'b str
    where
        'a: 'b,
    {
        if own.is_empty() { self.text(name) } else { own }
    }

    /// User name and password; none without a user name.
    pub fn login(&self) -> Option<(String, String)> {
        let user = self.text("username");
        (!user.is_empty()).then(|| (user.to_owned(), self.text("password").to_owned()))
    }

    pub fn flag(&self, name: &str) -> bool {
        flag(self.0, name)
    }

    /// Zero where there is none.
    pub fn duration(&self, name: &str) -> Duration {
        parse_duration(self.text(name)).unwrap_or_default()
    }

    /// The `ssl-*` options, those of them that a section has.
    pub fn trust(&self) -> Trust {
        Trust {
            authorities: self.text("ssl-ca").to_owned(),
            certificate: self.text("ssl-cert").to_owned(),
            key: self.text("ssl-key").to_owned(),
            insecure: self.flag("insecure-skip-verify"),
        }
    }

    pub fn integer(&self, name: &str) -> i64 {
        self.0.get(name).and_then(Value::as_integer).unwrap_or_default()
    }

    /// An entry of an option that maps names to values.
    pub fn entry(&self, name: &str, key: &str) -> Option<serde_json::Value> {
        serde_json::to_value(self.0.get(name)?.get(key)?).ok()
    }

    pub fn texts(&self, name: &str) -> Vec<String> {
        let list = self.0.get(name).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(|text| text.as_str().map(str::to_owned)).collect()
    }

    /// A handler's own list, or the section's where it has none.
    pub fn or_texts(&self, own: &[String], name: &str) -> Vec<String> {
        if own.is_empty() { self.texts(name) } else { own.to_vec() }
    }

    /// The URL that must be there.
    pub fn url(&self) -> Result<&'a str, ServiceError> {
        match self.text("url").trim_end_matches('/') {
            "" => Err(ServiceError::new("the section has no url")),
            url => Ok(url),
        }
    }
}
