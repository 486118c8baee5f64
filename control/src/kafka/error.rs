//! What can be wrong between here and a cluster.

use std::time::Duration;

use super::wire::CutShort;
use crate::tls::ConnectError;

/// Why a record was not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KafkaError {
    #[error("{address}: {error}")]
    Io { address: String, error: String },
    #[error("{address}: no answer within {limit:?}")]
    Late { address: String, limit: Duration },
    /// It is no broker, or one of another time.
    #[error("{address}: {error}")]
    Protocol { address: String, error: String },
    #[error("{address} refuses the credentials: {error}")]
    Credentials { address: String, error: String },
    #[error("no broker of the cluster can be asked: {}", texts(.0))]
    NoBroker(Vec<KafkaError>),
    /// The broker's answer about a topic or a partition of it.
    #[error("topic {topic:?}: {}", code_text(*.code))]
    Refused { topic: String, code: i16 },
    /// The configuration's, not the broker's fault.
    #[error("{address}: {error}")]
    Tls { address: String, error: String },
}

fn texts(errors: &[KafkaError]) -> String {
    errors.iter().map(KafkaError::to_string).collect::<Vec<_>>().join("; ")
}

impl KafkaError {
    pub fn cut_short(address: &str) -> impl Fn(CutShort) -> KafkaError {
        move |error| KafkaError::Protocol { address: address.to_owned(), error: error.to_string() }
    }

    pub fn connect(address: &str, error: &ConnectError) -> KafkaError {
        let (address, text) = (address.to_owned(), error.to_string());
        match error {
            ConnectError::Io(_) => KafkaError::Io { address, error: text },
            ConnectError::Trust(_) | ConnectError::Name(_) => KafkaError::Tls { address, error: text },
        }
    }

    /// Whether it may be better a moment later: a broker that starts, a partition that gets another leader.
    pub fn may_pass(&self) -> bool {
        match self {
            KafkaError::Io { .. } | KafkaError::Late { .. } => true,
            KafkaError::Protocol { .. } | KafkaError::Credentials { .. } | KafkaError::Tls { .. } => false,
            KafkaError::NoBroker(errors) => errors.iter().any(KafkaError::may_pass),
            KafkaError::Refused { code, .. } => find(*code).is_some_and(|(_, _, may_pass)| *may_pass),
        }
    }
}

pub const LEADER_NOT_AVAILABLE: i16 = 5;
pub const MESSAGE_TOO_LARGE: i16 = 10;

/// Codes that a producer may meet: name and whether trying again may help (kafka.apache.org/protocol, "Error Codes").
const CODES: &[(i16, &str, bool)] = &[
    (-1, "UNKNOWN_SERVER_ERROR", false),
    (2, "CORRUPT_MESSAGE", true),
    (3, "UNKNOWN_TOPIC_OR_PARTITION: there is no such topic, and the broker makes none", true),
    (LEADER_NOT_AVAILABLE, "LEADER_NOT_AVAILABLE: the partition has no leader now", true),
    (6, "NOT_LEADER_OR_FOLLOWER", true),
    (7, "REQUEST_TIMED_OUT", true),
    (8, "BROKER_NOT_AVAILABLE", true),
    (9, "REPLICA_NOT_AVAILABLE", true),
    (MESSAGE_TOO_LARGE, "MESSAGE_TOO_LARGE: the message is longer than the topic allows (max.message.bytes)", false),
    (13, "NETWORK_EXCEPTION", true),
    (17, "INVALID_TOPIC_EXCEPTION: a topic cannot have this name", false),
    (18, "RECORD_LIST_TOO_LARGE", false),
    (19, "NOT_ENOUGH_REPLICAS", true),
    (20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", true),
    (29, "TOPIC_AUTHORIZATION_FAILED: the user may not write to the topic", false),
    (31, "CLUSTER_AUTHORIZATION_FAILED", false),
    (32, "INVALID_TIMESTAMP", false),
    (33, "UNSUPPORTED_SASL_MECHANISM", false),
    (34, "ILLEGAL_SASL_STATE", false),
    (35, "UNSUPPORTED_VERSION", false),
    (43, "UNSUPPORTED_FOR_MESSAGE_FORMAT", false),
    (44, "POLICY_VIOLATION", false),
    (56, "KAFKA_STORAGE_ERROR", true),
    (58, "SASL_AUTHENTICATION_FAILED", false),
    (87, "INVALID_RECORD", false),
    (89, "THROTTLING_QUOTA_EXCEEDED", true),
];

fn find(code: i16) -> Option<&'static (i16, &'static str, bool)> {
    CODES.iter().find(|(known, ..)| *known == code)
}

/// A code in words.
pub fn code_text(code: i16) -> String {
    find(code).map_or_else(|| format!("error code {code}"), |(_, text, _)| (*text).to_owned())
}
