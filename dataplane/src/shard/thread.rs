//! The thread of a shard: its turns, and what its connections share.
//!
//! A turn: blocks in the inbound rings first, for about a millisecond; then some events of connections (few while blocks are
//! left), then work that is done in pieces, then commands. Without anything to do the thread sleeps in its reactor.

use std::{
    collections::VecDeque,
    io,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use proto::{
    limits::Limits,
    message::{IngressStatistics, Settings},
};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    command::{Command, Effects, ShardStatistics},
    connections::{Connections, SWEEP},
    inbox::{Inbox, Mark},
    limits::{COMMANDS, TURN, TURN_EVENTS, TURN_EVENTS_BEHIND},
    outputs::{Dropped, ShardOutputs},
    owner::Owner,
    ports::Ports,
    receiver::{Counters, Receiver},
    reingest::Reingest,
    ring::{Ends, Item, Outbound},
    write_log::WriteLogger,
};
use crate::{
    clock,
    io::shards::Loads,
    latency::Latency,
    reactor::{Choice, Event, Reactor, Wake},
    routing::Instance,
    scheduling,
};

/// Longest sleep of a shard with timers: it notices that the clock was set.
const CLOCK_CHECK: Duration = Duration::from_secs(1);

/// How exact timers are while the shard is busy, nanoseconds.
const TIMER_CHECK: i64 = 1_000_000;

/// What a shard's thread starts with.
pub struct Start {
    pub shard: usize,
    pub shards: usize,
    /// Core to run on.
    pub core: Option<usize>,
    pub receive: Choice,
    pub wake: Arc<Wake>,
    pub ends: Ends,
    pub commands: mpsc::Receiver<Command>,
    pub effects: Effects,
    pub settings: watch::Receiver<Settings>,
    pub loads: Loads,
    /// Order of bodies over all shards.
    pub order: Arc<AtomicU64>,
    pub limits: Limits,
}

/// What the connections and commands of a shard work on.
pub struct Shard {
    pub index: usize,
    pub receiver: Receiver,
    pub owner: Owner,
    pub outbound: Outbound,
    pub effects: Effects,
    pub settings: watch::Receiver<Settings>,
    pub loads: Loads,
    order: Arc<AtomicU64>,
    pub draining: bool,
    dropped: Rc<Dropped>,
    pub reingest: Rc<Reingest>,
    /// Scratch of bodies that are being unpacked.
    pub unpacked: Vec<u8>,
    /// Connections that closed because too many waited for the I/O thread.
    pub relays_refused: u64,
    /// Bodies that were given up because they did not move while others waited for room.
    pub bodies_stalled: u64,
    pub bodies_too_large: u64,
    /// Bodies that were answered later because a ring was full.
    pub waited_for_rings: u64,
    pub limits: Limits,
    /// From the first byte of a body to its answer.
    pub write_times: Latency,
    pub write_log: WriteLogger,
}

pub(super) struct Thread {
    pub(super) reactor: Reactor,
    wake: Arc<Wake>,
    pub(super) shard: Shard,
    pub(super) connections: Connections,
    ports: Ports,
    pub(super) inbox: Inbox,
    commands: mpsc::Receiver<Command>,
    /// Commands in order, until what was accepted before each has run.
    waiting: VecDeque<(Mark, Command)>,
    drained: Option<oneshot::Sender<()>>,
    /// Nanoseconds since 1970, for tasks.
    pub(super) now: i64,
    /// By [`clock::steady`], as what stands below: for what waits, and for how long.
    pub(super) steady: i64,
    timers_checked: i64,
    swept: i64,
    /// When the cache of series was looked at.
    refreshed: i64,
}

