//! Events as topics keep them and as handlers see them.

use dataplane::json;
use proto::{message::AlertEvent, value::Level};
use serde::{Deserialize, Serialize};

/// The last event of an id in a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventState {
    pub message: String,
    pub details: String,
    /// Nanoseconds since 1970.
    pub time: i64,
    /// Nanoseconds.
    pub duration: i64,
    pub level: Level,
}

impl EventState {
    pub fn of(event: &AlertEvent) -> EventState {
        EventState {
            message: event.message.clone(),
            details: event.details.clone(),
            time: event.time,
            duration: event.duration,
            level: event.level,
        }
    }

    /// Becomes the state of a later event; texts go where the old ones were.
    pub fn turn_into(&mut self, event: &AlertEvent) {
        let EventState { message, details, time, duration, level } = self;
        message.clone_from(&event.message);
        details.clone_from(&event.details);
        (*time, *duration, *level) = (event.time, event.duration, event.level);
    }
}

/// The JSON that handlers send: one line with its end (reference: nodes-alert-join-io §4.1).
pub fn to_json(event: &AlertEvent, previous: Level) -> String {
    let mut out = String::with_capacity(256 + event.details.len() + event.data.len());
    let mut text = |key: &str, value: &str| {
        out.push_str(if out.is_empty() { "{\"" } else { ",\"" });
        out.push_str(key);
        out.push_str("\":");
        json::string(value, &mut out);
    };
    text("id", &event.id);
    text("message", &event.message);
    text("details", &event.details);
    out.push_str(",\"time\":");
    json::time(event.time, &mut out);
    out.push_str(",\"duration\":");
    json::int(event.duration, &mut out);
    out.push_str(",\"level\":\"");
    out.push_str(event.level.as_str());
    out.push_str("\",\"data\":");
    out.push_str(&event.data);
    out.push_str(",\"previousLevel\":\"");
    out.push_str(previous.as_str());
    out.push_str("\",\"recoverable\":");
    out.push_str(if event.recoverable { "true" } else { "false" });
    out.push_str("}\n");
    out
}

/// The event of a service test: one without anything.
pub fn test_event() -> AlertEvent {
    AlertEvent {
        task: String::new(),
        node: String::new(),
        topics: Vec::new(),
        category: None,
        id: String::new(),
        message: String::new(),
        details: String::new(),
        time: dataplane::clock::now(),
        duration: 0,
        level: Level::Ok,
        recoverable: false,
        name: String::new(),
        group: String::new(),
        tags: Vec::new(),
        fields: Vec::new(),
        data: "{\"series\":null}".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_has_the_keys_of_the_original_in_their_order() {
        let event = AlertEvent {
            task: "t".into(),
            node: "alert2".into(),
            topics: vec![],
            category: None,
            id: "cpu_a".into(),
            message: "cpu_a is CRITICAL".into(),
            details: "<b>".into(),
            time: 1_600_000_000_123_000_000,
            duration: 0,
            level: Level::Critical,
            recoverable: true,
            name: "cpu".into(),
            group: "host=a".into(),
            tags: vec![],
            fields: vec![],
            data: r#"{"series":[]}"#.into(),
        };
        assert_eq!(
            to_json(&event, Level::Ok),
            concat!(
                r#"{"id":"cpu_a","message":"cpu_a is CRITICAL","details":"\u003cb\u003e","time":"2020-09-13T12:26:40.123Z","#,
                r#""duration":0,"level":"CRITICAL","data":{"series":[]},"previousLevel":"OK","recoverable":true}"#,
                "\n"
            )
        );
    }
}
