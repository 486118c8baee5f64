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
    /// Items of each receiver that stand before the mark.
    before_mark: Vec<usize>,
}

impl Inbox {
    pub fn new(inbound: Inbound) -> Inbox {
        let before_mark = vec![0; inbound.counts().len()];
        Inbox { inbound, current: None, done: None, before_mark }
    }

    pub fn is_empty(&self) -> bool {
        self.current.is_none() && self.inbound.is_empty()
    }

    /// Marks what is there now.
    pub fn mark(&mut self) {
        self.before_mark = self.inbound.counts();
    }

    /// Whether everything before the mark has run.
    pub fn has_passed(&self) -> bool {
        self.current.is_none() && self.before_mark.iter().all(|count| *count == 0)
    }

    /// Runs one slice; returns whether there was one.
    pub fn run(&mut self, owner: &mut Owner, effects: &Effects, now: i64) -> bool {
        let (receiver, block, start) = match self.current.take() {
            Some(current) => current,
            None => {
                let Some((receiver, item)) = self.inbound.pop() else { return false };
                if let Some(count) = self.before_mark.get_mut(receiver) {
                    *count = count.saturating_sub(1);
                }
                match item {
                    Item::Forget => {
                        owner.forget(receiver);
                        return true;
                    }
                    Item::Stopped(instance) => {
                        owner.receiver_stopped(instance, now);
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
        }
        true
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
