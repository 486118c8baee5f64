//! A window and the aggregates behind it as one operator: accumulators instead of rows.
//!
//! Only where every row that a window emits came after its last emission, so that nothing needs to be kept: period equals
//! every, and no first window that is longer. Then each point belongs to exactly one emission, in order of arrival, and an
//! accumulator a child says the same as the rows would. Behind a barrier the first points may be older than their window;
//! rows would leave it when it closes, so they are not counted. The statistics of the children stay theirs.

use std::{collections::HashSet, ops::Range, rc::Rc};

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
    arrival::Arrivals,
    fields::Fields,
    group::{Group, GroupStates, Groups},
    name::Name,
    point::{Barrier, Batch, Point, Row},
    prefetch::prefetch,
    tags::TagSet,
};

struct Fused {
    clock: Clock,
    aggregates: Vec<Aggregate>,
    empty: Name,
    windows: GroupStates<State>,
    /// Groups of which a window has ended, which are those that the children know.
    known: u64,
    /// By group, then in the order of the aggregates.
    accumulators: Vec<Accumulated>,
    /// Numbers of groups whose window a barrier began and that no point has come into yet.
    begun: HashSet<u32, ahash::RandomState>,
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
    /// A window of the group has ended.
    known: bool,
}

/// 48 bytes: there may be millions.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Accumulated {
    accumulator: Accumulator,
    rest: Option<Box<Rest>>,
}

/// What most windows need not remember.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Rest {
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
    Some(Box::new(Fused {
        clock,
        aggregates,
        empty: Name::new("").ok()?,
        windows: GroupStates::default(),
        known: 0,
        accumulators: Vec::new(),
        begun: HashSet::default(),
    }))
}

impl Aggregate {
    /// Takes its field of a point; `tags` are asked for where the whole point is kept.
    #[inline]
    fn push<'a>(
        &self,
        state: &mut Accumulated,
        (time, fields): (i64, Fields<'a>),
        tags: impl FnOnce() -> Option<&'a Rc<TagSet>>,
    ) {
        let Some(value) = fields.get(self.field) else {
            if state.accumulator.kind.is_none() {
                state.rest().missing += 1;
            }
            return;
        };
        match state.accumulator.push(&self.function, time, value) {
            Taken::Yes | Taken::Skipped => {}
            Taken::Chosen => {
                if let Some(tags) = tags() {
                    Row::replace(&mut state.rest().row, time, tags, fields.all());
                }
            }
            Taken::Unsupported => {
                let rest = state.rest();
                if rest.unsupported.len() < ERRORS_MAX {
                    rest.unsupported.push(unsupported(&self.function, self.field, value));
                } else {
                    rest.missing += 1;
                }
            }
        }
    }

