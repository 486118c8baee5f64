//! A task on one shard: its operators in topological order and what runs a message through them.

use std::rc::Rc;

use proto::{message::NodeStatistics, plan::SideloadFile};
use serde::{Deserialize, Serialize};

use super::route::Shape;
use crate::{
    group::{Account, Group, Groups, GroupsSnapshot},
    name::Name,
    node::{
        Context, Fault, HttpOutRows, Operator, Outlet, Slot, SnapshotError, autoscale::Scale, run_slot, udf::UdfEvent,
    },
    point::{Batch, Point},
    tags::TagSet,
};

/// How late a timer may be and still be run for each of its times: a busy shard makes up for them, a machine that slept
/// does not. Nanoseconds.
const MAKE_UP_MAX: i64 = 60_000_000_000;

/// How often timers of a task are run in a gap of a replay: those of 11 days at intervals of ten seconds.
const WAKES_MAX: usize = 100_000;

/// The same of a live task, whose shard has others, too: at an interval of a nanosecond it falls behind, and not they.
const LIVE_WAKES_MAX: usize = 100;

/// The operators of one task on one shard.
pub struct Task {
    pub(super) slots: Vec<Slot>,
    pub(super) context: Context,
    /// What ways of series have in common.
    pub(super) shapes: Vec<Shape>,
    /// The group of points as they arrive, before any `from`.
    nil: Rc<Group>,
}

/// A task's state as plain data: what a checkpoint keeps.
#[derive(Debug, Serialize, Deserialize)]
pub struct TaskSnapshot {
    groups: GroupsSnapshot,
    operators: Vec<Vec<u8>>,
}

impl Task {
    /// `slots` as [`super::build::build`] makes them: slot 0 is the source.
    pub fn new(slots: Vec<Slot>, mut context: Context) -> Option<Task> {
        let nil = context.groups.intern(None, crate::tags::TagSet::empty())?;
        Some(Task { slots, context, shapes: Vec::new(), nil })
    }

    /// The nil group, that of points as they arrive.
    pub fn nil_group(&self) -> &Rc<Group> {
        &self.nil
    }

    /// Runs a point through the graph. `order` is its place in the order of arrival over all shards.
    pub fn point(&mut self, point: &Point<'_>, order: u64, now: i64) -> Result<(), Fault> {
        self.context.order = order;
        self.context.now = now;
        if let Some(source) = self.slots.first_mut() {
            source.collected += 1;
        }
        self.run(0, |operator, out| operator.point(0, point, out))
    }

    /// The task begins at `now`, before anything arrives.
    pub fn start(&mut self, now: i64) -> Result<(), Fault> {
        self.context.now = now;
        for index in 0..self.slots.len() {
            self.run(index, |operator, out| operator.start(out))?;
        }
        Ok(())
    }

    /// Time has come to `now`: wakes every operator whose time came, in order of those times. Live tasks are told by the
    /// clock of their shard, replays by the times of what they replay.
    ///
    /// At [`WAKES_MAX`] of them what is left is due once: a gap of years must end, too.
    pub fn advance(&mut self, now: i64) -> Result<(), Fault> {
        self.wake(now, WAKES_MAX)
    }

    /// Wakes those whose time has come; after `most` times what is left is due once.
    fn wake(&mut self, now: i64, most: usize) -> Result<(), Fault> {
        let mut wakes = 0;
        while let Some((slot, due)) = self.context.timers.pop(now) {
            self.context.now = due;
            self.run(slot, |operator, out| operator.wake(due, out))?;
            wakes += 1;
            if wakes == most {
                self.context.timers.skip(now);
            }
        }
        self.context.now = now;
        Ok(())
    }

    /// As [`Task::advance`] by the wall clock: what was missed for long, by a machine that slept or a clock that was set, is not
    /// made up for.
    pub fn keep_up(&mut self, now: i64) -> Result<(), Fault> {
        if now.saturating_sub(self.next_wake()) > MAKE_UP_MAX {
            self.context.timers.skip(now);
        }
        self.wake(now, LIVE_WAKES_MAX)
    }

