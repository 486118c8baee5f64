//! Alert topics: the last event by id, and delivery to handlers.
//!
//! reference: nodes-alert-join-io §2.7, §4, §5. Events come from the data plane in order per id. A topic keeps the last
//! event of each id; each handler of a topic has a queue and a worker of its own ([`delivery`]).

mod aggregate;
mod delivery;
pub mod event;
pub mod handlers;
mod matching;
pub mod service;
pub mod spec;
mod topic;
mod topic_handlers;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use proto::{message::AlertEvent, plan::TopicLevel, value::Level};

use crate::{
    kafka::Writers,
    store::HandlerTable,
    tick::{Endpoint, NodeHandlers},
};
use delivery::{Handler, Item};
pub use event::EventState;
pub use spec::{SpecError, TopicHandler};
use topic::Topic;
pub use topic::TopicView;
pub use topic_handlers::HandlerError;

/// How long a source that can wait does so before it looks for room again.
const ROOM_PAUSE: Duration = Duration::from_millis(2);

/// Where the events of topics survive a restart.
pub trait TopicStore: Send + Sync + 'static {
    /// Topic, and events by id.
    fn load(&self) -> Vec<(String, BTreeMap<String, EventState>)>;

    /// Replaces what is kept of a topic; an empty one is forgotten.
    fn save(&self, topic: &str, events: &BTreeMap<String, EventState>);
}

/// Keeps nothing.
pub struct Forgetful;

impl TopicStore for Forgetful {
    fn load(&self) -> Vec<(String, BTreeMap<String, EventState>)> {
        Vec::new()
    }

    fn save(&self, _topic: &str, _events: &BTreeMap<String, EventState>) {}
}

/// Finds `[[httppost]]` sections by name.
pub type Endpoints = Arc<dyn Fn(&str) -> Option<Endpoint> + Send + Sync>;

/// All topics; cheap to clone.
#[derive(Clone)]
pub struct Alerts {
    shared: Arc<Shared>,
}

/// What handlers hold of their owner.
#[derive(Clone)]
pub struct WeakAlerts(Weak<Shared>);

struct Shared {
    topics: Mutex<HashMap<String, Topic>>,
    /// Handlers of topics as they were defined, by topic and id. Held while one is changed.
    defined: Mutex<BTreeMap<(String, String), TopicHandler>>,
    store: Arc<dyn TopicStore>,
    table: HandlerTable,
    endpoints: Endpoints,
    surroundings: Arc<dyn service::Surroundings>,
    /// Shared by all handlers that write to Kafka.
    kafka: Arc<Writers>,
    counters: Arc<delivery::Counters>,
    /// Events that wait for one handler.
    buffer_length: usize,
}

impl WeakAlerts {
    fn upgrade(&self) -> Option<Alerts> {
        self.0.upgrade().map(|shared| Alerts { shared })
    }
}

impl Alerts {
    /// Topics and their handlers as the store keeps them; must be called inside a runtime.
    pub fn open(
        store: Arc<dyn TopicStore>,
        table: HandlerTable,
        endpoints: Endpoints,
        surroundings: Arc<dyn service::Surroundings>,
        buffer_length: usize,
    ) -> Result<Alerts, crate::store::StoreError> {
        let topics = store.load().into_iter().map(|(name, events)| (name, Topic::restored(events)));
        let handlers = table.all()?;
        let shared = Shared {
            topics: Mutex::new(topics.collect()),
            defined: Mutex::default(),
            store,
            table,
            endpoints,
            surroundings,
            kafka: Arc::default(),
            counters: Arc::default(),
            buffer_length,
        };
        let alerts = Alerts { shared: Arc::new(shared) };
        for handler in handlers {
            alerts.restore_handler(handler);
        }
        Ok(alerts)
    }

    /// Sets the handlers of a task's alert nodes; must be called inside a runtime.
    pub fn register(&self, nodes: &[NodeHandlers]) {
        for node in nodes {
            let start = |spec: &spec::HandlerSpec| self.start_handler(&node.topic, spec.clone(), None);
            let own = node.handlers.iter().map(start).collect();
            self.topics().entry(node.topic.clone()).or_default().show(own);
        }
    }

    /// Why handlers of a task cannot be: the configuration lacks what they name.
    pub fn check(&self, nodes: &[NodeHandlers]) -> Result<(), String> {
        nodes.iter().flat_map(|node| &node.handlers).try_for_each(|spec| {
            let checked = self.check_configured(spec);
            checked.map_err(|(kind, error)| format!("failed to create {kind} handler: {error}"))
        })
    }

