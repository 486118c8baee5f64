//! `servicenow`: an event record.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Http, Message, Occasion, Section, Service, ServiceError,
    occasion::{check_templates, cut},
};

/// Longest texts that the service takes, in bytes.
const FIELD_BYTES: usize = 100;
const KEY_BYTES: usize = 1024;
const DESCRIPTION_BYTES: usize = 4000;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ServiceNow {
    url: String,
    source: String,
    node: String,
    r#type: String,
    resource: String,
    #[serde(alias = "metric_name")]
    metric_name: String,
    #[serde(alias = "message_key")]
    message_key: String,
    #[serde(alias = "additional_info")]
    additional_info: BTreeMap<String, Value>,
}

impl Service for ServiceNow {
    fn check(&self) -> Result<(), String> {
        let texts =
            [&self.source, &self.node, &self.r#type, &self.resource, &self.metric_name, &self.message_key].into_iter();
        check_templates(texts.map(String::as_str).chain(self.additional_info.values().filter_map(Value::as_str)))
    }

    fn message(&self, section: &Section<'_>, occasion: &Occasion<'_>) -> Result<Message, ServiceError> {
        let event = occasion.event;
        let field = |text: &str| Ok::<_, ServiceError>(cut(&occasion.render(text)?, FIELD_BYTES).to_owned());
        let key = match self.message_key.as_str() {
            "" => event.id.clone(),
            template => occasion.render(template)?,
        };
        let mut record = json!({
            "source": field(section.or(&self.source, "source"))?,
            "node": field(&self.node)?,
            "type": field(&self.r#type)?,
            "resource": field(&self.resource)?,
            "metric_name": field(&self.metric_name)?,
            "message_key": cut(&key, KEY_BYTES),
            "severity": occasion.by_level(["5", "5", "4", "1"]),
            "description": cut(&event.message, DESCRIPTION_BYTES),
        });
        if !self.additional_info.is_empty() {
            let more = Value::Object(occasion.render_values(&self.additional_info)?);
            record["additional_info"] = Value::String(more.to_string());
        }
        let url = section.or(&self.url, "url");
        if url.is_empty() {
            return Err(ServiceError::new("neither the handler nor the section has a url"));
        }
        let mut http = Http::json(url, json!({"records": [record]}), &[200]);
        http.basic_auth = section.login();
        Ok(Message::Http(http))
    }
}
