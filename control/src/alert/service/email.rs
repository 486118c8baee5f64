//! `smtp`: a mail to all recipients.

use serde::Deserialize;

use super::{Mail, Message, Occasion, Section, Service, ServiceError, occasion::check_templates};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Email {
    to: Vec<String>,
    to_templates: Vec<String>,
}

impl Service for Email {
    fn check(&self) -> Result<(), String> {
        check_templates(self.to_templates.iter().map(String::as_str))
    }

    fn message(&self, section: &Section<'_>, occasion: &Occasion<'_>) -> Result<Message, ServiceError> {
        let mut to = self.to.clone();
        for template in &self.to_templates {
            to.push(occasion.render(template)?);
        }
        let to = section.or_texts(&to, "to");
        if to.is_empty() {
            return Err(ServiceError::new("cannot send mail: no recipients, neither of the handler nor in [smtp] to"));
        }
        Ok(Message::Mail(Mail {
            host: section.text("host").to_owned(),
            port: u16::try_from(section.integer("port")).unwrap_or(25),
            login: section.login(),
            insecure: section.flag("no-verify"),
            from: section.text("from").to_owned(),
            to,
            subject: occasion.event.message.clone(),
            html: occasion.event.details.clone(),
        }))
    }
}
