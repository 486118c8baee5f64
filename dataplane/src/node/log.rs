//! `log`: writes everything to the server's log and passes it on (reference: nodes-stream §14, http-api §22).

use proto::plan::LogLevel;

use super::{Fault, Operator, Outlet};
use crate::{
    group::Group,
    json,
    logging::pair,
    point::{Batch, Point},
    tags::TagSet,
    value::{Field, Value},
};

pub struct Log {
    level: LogLevel,
    prefix: String,
}

impl Log {
    pub fn new(level: LogLevel, prefix: &str) -> Log {
        Log { level, prefix: prefix.to_owned() }
    }

    /// The begin of a line's pairs.
    fn head(&self) -> String {
        let mut line = String::new();
        pair("prefix", &self.prefix, &mut line);
        line
    }
}

impl Operator for Log {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let mut line = self.head();
        for (key, name) in [("name", point.name), ("db", point.database), ("rp", point.retention_policy)] {
            pair(key, name.as_str(), &mut line);
        }
        group(point.group, &mut line);
        content(point.tags, point.fields.all(), point.time, &mut line);
        out.log(self.level, "point", &line);
        out.point(point)
    }

    fn batch(&mut self, _port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let mut line = self.head();
        pair("name", batch.name.as_str(), &mut line);
        group(batch.group, &mut line);
        content(&batch.group.tags, &[], batch.time, &mut line);
        out.log(self.level, "begin batch", &line);
        for row in batch.rows.iter() {
            let mut line = self.head();
            content(row.tags(), &row.fields(), row.time(), &mut line);
            out.log(self.level, "batch point", &line);
        }
        out.log(self.level, "end batch", &self.head());
        out.batch(batch)
    }
}

fn group(group: &Group, line: &mut String) {
    pair("group", &group.id(), line);
    for (index, (key, _)) in group.tags.iter().enumerate() {
        pair(&format!("dimension_{index}"), key.as_str(), line);
    }
}

fn content(tags: &TagSet, fields: &[Field], time: i64, line: &mut String) {
    for (key, value) in tags.iter() {
        pair(&format!("tag_{key}"), value, line);
    }
    for Field { name, value } in fields {
        let text = match value {
            Value::String(text) => text.to_string(),
            Value::Float(x) => x.to_string(),
            other => {
                let mut text = String::new();
                // Only floats can be beyond JSON.
                let _ = json::value(other, &mut text);
                text
            }
        };
        pair(&format!("field_{name}"), &text, line);
    }
    let mut text = String::new();
    json::rfc3339(time, &mut text);
    pair("time", &text, line);
}
