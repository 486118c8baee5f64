//! `telegram`: a message in a chat.

use serde::Deserialize;
use serde_json::json;

use super::{Http, Message, Occasion, Section, Service, ServiceError};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Telegram {
    chat_id: String,
    parse_mode: String,
    disable_web_page_preview: bool,
    disable_notification: bool,
}

impl Service for Telegram {
    fn message(&self, section: &Section<'_>, occasion: &Occasion<'_>) -> Result<Message, ServiceError> {
        let mut body = json!({
            "chat_id": section.or(&self.chat_id, "chat-id"),
            "text": occasion.event.message,
        });
        let parse_mode = section.or(&self.parse_mode, "parse-mode");
        if !parse_mode.is_empty() {
            if !["markdown", "html"].iter().any(|mode| parse_mode.eq_ignore_ascii_case(mode)) {
                let message = "parseMode {mode} is not valid, please use 'Markdown' or 'HTML'";
                return Err(ServiceError(message.replace("{mode}", parse_mode)));
            }
            body["parse_mode"] = parse_mode.into();
        }
        for (own, name, key) in [
            (self.disable_web_page_preview, "disable-web-page-preview", "disable_web_page_preview"),
            (self.disable_notification, "disable-notification", "disable_notification"),
        ] {
            if own || section.flag(name) {
                body[key] = true.into();
            }
        }
        let url = format!("{}{}/sendMessage", section.url()?, section.text("token"));
        Ok(Message::Http(Http::json(url, body, &[200])))
    }
}
