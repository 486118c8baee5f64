//! `hipchat`: a notification in a room.

use serde::Deserialize;
use serde_json::json;

use super::{Http, Message, Occasion, Section, Service, ServiceError};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HipChat {
    room: String,
    token: String,
}

impl Service for HipChat {
    fn message(&self, section: &Section<'_>, occasion: &Occasion<'_>) -> Result<Message, ServiceError> {
        let body = json!({
            "color": occasion.by_level(["green", "green", "yellow", "red"]),
            "from": "kapacitor",
            "message": occasion.event.message,
            "notify": true,
        });
        let mut url =
            reqwest::Url::parse(section.url()?).map_err(|error| ServiceError(format!("invalid url: {error}")))?;
        if let Ok(mut path) = url.path_segments_mut() {
            path.push(section.or(&self.room, "room")).push("notification");
        }
        url.query_pairs_mut().append_pair("auth_token", section.or(&self.token, "token"));
        Ok(Message::Http(Http::json(url, body, &[200, 204])))
    }
}
