//! A test message through a service (reference: http-api §20).

use std::{sync::Arc, time::Duration};

use proto::value::Level;
use serde_json::{Map, Value};

use super::{Deliver, ServiceError, Surroundings};
use crate::alert::event::test_event;

/// How long a test waits: somebody wants to know.
const LIMIT: Duration = Duration::from_secs(10);

/// Options of tests that are options of handlers, by service: their names in both.
const HANDLER_OPTIONS: &[(&str, &[(&str, &str)])] = &[
    (
        "alerta",
        &[
            ("resource", "resource"),
            ("event", "event"),
            ("environment", "environment"),
            ("group", "group"),
            ("value", "value"),
            ("origin", "origin"),
            ("service", "service"),
            ("timeout", "timeout"),
        ],
    ),
    (
        "bigpanda",
        &[
            ("app_key", "app-key"),
            ("host", "host"),
            ("primary_property", "primary-property"),
            ("secondary_property", "secondary-property"),
        ],
    ),
    (
        "discord",
        &[
            ("workspace", "workspace"),
            ("username", "username"),
            ("avatar-url", "avatar-url"),
            ("embed-title", "embed-title"),
        ],
    ),
    ("hipchat", &[("room", "room")]),
    ("kafka", &[("cluster", "cluster"), ("topic", "topic")]),
    ("opsgenie", &[("teams", "teams-list"), ("recipients", "recipients-list")]),
    ("opsgenie2", &[("teams", "teams-list"), ("recipients", "recipients-list")]),
    (
        "pushover",
        &[
            ("user-key", "user-key"),
            ("device", "device"),
            ("title", "title"),
            ("url", "url"),
            ("url-title", "url-title"),
            ("sound", "sound"),
        ],
    ),
    ("sensu", &[("source", "source"), ("handlers", "handlers")]),
    (
        "servicenow",
        &[
            ("source", "source"),
            ("node", "node"),
            ("type", "type"),
            ("resource", "resource"),
            ("metric_name", "metric-name"),
            ("message_key", "message-key"),
            ("additional_info", "additional-info"),
        ],
    ),
    (
        "slack",
        &[("workspace", "workspace"), ("channel", "channel"), ("username", "username"), ("icon-emoji", "icon-emoji")],
    ),
    ("smtp", &[("to", "to")]),
    ("teams", &[("channel_url", "channel-url")]),
    ("mqtt", &[("broker-name", "broker-name"), ("topic", "topic"), ("qos", "qos"), ("retained", "retained")]),
    ("snmptrap", &[("trap-oid", "trap-oid"), ("data-list", "data-list")]),
    (
        "telegram",
        &[
            ("chat-id", "chat-id"),
            ("parse-mode", "parse-mode"),
            ("disable-web-page-preview", "disable-web-page-preview"),
            ("disable-notification", "disable-notification"),
        ],
    ),
    ("victorops", &[("routingKey", "routing-key")]),
    (
        "zenoss",
        &[
            ("action", "action"),
            ("method", "method"),
            ("type", "type"),
            ("tid", "tid"),
            ("device", "device"),
            ("component", "component"),
            ("eventclasskey", "event-class-key"),
            ("eventclass", "event-class"),
            ("collector", "collector"),
            ("custom_fields", "custom-fields"),
        ],
    ),
];

/// Sends the test message that complete options describe.
pub async fn test(
    service: &str,
    options: &Map<String, Value>,
    surroundings: Arc<dyn Surroundings>,
) -> Result<(), ServiceError> {
    let first =
        |names: &[&str]| names.iter().find_map(|name| options.get(*name)?.as_str()).unwrap_or_default().to_owned();
    let mut event = test_event();
    event.id = first(&["alert_id", "incident-key", "entity-id", "entityID", "name", "title", "event", "key"]);
    event.message = first(&["message", "description", "output", "text", "subject"]);
    event.details = first(&["details", "body"]);
    let level = first(&["level", "message-type", "messageType", "severity"]);
    event.level = Level::ALL
        .into_iter()
        .find(|known| known.as_str().eq_ignore_ascii_case(&level))
        .ok_or_else(|| ServiceError(format!("unknown AlertLevel {level}")))
        .or_else(|error| if level.is_empty() { Ok(Level::Critical) } else { Err(error) })?;
    let names = HANDLER_OPTIONS.iter().find(|(name, _)| *name == service).map_or(&[][..], |(_, names)| names);
    let own = names.iter().filter_map(|(test, handler)| {
        let value = options.get(*test).filter(|value| !value.is_null())?;
        Some(((*handler).to_owned(), value.clone()))
    });
    let mut own: Map<String, Value> = own.collect();
    if service == "kafka" {
        // The message itself in place of the event's JSON.
        own.insert("template".to_owned(), "{{ .Message }}".into());
    }
    let deliver = Deliver::new(service, Value::Object(own), surroundings, Arc::default()).map_err(ServiceError)?;
    deliver.event(&event, LIMIT).await
}
