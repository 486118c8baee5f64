//! A plan's nodes as operators, wired in topological order.

use std::sync::Arc;

use proto::{
    limits::NODES_PER_TASK_MAX,
    plan::{EdgeType, InfluxQl, Node, NodeKind, Plan, Stats, Window},
};

use super::{demand::Demand, task::Task};
use crate::{
    group::{Groups, Lineage},
    name::Name,
    node::{
        Child, Context, Operator, Outputs, Slot, StartError, Timers,
        alert::{self, Inhibitors},
        autoscale, barrier, change_detect, combine, default, delete, derivative, eval, flatten, from, fused, group_by,
        http_out, http_post, influxdb_out, influxql, join, log, loopback, noop, query, record, sample, shift, sideload,
        state::{Measure, StateTracker},
        stats, stream, trickle, udf, union, r#where, window,
    },
};

/// Builds the operators of a task. `inhibitors` are those of the whole process.
pub fn build(plan: &Plan, outputs: Box<dyn Outputs>, inhibitors: &Arc<Inhibitors>) -> Result<Task, StartError> {
    build_with(plan, outputs, inhibitors, true)
}

/// The same, with or without fused windows: the unfused ones are the oracle of tests.
pub fn build_with(
    plan: &Plan,
    outputs: Box<dyn Outputs>,
    inhibitors: &Arc<Inhibitors>,
    fuse: bool,
) -> Result<Task, StartError> {
    plan.check().map_err(StartError::new)?;
    if plan.nodes.len() > NODES_PER_TASK_MAX {
        return Err(StartError(format!(
            "a task has {} nodes at most, this one {}",
            NODES_PER_TASK_MAX,
            plan.nodes.len()
        )));
    }
    let demands = super::demand::demands(plan);
    let deletions = below_deletions(plan);
    let null_tags = with_tags_as_given(plan);
    let mut slots = Vec::with_capacity(plan.nodes.len());
    for (index, node) in plan.nodes.iter().enumerate() {
        slots.push(Slot {
            name: node.name.as_str().into(),
            operator: operator(plan, index, &demands, inhibitors, null_tags.get(index) == Some(&true), fuse)?,
            children: children(plan, index),
            collected: 0,
            errors: 0,
            quiet: node.quiet,
            error_log: Default::default(),
            lineage: (passes_on_in_other_groups(plan, node) && deletions.get(index) == Some(&true))
                .then(Lineage::default),
            time: Default::default(),
        });
    }
    let task = plan.task.as_str().into();
    let context = Context {
        task,
        groups: Groups::default(),
        order: 0,
        now: 0,
        timers: Timers::new(slots.len()),
        stopwatch: Default::default(),
        weighed: 0,
        outputs,
    };
    Task::new(slots, context).ok_or_else(|| StartError::new("no room for groups"))
}

/// Whether an httpOut node before that of `index` has its endpoint.
fn is_taken(plan: &Plan, index: usize, endpoint: &str) -> bool {
    let others = plan.nodes.iter().take(index).filter_map(|node| match &node.kind {
        NodeKind::HttpOut { endpoint } => Some(endpoint.trim_start_matches('/')),
        _ => None,
    });
    others.into_iter().any(|other| other == endpoint.trim_start_matches('/'))
}

/// For each node whether groups above it can be deleted.
fn below_deletions(plan: &Plan) -> Vec<bool> {
    let deletes = |node: &Node| matches!(node.kind, NodeKind::Barrier(proto::plan::Barrier { delete: true, .. }));
    let mut below: Vec<bool> = Vec::with_capacity(plan.nodes.len());
    for node in &plan.nodes {
        let parents = node.parents.iter();
        let is_below = parents.filter_map(|parent| Some(below.get(*parent)? | deletes(plan.nodes.get(*parent)?)));
        below.push(is_below.fold(false, |any, one| any | one));
    }
    below
}

