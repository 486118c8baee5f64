//! What a task reads of a point: named fields, or whole points.
//!
//! Worked out backwards over the plan: each node adds what it reads to what its children want of it, and hides from its
//! parents what it makes itself. What nobody reads is validated on arrival but never converted or staged.

use std::collections::BTreeSet;

use proto::plan::{InfluxQlFunction, Keep, Node, NodeKind, Plan};

/// Fields that are wanted of a measurement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Those that are read of every point.
    pub fields: BTreeSet<String>,
    /// Any other may be asked for at any point.
    pub whole: bool,
}

impl Demand {
    pub fn nothing() -> Self {
        Demand::default()
    }

    /// Whole points.
    pub fn whole() -> Self {
        Demand { whole: true, ..Demand::default() }
    }

    /// What both want.
    pub fn union(mut self, other: Demand) -> Demand {
        self.fields.extend(other.fields);
        Demand { whole: self.whole || other.whole, ..self }
    }

    fn and<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Demand {
        self.fields.extend(names.into_iter().map(str::to_owned));
        self
    }
}

/// What each node of `plan` wants of its parents, by index.
pub fn demands(plan: &Plan) -> Vec<Demand> {
    let mut wanted_by_children = vec![Demand::nothing(); plan.nodes.len()];
    let mut demands = vec![Demand::nothing(); plan.nodes.len()];
    for (index, node) in plan.nodes.iter().enumerate().rev() {
        let children = std::mem::replace(&mut wanted_by_children[index], Demand::nothing());
        let demand = of_node(node, children);
        for &parent in &node.parents {
            if let Some(wanted) = wanted_by_children.get_mut(parent) {
                *wanted = std::mem::replace(wanted, Demand::nothing()).union(demand.clone());
            }
        }
        demands[index] = demand;
    }
    demands
}

/// What one node wants of its parent, given what its children want of it.
fn of_node(node: &Node, children: Demand) -> Demand {
    match &node.kind {
        NodeKind::Stream
        | NodeKind::Batch
        | NodeKind::Query
        | NodeKind::GroupBy(_)
        | NodeKind::Sample(_)
        | NodeKind::Shift { .. }
        | NodeKind::Delete { .. }
        | NodeKind::Barrier(_)
        | NodeKind::Union { .. }
        | NodeKind::Noop
        | NodeKind::Trickle
        | NodeKind::Sideload(_)
        | NodeKind::Window(_) => children,
        // It counts and looks at nothing.
        NodeKind::Stats(_) => Demand::nothing(),
        NodeKind::From(from) => children.and(from.filter.iter().flat_map(|filter| filter.references())),
        NodeKind::Where { predicate }
        | NodeKind::StateDuration { predicate, .. }
        | NodeKind::StateCount { predicate, .. } => children.and(predicate.references()),
        NodeKind::Eval(eval) => {
            let read = eval.expressions.iter().flat_map(|(_, lambda)| lambda.references());
            match &eval.keep {
                Keep::Results => Demand::nothing().and(read),
                Keep::Listed(names) => Demand::nothing().and(read).and(names.iter().map(String::as_str)),
                Keep::All => children.and(read),
            }
        }
        NodeKind::InfluxQl(influxql) => {
            let field = [influxql.field.as_str()];
            match &influxql.function {
                // Selectors hand on the whole point.
                InfluxQlFunction::First
                | InfluxQlFunction::Last
                | InfluxQlFunction::Min
                | InfluxQlFunction::Max
                | InfluxQlFunction::Percentile(_) => children.and(field),
                InfluxQlFunction::Top { fields_and_tags, .. } | InfluxQlFunction::Bottom { fields_and_tags, .. } => {
                    Demand::nothing().and(field).and(fields_and_tags.iter().map(String::as_str))
                }
                _ => Demand::nothing().and(field),
            }
        }
        NodeKind::Default { fields, .. } => children.and(fields.iter().map(|(name, _)| name.as_str())),
        NodeKind::Autoscale(autoscale) => Demand::nothing().and(autoscale.replicas.references()),
        NodeKind::Derivative { field, .. } => children.and([field.as_str()]),
        NodeKind::ChangeDetect { fields } => children.and(fields.iter().map(String::as_str)),
        NodeKind::Alert(alert) => {
            let levels = [&alert.info, &alert.warn, &alert.crit].into_iter();
            let lambdas = levels.flat_map(|level| level.set.iter().chain(&level.reset));
            Demand::whole().and(lambdas.flat_map(|lambda| lambda.references()))
        }
        NodeKind::Flatten(_)
        | NodeKind::Combine(_)
        | NodeKind::Log { .. }
        | NodeKind::HttpOut { .. }
        | NodeKind::HttpPost(_)
        | NodeKind::Join(_)
        | NodeKind::Loopback(_)
        | NodeKind::InfluxDbOut(_)
        | NodeKind::Udf(_)
        | NodeKind::Record(_) => Demand::whole(),
    }
}

#[cfg(test)]
mod tests {
    use proto::{
        Expr,
        plan::{self, EdgeType, InfluxQl, Window},
    };

    use super::*;

    fn chain(kinds: Vec<NodeKind>) -> Plan {
        let nodes = kinds.into_iter().enumerate().map(|(index, kind)| Node {
            name: format!("n{index}"),
            parents: index.checked_sub(1).into_iter().collect(),
            provides: EdgeType::Stream,
            quiet: false,
            kind,
        });
        Plan {
            version: plan::PLAN_VERSION,
            task: "t".into(),
            edge: EdgeType::Stream,
            dbrps: vec![],
            nodes: nodes.collect(),
            levels: vec![],
        }
    }

    fn aggregate(function: InfluxQlFunction) -> NodeKind {
        NodeKind::InfluxQl(InfluxQl { function, field: "usage".into(), r#as: "x".into(), use_point_times: false })
    }

    fn window() -> NodeKind {
        NodeKind::Window(Window::Time { period: 1, every: 1, align: false, fill_period: false })
    }

    #[test]
    fn an_aggregate_wants_one_field_and_hides_what_stands_behind_it() {
        let alert = || NodeKind::HttpOut { endpoint: "o".into() };
        let mean = chain(vec![NodeKind::Stream, window(), aggregate(InfluxQlFunction::Mean), alert()]);
        assert_eq!(demands(&mean)[0], Demand::nothing().and(["usage"]));
        let last = chain(vec![NodeKind::Stream, window(), aggregate(InfluxQlFunction::Last), alert()]);
        assert_eq!(demands(&last)[0], Demand::whole().and(["usage"]));
    }

    #[test]
    fn lambdas_add_what_they_refer_to() {
        let predicate = || Expr::Reference("host".into());
        let task = chain(vec![NodeKind::Stream, NodeKind::Where { predicate: predicate() }, window()]);
        assert_eq!(demands(&task)[0], Demand::nothing().and(["host"]));
    }
}
