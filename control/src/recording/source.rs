//! What the link asks for and reports to: tasks and recordings together.

use proto::Plan;

use super::Recordings;
use crate::{
    engine::{Boxed, TaskSource},
    task::Tasks,
};

pub struct Source {
    pub tasks: Tasks,
    pub recordings: Recordings,
}

impl TaskSource for Source {
    fn desired(&self) -> Boxed<'_, Vec<(u64, Plan)>> {
        self.tasks.desired()
    }

    fn started<'a>(&'a self, task: &'a str, result: Result<(), String>) -> Boxed<'a, ()> {
        self.tasks.started(task, result)
    }

    fn failed<'a>(&'a self, task: &'a str, fingerprint: u64, error: String) -> Boxed<'a, ()> {
        self.tasks.failed(task, fingerprint, error)
    }

    fn recorded(&self, id: &str, result: Result<u64, String>) {
        self.recordings.ended(id, result, dataplane::clock::now());
    }

    fn lost(&self) {
        self.recordings.data_plane_lost(dataplane::clock::now());
    }
}
