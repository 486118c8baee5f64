//! A shard as owner: the tasks that it runs and the series that receivers told it of.

use std::{cell::RefCell, convert::Infallible, ops::Range, rc::Rc, sync::Arc};

use proto::{Plan, message::NodeStatistics};
use tokio::sync::oneshot;

use super::{
    command::{Failure, HttpOutPart},
    outputs::ShardOutputs,
};
use crate::{
    block::{Block, Cell, Cells, Definition, RowHead},
    dag::{build::build, route::RouteNumber, task::Task},
    fields::{Fields, Reader, Unread},
    group::Group,
    name::Name,
    node::{Outputs, alert::Inhibitors, udf::UdfEvent},
    point::{Point, SeriesNumber},
    routing::{Instance, TaskRoute},
    tags::TagSet,
    value::{Field, Value},
};

/// How late a timer may be and still be run for each of its times: a busy shard makes up for them, a machine that slept
/// does not. Nanoseconds.
const MAKE_UP_MAX: i64 = 60_000_000_000;

/// A task on this shard.
struct Running {
    instance: Instance,
    route: Arc<TaskRoute>,
    epoch: u64,
    task: Task,
    failed: bool,
    rate: Rate,
    /// Receivers that said they route nothing to it any more, and who waits for its end.
    stopped: usize,
    ended: Option<oneshot::Sender<Vec<NodeStatistics>>>,
}

/// Messages a second, by whole seconds of the clock.
#[derive(Default)]
struct Rate {
    second: i64,
    current: u64,
    last: u64,
}

impl Rate {
    fn add(&mut self, messages: u64, now: i64) {
        self.turn(now);
        self.current += messages;
    }

    fn turn(&mut self, now: i64) {
        let second = now.div_euclid(1_000_000_000);
        if second != self.second {
            self.last = if second == self.second + 1 { self.current } else { 0 };
            (self.second, self.current) = (second, 0);
        }
    }
}

/// A series of some receiver.
struct Series {
    database: Name,
    retention_policy: Name,
    measurement: Name,
    tags: Rc<TagSet>,
    /// Version of the list of tasks that `takers` was made for.
    version: u64,
    takers: Takers,
}

/// The tasks that take a series on this shard; mostly it is one.
enum Takers {
    None,
    One(Taker),
    Many(Box<[Taker]>),
}

#[derive(Clone, Copy)]
struct Taker {
    /// Index into [`Owner::tasks`].
    task: u32,
    route: Option<RouteNumber>,
}

impl Takers {
    fn as_slice(&self) -> &[Taker] {
        match self {
            Takers::None => &[],
            Takers::One(taker) => std::slice::from_ref(taker),
            Takers::Many(takers) => takers,
        }
    }
}

impl From<Vec<Taker>> for Takers {
    fn from(takers: Vec<Taker>) -> Self {
        match takers.as_slice() {
            [] => Takers::None,
            [taker] => Takers::One(*taker),
            _ => Takers::Many(takers.into()),
        }
    }
}

/// Rows that wait for their turn with a task: place among the rows at hand, and the way of their series.
type Queue = Vec<(u32, Option<RouteNumber>)>;

/// A row at hand.
struct Arrived<'a> {
    head: &'a RowHead,
    /// Number of the series on this shard.
    series: u32,
    /// In [`Owner::fields`].
    fields: Range<u32>,
    /// In [`AtHand::unread`], or behind its end.
    unread: u32,
}

/// The rows that are run next.
#[derive(Default)]
struct AtHand<'a> {
    rows: Vec<Arrived<'a>>,
    unread: Vec<Unread<'a>>,
}

/// Rows that go through one task before the next one has its turn: enough to meet its groups one after the other, few
/// enough to stay in the cache with their fields.
const ROWS_AT_HAND: usize = 1_024;

