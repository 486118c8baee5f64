//! `where`: forwards or drops by a lambda (reference: nodes-stream §5).

use proto::Expr;

use super::{Fault, Operator, Outlet, SnapshotError, StartError, from_state, to_state};
use crate::{
    expr::{Lambda, Scope, State},
    group::{Group, GroupStates, Groups},
    point::{Batch, Point, Row, Rows},
};

pub struct Where {
    predicate: Lambda,
    states: GroupStates<State>,
    rows: Vec<Row>,
}

impl Where {
    pub fn new(predicate: &Expr) -> Result<Where, StartError> {
        let predicate = Lambda::compile(predicate).map_err(StartError::new)?;
        Ok(Where { predicate, states: GroupStates::default(), rows: Vec::new() })
    }
}

impl Operator for Where {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let state = self.states.get_or_insert_with(point.group, State::default);
        match self.predicate.eval_bool(&Scope::of(point, out.context.now), state) {
            Ok(true) => out.point(point)?,
            Ok(false) => {}
            Err(error) => out.error("error while evaluating expression", &error),
        }
        Ok(())
    }

    fn batch(&mut self, _port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let state = self.states.get_or_insert_with(batch.group, State::default);
        self.rows.clear();
        for row in batch.rows.iter() {
            match self.predicate.eval_bool(&Scope::of_row(row, &row.fields(), out.context.now), state) {
                Ok(true) => self.rows.push(row.to_row()),
                Ok(false) => {}
                Err(error) => out.error("error while evaluating expression", &error),
            }
        }
        out.batch(&Batch { rows: Rows::new(&self.rows), ..*batch })
    }

    fn delete_group(&mut self, _port: usize, group: &std::rc::Rc<Group>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        self.states.remove(group);
        out.delete_group(group)
    }

    fn bytes(&self) -> usize {
        self.states.bytes(|_| 0)
    }

    fn cardinality(&self) -> u64 {
        self.states.len() as u64
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        to_state(&(&self.states, self.predicate.snapshot_shared()))
    }

    fn restore(&mut self, state: &[u8], groups: &Groups) -> Result<(), SnapshotError> {
        let (states, shared) = from_state(state)?;
        self.states = GroupStates::restore(states, groups);
        self.predicate.restore_shared(shared);
        Ok(())
    }
}
