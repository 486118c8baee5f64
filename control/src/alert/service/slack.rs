//! `slack`: a message in a channel.

use serde::Deserialize;
use serde_json::json;

use super::{Http, Message, Occasion, Section, Service, ServiceError};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Slack {
    workspace: String,
    channel: String,
    username: String,
    icon_emoji: String,
}

impl Service for Slack {
    fn element(&self) -> &str {
        &self.workspace
    }

    fn message(&self, section: &Section<'_>, occasion: &Occasion<'_>) -> Result<Message, ServiceError> {
        let message = &occasion.event.message;
        let color = occasion.by_level(["good", "good", "warning", "danger"]);
        let body = json!({
            "as_user": false,
            "attachments": [{"fallback": message, "color": color, "text": message, "mrkdwn_in": ["text"]}],
            "channel": section.or(&self.channel, "channel"),
            "icon_emoji": section.or(&self.icon_emoji, "icon-emoji"),
            "text": "",
            "username": section.or(&self.username, "username"),
        });
        let mut http = Http::json(section.url()?, body, &[200]);
        http.trust = section.trust();
        if !section.text("token").is_empty() {
            http = http.header("Authorization", format!("Bearer {}", section.text("token")));
        }
        Ok(Message::Http(http))
    }
}
