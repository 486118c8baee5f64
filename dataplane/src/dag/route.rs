//! The way of a series through a task.
//!
//! The first nodes of most tasks (`stream`, `from`, `groupBy`) do the same to every point of a series. What they do is asked
//! once per series: a [`Route`] then leads its points straight to the nodes behind, in their groups. Routes of one shape
//! count together, so that the statistics of the nodes that were passed over cost one addition a point.

use std::rc::Rc;

use super::task::{Task, named};
use crate::{
    group::Group,
    node::{BySeries, Child, Fault, run_slot},
    point::Point,
};

/// Number of a route in its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteNumber(u32);

/// What the points of one series meet in one task.
#[derive(Debug)]
pub(super) struct Route {
    shape: usize,
    groups: Stops,
}

/// The group at each stop; nearly always there is one.
#[derive(Debug)]
enum Stops {
    One(Rc<Group>),
    Many(Box<[Rc<Group>]>),
}

/// What routes have in common.
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

impl Task {
    /// The route of the series that `point` is of; only the name and tags of the point count. `None` if there is none,
    /// and each point has to be asked about.
    pub fn route(&mut self, point: &Point<'_>) -> Option<RouteNumber> {
        let mut shape = Shape::default();
        let mut groups = Vec::new();
        self.explore(0, point, &mut shape, &mut groups)?;
        let same = |known: &Shape| known.edges == shape.edges && known.stops == shape.stops;
        let known = self.shapes.iter().position(same);
        let shape = known.unwrap_or_else(|| {
            self.shapes.push(shape);
            self.shapes.len() - 1
        });
        let groups = match <[Rc<Group>; 1]>::try_from(groups) {
            Ok([group]) => Stops::One(group),
            Err(groups) => Stops::Many(groups.into()),
        };
        self.routes.push(Route { shape, groups });
        Some(RouteNumber(u32::try_from(self.routes.len() - 1).ok()?))
    }

    /// All numbers of routes are void.
    pub fn forget_routes(&mut self) {
        self.routes.clear();
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

    /// Runs a point of the series that the route is of. `order` is its place in the order of arrival over all shards.
    #[inline]
    pub fn follow(&mut self, route: RouteNumber, point: &Point<'_>, order: u64, now: i64) -> Result<(), Fault> {
        self.context.order = order;
        self.context.now = now;
        let Some(route) = self.routes.get(route.0 as usize) else { return Ok(()) };
        let Some(shape) = self.shapes.get_mut(route.shape) else { return Ok(()) };
        shape.points += 1;
        let groups = match &route.groups {
            Stops::One(group) => std::slice::from_ref(group),
            Stops::Many(groups) => groups,
        };
        for (stop, group) in shape.stops.iter().zip(groups) {
            let point = Point { group, ..*point };
            let done = run_slot(&mut self.slots, 0, stop.slot, &mut self.context, |operator, out| {
                operator.point(stop.port, &point, out)
            });
            if let Some(Err(fault)) = done {
                return Err(named(&self.slots, fault, stop.slot));
            }
        }
        Ok(())
    }

    /// Enters what went by routes into the counters of the nodes.
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
                let route = task.route(&point).unwrap();
                task.follow(route, &point, order as u64, 0).unwrap();
            } else {
                task.point(&point, order as u64, 0).unwrap();
            }
        }
        (recorded.points(), task.statistics().iter().map(|node| (node.collected, node.emitted)).collect())
    }

    #[test]
    fn a_route_leads_to_what_the_nodes_would_do() {
        let (lines, counters) = run(true);
        assert!(lines.len() > 6);
        assert_eq!((lines, counters), run(false));
    }
}
