//! A shard as owner: the tasks that it runs and the series that receivers told it of.

use std::{cell::RefCell, convert::Infallible, ops::Range, rc::Rc, sync::Arc};

use proto::{Plan, message::NodeStatistics, plan::SideloadFile};
use tokio::sync::oneshot;

use super::{
    command::{Failure, HttpOutPart},
    outputs::ShardOutputs,
    seats::{Seat, Seats},
};
use crate::{
    arrival::{Arrivals, AtHand, Row, SERIES_IN_CACHE, Series},
    block::{Block, Cell, Cells, Definition, RowHead},
    dag::{build::build, task::Task},
    fields::{Reader, Unread},
    group::{Account, Group},
    name::Name,
    node::{Outputs, alert::Inhibitors, autoscale::Scale, udf::UdfEvent},
    point::SeriesNumber,
    prefetch::prefetch,
    rate::Rate,
    routing::{Instance, TaskRoute},
    tags::TagSet,
    value::{Field, Value},
};

/// How often the bytes of a task that gets points are counted, nanoseconds.
const WEIGH_INTERVAL: u64 = 1_000_000_000;

/// A task on this shard.
struct Running {
    instance: Instance,
    route: Arc<TaskRoute>,
    epoch: u64,
    task: Task,
    failed: bool,
    rate: Rate,
    /// When its bytes were last counted, nanoseconds since 1970.
    weighed: i64,
    /// Receivers that said they route nothing to it any more, and who waits for its end.
    stopped: usize,
    ended: Option<oneshot::Sender<Vec<NodeStatistics>>>,
}

/// Rows at hand that follow one another and are of one class: their range and the class.
type Stretch = (Range<u32>, u32);

/// Rows that go through one task before the next one has its turn: enough to meet its groups one after the other, few
/// enough to stay in the cache with their fields.
const ROWS_AT_HAND: usize = 512;

/// How many rows before its turn the seat of a series is asked of the memory; its number, twice as many.
const ROWS_AHEAD: usize = 32;

/// What is known of the rows at hand.
#[derive(Default)]
struct Scratch {
    rows: Vec<Row>,
    fields: Vec<Field>,
    stretches: Vec<Stretch>,
    /// By task: a stretch, and the task's place in its class.
    queues: Vec<Vec<(u32, u32)>>,
    /// Tasks with rows, in the order of their first.
    busy: Vec<u32>,
    /// Indices of the tasks that take one series.
    takers: Vec<u32>,
}

pub struct Owner {
    shard: usize,
    shards: usize,
    tasks: Vec<Running>,
    /// By receiver, then by the receiver's number: index into `series`, or [`UNKNOWN`].
    known: Vec<Vec<u32>>,
    /// By number on this shard.
    series: Vec<Option<Series>>,
    free_numbers: Vec<u32>,
    /// The part of `tasks` that takes each series, by index.
    seats: Seats,
    /// The group of points as they arrive.
    nil: Rc<Group>,
    scratch: Scratch,
    reader: RefCell<Reader>,
    /// Rows that arrived for a task that had failed.
    pub rows_discarded: u64,
}

/// Marks a number that the receiver has told nothing of.
const UNKNOWN: u32 = u32::MAX;

impl Owner {
    pub fn new(shard: usize, shards: usize) -> Self {
        Owner {
            shard,
            shards,
            tasks: Vec::new(),
            known: vec![Vec::new(); shards],
            series: Vec::new(),
            free_numbers: Vec::new(),
            seats: Seats::default(),
            nil: Rc::new(Group::nil()),
            scratch: Scratch::default(),
            reader: RefCell::default(),
            rows_discarded: 0,
        }
    }

    /// Builds a task's operators.
    pub fn start(
        &mut self,
        plan: &Plan,
        route: Arc<TaskRoute>,
        epoch: u64,
        outputs: ShardOutputs,
        account: Arc<Account>,
        now: i64,
    ) -> Result<(), String> {
        let (instance, inhibitors) = (outputs.instance, outputs.effects.inhibitors.clone());
        // Where no point can come nothing may happen by the clock either.
        let runs = route.runs_on(self.shard);
        self.add(instance, plan, route, epoch, Box::new(outputs), &inhibitors)?;
        self.keep(instance, account);
        if runs { self.begin(instance, now) } else { Ok(()) }
    }