/// For each node whether it passes on tags as InfluxDB or a function gave them: without any, they are `null` in the JSON of an
/// alert. Who makes tags of its own on the way makes an empty set.
fn with_tags_as_given(plan: &Plan) -> Vec<bool> {
    let mut with: Vec<bool> = Vec::with_capacity(plan.nodes.len());
    for node in &plan.nodes {
        with.push(match &node.kind {
            NodeKind::Query | NodeKind::Udf(_) => true,
            NodeKind::Combine(_) | NodeKind::GroupBy(_) | NodeKind::Stats(_) => false,
            NodeKind::Delete { tags, .. } if !tags.is_empty() => false,
            _ => !node.parents.is_empty() && node.parents.iter().all(|parent| with.get(*parent) == Some(&true)),
        });
    }
    with
}

/// Whether messages may leave the node in other groups than they came in.
fn passes_on_in_other_groups(plan: &Plan, node: &Node) -> bool {
    let on_streams = edge_in(plan, node) == EdgeType::Stream;
    match &node.kind {
        NodeKind::From(_) | NodeKind::GroupBy(_) | NodeKind::Join(_) | NodeKind::Autoscale(_) => true,
        NodeKind::Eval(plan) => on_streams && !plan.tags.is_empty(),
        NodeKind::Sideload(plan) => on_streams && !plan.tags.is_empty(),
        NodeKind::Default { tags, .. } => !tags.is_empty(),
        NodeKind::Delete { tags, .. } => !tags.is_empty(),
        NodeKind::Alert(alert) => alert.level_tag.is_some() || alert.id_tag.is_some(),
        NodeKind::Union { rename } => !rename.is_empty(),
        _ => false,
    }
}

fn children(plan: &Plan, index: usize) -> Vec<Child> {
    let mut children = Vec::new();
    for (slot, node) in plan.nodes.iter().enumerate().skip(index + 1) {
        let ports = node.parents.iter().enumerate().filter(|(_, parent)| **parent == index);
        children.extend(ports.map(|(port, _)| Child { slot, port, emitted: 0, watches: false }));
    }
    let watchers = plan.nodes.iter().enumerate().filter_map(|(slot, node)| match node.kind {
        NodeKind::Stats(Stats { watched, .. }) if watched == index => Some(slot),
        _ => None,
    });
    children.extend(watchers.map(|slot| Child { slot, port: 0, emitted: 0, watches: true }));
    children
}