pub struct Owner {
    shard: usize,
    shards: usize,
    tasks: Vec<Running>,
    /// Rises when `tasks` changes.
    version: u64,
    /// By receiver, then by the receiver's number: index into `series`, or [`UNKNOWN`].
    known: Vec<Vec<u32>>,
    /// By number on this shard.
    series: Vec<Option<Series>>,
    free_numbers: Vec<u32>,
    /// The group of points as they arrive.
    nil: Rc<Group>,
    /// Scratch: fields of the rows at hand, rows by task, and the tasks that have any.
    fields: Vec<Field>,
    queues: Vec<Queue>,
    busy: Vec<u32>,
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
            version: 1,
            known: vec![Vec::new(); shards],
            series: Vec::new(),
            free_numbers: Vec::new(),
            nil: Rc::new(Group::nil()),
            fields: Vec::new(),
            queues: Vec::new(),
            busy: Vec::new(),
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
        now: i64,
    ) -> Result<(), String> {
        let (instance, inhibitors) = (outputs.instance, outputs.effects.inhibitors.clone());
        // Where no point can come nothing may happen by the clock either.
        let runs = route.runs_on(self.shard);
        self.add(instance, plan, route, epoch, Box::new(outputs), &inhibitors)?;
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
        self.tasks.push(Running { instance, route, epoch, task, failed: false, rate, stopped: 0, ended: None });
        self.change();
        Ok(())
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
            self.change();
        }
    }

    /// What series remember of the tasks is void.
    fn change(&mut self) {
        self.version += 1;
        self.tasks.iter_mut().for_each(|running| running.task.forget_routes());
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
                version: 0,
                takers: Takers::None,
            };
            let number = self.free_numbers.pop().unwrap_or_else(|| {
                self.series.push(None);
                self.series.len() as u32 - 1
            });
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
        self.change();
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
        for start in range.clone().step_by(ROWS_AT_HAND) {
            let rows = start..range.end.min(start + ROWS_AT_HAND);
            let arrived = self.arrive(receiver, block, rows, &reader);
            self.run_tasks(block, &arrived, now, &mut failed);
        }
        self.reader = reader;
    }

    /// Makes points of rows and queues them for the tasks that take their series.
    fn arrive<'a>(
        &mut self,
        receiver: usize,
        block: &'a Block,
        range: Range<usize>,
        reader: &'a RefCell<Reader>,
    ) -> AtHand<'a> {
        let mut arrived = AtHand::default();
        arrived.rows.reserve(range.len());
        let Owner { shard, shards, tasks, version, known, series, nil, fields, queues, busy, rows_discarded, .. } =
            self;
        let Some(known) = known.get(receiver) else { return arrived };
        fields.clear();
        queues.resize_with(tasks.len(), Vec::new);
        let arrive = |head: &'a RowHead, columns: &'a [Name], cells: Cells<'a>| -> Result<(), Infallible> {
            let number = known.get(head.series as usize).copied().unwrap_or(UNKNOWN);
            let Some(Some(series)) = series.get_mut(number as usize) else {
                *rows_discarded += 1;
                return Ok(());
            };
            if series.version != *version {
                series.takers = takers_of(series, tasks, nil, *shard, *shards);
                series.version = *version;
            }
            let takers = series.takers.as_slice();
            if takers.is_empty() {
                return Ok(());
            }
            for taker in takers {
                let Some(queue) = queues.get_mut(taker.task as usize) else { continue };
                if queue.is_empty() {
                    busy.push(taker.task);
                }
                queue.push((arrived.rows.len() as u32, taker.route));
            }
            let first = fields.len() as u32;
            for (name, cell) in columns.iter().zip(cells.iter()) {
                let value = match cell {
                    Cell::Missing => continue,
                    Cell::Float(x) => Value::Float(x),
                    Cell::Int(x) => Value::Int(x),
                    Cell::Bool(x) => Value::Bool(x),
                    Cell::String(text) => Value::String(text.into()),
                };
                fields.push(Field { name: *name, value });
            }
            let mut unread = u32::MAX;
            if let Some(line) = cells.line() {
                if arrived.unread.is_empty() {
                    arrived.unread.reserve(range.len());
                }
                unread = arrived.unread.len() as u32;
                arrived.unread.push(Unread::new(columns, line, reader));
            }
            arrived.rows.push(Arrived { head, series: number, fields: first..fields.len() as u32, unread });
            Ok(())
        };
        let Ok(()) = block.visit(range.clone(), arrive);
        arrived
    }

    /// Runs the queued rows, one task after the other.
    fn run_tasks(&mut self, block: &Block, arrived: &AtHand<'_>, now: i64, failed: &mut impl FnMut(Failure)) {
        let Owner { tasks, series, nil, fields, queues, busy, rows_discarded, .. } = self;
        for task in busy.drain(..) {
            let (Some(running), Some(queue)) = (tasks.get_mut(task as usize), queues.get_mut(task as usize)) else {
                continue;
            };
            if running.epoch <= block.epoch {
                running.rate.add(queue.len() as u64, now);
                let mut left = queue.len();
                for (place, route) in queue.iter() {
                    if running.failed {
                        break;
                    }
                    left -= 1;
                    let Some(row) = arrived.rows.get(*place as usize) else { continue };
                    let Some(Some(series)) = series.get(row.series as usize) else { continue };
                    let range = row.fields.start as usize..row.fields.end as usize;
                    let at_hand = fields.get(range).unwrap_or_default();
                    let fields = match arrived.unread.get(row.unread as usize) {
                        Some(unread) => Fields::partly(at_hand, unread),
                        None => at_hand.into(),
                    };
                    let point = series.point(nil, fields, row.head.time, SeriesNumber(row.series));
                    let order = (block.order << 24) | u64::from(row.head.line).min((1 << 24) - 1);
                    let done = match route {
                        Some(route) => running.task.follow(*route, &point, order, now),
                        None => running.task.point(&point, order, now),
                    };
                    if let Err(fault) = done {
                        running.failed = true;
                        failed(Failure { instance: running.instance, error: fault.to_string() });
                    }
                }
                *rows_discarded += left as u64;
            }
            queue.clear();
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
            let late = now.saturating_sub(running.task.next_wake());
            let done = if late > MAKE_UP_MAX { running.task.skip_to(now) } else { running.task.advance(now) };
            if let Err(fault) = done {
                running.failed = true;
                failed(Failure { instance: running.instance, error: fault.to_string() });
            }
        }
    }

    /// The answer that an operator waits for.
    pub fn resume(&mut self, instance: Instance, node: &str, ticket: u64, status: u16, now: i64) -> Option<Failure> {
        let running = self.tasks.iter_mut().find(|running| running.instance == instance && !running.failed)?;
        let fault = running.task.resume(node, ticket, status, now).err()?;
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

    pub fn http_out(&self, instance: Instance, endpoint: &str) -> Option<HttpOutPart> {
        let running = self.tasks.iter().find(|running| running.instance == instance)?;
        running.task.http_out(endpoint).map(|rows| rows.rows)
    }

    /// Throughput and counters of every task.
    pub fn statistics(&mut self, now: i64) -> Vec<(Instance, f64, Vec<NodeStatistics>)> {
        let statistics = |running: &mut Running| {
            running.rate.turn(now);
            (running.instance, running.rate.last as f64, running.task.statistics())
        };
        self.tasks.iter_mut().map(statistics).collect()
    }
}

