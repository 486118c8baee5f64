//! The tap of a stream recording: each point as three lines of text (reference: http-api §16).
//!
//! The text before a point's fields depends on its series alone and is kept per series. Text leaves in pieces; where the
//! file cannot keep up the node fails, and with it the recording: taking points never waits for a disk.

use std::io::Write;

use proto::plan::Record as Plan;

use super::{Fault, Operator, Outlet, Recorded};
use crate::{
    name::Name,
    point::{Batch, Point, SeriesNumber},
    value::{Field, Value},
};

/// Bytes of text that are handed over at once.
pub const PIECE_BYTES: usize = 128 << 10;

/// Series whose text is kept; the number of a further one is not.
const SERIES_KEPT: usize = 1 << 20;

/// Why a recording fails that writes slower than points arrive.
pub const OVERFLOW: &str = "recording overflow: the file cannot be written as fast as points arrive";

pub struct Record {
    stop: i64,
    ended: bool,
    text: Vec<u8>,
    /// By series number: database, retention policy, measurement and tags, as they are written.
    heads: Vec<Option<Box<[u8]>>>,
    /// Scratch: the fields of the point, sorted.
    order: Vec<usize>,
}

impl Record {
    pub fn new(plan: &Plan) -> Record {
        Record { stop: plan.stop, ended: false, text: Vec::new(), heads: Vec::new(), order: Vec::new() }
    }

    fn write(&mut self, point: &Point<'_>) {
        let index = point.series.0 as usize;
        if point.series == SeriesNumber::NONE || index >= SERIES_KEPT {
            head(point, &mut self.text);
        } else {
            if index >= self.heads.len() {
                self.heads.resize_with(index + 1, || None);
            }
            if let Some(kept) = self.heads.get_mut(index) {
                let text = kept.get_or_insert_with(|| {
                    let mut text = Vec::new();
                    head(point, &mut text);
                    text.into()
                });
                self.text.extend_from_slice(text);
            }
        }
        fields(point.fields.all(), &mut self.order, &mut self.text);
        let _ = writeln!(self.text, " {}", point.time);
    }

    fn hand_over(&mut self, out: &mut Outlet<'_>) -> Result<(), Fault> {
        if self.text.is_empty() {
            return Ok(());
        }
        let text = std::mem::replace(&mut self.text, Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 8));
        self.send(Recorded::Text(text), out)
    }

    fn send(&mut self, recorded: Recorded, out: &mut Outlet<'_>) -> Result<(), Fault> {
        match out.context.outputs.record(recorded) {
            true => Ok(()),
            false => Err(Fault::new(OVERFLOW)),
        }
    }
}

impl Operator for Record {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        if self.ended {
            return Ok(());
        }
        if point.time > self.stop {
            self.ended = true;
            self.hand_over(out)?;
            return self.send(Recorded::End, out);
        }
        self.write(point);
        if self.text.len() >= PIECE_BYTES {
            self.hand_over(out)?;
        }
        Ok(())
    }

    fn batch(&mut self, _port: usize, _batch: &Batch<'_>, _out: &mut Outlet<'_>) -> Result<(), Fault> {
        Ok(())
    }

    fn forget_series(&mut self) {
        self.heads.clear();
    }
}

/// `db`, `rp` and the start of the third line up to its tags.
fn head(point: &Point<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(point.database.as_str().as_bytes());
    out.push(b'\n');
    out.extend_from_slice(point.retention_policy.as_str().as_bytes());
    out.push(b'\n');
    escaped(point.name.as_str(), b", ", out);
    for (key, value) in point.tags.iter() {
        out.push(b',');
        escaped(key.as_str(), b",= ", out);
        out.push(b'=');
        escaped(value, b",= ", out);
    }
}

/// Fields sorted by name.
fn fields(fields: &[Field], order: &mut Vec<usize>, out: &mut Vec<u8>) {
    let name = |index: &usize| fields.get(*index).map(|field: &Field| field.name);
    order.clear();
    order.extend(0..fields.len());
    let sorted: fn(&Option<Name>, &Option<Name>) -> bool = |one, other| one <= other;
    if !fields.is_sorted_by(|one, other| sorted(&Some(one.name), &Some(other.name))) {
        order.sort_by_key(name);
    }
    let mut separator = b' ';
    for field in order.iter().filter_map(|index| fields.get(*index)) {
        out.push(separator);
        separator = b',';
        escaped(field.name.as_str(), b",= ", out);
        out.push(b'=');
        // Writing to a vector cannot fail. Floats print in their shortest form without an exponent.
        let _ = match &field.value {
            Value::Float(x) => write!(out, "{x}"),
            Value::Int(x) => write!(out, "{x}i"),
            Value::Bool(x) => write!(out, "{x}"),
            Value::String(text) => {
                out.push(b'"');
                escaped(text, b"\"\\", out);
                out.push(b'"');
                Ok(())
            }
            // No field of a point that arrived.
            Value::Duration(_) | Value::Null | Value::Missing => Ok(()),
        };
    }
}

/// A text with a backslash before each of `special`.
fn escaped(text: &str, special: &[u8], out: &mut Vec<u8>) {
    if !text.bytes().any(|byte| special.contains(&byte)) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    for byte in text.bytes() {
        if special.contains(&byte) {
            out.push(b'\\');
        }
        out.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::{
        group::{Group, Groups},
        tags::TagSet,
    };

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn text_of(tags: Vec<(Name, Rc<str>)>, fields: &[(&str, Value)]) -> String {
        let group: Rc<Group> = Groups::default().intern(None, TagSet::empty()).unwrap();
        let fields: Vec<Field> =
            fields.iter().map(|(key, value)| Field { name: name(key), value: value.clone() }).collect();
        let point = Point {
            name: name("cpu"),
            database: name("apidb"),
            retention_policy: name("autogen"),
            group: &group,
            tags: &Rc::new(TagSet::new(tags)),
            fields: (&fields).into(),
            time: 1_795_411_070_217_370_530,
            series: SeriesNumber(3),
        };
        let mut record = Record::new(&Plan { stop: i64::MAX });
        record.write(&point);
        let first = record.text.len();
        record.write(&point);
        assert_eq!(record.text[..first], record.text[first..], "the kept head is the same");
        String::from_utf8(record.text[..first].to_vec()).unwrap()
    }

    #[test]
    fn a_point_is_written_as_the_reference_shows() {
        let text = text_of(
            vec![(name("z"), " q".into()), (name("host"), "a".into())],
            &[
                ("s", Value::String("x\"y".into())),
                ("i", Value::Int(2)),
                ("f", Value::Float(1.0)),
                ("b", Value::Bool(true)),
            ],
        );
        let line = "cpu,host=a,z=\\ q b=true,f=1,i=2i,s=\"x\\\"y\" 1795411070217370530\n";
        assert_eq!(text, format!("apidb\nautogen\n{line}"));
    }

    #[test]
    fn floats_have_no_exponent() {
        let text = text_of(
            Vec::new(),
            &[
                ("a", Value::Float(1e21)),
                ("b", Value::Float(1e-7)),
                ("c", Value::Float(-0.0)),
                ("d", Value::Float(2.5)),
            ],
        );
        assert!(text.contains(" a=1000000000000000000000,b=0.0000001,c=-0,d=2.5 "), "{text}");
    }
}