    /// The kind of a handler that cannot be, and why.
    fn check_configured<'a>(&self, spec: &'a spec::HandlerSpec) -> Result<(), (&'a str, String)> {
        let spec::HandlerSpec::Service { kind, options } = spec else { return Ok(()) };
        let options = serde_json::from_str(options).unwrap_or_default();
        service::check_configured(kind, options, &*self.shared.surroundings).map_err(|error| (kind.as_str(), error))
    }

    /// Ends the handlers of a task's own topics; events that wait are still delivered. `forget` drops what the topics
    /// keep, too.
    pub fn unregister(&self, task: &str, forget: bool) {
        self.unregister_below(&format!("main:{task}:"), forget);
    }

    /// Ends the handlers of a replay's own topics, and the topics.
    pub fn end_replay(&self, master: &str, task: &str) {
        self.unregister_below(&format!("{master}:{task}:"), true);
    }

    fn unregister_below(&self, prefix: &str, forget: bool) {
        let mut topics = self.topics();
        for (name, topic) in topics.iter_mut().filter(|(name, _)| name.starts_with(prefix)) {
            topic.hide();
            if forget {
                self.shared.store.save(name, &BTreeMap::new());
            }
        }
        if forget {
            topics.retain(|name, _| !name.starts_with(prefix));
        }
    }

    /// Takes an event of a node to its topics.
    pub fn event(&self, event: AlertEvent) {
        let event = Arc::new(event);
        if let [own, named] = event.topics.as_slice() {
            self.inherit(own, named, &event.id);
        }
        let item = Item { event: event.clone(), previous: Level::Ok, hops: 0 };
        self.collect(&item, &event.topics);
    }

    /// A node's own topic that does not know an event yet has it from the named one, which the node's level came from.
    fn inherit(&self, own: &str, named: &str, id: &str) {
        let mut topics = self.topics();
        let Some(state) = topics.get(named).and_then(|topic| topic.events.get(id)).cloned() else { return };
        if let Some(own) = topics.get_mut(own) {
            own.events.entry(id.to_owned()).or_insert(state);
        }
    }

    /// The same for an event whose source can wait: returns when every handler of its topics has taken it.
    pub async fn event_with_room(&self, event: AlertEvent) {
        while !self.has_room(&event.topics) {
            tokio::time::sleep(ROOM_PAUSE).await;
        }
        self.event(event);
    }

    fn has_room(&self, names: &[String]) -> bool {
        let topics = self.topics();
        names.iter().filter_map(|name| topics.get(name)).all(Topic::has_room)
    }

    /// Takes an event to topics, which are made if they are new.
    fn collect(&self, item: &Item, names: &[String]) {
        let mut topics = self.topics();
        for name in names {
            match topics.get_mut(name) {
                Some(topic) => topic.collect(item.clone()),
                None => topics.entry(name.clone()).or_default().collect(item.clone()),
            }
        }
    }

    /// The events of these topics that are not OK in one of them, for alert nodes that start.
    pub fn levels(&self, names: &[String]) -> Vec<TopicLevel> {
        let topics = self.topics();
        let known: Vec<_> = names.iter().filter_map(|name| topics.get(name)).collect();
        let is_bad = |id: &String| {
            let mut states = known.iter().filter_map(|topic| topic.events.get(id));
            states.any(|state| state.level != Level::Ok)
        };
        let levels = |name: &String| {
            let events = topics.get(name).map(|topic| topic.events.clone()).unwrap_or_default();
            let level = |(id, state): (String, EventState)| TopicLevel {
                topic: name.clone(),
                id,
                level: state.level,
                time: state.time,
            };
            events.into_iter().filter(|(id, _)| is_bad(id)).map(level).collect::<Vec<_>>()
        };
        names.iter().flat_map(levels).collect()
    }

    /// The topics that are there, by name.
    pub fn list(&self) -> Vec<TopicView> {
        let topics = self.topics();
        let mut views: Vec<TopicView> = topics.iter().filter_map(|(name, topic)| topic.view(name)).collect();
        views.sort_by(|one, other| one.id.cmp(&other.id));
        views
    }

    pub fn topic(&self, name: &str) -> Option<TopicView> {
        self.topics().get(name)?.view(name)
    }

    /// Events of a topic of at least this level: the highest first, then by id. `None` for an unknown topic.
    pub fn events(&self, name: &str, least: Level) -> Option<Vec<(String, EventState)>> {
        let topics = self.topics();
        let topic = topics.get(name).filter(|topic| topic.is_shown())?;
        let events = topic.events.iter().filter(|(_, state)| state.level >= least);
        let mut events: Vec<_> = events.map(|(id, state)| (id.clone(), state.clone())).collect();
        events.sort_by_key(|(_, state)| std::cmp::Reverse(state.level));
        Some(events)
    }

    /// Forgets a topic's events and ends its handlers; their definitions stay.
    pub fn delete_topic(&self, name: &str) {
        self.topics().remove(name);
        self.shared.store.save(name, &BTreeMap::new());
    }

    /// Name and number of events collected of every topic that has any.
    pub fn collected(&self) -> Vec<(String, u64)> {
        self.topics().iter().map(|(name, topic)| (name.clone(), topic.collected)).collect()
    }

    /// Cluster and topic of Kafka, and how many records were written there and were not.
    pub fn kafka(&self) -> Vec<(String, String, (u64, u64))> {
        self.shared.kafka.counts()
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
        while self.topics().values().any(|topic| !topic.is_idle()) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    fn surroundings(&self) -> Arc<dyn service::Surroundings> {
        self.shared.surroundings.clone()
    }

    fn start_handler(&self, topic: &str, spec: spec::HandlerSpec, condition: Option<matching::Match>) -> Handler {
        let weak = WeakAlerts(Arc::downgrade(&self.shared));
        Handler::start(topic.to_owned(), self.shared.buffer_length, spec, condition, self.shared.counters.clone(), weak)
    }

    fn topics(&self) -> std::sync::MutexGuard<'_, HashMap<String, Topic>> {
        self.shared.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
