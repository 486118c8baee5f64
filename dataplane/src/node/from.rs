//! `from`: takes points by database, retention policy, measurement and a lambda, and groups them anew.
//!
//! reference: nodes-stream §4.

use proto::plan;

use super::{BySeries, Fault, Operator, Outlet, SnapshotError, StartError, from_state, grouping::Grouping, to_state};
use crate::{
    expr::{Lambda, Scope, State},
    gotime,
    group::Groups,
    name::Name,
    point::{Batch, Point},
};

pub struct From {
    database: Option<Name>,
    retention_policy: Option<Name>,
    measurement: Option<Name>,
    filter: Option<Lambda>,
    /// One state for all groups.
    state: State,
    truncate: i64,
    round: i64,
    grouping: Grouping,
}

impl From {
    pub fn new(plan: &plan::From) -> Result<From, StartError> {
        let some = |text: &str| match text {
            "" => Ok(None),
            text => Name::new(text).map(Some).map_err(StartError::new),
        };
        Ok(From {
            database: some(&plan.database)?,
            retention_policy: some(&plan.retention_policy)?,
            measurement: some(&plan.measurement)?,
            filter: plan.filter.as_ref().map(Lambda::compile).transpose().map_err(StartError::new)?,
            state: State::default(),
            truncate: plan.truncate,
            round: plan.round,
            grouping: Grouping::new(&plan.dimensions).map_err(StartError::new)?,
        })
    }

    fn takes(&self, point: &Point<'_>) -> bool {
        let takes = |wanted: Option<Name>, found: Name| wanted.is_none_or(|wanted| wanted == found);
        takes(self.database, point.database)
            && takes(self.retention_policy, point.retention_policy)
            && takes(self.measurement, point.name)
    }
}

impl Operator for From {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        if !self.takes(point) {
            return Ok(());
        }
        if let Some(filter) = &mut self.filter {
            match filter.eval_bool(&Scope::of(point, out.context.now), &mut self.state) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => {
                    out.error("failed to evaluate WHERE expression", &error);
                    return Ok(());
                }
            }
        }
        let time = gotime::round(gotime::truncate(point.time, self.truncate), self.round);
        match self.grouping.group(point, false, out) {
            Some(group) => out.point(&Point { group: &group, time, ..*point }),
            None => Ok(()),
        }
    }

    fn batch(&mut self, _port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        out.batch(batch)
    }

    fn by_series(&mut self, point: &Point<'_>, groups: &mut Groups) -> Option<BySeries> {
        if !self.takes(point) {
            return Some(BySeries::Drops);
        }
        if self.filter.is_some() || self.truncate > 0 || self.round > 0 {
            return None;
        }
        self.grouping.find(point.name, point.tags, false, groups).map(BySeries::Passes)
    }

    fn forget_series(&mut self) {
        self.grouping.forget_series();
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        to_state(&(&self.state, self.filter.as_ref().map(Lambda::snapshot_shared)))
    }

    fn restore(&mut self, state: &[u8], _groups: &Groups) -> Result<(), SnapshotError> {
        let (state, shared) = from_state(state)?;
        self.state = state;
        if let (Some(filter), Some(shared)) = (&mut self.filter, shared) {
            filter.restore_shared(shared);
        }
        Ok(())
    }
}
