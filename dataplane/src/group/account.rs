//! What the groups of a task take, over all shards, and how much they may.
//!
//! At a limit new groups are refused: their points are dropped, counted, and reported at a bounded rate. Groups that there
//! are go on.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// How much a task may hold. 0: as much as it likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub groups: u64,
    /// Of state by group, as estimated by the nodes.
    pub bytes: u64,
}

/// Counters of one running task; its parts on all shards share them.
#[derive(Debug, Default)]
pub struct Account {
    limits: Limits,
    groups: AtomicI64,
    bytes: AtomicI64,
    refused: AtomicU64,
}

impl Account {
    pub fn new(limits: Limits) -> Account {
        Account { limits, ..Account::default() }
    }

    pub fn groups(&self) -> u64 {
        u64::try_from(self.groups.load(Ordering::Relaxed)).unwrap_or_default()
    }

    /// As last weighed, which each shard does once a second while points come.
    pub fn bytes(&self) -> u64 {
        u64::try_from(self.bytes.load(Ordering::Relaxed)).unwrap_or_default()
    }

    /// Messages dropped because their group would have been one too many.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Takes one group in, unless that is too many.
    pub(super) fn admit(&self) -> bool {
        if self.limits.bytes != 0 && self.bytes() >= self.limits.bytes {
            return false;
        }
        let before = self.groups.fetch_add(1, Ordering::Relaxed);
        if self.limits.groups != 0 && before >= i64::try_from(self.limits.groups).unwrap_or(i64::MAX) {
            self.groups.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        true
    }

    /// A message was dropped because its group would have been one too many.
    pub fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn change_groups(&self, by: i64) {
        self.groups.fetch_add(by, Ordering::Relaxed);
    }

    pub fn change_bytes(&self, by: i64) {
        self.bytes.fetch_add(by, Ordering::Relaxed);
    }

    /// Why a group is refused.
    pub fn limit(&self) -> String {
        let Limits { groups, bytes } = self.limits;
        if bytes != 0 && self.bytes() >= bytes {
            return format!("the task's groups hold more than {bytes} bytes");
        }
        match groups {
            0 => format!("the task has more than {} groups on one shard", super::GROUPS_MAX),
            _ => format!("the task has {groups} groups, as many as it may"),
        }
    }
}
