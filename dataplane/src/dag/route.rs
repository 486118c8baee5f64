//! The way of a series through a task.
//!
//! The first nodes of most tasks (`stream`, `from`, `groupBy`) do the same to every point of a series. What they do is asked
//! once per series: a [`Way`] then leads its points straight to the nodes behind, in their groups. Ways of one shape
//! count together, so that the statistics of the nodes that were passed over cost one addition for many points.

use std::rc::Rc;

use super::task::{Task, named};
use crate::{
    arrival::{Arrival, Arrivals},
    group::Group,
    node::{BySeries, Child, Fault, run_slot},
    point::Point,
    prefetch::prefetch,
};

/// What the points of one series meet in one task, in 16 bytes: there may be millions. Groups stand beside their number,
/// which is all that most nodes ask of them.
#[derive(Debug)]
pub enum Way {
    /// Each point has to be asked about.
    Asked,
    /// Nearly always: one node, in one group.
    One {
        shape: u16,
        index: u32,
        group: Rc<Group>,
    },
    Many {
        shape: u16,
        groups: Box<Stops>,
    },
}

const _: () = assert!(size_of::<Way>() == 16);

/// The groups at several stops, or at none.
#[derive(Debug)]
pub struct Stops(Box<[Rc<Group>]>);

impl Way {
    fn shape(&self) -> Option<u16> {
        match self {
            Way::Asked => None,
            Way::One { shape, .. } | Way::Many { shape, .. } => Some(*shape),
        }
    }

    /// The group at the only stop, and its number.
    #[inline]
    pub fn only_group(&self) -> Option<(u32, &Rc<Group>)> {
        match self {
            Way::One { index, group, .. } => Some((*index, group)),
            _ => None,
        }
    }
}

/// What ways have in common.
#[derive(Debug, Default)]
pub(super) struct Shape {
    edges: Vec<Edge>,
    stops: Vec<Stop>,
    /// Points that went this way.
    points: u64,
}

/// Where points go in: a node, and the place of the edge among its parents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stop {
    slot: usize,
    port: usize,
}

/// From a node to its nth child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Edge {
    slot: usize,
    nth: usize,
}

/// Points whose groups are asked for at once.
const ROWS_AHEAD: usize = 32;

impl Task {
    /// The way of the series that `point` is of; only the name and tags of the point count.
    pub fn way(&mut self, point: &Point<'_>) -> Way {
        let mut shape = Shape::default();
        let mut groups = Vec::new();
        if self.explore(0, point, &mut shape, &mut groups).is_none() {
            return Way::Asked;
        }
        let same = |known: &Shape| known.edges == shape.edges && known.stops == shape.stops;
        let known = self.shapes.iter().position(same);
        let Ok(number) = u16::try_from(known.unwrap_or(self.shapes.len())) else { return Way::Asked };
        if known.is_none() {
            self.shapes.push(shape);
        }
        match <[Rc<Group>; 1]>::try_from(groups) {
            Ok([group]) => Way::One { shape: number, index: group.index, group },
            Err(groups) => Way::Many { shape: number, groups: Box::new(Stops(groups.into())) },
        }
    }

    /// Adds what lies behind a node that does the same to all points of the series; `None` if the node does not.
    fn explore(
        &mut self,
        slot: usize,
        point: &Point<'_>,
        shape: &mut Shape,
        groups: &mut Vec<Rc<Group>>,
    ) -> Option<()> {
        let node = self.slots.get_mut(slot)?;
        let group = match node.operator.by_series(point, &mut self.context.groups)? {
            BySeries::Drops => return Some(()),
            BySeries::Passes(group) => group,
        };
        let point = Point { group: &group, ..*point };
        for nth in 0..node.children.len() {
            let edge = Edge { slot, nth };
            shape.edges.push(edge);
            let Child { slot, port, .. } = *self.slots.get(slot)?.children.get(nth)?;
            if self.explore(slot, &point, shape, groups).is_none() {
                shape.stops.push(Stop { slot, port });
                groups.push(group.clone());
            }
        }
        Some(())
    }

    /// Runs points of series by their ways. With a fault comes how many had been taken.
    pub fn take(&mut self, arrivals: &Arrivals<'_>, now: i64) -> Result<(), (Fault, usize)> {
        self.context.stopwatch.turn();
        let done = self.take_alike(arrivals, now);
        self.context.stopwatch.rest();
        done
    }

