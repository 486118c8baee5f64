//! `pagerduty`: incidents over the first version of its API.

use serde::Deserialize;
use serde_json::json;

use super::{Http, Message, Occasion, Section, Service, ServiceError};
use proto::value::Level;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct PagerDuty {
    service_key: String,
}

impl Service for PagerDuty {
    fn message(&self, section: &Section<'_>, occasion: &Occasion<'_>) -> Result<Message, ServiceError> {
        let event = occasion.event;
        if event.level == Level::Info {
            return Err(ServiceError::new("AlertLevel 'info' is currently ignored by the PagerDuty service"));
        }
        let body = json!({
            "client": "kapacitor",
            "client_url": occasion.api_url,
            "description": event.message,
            "details": event.details,
            "event_type": if occasion.is_ok() { "resolve" } else { "trigger" },
            "incident_key": event.id,
            "service_key": section.or(&self.service_key, "service-key"),
        });
        Ok(Message::Http(Http::json(section.url()?, body, &[200])))
    }
}
