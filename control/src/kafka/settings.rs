//! How a cluster is reached.

use std::time::Duration;

use dataplane::trust::Trust;

use super::sasl::Credentials;

/// Longest time of a connection and of an answer, where the configuration has none.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Records of a request, where the configuration has no number.
const BATCH_SIZE: usize = 100;

/// A `[[kafka]]` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub cluster: String,
    /// `HOST:PORT` of those that are asked for the others.
    pub brokers: Vec<String>,
    /// Of a connection and of each answer.
    pub timeout: Duration,
    /// Speaks TLS.
    pub tls: Option<Trust>,
    pub credentials: Option<Credentials>,
}

impl Settings {
    pub fn timeout(configured: Duration) -> Duration {
        if configured.is_zero() { TIMEOUT } else { configured }
    }

    pub fn batch_size(configured: i64) -> usize {
        usize::try_from(configured).ok().filter(|size| *size > 0).unwrap_or(BATCH_SIZE)
    }
}