    /// Builds a task's operators; [`Owner::begin`] is still to come.
    pub fn add(
        &mut self,
        instance: Instance,
        plan: &Plan,
        route: Arc<TaskRoute>,
        epoch: u64,
        outputs: Box<dyn Outputs>,
        inhibitors: &Arc<Inhibitors>,
    ) -> Result<(), String> {
        let task = build(plan, outputs, inhibitors).map_err(|error| error.to_string())?;
        let rate = Rate::default();
        self.tasks.push(Running {
            instance,
            route,
            epoch,
            task,
            failed: false,
            rate,
            weighed: 0,
            stopped: 0,
            ended: None,
        });
        self.seats.clear();
        Ok(())
    }

    /// The task's groups are entered into an account.
    pub fn keep(&mut self, instance: Instance, account: Arc<Account>) {
        if let Some(running) = self.tasks.iter_mut().find(|running| running.instance == instance) {
            running.task.keep(account);
        }
    }

    /// The task's time begins.
    pub fn begin(&mut self, instance: Instance, now: i64) -> Result<(), String> {
        match self.tasks.iter_mut().find(|running| running.instance == instance) {
            Some(running) => running.task.start(now).map_err(|fault| fault.to_string()),
            None => Ok(()),
        }
    }

    /// `reply` gets the final statistics when every receiver has stopped routing to the task.
    pub fn stop(&mut self, instance: Instance, routed: bool, reply: oneshot::Sender<Vec<NodeStatistics>>, now: i64) {
        match self.tasks.iter_mut().find(|running| running.instance == instance) {
            Some(running) => {
                running.ended = Some(reply);
                if !routed {
                    running.stopped = self.shards;
                }
            }
            None => {
                let _ = reply.send(Vec::new());
            }
        }
        self.end_stopped(now);
    }

    /// Ends a task's nodes from `first` on, as [`Task::finish_from`] does.
    pub fn finish_from(&mut self, instance: Instance, first: usize, now: i64) -> Result<Option<usize>, String> {
        match self.tasks.iter_mut().find(|running| running.instance == instance && !running.failed) {
            Some(running) => running.task.finish_from(first, now).map_err(|fault| fault.to_string()),
            None => Ok(None),
        }
    }

    /// Whether the function of a node that was ended still has something to say.
    pub fn awaits_end(&self, instance: Instance, node: usize) -> bool {
        let mut tasks = self.tasks.iter();
        tasks.any(|running| running.instance == instance && !running.failed && running.task.awaits_end(node))
    }

    /// A receiver routes nothing to the task any more.
    pub fn receiver_stopped(&mut self, instance: Instance, now: i64) {
        if let Some(running) = self.tasks.iter_mut().find(|running| running.instance == instance) {
            running.stopped += 1;
        }
        self.end_stopped(now);
    }

    fn end_stopped(&mut self, now: i64) {
        let (shards, before) = (self.shards, self.tasks.len());
        let ended = |running: &mut Running| running.ended.is_some() && running.stopped >= shards;
        for mut running in self.tasks.extract_if(.., ended) {
            if !running.failed
                && let Err(fault) = running.task.finish(now)
            {
                tracing::error!(error = %fault, "a task failed while it stopped");
            }
            if let Some(reply) = running.ended.take() {
                let _ = reply.send(running.task.statistics());
            }
        }
        if self.tasks.len() != before {
            self.seats.clear();
        }
    }

    /// Takes the definitions of a block that comes from `receiver`.
    pub fn define(&mut self, receiver: usize, definitions: &mut Vec<Definition>) {
        let Some(known) = self.known.get_mut(receiver) else { return };
        for definition in definitions.drain(..) {
            let tags = definition.tags.iter().map(|(key, value)| (*key, Rc::from(&**value))).collect();
            let series = Series {
                database: definition.database,
                retention_policy: definition.retention_policy,
                measurement: definition.measurement,
                tags: Rc::new(TagSet::new(tags)),
            };
            let number = self.free_numbers.pop().unwrap_or_else(|| {
                self.series.push(None);
                self.series.len() as u32 - 1
            });
            self.seats.open(number);
            if let Some(slot) = self.series.get_mut(number as usize) {
                *slot = Some(series);
            }
            let place = definition.series as usize;
            if place >= known.len() {
                known.resize(place + 1, UNKNOWN);
            }
            let before = std::mem::replace(&mut known[place], number);
            if before != UNKNOWN {
                self.free_numbers.push(before);
            }
        }
    }

