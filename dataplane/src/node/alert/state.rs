//! What the node knows of a group, and when an event is due (reference: nodes-alert-join-io §2.3 to §2.6).

use std::rc::Rc;

use proto::value::Level;
use serde::{Deserialize, Serialize};

use super::history::{Flapping, History};
use crate::group::Group;

/// When events are sent.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    pub all: bool,
    pub no_recoveries: bool,
    /// The interval after which an unchanged level is sent again; 0 for never.
    pub state_changes_only: Option<i64>,
    pub flapping: Option<Flapping>,
}

/// State of a group. With the group that holds it 32 bytes: there may be millions, of which few have triggered.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct GroupState {
    level: Option<Level>,
    previous: Option<Level>,
    /// Only where flapping is looked at.
    history: Option<Box<History>>,
    flapping: bool,
    triggered: Option<Box<Triggered>>,
}

const _: () = assert!(size_of::<Option<(Rc<Group>, GroupState)>>() == 32);

/// When events were due, nanoseconds since 1970.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Triggered {
    /// Of the incident; `None` if the first event was held back.
    first: Option<i64>,
    last: i64,
}

/// What a new level means.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    level: Level,
    changed: bool,
    expired: bool,
    flapping: bool,
}

impl GroupState {
    pub fn level(&self) -> Level {
        self.level.unwrap_or(Level::Ok)
    }

    /// Bytes beside the state itself.
    pub fn bytes(&self) -> usize {
        let history = self.history.as_ref().map_or(0, |history| size_of::<History>() + history.bytes());
        history + self.triggered.as_ref().map_or(0, |_| size_of::<Triggered>())
    }

    /// Starts at the level of a stored event.
    pub fn restore(&mut self, level: Level, time: i64, policy: &Policy) {
        self.push(level, policy);
        self.triggered = Some(Box::new(Triggered { first: Some(time), last: time }));
    }

    /// Enters the level of a point or batch.
    pub fn step(&mut self, level: Level, time: i64, policy: &Policy) -> Step {
        let changed = level != self.level();
        self.push(level, policy);
        let since = self.triggered.as_ref().map_or(i64::MAX, |triggered| time.saturating_sub(triggered.last));
        let expired = !changed && policy.state_changes_only.is_some_and(|interval| interval != 0 && since >= interval);
        Step { level, changed, expired, flapping: self.flapping }
    }

    /// An event is due.
    pub fn trigger(&mut self, time: i64) {
        let triggered = self.triggered.get_or_insert_with(|| Box::new(Triggered { first: None, last: time }));
        triggered.last = time;
        if self.previous.unwrap_or(Level::Ok) == Level::Ok {
            triggered.first = Some(time);
        }
    }

    /// From the first event of the incident to the last, nanoseconds; the longest there is if the first was held back.
    pub fn duration(&self) -> i64 {
        match self.triggered.as_deref() {
            Some(Triggered { first: Some(first), last }) => last.saturating_sub(*first),
            _ => i64::MAX,
        }
    }

    fn push(&mut self, level: Level, policy: &Policy) {
        self.previous = self.level.replace(level);
        if let Some(flapping) = policy.flapping {
            let history = self.history.get_or_insert_with(|| Box::new(History::new(flapping.history)));
            history.push(level);
            let share = history.share_of_changes();
            if self.flapping {
                self.flapping = share >= flapping.low;
            } else {
                self.flapping = share > flapping.high;
            }
        }
    }
}

impl Step {
    pub fn fires_on_stream(self, policy: &Policy) -> bool {
        !self.flapping && !self.is_repetition(policy) && (self.level != Level::Ok || self.changed)
    }

    pub fn fires_on_batch(self, policy: &Policy) -> bool {
        (self.changed && self.level == Level::Ok)
            || (self.level != Level::Ok && !self.flapping && !self.is_repetition(policy))
    }

    fn is_repetition(self, policy: &Policy) -> bool {
        policy.state_changes_only.is_some() && !self.changed && !self.expired
    }
}
