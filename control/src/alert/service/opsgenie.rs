//! `opsgenie`: alerts over the first version of its API.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Http, Message, Occasion, Section, Service, ServiceError};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct OpsGenie {
    teams_list: Vec<String>,
    recipients_list: Vec<String>,
}

/// The level as OpsGenie's details name it.
pub fn level(occasion: &Occasion<'_>) -> &'static str {
    occasion.by_level(["RECOVERY", "INFO", "WARNING", "CRITICAL"])
}

impl Service for OpsGenie {
    fn message(&self, section: &Section<'_>, occasion: &Occasion<'_>) -> Result<Message, ServiceError> {
        let event = occasion.event;
        let mut body = json!({
            "alias": event.id,
            "apiKey": section.text("api-key"),
            "description": Value::String(event.data.clone()),
            "details": {"Level": level(occasion), "Monitoring Tool": "Kapacitor"},
            "entity": event.id,
            "message": event.message,
            "monitoring_tool": "kapacitor",
            "note": if occasion.is_ok() { event.message.as_str() } else { "" },
        });
        for (own, name) in [(&self.recipients_list, "recipients"), (&self.teams_list, "teams")] {
            let names = section.or_texts(own, name);
            if !names.is_empty() {
                body[name] = names.into();
            }
        }
        let url = section.text(if occasion.is_ok() { "recovery_url" } else { "url" });
        Ok(Message::Http(Http::json(format!("{}/", url.trim_end_matches('/')), body, &[200])))
    }
}
