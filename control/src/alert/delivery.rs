//! One queue and one worker for each handler of a topic: events of a handler are sequential, handlers do not wait for
//! each other, and nothing that delivers ever waits for a receiver.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use proto::{message::AlertEvent, value::Level};
use tokio::sync::mpsc;

use super::{
    WeakAlerts,
    aggregate::{AggregateMessage, Collected},
    handlers::{Deliver, TIMEOUT},
    matching::Match,
    service,
    spec::HandlerSpec,
};

/// How many topics an event may be handed on through: topics that publish to each other end here.
const HOPS_MAX: u8 = 16;

#[derive(Debug, Default)]
pub struct Counters {
    delivered: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
}

impl Counters {
    pub fn read(&self) -> [(&'static str, u64); 3] {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("alert_events_delivered", read(&self.delivered)),
            ("alert_events_failed", read(&self.failed)),
            ("alert_events_dropped", read(&self.dropped)),
        ]
    }
}

/// An event on its way through a topic.
#[derive(Clone)]
pub struct Item {
    pub event: Arc<AlertEvent>,
    /// Level of the topic's last event with this id, or of that of the topic that published it.
    pub previous: Level,
    /// Topics that it came through before this one.
    pub hops: u8,
}

/// A running handler; ends when it is dropped, after what waits is delivered.
pub struct Handler {
    topic: String,
    queue: mpsc::Sender<Item>,
    counters: Arc<Counters>,
    /// Events that wait or are being delivered.
    open: Arc<AtomicU64>,
    /// Dropped since there was room last.
    dropped: Arc<AtomicU64>,
}

struct Worker {
    topic: String,
    condition: Option<Match>,
    events: mpsc::Receiver<Item>,
    counters: Arc<Counters>,
    open: Arc<AtomicU64>,
    dropped: Arc<AtomicU64>,
    alerts: WeakAlerts,
}

impl Handler {
    /// Starts the worker; must be called inside a runtime. At most `length` events wait; when there are so many the newest
    /// are dropped with a counter, and the log says when that begins and when it ends.
    pub fn start(
        topic: String,
        length: usize,
        spec: HandlerSpec,
        condition: Option<Match>,
        counters: Arc<Counters>,
        alerts: WeakAlerts,
    ) -> Handler {
        let (queue, events) = mpsc::channel(length);
        let (open, dropped) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let worker = Worker {
            topic: topic.clone(),
            condition,
            events,
            counters: counters.clone(),
            open: open.clone(),
            dropped: dropped.clone(),
            alerts,
        };
        tokio::spawn(worker.run(spec));
        Handler { topic, queue, counters, open, dropped }
    }

    pub fn send(&self, item: Item) {
        self.open.fetch_add(1, Ordering::Relaxed);
        if self.queue.try_send(item).is_err() {
            self.open.fetch_sub(1, Ordering::Relaxed);
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
            if self.dropped.fetch_add(1, Ordering::Relaxed) == 0 {
                let topic = &self.topic;
                tracing::error!(
                    service = "alert",
                    topic,
                    "events are dropped: {} wait for their handler",
                    self.queue.max_capacity()
                );
            }
        }
    }

    pub fn has_room(&self) -> bool {
        self.queue.capacity() > 0
    }

    pub fn is_idle(&self) -> bool {
        self.open.load(Ordering::Relaxed) == 0
    }
}

impl Worker {
    async fn run(mut self, spec: HandlerSpec) {
        match spec {
            HandlerSpec::Publish { topics } => {
                while let Some(item) = self.next().await {
                    self.publish(item, &topics);
                    self.done(&self.counters.delivered);
                }
            }
            HandlerSpec::Aggregate { id, interval, topic, message } => {
                if let Ok(message) = AggregateMessage::new(&message) {
                    self.aggregate(&id, interval, &topic, &message).await;
                }
            }
            HandlerSpec::Service { kind, options } => self.serve(&kind, &options).await,
            spec => {
                let mut deliver = Deliver::new(spec);
                let (kind, at_once) = (deliver.kind(), deliver.at_once());
                let mut items = Vec::new();
                while let Some(item) = self.next().await {
                    items.push(item);
                    while items.len() < at_once
                        && let Some(item) = self.waiting()
                    {
                        items.push(item);
                    }
                    deliver.events(&items, |item, result| self.delivered(kind, item, result)).await;
                    items.clear();
                }
            }
        }
    }

