//! What flows on edges: points, batches, barriers. Operators see them by reference and copy only what they keep.
//!
//! reference: nodes-stream §1.

use std::{borrow::Cow, rc::Rc};

use serde::{Deserialize, Serialize};

use crate::{
    fields::Fields,
    group::Group,
    name::Name,
    packed::Packed,
    tags::TagSet,
    value::{Field, Value, field},
};

/// Number of a series on its owner shard: dense, so that what depends on the series alone is looked up in an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesNumber(pub u32);

impl SeriesNumber {
    /// A point whose name or tags are no longer those of the series that it came from.
    pub const NONE: SeriesNumber = SeriesNumber(u32::MAX);
}

/// A message of a stream edge.
#[derive(Clone, Copy, Debug)]
pub struct Point<'a> {
    pub name: Name,
    /// Empty behind nodes that make new points.
    pub database: Name,
    pub retention_policy: Name,
    pub group: &'a Rc<Group>,
    pub tags: &'a Rc<TagSet>,
    pub fields: Fields<'a>,
    /// Nanoseconds since 1970.
    pub time: i64,
    /// Set while name and tags are those of a source series.
    pub series: SeriesNumber,
}

impl<'a> Point<'a> {
    pub fn field(&self, name: Name) -> Option<&'a Value> {
        self.fields.get(name)
    }
}

/// A message of a batch edge: begin, points and end at once.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    pub name: Name,
    /// The group; its tags are the tags of the begin message.
    pub group: &'a Rc<Group>,
    /// Time of the batch (`tmax`), nanoseconds since 1970.
    pub time: i64,
    pub rows: Rows<'a>,
}

/// The points of a batch, in order.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a>(Stored<'a>);

#[derive(Clone, Copy, Debug)]
enum Stored<'a> {
    List(&'a [Row]),
    Columns(&'a Packed),
}

impl<'a> Rows<'a> {
    pub fn new(rows: &'a [Row]) -> Self {
        Rows(Stored::List(rows))
    }

    pub fn packed(packed: &'a Packed) -> Self {
        Rows(Stored::Columns(packed))
    }

    pub fn len(&self) -> usize {
        match self.0 {
            Stored::List(rows) => rows.len(),
            Stored::Columns(packed) => packed.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get(&self, index: usize) -> Option<RowRef<'a>> {
        (index < self.len()).then(|| self.at(index))
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = RowRef<'a>> + ExactSizeIterator + use<'a> {
        let rows = *self;
        (0..self.len()).map(move |index| rows.at(index))
    }

    /// The row at an index that is in range.
    fn at(self, index: usize) -> RowRef<'a> {
        match self.0 {
            Stored::List(rows) => RowRef(Place::Row(&rows[index])),
            Stored::Columns(packed) => RowRef(Place::Cells(packed, index)),
        }
    }

    /// Puts the values of a field into `floats`, in order of rows, if it is a float in each of them; tells whether it is.
    pub fn floats(&self, name: Name, floats: &mut Vec<f64>) -> bool {
        match self.0 {
            Stored::List(rows) => {
                let float = |row: &Row| match field(&row.fields, name) {
                    Some(Value::Float(x)) => Some(*x),
                    _ => None,
                };
                floats.clear();
                floats.extend(rows.iter().map_while(float));
                floats.len() == rows.len()
            }
            Stored::Columns(packed) => packed.floats(name, floats),
        }
    }
}
/// One point of a batch, borrowed. Nodes read rows through this only, so that storage can change behind it.
#[derive(Clone, Copy, Debug)]
pub struct RowRef<'a>(Place<'a>);

#[derive(Clone, Copy, Debug)]
enum Place<'a> {
    Row(&'a Row),
    /// In range.
    Cells(&'a Packed, usize),
}

impl<'a> RowRef<'a> {
    pub fn time(self) -> i64 {
        match self.0 {
            Place::Row(row) => row.time,
            Place::Cells(packed, row) => packed.time(row),
        }
    }

    pub fn tags(self) -> &'a Rc<TagSet> {
        match self.0 {
            Place::Row(row) => &row.tags,
            Place::Cells(packed, row) => packed.tags(row),
        }
    }

    pub fn field(self, name: Name) -> Option<Cow<'a, Value>> {
        match self.0 {
            Place::Row(row) => field(&row.fields, name).map(Cow::Borrowed),
            Place::Cells(packed, row) => packed.field(row, name).map(Cow::Owned),
        }
    }

    pub fn fields(self) -> Cow<'a, [Field]> {
        match self.0 {
            Place::Row(row) => Cow::Borrowed(&row.fields),
            Place::Cells(packed, row) => Cow::Owned(packed.fields(row)),
        }
    }

    /// An owned row with the same content; copies no text.
    pub fn to_row(self) -> Row {
        match self.0 {
            Place::Row(row) => row.clone(),
            Place::Cells(packed, row) => packed.to_row(row),
        }
    }
}

/// A point of a batch, owned. It has all tags of the original point and no name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    time: i64,
    tags: Rc<TagSet>,
    fields: Rc<[Field]>,
}

impl Row {
    pub fn new(time: i64, tags: Rc<TagSet>, fields: &[Field]) -> Self {
        Row { time, tags, fields: fields.into() }
    }

    /// Puts a new row in the place of `row`, whose memory is used again where nobody else holds it.
    pub fn replace(row: &mut Option<Row>, time: i64, tags: &Rc<TagSet>, fields: &[Field]) {
        if let Some(row) = row
            && let Some(room) = Rc::get_mut(&mut row.fields).filter(|room| room.len() == fields.len())
        {
            room.clone_from_slice(fields);
            row.time = time;
            if !Rc::ptr_eq(&row.tags, tags) {
                row.tags = tags.clone();
            }
            return;
        }
        *row = Some(Row::new(time, tags.clone(), fields));
    }

    pub fn as_ref(&self) -> RowRef<'_> {
        RowRef(Place::Row(self))
    }
}

/// Bytes of rows, about: by the first one, and without their tags, which are mostly shared.
pub fn bytes_of_rows<'a>(rows: impl IntoIterator<Item = &'a Row, IntoIter: ExactSizeIterator>) -> usize {
    let mut rows = rows.into_iter();
    let count = rows.len();
    let row = |row: &Row| size_of::<Row>() + 2 * size_of::<usize>() + row.fields.len() * size_of::<Field>();
    rows.next().map_or(0, row) * count
}

/// A statement that time has reached `time` in a group (reference: nodes-stream §2, nodes-alert-join-io §6).
#[derive(Clone, Copy, Debug)]
pub struct Barrier<'a> {
    pub name: Name,
    pub group: &'a Rc<Group>,
    pub time: i64,
}
