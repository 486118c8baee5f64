//! `alert` in a plan.

use serde::{Deserialize, Serialize};

use crate::{expr::Expr, value::Level};

/// reference: nodes-alert-join-io §2.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    pub info: AlertLevel,
    pub warn: AlertLevel,
    pub crit: AlertLevel,
    /// Text templates.
    pub id: String,
    pub message: String,
    /// HTML template.
    pub details: String,
    /// Topic of the handlers that the script names; none without handlers.
    pub anonymous_topic: Option<String>,
    pub topic: Option<String>,
    pub category: Option<String>,
    /// Category and tags, for each `.inhibit`.
    pub inhibits: Vec<(String, Vec<String>)>,
    pub all: bool,
    pub no_recoveries: bool,
    pub state_changes_only: Option<StateChangesOnly>,
    /// Low and high threshold.
    pub flapping: Option<(f64, f64)>,
    /// At least 2.
    pub history: u32,
    pub level_tag: Option<String>,
    pub level_field: Option<String>,
    pub id_tag: Option<String>,
    pub id_field: Option<String>,
    pub message_field: Option<String>,
    pub duration_field: Option<String>,
    /// What `.ServerInfo` shows in templates.
    pub server: ServerInfo,
}

/// The lambda that sets a level and the one that lets it go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AlertLevel {
    pub set: Option<Expr>,
    pub reset: Option<Expr>,
}

/// `.stateChangesOnly`; an interval of 0 never expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateChangesOnly {
    pub interval: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerInfo {
    pub hostname: String,
    pub cluster_id: String,
    pub server_id: String,
}

/// The last event of a topic that is not OK, for alert nodes that meet its id (reference: nodes-alert-join-io §2.7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicLevel {
    pub topic: String,
    pub id: String,
    pub level: Level,
    /// Time of the event.
    pub time: i64,
}
