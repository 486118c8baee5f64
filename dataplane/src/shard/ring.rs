//! The rings between shards: from each receiver to each owner one bounded single-producer single-consumer queue.

use std::sync::Arc;

use rtrb::{Consumer, Producer, RingBuffer};
use tokio::sync::Notify;

use super::limits::RING_BLOCKS;
use crate::{block::Block, routing::Instance};

/// What crosses a ring.
#[derive(Debug)]
pub enum Item {
    Block(Block),
    /// The receiver routes nothing to this task any more: whatever it had for it came before.
    Stopped(Instance),
    /// The receiver's series numbers are void from here on.
    Forget,
}

/// How shards wake each other.
#[derive(Debug, Default)]
pub struct Signals {
    /// Something stands in an inbound ring, or a command waits.
    pub work: Notify,
    /// An outbound ring has room again.
    pub room: Notify,
}

/// One shard's ends of all rings.
pub struct Ends {
    /// To each owner, by its index.
    pub outbound: Vec<Producer<Item>>,
    /// From each receiver, by its index.
    pub inbound: Vec<Consumer<Item>>,
    /// Of every shard, by its index.
    pub signals: Arc<[Signals]>,
}

/// The rings of `shards` shards, the ends of each shard by its index.
pub fn rings(shards: usize) -> Vec<Ends> {
    let signals: Arc<[Signals]> = (0..shards).map(|_| Signals::default()).collect();
    let mut ends: Vec<Ends> =
        (0..shards).map(|_| Ends { outbound: Vec::new(), inbound: Vec::new(), signals: signals.clone() }).collect();
    for receiver in 0..shards {
        for owner in 0..shards {
            let (producer, consumer) = RingBuffer::new(RING_BLOCKS);
            ends[receiver].outbound.push(producer);
            ends[owner].inbound.push(consumer);
        }
    }
    ends
}
