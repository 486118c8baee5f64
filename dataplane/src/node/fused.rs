//! A window and the aggregates behind it as one operator: accumulators instead of rows.
//!
//! Only where every row that a window emits came after its last emission, so that nothing needs to be kept: period equals
//! every, and no first window that is longer. Then each point belongs to exactly one emission, in order of arrival, and an
//! accumulator a child says the same as the rows would. Behind a barrier the first points may be older than their window;
//! rows would leave it when it closes, so they are not counted. The statistics of the children stay theirs.

use std::{collections::HashSet, iter, ops::Range, rc::Rc};

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
    known: Known,
    /// Of the aggregates but the first: by group, then in their order.
    others: Vec<Accumulated>,
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

/// With the group that holds it 64 bytes, a line of the cache: there may be millions.
#[derive(Serialize, Deserialize)]
struct State {
    /// Of the group's first point, for ever.
    name: Name,
    next_emit: i64,
    /// Of the first aggregate, mostly the only one.
    accumulated: Accumulated,
}

const _: () = assert!(size_of::<Option<(Rc<Group>, State)>>() == 64);

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

/// Numbers of groups: a bit each, so that many are in the cache.
#[derive(Default, Serialize, Deserialize)]
struct Known {
    bits: Vec<u64>,
    count: u64,
}

impl Known {
    fn set(&mut self, index: u32, known: bool) {
        let (place, bit) = ((index / u64::BITS) as usize, 1 << (index % u64::BITS));
        if place >= self.bits.len() {
            self.bits.resize(place + 1, 0);
        }
        let word = &mut self.bits[place];
        if (*word & bit != 0) != known {
            *word ^= bit;
            if known { self.count += 1 } else { self.count -= 1 }
        }
    }
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
        known: Known::default(),
        others: Vec::new(),
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
            if state.accumulator.kind().is_none() {
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
                let time = at(point_time(&self.function, accumulator.count()));
                emit(self.result, empty, name, group, time, value, out)
            }
        }
    }
}

impl Fused {
    /// Where the accumulators of a group are, but the first.
    fn places(&self, index: u32) -> Range<usize> {
        let others = self.aggregates.len().saturating_sub(1);
        let start = index as usize * others;
        start..start + others
    }

    /// Makes the group have a window that `time` lies in; a group without one gets the name of its first point.
    fn turn(
        &mut self,
        group: &Rc<Group>,
        time: i64,
        name: impl FnOnce() -> Option<Name>,
        out: &mut Outlet<'_>,
    ) -> Result<(), Fault> {
        if self.windows.get_mut(group).is_none() {
            let Some(name) = name() else { return Ok(()) };
            self.begin(group, time, name);
        }
        match self.windows.get_mut(group) {
            Some(state) if time >= state.next_emit => self.emit(group, time, out),
            _ => Ok(()),
        }
    }

