//! Rows of numbers in columns: what a buffered window keeps where it can.
//!
//! A row takes 8 bytes for its time and 9 for each cell. The tags of a group's points are mostly those of one series, and
//! are then kept once.

use std::{collections::VecDeque, rc::Rc};

use serde::{Deserialize, Serialize};

use crate::{
    fields::Fields,
    name::Name,
    point::Row,
    tags::TagSet,
    value::{Field, Value},
};

/// Rows with cells under a few names, in order of arrival.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Packed {
    columns: Rc<[Name]>,
    times: VecDeque<i64>,
    /// Row by row.
    cells: VecDeque<u64>,
    kinds: VecDeque<Kind>,
    tags: Tags,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    /// The row has no such field.
    None,
    Float,
    Int,
    Bool,
    Duration,
}

/// Tags of the rows.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Tags {
    Same(Rc<TagSet>),
    Each(VecDeque<Rc<TagSet>>),
}

/// A row has a value that is no number or bool: it does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoesNotFit;

impl Packed {
    pub fn new(columns: Rc<[Name]>) -> Packed {
        let tags = Tags::Same(Rc::default());
        Packed { columns, times: VecDeque::new(), cells: VecDeque::new(), kinds: VecDeque::new(), tags }
    }

    /// Adds a row at the end, or nothing.
    pub fn push(&mut self, time: i64, tags: &Rc<TagSet>, fields: Fields<'_>) -> Result<(), DoesNotFit> {
        let filled = self.cells.len();
        for name in self.columns.iter() {
            let (kind, bits) = match fields.get(*name) {
                None => (Kind::None, 0),
                Some(Value::Float(x)) => (Kind::Float, x.to_bits()),
                Some(Value::Int(x)) => (Kind::Int, x.cast_unsigned()),
                Some(Value::Bool(x)) => (Kind::Bool, u64::from(*x)),
                Some(Value::Duration(x)) => (Kind::Duration, x.cast_unsigned()),
                Some(Value::String(_) | Value::Null | Value::Missing) => {
                    self.cells.truncate(filled);
                    self.kinds.truncate(filled);
                    return Err(DoesNotFit);
                }
            };
            self.cells.push_back(bits);
            self.kinds.push_back(kind);
        }
        self.push_tags(tags);
        self.times.push_back(time);
        Ok(())
    }

    fn push_tags(&mut self, tags: &Rc<TagSet>) {
        match &mut self.tags {
            Tags::Same(same) if Rc::ptr_eq(same, tags) => {}
            Tags::Same(same) if self.times.is_empty() || same == tags => *same = tags.clone(),
            Tags::Same(same) => {
                let mut each: VecDeque<_> = std::iter::repeat_n(same.clone(), self.times.len()).collect();
                each.push_back(tags.clone());
                self.tags = Tags::Each(each);
            }
            Tags::Each(each) => each.push_back(tags.clone()),
        }
    }

    pub fn pop_front(&mut self) {
        if self.times.pop_front().is_some() {
            self.cells.drain(..self.columns.len());
            self.kinds.drain(..self.columns.len());
            if let Tags::Each(each) = &mut self.tags {
                each.pop_front();
            }
        }
    }

    /// Bytes held, without the tags.
    pub fn bytes(&self) -> usize {
        let tags = match &self.tags {
            Tags::Same(_) => 0,
            Tags::Each(each) => each.capacity() * size_of::<Rc<TagSet>>(),
        };
        self.times.capacity() * 8 + self.cells.capacity() * 8 + self.kinds.capacity() + tags
    }

    pub fn len(&self) -> usize {
        self.times.len()
    }

    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Time of a row that there is.
    pub fn time(&self, row: usize) -> i64 {
        self.times[row]
    }

    /// Tags of a row that there is.
    pub fn tags(&self, row: usize) -> &Rc<TagSet> {
        match &self.tags {
            Tags::Same(tags) => tags,
            Tags::Each(each) => &each[row],
        }
    }

    pub fn field(&self, row: usize, name: Name) -> Option<Value> {
        self.cell(row, self.column(name)?)
    }

    pub fn fields(&self, row: usize) -> Vec<Field> {
        let field = |(column, name): (usize, &Name)| Some(Field { name: *name, value: self.cell(row, column)? });
        self.columns.iter().enumerate().filter_map(field).collect()
    }

    /// A row that there is, in a piece.
    pub fn to_row(&self, row: usize) -> Row {
        Row::new(self.time(row), self.tags(row).clone(), &self.fields(row))
    }

    /// Puts the values of a column into `floats`, in order of rows, if each row has one and all are floats; tells whether
    /// they are.
    pub fn floats(&self, name: Name, floats: &mut Vec<f64>) -> bool {
        floats.clear();
        let Some(column) = self.column(name) else { return false };
        let width = self.columns.len();
        if !strided(&self.kinds, column, width).all(|kind| *kind == Kind::Float) {
            return false;
        }
        floats.extend(strided(&self.cells, column, width).map(|bits| f64::from_bits(*bits)));
        true
    }

    fn column(&self, name: Name) -> Option<usize> {
        self.columns.iter().position(|column| *column == name)
    }

    fn cell(&self, row: usize, column: usize) -> Option<Value> {
        let at = row * self.columns.len() + column;
        let bits = *self.cells.get(at)?;
        match self.kinds.get(at)? {
            Kind::None => None,
            Kind::Float => Some(Value::Float(f64::from_bits(bits))),
            Kind::Int => Some(Value::Int(bits.cast_signed())),
            Kind::Bool => Some(Value::Bool(bits != 0)),
            Kind::Duration => Some(Value::Duration(bits.cast_signed())),
        }
    }
}

/// Every `step`th element from `first` on, over the two halves of a ring.
fn strided<T>(ring: &VecDeque<T>, first: usize, step: usize) -> impl Iterator<Item = &T> {
    let (front, back) = ring.as_slices();
    let taken = front.len().saturating_sub(first).div_ceil(step);
    let rest = (first + taken * step).saturating_sub(front.len());
    front.iter().skip(first).step_by(step).chain(back.iter().skip(rest).step_by(step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_go_over_the_end_of_the_ring() {
        for turned in 0..16 {
            let mut ring: VecDeque<usize> = VecDeque::with_capacity(16);
            for number in 0..turned {
                ring.push_back(number);
                ring.pop_front();
            }
            ring.extend(0..12);
            for step in 1..5 {
                for first in 0..step {
                    let expected: Vec<usize> = (first..12).step_by(step).collect();
                    assert_eq!(strided(&ring, first, step).copied().collect::<Vec<_>>(), expected);
                }
            }
        }
    }
}
