//! The event that a message is made of, and what templates of services see of it.

use std::collections::BTreeMap;

use dataplane::template::{EventData, Kind, Template};
use proto::{message::AlertEvent, value::Level};
use serde_json::{Value as Json, json};

use super::ServiceError;

pub struct Occasion<'a> {
    pub event: &'a AlertEvent,
    /// Level of the topic's last event with this id.
    pub previous: Level,
    pub api_url: &'a str,
}

impl Occasion<'_> {
    /// The event's data as JSON.
    pub fn data(&self) -> Json {
        serde_json::from_str(&self.event.data).unwrap_or_else(|_| json!({"series": null}))
    }

    /// A word by level: OK, INFO, WARNING, CRITICAL.
    pub fn by_level<T>(&self, words: [T; 4]) -> T {
        let [ok, info, warning, critical] = words;
        match self.event.level {
            Level::Ok => ok,
            Level::Info => info,
            Level::Warning => warning,
            Level::Critical => critical,
        }
    }

    pub fn is_ok(&self) -> bool {
        self.event.level == Level::Ok
    }

    pub fn tag(&self, key: &str) -> Option<&str> {
        self.event.tags.iter().find(|(tag, _)| tag == key).map(|(_, value)| value.as_str())
    }

    /// Fills in the texts among named values, which are templates; others stay as they are.
    pub fn render_values(
        &self,
        values: &BTreeMap<String, Json>,
    ) -> Result<serde_json::Map<String, Json>, ServiceError> {
        let render = |(key, value): (&String, &Json)| {
            let value = match value {
                Json::String(text) => Json::String(self.render(text)?),
                other => other.clone(),
            };
            Ok((key.clone(), value))
        };
        values.iter().map(render).collect()
    }

    /// Fills in a template.
    pub fn render(&self, text: &str) -> Result<String, ServiceError> {
        if !text.contains("{{") {
            return Ok(text.to_owned());
        }
        let mut rendered = String::new();
        let done = parse(text)?.render_event(&EventData::of_service(self.event), &mut rendered);
        done.map_err(|error| ServiceError(format!("cannot fill in {text:?}: {error}")))?;
        Ok(rendered)
    }
}

/// What is wrong with templates, before there is an event.
pub fn check_templates<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<(), String> {
    texts.into_iter().try_for_each(|text| parse(text).map(drop).map_err(|error| error.to_string()))
}

fn parse(text: &str) -> Result<Template, ServiceError> {
    let template = Template::new(Kind::Event, text);
    template.map_err(|error| ServiceError(format!("invalid template {text:?}: {error}")))
}

/// The first `length` bytes at most, whole characters.
pub fn cut(text: &str, length: usize) -> &str {
    let end = (0..=length.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    &text[..end]
}
