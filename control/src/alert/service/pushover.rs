//! `pushover`: a push message.

use dataplane::trust::Trust;
use serde::Deserialize;

use super::{Body, Http, Message, Occasion, Section, Service, ServiceError};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Pushover {
    user_key: String,
    device: String,
    title: String,
    url: String,
    url_title: String,
    sound: String,
}

impl Service for Pushover {
    fn message(&self, section: &Section<'_>, occasion: &Occasion<'_>) -> Result<Message, ServiceError> {
        let pairs = [
            ("device", self.device.as_str()),
            ("message", &occasion.event.message),
            ("priority", occasion.by_level(["-2", "-1", "0", "1"])),
            ("sound", &self.sound),
            ("title", &self.title),
            ("token", section.text("token")),
            ("url", &self.url),
            ("url_title", &self.url_title),
            ("user", section.or(&self.user_key, "user-key")),
        ];
        let set = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        let body = Body::Form(set.map(|(name, value)| (name, value.to_owned())).collect());
        let url = section.url()?.to_owned();
        Ok(Message::Http(Http {
            url,
            headers: Vec::new(),
            basic_auth: None,
            body,
            accepted: &[200],
            trust: Trust::default(),
        }))
    }
}
