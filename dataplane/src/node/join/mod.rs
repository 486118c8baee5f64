//! `join`: points or batches of several parents with one time become one (reference: nodes-alert-join-io §1).

mod on;
mod sets;
#[cfg(test)]
mod tests;

use std::rc::Rc;

use hashbrown::HashMap;
use proto::plan;

use self::{
    on::{Matching, is_specific},
    sets::{Part, Set, Sets},
};
use super::{Fault, Operator, Outlet, SnapshotError, StartError, from_state, rewrite::renamed, to_state};
use crate::{
    gotime::round,
    group::{Group, GroupStates, Groups},
    name::Name,
    point::{Barrier, Batch, Point, Row, Rows, SeriesNumber},
    value::{Field, Value, set_field},
};

/// Points and batches that one join keeps waiting. More: the oldest of the group goes out as if nothing more came for it.
/// Tests get there sooner.
pub const WAITING_MAX: usize = if cfg!(test) { 1_000 } else { 1_000_000 };

/// What a message that waits takes, about.
const PART_BYTES: usize = 256;

pub struct Join {
    shape: Shape,
    state: State,
}

struct Shape {
    prefixes: Vec<String>,
    delimiter: String,
    on: Vec<Name>,
    stream_name: Option<Name>,
    tolerance: i64,
    fill: Fill,
    delete_all: bool,
    batches: bool,
    empty: Name,
    /// What fields of each parent are called in the result.
    names: Vec<HashMap<Name, Name, ahash::RandomState>>,
    fields: Vec<Field>,
}

/// What stands for the fields of a parent that is missing in a set.
enum Fill {
    /// Nothing: such sets are thrown away.
    Inner,
    With(Value),
}

#[derive(Default)]
struct State {
    groups: GroupStates<Sets>,
    matching: Matching,
    /// Parts that wait in all groups.
    waiting: usize,
}

impl Join {
    pub fn new(plan: &plan::Join, edge: plan::EdgeType) -> Result<Join, StartError> {
        let names = plan.on.iter().map(|tag| Name::new(tag)).collect::<Result<Vec<_>, _>>();
        let stream_name = Some(plan.stream_name.as_str()).filter(|name| !name.is_empty());
        let shape = Shape {
            prefixes: plan.prefixes.clone(),
            delimiter: plan.delimiter.clone(),
            on: names.map_err(StartError::new)?,
            stream_name: stream_name.map(Name::new).transpose().map_err(StartError::new)?,
            tolerance: plan.tolerance,
            fill: plan.fill.as_ref().map_or(Fill::Inner, |value| Fill::With(value.into())),
            delete_all: plan.delete_all,
            batches: edge == plan::EdgeType::Batch,
            empty: Name::new("").map_err(StartError::new)?,
            names: vec![HashMap::default(); plan.prefixes.len()],
            fields: Vec::new(),
        };
        Ok(Join { shape, state: State::default() })
    }

    /// A message of a parent, with its time already rounded.
    fn arrive(
        &mut self,
        port: usize,
        time: i64,
        group: &Rc<Group>,
        part: Part,
        out: &mut Outlet<'_>,
    ) -> Result<(), Fault> {
        let (on, parents) = (&self.shape.on, self.shape.prefixes.len());
        if on.is_empty() {
            self.put(port, time, group, part, out)?;
        } else if is_specific(on, group) {
            let matches = self.state.matching.specific(on, parents, (port, time), group);
            self.put(port, time, group, part, out)?;
            for (port, part) in matches {
                self.put(port, time, group, part, out)?;
            }
        } else {
            for group in self.state.matching.matched(on, parents, (port, time), group, &part) {
                self.put(port, time, &group, part.clone(), out)?;
            }
        }
        self.release(group, out)
    }

    fn put(
        &mut self,
        port: usize,
        time: i64,
        group: &Rc<Group>,
        part: Part,
        out: &mut Outlet<'_>,
    ) -> Result<(), Fault> {
        let parents = self.shape.prefixes.len();
        let sets = self.state.groups.get_or_insert_with(group, || Sets::new(parents));
        let before = sets.len();
        sets.put(port, time, part);
        let ready = sets.ready();
        self.state.waiting = self.state.waiting + sets.len() - before;
        self.shape.emit_all(ready, group, out)
    }

