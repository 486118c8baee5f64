//! Whether the number of copies changes: bounds and cooldowns (reference: nodes-alert-join-io §9).

use proto::plan;
use serde::{Deserialize, Serialize};

/// What is known of a resource. Times are those of points, nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    current: i64,
    increased: Option<i64>,
    decreased: Option<i64>,
}

/// A change that was decided on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    pub old: i64,
    pub new: i64,
    /// Of the point that asked for it.
    pub time: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Stay,
    /// The last change of this direction is too near.
    Cool,
    Change(Change),
}

impl Resource {
    pub fn new(current: i64) -> Resource {
        Resource { current, increased: None, decreased: None }
    }

    pub fn current(&self) -> i64 {
        self.current
    }

    /// What becomes of `wanted` copies. Each direction cools down by itself; `min` counts before `max`.
    pub fn decide(&self, plan: &plan::Autoscale, wanted: i64, time: i64) -> Decision {
        let bounded = if plan.max > 0 { wanted.min(plan.max) } else { wanted };
        let new = bounded.max(plan.min);
        if new == self.current {
            return Decision::Stay;
        }
        let (last, cooldown) = match new > self.current {
            true => (self.increased, plan.increase_cooldown),
            false => (self.decreased, plan.decrease_cooldown),
        };
        if last.is_some_and(|last| time < last.saturating_add(cooldown)) {
            return Decision::Cool;
        }
        Decision::Change(Change { old: self.current, new, time })
    }

    /// The change has been made.
    pub fn apply(&mut self, change: Change) {
        let last = if change.is_increase() { &mut self.increased } else { &mut self.decreased };
        *last = Some(change.time);
        self.current = change.new;
    }
}

impl Change {
    pub fn is_increase(self) -> bool {
        self.new > self.old
    }
}

#[cfg(test)]
mod tests {
    use proto::{Expr, Value};

    use super::*;

    fn plan(min: i64, max: i64) -> plan::Autoscale {
        let (access, namespace, kind) = (plan::KubernetesAccess::default(), String::new(), String::new());
        let scaler = plan::Scaler::Kubernetes { access, namespace, kind };
        let resource = plan::ResourceName::Fixed("r".into());
        let any = plan::Autoscale::new(scaler, resource, Expr::Literal(Value::Int(1)));
        plan::Autoscale { min, max, increase_cooldown: 10, decrease_cooldown: 100, ..any }
    }

    fn new(decision: Decision) -> Option<i64> {
        match decision {
            Decision::Change(change) => Some(change.new),
            _ => None,
        }
    }

    #[test]
    fn wanted_copies_are_kept_in_their_bounds() {
        let resource = Resource::new(5);
        for (min, max, wanted, expected) in [
            (1, 0, 1_000, Some(1_000)),
            (1, 8, 1_000, Some(8)),
            (3, 8, 0, Some(3)),
            (3, 8, -7, Some(3)),
            (1, 5, 9, None),
            (5, 0, 2, None),
            (1, 8, 5, None),
            // A contradiction: the least wins.
            (9, 7, 8, Some(9)),
        ] {
            assert_eq!(new(resource.decide(&plan(min, max), wanted, 0)), expected, "{min}..{max}: {wanted}");
        }
    }

    #[test]
    fn each_direction_cools_down_by_itself() {
        let plan = plan(1, 0);
        let mut resource = Resource::new(5);
        let mut at = |wanted: i64, time: i64| {
            let decision = resource.decide(&plan, wanted, time);
            if let Decision::Change(change) = decision {
                resource.apply(change);
            }
            decision
        };
        let change = |old, new, time| Decision::Change(Change { old, new, time });
        // Before any change nothing is hot, whatever the time is.
        assert_eq!(at(6, -1_000), change(5, 6, -1_000));
        assert_eq!(at(7, -991), Decision::Cool);
        assert_eq!(at(4, -991), change(6, 4, -991));
        assert_eq!(at(7, -990), change(4, 7, -990));
        assert_eq!(at(3, -892), Decision::Cool);
        assert_eq!(at(3, -891), change(7, 3, -891));
        // A time that goes back is still hot.
        assert_eq!(at(9, -2_000), Decision::Cool);
    }
}
