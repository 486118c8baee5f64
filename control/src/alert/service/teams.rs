//! `teams`: a card in a channel.

use serde::Deserialize;
use serde_json::json;

use super::{Http, Message, Occasion, Section, Service, ServiceError, occasion::cut};

/// Longest summary, in bytes.
const SUMMARY_BYTES: usize = 70;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Teams {
    #[serde(alias = "channel_url")]
    channel_url: String,
}

impl Service for Teams {
    fn message(&self, section: &Section<'_>, occasion: &Occasion<'_>) -> Result<Message, ServiceError> {
        let event = occasion.event;
        let title = format!("{}: [{}]", event.level.as_str(), event.id);
        let summary = format!("{title} - {}", event.message);
        let summary = match summary.len() > SUMMARY_BYTES {
            true => format!("{}...", cut(&summary, SUMMARY_BYTES)),
            false => summary,
        };
        let body = json!({
            "@type": "MessageCard",
            "@context": "http://schema.org/extensions",
            "title": title,
            "text": event.message,
            "summary": summary,
            "themeColor": occasion.by_level(["34CC25", "34CC25", "FFA533", "CC4A31"]),
        });
        let url = section.or(&self.channel_url, "channel-url");
        if url.is_empty() {
            return Err(ServiceError::new("neither the handler nor the section has a channel-url"));
        }
        Ok(Message::Http(Http::json(url, body, &[200, 204])))
    }
}