    /// Gives a group its first window.
    fn begin(&mut self, group: &Rc<Group>, time: i64, name: Name) {
        let next_emit = self.clock.first(time);
        self.windows.get_or_insert_with(group, || State { name, next_emit, accumulated: Accumulated::default() });
        let places = self.places(group.index);
        if places.end > self.others.len() {
            self.others.resize(places.end, Accumulated::default());
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
        self.known.set(group.index, true);
        let ended = iter::once(&mut state.accumulated).chain(self.others.get_mut(places).unwrap_or_default());
        for (nth, (aggregate, accumulated)) in self.aggregates.iter().zip(ended).enumerate() {
            let empty = self.empty;
            let done = out.as_child(nth, |out| aggregate.emit(accumulated, (state.name, group, time), empty, out));
            done.unwrap_or(Ok(()))?;
            accumulated.clear();
        }
        Ok(())
    }

    /// Takes a point in its group's window.
    #[inline]
    fn push<'a>(&mut self, index: u32, point: (i64, Fields<'a>), tags: impl Fn() -> Option<&'a Rc<TagSet>>) {
        if self.is_stale(index, point.0) {
            return;
        }
        let places = self.places(index);
        let (Some(state), Some((first, others))) = (self.windows.at_mut(index), self.aggregates.split_first()) else {
            return;
        };
        first.push(&mut state.accumulated, point, &tags);
        for (aggregate, accumulated) in others.iter().zip(self.others.get_mut(places).unwrap_or_default()) {
            aggregate.push(accumulated, point, &tags);
        }
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
        if self.windows.get_mut(point.group).is_none_or(|state| point.time >= state.next_emit) {
            self.turn(point.group, point.time, || Some(point.name), out)?;
        }
        self.push(point.group.index, (point.time, point.fields), || Some(point.tags));
        Ok(())
    }

    fn arrivals(&mut self, _port: usize, arrivals: &Arrivals<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        for arrival in arrivals.iter() {
            let Some((index, group)) = arrival.way.only_group() else { continue };
            let time = arrival.time();
            if self.windows.at_mut(index).is_none_or(|state| time >= state.next_emit) {
                out.context.order = arrival.order();
                self.turn(group, time, || arrival.point().map(|point| point.name), out)?;
            }
            self.push(index, (time, arrival.fields()), || arrival.point().map(|point| point.tags));
        }
        Ok(())
    }

    fn prefetch(&self, groups: &mut dyn Iterator<Item = u32>) {
        for index in groups {
            self.windows.prefetch(index);
            let places = self.places(index);
            if !places.is_empty() {
                prefetch(&self.others, places.start);
                prefetch(&self.others, places.end - 1);
            }
        }
    }

    fn looks_at_points(&self) -> bool {
        self.aggregates.iter().any(|aggregate| is_choice(&aggregate.function))
    }

    fn batch(&mut self, _port: usize, _batch: &Batch<'_>, _out: &mut Outlet<'_>) -> Result<(), Fault> {
        Err(Fault::new("cannot window a batch"))
    }

    /// A barrier moves the clock like a point, and ends here.
    fn barrier(&mut self, _port: usize, barrier: &Barrier<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let is_new = self.windows.get_mut(barrier.group).is_none();
        if is_new {
            self.begin(barrier.group, barrier.time, barrier.name);
        }
        let ends = self.windows.get_mut(barrier.group).is_some_and(|state| barrier.time >= state.next_emit);
        if ends {
            self.emit(barrier.group, barrier.time, out)?;
        }
        if ends || is_new {
            self.begun.insert(barrier.group.index);
        }
        Ok(())
    }

    fn delete_group(&mut self, _port: usize, group: &Rc<Group>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        self.windows.remove(group);
        let places = self.places(group.index);
        self.others.get_mut(places).unwrap_or_default().fill(Accumulated::default());
        self.begun.remove(&group.index);
        self.known.set(group.index, false);
        out.delete_group(group)
    }

    fn bytes(&self) -> usize {
        // A rest holds a row of a few fields.
        const REST_BYTES: usize = size_of::<Rest>() + 128;
        let rest = |accumulated: &Accumulated| accumulated.rest.as_ref().map_or(0, |_| REST_BYTES);
        let others = self.others.len();
        let step = (others / 1_024).max(1);
        let behind = self.others.iter().step_by(step).map(rest).sum::<usize>() * step;
        let others = self.others.capacity() * size_of::<Accumulated>() + behind;
        let numbers = self.begun.capacity() * size_of::<u32>() + self.known.bits.capacity() * size_of::<u64>();
        self.windows.bytes(|state| rest(&state.accumulated)) + others + numbers
    }

    fn cardinality(&self) -> u64 {
        self.windows.len() as u64
    }

    fn cardinality_of_children(&self) -> Option<u64> {
        Some(self.known.count)
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        to_state(&(&self.windows, &self.others, &self.begun, &self.known))
    }

    fn restore(&mut self, state: &[u8], groups: &Groups) -> Result<(), SnapshotError> {
        let windows;
        (windows, self.others, self.begun, self.known) = from_state(state)?;
        self.windows = GroupStates::restore(windows, groups);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
