//! `discord`: a message with a coloured frame.

use serde::Deserialize;
use serde_json::json;

use super::{Http, Message, Occasion, Section, Service, ServiceError, occasion::check_templates};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Discord {
    workspace: String,
    username: String,
    avatar_url: String,
    embed_title: String,
}

impl Service for Discord {
    fn element(&self) -> &str {
        &self.workspace
    }

    fn check(&self) -> Result<(), String> {
        check_templates([self.embed_title.as_str()])
    }

    fn message(&self, section: &Section<'_>, occasion: &Occasion<'_>) -> Result<Message, ServiceError> {
        let event = occasion.event;
        let time = match section.flag("timestamp") {
            true => jiff::Timestamp::from_nanosecond(event.time.into()).unwrap_or_default().to_string(),
            false => String::new(),
        };
        let body = json!({
            "avatar_url": section.or(&self.avatar_url, "avatar-url"),
            "embeds": [{
                "color": occasion.by_level([0x7A65F2, 0x7A65F2, 0xF48D38, 0xF95F53]),
                "title": occasion.render(section.or(&self.embed_title, "embed-title"))?,
                "description": event.message,
                "timestamp": time,
            }],
            "username": section.or(&self.username, "username"),
        });
        let mut http = Http::json(section.url()?, body, &[200, 204]);
        http.trust = section.trust();
        Ok(Message::Http(http))
    }
}
