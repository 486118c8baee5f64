//! `bigpanda`: an alert of a host and a check.

use std::collections::BTreeMap;

use proto::value::Value as FieldValue;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Http, Message, Occasion, Section, Service, ServiceError, occasion::check_templates};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct BigPanda {
    #[serde(alias = "app_key")]
    app_key: String,
    host: String,
    #[serde(alias = "primary_property")]
    primary_property: String,
    #[serde(alias = "secondary_property")]
    secondary_property: String,
    attributes: BTreeMap<String, Value>,
}

impl Service for BigPanda {
    fn check(&self) -> Result<(), String> {
        let attributes = self.attributes.values().filter_map(Value::as_str);
        check_templates([self.host.as_str()].into_iter().chain(attributes))
    }

    fn message(&self, section: &Section<'_>, occasion: &Occasion<'_>) -> Result<Message, ServiceError> {
        let event = occasion.event;
        let mut body = serde_json::Map::new();
        let mut put = |key: &str, value: Value| body.insert(key.to_owned(), value);
        put("app_key", section.or(&self.app_key, "app-key").into());
        put("check", event.id.as_str().into());
        put("description", event.message.as_str().into());
        // The default details are JSON for machines.
        if !event.details.is_empty() && !event.details.trim_start().starts_with('{') {
            put("details", event.details.as_str().into());
        }
        put("task", format!("{}:{}", event.task, event.name).into());
        put("timestamp", event.time.div_euclid(1_000_000_000).into());
        put("status", occasion.by_level(["ok", "ok", "warning", "critical"]).into());
        for (key, own) in
            [("primary_property", &self.primary_property), ("secondary_property", &self.secondary_property)]
        {
            if !own.is_empty() {
                put(key, own.as_str().into());
            }
        }
        if !self.host.is_empty() {
            put("host", occasion.render(&self.host)?.into());
        }
        let automatic = section.text("auto-attributes");
        if automatic.contains("tags") {
            event.tags.iter().for_each(|(key, value)| drop(put(key, value.as_str().into())));
        }
        if automatic.contains("fields") {
            event.fields.iter().for_each(|(key, value)| drop(put(key, text(value).into())));
        }
        body.extend(occasion.render_values(&self.attributes)?);
        let mut http = Http::json(section.url()?, json!(body), &[200, 201])
            .header("Authorization", format!("Bearer {}", section.text("token")));
        http.trust = section.trust();
        Ok(Message::Http(http))
    }
}

fn text(value: &FieldValue) -> String {
    match value {
        FieldValue::String(text) => text.clone(),
        FieldValue::Float(value) => value.to_string(),
        FieldValue::Int(value) | FieldValue::Time(value) => value.to_string(),
        FieldValue::Bool(value) => value.to_string(),
        FieldValue::Duration(value) => dataplane::template::duration_text(*value),
        FieldValue::Regex(_) | FieldValue::Null => String::new(),
    }
}
