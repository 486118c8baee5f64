//! Where a task runs: split over shards by a partition key, or whole on one.
//!
//! reference: nodes-stream §19. A task is split by a set of tags P (and the measurement, if every grouping has it) such
//! that P is a function of the group at each node whose state or output order can be seen, and no node touches a tag of
//! P. Everything that is not provably so runs whole.

use std::collections::BTreeSet;

use crate::template::{Kind, Template};
use proto::plan::{Alert, DimensionTags, Dimensions, EdgeType, Node, NodeKind, Plan, Sample};

/// The key by which a task's series are spread over the shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// One shard runs all of it.
    Whole,
    Partition(PartitionKey),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionKey {
    /// The measurement is part of the key.
    pub measurement: bool,
    pub tags: KeyTags,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyTags {
    /// Sorted; a tag that a series lacks counts as the empty text.
    Named(Vec<String>),
    /// All tags but these.
    AllBut(Vec<String>),
}

/// Placement of a stream task.
pub fn placement(plan: &Plan) -> Placement {
    key_of(plan).map_or(Placement::Whole, Placement::Partition)
}

fn key_of(plan: &Plan) -> Option<PartitionKey> {
    if plan.edge != EdgeType::Stream {
        return None;
    }
    // The groupings that each node hands on: several behind a join of parents with different ones.
    let mut groupings: Vec<Vec<Dimensions>> = Vec::with_capacity(plan.nodes.len());
    let mut key: Option<PartitionKey> = None;
    let mut touched = BTreeSet::new();
    for node in &plan.nodes {
        let incoming: Vec<Dimensions> = match node.parents.as_slice() {
            [] => vec![Dimensions::default()],
            parents => parents.iter().filter_map(|parent| groupings.get(*parent)).flatten().cloned().collect(),
        };
        if reaches_across_groups(plan, node) {
            return None;
        }
        touched.extend(touched_tags(node));
        let outgoing = match &node.kind {
            NodeKind::From(from) => vec![from.dimensions.clone()],
            NodeKind::GroupBy(dimensions) => vec![Dimensions {
                by_measurement: dimensions.by_measurement || incoming.iter().all(|grouping| grouping.by_measurement),
                tags: dimensions.tags.clone(),
            }],
            // A name of its own is the same for all groups.
            NodeKind::Join(join) if !join.stream_name.is_empty() => {
                let unnamed = incoming.iter().map(|grouping| Dimensions { by_measurement: false, ..grouping.clone() });
                unnamed.collect()
            }
            _ => incoming.clone(),
        };
        if is_keyed(&node.kind) {
            key = incoming.iter().fold(key, |key, grouping| Some(meet(key, grouping)));
        }
        if let NodeKind::Alert(alert) = &node.kind
            && !shows_group(alert)
        {
            key = Some(meet(key, &shown_dimension(plan, alert)?));
        }
        if let NodeKind::Join(join) = &node.kind
            && !join.on.is_empty()
        {
            let on = DimensionTags::Named(join.on.clone());
            let by_measurement = incoming.iter().all(|grouping| grouping.by_measurement);
            key = Some(meet(key, &Dimensions { by_measurement, tags: on }));
        }
        groupings.push(outgoing);
    }
    // Without any keyed node nothing can be seen of the task: spread it as it groups.
    let key = match key {
        Some(key) => key,
        None => groupings.last()?.iter().fold(None, |key, grouping| Some(meet(key, grouping)))?,
    };
    let disjoint = match &key.tags {
        KeyTags::Named(names) => !names.iter().any(|name| touched.contains(name.as_str())),
        KeyTags::AllBut(excluded) => touched.iter().all(|tag| excluded.iter().any(|name| name == tag)),
    };
    let empty = !key.measurement && key.tags == KeyTags::Named(Vec::new());
    (disjoint && !empty).then_some(key)
}

/// The part of the key that this grouping also has.
fn meet(key: Option<PartitionKey>, grouping: &Dimensions) -> PartitionKey {
    let tags = match &grouping.tags {
        DimensionTags::Named(names) => {
            let mut names = names.clone();
            names.sort();
            names.dedup();
            KeyTags::Named(names)
        }
        DimensionTags::All { exclude } => KeyTags::AllBut(exclude.clone()),
    };
    let Some(key) = key else { return PartitionKey { measurement: grouping.by_measurement, tags } };
    let tags = match (key.tags, tags) {
        (KeyTags::Named(ours), KeyTags::Named(theirs)) => {
            KeyTags::Named(ours.into_iter().filter(|name| theirs.contains(name)).collect())
        }
        (KeyTags::Named(named), KeyTags::AllBut(excluded)) | (KeyTags::AllBut(excluded), KeyTags::Named(named)) => {
            KeyTags::Named(named.into_iter().filter(|name| !excluded.contains(name)).collect())
        }
        (KeyTags::AllBut(mut ours), KeyTags::AllBut(theirs)) => {
            ours.extend(theirs);
            ours.sort();
            ours.dedup();
            KeyTags::AllBut(ours)
        }
    };
    PartitionKey { measurement: key.measurement && grouping.by_measurement, tags }
}

/// Whether the node has state by group, or shows the order of its input.
fn is_keyed(kind: &NodeKind) -> bool {
    match kind {
        NodeKind::Stream
        | NodeKind::From(_)
        | NodeKind::GroupBy(_)
        | NodeKind::Default { .. }
        | NodeKind::Delete { .. }
        | NodeKind::Shift { .. }
        | NodeKind::Noop
        | NodeKind::Trickle
        | NodeKind::Sideload(_)
        | NodeKind::Sample(Sample::Duration(_)) => false,
        NodeKind::Where { predicate } => predicate.is_stateful(),
        NodeKind::Eval(eval) => eval.expressions.iter().any(|(_, lambda)| lambda.is_stateful()),
        _ => true,
    }
}

/// State of the node, the topic or the server rather than of a group.
fn reaches_across_groups(plan: &Plan, node: &Node) -> bool {
    let on_batches = node
        .parents
        .iter()
        .any(|&parent| plan.nodes.get(parent).is_some_and(|parent| parent.provides == EdgeType::Batch));
    match &node.kind {
        NodeKind::From(from) => from.filter.as_ref().is_some_and(|filter| filter.is_stateful()),
        NodeKind::GroupBy(_) => on_batches,
        // On batches a tag that is set becomes a dimension.
        NodeKind::Default { tags, .. } => on_batches && !tags.is_empty(),
        NodeKind::Delete { tags, .. } => on_batches && !tags.is_empty(),
        NodeKind::Where { predicate }
        | NodeKind::StateDuration { predicate, .. }
        | NodeKind::StateCount { predicate, .. } => has_shared_state(predicate),
        NodeKind::Eval(eval) => eval.expressions.iter().any(|(_, lambda)| has_shared_state(lambda)),
        NodeKind::Combine(combine) => combine.expressions.iter().any(|(_, lambda)| has_shared_state(lambda)),
        NodeKind::Alert(alert) => alert_reaches_across_groups(alert),
        // The order is over all groups; the count of a node without groups is shown until there is one.
        NodeKind::Union { .. } | NodeKind::Stats(_) => true,
        // A function sees all groups in order, and a resource is that of all of them.
        NodeKind::Udf(_) | NodeKind::Autoscale(_) => true,
        _ => false,
    }
}

/// A lambda var inside a lambda has one state for all groups (reference: tickscript §11).
fn has_shared_state(lambda: &proto::Expr) -> bool {
    let mut found = false;
    lambda.walk(&mut |node| {
        if let proto::Expr::Lambda(inner) = node {
            found |= inner.is_stateful();
        }
    });
    found
}

fn alert_reaches_across_groups(alert: &Alert) -> bool {
    let stateful = [&alert.info, &alert.warn, &alert.crit]
        .into_iter()
        .flat_map(|level| level.set.iter().chain(&level.reset))
        .any(proto::Expr::is_stateful);
    stateful || !alert.inhibits.is_empty() || alert.category.is_some()
}

/// Levels are looked up by id: an id that shows the group is certain not to be shared between groups.
fn shows_group(alert: &Alert) -> bool {
    ["{{ .Group }}", "{{.Group}}"].iter().any(|group| alert.id.contains(group))
}

/// The tag that an id shows as a dimension: groups that share the id share that tag, and so their shard. `None` if the id
/// does not provably tell by one tag.
fn shown_dimension(plan: &Plan, alert: &Alert) -> Option<Dimensions> {
    let mut measurements = plan.nodes.iter().filter_map(|node| match &node.kind {
        NodeKind::From(from) => Some(from.measurement.as_str()),
        _ => None,
    });
    let first = measurements.next().unwrap_or_default();
    let constant_name = !first.is_empty() && measurements.all(|measurement| measurement == first);
    let tag = Template::new(Kind::Id, &alert.id).ok()?.shown_tag(constant_name)?;
    Some(Dimensions { by_measurement: false, tags: DimensionTags::Named(vec![tag.as_str().to_owned()]) })
}

/// Tags that a node sets or removes.
fn touched_tags(node: &Node) -> Vec<String> {
    match &node.kind {
        NodeKind::Eval(eval) => eval.tags.clone(),
        NodeKind::Default { tags, .. } => tags.iter().map(|(key, _)| key.clone()).collect(),
        NodeKind::Delete { tags, .. } => tags.clone(),
        NodeKind::Sideload(sideload) => sideload.tags.iter().map(|(key, _)| key.clone()).collect(),
        NodeKind::Alert(alert) => alert.level_tag.iter().chain(&alert.id_tag).cloned().collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use proto::plan::{self, InfluxQl, InfluxQlFunction, Window};

    use super::*;

    fn named(tags: &[&str]) -> Dimensions {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        Dimensions { by_measurement: false, tags: DimensionTags::Named(tags) }
    }

    fn from(dimensions: Dimensions) -> NodeKind {
        NodeKind::From(plan::From { dimensions, ..plan::From::default() })
    }

    fn window() -> NodeKind {
        NodeKind::Window(Window::Time { period: 1, every: 1, align: false, fill_period: false })
    }

    fn mean() -> NodeKind {
        let function = InfluxQlFunction::Mean;
        NodeKind::InfluxQl(InfluxQl { function, field: "v".into(), r#as: "v".into(), use_point_times: false })
    }

    fn place(kinds: Vec<NodeKind>) -> Placement {
        let mut nodes = vec![Node {
            name: "stream0".into(),
            parents: vec![],
            provides: EdgeType::Stream,
            quiet: false,
            kind: NodeKind::Stream,
        }];
        for (index, kind) in kinds.into_iter().enumerate() {
            let provides = if matches!(kind, NodeKind::Window(_)) { EdgeType::Batch } else { EdgeType::Stream };
            nodes.push(Node { name: format!("n{index}"), parents: vec![index], provides, quiet: false, kind });
        }
        placement(&Plan {
            version: plan::PLAN_VERSION,
            task: "t".into(),
            edge: EdgeType::Stream,
            dbrps: vec![],
            nodes,
            levels: vec![],
        })
    }

    fn by(tags: &[&str]) -> Placement {
        let tags = KeyTags::Named(tags.iter().map(|tag| (*tag).to_owned()).collect());
        Placement::Partition(PartitionKey { measurement: false, tags })
    }

    #[test]
    fn the_key_is_what_all_groupings_share() {
        assert_eq!(place(vec![from(named(&["host"])), window(), mean()]), by(&["host"]));
        assert_eq!(place(vec![from(named(&[])), NodeKind::GroupBy(named(&["dc"])), window()]), by(&["dc"]));
        let refined =
            vec![from(named(&["host"])), window(), mean(), NodeKind::GroupBy(named(&["dc", "host"])), window()];
        assert_eq!(place(refined), by(&["host"]));
        let all = Dimensions { by_measurement: false, tags: DimensionTags::All { exclude: vec!["cpu".into()] } };
        let key = PartitionKey { measurement: false, tags: KeyTags::AllBut(vec!["cpu".into()]) };
        assert_eq!(place(vec![from(all), window()]), Placement::Partition(key));
    }

    #[test]
    fn an_id_that_shows_one_dimension_splits_by_it() {
        let alert = |id: &str| NodeKind::Alert(Box::new(Alert { id: id.into(), ..Alert::default() }));
        let from = |measurement: &str, tags: &[&str]| {
            NodeKind::From(plan::From {
                measurement: measurement.into(),
                dimensions: named(tags),
                ..plan::From::default()
            })
        };
        let host = r#"{{ .Name }}/{{ index .Tags "host" }}"#;
        assert_eq!(place(vec![from("cpu", &["cpu", "host"]), alert(host)]), by(&["host"]));
        assert_eq!(place(vec![from("", &["host"]), alert(host)]), Placement::Whole);
        assert_eq!(place(vec![from("cpu", &["dc"]), alert(host)]), Placement::Whole);
        assert_eq!(place(vec![from("cpu", &["host"]), alert("all")]), Placement::Whole);
        let two = r#"{{ index .Tags "dc" }}{{ index .Tags "host" }}"#;
        assert_eq!(place(vec![from("cpu", &["dc", "host"]), alert(two)]), Placement::Whole);
        assert_eq!(place(vec![from("cpu", &["dc", "host"]), alert("x {{ .Group }}")]), by(&["dc", "host"]));
    }

    #[test]
    fn what_crosses_groups_runs_whole() {
        assert_eq!(place(vec![from(named(&[])), window()]), Placement::Whole);
        let disjoint = vec![from(named(&["host"])), window(), mean(), NodeKind::GroupBy(named(&["dc"])), window()];
        assert_eq!(place(disjoint), Placement::Whole);
        assert_eq!(place(vec![from(named(&["a"])), window(), NodeKind::GroupBy(named(&["a"]))]), Placement::Whole);
        let default = NodeKind::Default { fields: vec![], tags: vec![("host".into(), "x".into())] };
        assert_eq!(place(vec![from(named(&["host"])), default, window()]), Placement::Whole);
        let access = plan::SwarmAccess::default();
        let (scaler, name) = (plan::Scaler::Swarm { access }, plan::ResourceName::Tag("host".into()));
        let scale = plan::Autoscale::new(scaler, name, proto::Expr::Reference("v".into()));
        assert_eq!(place(vec![from(named(&["host"])), NodeKind::Autoscale(Box::new(scale))]), Placement::Whole);
        let count = proto::Expr::Call("count".into(), vec![]);
        let stateful = plan::From { filter: Some(count), dimensions: named(&["host"]), ..plan::From::default() };
        assert_eq!(place(vec![NodeKind::From(stateful), window()]), Placement::Whole);
    }
}
