//! `sensu`: a check result over TCP.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Line, Message, Occasion, Section, Service, ServiceError, occasion::check_templates};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sensu {
    source: String,
    handlers: Vec<String>,
    metadata: BTreeMap<String, Value>,
}

impl Service for Sensu {
    fn check(&self) -> Result<(), String> {
        check_templates([self.source.as_str()])
    }

    fn message(&self, section: &Section<'_>, occasion: &Occasion<'_>) -> Result<Message, ServiceError> {
        let id = &occasion.event.id;
        let is_word = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if id.is_empty() || !id.chars().all(is_word) {
            return Err(ServiceError(format!("invalid name {id:?} for sensu alert. Must match ^[\\w\\.-]+$")));
        }
        let mut body = json!({
            "handlers": section.or_texts(&self.handlers, "handlers"),
            "name": id,
            "output": occasion.event.message,
            "source": occasion.render(section.or(&self.source, "source"))?,
            "status": occasion.by_level([0, 0, 1, 2]),
        });
        for (key, value) in &self.metadata {
            if body.get(key).is_none() {
                body[key] = value.clone();
            }
        }
        Ok(Message::Line(Line { address: section.text("addr").to_owned(), line: body.to_string(), answer: "ok" }))
    }
}
