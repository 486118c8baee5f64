//! The blocks that other shards and this one have for its tasks, run in slices.

use super::{
    command::Effects,
    limits::SLICE_ROWS,
    owner::Owner,
    ring::{Inbound, Item},
};
use crate::block::Block;

pub struct Inbox {
    inbound: Inbound,
    /// The block that is being run, its receiver, and the next row.
    current: Option<(usize, Block, usize)>,
    /// The last block that was run to its end, and its receiver.
    done: Option<(usize, Block)>,
    /// Items of each receiver that have run to their end.
    finished: Vec<u64>,
}

/// A place in the order of blocks: behind all that were there when it was made.
pub struct Mark(Vec<u64>);

impl Inbox {
    pub fn new(inbound: Inbound) -> Inbox {
        let finished = vec![0; inbound.counts().len()];
        Inbox { inbound, current: None, done: None, finished }
    }

    pub fn is_empty(&self) -> bool {
        self.current.is_none() && self.inbound.is_empty()
    }

    /// Marks what is there now.
    pub fn mark(&self) -> Mark {
        let current = self.current.as_ref().map(|(receiver, ..)| *receiver);
        let there = self.inbound.counts().into_iter().enumerate();
        let there = there.map(|(receiver, count)| count as u64 + u64::from(current == Some(receiver)));
        Mark(self.finished.iter().zip(there).map(|(finished, there)| finished + there).collect())
    }

    /// Whether everything before a mark has run.
    pub fn has_passed(&self, mark: &Mark) -> bool {
        self.finished.iter().zip(&mark.0).all(|(finished, mark)| finished >= mark)
    }

    /// Runs one slice; returns whether there was one.
    pub fn run(&mut self, owner: &mut Owner, effects: &Effects, now: i64) -> bool {
        let (receiver, block, start) = match self.current.take() {
            Some(current) => current,
            None => {
                let Some((receiver, item)) = self.inbound.pop() else { return false };
                match item {
                    Item::Forget => {
                        owner.forget(receiver);
                        self.finish(receiver);
                        return true;
                    }
                    Item::Stopped(instance) => {
                        owner.receiver_stopped(instance, now);
                        self.finish(receiver);
                        return true;
                    }
                    Item::Block(mut block) => {
                        owner.define(receiver, &mut block.definitions);
                        (receiver, block, 0)
                    }
                }
            }
        };
        let end = (start + SLICE_ROWS).min(block.len());
        owner.run(receiver, &block, start..end, now, |failure| {
            let _ = effects.failures.send(failure);
        });
        if end < block.len() {
            self.current = Some((receiver, block, end));
        } else {
            self.done = Some((receiver, block));
            self.finish(receiver);
        }
        true
    }

    fn finish(&mut self, receiver: usize) {
        if let Some(finished) = self.finished.get_mut(receiver) {
            *finished += 1;
        }
    }

    /// Gives such a block back to its receiver on another shard.
    pub fn give_back(&mut self, receiver: usize, block: Block) {
        self.inbound.give_back(receiver, block);
    }

    /// A block that has run, and its receiver, which can use its memory again.
    pub fn done(&mut self) -> Option<(usize, Block)> {
        self.done.take()
    }
}
