//! The rings between shards: from each receiver to each owner one bounded single-producer single-consumer queue, and one
//! back for blocks that were run. Memory that one thread asks for and another one frees costs more than the rest of a
//! hand-off, so a block's goes back to where it came from.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering, fence},
    },
};

use rtrb::{Consumer, Producer, PushError, RingBuffer};

use super::limits::{RETURNED_BLOCK_BYTES, RETURNED_BLOCKS};
use crate::{block::Block, reactor::Wake, routing::Instance};

/// What crosses a ring.
#[derive(Debug)]
pub enum Item {
    Block(Block),
    /// The receiver routes nothing to this task any more: whatever it had for it came before.
    Stopped(Instance),
    /// The receiver's series numbers are void from here on.
    Forget,
}

impl Item {
    /// Bytes held until an owner has taken it.
    fn bytes(&self) -> usize {
        match self {
            Item::Block(block) => block.bytes(),
            Item::Stopped(_) | Item::Forget => 0,
        }
    }
}

/// How the other threads reach a shard's.
#[derive(Debug)]
pub struct Signals {
    /// Something stands in an inbound ring, an outbound one has room again, or a command waits.
    pub wake: Arc<Wake>,
    /// The shard has items that found a ring full.
    starved: AtomicBool,
}

impl Signals {
    pub fn new(wake: Arc<Wake>) -> Self {
        Signals { wake, starved: AtomicBool::new(false) }
    }
}

/// One shard's ends of all rings.
pub struct Ends {
    pub outbound: Outbound,
    pub inbound: Inbound,
}

/// The rings between the shards that these signals belong to, each for so many `blocks`; the ends of each shard by its
/// index. Where a ring is full a body keeps its blocks: its connection is not answered and not read until they are taken.
pub fn rings(signals: Vec<Signals>, blocks: usize) -> Vec<Ends> {
    let (shards, signals) = (signals.len(), Arc::<[Signals]>::from(signals));
    let mut producers: Vec<Vec<_>> = (0..shards).map(|_| Vec::new()).collect();
    let mut consumers: Vec<(Vec<_>, Vec<_>)> = (0..shards).map(|_| Default::default()).collect();
    for producers in &mut producers {
        for (consumers, backs) in &mut consumers {
            let (producer, consumer) = RingBuffer::new(blocks);
            let (back, returned) = RingBuffer::new(RETURNED_BLOCKS);
            producers.push(Queue { ring: producer, returned, waiting: VecDeque::new(), queued: 0, pushed: 0 });
            consumers.push(consumer);
            backs.push(back);
        }
    }
    let ends = producers.into_iter().zip(consumers).enumerate();
    ends.map(|(shard, (owners, (receivers, backs)))| Ends {
        outbound: Outbound { shard, owners, signals: signals.clone(), waiting: false },
        inbound: Inbound { shard, receivers, backs, signals: signals.clone(), next: 0 },
    })
    .collect()
}

/// Items for one owner, in order; those in front of `waiting` are in the ring.
struct Queue {
    ring: Producer<Item>,
    /// Blocks of this ring that the owner is done with.
    returned: Consumer<Block>,
    waiting: VecDeque<Item>,
    queued: u64,
    pushed: u64,
}

/// Place of a body's block in one owner's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    owner: usize,
    place: u64,
    /// What it holds until it is taken.
    pub bytes: usize,
}

/// A receiver's ends. Nothing here ever blocks: what finds a ring full waits in front of it.
pub struct Outbound {
    shard: usize,
    /// By owner.
    owners: Vec<Queue>,
    signals: Arc<[Signals]>,
    waiting: bool,
}

impl Outbound {
    pub fn owners(&self) -> usize {
        self.owners.len()
    }

    /// Queues an item for an owner; what came before for the same owner goes first. [`Outbound::push`] sends it.
    pub fn send(&mut self, owner: usize, item: Item) -> Option<Ticket> {
        let to = self.owners.get_mut(owner)?;
        let bytes = item.bytes();
        to.waiting.push_back(item);
        to.queued += 1;
        self.waiting = true;
        Some(Ticket { owner, place: to.queued, bytes })
    }

