//! The event that a message is made of, and what templates of services see of it.

use std::{collections::BTreeMap, sync::Arc};

use gotmpl::{MissingKey, Template, Value as TemplateValue, tmap};
use proto::{
    message::AlertEvent,
    value::{Level, Value},
};
use serde_json::{Value as Json, json};

use super::ServiceError;

pub struct Occasion<'a> {
    pub event: &'a AlertEvent,
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
        let event = self.event;
        let data = tmap! {
            "ID" => event.id.clone(),
            "Name" => event.name.clone(),
            "TaskName" => event.task.clone(),
            "Group" => event.group.clone(),
            "Level" => event.level.as_str(),
            "Message" => event.message.clone(),
            "Tags" => map(event.tags.iter().map(|(key, value)| (key.as_str(), TemplateValue::String(value.as_str().into())))),
            "Fields" => map(event.fields.iter().map(|(key, value)| (key.as_str(), field(value)))),
        };
        let rendered = parse(text)?.execute_to_string(&data);
        rendered.map_err(|error| ServiceError(format!("cannot fill in {text:?}: {error}")))
    }
}

/// What is wrong with templates, before there is an event.
pub fn check_templates<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<(), String> {
    texts.into_iter().try_for_each(|text| parse(text).map(drop).map_err(|error| error.to_string()))
}

fn parse(text: &str) -> Result<Template, ServiceError> {
    let template = Template::new("handler").missing_key(MissingKey::Invalid).parse(text);
    template.map_err(|error| ServiceError(format!("invalid template {text:?}: {error}")))
}

fn map<'a>(entries: impl Iterator<Item = (&'a str, TemplateValue)>) -> TemplateValue {
    let entries: BTreeMap<Arc<str>, TemplateValue> = entries.map(|(key, value)| (Arc::from(key), value)).collect();
    TemplateValue::Map(Arc::new(entries))
}

fn field(value: &Value) -> TemplateValue {
    match value {
        Value::Float(value) => TemplateValue::Float(*value),
        Value::Int(value) => TemplateValue::Int(*value),
        Value::Bool(value) => TemplateValue::Bool(*value),
        Value::String(value) => TemplateValue::String(value.as_str().into()),
        Value::Duration(value) => TemplateValue::String(dataplane::template::duration_text(*value).into()),
        Value::Time(value) => {
            let mut text = String::new();
            dataplane::json::time(*value, &mut text);
            TemplateValue::String(text.trim_matches('"').into())
        }
        Value::Regex(_) | Value::Null => TemplateValue::Nil,
    }
}

/// The first `length` bytes at most, whole characters.
pub fn cut(text: &str, length: usize) -> &str {
    let end = (0..=length.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    &text[..end]
}
