//! `victorops`: alerts by routing key.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Http, Message, Occasion, Section, Service, ServiceError};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct VictorOps {
    routing_key: String,
}

impl Service for VictorOps {
    fn message(&self, section: &Section<'_>, occasion: &Occasion<'_>) -> Result<Message, ServiceError> {
        let event = occasion.event;
        let data = match section.flag("json-data") {
            true => occasion.data(),
            false => Value::String(event.data.clone()),
        };
        let body = json!({
            "data": data,
            "entity_id": event.id,
            "message_type": occasion.by_level(["RECOVERY", "INFO", "WARNING", "CRITICAL"]),
            "monitoring_tool": "kapacitor",
            "state_message": event.message,
            "timestamp": event.time.div_euclid(1_000_000_000),
        });
        let (key, route) = (section.text("api-key"), section.or(&self.routing_key, "routing-key"));
        Ok(Message::Http(Http::json(format!("{}/{key}/{route}", section.url()?), body, &[200])))
    }
}