    /// Moves queued items into the rings as far as there is room, and wakes the owners; returns whether any moved.
    pub fn push(&mut self) -> bool {
        if !std::mem::take(&mut self.waiting) {
            return false;
        }
        let mut moved = false;
        for (owner, to) in self.owners.iter_mut().enumerate() {
            let before = to.pushed;
            while let Some(item) = to.waiting.pop_front() {
                if let Err(PushError::Full(item)) = to.ring.push(item) {
                    to.waiting.push_front(item);
                    // An owner that makes room from here on wakes this shard; one that did just before is seen below.
                    if let Some(signals) = self.signals.get(self.shard)
                        && !signals.starved.swap(true, Ordering::SeqCst)
                    {
                        fence(Ordering::SeqCst);
                        continue;
                    }
                    self.waiting = true;
                    break;
                }
                to.pushed += 1;
            }
            moved |= to.pushed > before;
            if to.pushed > before
                && owner != self.shard
                && let Some(signals) = self.signals.get(owner)
            {
                signals.wake.wake();
            }
        }
        moved
    }

    /// A block that an owner is done with.
    pub fn returned(&mut self) -> Option<Block> {
        self.owners.iter_mut().find_map(|to| to.returned.pop().ok())
    }

    /// Whether the owner's ring has taken what a ticket stands for.
    pub fn has_taken(&self, ticket: Ticket) -> bool {
        self.owners.get(ticket.owner).is_none_or(|to| to.pushed >= ticket.place)
    }
}

/// An owner's ends.
pub struct Inbound {
    shard: usize,
    /// By receiver.
    receivers: Vec<Consumer<Item>>,
    /// By receiver, too.
    backs: Vec<Producer<Block>>,
    signals: Arc<[Signals]>,
    /// Whose turn it is.
    next: usize,
}

impl Inbound {
    pub fn is_empty(&self) -> bool {
        self.receivers.iter().all(Consumer::is_empty)
    }

    /// Items of each receiver.
    pub fn counts(&self) -> Vec<usize> {
        self.receivers.iter().map(Consumer::slots).collect()
    }

    /// Gives a block that was run back to its receiver.
    pub fn give_back(&mut self, receiver: usize, block: Block) {
        if block.bytes() <= RETURNED_BLOCK_BYTES
            && let Some(back) = self.backs.get_mut(receiver)
        {
            // Where that one has enough of them the memory is freed here.
            let _ = back.push(block);
        }
    }

    /// The next item and its receiver: of those in front the body that was accepted first, so that a client that waits
    /// for its answers finds its bodies in order, whatever connections they came by.
    pub fn pop(&mut self) -> Option<(usize, Item)> {
        let mut found = self.front()?;
        // An earlier body may have been pushed after its ring was looked at and before the found one was.
        while let Some(again) = self.front()
            && again != found
        {
            found = again;
        }
        let (_, _, receiver) = found;
        let item = self.receivers.get_mut(receiver)?.pop().ok()?;
        self.next = receiver + 1;
        fence(Ordering::SeqCst);
        if let Some(signals) = self.signals.get(receiver)
            && signals.starved.load(Ordering::SeqCst)
            && signals.starved.swap(false, Ordering::SeqCst)
            && receiver != self.shard
        {
            signals.wake.wake();
        }
        Some((receiver, item))
    }

