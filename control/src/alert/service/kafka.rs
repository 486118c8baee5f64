//! `kafka`: the event's JSON, or what a template makes of it, under the event's id to a topic of a cluster.

use dataplane::template::{EventData, Kind, Template};
use serde::Deserialize;

use super::{Message, Occasion, Section, Service, ServiceError, Together};
use crate::{
    alert::event::to_json,
    kafka::{
        Partitioner, Record, Settings, Target,
        sasl::{Credentials, Mechanism},
    },
};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Options {
    cluster: String,
    topic: String,
    template: String,
    disable_partition_by_id: bool,
    partition_algorithm: String,
}

/// The options, read once for all events.
#[derive(Deserialize)]
#[serde(try_from = "Options")]
pub struct Kafka {
    cluster: String,
    topic: String,
    template: Option<Template>,
    partitioner: Partitioner,
}

impl TryFrom<Options> for Kafka {
    type Error = String;

    fn try_from(options: Options) -> Result<Kafka, String> {
        let Options { cluster, topic, template, disable_partition_by_id, partition_algorithm } = options;
        if topic.is_empty() {
            return Err("topic must not be empty".to_owned());
        }
        let by_key = Partitioner::by_key(&partition_algorithm)?;
        let partitioner = if disable_partition_by_id { Partitioner::LeastBytes } else { by_key };
        let parse = |text: &str| {
            let template = Template::new(Kind::Event, text);
            template.map_err(|error| format!("failed to parse template: {error}"))
        };
        let template = (!template.is_empty()).then(|| parse(&template)).transpose()?;
        Ok(Kafka { cluster, topic, template, partitioner })
    }
}

impl Service for Kafka {
    fn element(&self) -> &str {
        &self.cluster
    }

    fn must_be_configured(&self) -> bool {
        true
    }

    fn together(&self, section: &Section<'_>) -> Together {
        Together { most: Settings::batch_size(section.integer("batch-size")), wait: section.duration("batch-timeout") }
    }

    fn message(&self, section: &Section<'_>, occasion: &Occasion<'_>) -> Result<Message, ServiceError> {
        let json = to_json(occasion.event, occasion.previous);
        let value = match &self.template {
            None => json,
            Some(template) => {
                let mut text = String::new();
                let done = template.render_event(&EventData::new(occasion.event, occasion.previous, json), &mut text);
                done.map_err(|error| ServiceError(format!("failed to execute alert template: {error}")))?;
                text
            }
        };
        let record = Record {
            key: occasion.event.id.clone().into_bytes(),
            value: value.into_bytes(),
            partitioner: self.partitioner,
        };
        Ok(Message::Record(Target { settings: settings(section)?, topic: self.topic.clone() }, record))
    }
}

fn settings(section: &Section<'_>) -> Result<Settings, ServiceError> {
    let (mechanism, user) = (section.text("sasl-mechanism"), section.text("sasl-username"));
    let credentials = || {
        let mechanism = Mechanism::find(mechanism).map_err(ServiceError)?;
        Ok(Credentials { mechanism, user: user.to_owned(), password: section.text("sasl-password").to_owned() })
    };
    Ok(Settings {
        cluster: section.text("id").to_owned(),
        brokers: section.texts("brokers"),
        timeout: Settings::timeout(section.duration("timeout")),
        tls: section.flag("use-ssl").then(|| section.trust()),
        credentials: (!mechanism.is_empty() || !user.is_empty()).then(credentials).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_a_section_leaves_out_has_the_defaults_of_the_original() {
        let section = "brokers = ['b:1']\nid = 'c'\nenabled = true".parse().unwrap();
        let elements = [section];
        let section = Section::pick("kafka", &elements, "c").unwrap();
        let settings = settings(&section).unwrap();
        assert_eq!((settings.timeout, settings.tls, settings.credentials), (Duration::from_secs(10), None, None));
        let kafka: Kafka = serde_json::from_str(r#"{"topic": "t"}"#).unwrap();
        assert_eq!(kafka.together(&section), Together { most: 100, wait: Duration::ZERO });
    }

    #[test]
    fn a_user_alone_is_one_of_plain() {
        let section =
            "id = 'c'\nenabled = true\nuse-ssl = true\nssl-ca = '/ca'\nsasl-username = 'u'\nsasl-password = 'p'";
        let elements = [section.parse().unwrap()];
        let settings = settings(&Section::pick("kafka", &elements, "c").unwrap()).unwrap();
        assert_eq!(format!("{:?}", settings.credentials), "Some(PLAIN of u)");
        assert_eq!(settings.tls.unwrap().authorities, "/ca");
    }
}