    /// The wall clock was set back: what is due in a second stays so.
    pub fn set_back(&mut self, by: i64) {
        self.context.timers.set_back(by);
        self.slots.iter_mut().for_each(|slot| slot.operator.set_back(by));
    }

    /// When [`Task::advance`] has something to do.
    pub fn next_wake(&self) -> i64 {
        self.context.timers.next()
    }

    /// Runs a batch from a query node on; `slot` is that node's index.
    pub fn batch(&mut self, slot: usize, batch: &Batch<'_>, order: u64, now: i64) -> Result<(), Fault> {
        self.context.order = order;
        self.context.now = now;
        if let Some(source) = self.slots.first_mut() {
            source.collected += 1;
        }
        if let Some(query) = self.slots.get_mut(slot) {
            query.collected += 1;
        }
        self.context.stopwatch.turn();
        let done = self.run(slot, |operator, out| operator.batch(0, batch, out));
        self.context.stopwatch.rest();
        done
    }

    /// The group of batches that arrive; `None` at the limit.
    pub fn group(&mut self, measurement: Option<Name>, tags: TagSet) -> Option<Rc<Group>> {
        self.context.groups.intern(measurement, tags)
    }

    /// Enters what this part of the task holds into the task's account from now on.
    pub fn keep(&mut self, account: std::sync::Arc<Account>) {
        self.context.groups.keep(account);
        self.weigh();
    }

    /// Brings the task's account up to date.
    pub fn weigh(&mut self) {
        self.context.groups.settle();
        let operators = self.slots.iter().map(|slot| slot.operator.bytes()).sum::<usize>();
        let bytes = (self.context.groups.bytes() + operators) as i64;
        let before = std::mem::replace(&mut self.context.weighed, bytes);
        self.context.groups.account().change_bytes(bytes - before);
    }

    /// Whether routes hold many groups that have ended; see [`Groups::wants_fresh_routes`].
    pub fn wants_fresh_routes(&mut self) -> bool {
        self.context.groups.wants_fresh_routes()
    }

    /// Groups that somebody holds; exact while they are few.
    pub fn groups_held(&mut self) -> usize {
        self.context.groups.settle();
        self.context.groups.len()
    }

    /// The task ends: lets each operator, parents first, hand on what it still owes.
    pub fn finish(&mut self, now: i64) -> Result<(), Fault> {
        self.context.now = now;
        for index in 0..self.slots.len() {
            self.run(index, |operator, out| operator.finish(out))?;
        }
        Ok(())
    }

    /// [`Task::finish`] from the node `first` on, up to one whose function still has to end: returns where to go on then.
    pub fn finish_from(&mut self, first: usize, now: i64) -> Result<Option<usize>, Fault> {
        self.context.now = now;
        for index in first..self.slots.len() {
            self.run(index, |operator, out| operator.finish(out))?;
            if self.awaits_end(index) {
                return Ok(Some(index + 1));
            }
        }
        Ok(None)
    }

    /// Whether the function of a finished node has not ended.
    pub fn awaits_end(&self, index: usize) -> bool {
        self.slots.get(index).is_some_and(|slot| slot.operator.awaits_end())
    }

