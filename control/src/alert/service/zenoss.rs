//! `zenoss`: an event over its router API.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Http, Message, Occasion, Section, Service, ServiceError,
    occasion::{check_templates, cut},
};

/// Longest texts that the service takes, in bytes.
const SUMMARY_BYTES: usize = 256;
const MESSAGE_BYTES: usize = 4096;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Zenoss {
    action: String,
    method: String,
    r#type: String,
    tid: i64,
    summary: String,
    device: String,
    component: String,
    event_class_key: String,
    event_class: String,
    message: String,
    collector: String,
    custom_fields: BTreeMap<String, Value>,
}

impl Default for Zenoss {
    fn default() -> Zenoss {
        let empty = String::new;
        Zenoss {
            action: empty(),
            method: empty(),
            r#type: empty(),
            tid: 0,
            summary: "{{ .Message }}".to_owned(),
            device: empty(),
            component: empty(),
            event_class_key: empty(),
            event_class: empty(),
            message: empty(),
            collector: empty(),
            custom_fields: BTreeMap::new(),
        }
    }
}

impl Service for Zenoss {
    fn check(&self) -> Result<(), String> {
        let texts = [&self.summary, &self.device, &self.component, &self.message];
        check_templates(
            texts.into_iter().map(String::as_str).chain(self.custom_fields.values().filter_map(Value::as_str)),
        )
    }

    fn message(&self, section: &Section<'_>, occasion: &Occasion<'_>) -> Result<Message, ServiceError> {
        let level = occasion.by_level(["OK", "Info", "Warning", "Critical"]);
        let severity = section.entry("severity-map", level).unwrap_or(Value::from(level));
        let mut data = json!({
            "summary": cut(&occasion.render(&self.summary)?, SUMMARY_BYTES),
            "device": occasion.render(&self.device)?,
            "component": occasion.render(&self.component)?,
            "severity": severity,
            "evclasskey": self.event_class_key,
            "evclass": self.event_class,
            "collector": section.or(&self.collector, "collector"),
            "message": cut(&occasion.render(&self.message)?, MESSAGE_BYTES),
        });
        for (key, value) in occasion.render_values(&self.custom_fields)? {
            data[key] = value;
        }
        let body = json!({
            "action": section.or(&self.action, "action"),
            "method": section.or(&self.method, "method"),
            "data": [data],
            "type": section.or(&self.r#type, "type"),
            "tid": if self.tid == 0 { section.integer("tid") } else { self.tid },
        });
        let mut http = Http::json(section.url()?, body, &[200]);
        http.basic_auth = section.login();
        Ok(Message::Http(http))
    }
}