    /// A parent has come to `time` in a joined group.
    fn reach(&mut self, port: usize, time: i64, group: &Rc<Group>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let Some(sets) = self.state.groups.get_mut(group) else { return Ok(()) };
        sets.reach(port, time);
        loop {
            let before = sets.len();
            let ready = sets.ready();
            if ready.is_empty() {
                return Ok(());
            }
            self.state.waiting = self.state.waiting + sets.len() - before;
            self.shape.emit_all(ready, group, out)?;
        }
    }

    /// While too much waits, the oldest of the group that has just got more goes out, or is no longer waited for.
    fn release(&mut self, group: &Rc<Group>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        while self.state.waiting + self.state.matching.len() > WAITING_MAX {
            out.error("released early", &format_args!("more than {WAITING_MAX} messages wait to be joined"));
            match self.state.groups.get_mut(group).filter(|sets| sets.len() > 0) {
                Some(sets) => {
                    let before = sets.len();
                    let oldest = sets.oldest();
                    self.state.waiting = self.state.waiting + sets.len() - before;
                    self.shape.emit_all(oldest, group, out)?;
                }
                None if self.state.matching.drop_oldest(&self.shape.on, group) => {}
                None => break,
            }
        }
        Ok(())
    }
}

impl Shape {
    fn emit_all(&mut self, sets: Vec<(i64, Set)>, group: &Rc<Group>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        for (time, set) in sets {
            self.emit(time, &set, group, out)?;
        }
        Ok(())
    }

    fn emit(&mut self, time: i64, set: &Set, group: &Rc<Group>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let Some(first) = set.iter().flatten().next() else { return Ok(()) };
        let name = self.stream_name.unwrap_or(first.name);
        let Some(group) = renamed(group, name, out) else { return Ok(()) };
        if matches!(self.fill, Fill::Inner) && set.iter().any(Option::is_none) {
            return match self.batches {
                // A joined batch without points is a batch all the same.
                true => out.batch(&Batch { name, group: &group, time, rows: Rows::new(&[]) }),
                false => Ok(()),
            };
        }
        if self.batches {
            let rows = self.join_rows(set, &group, out);
            return out.batch(&Batch { name, group: &group, time, rows: Rows::new(&rows) });
        }
        let rows: Vec<Option<&Row>> = set.iter().map(|part| part.as_ref().and_then(|part| part.rows.first())).collect();
        let fill = rows.iter().flatten().next().map(|row| field_names(row)).unwrap_or_default();
        self.join_fields(&rows, &fill, out);
        out.point(&Point {
            name,
            database: self.empty,
            retention_policy: self.empty,
            group: &group,
            tags: &group.tags,
            fields: (&self.fields).into(),
            time,
            series: SeriesNumber::NONE,
        })
    }

    /// Merges batches by the times of their points.
    fn join_rows(&mut self, set: &Set, group: &Rc<Group>, out: &mut Outlet<'_>) -> Vec<Row> {
        let parts: Vec<&[Row]> = set.iter().map(|part| part.as_ref().map_or(&[][..], |part| &part.rows)).collect();
        // The names that are filled: those of the first point of the first parent that has points.
        let fill = parts.iter().find_map(|rows| rows.first()).map(field_names).unwrap_or_default();
        let mut next = vec![0; parts.len()];
        let mut joined = Vec::new();
        let tolerance = self.tolerance;
        let time_of = |row: &Row| round(row.as_ref().time(), tolerance);
        loop {
            let heads: Vec<Option<&Row>> = parts.iter().zip(&next).map(|(rows, at)| rows.get(*at)).collect();
            let Some(time) = heads.iter().flatten().map(|row| time_of(row)).min() else { return joined };
            let rows: Vec<Option<&Row>> = heads.into_iter().map(|row| row.filter(|row| time_of(row) == time)).collect();
            for (at, row) in next.iter_mut().zip(&rows) {
                *at += usize::from(row.is_some());
            }
            if matches!(self.fill, Fill::Inner) && rows.iter().any(Option::is_none) {
                continue;
            }
            self.join_fields(&rows, &fill, out);
            joined.push(Row::new(time, group.tags.clone(), &self.fields));
        }
    }

