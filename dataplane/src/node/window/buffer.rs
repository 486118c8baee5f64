//! The points that a window of a group holds: in columns while they are numbers, row by row otherwise.

use std::{collections::VecDeque, rc::Rc};

use serde::{Deserialize, Serialize};

use crate::{
    name::Name,
    packed::{DoesNotFit, Packed},
    point::{Point, Row, Rows, bytes_of_rows},
    value::Field,
};

/// Points in order of arrival.
#[derive(Debug, Serialize, Deserialize)]
pub enum Buffer {
    Columns(Packed),
    Rows(VecDeque<Row>),
}

/// What of a point a window stores.
pub struct Keep {
    /// The fields that anybody behind the window reads; `None` for whole points.
    wanted: Option<Rc<[Name]>>,
    scratch: Vec<Field>,
}

/// Columns of more names than this are mostly empty.
const COLUMNS_MAX: usize = 16;

impl Keep {
    pub fn new(wanted: Option<Vec<Name>>) -> Keep {
        Keep { wanted: wanted.map(Rc::from), scratch: Vec::new() }
    }

    /// An empty buffer.
    pub fn buffer(&self) -> Buffer {
        match &self.wanted {
            Some(wanted) if (1..=COLUMNS_MAX).contains(&wanted.len()) => Buffer::Columns(Packed::new(wanted.clone())),
            _ => Buffer::Rows(VecDeque::new()),
        }
    }

    pub fn push(&mut self, buffer: &mut Buffer, point: &Point<'_>) {
        if let Buffer::Columns(packed) = buffer {
            match packed.push(point.time, point.tags, point.fields) {
                Ok(()) => return,
                // Row by row from now on.
                Err(DoesNotFit) => *buffer = Buffer::Rows((0..packed.len()).map(|row| packed.to_row(row)).collect()),
            }
        }
        if let Buffer::Rows(rows) = buffer {
            rows.push_back(self.row(point));
        }
    }

    fn row(&mut self, point: &Point<'_>) -> Row {
        let Some(wanted) = &self.wanted else { return Row::new(point.time, point.tags.clone(), point.fields.all()) };
        let field = |name: &Name| Some(Field { name: *name, value: point.field(*name)?.clone() });
        self.scratch.clear();
        self.scratch.extend(wanted.iter().filter_map(field));
        Row::new(point.time, point.tags.clone(), &self.scratch)
    }
}

impl Buffer {
    pub fn len(&self) -> usize {
        match self {
            Buffer::Columns(packed) => packed.len(),
            Buffer::Rows(rows) => rows.len(),
        }
    }

    /// Bytes held, about.
    pub fn bytes(&self) -> usize {
        match self {
            Buffer::Columns(packed) => packed.bytes(),
            Buffer::Rows(rows) => bytes_of_rows(rows),
        }
    }

    /// Time of the oldest point.
    pub fn front(&self) -> Option<i64> {
        match self {
            Buffer::Columns(packed) => (!packed.is_empty()).then(|| packed.time(0)),
            Buffer::Rows(rows) => rows.front().map(|row| row.as_ref().time()),
        }
    }

    pub fn pop_front(&mut self) {
        match self {
            Buffer::Columns(packed) => packed.pop_front(),
            Buffer::Rows(rows) => drop(rows.pop_front()),
        }
    }

    /// All points.
    pub fn rows(&mut self) -> Rows<'_> {
        match self {
            Buffer::Columns(packed) => Rows::packed(packed),
            Buffer::Rows(rows) => Rows::new(rows.make_contiguous()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{group::Group, point::SeriesNumber, tags::TagSet, value::Value};

    /// What a buffer holds, row by row.
    fn shown(buffer: &mut Buffer) -> Vec<Row> {
        buffer.rows().iter().map(|row| row.to_row()).collect()
    }

    #[test]
    fn columns_say_what_rows_say() {
        let name = |text: &str| Name::new(text).unwrap();
        let names = vec![name("a"), name("b")];
        let group = Rc::new(Group::nil());
        let value = |n: i64| match n % 4 {
            0 => Some(Value::Float(n as f64 / 2.0)),
            1 => Some(Value::Int(n)),
            2 => None,
            _ => Some(Value::Bool(n % 8 == 3)),
        };
        let mut keep = Keep::new(Some(names));
        let (mut columns, mut rows) = (keep.buffer(), Buffer::Rows(VecDeque::new()));
        for n in 0..40_i64 {
            // Tags of one series, then of two, by content; a text at the end.
            let tags = Rc::new(TagSet::new(vec![(name("host"), (n / 25).to_string().into())]));
            let mut fields: Vec<Field> = vec![Field { name: name("other"), value: Value::Int(n) }];
            fields.extend(value(n).map(|value| Field { name: name("a"), value }));
            let b = if n == 35 { Value::String("text".into()) } else { Value::Float(n as f64) };
            fields.push(Field { name: name("b"), value: b });
            let point = Point {
                name: name("cpu"),
                database: name(""),
                retention_policy: name(""),
                group: &group,
                tags: &tags,
                fields: (&fields).into(),
                time: n,
                series: SeriesNumber::NONE,
            };
            keep.push(&mut columns, &point);
            rows_push(&mut rows, keep.row(&point));
            if n % 3 == 0 {
                columns.pop_front();
                rows.pop_front();
            }
            assert_eq!(matches!(columns, Buffer::Columns(_)), n < 35);
            assert_eq!((columns.len(), columns.front()), (rows.len(), rows.front()));
            assert_eq!(shown(&mut columns), shown(&mut rows));
            let floats = |buffer: &mut Buffer, name: Name| {
                let mut floats = Vec::new();
                buffer.rows().floats(name, &mut floats).then_some(floats)
            };
            for name in [name("a"), name("b")] {
                assert_eq!(floats(&mut columns, name), floats(&mut rows, name));
            }
        }
    }

    fn rows_push(buffer: &mut Buffer, row: Row) {
        if let Buffer::Rows(rows) = buffer {
            rows.push_back(row);
        }
    }
}