    /// The numbers of a receiver are void.
    pub fn forget(&mut self, receiver: usize) {
        let Some(known) = self.known.get_mut(receiver) else { return };
        for number in std::mem::take(known).into_iter().filter(|number| *number != UNKNOWN) {
            if let Some(series) = self.series.get_mut(number as usize) {
                *series = None;
            }
            self.free_numbers.push(number);
        }
        // What operators remember by number must not meet the series that gets the number next.
        self.tasks.iter_mut().for_each(|running| running.task.forget_series());
        self.seats.clear();
    }

    /// Runs rows of a block that comes from `receiver`. Tasks that fail are reported by `failed`.
    pub fn run(
        &mut self,
        receiver: usize,
        block: &Block,
        range: Range<usize>,
        now: i64,
        mut failed: impl FnMut(Failure),
    ) {
        let reader = std::mem::take(&mut self.reader);
        let mut scratch = std::mem::take(&mut self.scratch);
        for start in range.clone().step_by(ROWS_AT_HAND) {
            let rows = start..range.end.min(start + ROWS_AT_HAND);
            let unread = self.arrive(receiver, block, rows, &reader, &mut scratch);
            self.run_tasks(block, &unread, &mut scratch, now, &mut failed);
        }
        self.scratch = scratch;
        self.reader = reader;
    }

