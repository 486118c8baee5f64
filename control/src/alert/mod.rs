//! Alert topics: the last event by id, and delivery to handlers.
//!
//! reference: nodes-alert-join-io §2.7, §4. Events come from the data plane in order per id. A topic keeps the last event
//! of each id; each handler of a topic has a queue and a worker of its own ([`delivery`]).

mod delivery;
pub mod event;
pub mod handlers;
pub mod spec;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use proto::{message::AlertEvent, plan::TopicLevel, value::Level};

use crate::tick::NodeHandlers;
pub use event::EventState;

/// Where topics survive a restart.
pub trait TopicStore: Send + Sync + 'static {
    /// Topic, and events by id.
    fn load(&self) -> Vec<(String, BTreeMap<String, EventState>)>;

    /// Replaces what is kept of a topic; an empty one is forgotten.
    fn save(&self, topic: &str, events: &BTreeMap<String, EventState>);
}

/// All topics; cheap to clone.
#[derive(Clone)]
pub struct Alerts {
    shared: Arc<Shared>,
}

struct Shared {
    topics: Mutex<HashMap<String, Topic>>,
    store: Arc<dyn TopicStore>,
    counters: Arc<delivery::Counters>,
}

#[derive(Default)]
struct Topic {
    events: BTreeMap<String, EventState>,
    collected: u64,
    handlers: Vec<delivery::Handler>,
    /// Events changed since the last save.
    dirty: bool,
}

impl Alerts {
    /// Topics as the store keeps them.
    pub fn new(store: Arc<dyn TopicStore>) -> Alerts {
        let topics = store.load().into_iter().map(|(name, events)| (name, Topic { events, ..Topic::default() }));
        let topics = Mutex::new(topics.collect());
        Alerts { shared: Arc::new(Shared { topics, store, counters: Arc::default() }) }
    }

    /// Sets the handlers of a task's alert nodes; must be called inside a runtime.
    pub fn register(&self, nodes: &[NodeHandlers]) {
        let mut topics = self.topics();
        for node in nodes {
            let topic = topics.entry(node.topic.clone()).or_default();
            let start = |spec: &spec::HandlerSpec| {
                delivery::Handler::start(node.topic.clone(), spec.clone(), self.shared.counters.clone())
            };
            topic.handlers = node.handlers.iter().map(start).collect();
        }
    }

    /// Ends the handlers of a task's own topics; events that wait are still delivered. `forget` drops what the topics
    /// keep, too.
    pub fn unregister(&self, task: &str, forget: bool) {
        let prefix = format!("main:{task}:");
        let mut topics = self.topics();
        for (name, topic) in topics.iter_mut().filter(|(name, _)| name.starts_with(&prefix)) {
            topic.handlers.clear();
            if forget {
                topic.events.clear();
                self.shared.store.save(name, &topic.events);
            }
        }
        if forget {
            topics.retain(|name, _| !name.starts_with(&prefix));
        }
    }

    /// Takes an event to its topics.
    pub fn event(&self, event: AlertEvent) {
        let event = Arc::new(event);
        let mut topics = self.topics();
        for name in &event.topics {
            let topic = topics.entry(name.clone()).or_default();
            topic.collected += 1;
            let state = EventState::of(&event);
            let previous = topic.events.insert(event.id.clone(), state).map_or(Level::Ok, |state| state.level);
            topic.dirty = true;
            topic.handlers.iter().for_each(|handler| handler.send(event.clone(), previous));
        }
    }

    /// The events of these topics that are not OK, for alert nodes that start.
    pub fn levels(&self, names: &[String]) -> Vec<TopicLevel> {
        let topics = self.topics();
        let levels = |name: &String| {
            let events = topics.get(name).map(|topic| topic.events.clone()).unwrap_or_default();
            let level = |(id, state): (String, EventState)| TopicLevel {
                topic: name.clone(),
                id,
                level: state.level,
                time: state.time,
            };
            events.into_iter().filter(|(_, state)| state.level != Level::Ok).map(level).collect::<Vec<_>>()
        };
        names.iter().flat_map(levels).collect()
    }

    /// Name and number of events collected of every topic that has any.
    pub fn collected(&self) -> Vec<(String, u64)> {
        self.topics().iter().map(|(name, topic)| (name.clone(), topic.collected)).collect()
    }

    /// Delivered, failed and dropped events.
    pub fn counters(&self) -> [(&'static str, u64); 3] {
        self.shared.counters.read()
    }

    /// Writes changed topics to the store.
    pub fn save(&self) {
        let changed: Vec<_> = {
            let mut topics = self.topics();
            let dirty = |(name, topic): (&String, &mut Topic)| {
                std::mem::take(&mut topic.dirty).then(|| (name.clone(), topic.events.clone()))
            };
            topics.iter_mut().filter_map(dirty).collect()
        };
        changed.iter().for_each(|(name, events)| self.shared.store.save(name, events));
    }

    /// Waits until handlers have nothing left to deliver.
    pub async fn drained(&self) {
        while self.topics().values().any(|topic| topic.handlers.iter().any(|handler| !handler.is_idle())) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    fn topics(&self) -> std::sync::MutexGuard<'_, HashMap<String, Topic>> {
        self.shared.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
