//! `combine`: the points of one time with each other (reference: nodes-stream §13).

use std::rc::Rc;

use proto::plan;
use serde::{Deserialize, Serialize};

use super::{Fault, Operator, Outlet, SnapshotError, StartError, from_state, to_state};
use crate::{
    expr::{Lambda, Scope, State},
    gotime::round,
    group::{Group, GroupStates, Groups},
    name::Name,
    point::{Batch, Point, Row, SeriesNumber, bytes_of_rows},
    tags::TagSet,
    value::{Field, set_field},
};

pub struct Combine {
    shape: Shape,
    states: GroupStates<Pending>,
}

struct Shape {
    lambdas: Vec<(String, Lambda)>,
    delimiter: String,
    tolerance: i64,
    max: i64,
    empty: Name,
}

#[derive(Serialize, Deserialize)]
struct Pending {
    name: Name,
    time: i64,
    rows: Vec<Row>,
    lambdas: Vec<State>,
}

impl Combine {
    pub fn new(plan: &plan::Combine) -> Result<Combine, StartError> {
        let lambda = |(name, lambda): &(String, proto::Expr)| {
            Ok((name.clone(), Lambda::compile(lambda).map_err(StartError::new)?))
        };
        let shape = Shape {
            lambdas: plan.expressions.iter().map(lambda).collect::<Result<_, StartError>>()?,
            delimiter: plan.delimiter.clone(),
            tolerance: plan.tolerance,
            max: plan.max,
            empty: Name::new("").map_err(StartError::new)?,
        };
        Ok(Combine { shape, states: GroupStates::default() })
    }
}

/// Number of k-subsets of n; saturates.
fn combinations(n: usize, k: usize) -> i64 {
    let mut count: i64 = 1;
    for i in 0..k {
        // Exact at each step: a product of i + 1 numbers in a row is divisible by (i + 1)!.
        let Some(next) = count.checked_mul((n - i) as i64) else { return i64::MAX };
        count = next / (i as i64 + 1);
    }
    count
}

impl Shape {
    /// Emits every combination of the rows of one time.
    fn emit(
        &mut self,
        (name, group, time): (Name, &Rc<Group>, i64),
        rows: &[Row],
        states: &mut [State],
        out: &mut Outlet<'_>,
    ) -> Result<(), Fault> {
        let (n, k) = (rows.len(), self.lambdas.len());
        // Each lambda runs once a row, whatever comes of it.
        let mut matches = vec![vec![false; n]; k];
        for (index, row) in rows.iter().enumerate() {
            let row = row.as_ref();
            let fields = row.fields();
            for ((at, (_, lambda)), state) in self.lambdas.iter_mut().enumerate().zip(states.iter_mut()) {
                match lambda.eval_bool(&Scope::of_row(row, &fields, out.context.now), state) {
                    Ok(matched) => matches[at][index] = matched,
                    Err(error) => out.error("error evaluating lambda expression", &error),
                }
            }
        }
        if n < k || k == 0 {
            return Ok(());
        }
        let total = combinations(n, k);
        if total > self.max {
            return Err(Fault::new(format!(
                "refusing to perform combination as total combinations {total} exceeds max combinations {}",
                self.max
            )));
        }
        let mut subset: Vec<usize> = (0..k).collect();
        loop {
            if let Some(chosen) = assign(&matches, &subset) {
                self.emit_one((name, group, time), rows, &chosen, out)?;
            }
            // The next subset in lexicographic order.
            let Some(at) = (0..k).rev().find(|&at| subset[at] < n - k + at) else { return Ok(()) };
            subset[at] += 1;
            for next in at + 1..k {
                subset[next] = subset[next - 1] + 1;
            }
        }
    }

