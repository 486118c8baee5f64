//! Reducers: one result of a batch, or of the points of a stream that follow each other with one time.

use std::rc::Rc;

use proto::plan::{EdgeType, InfluxQlFunction};
use serde::{Deserialize, Serialize};

use super::{
    Sample, Type,
    accumulate::{Accumulator, Taken, accumulates, is_choice},
    distinct_top, holt_winters, order, takes, unsupported,
};
use crate::{
    group::{Group, GroupStates, Groups},
    name::Name,
    node::{Fault, Operator, Outlet, SnapshotError, StartError, from_state, to_state},
    point::{Batch, Point, Row, RowRef, Rows, SeriesNumber, bytes_of_rows},
    tags::TagSet,
    value::{self, Field, Value, set_field},
};

pub struct Reduce {
    shape: Shape,
    /// On a batch edge the name of the group's first batch, on a stream edge the present run.
    states: GroupStates<State>,
    scratch: Scratch,
}

/// The values that are being reduced.
#[derive(Default)]
struct Scratch {
    samples: Vec<Sample>,
    /// The value of each row, where all are floats.
    floats: Vec<f64>,
    keys: Vec<u64>,
}

/// What does not change.
struct Shape {
    function: InfluxQlFunction,
    field: Name,
    result: Name,
    empty: Name,
    use_point_times: bool,
    wants: EdgeType,
    names: Vec<Name>,
}

#[derive(Serialize, Deserialize)]
struct State {
    name: Name,
    time: i64,
    rows: Vec<Row>,
}

impl Reduce {
    pub fn new(
        function: &InfluxQlFunction,
        field: Name,
        result: Name,
        empty: Name,
        use_point_times: bool,
        wants: EdgeType,
    ) -> Result<Reduce, StartError> {
        let names = match function {
            InfluxQlFunction::Top { fields_and_tags, .. } | InfluxQlFunction::Bottom { fields_and_tags, .. } => {
                fields_and_tags.iter().map(|name| Name::new(name)).collect::<Result<_, _>>().map_err(StartError::new)?
            }
            _ => Vec::new(),
        };
        let function = function.clone();
        let shape = Shape { function, field, result, empty, use_point_times, wants, names };
        Ok(Reduce { shape, states: GroupStates::default(), scratch: Scratch::default() })
    }
}

/// A batch that is being reduced.
#[derive(Clone, Copy)]
struct Input<'a> {
    name: Name,
    group: &'a Rc<Group>,
    time: i64,
    rows: Rows<'a>,
}

impl Shape {
    fn reduce(&self, input: Input<'_>, scratch: &mut Scratch, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let Scratch { samples, floats, keys } = scratch;
        if accumulates(&self.function) {
            return self.accumulate(input, floats, out);
        }
        if let InfluxQlFunction::Percentile(percent) = &self.function
            && input.rows.floats(self.field, floats)
        {
            let Some(place) = order::percentile_of_floats(floats, percent.0, keys) else { return Ok(()) };
            let (Some(row), Some(value)) = (input.rows.get(place), floats.get(place)) else { return Ok(()) };
            return self.emit_row(input, Some(row), Value::Float(*value), Some(row.time()), out);
        }
        let Some(kind) = self.collect(input.rows, samples, out) else { return Ok(()) };
        let only = |sample: &Sample| samples.len() == 1 && sample.row < input.rows.len();
        let single_time = samples.first().filter(|sample| only(sample)).map(|sample| sample.time);
        match &self.function {
            InfluxQlFunction::Median => {
                let time = if kind == Type::Float { single_time } else { None };
                self.emit_value(input, order::median(samples, kind), time, out)
            }
            InfluxQlFunction::Mode => self.emit_value(input, order::mode(samples), single_time, out),
            InfluxQlFunction::Stddev => self.emit_value(input, order::stddev(samples), None, out),
            InfluxQlFunction::Percentile(percent) => match order::percentile(samples, percent.0) {
                Some(sample) => {
                    let time = (kind == Type::Float).then_some(sample.time);
                    let row = input.rows.get(sample.row);
                    self.emit_row(input, row, sample.value.clone(), time, out)
                }
                None => Ok(()),
            },
            InfluxQlFunction::Distinct => {
                let row = |sample: &&Sample| {
                    let time = if self.use_point_times { sample.time } else { input.time };
                    self.row(time, input.group.tags.clone(), &sample.value)
                };
                let rows = distinct_top::distinct(samples).iter().map(row).collect();
                self.emit_batch(input, rows, out)
            }
            InfluxQlFunction::Top { count, .. } | InfluxQlFunction::Bottom { count, .. } => {
                let largest = matches!(self.function, InfluxQlFunction::Top { .. });
                let count = usize::try_from(*count).unwrap_or(0);
                let best = distinct_top::best(samples, input.rows, count, &self.names, largest);
                let row = |sample: &&Sample| {
                    let tags = input.rows.get(sample.row).map(|row| input.group.tags.merged(row.tags()));
                    let tags = tags.map_or_else(|| input.group.tags.clone(), Rc::new);
                    (sample.time, tags, sample.value.clone())
                };
                let mut rows: Vec<(i64, Rc<TagSet>, Value)> = best.iter().map(row).collect();
                rows.sort_by_key(|(time, ..)| *time);
                let time = |own: i64| if self.use_point_times { own } else { input.time };
                let rows = rows.into_iter().map(|(own, tags, value)| self.row(time(own), tags, &value)).collect();
                self.emit_batch(input, rows, out)
            }
            InfluxQlFunction::HoltWinters { forecasts, season, interval, with_fit } => {
                let settings = holt_winters::Settings {
                    forecasts: *forecasts,
                    season: *season,
                    interval: *interval,
                    with_fit: *with_fit,
                };
                let values = match holt_winters::forecast(samples, settings) {
                    Ok(values) => values,
                    Err(error) => {
                        out.error("cannot forecast", &error);
                        return Ok(());
                    }
                };
                let row = |(time, value): (i64, f64)| self.row(time, input.group.tags.clone(), &Value::Float(value));
                self.emit_batch(input, values.into_iter().map(row).collect(), out)
            }
            _ => Ok(()),
        }
    }

