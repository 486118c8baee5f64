//! The thread of a shard: its runtime, its turns, and what its connections share.
//!
//! A turn: blocks in the inbound rings first, a slice at a time, one receiver after the other; then commands. Between
//! slices the runtime serves connections. Without work the thread sleeps.

use std::{
    cell::RefCell,
    collections::VecDeque,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use proto::message::{IngressStatistics, Settings};
use rtrb::{Consumer, Producer};
use tokio::{
    sync::{Notify, Semaphore, mpsc, watch},
    task::{LocalSet, yield_now},
};

use super::{
    command::{Command, Effects, Handover, ShardStatistics},
    connection,
    limits::{SERIES_BYTES_MAX, SLICE_ROWS, STAGED_BYTES_MAX},
    outputs::{Dropped, ShardOutputs},
    owner::Owner,
    receiver::{Counters, Receiver},
    reingest::Reingest,
    ring::{Ends, Item, Signals},
};
use crate::{clock, io::shards::Loads, routing::Instance};

/// Longest sleep of a shard with timers.
const CLOCK_CHECK: std::time::Duration = std::time::Duration::from_secs(1);

/// What a shard's thread starts with.
pub struct Start {
    pub shard: usize,
    pub shards: usize,
    /// Core to run on.
    pub core: Option<usize>,
    pub ends: Ends,
    pub commands: mpsc::Receiver<Command>,
    pub effects: Effects,
    pub settings: watch::Receiver<Settings>,
    pub loads: Loads,
    /// Order of bodies over all shards.
    pub order: Arc<AtomicU64>,
}

/// What the tasks of a shard's thread share. Nothing here is held over an await.
pub struct Shard {
    pub index: usize,
    pub receiver: RefCell<Receiver>,
    pub owner: RefCell<Owner>,
    outbound: RefCell<Vec<Outbound>>,
    signals: Arc<[Signals]>,
    /// Wakes connections whose blocks may have been taken.
    taken: Notify,
    /// Bytes of bodies that connections hold.
    pub staging: Arc<Semaphore>,
    pub effects: Effects,
    pub settings: watch::Receiver<Settings>,
    pub loads: Loads,
    order: Arc<AtomicU64>,
    pub draining: AtomicBool,
    /// Wakes connections that are between requests when the shard drains.
    pub drain: Notify,
    dropped: Rc<Dropped>,
    pub reingest: Rc<Reingest>,
}

/// Items for one owner, in order; those in front of `queue` are in the ring.
struct Outbound {
    ring: Producer<Item>,
    queue: VecDeque<Item>,
    queued: u64,
    pushed: u64,
}

/// Place of a body's last block in one owner's queue.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    owner: usize,
    place: u64,
}

