//! Who may write: what the control plane said of credentials, kept for a while.
//!
//! A shard lets a write in whose credentials are here. Any other takes its connection to the I/O thread, which asks the
//! control plane; what it allows is entered here. When users change, the control plane says so and all entries are void.

use std::sync::{Mutex, PoisonError};

use hashbrown::HashMap;
use proto::message::Settings;
use tokio::sync::watch;

use crate::http::{Credential, Head, Query, credential};

/// Credentials that are kept. Full: the gate starts over.
const ENTRIES_MAX: usize = 10_000;

/// How long an entry counts, in nanoseconds: a token may expire.
const ENTRY_AGE: i64 = 30_000_000_000;

pub struct Gate {
    settings: watch::Receiver<Settings>,
    admitted: Mutex<Admitted>,
}

#[derive(Default)]
struct Admitted {
    generation: u64,
    /// Credentials, and when they must be asked for again.
    until: HashMap<Credential, i64>,
}

impl Gate {
    pub fn new(settings: watch::Receiver<Settings>) -> Gate {
        Gate { settings, admitted: Mutex::default() }
    }

    /// Whether a write may be taken. `now` is in nanoseconds since 1970.
    pub fn admits(&self, head: &Head, now: i64) -> bool {
        let (enabled, generation) = {
            let settings = self.settings.borrow();
            (settings.auth_enabled, settings.users_generation)
        };
        if !enabled {
            return true;
        }
        let Ok(credential) = credential(head.authorization.as_deref(), Query(head.query())) else { return false };
        let admitted = self.admitted.lock().unwrap_or_else(PoisonError::into_inner);
        admitted.generation == generation && admitted.until.get(&credential).is_some_and(|until| now < *until)
    }

    /// The control plane allowed a request's credentials when `generation` was the one of the users.
    pub fn admit(&self, head: &Head, generation: u64, now: i64) {
        let Ok(credential) = credential(head.authorization.as_deref(), Query(head.query())) else { return };
        let mut admitted = self.admitted.lock().unwrap_or_else(PoisonError::into_inner);
        if admitted.generation != generation || admitted.until.len() >= ENTRIES_MAX {
            admitted.until.clear();
            admitted.generation = generation;
        }
        admitted.until.insert(credential, now.saturating_add(ENTRY_AGE));
    }

    /// The generation of users that is in force.
    pub fn generation(&self) -> u64 {
        self.settings.borrow().users_generation
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Parsed, parse};

    fn head(query: &str) -> Head {
        let text = format!("POST /write?{query} HTTP/1.1\r\nHost: x\r\n\r\n");
        match parse(text.as_bytes()) {
            Ok(Parsed::Complete(head)) => head,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn entries_end_with_their_time_and_with_their_users() {
        let settings =
            |auth_enabled, users_generation| Settings { auth_enabled, users_generation, ..Settings::default() };
        let (sender, receiver) = watch::channel(settings(false, 1));
        let gate = Gate::new(receiver);
        let (good, bad) = (head("db=d&u=a&p=b"), head("db=d&u=a&p=x"));
        assert!(gate.admits(&bad, 0));
        sender.send_replace(settings(true, 1));
        assert!(!gate.admits(&good, 0));
        gate.admit(&good, gate.generation(), 0);
        assert!(gate.admits(&good, ENTRY_AGE - 1) && !gate.admits(&good, ENTRY_AGE) && !gate.admits(&bad, 0));
        sender.send_replace(settings(true, 2));
        assert!(!gate.admits(&good, 0));
        gate.admit(&head("db=d"), 2, 0);
        assert!(!gate.admits(&head("db=d"), 0));
    }
}
