//! `pagerduty2`: incidents over the second version of its API.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Http, Message, Occasion, Section, Service, ServiceError, occasion::check_templates};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct PagerDuty2 {
    routing_key: String,
    links: Vec<Link>,
}

/// Both parts are templates.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Link {
    href: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    text: String,
}

impl Service for PagerDuty2 {
    fn check(&self) -> Result<(), String> {
        check_templates(self.links.iter().flat_map(|link| [link.href.as_str(), link.text.as_str()]))
    }

    fn message(&self, section: &Section<'_>, occasion: &Occasion<'_>) -> Result<Message, ServiceError> {
        let event = occasion.event;
        let routing_key = section.or(&self.routing_key, "routing-key");
        let render = |link: &Link| {
            Ok::<_, ServiceError>(Link { href: occasion.render(&link.href)?, text: occasion.render(&link.text)? })
        };
        let links = self.links.iter().map(render).collect::<Result<Vec<_>, _>>()?;
        let body = if occasion.is_ok() {
            json!({"routing_key": routing_key, "dedup_key": event.id, "event_action": "resolve"})
        } else {
            json!({
                "routing_key": routing_key,
                "event_action": "trigger",
                "dedup_key": event.id,
                "payload": {
                    "summary": event.message,
                    "source": occasion.tag("host").unwrap_or("unknown"),
                    "severity": occasion.by_level(["info", "info", "warning", "critical"]),
                    "timestamp": timestamp(event.time),
                    "class": event.task,
                    "component": "",
                    "group": "",
                    "custom_details": {"result": occasion.data()},
                },
                "images": null,
                "links": if links.is_empty() { json!(null) } else { json!(links) },
                "client": "kapacitor",
                "client_url": occasion.api_url,
            })
        };
        let http = Http::json(section.url()?, body, &[200, 202]);
        Ok(Message::Http(http.header("Accept", "application/vnd.pagerduty+json;version=2")))
    }
}

/// `2006-01-02T15:04:05.000000000Z`
fn timestamp(time: i64) -> String {
    let time = jiff::Timestamp::from_nanosecond(time.into()).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string()
}