    fn emit(
        &self,
        state: &Accumulated,
        (name, group, time): (Name, &Rc<Group>, i64),
        empty: Name,
        out: &mut Outlet<'_>,
    ) -> Result<(), Fault> {
        if let Some(rest) = &state.rest {
            for _ in 0..rest.missing {
                let error = format_args!("field {:?} missing from point", self.field);
                out.error("failed to realize reduce context from fields", &error);
            }
            for error in &rest.unsupported {
                out.error("failed to create reduce context", error);
            }
        }
        let accumulator = &state.accumulator;
        let Some(value) = accumulator.result(&self.function) else { return Ok(()) };
        let at = |point: Option<i64>| if self.use_point_times { point.unwrap_or(time) } else { time };
        match state.rest.as_ref().and_then(|rest| rest.row.as_ref()) {
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
    /// Where the accumulators of a group are.
    fn places(&self, index: u32) -> Range<usize> {
        let start = index as usize * self.aggregates.len();
        start..start + self.aggregates.len()
    }

    /// Makes the point's group have a window that the point lies in.
    fn turn(&mut self, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let clock = self.clock;
        let new = || State { name: point.name, next_emit: clock.first(point.time), known: false };
        if point.time >= self.windows.get_or_insert_with(point.group, new).next_emit {
            self.emit(point.group, point.time, out)?;
        }
        self.make_room(point.group.index);
        Ok(())
    }

    /// Makes a group have accumulators.
    fn make_room(&mut self, index: u32) {
        let places = self.places(index);
        if places.end > self.accumulators.len() {
            self.accumulators.resize(places.end, Accumulated::default());
        }
    }

    /// Whether a point of a group is older than its window, with no point of the window before it.
    #[inline]
    fn is_stale(&mut self, index: u32, time: i64) -> bool {
        if self.begun.is_empty() || !self.begun.contains(&index) {
            return false;
        }
        let end = self.windows.at_mut(index).map_or(i64::MIN, |state| state.next_emit);
        let is_stale = time < end.saturating_sub(self.clock.period);
        if !is_stale {
            self.begun.remove(&index);
        }
        is_stale
    }

    /// Time has reached `now`, behind the end of the group's window.
    fn emit(&mut self, group: &Rc<Group>, now: i64, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let places = self.places(group.index);
        let Some(state) = self.windows.get_mut(group) else { return Ok(()) };
        let time = std::mem::replace(&mut state.next_emit, self.clock.next(now));
        if !std::mem::replace(&mut state.known, true) {
            self.known += 1;
        }
        let ended = self.accumulators.get_mut(places).unwrap_or_default();
        for (nth, (aggregate, accumulated)) in self.aggregates.iter().zip(ended).enumerate() {
            let empty = self.empty;
            let done = out.as_child(nth, |out| aggregate.emit(accumulated, (state.name, group, time), empty, out));
            done.unwrap_or(Ok(()))?;
            accumulated.clear();
        }
        Ok(())
    }

    fn forget(&mut self, group: &Group) {
        let places = self.places(group.index);
        self.accumulators.get_mut(places).unwrap_or_default().fill(Accumulated::default());
        self.begun.remove(&group.index);
    }
}

impl Accumulated {
    fn rest(&mut self) -> &mut Rest {
        self.rest.get_or_insert_default()
    }

    /// A row is left where it is, so that the next one chosen can take its place.
    fn clear(&mut self) {
        self.accumulator = Accumulator::default();
        if let Some(rest) = &mut self.rest {
            rest.missing = 0;
            rest.unsupported.clear();
        }
    }
}

impl Operator for Fused {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        self.turn(point, out)?;
        if self.is_stale(point.group.index, point.time) {
            return Ok(());
        }
        let places = self.places(point.group.index);
        let accumulators = self.accumulators.get_mut(places).unwrap_or_default();
        for (aggregate, accumulated) in self.aggregates.iter().zip(accumulators) {
            aggregate.push(accumulated, (point.time, point.fields), || Some(point.tags));
        }
        Ok(())
    }

    fn arrivals(&mut self, _port: usize, arrivals: &Arrivals<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        for arrival in arrivals.iter() {
            let Some(index) = arrival.way.group_index() else { continue };
            let time = arrival.time();
            if self.windows.at_mut(index).is_none_or(|state| time >= state.next_emit)
                && let Some(point) = arrival.point()
            {
                out.context.order = arrival.order();
                self.turn(&point, out)?;
            }
            if self.is_stale(index, time) {
                continue;
            }
            let places = self.places(index);
            let accumulators = self.accumulators.get_mut(places).unwrap_or_default();
            for (aggregate, accumulated) in self.aggregates.iter().zip(accumulators) {
                aggregate.push(accumulated, (time, arrival.fields()), || arrival.point().map(|point| point.tags));
            }
        }
        Ok(())
    }

    fn prefetch(&self, groups: &mut dyn Iterator<Item = u32>) {
        for index in groups {
            self.windows.prefetch(index);
            let places = self.places(index);
            prefetch(&self.accumulators, places.start);
            prefetch(&self.accumulators, places.end - 1);
        }
    }

    fn batch(&mut self, _port: usize, _batch: &Batch<'_>, _out: &mut Outlet<'_>) -> Result<(), Fault> {
        Err(Fault::new("cannot window a batch"))
    }

    /// A barrier moves the clock like a point, and ends here.
    fn barrier(&mut self, _port: usize, barrier: &Barrier<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let (clock, groups) = (self.clock, self.windows.len());
        let new = || State { name: barrier.name, next_emit: clock.first(barrier.time), known: false };
        let ends = barrier.time >= self.windows.get_or_insert_with(barrier.group, new).next_emit;
        if ends {
            self.emit(barrier.group, barrier.time, out)?;
        }
        if ends || self.windows.len() > groups {
            self.make_room(barrier.group.index);
            self.begun.insert(barrier.group.index);
        }
        Ok(())
    }

    fn delete_group(&mut self, _port: usize, group: &Rc<Group>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        if self.windows.remove(group).is_some_and(|state| state.known) {
            self.known -= 1;
        }
        self.forget(group);
        out.delete_group(group)
    }

    fn bytes(&self) -> usize {
        // A rest holds a row of a few fields.
        const REST_BYTES: usize = size_of::<Rest>() + 128;
        let accumulators = self.accumulators.len();
        let step = (accumulators / 1_024).max(1);
        let rests = self.accumulators.iter().step_by(step).filter(|accumulated| accumulated.rest.is_some()).count();
        let behind = (rests * step).min(accumulators) * REST_BYTES;
        let begun = self.begun.capacity() * size_of::<u32>();
        self.windows.bytes(|_| 0) + self.accumulators.capacity() * size_of::<Accumulated>() + behind + begun
    }

    fn cardinality(&self) -> u64 {
        self.windows.len() as u64
    }

    fn cardinality_of_children(&self) -> Option<u64> {
        Some(self.known)
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        to_state(&(&self.windows, &self.accumulators, &self.begun))
    }

    fn restore(&mut self, state: &[u8], groups: &Groups) -> Result<(), SnapshotError> {
        let (windows, accumulators, begun) = from_state(state)?;
        (self.windows, self.accumulators, self.begun) = (GroupStates::restore(windows, groups), accumulators, begun);
        self.known = self.windows.iter().filter(|(_, state)| state.known).count() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
