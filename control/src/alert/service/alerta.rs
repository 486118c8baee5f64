//! `alerta`: an alert with its data.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Http, Message, Occasion, Section, Service, ServiceError, occasion::check_templates, script::Duration};

/// How long an alert stays when neither handler nor section says so.
const TIMEOUT: i64 = 24 * 3600 * 1_000_000_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Alerta {
    token: String,
    token_prefix: String,
    resource: String,
    event: String,
    environment: String,
    group: String,
    value: String,
    origin: String,
    service: Vec<String>,
    timeout: Duration,
    correlate: Vec<String>,
    attributes: BTreeMap<String, Value>,
}

impl Default for Alerta {
    fn default() -> Alerta {
        Alerta {
            token: String::new(),
            token_prefix: String::new(),
            resource: "{{ .Name }}".to_owned(),
            event: "{{ .ID }}".to_owned(),
            environment: String::new(),
            group: "{{ .Group }}".to_owned(),
            value: String::new(),
            origin: String::new(),
            service: Vec::new(),
            timeout: Duration(0),
            correlate: Vec::new(),
            attributes: BTreeMap::new(),
        }
    }
}

impl Service for Alerta {
    fn check(&self) -> Result<(), String> {
        let texts = [&self.resource, &self.event, &self.environment, &self.group, &self.value];
        check_templates(texts.into_iter().chain(&self.service).chain(&self.correlate).map(String::as_str))
    }

    fn message(&self, section: &Section<'_>, occasion: &Occasion<'_>) -> Result<Message, ServiceError> {
        let event = occasion.event;
        let render = |text: &String| occasion.render(text);
        // Without any, the service is the measurement.
        let named = |texts: &[String]| match texts {
            [] => Ok(vec![event.name.clone()]),
            texts => texts.iter().map(render).collect(),
        };
        let timeout = [self.timeout.0, section_timeout(section), TIMEOUT].into_iter().find(|timeout| *timeout > 0);
        let mut body = json!({
            "environment": occasion.render(section.or(&self.environment, "environment"))?,
            "event": render(&self.event)?,
            "group": render(&self.group)?,
            "origin": section.or(&self.origin, "origin"),
            "rawData": occasion.data(),
            "resource": render(&self.resource)?,
            "service": named(&self.service)?,
            "severity": occasion.by_level(["ok", "informational", "warning", "critical"]),
            "tags": event.tags.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>(),
            "text": event.message,
            "timeout": timeout.unwrap_or(TIMEOUT) / 1_000_000_000,
            "value": render(&self.value)?,
        });
        if !self.correlate.is_empty() {
            body["correlate"] = named(&self.correlate)?.into();
        }
        if !self.attributes.is_empty() {
            body["attributes"] = occasion.render_values(&self.attributes)?.into();
        }
        let prefix = match section.or(&self.token_prefix, "token-prefix") {
            "" => "Bearer",
            prefix => prefix,
        };
        let token = section.or(&self.token, "token");
        let mut http = Http::json(format!("{}/alert", section.url()?), body, &[201])
            .header("Authorization", format!("{prefix} {token}"));
        http.trust = section.trust();
        Ok(Message::Http(http))
    }
}

fn section_timeout(section: &Section<'_>) -> i64 {
    Duration::parse(section.text("timeout")).map_or(0, |timeout| timeout.0)
}
