//! All shards, as the I/O thread addresses them.

use std::{
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::{mpsc, oneshot};

use crate::{
    reactor::Wake,
    shard::{
        command::{Command, Handover},
        inputs::Input,
    },
};

/// Connections that each shard serves, by its index.
#[derive(Clone, Debug)]
pub struct Loads(Arc<[AtomicUsize]>);

impl Loads {
    pub fn new(shards: usize) -> Self {
        Loads((0..shards).map(|_| AtomicUsize::new(0)).collect())
    }

    /// The shard with the fewest connections; counts one more there.
    fn take_least(&self) -> usize {
        let loads = self.0.iter().enumerate();
        let least = loads.min_by_key(|(_, load)| load.load(Ordering::Relaxed)).map_or(0, |(index, _)| index);
        if let Some(load) = self.0.get(least) {
            load.fetch_add(1, Ordering::Relaxed);
        }
        least
    }

    /// A connection has left the shard.
    pub fn release(&self, shard: usize) {
        if let Some(load) = self.0.get(shard) {
            load.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The way to a shard's thread.
pub struct Queue {
    pub commands: mpsc::Sender<Command>,
    pub wake: Arc<Wake>,
}

/// Handle of the shards' command queues; cheap to clone.
#[derive(Clone)]
pub struct Shards {
    queues: Arc<[Queue]>,
    pub loads: Loads,
}

impl Shards {
    pub fn new(queues: Vec<Queue>, loads: Loads) -> Self {
        Shards { queues: queues.into(), loads }
    }

    pub fn len(&self) -> usize {
        self.queues.len()
    }

    pub fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// Gives a connection to the shard that has the fewest.
    pub async fn connection(&self, connection: Handover) {
        let shard = self.loads.take_least();
        self.send(shard, Command::Connection(connection)).await;
    }

    /// The same for a stream of lines.
    pub async fn lines(&self, stream: OwnedFd, input: Arc<Input>) {
        let shard = self.loads.take_least();
        self.send(shard, Command::Lines { stream, input }).await;
    }

    /// Waits for room. A shard that is gone takes nothing: the process is about to end.
    pub async fn send(&self, shard: usize, command: Command) {
        if let Some(queue) = self.queues.get(shard) {
            let _ = queue.commands.send(command).await;
            queue.wake.wake();
        }
    }

    /// The same from a thread of its own.
    pub fn blocking_send(&self, shard: usize, command: Command) {
        if let Some(queue) = self.queues.get(shard) {
            let _ = queue.commands.blocking_send(command);
            queue.wake.wake();
        }
    }

    /// Asks every shard and waits for all answers, in order of shards. A shard that is gone gives none.
    pub async fn ask<T>(&self, command: impl Fn(oneshot::Sender<T>) -> Command) -> Vec<T> {
        let mut answers = Vec::with_capacity(self.len());
        for queue in self.queues.iter() {
            let (reply, answer) = oneshot::channel();
            let _ = queue.commands.send(command(reply)).await;
            queue.wake.wake();
            answers.push(answer);
        }
        let mut all = Vec::with_capacity(answers.len());
        for answer in answers {
            all.extend(answer.await);
        }
        all
    }
}