/// Runs a shard until its command queue closes. Blocks the thread.
pub fn run(start: Start) -> io::Result<()> {
    if let Some(core) = start.core {
        pin(core);
    }
    // The I/O thread that started this one has short slices; with them this one is no less right.
    let _ = scheduling::prefer_throughput();
    let mut thread = Thread::new(start)?;
    while thread.turn()? {}
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

impl Thread {
    pub(super) fn new(start: Start) -> io::Result<Thread> {
        let limits = start.limits;
        Ok(Thread {
            reactor: Reactor::new(start.receive, start.wake.clone())?,
            wake: start.wake,
            shard: Shard {
                index: start.shard,
                receiver: Receiver::new(start.shards, limits.series_bytes_max as usize / start.shards),
                owner: Owner::new(start.shard, start.shards),
                outbound: start.ends.outbound,
                write_log: WriteLogger::new(start.effects.writes.clone()),
                effects: start.effects,
                settings: start.settings,
                loads: start.loads,
                order: start.order,
                draining: false,
                dropped: Rc::default(),
                reingest: Rc::new(Reingest::new(limits.loopback_bytes_max as usize)),
                unpacked: Vec::new(),
                relays_refused: 0,
                bodies_stalled: 0,
                bodies_too_large: 0,
                waited_for_rings: 0,
                limits,
                write_times: Latency::default(),
            },
            connections: Connections::new(limits.staged_bytes_max as usize / start.shards),
            ports: Ports::default(),
            inbox: Inbox::new(start.ends.inbound),
            commands: start.commands,
            waiting: VecDeque::new(),
            drained: None,
            now: clock::now(),
            steady: clock::steady(),
            timers_checked: 0,
            swept: 0,
            refreshed: 0,
        })
    }

    /// Returns whether there is another turn.
    fn turn(&mut self) -> io::Result<bool> {
        let sleep = if self.has_work() { Some(Duration::ZERO) } else { self.sleep() };
        self.reactor.wait(sleep)?;
        self.wake.stay_awake();
        self.tell(clock::now(), clock::steady());
        Ok(self.work())
    }

    fn tell(&mut self, now: i64, steady: i64) {
        if let Some(by) = clock::set_back(self.now, now) {
            tracing::warn!(
                service = "run",
                shard = self.shard.index,
                seconds = by as f64 / 1e9,
                "the clock was set back"
            );
            self.shard.owner.set_back(by);
        }
        (self.now, self.steady) = (now, steady);
    }

    /// What a turn does once its events are there; returns whether there is another one.
    pub(super) fn work(&mut self) -> bool {
        let Thread { reactor, shard, connections, ports, inbox, now, steady, .. } = self;
        let end = clock::steady().saturating_add(TURN);
        while inbox.run(&mut shard.owner, &shard.effects, *now) {
            match inbox.done() {
                Some((receiver, block)) if receiver == shard.index => shard.receiver.recycle(block),
                Some((receiver, block)) => inbox.give_back(receiver, block),
                None => {}
            }
            if clock::steady() > end {
                break;
            }
        }
        let events = if inbox.is_empty() { TURN_EVENTS } else { TURN_EVENTS_BEHIND };
        while let Some(block) = shard.outbound.returned() {
            shard.receiver.recycle(block);
        }
        shard.outbound.push();
        connections.answer(reactor, shard, *steady);
        for _ in 0..events {
            let Some(event) = reactor.next_event() else { break };
            match event {
                Event::Received(token, buffer) => {
                    connections.received(shard, token, reactor.bytes(&buffer));
                    reactor.give_back(buffer);
                    connections.settle(reactor, token, *steady);
                }
                Event::Ended(token) => connections.ended(reactor, shard, token, *steady),
                Event::Writable(token) => connections.writable(reactor, shard, token, *steady),
                Event::Removed(token) => connections.removed(shard, token),
                Event::Readable(token) => ports.readable(token),
            }
        }
        connections.work(reactor, shard, *steady);
        shard.reingest.clone().turn(shard);
        ports.turn(shard, *now);
        connections.make_room(reactor, shard, *steady);
        self.timers();
        let goes_on = self.command();
        if self.connections.count() == 0
            && let Some(drained) = self.drained.take()
        {
            let _ = drained.send(());
        }
        goes_on
    }

    fn has_work(&self) -> bool {
        !self.inbox.is_empty()
            || self.connections.has_work()
            || self.shard.reingest.has_work()
            || self.ports.has_work()
            || !self.commands.is_empty()
    }

    /// How long to sleep. Whoever adds work from here on wakes this thread.
    fn sleep(&mut self) -> Option<Duration> {
        self.wake.fall_asleep();
        if self.shard.outbound.push() || self.has_work() {
            self.wake.stay_awake();
            return Some(Duration::ZERO);
        }
        let next = self.shard.owner.next_wake();
        let timer = (next != i64::MAX).then(|| {
            let wait = u64::try_from(next.saturating_sub(clock::now())).unwrap_or_default();
            Duration::from_nanos(wait).min(CLOCK_CHECK)
        });
        let sweep = self.connections.has_deadlines(self.shard.draining).then_some(SWEEP);
        timer.into_iter().chain(sweep).min()
    }

    fn timers(&mut self) {
        let Thread { reactor, shard, connections, now, steady, .. } = self;
        if steady.saturating_sub(self.timers_checked) >= TIMER_CHECK {
            self.timers_checked = *steady;
            if shard.owner.next_wake() <= *now {
                shard.owner.advance(*now, |failure| {
                    let _ = shard.effects.failures.send(failure);
                });
            }
        }
        if steady.saturating_sub(self.refreshed) >= CLOCK_CHECK.as_nanos() as i64 {
            self.refreshed = *steady;
            if shard.receiver.cache.refresh(*steady) {
                shard.forget_series();
            }
        }
        if connections.has_deadlines(shard.draining) && steady.saturating_sub(self.swept) >= SWEEP.as_nanos() as i64 {
            self.swept = *steady;
            connections.sweep(reactor, shard, *steady);
        }
    }

    /// Carries out commands; returns whether more can come. Each waits for what was accepted before it, not for its
    /// predecessor's turn: they pass together.
    fn command(&mut self) -> bool {
        loop {
            while self.waiting.front().is_some_and(|(mark, _)| self.inbox.has_passed(mark)) {
                if let Some((_, command)) = self.waiting.pop_front() {
                    self.carry_out(command);
                }
            }
            if self.waiting.len() >= COMMANDS {
                return true;
            }
            match self.commands.try_recv() {
                Ok(Command::Connection(handover)) => {
                    self.connections.connect(&mut self.reactor, &mut self.shard, handover, self.steady);
                }
                Ok(command) => self.waiting.push_back((self.inbox.mark(), command)),
                Err(mpsc::error::TryRecvError::Empty) => return true,
                Err(mpsc::error::TryRecvError::Disconnected) => return !self.waiting.is_empty(),
            }
        }
    }

    fn carry_out(&mut self, command: Command) {
        let Thread { shard, now, steady, .. } = self;
        match command {
            Command::Connection(handover) => {
                self.connections.connect(&mut self.reactor, shard, handover, *steady);
            }
            Command::Lines { stream, input } => {
                self.connections.stream(&mut self.reactor, shard, stream, input, *steady);
            }
            Command::Datagrams { socket, input } => self.ports.open(&mut self.reactor, socket, input),
            Command::Start { instance, plan, route, epoch, account, reply } => {
                let (effects, dropped, reingest) =
                    (shard.effects.clone(), shard.dropped.clone(), shard.reingest.clone());
                let outputs = ShardOutputs { shard: shard.index, instance, effects, dropped, reingest };
                let started = shard.owner.start(&plan, route, epoch, outputs, account, *now);
                let _ = reply.send(started);
            }
            Command::Route { routing, reply } => {
                let ended: Vec<Instance> = shard.receiver.route(routing);
                for instance in ended {
                    shard.send_to_all(|| Item::Stopped(instance));
                }
                let _ = reply.send(());
            }
            Command::Stop { instance, routed, reply } => shard.owner.stop(instance, routed, reply, *now),
            Command::HttpOut { instance, endpoint, reply } => {
                let _ = reply.send(shard.owner.http_out(instance, &endpoint));
            }
            Command::Statistics { of: Some(instance), reply } => {
                let tasks = shard.owner.statistics(*now, Some(instance));
                let _ = reply.send(ShardStatistics { tasks, ..ShardStatistics::default() });
            }
            Command::Statistics { of: None, reply } => {
                let _ = reply.send(self.statistics());
            }
            Command::Resume { instance, node, ticket, status } => {
                if let Some(failure) = shard.owner.resume(instance, &node, ticket, status, *now) {
                    let _ = shard.effects.failures.send(failure);
                }
            }
            Command::Scaled { instance, node, ticket, scale } => {
                if let Some(failure) = shard.owner.scaled(instance, &node, ticket, scale, *now) {
                    let _ = shard.effects.failures.send(failure);
                }
            }
            Command::Udf { instance, node, event } => {
                if let Some(failure) = shard.owner.udf(instance, &node, event, *now) {
                    let _ = shard.effects.failures.send(failure);
                }
            }
            Command::Loopback { body, reply } => {
                let taken = if shard.reingest.has_room(body.lines.len()) {
                    shard.reingest.push(&(&*body.database).into(), &(&*body.retention_policy).into(), &body.lines);
                    Ok(())
                } else {
                    Err(body)
                };
                let _ = reply.send(taken);
            }
            Command::Write { database, retention_policy, lines } => {
                shard.reingest.push(&database.into(), &retention_policy.into(), &lines);
            }
            Command::Sideload { instance, node, files } => shard.owner.sideload(instance, &node, &files),
            Command::Drain { reply } => {
                shard.draining = true;
                self.ports.close(&mut self.reactor);
                self.connections.drain(&mut self.reactor, shard, *steady);
                self.drained = Some(reply);
            }
        }
    }

    fn statistics(&mut self) -> ShardStatistics {
        let Shard {
            receiver,
            owner,
            dropped,
            reingest,
            write_times,
            relays_refused,
            bodies_stalled,
            bodies_too_large,
            waited_for_rings,
            ..
        } = &mut self.shard;
        let ingress = receiver.ingress.iter().map(|(database, policy, measurement, points)| IngressStatistics {
            database: database.to_owned(),
            retention_policy: policy.to_owned(),
            measurement: measurement.to_owned(),
            points,
        });
        let Counters { bodies, points, bytes, bodies_refused, names_refused } = receiver.counters;
        ShardStatistics {
            tasks: owner.statistics(self.now, None),
            ingress: ingress.collect(),
            writes: write_times.times(),
            counters: vec![
                ("connections_open", self.connections.count() as u64),
                ("connections_bytes_held", self.connections.bytes() as u64),
                ("bodies_accepted", bodies),
                ("bodies_refused", bodies_refused),
                ("bodies_refused_without_progress", *bodies_stalled),
                ("bodies_refused_as_too_large", *bodies_too_large),
                ("bodies_waited_for_room", self.connections.waited_for_room),
                ("bodies_waited_for_rings", *waited_for_rings),
                ("connections_closed_without_room", self.connections.closed_without_room),
                ("points_accepted", points),
                ("bytes_received", bytes),
                ("series_without_room_for_names", names_refused),
                ("series_cached", receiver.cache.len() as u64),
                ("series_cache_bytes", receiver.cache.bytes() as u64),
                ("series_cache_restarts", receiver.cache.generation()),
                ("rows_discarded_by_failed_tasks", owner.rows_discarded),
                ("alerts_dropped", dropped.alerts.get()),
                ("posts_dropped", dropped.posts.get()),
                ("influxdb_writes_dropped", dropped.writes.get()),
                ("udf_messages_dropped", dropped.udf.get()),
                ("scalings_dropped", dropped.scalings.get()),
                ("loopback_points_dropped", reingest.dropped.get()),
                ("relays_refused", *relays_refused),
                (if self.reactor.name() == "epoll" { "shards_on_epoll" } else { "shards_on_io_uring" }, 1),
            ],
        }
    }
}

impl Shard {
    /// Place of the next accepted body in the order over all shards.
    pub fn next_order(&self) -> u64 {
        self.order.fetch_add(1, Ordering::Relaxed)
    }

    fn send_to_all(&mut self, item: impl Fn() -> Item) {
        for owner in 0..self.outbound.owners() {
            self.outbound.send(owner, item());
        }
        self.outbound.push();
    }

    /// The numbers of this receiver's series are void; owners hear of it before they see new ones.
    pub fn forget_series(&mut self) {
        self.send_to_all(|| Item::Forget);
    }
}
