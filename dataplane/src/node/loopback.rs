//! `kapacitorLoopback`: points come in again as if they had been written (reference: nodes-alert-join-io §7.2).

use std::rc::Rc;

use proto::plan;

use super::{Fault, Operator, Outlet, StartError};
use crate::{
    line::write_line,
    name::Name,
    point::{Batch, Point},
    tags::TagSet,
    value::{Field, Value},
};

pub struct Loopback {
    database: Rc<str>,
    retention_policy: Rc<str>,
    measurement: Option<String>,
    tags: TagSet,
    line: String,
    fields: Vec<Field>,
    points_written: u64,
}

impl Loopback {
    pub fn new(plan: &plan::Loopback) -> Result<Loopback, StartError> {
        let tag = |(key, value): &(String, String)| Ok((Name::new(key)?, Rc::from(value.as_str())));
        let tags = plan.tags.iter().map(tag).collect::<Result<_, crate::name::TooManyNames>>();
        Ok(Loopback {
            database: plan.database.as_str().into(),
            retention_policy: plan.retention_policy.as_str().into(),
            measurement: Some(plan.measurement.clone()).filter(|name| !name.is_empty()),
            tags: TagSet::new(tags.map_err(StartError::new)?),
            line: String::new(),
            fields: Vec::new(),
            points_written: 0,
        })
    }

    fn write(&mut self, measurement: &str, tags: &TagSet, fields: &[Field], time: i64, out: &mut Outlet<'_>) {
        self.fields.clear();
        // Lines have no durations: their nanoseconds go.
        self.fields.extend(fields.iter().map(|field| match field.value {
            Value::Duration(x) => Field { name: field.name, value: Value::Int(x) },
            _ => field.clone(),
        }));
        self.line.clear();
        let (written, left_out) = match self.tags.is_empty() {
            true => write_line(measurement, tags, &self.fields, time, &mut self.line),
            false => write_line(measurement, &tags.merged(&self.tags), &self.fields, time, &mut self.line),
        };
        if left_out > 0 {
            out.error("fields left out", &"a line holds neither null nor numbers that are not finite");
        }
        if !written || measurement.is_empty() {
            return out.error("point dropped", &"a line has a measurement and at least one field");
        }
        match out.context.outputs.loopback(&self.database, &self.retention_policy, &self.line) {
            true => self.points_written += 1,
            false => out.error("point dropped", &"too many points are on their way back"),
        }
    }
}

impl Operator for Loopback {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let name = self.measurement.take();
        let measurement = name.as_deref().unwrap_or(point.name.as_str());
        self.write(measurement, point.tags, point.fields.all(), point.time, out);
        self.measurement = name;
        Ok(())
    }

    /// Batches keep their name.
    fn batch(&mut self, _port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        for row in batch.rows.iter() {
            self.write(batch.name.as_str(), row.tags(), &row.fields(), row.time(), out);
        }
        Ok(())
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        vec![("points_written", self.points_written)]
    }
}

#[cfg(test)]
mod tests {
    use proto::plan::{EdgeType, NodeKind};

    use super::*;
    use crate::node::testing::{Bench, from};

    #[test]
    fn points_leave_as_lines_with_the_nodes_name_and_tags() {
        let plan = plan::Loopback {
            database: "d".into(),
            retention_policy: "r".into(),
            measurement: "again".into(),
            tags: vec![("host".into(), "z".into())],
        };
        let mut bench = Bench::new(vec![
            (vec![0], EdgeType::Stream, from("", &[])),
            (vec![1], EdgeType::Stream, NodeKind::Loopback(plan)),
        ]);
        bench.point("m", "dc=eu,host=a", 1, Value::Float(0.5), 0);
        bench.point("m", "", 2, Value::Null, 0).point("m", "", 3, Value::Duration(7), 0);
        assert_eq!(
            bench.recorded.loopbacks(),
            ["d.r again,dc=eu,host=z v=0.5 1000000000\n", "d.r again,host=z v=7i 3000000000\n"]
        );
        // The null, and the point that then had no field.
        assert_eq!(bench.task.statistics()[2].errors, 2);
    }
}
