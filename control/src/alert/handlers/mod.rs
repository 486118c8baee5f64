//! Handlers: one kind, one file (reference: nodes-alert-join-io §4.3).

mod exec;
mod log;
mod post;
mod tcp;
mod test;

use std::time::Duration;

use proto::{message::AlertEvent, value::Level};

pub use test::test;

use super::{event::to_json, spec::HandlerSpec};

/// Longest time of one delivery that sets no timeout of its own: a receiver that hangs must not hold its queue for ever.
const TIMEOUT: Duration = Duration::from_secs(60);

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
    client: Option<reqwest::Client>,
}

impl Deliver {
    pub fn new(spec: HandlerSpec) -> Deliver {
        let client = match &spec {
            HandlerSpec::Post { skip_ssl_verification, .. } => post::client(*skip_ssl_verification),
            _ => None,
        };
        Deliver { spec, client }
    }

    pub fn kind(&self) -> &'static str {
        match self.spec {
            HandlerSpec::Post { .. } => "post",
            HandlerSpec::Tcp { .. } => "tcp",
            HandlerSpec::Exec { .. } => "exec",
            HandlerSpec::Log { .. } => "log",
            HandlerSpec::Publish { .. } => "publish",
            HandlerSpec::Aggregate { .. } => "aggregate",
        }
    }

    pub async fn event(&self, event: &AlertEvent, previous: Level) -> Result<(), DeliveryError> {
        let json = to_json(event, previous);
        let limit = match &self.spec {
            HandlerSpec::Post { timeout, .. } if *timeout > 0 => Duration::from_nanos(timeout.unsigned_abs()),
            _ => TIMEOUT,
        };
        let delivery = async {
            match &self.spec {
                HandlerSpec::Post { url, headers, basic_auth, capture_response, .. } => {
                    let request =
                        post::Request { url, headers, basic_auth: basic_auth.as_ref(), capture: *capture_response };
                    post::deliver(self.client.as_ref(), request, json).await
                }
                HandlerSpec::Tcp { address } => tcp::deliver(address, json).await,
                HandlerSpec::Exec { program, arguments } => exec::deliver(program, arguments, json).await,
                HandlerSpec::Log { path, mode } => log::deliver(path, *mode, &json),
                // These go to topics of this process: their worker hands them on.
                HandlerSpec::Publish { .. } | HandlerSpec::Aggregate { .. } => Ok(()),
            }
        };
        tokio::time::timeout(limit, delivery).await.map_err(|_| DeliveryError::Timeout(limit))?
    }
}
