//! `opsgenie2`: alerts over the second version of its API.

use base64::{Engine, engine::general_purpose::URL_SAFE};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Http, Message, Occasion, Section, Service, ServiceError, opsgenie::level};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct OpsGenie2 {
    teams_list: Vec<String>,
    recipients_list: Vec<String>,
    recovery_action: String,
    details: bool,
}

impl Service for OpsGenie2 {
    fn check(&self) -> Result<(), String> {
        match self.recovery_action.as_str() {
            "" | "notes" | "close" => Ok(()),
            other => Err(format!("invalid recovery action {other:?}: expected \"notes\" or \"close\"")),
        }
    }

    fn message(&self, section: &Section<'_>, occasion: &Occasion<'_>) -> Result<Message, ServiceError> {
        let event = occasion.event;
        let alias = URL_SAFE.encode(&event.id);
        let authorization = format!("GenieKey {}", section.text("api-key"));
        let http = if occasion.is_ok() {
            let action = match section.or(&self.recovery_action, "recovery_action") {
                "" => "notes",
                action => action,
            };
            let url = format!("{}/{alias}/{action}?identifierType=alias", section.url()?);
            Http::json(url, json!({"note": event.message}), &[202])
        } else {
            let mut details = json!({
                "Level": level(occasion),
                "Monitoring Tool": "Kapacitor",
                "Kapacitor Task Name": event.name,
            });
            for (key, value) in &event.tags {
                details[key] = Value::String(value.clone());
            }
            let text = if self.details || section.flag("details") { &event.details } else { &event.data };
            let teams = section.or_texts(&self.teams_list, "teams").into_iter();
            let recipients = section.or_texts(&self.recipients_list, "recipients").into_iter();
            let responders: Vec<_> = teams
                .map(|name| json!({"name": name, "type": "team"}))
                .chain(recipients.map(|name| json!({"type": "user", "username": name})))
                .collect();
            let body = json!({
                "alias": alias,
                "description": text,
                "details": details,
                "entity": event.id,
                "message": event.message,
                "note": "",
                "priority": occasion.by_level(["P5", "P5", "P3", "P1"]),
                "responders": responders,
            });
            Http::json(section.url()?, body, &[202])
        };
        Ok(Message::Http(http.header("Authorization", authorization)))
    }
}