fn operator(
    plan: &Plan,
    index: usize,
    demands: &[Demand],
    inhibitors: &Arc<Inhibitors>,
    null_tags: bool,
    fuse: bool,
) -> Result<Box<dyn Operator>, StartError> {
    let node = plan.nodes.get(index).ok_or_else(|| StartError::new("no such node"))?;
    let wants = edge_in(plan, node);
    Ok(match &node.kind {
        NodeKind::Stream | NodeKind::Batch => Box::new(stream::Stream),
        NodeKind::Query => Box::new(query::Query::default()),
        NodeKind::From(from) => Box::new(from::From::new(from)?),
        NodeKind::Where { predicate } => Box::new(r#where::Where::new(predicate)?),
        NodeKind::GroupBy(dimensions) => group_by::new(dimensions, wants)?,
        NodeKind::Eval(plan) => Box::new(eval::Eval::new(plan)?),
        NodeKind::Window(window) => windowed(plan, index, window, demands, fuse)?,
        NodeKind::InfluxQl(plan) => influxql::new(plan, wants)?,
        NodeKind::Default { fields, tags } => Box::new(default::Default::new(fields, tags)?),
        NodeKind::Delete { fields, tags } => Box::new(delete::Delete::new(fields, tags)?),
        NodeKind::Sample(plan) => Box::new(sample::Sample::new(plan)?),
        NodeKind::Shift { shift } => Box::new(shift::Shift::new(*shift)?),
        NodeKind::Derivative { field, r#as, unit, non_negative } => {
            Box::new(derivative::Derivative::new(field, r#as, *unit, *non_negative)?)
        }
        NodeKind::ChangeDetect { fields } => Box::new(change_detect::ChangeDetect::new(fields)?),
        NodeKind::StateDuration { predicate, r#as, unit } => {
            Box::new(StateTracker::new(predicate, Measure::Duration(*unit), r#as)?)
        }
        NodeKind::StateCount { predicate, r#as } => Box::new(StateTracker::new(predicate, Measure::Count, r#as)?),
        NodeKind::Flatten(plan) => Box::new(flatten::Flatten::new(plan)?),
        NodeKind::Combine(plan) => Box::new(combine::Combine::new(plan)?),
        NodeKind::Log { level, prefix } => Box::new(log::Log::new(*level, prefix)),
        NodeKind::HttpOut { endpoint } => Box::new(http_out::HttpOut::new(endpoint, is_taken(plan, index, endpoint))),
        NodeKind::HttpPost(plan) => Box::new(http_post::HttpPost::new(plan)?),
        NodeKind::Join(plan) => Box::new(join::Join::new(plan, wants)?),
        NodeKind::Union { rename } => Box::new(union::Union::new(rename, node.parents.len())?),
        NodeKind::Barrier(plan) => Box::new(barrier::Barrier::new(*plan)),
        NodeKind::Stats(plan) => Box::new(stats::Stats::new(plan)?),
        NodeKind::Noop => Box::new(noop::Noop),
        NodeKind::Trickle => Box::new(trickle::Trickle::new()?),
        NodeKind::Sideload(plan) => Box::new(sideload::Sideload::new(plan)?),
        NodeKind::Udf(plan) => Box::new(udf::Udf::new(plan)),
        NodeKind::Loopback(plan) => Box::new(loopback::Loopback::new(plan)?),
        NodeKind::InfluxDbOut(plan) => Box::new(influxdb_out::InfluxDbOut::new(plan)?),
        NodeKind::Autoscale(plan) => Box::new(autoscale::Autoscale::new(plan)?),
        NodeKind::Record(plan) => Box::new(record::Record::new(plan)),
        NodeKind::Alert(alert) => {
            Box::new(alert::Alert::new(&plan.task, alert, &plan.levels, inhibitors.clone(), null_tags)?)
        }
    })
}

fn edge_in(plan: &Plan, node: &Node) -> EdgeType {
    node.parents.first().and_then(|&parent| plan.nodes.get(parent)).map_or(plan.edge, |parent| parent.provides)
}

/// A window, fused with its children where all of them can be.
fn windowed(
    plan: &Plan,
    index: usize,
    window: &Window,
    demands: &[Demand],
    fuse: bool,
) -> Result<Box<dyn Operator>, StartError> {
    let children: Option<Vec<&InfluxQl>> = children(plan, index)
        .iter()
        .map(|child| match plan.nodes.get(child.slot).map(|node| &node.kind) {
            Some(NodeKind::InfluxQl(influxql)) => Some(influxql),
            _ => None,
        })
        .collect();
    if let Some(children) = children
        && fuse
        && !children.is_empty()
        && let Some(fused) = fused::fuse(window, &children)
    {
        return Ok(fused);
    }
    let wanted = match demands.get(index) {
        Some(Demand { fields, whole: false }) => {
            let names = fields.iter().map(|name| Name::new(name)).collect::<Result<Vec<_>, _>>();
            Some(names.map_err(StartError::new)?)
        }
        _ => None,
    };
    window::new(window, wanted)
}

#[cfg(test)]
mod tests {
    use proto::plan::{Dimensions, PLAN_VERSION};

    use super::*;

    #[test]
    fn tags_of_queries_are_as_given_until_a_node_makes_its_own() {
        let kinds = [
            (NodeKind::Batch, None),
            (NodeKind::Query, Some(0)),
            (NodeKind::Noop, Some(1)),
            (NodeKind::GroupBy(Dimensions::default()), Some(2)),
            (NodeKind::Noop, Some(3)),
            (NodeKind::Union { rename: String::new() }, Some(2)),
        ];
        let node = |(index, (kind, parent)): (usize, (NodeKind, Option<usize>))| Node {
            name: format!("n{index}"),
            parents: parent.into_iter().collect(),
            provides: EdgeType::Batch,
            quiet: false,
            kind,
        };
        let mut nodes: Vec<Node> = kinds.into_iter().enumerate().map(node).collect();
        nodes[5].parents.push(4);
        let task = "t".to_owned();
        let plan = Plan { version: PLAN_VERSION, task, edge: EdgeType::Batch, dbrps: vec![], nodes, levels: vec![] };
        assert_eq!(with_tags_as_given(&plan), [false, true, true, false, false, false]);
    }
}
