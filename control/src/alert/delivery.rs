//! One queue and one worker for each handler of a topic: events of a handler are sequential, handlers do not wait for
//! each other, and nothing that delivers ever waits for a receiver.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use proto::{message::AlertEvent, value::Level};
use tokio::sync::mpsc;

use super::{handlers, spec::HandlerSpec};

/// Events that wait for one handler. Full: the newest is dropped with an error and a counter.
const QUEUE: usize = 5_000;

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

type Item = (Arc<AlertEvent>, Level);

/// A running handler; ends when it is dropped, after what waits is delivered.
pub struct Handler {
    topic: String,
    queue: mpsc::Sender<Item>,
    counters: Arc<Counters>,
    /// Events that wait or are being delivered.
    open: Arc<AtomicU64>,
}

impl Handler {
    pub fn start(topic: String, spec: HandlerSpec, counters: Arc<Counters>) -> Handler {
        let (queue, mut events) = mpsc::channel::<Item>(QUEUE);
        let open = Arc::new(AtomicU64::new(0));
        let handler = Handler { topic: topic.clone(), queue, counters: counters.clone(), open: open.clone() };
        tokio::spawn(async move {
            let deliver = handlers::Deliver::new(spec);
            while let Some((event, previous)) = events.recv().await {
                match deliver.event(&event, previous).await {
                    Ok(()) => counters.delivered.fetch_add(1, Ordering::Relaxed),
                    Err(error) => {
                        let kind = deliver.kind();
                        tracing::error!(service = kind, topic, event = event.id, err = %error, "failed to deliver an event");
                        counters.failed.fetch_add(1, Ordering::Relaxed)
                    }
                };
                open.fetch_sub(1, Ordering::Relaxed);
            }
        });
        handler
    }

    pub fn send(&self, event: Arc<AlertEvent>, previous: Level) {
        self.open.fetch_add(1, Ordering::Relaxed);
        if self.queue.try_send((event, previous)).is_err() {
            self.open.fetch_sub(1, Ordering::Relaxed);
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
            tracing::error!(service = "alert", topic = self.topic, "an event is dropped: {QUEUE} wait for its handler");
        }
    }

    pub fn is_idle(&self) -> bool {
        self.open.load(Ordering::Relaxed) == 0
    }
}
