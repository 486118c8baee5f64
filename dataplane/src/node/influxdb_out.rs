//! `influxDBOut`: points as lines to an InfluxDB (reference: nodes-alert-join-io §7.1).
//!
//! The node collects lines; the I/O thread writes them, and says how it went.

use std::{collections::BTreeMap, rc::Rc, sync::Arc};

use proto::plan;
use serde::{Deserialize, Serialize};

use super::{Fault, Operator, Outlet, SnapshotError, StartError, from_state, to_state};
use crate::{
    group::Groups,
    line::write_line,
    name::Name,
    point::{Batch, Point},
    tags::TagSet,
    value::Field,
};

/// What an influxDBOut node asks of the I/O thread.
#[derive(Clone, Debug)]
pub struct InfluxDbRequest {
    pub task: String,
    pub node: String,
    pub plan: Arc<plan::InfluxDbOut>,
    pub act: InfluxDbAct,
}

#[derive(Clone, Debug)]
pub enum InfluxDbAct {
    /// The node has started: its database may have to be created.
    Open,
    Write {
        database: String,
        retention_policy: String,
        lines: String,
        /// Given back with the status by [`Operator::resume`].
        ticket: u64,
    },
}

pub struct InfluxDbOut {
    plan: Arc<plan::InfluxDbOut>,
    /// Nanoseconds of a unit of the precision.
    unit: i64,
    measurement: Option<Name>,
    tags: TagSet,
    /// By database and retention policy, which few points of a task differ in.
    buffers: Vec<Buffer>,
    next_ticket: u64,
    /// Points of writes on their way, by ticket.
    waiting: BTreeMap<u64, u64>,
    points_written: u64,
    write_errors: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Buffer {
    database: String,
    retention_policy: String,
    lines: String,
    points: u64,
}

/// Status of an answer that says that the points are in.
pub const WRITTEN: [u16; 2] = [200, 204];

impl InfluxDbOut {
    pub fn new(plan: &plan::InfluxDbOut) -> Result<InfluxDbOut, StartError> {
        let unit = match plan.precision.as_str() {
            "" | "ns" | "n" => 1,
            "us" | "u" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            other => return Err(StartError(format!("invalid precision {other:?}: it is one of ns us ms s m h"))),
        };
        if plan.flush_interval <= 0 {
            return Err(StartError::new("flushInterval must be greater than zero"));
        }
        let tag = |(key, value): &(String, String)| Ok((Name::new(key)?, Rc::from(value.as_str())));
        let tags = plan.tags.iter().map(tag).collect::<Result<_, crate::name::TooManyNames>>();
        let measurement = Some(plan.measurement.as_str()).filter(|name| !name.is_empty());
        Ok(InfluxDbOut {
            plan: Arc::new(plan.clone()),
            unit,
            measurement: measurement.map(Name::new).transpose().map_err(StartError::new)?,
            tags: TagSet::new(tags.map_err(StartError::new)?),
            buffers: Vec::new(),
            next_ticket: 0,
            waiting: BTreeMap::new(),
            points_written: 0,
            write_errors: 0,
        })
    }

    /// Place of the buffer of a point's database and retention policy.
    fn buffer(&mut self, database: &str, retention_policy: &str) -> usize {
        let or = |own: &'_ str, points: &str| if own.is_empty() { points.to_owned() } else { own.to_owned() };
        let same = |buffer: &Buffer| {
            (self.plan.database.is_empty() && buffer.database == database || buffer.database == self.plan.database)
                && (self.plan.retention_policy.is_empty() && buffer.retention_policy == retention_policy
                    || buffer.retention_policy == self.plan.retention_policy)
        };
        self.buffers.iter().position(same).unwrap_or_else(|| {
            let database = or(&self.plan.database, database);
            let retention_policy = or(&self.plan.retention_policy, retention_policy);
            self.buffers.push(Buffer { database, retention_policy, lines: String::new(), points: 0 });
            self.buffers.len() - 1
        })
    }

    fn add(&mut self, at: usize, (name, tags, time): (Name, &TagSet, i64), fields: &[Field], out: &mut Outlet<'_>) {
        let Some(buffer) = self.buffers.get_mut(at) else { return };
        let measurement = self.measurement.unwrap_or(name).as_str();
        let merged = (!self.tags.is_empty()).then(|| tags.merged(&self.tags));
        let tags = merged.as_ref().unwrap_or(tags);
        let (written, left_out) = write_line(measurement, tags, fields, time / self.unit, &mut buffer.lines);
        if left_out > 0 {
            out.error("fields left out", &"InfluxDB holds neither null nor numbers that are not finite");
        }
        if !written {
            return out.error("point dropped", &"InfluxDB holds no points without fields");
        }
        buffer.points += 1;
        if buffer.points >= u64::try_from(self.plan.buffer).unwrap_or_default() {
            self.flush(at, out);
        }
    }

    fn flush(&mut self, at: usize, out: &mut Outlet<'_>) {
        let Some(buffer) = self.buffers.get_mut(at).filter(|buffer| buffer.points > 0) else { return };
        let (lines, points) = (std::mem::take(&mut buffer.lines), std::mem::take(&mut buffer.points));
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let (database, retention_policy) = (buffer.database.clone(), buffer.retention_policy.clone());
        let act = InfluxDbAct::Write { database, retention_policy, lines, ticket };
        if self.request(act, out) {
            self.waiting.insert(ticket, points);
        } else {
            self.write_errors += 1;
            out.error("points dropped", &format_args!("too many writes wait for InfluxDB: {points} points are lost"));
        }
    }

