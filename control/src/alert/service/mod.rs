//! Services that alerts go to: one service, one file (reference: nodes-alert-join-io §4.3).
//!
//! A service makes a [`Message`] of an event, its own options and its section of the configuration; what is the same for
//! all, sending it and judging the answer, is in [`send`]. The section is read at each event, so that an override takes
//! effect at once.

mod alerta;
mod bigpanda;
mod discord;
mod email;
mod hipchat;
mod kafka;
mod mqtt;
mod occasion;
mod opsgenie;
mod opsgenie2;
mod pagerduty;
mod pagerduty2;
mod pushover;
mod script;
mod section;
mod send;
mod sensu;
mod servicenow;
mod slack;
mod snmptrap;
mod talk;
mod teams;
mod telegram;
#[cfg(test)]
mod tests;
mod trial;
mod victorops;
mod zenoss;

use std::{sync::Arc, time::Duration};

use proto::{message::AlertEvent, value::Level};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::delivery::Item;
use crate::{config::Live, kafka::Writers};
use occasion::Occasion;
pub use script::of_script;
use section::Section;
use send::{Body, Datagram, Http, Line, Mail, Message, Sender};
pub use trial::test;

/// Why an event could not be sent.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct ServiceError(pub String);

impl ServiceError {
    fn new(text: impl Into<String>) -> ServiceError {
        ServiceError(text.into())
    }
}

/// What one handler sends to one service, from its options.
trait Service: Send + Sync {
    /// The element of a section that is a list, by name; the default one by the empty name.
    fn element(&self) -> &str {
        ""
    }

    /// What is wrong with the options before any event.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// Whether a handler cannot be where its element of the section is not.
    fn must_be_configured(&self) -> bool {
        false
    }

    /// How many events are sent together.
    fn together(&self, _section: &Section<'_>) -> Together {
        Together::ONE
    }

    fn message(&self, section: &Section<'_>, occasion: &Occasion<'_>) -> Result<Message, ServiceError>;
}

/// How many events of a handler are sent together at most, and how long the first of them waits for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Together {
    pub most: usize,
    pub wait: Duration,
}

impl Together {
    const ONE: Together = Together { most: 1, wait: Duration::ZERO };
}

/// What services know of the server.
pub trait Surroundings: Send + Sync + 'static {
    /// The elements of a section as they are now.
    fn elements(&self, section: &str) -> Vec<toml::Table>;

    /// Address of the API as others reach it.
    fn api_url(&self) -> String;
}

impl Surroundings for Live {
    fn elements(&self, section: &str) -> Vec<toml::Table> {
        self.get().elements(section).into_iter().cloned().collect()
    }

    fn api_url(&self) -> String {
        let config = self.get();
        let scheme = if config.http.tls().is_some() { "https" } else { "http" };
        let port = config.http.bind_address.rsplit(':').next().unwrap_or_default();
        format!("{scheme}://{}:{port}/kapacitor/v1", config.hostname)
    }
}

/// A kind of service: its name is that of its section and of the kind of its topic handlers.
struct Kind {
    name: &'static str,
    build: fn(Value) -> Result<Box<dyn Service>, String>,
}

const fn kind<S: Service + DeserializeOwned + 'static>(name: &'static str) -> Kind {
    Kind { name, build: build::<S> }
}

fn build<S: Service + DeserializeOwned + 'static>(options: Value) -> Result<Box<dyn Service>, String> {
    let options = if options.is_null() { Value::Object(Default::default()) } else { options };
    let service: S = serde_json::from_value(options).map_err(|error| error.to_string())?;
    service.check()?;
    Ok(Box::new(service))
}

