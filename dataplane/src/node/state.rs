//! `stateDuration` and `stateCount`: how long, and for how many points, a lambda has been true.
//!
//! reference: nodes-stream §12. One operator for both: they differ in what they count.

use std::rc::Rc;

use proto::Expr;
use serde::{Deserialize, Serialize};

use super::{Fault, Operator, Outlet, SnapshotError, StartError, from_state, to_state};
use crate::{
    expr::{Lambda, Scope, State as LambdaState},
    group::{Group, GroupStates, Groups},
    name::Name,
    point::{Batch, Point, Row, Rows},
    value::{Field, Value, set_field},
};

pub struct StateTracker {
    predicate: Lambda,
    measure: Measure,
    result: Name,
    states: GroupStates<Tracked>,
    fields: Vec<Field>,
    rows: Vec<Row>,
}

/// What is measured while the lambda is true.
#[derive(Clone, Copy, Debug)]
pub enum Measure {
    /// Time in this unit (nanoseconds).
    Duration(i64),
    Count,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Tracked {
    lambda: LambdaState,
    since: Option<Since>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Since {
    start: i64,
    count: i64,
}

impl StateTracker {
    pub fn new(predicate: &Expr, measure: Measure, result: &str) -> Result<StateTracker, StartError> {
        Ok(StateTracker {
            predicate: Lambda::compile(predicate).map_err(StartError::new)?,
            measure,
            result: Name::new(result).map_err(StartError::new)?,
            states: GroupStates::default(),
            fields: Vec::new(),
            rows: Vec::new(),
        })
    }
}

impl Tracked {
    fn measure(&mut self, measure: Measure, is_in: bool, time: i64) -> Value {
        if !is_in {
            self.since = None;
            return match measure {
                Measure::Duration(_) => Value::Float(-1.0),
                Measure::Count => Value::Int(-1),
            };
        }
        let since = self.since.get_or_insert(Since { start: time, count: 0 });
        since.count += 1;
        match measure {
            Measure::Duration(unit) => Value::Float(time.wrapping_sub(since.start) as f64 / unit as f64),
            Measure::Count => Value::Int(since.count),
        }
    }
}

impl Operator for StateTracker {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let tracked = self.states.get_or_insert_with(point.group, Tracked::default);
        match self.predicate.eval_bool(&Scope::of(point, out.context.now), &mut tracked.lambda) {
            Ok(is_in) => {
                self.fields.clear();
                self.fields.extend_from_slice(point.fields.all());
                set_field(&mut self.fields, self.result, tracked.measure(self.measure, is_in, point.time));
                out.point(&Point { fields: (&self.fields).into(), ..*point })
            }
            Err(error) => {
                out.error("error while evaluating expression", &error);
                Ok(())
            }
        }
    }

    fn batch(&mut self, _port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let tracked = self.states.get_or_insert_with(batch.group, Tracked::default);
        tracked.since = None;
        self.rows.clear();
        for row in batch.rows.iter() {
            let fields = row.fields();
            let scope = Scope::of_row(row, &fields, out.context.now);
            match self.predicate.eval_bool(&scope, &mut tracked.lambda) {
                Ok(is_in) => {
                    let value = tracked.measure(self.measure, is_in, row.time());
                    let mut fields = fields.into_owned();
                    set_field(&mut fields, self.result, value);
                    self.rows.push(Row::new(row.time(), row.tags().clone(), &fields));
                }
                Err(error) => out.error("error while evaluating expression", &error),
            }
        }
        out.batch(&Batch { rows: Rows::new(&self.rows), ..*batch })
    }

    fn delete_group(&mut self, _port: usize, group: &Rc<Group>, out: &mut Outlet<'_>) -> Result<(), Fault> {
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