    /// Counts an error of a node that shows outside of it.
    pub fn count_error(&mut self, slot: usize) {
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.errors += 1;
        }
    }

    /// Gives an operator the answer it waits for.
    pub fn resume(&mut self, node: &str, ticket: u64, answer: u16, now: i64) -> Result<(), Fault> {
        self.context.now = now;
        let Some(index) = self.slots.iter().position(|slot| &*slot.name == node) else { return Ok(()) };
        self.run(index, |operator, out| operator.resume(ticket, answer, out))
    }

    /// Gives an autoscale node the answer about a resource.
    pub fn scaled(&mut self, node: &str, ticket: u64, scale: Scale, now: i64) -> Result<(), Fault> {
        self.context.now = now;
        let Some(index) = self.slots.iter().position(|slot| &*slot.name == node) else { return Ok(()) };
        self.run(index, |operator, out| operator.scaled(ticket, scale, out))
    }

    /// Tells an operator what became of its function.
    pub fn udf(&mut self, node: &str, event: UdfEvent, now: i64) -> Result<(), Fault> {
        self.context.now = now;
        let Some(index) = self.slots.iter().position(|slot| &*slot.name == node) else { return Ok(()) };
        self.run(index, |operator, out| operator.udf(event, out))
    }

    /// Gives a sideload node its files anew.
    pub fn sideload(&mut self, node: &str, files: &[SideloadFile]) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| &*slot.name == node) {
            slot.operator.sideload(files);
        }
    }

    /// Numbers of series are void.
    pub fn forget_series(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.operator.forget_series());
    }

    fn run(
        &mut self,
        index: usize,
        act: impl FnOnce(&mut dyn Operator, &mut Outlet<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let done = run_slot(&mut self.slots, 0, index, &mut self.context, 1, act).unwrap_or(Ok(()));
        done.map_err(|fault| named(&self.slots, fault, index))
    }

    /// Bytes of state of a node, about.
    #[cfg(test)]
    pub fn bytes_of(&self, index: usize) -> usize {
        self.slots.get(index).map_or(0, |slot| slot.operator.bytes())
    }

    /// Counters of every node, in the order of the plan.
    pub fn statistics(&mut self) -> Vec<NodeStatistics> {
        self.settle();
        self.weigh();
        let statistics = |slot: &Slot| NodeStatistics {
            name: slot.name.to_string(),
            collected: slot.collected,
            emitted: slot.children.iter().map(|child| child.emitted).sum(),
            errors: slot.errors,
            working_cardinality: slot.operator.cardinality(),
            avg_exec_time_ns: slot.time.nanoseconds(),
            extra: slot.operator.counters().into_iter().map(|(name, count)| (name.to_owned(), count)).collect(),
            children: (slot.children.iter().filter(|child| !child.watches))
                .map(|child| (child.slot, child.emitted))
                .collect(),
        };
        let mut nodes: Vec<NodeStatistics> = self.slots.iter().map(statistics).collect();
        for slot in &self.slots {
            let Some(groups) = slot.operator.cardinality_of_children() else { continue };
            for child in slot.children.iter().filter(|child| !child.watches) {
                if let Some(node) = nodes.get_mut(child.slot) {
                    node.working_cardinality = groups;
                }
            }
        }
        nodes
    }

    /// What an httpOut node of that endpoint holds.
    pub fn http_out(&self, endpoint: &str) -> Option<HttpOutRows<'_>> {
        self.slots.iter().filter_map(|slot| slot.operator.http_out()).find(|rows| rows.endpoint == endpoint)
    }

    pub fn snapshot(&self) -> Result<TaskSnapshot, SnapshotError> {
        let operators = self.slots.iter().map(|slot| slot.operator.snapshot()).collect::<Result<_, _>>()?;
        Ok(TaskSnapshot { groups: self.context.groups.snapshot(), operators })
    }

    /// Takes the state of a snapshot of the same plan, on a task that has seen nothing.
    pub fn restore(&mut self, snapshot: TaskSnapshot) -> Result<(), SnapshotError> {
        self.context.groups = Groups::restore(snapshot.groups);
        if let Some(nil) = self.context.groups.intern(None, crate::tags::TagSet::empty()) {
            self.nil = nil;
        }
        for (slot, state) in self.slots.iter_mut().zip(&snapshot.operators) {
            slot.operator.restore(state, &self.context.groups)?;
        }
        Ok(())
    }
}

