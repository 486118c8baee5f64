//! How operators reach their children, their task and the world.

use std::{fmt::Display, rc::Rc};

use proto::{message::AlertEvent, plan::LogLevel};

use super::{
    Fault, Operator, Timers,
    autoscale::{Asked, AutoscaleRequest},
    influxdb_out::InfluxDbRequest,
    stopwatch::{ExecutionTime, Stopwatch},
    udf::UdfRequest,
};
use crate::{
    group::{Group, Groups, Lineage},
    logging::pair,
    point::{Barrier, Batch, Point},
};

/// An operator in its task: slots stand in topological order, so children always have a higher index.
pub struct Slot {
    /// Kind and number: `window2`.
    pub name: Rc<str>,
    pub operator: Box<dyn Operator>,
    pub children: Vec<Child>,
    pub collected: u64,
    pub errors: u64,
    /// `.quiet()`: errors are counted, not logged.
    pub quiet: bool,
    pub error_log: ErrorLog,
    /// Where the node passes messages on in other groups, and groups above it are deleted.
    pub lineage: Option<Lineage>,
    pub time: ExecutionTime,
}

/// An edge to a child.
#[derive(Clone, Copy, Debug)]
pub struct Child {
    /// Index of the child's slot.
    pub slot: usize,
    /// Place of this edge among the child's parents.
    pub port: usize,
    /// Messages handed over.
    pub emitted: u64,
    /// It watches its parent: what it gets is not counted.
    pub watches: bool,
}

/// What all operators of a task on one shard share.
pub struct Context {
    pub task: Rc<str>,
    pub groups: Groups,
    /// Place of the message that is being worked on in the order of arrival, over all shards.
    pub order: u64,
    /// The clock, nanoseconds since 1970: for `now()`, never for windows.
    pub now: i64,
    pub timers: Timers,
    pub stopwatch: Stopwatch,
    /// Bytes of the part of the task, as entered into its account.
    pub weighed: i64,
    pub outputs: Box<dyn Outputs>,
}

/// Where a task's effects go. Implementations never block: what is full drops with a counter.
pub trait Outputs {
    fn alert(&mut self, event: AlertEvent);

    /// Posts in order per task and node. Returns whether it was taken.
    fn http_post(&mut self, request: HttpPostRequest) -> bool;

    /// A write to InfluxDB, or its opening. Returns whether it was taken.
    fn influxdb(&mut self, request: InfluxDbRequest) -> bool;

    /// A question or an order about what is scaled.
    fn autoscale(&mut self, request: AutoscaleRequest) -> Asked;

    /// Something for a user-defined function. Returns whether it was taken.
    fn udf(&mut self, request: UdfRequest) -> bool;

    /// A line that comes in again as if it had been written. Returns whether there was room.
    fn loopback(&mut self, database: &Rc<str>, retention_policy: &Rc<str>, line: &str) -> bool;

    /// Hands text of a stream recording to its file; false if there is no room for it.
    fn record(&mut self, recorded: Recorded) -> bool;

    /// A line of the server's log: its message, and the node's own pairs in logfmt.
    fn log(&mut self, level: LogLevel, task: &str, node: &str, message: &str, pairs: &str);
}

/// What the tap of a recording hands over, in order.
#[derive(Debug)]
pub enum Recorded {
    Text(Vec<u8>),
    /// The point that ends the recording has come.
    End,
}

/// One POST of an httpPost node.
#[derive(Clone, Debug)]
pub struct HttpPostRequest {
    pub task: String,
    pub node: String,
    pub post: std::sync::Arc<proto::plan::HttpPost>,
    pub url: String,
    pub body: String,
    /// Given back with the status by [`Operator::resume`].
    pub ticket: u64,
}

/// Lets through one log line of a node at once and then at most one a second of the context's clock.
#[derive(Clone, Debug, Default)]
pub struct ErrorLog {
    next: i64,
    held_back: u64,
}

impl ErrorLog {
    const INTERVAL: i64 = 1_000_000_000;

    /// How many were held back since the last line, if a line may be written now.
    fn admit(&mut self, now: i64) -> Option<u64> {
        // Later than that only where the clock was set back.
        if now < self.next && self.next - now <= Self::INTERVAL {
            self.held_back += 1;
            return None;
        }
        self.next = now.saturating_add(Self::INTERVAL);
        Some(std::mem::take(&mut self.held_back))
    }
}

