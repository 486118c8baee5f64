//! `flatten`: the points of one time as one point (reference: nodes-stream §13).

use std::rc::Rc;

use proto::plan;
use serde::{Deserialize, Serialize};

use super::{Fault, Operator, Outlet, SnapshotError, StartError, from_state, to_state};
use crate::{
    gotime::round,
    group::{Group, GroupStates, Groups},
    name::Name,
    point::{Barrier, Batch, Point, Row, Rows, SeriesNumber},
    tags::TagSet,
    value::{Field, set_field},
};

pub struct Flatten {
    shape: Shape,
    pending: GroupStates<Pending>,
    rows: Vec<Row>,
}

struct Shape {
    on: Vec<Name>,
    delimiter: String,
    tolerance: i64,
    drop_original: bool,
    empty: Name,
}

/// The point that is being put together.
#[derive(Serialize, Deserialize)]
struct Pending {
    /// Of the group's first point.
    name: Name,
    time: i64,
    fields: Vec<Field>,
}

impl Flatten {
    pub fn new(plan: &plan::Flatten) -> Result<Flatten, StartError> {
        let name = |text: &str| Name::new(text).map_err(StartError::new);
        let shape = Shape {
            on: plan.on.iter().map(|tag| name(tag)).collect::<Result<_, _>>()?,
            delimiter: plan.delimiter.clone(),
            tolerance: plan.tolerance,
            drop_original: plan.drop_original_field_name,
            empty: name("")?,
        };
        Ok(Flatten { shape, pending: GroupStates::default(), rows: Vec::new() })
    }
}

impl Shape {
    /// Adds a point's fields under their new names. A point without one of the tags is left out whole.
    fn add(&self, fields: &[Field], tags: &TagSet, into: &mut Vec<Field>, out: &mut Outlet<'_>) {
        let mut prefix = String::new();
        for (index, tag) in self.on.iter().enumerate() {
            let Some(value) = tags.get(*tag) else {
                out.error("point missing tag for flatten operation", &format_args!("tag {tag} is missing from point"));
                return;
            };
            if index > 0 {
                prefix.push_str(&self.delimiter);
            }
            prefix.push_str(value);
        }
        for field in fields {
            let name = match (self.on.is_empty(), self.drop_original) {
                (true, _) => Ok(field.name),
                (false, true) => Name::new(&prefix),
                // Nothing stands before an empty value's fields, not even the delimiter.
                (false, false) if prefix.is_empty() => Ok(field.name),
                (false, false) => Name::new(&format!("{prefix}{}{}", self.delimiter, field.name)),
            };
            match name {
                Ok(name) => set_field(into, name, field.value.clone()),
                Err(error) => out.error("point missing tag for flatten operation", &error),
            }
        }
    }

    fn emit(&self, pending: &Pending, group: &Rc<Group>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        if pending.fields.is_empty() {
            return Ok(());
        }
        out.point(&Point {
            name: pending.name,
            database: self.empty,
            retention_policy: self.empty,
            group,
            tags: &group.tags,
            fields: (&pending.fields).into(),
            time: pending.time,
            series: SeriesNumber::NONE,
        })
    }
}

impl Operator for Flatten {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let time = round(point.time, self.shape.tolerance);
        let new = || Pending { name: point.name, time, fields: Vec::new() };
        let pending = self.pending.get_or_insert_with(point.group, new);
        if pending.time != time {
            self.shape.emit(pending, point.group, out)?;
            pending.fields.clear();
            pending.time = time;
        }
        self.shape.add(point.fields.all(), point.tags, &mut pending.fields, out);
        Ok(())
    }

    fn batch(&mut self, _port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        self.rows.clear();
        let tags = &batch.group.tags;
        let mut fields: Vec<Field> = Vec::new();
        let mut time = batch.rows.get(0).map_or(0, |row| round(row.time(), self.shape.tolerance));
        for row in batch.rows.iter() {
            let at = round(row.time(), self.shape.tolerance);
            if at != time {
                if !fields.is_empty() {
                    self.rows.push(Row::new(time, tags.clone(), &fields));
                }
                fields.clear();
                time = at;
            }
            self.shape.add(&row.fields(), row.tags(), &mut fields, out);
        }
        if !batch.rows.is_empty() {
            self.rows.push(Row::new(time, tags.clone(), &fields));
        }
        out.batch(&Batch { rows: Rows::new(&self.rows), ..*batch })
    }

    /// Time has passed what is pending: it is complete.
    fn barrier(&mut self, _port: usize, barrier: &Barrier<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        if let Some(pending) = self.pending.get_mut(barrier.group)
            && pending.time < barrier.time
        {
            self.shape.emit(pending, barrier.group, out)?;
            pending.fields.clear();
        }
        out.barrier(barrier)
    }

    fn delete_group(&mut self, _port: usize, group: &Rc<Group>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        self.pending.remove(group);
        out.delete_group(group)
    }

    fn bytes(&self) -> usize {
        self.pending.bytes(|pending| pending.fields.capacity() * size_of::<Field>())
    }

    fn cardinality(&self) -> u64 {
        self.pending.len() as u64
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        to_state(&self.pending)
    }

    fn restore(&mut self, state: &[u8], groups: &Groups) -> Result<(), SnapshotError> {
        self.pending = GroupStates::restore(from_state(state)?, groups);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proto::plan::{EdgeType, NodeKind};

    use crate::{
        node::testing::{Bench, from, log},
        value::Value,
    };

    /// A point that lacks the second tag is an error of its own; the names of the next one begin anew.
    #[test]
    fn a_point_without_a_tag_leaves_nothing_in_the_names_of_the_next() {
        let plan = proto::plan::Flatten {
            on: vec!["host".into(), "port".into()],
            delimiter: ".".into(),
            tolerance: 0,
            drop_original_field_name: false,
        };
        let mut bench = Bench::new(vec![
            (vec![0], EdgeType::Stream, from("", &[])),
            (vec![1], EdgeType::Stream, NodeKind::Flatten(plan)),
            (vec![2], EdgeType::Stream, log()),
        ]);
        for tags in ["host=a,port=1", "host=b", "host=c,port=2", "port=3", "host=d,port=4"] {
            bench.point("m", tags, 1, Value::Int(7), 0);
        }
        bench.point("m", "host=a,port=1", 2, Value::Int(7), 0);
        assert_eq!(bench.out(), ["1  a.1.v=7 c.2.v=7 d.4.v=7"]);
        assert_eq!(bench.task.statistics()[2].errors, 2);
    }
}
