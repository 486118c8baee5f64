//! The fields of a point: those that tasks read by name are at hand, the others stay in the line until somebody asks.
//!
//! Most points of most tasks are looked at and let go: an alert that does not fire, a window's maximum that is not one.
//! What such a task would need of the whole point is carried as bytes, and taken apart by the one that needs it.

use std::{
    cell::{OnceCell, RefCell},
    fmt,
};

use crate::{
    block::Cell,
    line,
    name::Name,
    value::{Field, Value, field, set_field},
};

/// The fields of a point, each name once, in no order that means anything. A reference: cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    at_hand: &'a [Field],
    unread: Option<&'a Unread<'a>>,
}

impl<'a> Fields<'a> {
    /// Fields of which those among the columns of `unread` are at hand.
    pub fn partly(at_hand: &'a [Field], unread: &'a Unread<'a>) -> Self {
        Fields { at_hand, unread: Some(unread) }
    }

    /// The value of a field.
    #[inline]
    pub fn get(self, name: Name) -> Option<&'a Value> {
        match (field(self.at_hand, name), self.unread) {
            (None, Some(unread)) if !unread.columns.contains(&name) => field(unread.fields(), name),
            (found, _) => found,
        }
    }

    /// All fields; reads the line if that has not been done yet.
    #[inline]
    pub fn all(self) -> &'a [Field] {
        self.unread.map_or(self.at_hand, Unread::fields)
    }
}

impl<'a> From<&'a [Field]> for Fields<'a> {
    fn from(fields: &'a [Field]) -> Self {
        Fields { at_hand: fields, unread: None }
    }
}

impl<'a> From<&'a Vec<Field>> for Fields<'a> {
    fn from(fields: &'a Vec<Field>) -> Self {
        fields.as_slice().into()
    }
}

impl<'a, const N: usize> From<&'a [Field; N]> for Fields<'a> {
    fn from(fields: &'a [Field; N]) -> Self {
        fields.as_slice().into()
    }
}

/// The field section of a line that was found good, not yet taken apart.
pub struct Unread<'a> {
    /// Names of the fields that were read on arrival, whether the line has them or not.
    columns: &'a [Name],
    line: &'a [u8],
    reader: &'a RefCell<Reader>,
    fields: OnceCell<Vec<Field>>,
}

impl<'a> Unread<'a> {
    pub fn new(columns: &'a [Name], line: &'a [u8], reader: &'a RefCell<Reader>) -> Self {
        Unread { columns, line, reader, fields: OnceCell::new() }
    }

    fn fields(&self) -> &[Field] {
        self.fields.get_or_init(|| self.reader.borrow_mut().read(self.line))
    }
}

impl Drop for Unread<'_> {
    /// What was read into is used again for another line.
    fn drop(&mut self) {
        if let Some(fields) = self.fields.take() {
            self.reader.borrow_mut().spare.push(fields);
        }
    }
}

impl fmt::Debug for Unread<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.line))
    }
}

/// Takes field sections apart. Lines of one writer have the same names in the same order, so each name is looked for where
/// it stood last before it is looked up.
#[derive(Debug, Default)]
pub struct Reader {
    spare: Vec<Vec<Field>>,
    names: Vec<Name>,
    text: String,
}

impl Reader {
    fn read(&mut self, line: &[u8]) -> Vec<Field> {
        let Reader { spare, names, text } = self;
        let mut fields = spare.pop().unwrap_or_default();
        fields.clear();
        let mut unread = line::Fields::new(line, 0);
        let mut place = 0;
        while let Ok(Some(raw)) = unread.next_field() {
            let name = match names.get(place) {
                Some(name) if raw.is_named(name.as_str()) => *name,
                expected => {
                    // Without room for another name the field is left out; the limit is far above what metrics need.
                    let Ok(name) = Name::new(&raw.name()) else { continue };
                    match expected {
                        Some(_) => names[place] = name,
                        None => names.push(name),
                    }
                    name
                }
            };
            place += 1;
            let value = match raw.value.cell(text) {
                Cell::Missing => continue,
                Cell::Float(x) => Value::Float(x),
                Cell::Int(x) => Value::Int(x),
                Cell::Bool(x) => Value::Bool(x),
                Cell::String(text) => Value::String(text.into()),
            };
            // Of equal names the last one counts.
            set_field(&mut fields, name, value);
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_once_somebody_asks_for_what_is_not_at_hand() {
        let name = |text: &str| Name::new(text).unwrap();
        let reader = RefCell::default();
        for line in ["a=1,b=2i,a=3,c=\"x\\\"y\"", "b=2i,a=3,c=\"x\\\"y\""] {
            let columns = [name("b"), name("z")];
            let at_hand = [Field { name: name("b"), value: Value::Int(2) }];
            let unread = Unread::new(&columns, line.as_bytes(), &reader);
            let fields = Fields::partly(&at_hand, &unread);
            assert_eq!(fields.get(name("b")), Some(&Value::Int(2)));
            assert_eq!((fields.get(name("z")), unread.fields.get()), (None, None));
            assert_eq!(fields.get(name("a")), Some(&Value::Float(3.0)));
            assert_eq!(fields.get(name("c")), Some(&Value::String("x\"y".into())));
            assert_eq!(fields.all().len(), 3);
        }
    }
}