/// Runs a shard until its command queue closes. Blocks the thread.
pub fn run(start: Start) -> std::io::Result<()> {
    if let Some(core) = start.core {
        pin(core);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let local = LocalSet::new();
    runtime.block_on(local.run_until(turns(start)));
    Ok(())
}

/// A shard that cannot be pinned runs all the same.
fn pin(core: usize) {
    let mut set = rustix::thread::CpuSet::new();
    set.set(core);
    if let Err(error) = rustix::thread::sched_setaffinity(None, &set) {
        tracing::warn!(core, %error, "cannot pin a shard to its core");
    }
}

async fn turns(start: Start) {
    let Ends { outbound, mut inbound, signals } = start.ends;
    let mut commands = start.commands;
    let outbound = outbound.into_iter().map(|ring| Outbound { ring, queue: VecDeque::new(), queued: 0, pushed: 0 });
    let shard = Rc::new(Shard {
        index: start.shard,
        receiver: RefCell::new(Receiver::new(start.shards, SERIES_BYTES_MAX / start.shards)),
        owner: RefCell::new(Owner::new(start.shard, start.shards)),
        outbound: RefCell::new(outbound.collect()),
        signals: signals.clone(),
        taken: Notify::new(),
        staging: Arc::new(Semaphore::new(STAGED_BYTES_MAX / start.shards)),
        effects: start.effects,
        settings: start.settings,
        loads: start.loads,
        order: start.order,
        draining: AtomicBool::new(false),
        drain: Notify::new(),
        dropped: Rc::default(),
        reingest: Rc::default(),
    });
    tokio::task::spawn_local(pump(shard.clone()));
    tokio::task::spawn_local(Reingest::run(shard.clone()));
    loop {
        let mut idle = true;
        for (receiver, ring) in inbound.iter_mut().enumerate() {
            idle &= !turn_of(&shard, receiver, ring).await;
        }
        shard.wake();
        match commands.try_recv() {
            Ok(command) => {
                // What was accepted before the command comes first.
                for (receiver, ring) in inbound.iter_mut().enumerate() {
                    for _ in 0..ring.slots() {
                        turn_of(&shard, receiver, ring).await;
                    }
                }
                shard.clone().carry_out(command);
            }
            Err(mpsc::error::TryRecvError::Disconnected) => return,
            Err(mpsc::error::TryRecvError::Empty) if idle => {
                let signal = signals.get(shard.index);
                tokio::select! {
                    () = async { match signal { Some(signal) => signal.work.notified().await, None => std::future::pending().await } } => {}
                    () = shard.until_wake() => {}
                    command = commands.recv() => match command {
                        Some(command) => shard.clone().carry_out(command),
                        None => return,
                    }
                }
            }
            Err(mpsc::error::TryRecvError::Empty) => {}
        }
    }
}

/// Takes one item of a receiver's ring and runs it in slices; returns whether there was one.
async fn turn_of(shard: &Shard, receiver: usize, ring: &mut Consumer<Item>) -> bool {
    let Ok(item) = ring.pop() else { return false };
    if let Some(signals) = shard.signals.get(receiver) {
        signals.room.notify_one();
    }
    match item {
        Item::Forget => shard.owner.borrow_mut().forget(receiver),
        Item::Stopped(instance) => shard.owner.borrow_mut().receiver_stopped(instance, clock::now()),
        Item::Block(mut block) => {
            shard.owner.borrow_mut().define(receiver, &mut block.definitions);
            for start in (0..block.len()).step_by(SLICE_ROWS) {
                let rows = start..(start + SLICE_ROWS).min(block.len());
                shard.owner.borrow_mut().run(receiver, &block, rows, clock::now(), |failure| {
                    let _ = shard.effects.failures.send(failure);
                });
                yield_now().await;
            }
        }
    }
    true
}

/// Pushes what did not fit as soon as owners make room.
async fn pump(shard: Rc<Shard>) {
    let Some(signals) = shard.signals.get(shard.index) else { return };
    loop {
        signals.room.notified().await;
        shard.push();
        shard.taken.notify_waiters();
    }
}

impl Shard {
    /// Place of the next accepted body in the order over all shards.
    pub fn next_order(&self) -> u64 {
        self.order.fetch_add(1, Ordering::Relaxed)
    }

    /// Queues an item for an owner; what came before for the same owner goes first.
    pub fn send(&self, owner: usize, item: Item) -> Option<Ticket> {
        let mut outbound = self.outbound.borrow_mut();
        let to = outbound.get_mut(owner)?;
        to.queue.push_back(item);
        to.queued += 1;
        Some(Ticket { owner, place: to.queued })
    }

    /// Moves queued items into the rings as far as there is room, and wakes the owners.
    pub fn push(&self) {
        for (owner, to) in self.outbound.borrow_mut().iter_mut().enumerate() {
            let before = to.pushed;
            while let Some(item) = to.queue.pop_front() {
                if let Err(rtrb::PushError::Full(item)) = to.ring.push(item) {
                    to.queue.push_front(item);
                    break;
                }
                to.pushed += 1;
            }
            if to.pushed > before
                && let Some(signals) = self.signals.get(owner)
            {
                signals.work.notify_one();
            }
        }
    }

    /// Waits until the owners have taken what these tickets stand for.
    pub async fn accepted(&self, tickets: &[Ticket]) {
        loop {
            let taken = self.taken.notified();
            let outbound =
                |ticket: &Ticket| self.outbound.borrow().get(ticket.owner).is_none_or(|to| to.pushed >= ticket.place);
            if tickets.iter().all(outbound) {
                return;
            }
            taken.await;
        }
    }

    fn send_to_all(&self, item: impl Fn() -> Item) {
        let owners = self.outbound.borrow().len();
        for owner in 0..owners {
            self.send(owner, item());
        }
        self.push();
    }

    /// The numbers of this receiver's series are void; owners hear of it before they see new ones.
    pub fn forget_series(&self) {
        self.send_to_all(|| Item::Forget);
    }

    /// Wakes operators whose time has come.
    fn wake(&self) {
        let mut owner = self.owner.borrow_mut();
        let now = clock::now();
        if owner.next_wake() <= now {
            owner.advance(now, |failure| {
                let _ = self.effects.failures.send(failure);
            });
        }
    }

    /// Waits until an operator wants to be woken, and no longer than it may take to notice that the clock was set.
    async fn until_wake(&self) {
        let next = self.owner.borrow().next_wake();
        if next == i64::MAX {
            return std::future::pending().await;
        }
        let wait = u64::try_from(next.saturating_sub(clock::now())).unwrap_or_default();
        tokio::time::sleep(std::time::Duration::from_nanos(wait).min(CLOCK_CHECK)).await;
    }

    fn carry_out(self: Rc<Self>, command: Command) {
        match command {
            Command::Connection(handover) => self.connect(handover),
            Command::Start { instance, plan, route, epoch, reply } => {
                let (effects, dropped, reingest) = (self.effects.clone(), self.dropped.clone(), self.reingest.clone());
                let outputs = ShardOutputs { shard: self.index, instance, effects, dropped, reingest };
                let started = self.owner.borrow_mut().start(&plan, route, epoch, outputs, clock::now());
                let _ = reply.send(started);
            }
            Command::Route { routing, reply } => {
                let ended: Vec<Instance> = self.receiver.borrow_mut().route(routing);
                for instance in ended {
                    self.send_to_all(|| Item::Stopped(instance));
                }
                let _ = reply.send(());
            }
            Command::Stop { instance, routed, reply } => {
                self.owner.borrow_mut().stop(instance, routed, reply, clock::now());
            }
            Command::HttpOut { instance, endpoint, reply } => {
                let _ = reply.send(self.owner.borrow().http_out(instance, &endpoint));
            }
            Command::Statistics { reply } => {
                let _ = reply.send(self.statistics());
            }
            Command::Resume { instance, node, ticket, status } => {
                let failure = self.owner.borrow_mut().resume(instance, &node, ticket, status, clock::now());
                if let Some(failure) = failure {
                    let _ = self.effects.failures.send(failure);
                }
            }
            Command::Drain { reply } => {
                self.draining.store(true, Ordering::Relaxed);
                self.drain.notify_waiters();
                tokio::task::spawn_local(async move {
                    while self.receiver.borrow().counters.connections_open > 0 {
                        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                    }
                    let _ = reply.send(());
                });
            }
        }
    }

    fn connect(self: Rc<Self>, handover: Handover) {
        self.receiver.borrow_mut().counters.connections_open += 1;
        tokio::task::spawn_local(async move {
            connection::serve(&self, handover).await;
            self.receiver.borrow_mut().counters.connections_open -= 1;
            self.loads.release(self.index);
        });
    }

    fn statistics(&self) -> ShardStatistics {
        let receiver = self.receiver.borrow();
        let mut owner = self.owner.borrow_mut();
        let ingress = receiver.ingress.iter().map(|(database, policy, measurement, points)| IngressStatistics {
            database: database.to_owned(),
            retention_policy: policy.to_owned(),
            measurement: measurement.to_owned(),
            points,
        });
        let Counters { connections_open, bodies, points, bytes, bodies_refused, names_refused } = receiver.counters;
        ShardStatistics {
            tasks: owner.statistics(clock::now()),
            ingress: ingress.collect(),
            counters: vec![
                ("connections_open", connections_open),
                ("bodies_accepted", bodies),
                ("bodies_refused", bodies_refused),
                ("points_accepted", points),
                ("bytes_received", bytes),
                ("series_without_room_for_names", names_refused),
                ("series_cached", receiver.cache.len() as u64),
                ("series_cache_bytes", receiver.cache.bytes() as u64),
                ("series_cache_restarts", receiver.cache.generation()),
                ("rows_discarded_by_failed_tasks", owner.rows_discarded),
                ("alerts_dropped", self.dropped.alerts.get()),
                ("posts_dropped", self.dropped.posts.get()),
                ("influxdb_writes_dropped", self.dropped.writes.get()),
                ("loopback_points_dropped", self.reingest.dropped.get()),
            ],
        }
    }
}