    /// Looks at rows: whose they are, what they hold, and which tasks take them.
    fn arrive<'a>(
        &mut self,
        receiver: usize,
        block: &'a Block,
        range: Range<usize>,
        reader: &'a RefCell<Reader>,
        scratch: &mut Scratch,
    ) -> Vec<Unread<'a>> {
        let mut unread = Vec::new();
        scratch.rows.clear();
        scratch.fields.clear();
        scratch.stretches.clear();
        // With many series in no order each look at what is known of one is a wait for memory.
        let many = self.known.get(receiver).is_some_and(|known| known.len() > SERIES_IN_CACHE);
        let coming = if many { block.heads(range.clone()) } else { &[] };
        coming.iter().take(2 * ROWS_AHEAD).for_each(|row| self.prefetch_number(receiver, Some(row)));
        coming.iter().take(ROWS_AHEAD).for_each(|row| self.prefetch_seat(receiver, Some(row)));
        let mut nth = 0;
        let arrive = |head: &'a RowHead, columns: &'a [Name], cells: Cells<'a>| -> Result<(), Infallible> {
            if many {
                self.prefetch_number(receiver, coming.get(nth + 2 * ROWS_AHEAD));
                self.prefetch_seat(receiver, coming.get(nth + ROWS_AHEAD));
                nth += 1;
            }
            let known = self.known.get(receiver).and_then(|known| known.get(head.series as usize));
            let number = known.copied().unwrap_or(UNKNOWN);
            let Some(mut seat) = self.seats.get(number) else {
                self.rows_discarded += 1;
                return Ok(());
            };
            if seat == Seat::OPEN {
                seat = self.seat(number, &mut scratch.takers);
            }
            if seat == Seat::UNWANTED {
                return Ok(());
            }
            let place = scratch.rows.len() as u32;
            match scratch.stretches.last_mut() {
                Some((rows, class)) if *class == seat.class() => rows.end = place + 1,
                _ => scratch.stretches.push((place..place + 1, seat.class())),
            }
            let first = scratch.fields.len() as u32;
            for (name, cell) in columns.iter().zip(cells.iter()) {
                let value = match cell {
                    Cell::Missing => continue,
                    Cell::Float(x) => Value::Float(x),
                    Cell::Int(x) => Value::Int(x),
                    Cell::Bool(x) => Value::Bool(x),
                    Cell::String(text) => Value::String(text.into()),
                };
                scratch.fields.push(Field { name: *name, value });
            }
            let mut line = u32::MAX;
            if let Some(section) = cells.line() {
                if unread.is_empty() {
                    unread.reserve(range.len());
                }
                line = unread.len() as u32;
                unread.push(Unread::new(columns, section, reader));
            }
            scratch.rows.push(Row {
                time: head.time,
                series: number,
                member: seat.member,
                line: head.line,
                fields: (first, scratch.fields.len() as u32),
                unread: line,
            });
            Ok(())
        };
        let Ok(()) = block.visit(range.clone(), arrive);
        unread
    }

    /// Asks for the owner's number of a row's series, which leads to its seat.
    #[inline]
    fn prefetch_number(&self, receiver: usize, row: Option<&RowHead>) {
        if let (Some(known), Some(row)) = (self.known.get(receiver), row) {
            prefetch(known, row.series as usize);
        }
    }

    /// Asks for the seat of a row's series, whose number has come.
    #[inline]
    fn prefetch_seat(&self, receiver: usize, row: Option<&RowHead>) {
        let number = row.and_then(|row| self.known.get(receiver)?.get(row.series as usize));
        if let Some(number) = number {
            self.seats.prefetch(*number);
        }
    }

    /// Finds out who takes a series.
    #[cold]
    fn seat(&mut self, number: u32, takers: &mut Vec<u32>) -> Seat {
        let Some(Some(series)) = self.series.get(number as usize) else { return Seat::UNWANTED };
        let (shard, shards) = (self.shard, self.shards);
        let tags: Vec<(&str, &str)> = series.tags.iter().map(|(key, value)| (key.as_str(), &**value)).collect();
        let (database, policy) = (series.database.as_str(), series.retention_policy.as_str());
        let measurement = series.measurement.as_str();
        let takes = |running: &Running| {
            running.route.wants(database, policy, measurement)
                && running.route.owner(measurement, &tags, shards) == shard
        };
        takers.clear();
        takers.extend((0..).zip(&self.tasks).filter(|(_, running)| takes(running)).map(|(task, _)| task));
        let point = series.point(&self.nil, (&[]).into(), 0, SeriesNumber::NONE);
        self.seats.settle(number, takers, |task| Some(self.tasks.get_mut(task as usize)?.task.way(&point)))
    }

    /// Runs the rows at hand, one task after the other.
    fn run_tasks(
        &mut self,
        block: &Block,
        unread: &[Unread<'_>],
        scratch: &mut Scratch,
        now: i64,
        failed: &mut impl FnMut(Failure),
    ) {
        let Scratch { rows, fields, stretches, queues, busy, .. } = scratch;
        queues.resize_with(self.tasks.len(), Vec::new);
        for (stretch, (_, class)) in stretches.iter().enumerate() {
            let takers = self.seats.class(*class).map_or(&[][..], |class| &class.takers);
            for (nth, (task, _)) in takers.iter().enumerate() {
                let Some(queue) = queues.get_mut(*task as usize) else { continue };
                if queue.is_empty() {
                    busy.push(*task);
                }
                queue.push((stretch as u32, nth as u32));
            }
        }
        let at_hand = AtHand { fields, unread, series: &self.series, nil: &self.nil, body: block.order };
        let mut crowded = false;
        for task in busy.drain(..) {
            let (Some(running), Some(queue)) = (self.tasks.get_mut(task as usize), queues.get_mut(task as usize))
            else {
                continue;
            };
            for (stretch, nth) in queue.drain(..) {
                let Some((range, class)) = stretches.get(stretch as usize) else { continue };
                let class = self.seats.class(*class);
                let Some((_, ways)) = class.and_then(|class| class.takers.get(nth as usize)) else { continue };
                let rows = rows.get(range.start as usize..range.end as usize).unwrap_or_default();
                if running.epoch > block.epoch {
                    continue;
                }
                running.rate.add(rows.len() as u64, now);
                if now.abs_diff(running.weighed) >= WEIGH_INTERVAL {
                    running.weighed = now;
                    running.task.weigh();
                    crowded |= running.task.wants_fresh_routes();
                }
                let mut taken = 0;
                if !running.failed {
                    taken = rows.len();
                    if let Err((fault, place)) = running.task.take(&Arrivals { rows, ways, at_hand }, now) {
                        taken = place;
                        running.failed = true;
                        failed(Failure { instance: running.instance, error: fault.to_string() });
                    }
                }
                self.rows_discarded += (rows.len() - taken) as u64;
            }
        }
        if crowded {
            self.tasks.iter_mut().for_each(|running| running.task.forget_series());
            self.seats.clear();
        }
    }

    /// When [`Owner::advance`] has something to do, nanoseconds since 1970.
    pub fn next_wake(&self) -> i64 {
        let live = self.tasks.iter().filter(|running| !running.failed);
        live.map(|running| running.task.next_wake()).min().unwrap_or(i64::MAX)
    }

    /// Wakes operators by the clock of a replay: nothing is left out.
    pub fn replay_to(&mut self, now: i64, mut failed: impl FnMut(Failure)) {
        for running in self.tasks.iter_mut().filter(|running| !running.failed) {
            if let Err(fault) = running.task.advance(now) {
                running.failed = true;
                failed(Failure { instance: running.instance, error: fault.to_string() });
            }
        }
    }

    /// Wakes operators whose time has come.
    pub fn advance(&mut self, now: i64, mut failed: impl FnMut(Failure)) {
        for running in self.tasks.iter_mut().filter(|running| !running.failed) {
            if let Err(fault) = running.task.keep_up(now) {
                running.failed = true;
                failed(Failure { instance: running.instance, error: fault.to_string() });
            }
        }
    }

    /// The wall clock was set back.
    pub fn set_back(&mut self, by: i64) {
        self.tasks.iter_mut().for_each(|running| running.task.set_back(by));
    }

    /// The answer that an operator waits for.
    pub fn resume(&mut self, instance: Instance, node: &str, ticket: u64, status: u16, now: i64) -> Option<Failure> {
        let running = self.tasks.iter_mut().find(|running| running.instance == instance && !running.failed)?;
        let fault = running.task.resume(node, ticket, status, now).err()?;
        running.failed = true;
        Some(Failure { instance, error: fault.to_string() })
    }

    /// The answer about a resource that an autoscale node waits for.
    pub fn scaled(&mut self, instance: Instance, node: &str, ticket: u64, scale: Scale, now: i64) -> Option<Failure> {
        let running = self.tasks.iter_mut().find(|running| running.instance == instance && !running.failed)?;
        let fault = running.task.scaled(node, ticket, scale, now).err()?;
        running.failed = true;
        Some(Failure { instance, error: fault.to_string() })
    }

    /// What became of the function that an operator speaks with.
    pub fn udf(&mut self, instance: Instance, node: &str, event: UdfEvent, now: i64) -> Option<Failure> {
        let running = self.tasks.iter_mut().find(|running| running.instance == instance && !running.failed)?;
        let fault = running.task.udf(node, event, now).err()?;
        running.failed = true;
        Some(Failure { instance, error: fault.to_string() })
    }

    /// The files of a sideload node, read anew.
    pub fn sideload(&mut self, instance: Instance, node: &str, files: &[SideloadFile]) {
        if let Some(running) = self.tasks.iter_mut().find(|running| running.instance == instance) {
            running.task.sideload(node, files);
        }
    }

    pub fn http_out(&self, instance: Instance, endpoint: &str) -> Option<HttpOutPart> {
        let running = self.tasks.iter().find(|running| running.instance == instance)?;
        running.task.http_out(endpoint).map(|rows| rows.rows)
    }

    /// Throughput and counters of one instance, or of all.
    pub fn statistics(&mut self, now: i64, of: Option<Instance>) -> Vec<(Instance, f64, Vec<NodeStatistics>)> {
        let statistics = |running: &mut Running| {
            running.rate.turn(now);
            (running.instance, running.rate.last(), running.task.statistics())
        };
        let wanted = self.tasks.iter_mut().filter(|running| of.is_none_or(|instance| running.instance == instance));
        wanted.map(statistics).collect()
    }
}