impl Series {
    fn point<'a>(&'a self, group: &'a Rc<Group>, fields: Fields<'a>, time: i64, series: SeriesNumber) -> Point<'a> {
        Point {
            name: self.measurement,
            database: self.database,
            retention_policy: self.retention_policy,
            group,
            tags: &self.tags,
            fields,
            time,
            series,
        }
    }
}

/// The tasks that take a series on this shard, and its ways through them.
fn takers_of(series: &Series, tasks: &mut [Running], nil: &Rc<Group>, shard: usize, shards: usize) -> Takers {
    let measurement = series.measurement.as_str();
    let tags: Vec<(&str, &str)> = series.tags.iter().map(|(key, value)| (key.as_str(), &**value)).collect();
    let takes = |running: &Running| {
        let (database, policy) = (series.database.as_str(), series.retention_policy.as_str());
        running.route.demand(database, policy, measurement).is_some()
            && running.route.owner(measurement, &tags, shards) == shard
    };
    let point = series.point(nil, (&[]).into(), 0, SeriesNumber::NONE);
    let taker = |(task, running): (usize, &mut Running)| {
        takes(running).then(|| Taker { task: task as u32, route: running.task.route(&point) })
    };
    tasks.iter_mut().enumerate().filter_map(taker).collect::<Vec<_>>().into()
}