    /// The fields of one row a parent, in the scratch; `fill` names those of a missing one.
    fn join_fields(&mut self, rows: &[Option<&Row>], fill: &[Name], out: &mut Outlet<'_>) {
        self.fields.clear();
        for (port, row) in rows.iter().enumerate() {
            match (row, &self.fill) {
                (Some(row), _) => {
                    for Field { name, value } in row.as_ref().fields().iter() {
                        self.set(port, *name, value.clone(), out);
                    }
                }
                (None, Fill::With(value)) => {
                    let value = value.clone();
                    for name in fill {
                        self.set(port, *name, value.clone(), out);
                    }
                }
                (None, Fill::Inner) => {}
            }
        }
    }

    fn set(&mut self, port: usize, name: Name, value: Value, out: &mut Outlet<'_>) {
        match self.result_name(port, name) {
            Ok(name) => set_field(&mut self.fields, name, value),
            Err(error) => out.error("cannot name a field", &error),
        }
    }

    fn result_name(&mut self, port: usize, name: Name) -> Result<Name, crate::name::TooManyNames> {
        if let Some(known) = self.names.get(port).and_then(|names| names.get(&name)) {
            return Ok(*known);
        }
        let prefix = self.prefixes.get(port).map_or("", String::as_str);
        let full = Name::new(&format!("{prefix}{}{name}", self.delimiter))?;
        if let Some(names) = self.names.get_mut(port) {
            names.insert(name, full);
        }
        Ok(full)
    }
}

fn field_names(row: &Row) -> Vec<Name> {
    row.as_ref().fields().iter().map(|field| field.name).collect()
}

impl Operator for Join {
    fn point(&mut self, port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let time = round(point.time, self.shape.tolerance);
        let part = Part { name: point.name, rows: vec![Row::new(time, point.group.tags.clone(), point.fields.all())] };
        self.arrive(port, time, point.group, part, out)
    }

    fn batch(&mut self, port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let time = round(batch.time, self.shape.tolerance);
        let part = Part { name: batch.name, rows: batch.rows.iter().map(|row| row.to_row()).collect() };
        self.arrive(port, time, batch.group, part, out)
    }

    /// The parent has come to the barrier's time.
    fn barrier(&mut self, port: usize, barrier: &Barrier<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let time = round(barrier.time, self.shape.tolerance);
        let on = &self.shape.on;
        if on.is_empty() || is_specific(on, barrier.group) {
            self.reach(port, time, barrier.group, out)?;
        } else {
            // The time has come in all groups that the parent's points would go to.
            let parents = self.shape.prefixes.len();
            for group in self.state.matching.reached(on, parents, (port, time), barrier.group) {
                self.reach(port, time, &group, out)?;
            }
        }
        out.barrier(barrier)
    }

    fn delete_group(&mut self, _port: usize, group: &Rc<Group>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        if let Some(sets) = self.state.groups.remove(group) {
            self.state.waiting -= sets.len();
        }
        if !self.shape.on.is_empty() {
            self.state.matching.delete(&self.shape.on, group, self.shape.delete_all);
        }
        out.delete_group(group)
    }

    /// What waits goes out, oldest first.
    fn finish(&mut self, out: &mut Outlet<'_>) -> Result<(), Fault> {
        for (group, sets) in self.state.groups.iter_mut() {
            while sets.len() > 0 {
                self.shape.emit_all(sets.oldest(), group, out)?;
            }
        }
        self.state.waiting = 0;
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.state.groups.bytes(|sets| sets.len() * PART_BYTES) + self.state.matching.len() * PART_BYTES
    }

    fn cardinality(&self) -> u64 {
        self.state.groups.len() as u64
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        to_state(&(&self.state.groups, self.state.matching.save(), self.state.waiting))
    }

    fn restore(&mut self, state: &[u8], groups: &Groups) -> Result<(), SnapshotError> {
        let (states, matching, waiting) = from_state(state)?;
        let (states, matching) = (GroupStates::restore(states, groups), Matching::restore(matching, groups));
        self.state = State { groups: states, matching, waiting };
        Ok(())
    }
}