/// Says which node failed, unless a child of it did.
pub(super) fn named(slots: &[Slot], fault: Fault, index: usize) -> Fault {
    match slots.get(index) {
        Some(slot) if fault.node.is_empty() => Fault { node: slot.name.to_string(), ..fault },
        _ => fault,
    }
}

/// Clocks that jump (reference: the design's faults): nothing waits for ever, and nothing takes for ever.
#[cfg(test)]
mod tests {
    use proto::plan::{Barrier, BarrierClock, EdgeType, NodeKind, Stats};

    use super::*;
    use crate::{
        node::testing::{Bench, SECOND, from, log},
        value::Value,
    };

    const V: Value = Value::Int(1);

    fn stats(interval: i64) -> NodeKind {
        NodeKind::Stats(Stats { watched: 1, interval, align: false })
    }

    fn bench(behind: NodeKind) -> Bench {
        let parents = if matches!(behind, NodeKind::Stats(_)) { vec![] } else { vec![1] };
        Bench::new(vec![
            (vec![0], EdgeType::Stream, from("", &["host"])),
            (parents, EdgeType::Stream, behind),
            (vec![2], EdgeType::Stream, log()),
        ])
    }

    #[test]
    fn a_gap_of_centuries_ends() {
        let mut bench = bench(stats(SECOND));
        bench.point("m", "host=a", 1, V, 1).advance(250 * 365 * 86_400);
        let woken = bench.out().len();
        assert!((WAKES_MAX..WAKES_MAX + 10).contains(&woken), "{woken}");
        bench.advance(250 * 365 * 86_400 + 1);
        assert_eq!(bench.out().len(), woken + 1);
    }

    #[test]
    fn an_interval_that_nobody_can_keep_up_with_leaves_time_for_others() {
        let mut bench = bench(stats(1));
        bench.task.keep_up(2 * SECOND).unwrap();
        assert!(bench.out().len() <= LIVE_WAKES_MAX + 10, "{}", bench.out().len());
        assert!(bench.task.next_wake() > 2 * SECOND);
    }

    #[test]
    fn what_a_live_task_slept_through_is_due_once() {
        let mut bench = bench(stats(SECOND));
        bench.task.keep_up(3 * SECOND).unwrap();
        assert_eq!(bench.out().len(), 3);
        bench.task.keep_up(3_600 * SECOND).unwrap();
        assert_eq!(bench.out().len(), 4);
        bench.task.keep_up(3_601 * SECOND).unwrap();
        assert_eq!(bench.out().len(), 5);
    }

    #[test]
    fn a_clock_that_was_set_back_stops_nothing() {
        let hour = 3_600;
        for clock in [BarrierClock::Idle(10 * SECOND), BarrierClock::Period(10 * SECOND)] {
            let mut bench = Bench::new(vec![
                (vec![0], EdgeType::Stream, from("", &["host"])),
                (vec![1], EdgeType::Stream, NodeKind::Barrier(Barrier { clock, delete: true })),
                (vec![], EdgeType::Stream, stats(10 * SECOND)),
                (vec![3], EdgeType::Stream, log()),
            ]);
            bench.task.keep_up(hour * SECOND).unwrap();
            bench.point("m", "host=a", hour + 1, V, hour + 1).advance(hour + 5);
            let held = |bench: &mut Bench| bench.task.statistics()[2].working_cardinality;
            assert_eq!((held(&mut bench), bench.out().len()), (1, 1), "{clock:?}");
            // An hour earlier.
            bench.task.set_back(hour * SECOND);
            bench.task.keep_up(9 * SECOND).unwrap();
            assert_eq!((held(&mut bench), bench.out().len()), (1, 1), "{clock:?}");
            bench.task.keep_up(12 * SECOND).unwrap();
            assert_eq!((held(&mut bench), bench.out().len()), (0, 2), "{clock:?}");
        }
    }
}