    /// Sends events to a service of the configuration.
    async fn serve(&mut self, kind: &str, options: &str) {
        let Some(alerts) = self.alerts.upgrade() else { return };
        let (surroundings, writers) = (alerts.surroundings(), alerts.shared.kafka.clone());
        drop(alerts);
        let options = serde_json::from_str(options).unwrap_or_default();
        // What a handler names was checked when it was defined.
        let Ok(deliver) = service::Deliver::new(kind, options, surroundings, writers) else { return };
        let mut items = Vec::new();
        while let Some(item) = self.next().await {
            items.push(item);
            let together = deliver.together();
            let end = tokio::time::Instant::now() + together.wait;
            while items.len() < together.most
                && let Ok(Some(item)) = tokio::time::timeout_at(end, self.next()).await
            {
                items.push(item);
            }
            deliver.events(&items, TIMEOUT, |item, sent| self.delivered(kind, item, sent)).await;
            items.clear();
        }
    }

    /// The next event that the handler is meant to get.
    async fn next(&mut self) -> Option<Item> {
        loop {
            let item = self.events.recv().await?;
            self.tell_dropped();
            if self.is_meant(&item) {
                return Some(item);
            }
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The same, of those that wait already.
    fn waiting(&mut self) -> Option<Item> {
        loop {
            let item = self.events.try_recv().ok()?;
            if self.is_meant(&item) {
                return Some(item);
            }
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Says how many were dropped, once half of the queue is free again.
    fn tell_dropped(&self) {
        if self.events.len() < self.events.max_capacity() / 2 && self.dropped.load(Ordering::Relaxed) > 0 {
            let dropped = self.dropped.swap(0, Ordering::Relaxed);
            tracing::error!(service = "alert", topic = self.topic, dropped, "events were dropped; there is room again");
        }
    }

    fn is_meant(&self, item: &Item) -> bool {
        let Some(condition) = &self.condition else { return true };
        condition.matches(&item.event, item.previous).unwrap_or_else(|error| {
            tracing::error!(
                service = "alert",
                topic = self.topic,
                event = item.event.id,
                err = error,
                "failed to match an event"
            );
            false
        })
    }

    /// A receiver has taken an event, or not.
    fn delivered(&self, kind: &str, item: &Item, result: Result<(), impl std::fmt::Display>) {
        match result {
            Ok(()) => self.done(&self.counters.delivered),
            Err(error) => {
                let (topic, event) = (&self.topic, &item.event.id);
                tracing::error!(service = kind, topic, event, err = %error, "failed to deliver an event");
                self.done(&self.counters.failed);
            }
        }
    }

    fn done(&self, counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    fn publish(&self, item: Item, topics: &[String]) {
        if item.hops >= HOPS_MAX {
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
            tracing::error!(
                service = "alert",
                topic = self.topic,
                "an event is dropped: its topics publish to each other"
            );
        } else if let Some(alerts) = self.alerts.upgrade() {
            alerts.collect(&Item { hops: item.hops + 1, ..item }, topics);
        }
    }

    async fn aggregate(&mut self, id: &str, interval: i64, topic: &str, message: &AggregateMessage) {
        let mut collected = Collected::default();
        let period = Duration::from_nanos(interval.unsigned_abs());
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
        loop {
            tokio::select! {
                item = self.next() => match item {
                    Some(item) => {
                        collected.add(item.event);
                        self.done(&self.counters.delivered);
                    }
                    None => break,
                },
                _ = ticks.tick() => self.flush(&mut collected, id, interval, topic, message),
            }
        }
        self.flush(&mut collected, id, interval, topic, message);
    }

    fn flush(&self, collected: &mut Collected, id: &str, interval: i64, topic: &str, message: &AggregateMessage) {
        if let Some(event) = collected.take(id, topic, message, interval) {
            let item = Item { event: Arc::new(event), previous: Level::Ok, hops: 0 };
            self.publish(item, &[topic.to_owned()]);
        }
    }
}