    /// The usable values, all of the type of the first; `None` if there are none.
    fn collect(&self, rows: Rows<'_>, samples: &mut Vec<Sample>, out: &mut Outlet<'_>) -> Option<Type> {
        samples.clear();
        let mut kind = None;
        for (index, row) in rows.iter().enumerate() {
            let Some(value) = row.field(self.field) else {
                if kind.is_none() {
                    self.missing(out);
                }
                continue;
            };
            let found = Type::of(&value);
            match (kind, found) {
                (None, Some(found)) if takes(&self.function, found) => kind = Some(found),
                (None, _) => {
                    out.error("failed to create reduce context", &unsupported(&self.function, self.field, &value));
                    continue;
                }
                (Some(known), found) if Some(known) != found => continue,
                _ => {}
            }
            samples.push(Sample { time: row.time(), value: value.into_owned(), row: index });
        }
        kind
    }

    /// Whether a run begins with such a value.
    fn begins(&self, value: Option<&Value>, out: &mut Outlet<'_>) -> bool {
        let Some(value) = value else {
            self.missing(out);
            return false;
        };
        let usable = Type::of(value).is_some_and(|kind| takes(&self.function, kind));
        if !usable {
            out.error("failed to create reduce context", &unsupported(&self.function, self.field, value));
        }
        usable
    }

    fn missing(&self, out: &mut Outlet<'_>) {
        let error = format_args!("field {:?} missing from point", self.field);
        out.error("failed to realize reduce context from fields", &error);
    }

    fn accumulate(&self, input: Input<'_>, floats: &mut Vec<f64>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let mut accumulator = Accumulator::default();
        // Where all rows have a float, none is asked for its fields.
        let chosen = match input.rows.floats(self.field, floats) {
            true => self.push_floats(input.rows, floats, &mut accumulator),
            false => self.push_fields(input.rows, &mut accumulator, out),
        };
        let Some(value) = accumulator.result(&self.function) else { return Ok(()) };
        // On a stream a run without a usable point gives nothing at all.
        if accumulator.count() == 0 && self.wants == EdgeType::Stream {
            return Ok(());
        }
        if is_choice(&self.function) {
            return self.emit_row(input, chosen, value, accumulator.chosen_time(), out);
        }
        self.emit_value(input, Some(value), point_time(&self.function, accumulator.count()), out)
    }

