//! `talk`: a message with a title.

use serde::Deserialize;
use serde_json::json;

use super::{Http, Message, Occasion, Section, Service, ServiceError};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Talk {}

impl Service for Talk {
    fn message(&self, section: &Section<'_>, occasion: &Occasion<'_>) -> Result<Message, ServiceError> {
        let body = json!({
            "authorName": section.text("author_name"),
            "text": occasion.event.message,
            "title": occasion.event.id,
        });
        Ok(Message::Http(Http::json(section.url()?, body, &[200])))
    }
}
