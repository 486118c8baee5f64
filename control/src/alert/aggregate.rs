//! `aggregate`: one event for all of an interval (reference: nodes-alert-join-io §5.4).

use std::sync::Arc;

use gotmpl::{MissingKey, Template, tmap};
use proto::{message::AlertEvent, value::Level};

/// Most events of one interval; what comes on top is counted in the message and left out of details and data.
const EVENTS_MAX: usize = 10_000;

/// The message of an aggregate: a template over `Count` and `Interval`.
pub struct AggregateMessage(Template);

impl AggregateMessage {
    pub fn new(text: &str) -> Result<AggregateMessage, String> {
        let template = Template::new("message").missing_key(MissingKey::Error).parse(text);
        let message = AggregateMessage(template.map_err(|error| error.to_string())?);
        message.render(1, 1)?;
        Ok(message)
    }

    fn render(&self, count: usize, interval: i64) -> Result<String, String> {
        let interval = dataplane::template::duration_text(interval);
        let data = tmap! { "Count" => count as i64, "Interval" => interval };
        self.0.execute_to_string(&data).map_err(|error| error.to_string())
    }
}

/// Events since the last one that was sent.
#[derive(Default)]
pub struct Collected {
    events: Vec<Arc<AlertEvent>>,
    count: usize,
}

impl Collected {
    pub fn add(&mut self, event: Arc<AlertEvent>) {
        self.count += 1;
        if self.events.len() < EVENTS_MAX {
            self.events.push(event);
        }
    }

    /// The event of an interval that ends now, if there was any.
    pub fn take(&mut self, id: &str, topic: &str, message: &AggregateMessage, interval: i64) -> Option<AlertEvent> {
        let Collected { events, count } = std::mem::take(self);
        let last = events.last()?;
        let series = |event: &Arc<AlertEvent>| {
            let inner = event.data.strip_prefix("{\"series\":[").and_then(|rest| rest.strip_suffix("]}"));
            inner.unwrap_or_default().to_owned()
        };
        let series: Vec<String> = events.iter().map(series).filter(|series| !series.is_empty()).collect();
        let messages: Vec<&str> = events.iter().map(|event| event.message.as_str()).collect();
        Some(AlertEvent {
            task: last.task.clone(),
            node: last.node.clone(),
            topics: vec![topic.to_owned()],
            category: None,
            id: id.to_owned(),
            message: message.render(count, interval).unwrap_or_default(),
            details: messages.join("\n"),
            time: events.iter().map(|event| event.time).max().unwrap_or_default(),
            duration: events.iter().map(|event| event.duration).max().unwrap_or_default(),
            level: events.iter().map(|event| event.level).max().unwrap_or(Level::Ok),
            recoverable: false,
            name: String::new(),
            group: String::new(),
            tags: Vec::new(),
            fields: Vec::new(),
            data: format!("{{\"series\":[{}]}}", series.join(",")),
        })
    }
}