    fn take_alike(&mut self, arrivals: &Arrivals<'_>, now: i64) -> Result<(), (Fault, usize)> {
        let scattered = arrivals.are_scattered();
        if scattered {
            arrivals.rows.iter().for_each(|row| prefetch(arrivals.ways, row.member as usize));
        }
        let mut start = 0;
        while let Some(first) = arrivals.rows.get(start) {
            let way = |member: u32| arrivals.ways.get(member as usize);
            let shape = way(first.member).and_then(Way::shape);
            let rest = arrivals.rows.get(start + 1..).unwrap_or_default();
            let others = rest.iter().position(|row| way(row.member).and_then(Way::shape) != shape);
            let end = start + 1 + others.unwrap_or(rest.len());
            let alike = Arrivals { rows: arrivals.rows.get(start..end).unwrap_or_default(), ..*arrivals };
            let stop = shape.and_then(|shape| self.shapes.get_mut(usize::from(shape))).and_then(|shape| {
                let [stop] = *shape.stops else { return None };
                shape.points += alike.rows.len() as u64;
                Some(stop)
            });
            if scattered && stop.is_none() {
                alike.prefetch_series();
            }
            let done = match stop {
                Some(stop) if scattered => self.take_scattered(stop, &alike, now),
                Some(stop) => self.take_at(stop, &alike, now),
                None => alike.iter().try_for_each(|arrival| self.take_one(&arrival, now)),
            };
            if let Err(fault) = done {
                let failed = arrivals.iter().position(|arrival| arrival.order() == self.context.order);
                return Err((fault, failed.map_or(end, |failed| failed + 1)));
            }
            start = end;
        }
        Ok(())
    }

    /// Runs points that all go in at one node.
    fn take_at(&mut self, stop: Stop, arrivals: &Arrivals<'_>, now: i64) -> Result<(), Fault> {
        self.context.now = now;
        let messages = arrivals.rows.len();
        let done = run_slot(&mut self.slots, 0, stop.slot, &mut self.context, messages, |operator, out| {
            operator.arrivals(stop.port, arrivals, out)
        });
        done.unwrap_or(Ok(())).map_err(|fault| named(&self.slots, fault, stop.slot))
    }

    /// The same, with what is kept of their groups asked of the memory while the ones before run.
    fn take_scattered(&mut self, stop: Stop, arrivals: &Arrivals<'_>, now: i64) -> Result<(), Fault> {
        let piece = |nth: usize| {
            let rows = arrivals.rows.chunks(ROWS_AHEAD).nth(nth).unwrap_or_default();
            Arrivals { rows, ..*arrivals }
        };
        self.prefetch(stop, &piece(0));
        self.prefetch(stop, &piece(1));
        prefetch_tags(&piece(0));
        for nth in 0..arrivals.rows.len().div_ceil(ROWS_AHEAD) {
            self.prefetch(stop, &piece(nth + 2));
            prefetch_tags(&piece(nth + 1));
            self.take_at(stop, &piece(nth), now)?;
        }
        Ok(())
    }

    /// Asks for the groups of points, and for what the nodes keep of them.
    fn prefetch(&self, stop: Stop, arrivals: &Arrivals<'_>) {
        let groups = || arrivals.iter().filter_map(|arrival| arrival.way.only_group());
        groups().for_each(|(_, group)| prefetch(std::slice::from_ref(&**group), 0));
        for slot in self.slots.get(stop.slot..).unwrap_or_default() {
            slot.operator.prefetch(&mut groups().map(|(index, _)| index));
        }
        if self.slots.get(stop.slot).is_some_and(|slot| slot.operator.looks_at_points()) {
            arrivals.prefetch_series();
        }
    }

    fn take_one(&mut self, arrival: &Arrival<'_>, now: i64) -> Result<(), Fault> {
        match arrival.source() {
            Some(point) => self.follow(arrival.way, &point, arrival.order(), now),
            None => Ok(()),
        }
    }

    /// Runs a point of the series that the way is of. `order` is its place in the order of arrival over all shards.
    pub fn follow(&mut self, way: &Way, point: &Point<'_>, order: u64, now: i64) -> Result<(), Fault> {
        let (shape, groups) = match way {
            Way::Asked => return self.point(point, order, now),
            Way::One { shape, group, .. } => (shape, std::slice::from_ref(group)),
            Way::Many { shape, groups } => (shape, &*groups.0),
        };
        self.context.order = order;
        self.context.now = now;
        let Some(shape) = self.shapes.get_mut(*shape as usize) else { return Ok(()) };
        shape.points += 1;
        for (stop, group) in shape.stops.iter().zip(groups) {
            let point = Point { group, ..*point };
            let done = run_slot(&mut self.slots, 0, stop.slot, &mut self.context, 1, |operator, out| {
                operator.point(stop.port, &point, out)
            });
            if let Some(Err(fault)) = done {
                return Err(named(&self.slots, fault, stop.slot));
            }
        }
        Ok(())
    }