    fn request(&self, act: InfluxDbAct, out: &mut Outlet<'_>) -> bool {
        let (task, node) = (out.context.task.to_string(), out.node().to_string());
        out.context.outputs.influxdb(InfluxDbRequest { task, node, plan: self.plan.clone(), act })
    }
}

impl Operator for InfluxDbOut {
    fn start(&mut self, out: &mut Outlet<'_>) -> Result<(), Fault> {
        self.request(InfluxDbAct::Open, out);
        out.wake_at(out.context.now.saturating_add(self.plan.flush_interval));
        Ok(())
    }

    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let at = self.buffer(point.database.as_str(), point.retention_policy.as_str());
        self.add(at, (point.name, point.tags, point.time), point.fields.all(), out);
        Ok(())
    }

    fn batch(&mut self, _port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let at = self.buffer("", "");
        for row in batch.rows.iter() {
            self.add(at, (batch.name, row.tags(), row.time()), &row.fields(), out);
        }
        Ok(())
    }

    fn wake(&mut self, due: i64, out: &mut Outlet<'_>) -> Result<(), Fault> {
        (0..self.buffers.len()).for_each(|at| self.flush(at, out));
        out.wake_at(due.saturating_add(self.plan.flush_interval));
        Ok(())
    }

    fn resume(&mut self, ticket: u64, status: u16, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let points = self.waiting.remove(&ticket).unwrap_or_default();
        if WRITTEN.contains(&status) {
            self.points_written += points;
        } else {
            // The log line stands where the answer was read.
            self.write_errors += 1;
            out.count_error();
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Outlet<'_>) -> Result<(), Fault> {
        (0..self.buffers.len()).for_each(|at| self.flush(at, out));
        Ok(())
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        vec![("points_written", self.points_written), ("write_errors", self.write_errors)]
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        to_state(&self.buffers)
    }

    fn restore(&mut self, state: &[u8], _groups: &Groups) -> Result<(), SnapshotError> {
        self.buffers = from_state(state)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proto::plan::{EdgeType, NodeKind};

    use super::*;
    use crate::{
        node::testing::{Bench, SECOND, from},
        value::Value,
    };

    fn plan() -> plan::InfluxDbOut {
        plan::InfluxDbOut { buffer: 2, flush_interval: 10 * SECOND, precision: "s".into(), ..Default::default() }
    }

    fn bench(plan: plan::InfluxDbOut) -> Bench {
        Bench::new(vec![
            (vec![0], EdgeType::Stream, from("", &[])),
            (vec![1], EdgeType::Stream, NodeKind::InfluxDbOut(Box::new(plan))),
        ])
    }

    fn writes(bench: &Bench) -> Vec<String> {
        let write = |request: InfluxDbRequest| match request.act {
            InfluxDbAct::Open => None,
            InfluxDbAct::Write { database, retention_policy, lines, .. } => {
                Some(format!("{database}.{retention_policy} {lines}"))
            }
        };
        bench.recorded.writes().into_iter().filter_map(write).collect()
    }

    #[test]
    fn a_full_buffer_an_interval_and_the_end_write() {
        let mut bench = bench(plan());
        for time in 1..=3 {
            bench.point("m", "host=a", time, Value::Int(time), 0);
        }
        let first = "db.rp m,host=a v=1i 1\nm,host=a v=2i 2\n";
        assert_eq!(writes(&bench), [first]);
        bench.advance(10);
        assert_eq!(writes(&bench)[1..], ["db.rp m,host=a v=3i 3\n"]);
        bench.point("m", "host=a", 4, Value::Int(4), 11).finish();
        assert_eq!(writes(&bench)[2..], ["db.rp m,host=a v=4i 4\n"]);
    }

    #[test]
    fn names_and_tags_of_the_node_come_before_those_of_the_point() {
        let own = plan::InfluxDbOut {
            database: "d".into(),
            retention_policy: "r".into(),
            measurement: "n".into(),
            buffer: 0,
            tags: vec![("host".into(), "z".into())],
            ..plan()
        };
        let mut bench = bench(own);
        bench.point("m", "host=a", -1, Value::Null, 0).point("m", "host=a", -1, Value::Bool(true), 0);
        assert_eq!(writes(&bench), ["d.r n,host=z v=true -1\n"]);
    }

    #[test]
    fn answers_are_counted_in_points_and_errors() {
        let mut bench = bench(plan::InfluxDbOut { buffer: 1, ..plan() });
        bench.point("m", "", 1, Value::Int(1), 0).point("m", "", 1, Value::Int(1), 0);
        bench.task.resume("n2", 0, 204, 0).unwrap();
        bench.task.resume("n2", 1, 400, 0).unwrap();
        let extra = bench.task.statistics()[2].extra.clone();
        assert_eq!(extra, [("points_written".to_owned(), 1), ("write_errors".to_owned(), 1)]);
    }

    #[test]
    fn a_wrong_precision_or_interval_cannot_start() {
        assert!(InfluxDbOut::new(&plan::InfluxDbOut { precision: "d".into(), ..plan() }).is_err());
        assert!(InfluxDbOut::new(&plan::InfluxDbOut { flush_interval: 0, ..plan() }).is_err());
    }
}
