//! `log`: writes everything to the server's log and passes it on (reference: nodes-stream §14, http-api §22).

use proto::plan::LogLevel;

use super::{Fault, Operator, Outlet};
use crate::{
    json,
    logging::{looks_typed, pair},
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
        pair("group", &point.group.id(), &mut line);
        for (index, (key, _)) in point.group.tags.iter().enumerate() {
            pair(&format!("dimension_{index}"), key.as_str(), &mut line);
        }
        content(point.tags, point.fields.all(), point.time, &mut line);
        out.log(self.level, "point", &line);
        out.point(point)
    }

    fn batch(&mut self, _port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let mut head = self.head();
        pair("name", batch.name.as_str(), &mut head);
        pair("group", &batch.group.id(), &mut head);
        let whole = |tags: &TagSet, fields: &[Field], time| {
            let mut line = head.clone();
            content(tags, fields, time, &mut line);
            line
        };
        let around = whole(&batch.group.tags, &[], batch.time);
        out.log(self.level, "begin batch", &around);
        for row in batch.rows.iter() {
            out.log(self.level, "batch point", &whole(row.tags(), &row.fields(), row.time()));
        }
        out.log(self.level, "end batch", &around);
        out.batch(batch)
    }
}

fn content(tags: &TagSet, fields: &[Field], time: i64, line: &mut String) {
    for (key, value) in tags.iter() {
        pair(&format!("tag_{key}"), value, line);
    }
    for Field { name, value } in fields {
        let text = match value {
            // A text that looks like another value is quoted, so that the line can be read back.
            Value::String(text) if looks_typed(text) => {
                line.push_str(&format!(" field_{name}={text:?}"));
                continue;
            }
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