    /// Enters what went by ways into the counters of the nodes.
    pub(super) fn settle(&mut self) {
        for shape in &mut self.shapes {
            let points = std::mem::take(&mut shape.points);
            if let Some(source) = self.slots.first_mut() {
                source.collected += points;
            }
            for edge in &shape.edges {
                let Some(child) = self.slots.get_mut(edge.slot).and_then(|slot| slot.children.get_mut(edge.nth)) else {
                    continue;
                };
                // Whoever watches is no child.
                if child.watches {
                    continue;
                }
                child.emitted += points;
                let child = child.slot;
                if let Some(slot) = self.slots.get_mut(child) {
                    slot.collected += points;
                }
            }
        }
    }
}

/// Asks for what stands behind the groups of points, which have come by now.
fn prefetch_tags(arrivals: &Arrivals<'_>) {
    let groups = arrivals.iter().filter_map(|arrival| arrival.way.only_group());
    groups.for_each(|(_, group)| prefetch(std::slice::from_ref(&*group.tags), 0));
}

#[cfg(test)]
mod tests {
    use proto::plan::{self, DimensionTags, Dimensions, EdgeType, Node, NodeKind, Plan};

    use super::*;
    use crate::{
        dag::build::build,
        name::Name,
        node::testing::Recorded,
        point::SeriesNumber,
        tags::TagSet,
        value::{Field, Value},
    };

    /// Two `from`, one of a measurement, one with a lambda; a `groupBy` and a `where` behind the first.
    fn plan() -> Plan {
        let dimensions =
            |tag: &str| Dimensions { by_measurement: false, tags: DimensionTags::Named(vec![tag.to_owned()]) };
        let cpu = plan::From { measurement: "cpu".into(), ..Default::default() };
        let filtered = plan::From {
            filter: Some(proto::Expr::Reference("up".into())),
            dimensions: dimensions("dc"),
            ..Default::default()
        };
        let log = |prefix: &str| NodeKind::Log { level: Default::default(), prefix: prefix.into() };
        let nodes = [
            (vec![], NodeKind::Stream),
            (vec![0], NodeKind::From(cpu)),
            (vec![0], NodeKind::From(filtered)),
            (vec![1], NodeKind::GroupBy(dimensions("host"))),
            (vec![3], NodeKind::Where { predicate: proto::Expr::Reference("up".into()) }),
            (vec![3], log("grouped")),
            (vec![4], log("where")),
            (vec![1], log("from")),
            (vec![2], log("filtered")),
        ];
        let node = |(index, (parents, kind)): (usize, (Vec<usize>, NodeKind))| Node {
            name: format!("n{index}"),
            parents,
            provides: EdgeType::Stream,
            quiet: false,
            kind,
        };
        Plan {
            version: plan::PLAN_VERSION,
            task: "t".into(),
            edge: EdgeType::Stream,
            dbrps: vec![],
            nodes: nodes.into_iter().enumerate().map(node).collect(),
            levels: vec![],
        }
    }

    fn run(routed: bool) -> (Vec<String>, Vec<(u64, u64)>) {
        let recorded = Recorded::default();
        let mut task = build(&plan(), Box::new(recorded.clone()), &Default::default()).unwrap();
        let name = |text: &str| Name::new(text).unwrap();
        let nil = Rc::new(Group::nil());
        for (order, measurement) in ["cpu", "mem", "cpu", "cpu", "mem"].iter().enumerate() {
            let tags = Rc::new(TagSet::new(vec![(name("host"), "a".into()), (name("dc"), "eu".into())]));
            let fields = [Field { name: name("up"), value: Value::Bool(order % 2 == 0) }];
            let point = Point {
                name: name(measurement),
                database: name("db"),
                retention_policy: name("rp"),
                group: &nil,
                tags: &tags,
                fields: (&fields).into(),
                time: order as i64,
                series: SeriesNumber::NONE,
            };
            if routed {
                let way = task.way(&point);
                assert!(!matches!(way, Way::Asked));
                task.follow(&way, &point, order as u64, 0).unwrap();
            } else {
                task.point(&point, order as u64, 0).unwrap();
            }
        }
        (recorded.points(), task.statistics().iter().map(|node| (node.collected, node.emitted)).collect())
    }

    #[test]
    fn a_way_leads_to_what_the_nodes_would_do() {
        let (lines, counters) = run(true);
        assert!(lines.len() > 6);
        assert_eq!((lines, counters), run(false));
    }
}