    /// Place of acceptance, turn and index of the receiver whose item is next. What is no body is of no place: it goes
    /// at once, the receivers in turn.
    fn front(&self) -> Option<(u64, usize, usize)> {
        let receivers = self.receivers.len();
        let fronts = self.receivers.iter().enumerate().filter_map(|(receiver, ring)| {
            let order = match ring.peek().ok()? {
                Item::Block(block) => block.order,
                Item::Stopped(_) | Item::Forget => 0,
            };
            Some((order, (receiver + receivers - self.next % receivers) % receivers, receiver))
        });
        fronts.min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RING_BLOCKS: usize = 16;

    fn pair() -> (Ends, Ends) {
        let mut ends = rings((0..2).map(|_| Signals::new(Arc::new(Wake::new().unwrap()))).collect(), RING_BLOCKS);
        let second = ends.pop().unwrap();
        (ends.pop().unwrap(), second)
    }

    fn instance(item: Option<(usize, Item)>) -> (usize, Instance) {
        match item {
            Some((receiver, Item::Stopped(instance))) => (receiver, instance),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_finds_a_ring_full_waits_in_order() {
        let (mut first, mut second) = pair();
        let tickets: Vec<_> =
            (0..RING_BLOCKS as u64 + 2).filter_map(|n| first.outbound.send(1, Item::Stopped(n))).collect();
        assert!(!first.outbound.has_taken(tickets[0]));
        first.outbound.push();
        assert!(first.outbound.has_taken(tickets[RING_BLOCKS - 1]));
        assert!(!first.outbound.has_taken(tickets[RING_BLOCKS]));
        assert_eq!(second.inbound.counts(), [RING_BLOCKS, 0]);
        for n in 0..RING_BLOCKS as u64 + 2 {
            assert_eq!(instance(second.inbound.pop()), (0, n));
            first.outbound.push();
        }
        assert!(tickets.iter().all(|ticket| first.outbound.has_taken(*ticket)));
        assert!(second.inbound.is_empty());
    }

    #[test]
    fn receivers_take_turns() {
        let (mut first, mut second) = pair();
        for n in 0..2 {
            first.outbound.send(0, Item::Stopped(n));
            second.outbound.send(0, Item::Stopped(n));
        }
        first.outbound.push();
        second.outbound.push();
        let order: Vec<_> = (0..4).map(|_| instance(first.inbound.pop())).collect();
        assert_eq!(order, [(0, 0), (1, 0), (0, 1), (1, 1)]);
    }

    #[test]
    fn bodies_come_in_the_order_in_which_they_were_accepted() {
        let (mut first, mut second) = pair();
        for (ends, orders) in [(&mut first, [2, 3, 6]), (&mut second, [1, 4, 5])] {
            for order in orders {
                let mut block = Block::default();
                block.order = order;
                ends.outbound.send(0, Item::Block(block));
            }
            ends.outbound.push();
        }
        let order = |item| match item {
            (_, Item::Block(block)) => block.order,
            other => panic!("{other:?}"),
        };
        let orders: Vec<u64> = std::iter::from_fn(|| first.inbound.pop()).map(order).collect();
        assert_eq!(orders, [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn blocks_that_were_run_come_back() {
        let (mut first, mut second) = pair();
        for _ in 0..RETURNED_BLOCKS + 1 {
            first.outbound.send(1, Item::Block(Block::default()));
        }
        first.outbound.push();
        while let Some((receiver, Item::Block(block))) = second.inbound.pop() {
            second.inbound.give_back(receiver, block);
        }
        let returned = std::iter::from_fn(|| first.outbound.returned());
        assert_eq!(returned.count(), RETURNED_BLOCKS);
        assert!(second.outbound.returned().is_none());
    }

    /// Both threads sleep whenever they have nothing to do: a wake-up that is lost hangs the test.
    #[test]
    fn nobody_sleeps_through_an_item_or_room() {
        use crate::reactor::{Choice, Reactor};
        const ITEMS: u64 = 20_000;
        let wakes: Vec<_> = (0..2).map(|_| Arc::new(Wake::new().unwrap())).collect();
        let mut ends = rings(wakes.iter().map(|wake| Signals::new(wake.clone())).collect(), RING_BLOCKS);
        let (mut second, mut first) = (ends.pop().unwrap(), ends.pop().unwrap());
        let (woken, waker) = (wakes[1].clone(), wakes[0].clone());
        let owner = std::thread::spawn(move || {
            let mut reactor = Reactor::new(Choice::Epoll, woken.clone()).unwrap();
            let mut taken = 0;
            while taken < ITEMS {
                while let Some(item) = second.inbound.pop() {
                    assert_eq!(instance(Some(item)), (0, taken));
                    taken += 1;
                }
                woken.fall_asleep();
                if second.inbound.is_empty() && taken < ITEMS {
                    reactor.wait(None).unwrap();
                }
                woken.stay_awake();
            }
        });
        let mut reactor = Reactor::new(Choice::Automatic, waker.clone()).unwrap();
        let mut last = None;
        for n in 0..ITEMS {
            last = first.outbound.send(1, Item::Stopped(n));
            if n % 100 == 99 {
                first.outbound.push();
                while !last.is_none_or(|ticket| first.outbound.has_taken(ticket)) {
                    waker.fall_asleep();
                    first.outbound.push();
                    if !last.is_none_or(|ticket| first.outbound.has_taken(ticket)) {
                        reactor.wait(None).unwrap();
                    }
                    waker.stay_awake();
                    first.outbound.push();
                }
            }
        }
        assert!(last.is_some());
        owner.join().unwrap();
    }
}
