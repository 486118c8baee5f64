//! Handlers: one kind, one file (reference: nodes-alert-join-io §4.3).

mod exec;
mod log;
mod pipeline;
mod post;
mod tcp;
mod test;

use std::time::Duration;

pub use test::test;

use super::{delivery::Item, event::to_json, spec::HandlerSpec};

/// Longest time of one delivery that sets no timeout of its own: a receiver that hangs must not hold its queue for ever.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// Why an event was not delivered.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    #[error("{0}")]
    Http(String),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{program} ended with {status}: {output}")]
    Exit { program: String, status: std::process::ExitStatus, output: String },
    #[error("no answer within {0:?}")]
    Timeout(Duration),
}

/// A handler, ready to deliver.
pub struct Deliver {
    spec: HandlerSpec,
    /// Of a handler that posts.
    receiver: Option<post::Receiver>,
}

impl Deliver {
    pub fn new(spec: HandlerSpec) -> Deliver {
        let receiver = match &spec {
            HandlerSpec::Post(post) => Some(post::Receiver::new(post)),
            _ => None,
        };
        Deliver { spec, receiver }
    }

    pub fn kind(&self) -> &'static str {
        match self.spec {
            HandlerSpec::Post(_) => "post",
            HandlerSpec::Tcp { .. } => "tcp",
            HandlerSpec::Exec { .. } => "exec",
            HandlerSpec::Log { .. } => "log",
            HandlerSpec::Publish { .. } => "publish",
            HandlerSpec::Aggregate { .. } => "aggregate",
            HandlerSpec::Service { .. } => "service",
        }
    }

    /// How many events are worth being delivered together.
    pub fn at_once(&self) -> usize {
        if self.receiver.is_some() { pipeline::REQUESTS_MAX } else { 1 }
    }

    /// Delivers events in order; `done` hears of each.
    pub async fn events(&mut self, items: &[Item], mut done: impl FnMut(&Item, Result<(), DeliveryError>)) {
        if let Some(receiver) = &mut self.receiver {
            return receiver.events(items, done).await;
        }
        let (limit, json) = (TIMEOUT, |item: &Item| to_json(&item.event, item.previous));
        for item in items {
            let delivery = async {
                match &self.spec {
                    HandlerSpec::Tcp { address } => tcp::deliver(address, json(item)).await,
                    HandlerSpec::Exec { program, arguments } => exec::deliver(program, arguments, json(item)).await,
                    HandlerSpec::Log { path, mode } => log::deliver(path, *mode, &json(item)),
                    // The receiver's, and those that the worker hands on itself.
                    HandlerSpec::Post(_)
                    | HandlerSpec::Publish { .. }
                    | HandlerSpec::Aggregate { .. }
                    | HandlerSpec::Service { .. } => Ok(()),
                }
            };
            let timely = tokio::time::timeout(limit, delivery).await;
            done(item, timely.unwrap_or(Err(DeliveryError::Timeout(limit))));
        }
    }
}
