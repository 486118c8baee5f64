//! `stats`: how many points another node has emitted, a point a group and interval (reference: nodes-alert-join-io §6.2).
//!
//! It stands beside the watched node's children and counts what they get; what it emits starts a graph of its own.

use std::rc::Rc;

use proto::plan;

use super::{Fault, Operator, Outlet, SnapshotError, StartError, from_state, to_state};
use crate::{
    gotime::{round, truncate},
    group::{Group, GroupStates, Groups},
    name::Name,
    point::{Barrier, Batch, Point, SeriesNumber},
    value::{Field, Value},
};

pub struct Stats {
    interval: i64,
    align: bool,
    /// `stats`, `emitted`, and the empty name.
    name: Name,
    field: Name,
    empty: Name,
    counted: Counted,
}

#[derive(Default)]
struct Counted {
    /// Points so far, by group; a group is here from its first point and for ever.
    groups: GroupStates<i64>,
    /// Time that the first aligned point shows: that of the start.
    started: Option<i64>,
}

impl Stats {
    pub fn new(plan: &plan::Stats) -> Result<Stats, StartError> {
        if plan.interval <= 0 {
            return Err(StartError::new("stats interval must be greater than zero"));
        }
        Ok(Stats {
            interval: plan.interval,
            align: plan.align,
            name: Name::new("stats").map_err(StartError::new)?,
            field: Name::new("emitted").map_err(StartError::new)?,
            empty: Name::new("").map_err(StartError::new)?,
            counted: Counted::default(),
        })
    }

    fn emit(&self, group: &Rc<Group>, count: i64, time: i64, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let fields = [Field { name: self.field, value: Value::Int(count) }];
        out.point(&Point {
            name: self.name,
            database: self.empty,
            retention_policy: self.empty,
            group,
            tags: &group.tags,
            fields: (&fields).into(),
            time,
            series: SeriesNumber::NONE,
        })
    }
}

impl Operator for Stats {
    fn start(&mut self, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let now = out.context.now;
        self.counted.started = Some(now);
        let base = if self.align { truncate(now, self.interval) } else { now };
        out.wake_at(base.saturating_add(self.interval));
        Ok(())
    }

    fn point(&mut self, _port: usize, point: &Point<'_>, _out: &mut Outlet<'_>) -> Result<(), Fault> {
        *self.counted.groups.get_or_insert_with(point.group, || 0) += 1;
        Ok(())
    }

    fn batch(&mut self, _port: usize, batch: &Batch<'_>, _out: &mut Outlet<'_>) -> Result<(), Fault> {
        *self.counted.groups.get_or_insert_with(batch.group, || 0) += batch.rows.len() as i64;
        Ok(())
    }

    fn barrier(&mut self, _port: usize, _barrier: &Barrier<'_>, _out: &mut Outlet<'_>) -> Result<(), Fault> {
        Ok(())
    }

    /// The count of a group outlives it.
    fn delete_group(&mut self, _port: usize, _group: &Rc<Group>, _out: &mut Outlet<'_>) -> Result<(), Fault> {
        Ok(())
    }

    fn wake(&mut self, due: i64, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let shown = self.counted.started.take().filter(|_| self.align).unwrap_or(due);
        let time = if self.align { round(shown, self.interval) } else { shown };
        out.wake_at(due.saturating_add(self.interval));
        if self.counted.groups.is_empty() {
            // No group yet is a group without dimensions that has emitted nothing.
            return match out.context.groups.intern(None, crate::tags::TagSet::empty()) {
                Some(nil) => self.emit(&nil, 0, time, out),
                None => Ok(()),
            };
        }
        for (group, count) in self.counted.groups.iter() {
            self.emit(group, *count, time, out)?;
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.counted.groups.bytes(|_| 0)
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        to_state(&(&self.counted.groups, self.counted.started))
    }

    fn restore(&mut self, state: &[u8], groups: &Groups) -> Result<(), SnapshotError> {
        let (counts, started) = from_state(state)?;
        self.counted = Counted { groups: GroupStates::restore(counts, groups), started };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proto::plan::{EdgeType, InfluxQl, InfluxQlFunction, NodeKind, Window};

    use super::*;
    use crate::node::testing::{Bench, SECOND, from, log};

    const V: Value = Value::Int(1);

    fn stats(watched: usize, align: bool) -> NodeKind {
        NodeKind::Stats(plan::Stats { watched, interval: 10 * SECOND, align })
    }

    fn bench(align: bool) -> Bench {
        Bench::new(vec![
            (vec![0], EdgeType::Stream, from("", &["host"])),
            (vec![], EdgeType::Stream, stats(1, align)),
            (vec![2], EdgeType::Stream, log()),
        ])
    }

    #[test]
    fn without_a_group_the_nil_group_has_emitted_nothing() {
        let mut bench = bench(false);
        bench.advance(10).point("m", "host=a", 1, V, 11).point("m", "host=a", 2, V, 12).point("m", "host=b", 2, V, 12);
        bench.advance(25);
        assert_eq!(bench.out(), ["10  emitted=0", "20 host=a emitted=2", "20 host=b emitted=1"]);
        // Whoever watches is no child.
        let from = &bench.task.statistics()[1];
        assert_eq!((from.collected, from.emitted, from.children.len()), (3, 0, 0));
    }

    #[test]
    fn points_that_go_by_a_route_are_counted_and_the_watcher_is_not() {
        let mut bench = bench(false);
        let (tags, group) = (Rc::default(), Rc::new(Group::nil()));
        let (fields, name) = ([Field { name: crate::node::testing::name("v"), value: V }], crate::node::testing::name);
        let point = Point {
            name: name("m"),
            database: name("d"),
            retention_policy: name("r"),
            group: &group,
            tags: &tags,
            fields: (&fields).into(),
            time: SECOND,
            series: SeriesNumber(0),
        };
        let way = bench.task.way(&point);
        bench.task.follow(&way, &point, 0, SECOND).unwrap();
        bench.advance(10);
        assert_eq!(bench.out(), ["10 host= emitted=1"]);
        let statistics = bench.task.statistics();
        assert_eq!((statistics[1].collected, statistics[1].emitted, statistics[2].collected), (1, 0, 0));
    }

    #[test]
    fn the_first_aligned_point_has_the_time_of_the_start() {
        let mut bench = bench(true);
        // The bench starts at 0: a tick at 10 that shows 0, then its own times.
        bench.advance(31);
        let times: Vec<_> = bench.out().iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
        assert_eq!(times, ["", "20", "30"]);
    }

    #[test]
    fn behind_a_window_points_are_counted_and_fusion_is_seen_through() {
        let window = Window::Time { period: 10 * SECOND, every: 10 * SECOND, align: false, fill_period: false };
        let function = InfluxQlFunction::Sum;
        let sum = InfluxQl { function, field: "v".into(), r#as: "v".into(), use_point_times: false };
        let mut bench = Bench::new(vec![
            (vec![0], EdgeType::Stream, from("", &[])),
            (vec![1], EdgeType::Batch, NodeKind::Window(window)),
            (vec![2], EdgeType::Stream, NodeKind::InfluxQl(sum)),
            (vec![], EdgeType::Stream, stats(2, false)),
            (vec![4], EdgeType::Stream, log()),
            (vec![], EdgeType::Stream, stats(3, false)),
            (vec![6], EdgeType::Stream, log()),
        ]);
        bench.point("m", "", 1, V, 1).point("m", "", 2, V, 2).point("m", "", 11, V, 3).advance(10);
        assert_eq!(bench.out(), ["10  emitted=2", "10  emitted=1"]);
    }
}
