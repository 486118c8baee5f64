//! The level of a point: lambdas that set levels and those that let them go (reference: nodes-alert-join-io §2.2).

use proto::{
    plan::{self, AlertLevel},
    value::Level,
};
use serde::{Deserialize, Serialize};

use super::{Outlet, StartError};
use crate::expr::{Lambda, Scope, SharedState, State};

/// One lambda of the node. Its state is that of all groups.
struct Condition {
    lambda: Lambda,
    state: State,
}

pub struct Levels {
    /// Of info, warning and critical.
    levels: [Option<Conditions>; 3],
}

struct Conditions {
    level: Level,
    set: Condition,
    reset: Option<Condition>,
}

/// State of the lambdas as plain data.
#[derive(Default, Serialize, Deserialize)]
pub struct LevelsState(Vec<(State, SharedState)>);

impl Condition {
    fn new(expr: &proto::Expr) -> Result<Condition, StartError> {
        Ok(Condition { lambda: Lambda::compile(expr).map_err(StartError::new)?, state: State::default() })
    }
}

impl Levels {
    pub fn new(plan: &plan::Alert) -> Result<Levels, StartError> {
        let conditions = |level, plan: &AlertLevel| {
            let Some(set) = &plan.set else { return Ok(None) };
            let reset = plan.reset.as_ref().map(Condition::new).transpose()?;
            Ok(Some(Conditions { level, set: Condition::new(set)?, reset }))
        };
        Ok(Levels {
            levels: [
                conditions(Level::Info, &plan.info)?,
                conditions(Level::Warning, &plan.warn)?,
                conditions(Level::Critical, &plan.crit)?,
            ],
        })
    }

    /// The level of a point in a group whose level is `current`.
    pub fn of(&mut self, scope: &Scope<'_>, current: Level, out: &mut Outlet<'_>) -> Level {
        if let Some(level) = self.highest(scope, current.max(Level::Info), Level::Critical, out) {
            return level;
        }
        let reset = self.levels.iter_mut().flatten().find(|conditions| conditions.level == current);
        if let Some(reset) = reset.and_then(|conditions| conditions.reset.as_mut()) {
            match reset.lambda.eval_bool(scope, &mut reset.state) {
                Ok(false) => return current,
                Ok(true) => {}
                Err(error) => out.error("error evaluating reset expression", &error),
            }
        }
        self.highest(scope, Level::Info, current, out).unwrap_or(Level::Ok)
    }

    /// The highest level from `low` to `high` whose lambda is true.
    fn highest(&mut self, scope: &Scope<'_>, low: Level, high: Level, out: &mut Outlet<'_>) -> Option<Level> {
        let between = |conditions: &&mut Conditions| (low..=high).contains(&conditions.level);
        for conditions in self.levels.iter_mut().rev().flatten().filter(between) {
            match conditions.set.lambda.eval_bool(scope, &mut conditions.set.state) {
                Ok(true) => return Some(conditions.level),
                Ok(false) => {}
                Err(error) => out.error("error evaluating expression for level", &error),
            }
        }
        None
    }

    pub fn snapshot(&self) -> LevelsState {
        let state = |condition: &Condition| (condition.state.clone(), condition.lambda.snapshot_shared());
        LevelsState(self.conditions().map(state).collect())
    }

    pub fn restore(&mut self, states: LevelsState) {
        let conditions =
            self.levels.iter_mut().flatten().flat_map(|level| std::iter::once(&mut level.set).chain(&mut level.reset));
        for (condition, (state, shared)) in conditions.zip(states.0) {
            condition.state = state;
            condition.lambda.restore_shared(shared);
        }
    }

    fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.levels.iter().flatten().flat_map(|level| std::iter::once(&level.set).chain(&level.reset))
    }
}