const KINDS: &[Kind] = &[
    kind::<alerta::Alerta>("alerta"),
    kind::<bigpanda::BigPanda>("bigpanda"),
    kind::<discord::Discord>("discord"),
    kind::<hipchat::HipChat>("hipchat"),
    kind::<kafka::Kafka>("kafka"),
    kind::<mqtt::Mqtt>("mqtt"),
    kind::<opsgenie::OpsGenie>("opsgenie"),
    kind::<opsgenie2::OpsGenie2>("opsgenie2"),
    kind::<pagerduty::PagerDuty>("pagerduty"),
    kind::<pagerduty2::PagerDuty2>("pagerduty2"),
    kind::<pushover::Pushover>("pushover"),
    kind::<sensu::Sensu>("sensu"),
    kind::<servicenow::ServiceNow>("servicenow"),
    kind::<slack::Slack>("slack"),
    kind::<snmptrap::SnmpTrap>("snmptrap"),
    kind::<email::Email>("smtp"),
    kind::<talk::Talk>("talk"),
    kind::<teams::Teams>("teams"),
    kind::<telegram::Telegram>("telegram"),
    kind::<victorops::VictorOps>("victorops"),
    kind::<zenoss::Zenoss>("zenoss"),
];

fn find(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// The name of a kind that is built.
pub fn name(kind: &str) -> Option<&'static str> {
    find(kind).map(|kind| kind.name)
}

/// What is wrong with the options of a handler of such a kind.
pub fn check(kind: &str, options: Value) -> Result<(), String> {
    let kind = find(kind).ok_or_else(|| format!("unsupported action kind {kind:?}"))?;
    (kind.build)(options).map(drop)
}

/// What a handler of such a kind lacks in the configuration, if it can only be where that has it.
pub fn check_configured(kind: &str, options: Value, surroundings: &dyn Surroundings) -> Result<(), String> {
    let Some(kind) = find(kind) else { return Ok(()) };
    let service = (kind.build)(options)?;
    if !service.must_be_configured()
        || Section::is_there(kind.name, &surroundings.elements(kind.name), service.element())
    {
        return Ok(());
    }
    Err(Section::unknown(kind.name, service.element()))
}

/// A handler of a service, ready to deliver.
pub struct Deliver {
    name: &'static str,
    service: Box<dyn Service>,
    surroundings: Arc<dyn Surroundings>,
    sender: Sender,
}

impl Deliver {
    /// `options` as JSON.
    pub fn new(
        kind: &str,
        options: Value,
        surroundings: Arc<dyn Surroundings>,
        writers: Arc<Writers>,
    ) -> Result<Deliver, String> {
        let kind = find(kind).ok_or_else(|| format!("unsupported action kind {kind:?}"))?;
        Ok(Deliver { name: kind.name, service: (kind.build)(options)?, surroundings, sender: Sender::new(writers) })
    }

    /// How many events [`Deliver::events`] should be given.
    pub fn together(&self) -> Together {
        let elements = self.surroundings.elements(self.name);
        let section = Section::pick(self.name, &elements, self.service.element());
        section.map_or(Together::ONE, |section| self.service.together(&section))
    }

    /// Sends one event within `limit`; to Kafka within the time that the section has for an answer.
    pub async fn event(&self, event: &AlertEvent, limit: Duration) -> Result<(), ServiceError> {
        let message = self.message(event, Level::Ok)?;
        let limit = match &message {
            Message::Record(target, _) => limit.min(target.settings.timeout),
            _ => limit,
        };
        self.sender.send(&[message], limit).await.into_iter().collect()
    }

    /// Sends events in order, each within `limit`; `done` hears of each.
    pub async fn events(&self, items: &[Item], limit: Duration, mut done: impl FnMut(&Item, Result<(), ServiceError>)) {
        let (mut sent, mut messages) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
        for item in items {
            match self.message(&item.event, item.previous) {
                Ok(message) => {
                    sent.push(item);
                    messages.push(message);
                }
                Err(error) => done(item, Err(error)),
            }
        }
        for (item, result) in sent.into_iter().zip(self.sender.send(&messages, limit).await) {
            done(item, result);
        }
    }

    fn message(&self, event: &AlertEvent, previous: Level) -> Result<Message, ServiceError> {
        let elements = self.surroundings.elements(self.name);
        let section = Section::pick(self.name, &elements, self.service.element())?;
        let api_url = self.surroundings.api_url();
        self.service.message(&section, &Occasion { event, previous, api_url: &api_url })
    }
}