/// The way out of an operator: to its children, and to its task.
pub struct Outlet<'a> {
    name: &'a Rc<str>,
    children: &'a mut [Child],
    errors: &'a mut u64,
    quiet: bool,
    error_log: &'a mut ErrorLog,
    lineage: &'a mut Option<Lineage>,
    /// The slots behind this operator's; `offset` is the index of the first.
    behind: &'a mut [Slot],
    offset: usize,
    pub context: &'a mut Context,
}

/// Calls `act` on the operator of the slot at `index` with the outlet that belongs to it; it is about that many messages.
pub fn run_slot<R>(
    slots: &mut [Slot],
    offset: usize,
    index: usize,
    context: &mut Context,
    messages: usize,
    act: impl FnOnce(&mut dyn Operator, &mut Outlet<'_>) -> R,
) -> Option<R> {
    let (front, behind) = slots.split_at_mut_checked(index.checked_sub(offset)? + 1)?;
    let slot = front.last_mut()?;
    let started = context.stopwatch.start();
    let mut outlet = Outlet {
        name: &slot.name,
        children: &mut slot.children,
        errors: &mut slot.errors,
        quiet: slot.quiet,
        error_log: &mut slot.error_log,
        lineage: &mut slot.lineage,
        behind,
        offset: index + 1,
        context: &mut *context,
    };
    let done = act(slot.operator.as_mut(), &mut outlet);
    if let Some(started) = started {
        slot.time.record(context.stopwatch.stop(&started), messages);
    }
    Some(done)
}

impl Outlet<'_> {
    /// Hands a point to every child.
    pub fn point(&mut self, point: &Point<'_>) -> Result<(), Fault> {
        self.each_child(true, |operator, port, out| operator.point(port, point, out))
    }

    /// Hands a batch to every child.
    pub fn batch(&mut self, batch: &Batch<'_>) -> Result<(), Fault> {
        self.each_child(true, |operator, port, out| operator.batch(port, batch, out))
    }

    pub fn barrier(&mut self, barrier: &Barrier<'_>) -> Result<(), Fault> {
        self.regrouped(barrier.group, barrier.group);
        self.each_child(false, |operator, port, out| operator.barrier(port, barrier, out))
    }

    /// A group has ended. A node that passes on in other groups ends those that came of it alone.
    pub fn delete_group(&mut self, group: &Rc<Group>) -> Result<(), Fault> {
        self.ending(group).iter().try_for_each(|group| self.deleted(group))
    }

    /// The groups below that end with `group`, which is not told to anybody yet.
    pub fn ending(&mut self, group: &Rc<Group>) -> Vec<Rc<Group>> {
        match self.lineage {
            Some(lineage) => lineage.end(group),
            None => vec![group.clone()],
        }
    }

    /// A group below has ended.
    pub fn deleted(&mut self, group: &Rc<Group>) -> Result<(), Fault> {
        self.context.groups.ended();
        self.each_child(false, |operator, port, out| operator.delete_group(port, group, out))
    }

    /// What came in the group `above` is passed on in the group `below`.
    #[inline]
    pub fn regrouped(&mut self, above: &Rc<Group>, below: &Rc<Group>) {
        if let Some(lineage) = self.lineage {
            lineage.note(above, below);
        }
    }

    /// Runs `act` as if this operator were its `nth` child: for a fused operator, which does a child's work and hands on
    /// in the child's name.
    pub fn as_child<R>(&mut self, nth: usize, act: impl FnOnce(&mut Outlet<'_>) -> R) -> Option<R> {
        let child = self.children.get_mut(nth)?;
        child.emitted += 1;
        let slot = child.slot;
        self.behind.get_mut(slot.checked_sub(self.offset)?)?.collected += 1;
        run_slot(self.behind, self.offset, slot, self.context, 1, |_, out| act(out))
    }

    /// Name of the node: `window2`.
    pub fn node(&self) -> &Rc<str> {
        self.name
    }

    /// Asks for [`Operator::wake`] at `time`, nanoseconds since 1970; an earlier time that was asked for stands.
    pub fn wake_at(&mut self, time: i64) {
        self.context.timers.set(self.offset - 1, time);
    }

    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Counts a run-time error and logs it, at a bounded rate, unless the node is quiet.
    pub fn error(&mut self, message: &str, error: &dyn Display) {
        *self.errors += 1;
        if self.quiet {
            return;
        }
        if let Some(held_back) = self.error_log.admit(self.context.now) {
            let mut pairs = String::new();
            pair("err", &error.to_string(), &mut pairs);
            if held_back > 0 {
                pair("held_back", &held_back.to_string(), &mut pairs);
            }
            self.log(LogLevel::Error, message, &pairs);
        }
    }

    /// A point was dropped because the task holds as many groups as it may.
    pub fn too_many_groups(&mut self) {
        let account = self.context.groups.account();
        account.refuse();
        let limit = account.limit();
        self.error("point dropped", &limit);
    }

    /// Counts a run-time error without a line in the log.
    pub fn count_error(&mut self) {
        *self.errors += 1;
    }

    /// Writes a line of the node to the log; `pairs` are in logfmt, each with a blank before it.
    pub fn log(&mut self, level: LogLevel, message: &str, pairs: &str) {
        let task = self.context.task.clone();
        self.context.outputs.log(level, &task, self.name, message, pairs);
    }

    fn each_child(
        &mut self,
        counts: bool,
        mut act: impl FnMut(&mut dyn Operator, usize, &mut Outlet<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        for child in self.children.iter_mut() {
            let Some(at) = child.slot.checked_sub(self.offset) else { continue };
            if counts && !child.watches {
                child.emitted += 1;
                if let Some(slot) = self.behind.get_mut(at) {
                    slot.collected += 1;
                }
            }
            let port = child.port;
            let messages = usize::from(counts);
            let done = run_slot(self.behind, self.offset, child.slot, self.context, messages, |operator, out| {
                act(operator, port, out).map_err(|fault| name_fault(fault, out.name))
            });
            done.unwrap_or(Ok(()))?;
        }
        Ok(())
    }
}

/// Says which node failed, unless a child of it did.
fn name_fault(fault: Fault, node: &str) -> Fault {
    if fault.node.is_empty() { Fault { node: node.to_owned(), ..fault } } else { fault }
}

#[cfg(test)]
mod tests {
    use proto::{
        Expr,
        plan::{EdgeType, NodeKind},
    };

    use crate::{
        node::testing::{Bench, from},
        value::Value,
    };

    /// Two nodes one behind the other that fail at each point: a `where` that is no bool, an alert's level that is none.
    fn failing(quiet: bool) -> Bench {
        let predicate = || Expr::Reference("v".to_owned());
        let nodes = vec![
            (vec![0], EdgeType::Stream, from("", &[])),
            (vec![1], EdgeType::Stream, NodeKind::Where { predicate: predicate() }),
            (vec![1], EdgeType::Stream, NodeKind::StateCount { predicate: predicate(), r#as: "n".to_owned() }),
        ];
        Bench::with(nodes, quiet)
    }

    #[test]
    fn errors_are_all_counted_and_logged_once_a_second_and_node() {
        let mut bench = failing(false);
        for number in 0..1_000 {
            // 250 points in each of four seconds.
            bench.point("m", "", number, Value::Float(1.0), 10 + number / 250);
        }
        let counted: Vec<u64> = bench.task.statistics().iter().map(|node| node.errors).collect();
        assert_eq!(counted, [0, 0, 1_000, 1_000]);
        let lines = bench.recorded.errors();
        assert_eq!(lines.len(), 8, "{lines:?}");
        assert!(lines[0].contains("unexpected type float, expected boolean") && !lines[0].contains("held_back"));
        for line in &lines[2..] {
            assert!(line.ends_with("held_back=249"), "{line}");
        }
    }

    #[test]
    fn quiet_nodes_count_and_say_nothing() {
        let mut bench = failing(true);
        bench.point("m", "", 0, Value::Float(1.0), 0);
        let counted: Vec<u64> = bench.task.statistics().iter().map(|node| node.errors).collect();
        assert_eq!((counted, bench.recorded.errors().len()), (vec![0, 0, 1, 1], 0));
    }
}
