//! A window and the aggregates behind it as one operator: accumulators instead of rows.
//!
//! Only where every row that a window emits came after its last emission, so that nothing needs to be kept: period equals
//! every, and no first window that is longer. Then each point belongs to exactly one emission, in order of arrival, and an
//! accumulator a child says the same as the rows would. The statistics of the children stay theirs.

use std::rc::Rc;

use proto::plan::{InfluxQl, InfluxQlFunction, Window};
use serde::{Deserialize, Serialize};

use super::{
    Fault, Operator, Outlet, SnapshotError, from_state,
    influxql::{
        accumulate::{Accumulator, Taken, accumulates, is_choice},
        reduce::{emit, emit_choice, point_time},
        unsupported,
    },
    to_state,
    window::Clock,
};
use crate::{
    group::{Group, GroupStates, Groups},
    name::Name,
    point::{Barrier, Batch, Point, Row},
};

struct Fused {
    clock: Clock,
    aggregates: Vec<Aggregate>,
    empty: Name,
    windows: GroupStates<State>,
}

/// One child of the window.
struct Aggregate {
    function: InfluxQlFunction,
    field: Name,
    result: Name,
    use_point_times: bool,
}

#[derive(Serialize, Deserialize)]
struct State {
    /// Of the group's first point, for ever.
    name: Name,
    next_emit: i64,
    /// In the order of the aggregates.
    accumulators: Vec<Accumulated>,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Accumulated {
    accumulator: Accumulator,
    /// The chosen point, of functions that choose one.
    row: Option<Row>,
    /// Points before the first usable one that lacked the field.
    missing: u64,
    /// The same, with a value that the function does not take; the last one's text.
    unsupported: Vec<String>,
}

/// Errors of one kind that a window remembers until it is emitted.
const ERRORS_MAX: usize = 16;

/// The fused operator of a window with these children, if they can be fused.
pub fn fuse(window: &Window, children: &[&InfluxQl]) -> Option<Box<dyn Operator>> {
    let Window::Time { period, every, align, fill_period } = *window else { return None };
    if period <= 0 || period != every || fill_period && align {
        return None;
    }
    let aggregate = |child: &&InfluxQl| {
        accumulates(&child.function).then_some(())?;
        Some(Aggregate {
            function: child.function.clone(),
            field: Name::new(&child.field).ok()?,
            result: Name::new(&child.r#as).ok()?,
            use_point_times: child.use_point_times,
        })
    };
    let aggregates = children.iter().map(aggregate).collect::<Option<Vec<_>>>()?;
    let clock = Clock { period, every, align, fill_period };
    Some(Box::new(Fused { clock, aggregates, empty: Name::new("").ok()?, windows: GroupStates::default() }))
}

impl Aggregate {
    fn push(&self, state: &mut Accumulated, point: &Point<'_>) {
        let Some(value) = point.field(self.field) else {
            state.missing += u64::from(state.accumulator.kind.is_none());
            return;
        };
        match state.accumulator.push(&self.function, point.time, value) {
            Taken::Chosen => state.row = Some(Row::new(point.time, point.tags.clone(), point.fields.all())),
            Taken::Unsupported if state.unsupported.len() < ERRORS_MAX => {
                state.unsupported.push(unsupported(&self.function, self.field, value));
            }
            Taken::Unsupported => state.missing += 1,
            Taken::Yes | Taken::Skipped => {}
        }
    }

    fn emit(
        &self,
        state: &Accumulated,
        (name, group, time): (Name, &Rc<Group>, i64),
        empty: Name,
        out: &mut Outlet<'_>,
    ) -> Result<(), Fault> {
        for _ in 0..state.missing {
            let error = format_args!("field {:?} missing from point", self.field);
            out.error("failed to realize reduce context from fields", &error);
        }
        for error in &state.unsupported {
            out.error("failed to create reduce context", error);
        }
        let accumulator = &state.accumulator;
        let Some(value) = accumulator.result(&self.function) else { return Ok(()) };
        let at = |point: Option<i64>| if self.use_point_times { point.unwrap_or(time) } else { time };
        match &state.row {
            Some(row) if is_choice(&self.function) => {
                let names = (self.field, self.result, empty);
                emit_choice(names, (name, group), row.as_ref(), at(accumulator.chosen_time()), value, out)
            }
            _ => {
                let time = at(point_time(&self.function, accumulator.count));
                emit(self.result, empty, name, group, time, value, out)
            }
        }
    }
}

impl Fused {
    fn advance(
        clock: Clock,
        aggregates: &[Aggregate],
        empty: Name,
        state: &mut State,
        (group, now): (&Rc<Group>, i64),
        out: &mut Outlet<'_>,
    ) -> Result<(), Fault> {
        if now < state.next_emit {
            return Ok(());
        }
        let time = std::mem::replace(&mut state.next_emit, clock.next(now));
        for (nth, aggregate) in aggregates.iter().enumerate() {
            let Some(accumulated) = state.accumulators.get_mut(nth) else { continue };
            let done = out.as_child(nth, |out| aggregate.emit(accumulated, (state.name, group, time), empty, out));
            done.unwrap_or(Ok(()))?;
            accumulated.clear();
        }
        Ok(())
    }
}

impl Accumulated {
    fn clear(&mut self) {
        self.accumulator = Accumulator::default();
        self.row = None;
        self.missing = 0;
        self.unsupported.clear();
    }
}

impl Operator for Fused {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let (clock, empty, count) = (self.clock, self.empty, self.aggregates.len());
        let new = || State {
            name: point.name,
            next_emit: clock.first(point.time),
            accumulators: vec![Accumulated::default(); count],
        };
        let state = self.windows.get_or_insert_with(point.group, new);
        Self::advance(clock, &self.aggregates, empty, state, (point.group, point.time), out)?;
        for (aggregate, accumulated) in self.aggregates.iter().zip(&mut state.accumulators) {
            aggregate.push(accumulated, point);
        }
        Ok(())
    }

    fn batch(&mut self, _port: usize, _batch: &Batch<'_>, _out: &mut Outlet<'_>) -> Result<(), Fault> {
        Err(Fault::new("cannot window a batch"))
    }

    /// Plans whose windows a barrier can reach are not fused; one that comes all the same moves the clock and ends here.
    fn barrier(&mut self, _port: usize, barrier: &Barrier<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let Some(state) = self.windows.get_mut(barrier.group) else { return Ok(()) };
        let now = (barrier.group, barrier.time);
        Self::advance(self.clock, &self.aggregates, self.empty, state, now, out)
    }

    fn delete_group(&mut self, _port: usize, group: &Rc<Group>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        self.windows.remove(group);
        out.delete_group(group)
    }

    fn cardinality(&self) -> u64 {
        self.windows.len() as u64
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        to_state(&self.windows)
    }

    fn restore(&mut self, state: &[u8], _groups: &Groups) -> Result<(), SnapshotError> {
        self.windows = from_state(state)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