    /// Gives the row that the function chose, if it does such a thing.
    fn push_floats<'a>(&self, rows: Rows<'a>, floats: &[f64], accumulator: &mut Accumulator) -> Option<RowRef<'a>> {
        let mut chosen = None;
        for (row, value) in rows.iter().zip(floats) {
            if accumulator.push(&self.function, row.time(), &Value::Float(*value)) == Taken::Chosen {
                chosen = Some(row);
            }
        }
        chosen
    }

    fn push_fields<'a>(
        &self,
        rows: Rows<'a>,
        accumulator: &mut Accumulator,
        out: &mut Outlet<'_>,
    ) -> Option<RowRef<'a>> {
        let mut chosen = None;
        for row in rows.iter() {
            let Some(value) = row.field(self.field) else {
                if accumulator.kind().is_none() {
                    self.missing(out);
                }
                continue;
            };
            match accumulator.push(&self.function, row.time(), &value) {
                Taken::Chosen => chosen = Some(row),
                Taken::Unsupported => {
                    out.error("failed to create reduce context", &unsupported(&self.function, self.field, &value));
                }
                Taken::Yes | Taken::Skipped => {}
            }
        }
        chosen
    }

    fn emit_value(
        &self,
        input: Input<'_>,
        value: Option<Value>,
        point_time: Option<i64>,
        out: &mut Outlet<'_>,
    ) -> Result<(), Fault> {
        let Some(value) = value else { return Ok(()) };
        emit(self.result, self.empty, input.name, input.group, self.time(input.time, point_time), value, out)
    }

    /// The chosen point with all its fields, the field itself under the result's name.
    fn emit_row(
        &self,
        input: Input<'_>,
        row: Option<RowRef<'_>>,
        value: Value,
        point_time: Option<i64>,
        out: &mut Outlet<'_>,
    ) -> Result<(), Fault> {
        let Some(row) = row else { return Ok(()) };
        let time = self.time(input.time, point_time);
        emit_choice((self.field, self.result, self.empty), (input.name, input.group), row, time, value, out)
    }

    fn time(&self, batch: i64, point: Option<i64>) -> i64 {
        if self.use_point_times { point.unwrap_or(batch) } else { batch }
    }

    fn row(&self, time: i64, tags: Rc<TagSet>, value: &Value) -> Row {
        Row::new(time, tags, &[Field { name: self.result, value: value.clone() }])
    }

    fn emit_batch(&self, input: Input<'_>, rows: Vec<Row>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let latest = rows.iter().map(|row| row.as_ref().time()).max().unwrap_or(input.time);
        let time = input.time.max(latest);
        out.batch(&Batch { name: input.name, group: input.group, time, rows: Rows::new(&rows) })
    }
}

/// Time of a value that belongs to no point, where point times are wanted (reference: nodes-stream §10.4).
pub fn point_time(function: &InfluxQlFunction, count: u64) -> Option<i64> {
    match function {
        InfluxQlFunction::Sum => Some(0),
        InfluxQlFunction::Count if count == 0 => Some(0),
        _ => None,
    }
}

/// Hands on a result as a point with the group's tags.
pub fn emit(
    result: Name,
    empty: Name,
    name: Name,
    group: &Rc<Group>,
    time: i64,
    value: Value,
    out: &mut Outlet<'_>,
) -> Result<(), Fault> {
    out.point(&Point {
        name,
        database: empty,
        retention_policy: empty,
        group,
        tags: &group.tags,
        fields: (&[Field { name: result, value }]).into(),
        time,
        series: SeriesNumber::NONE,
    })
}

/// Hands on a chosen point. `names` are those of the field, of the result, and the empty one.
pub fn emit_choice(
    (field, result, empty): (Name, Name, Name),
    (name, group): (Name, &Rc<Group>),
    row: RowRef<'_>,
    time: i64,
    value: Value,
    out: &mut Outlet<'_>,
) -> Result<(), Fault> {
    let mut fields = row.fields().into_owned();
    fields.retain(|other| other.name != field);
    set_field(&mut fields, result, value);
    out.point(&Point {
        name,
        database: empty,
        retention_policy: empty,
        group,
        tags: row.tags(),
        fields: (&fields).into(),
        time,
        series: SeriesNumber::NONE,
    })
}

impl Operator for Reduce {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let new = || State { name: point.name, time: point.time, rows: Vec::new() };
        let run = self.states.get_or_insert_with(point.group, new);
        if run.time != point.time {
            let mut rows = std::mem::take(&mut run.rows);
            let input = Input { name: run.name, group: point.group, time: run.time, rows: Rows::new(&rows) };
            (run.name, run.time) = (point.name, point.time);
            if !rows.is_empty() {
                self.shape.reduce(input, &mut self.scratch, out)?;
            }
            rows.clear();
            self.states.get_or_insert_with(point.group, new).rows = rows;
        }
        let run = self.states.get_or_insert_with(point.group, new);
        // A run begins with its first usable point; what comes before is an error as it comes.
        if !run.rows.is_empty() || self.shape.begins(value::field(point.fields.all(), self.shape.field), out) {
            run.rows.push(Row::new(point.time, point.tags.clone(), point.fields.all()));
        }
        Ok(())
    }

    fn batch(&mut self, _port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let new = || State { name: batch.name, time: batch.time, rows: Vec::new() };
        let name = self.states.get_or_insert_with(batch.group, new).name;
        let input = Input { name, group: batch.group, time: batch.time, rows: batch.rows };
        self.shape.reduce(input, &mut self.scratch, out)
    }

    fn delete_group(&mut self, _port: usize, group: &Rc<Group>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        self.states.remove(group);
        out.delete_group(group)
    }

    fn bytes(&self) -> usize {
        self.states.bytes(|run| bytes_of_rows(&run.rows))
    }

    fn cardinality(&self) -> u64 {
        self.states.len() as u64
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        to_state(&self.states)
    }

    fn restore(&mut self, state: &[u8], groups: &Groups) -> Result<(), SnapshotError> {
        self.states = GroupStates::restore(from_state(state)?, groups);
        Ok(())
    }
}