    fn emit_one(
        &self,
        (name, group, time): (Name, &Rc<Group>, i64),
        rows: &[Row],
        chosen: &[usize],
        out: &mut Outlet<'_>,
    ) -> Result<(), Fault> {
        let mut fields: Vec<Field> = Vec::new();
        let mut tags: Vec<(Name, Rc<str>)> = group.tags.iter().cloned().collect();
        for ((prefix, _), index) in self.lambdas.iter().zip(chosen) {
            let Some(row) = rows.get(*index).map(Row::as_ref) else { continue };
            let prefixed = |name: Name| Name::new(&format!("{prefix}{}{name}", self.delimiter));
            for field in row.fields().iter() {
                match prefixed(field.name) {
                    Ok(name) => set_field(&mut fields, name, field.value.clone()),
                    Err(error) => out.error("cannot name a field", &error),
                }
            }
            for (key, value) in row.tags().iter().filter(|(key, _)| group.tags.get(*key).is_none()) {
                match prefixed(*key) {
                    Ok(name) => tags.push((name, value.clone())),
                    Err(error) => out.error("cannot name a tag", &error),
                }
            }
        }
        let tags = Rc::new(TagSet::new(tags));
        out.point(&Point {
            name,
            database: self.empty,
            retention_policy: self.empty,
            group,
            tags: &tags,
            fields: (&fields).into(),
            time,
            series: SeriesNumber::NONE,
        })
    }
}

/// For each lambda the first row of the subset that matches and is not taken; without a second try.
fn assign(matches: &[Vec<bool>], subset: &[usize]) -> Option<Vec<usize>> {
    let mut chosen = Vec::with_capacity(subset.len());
    for matched in matches {
        let row = subset.iter().find(|row| matched[**row] && !chosen.contains(*row))?;
        chosen.push(*row);
    }
    Some(chosen)
}

impl Operator for Combine {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let time = round(point.time, self.shape.tolerance);
        let count = self.shape.lambdas.len();
        let new = || Pending { name: point.name, time, rows: Vec::new(), lambdas: vec![State::default(); count] };
        let pending = self.states.get_or_insert_with(point.group, new);
        if pending.time != time {
            let place = (pending.name, point.group, pending.time);
            self.shape.emit(place, &pending.rows, &mut pending.lambdas, out)?;
            pending.rows.clear();
            pending.time = time;
        }
        pending.rows.push(Row::new(point.time, point.tags.clone(), point.fields.all()));
        Ok(())
    }

    fn batch(&mut self, _port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let count = self.shape.lambdas.len();
        let new =
            || Pending { name: batch.name, time: batch.time, rows: Vec::new(), lambdas: vec![State::default(); count] };
        let pending = self.states.get_or_insert_with(batch.group, new);
        let mut rows: Vec<Row> = Vec::new();
        let mut time = 0;
        for row in batch.rows.iter() {
            let at = round(row.time(), self.shape.tolerance);
            if at != time && !rows.is_empty() {
                self.shape.emit((batch.name, batch.group, time), &rows, &mut pending.lambdas, out)?;
                rows.clear();
            }
            time = at;
            rows.push(row.to_row());
        }
        self.shape.emit((batch.name, batch.group, time), &rows, &mut pending.lambdas, out)
    }

    fn delete_group(&mut self, _port: usize, group: &Rc<Group>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        self.states.remove(group);
        out.delete_group(group)
    }

    fn bytes(&self) -> usize {
        self.states.bytes(|pending| bytes_of_rows(&pending.rows))
    }

    fn cardinality(&self) -> u64 {
        self.states.len() as u64
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        let shared: Vec<_> = self.shape.lambdas.iter().map(|(_, lambda)| lambda.snapshot_shared()).collect();
        to_state(&(&self.states, shared))
    }

    fn restore(&mut self, state: &[u8], groups: &Groups) -> Result<(), SnapshotError> {
        let (states, shared): (_, Vec<_>) = from_state(state)?;
        self.states = GroupStates::restore(states, groups);
        for ((_, lambda), shared) in self.shape.lambdas.iter_mut().zip(shared) {
            lambda.restore_shared(shared);
        }
        Ok(())
    }
}
