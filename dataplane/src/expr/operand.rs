//! Values while an expression is evaluated: they borrow texts from the point where they can.

use std::{borrow::Cow, fmt, rc::Rc};

use super::pattern::Pattern;
use crate::value::Value;

/// Type of an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Float,
    Int,
    Bool,
    String,
    Duration,
    Time,
    Regex,
    /// A reference that is neither field nor tag.
    Missing,
    /// A field that a join filled; nothing takes it.
    Null,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Float => "float",
            Kind::Int => "int",
            Kind::Bool => "boolean",
            Kind::String => "string",
            Kind::Duration => "duration",
            Kind::Time => "time",
            Kind::Regex => "regex",
            Kind::Missing => "missing",
            Kind::Null => "invalid type",
        })
    }
}

/// A value inside an evaluation. Durations and times are nanoseconds.
#[derive(Clone, Debug)]
pub enum Operand<'a> {
    Float(f64),
    Int(i64),
    Bool(bool),
    Text(Text<'a>),
    Duration(i64),
    Time(i64),
    Regex(&'a Rc<Pattern>),
    Missing,
    Null,
}

impl<'a> Operand<'a> {
    pub fn kind(&self) -> Kind {
        match self {
            Operand::Float(_) => Kind::Float,
            Operand::Int(_) => Kind::Int,
            Operand::Bool(_) => Kind::Bool,
            Operand::Text(_) => Kind::String,
            Operand::Duration(_) => Kind::Duration,
            Operand::Time(_) => Kind::Time,
            Operand::Regex(_) => Kind::Regex,
            Operand::Missing => Kind::Missing,
            Operand::Null => Kind::Null,
        }
    }

    /// The operand as a field; the kind is the error if it is none that a field may have.
    pub fn into_value(self) -> Result<Value, Kind> {
        Ok(match self {
            Operand::Float(x) => Value::Float(x),
            Operand::Int(x) => Value::Int(x),
            Operand::Bool(x) => Value::Bool(x),
            Operand::Text(text) => Value::String(text.into_shared()),
            Operand::Duration(x) => Value::Duration(x),
            Operand::Time(_) | Operand::Regex(_) | Operand::Missing | Operand::Null => return Err(self.kind()),
        })
    }
}

impl<'a> From<&'a Value> for Operand<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Float(x) => Operand::Float(*x),
            Value::Int(x) => Operand::Int(*x),
            Value::Bool(x) => Operand::Bool(*x),
            Value::String(text) => Operand::Text(Text::Shared(text)),
            Value::Duration(x) => Operand::Duration(*x),
            Value::Null => Operand::Null,
            Value::Missing => Operand::Missing,
        }
    }
}

/// A text. Inside an expression it may be cut anywhere (`strSubstring`), so it is bytes; see [`Text::into_shared`].
#[derive(Clone, Debug)]
pub enum Text<'a> {
    /// A whole text of the point or the script: as a result it is shared, not copied.
    Shared(&'a Rc<str>),
    Slice(&'a [u8]),
    Owned(Vec<u8>),
}

impl<'a> Text<'a> {
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Text::Shared(text) => text.as_bytes(),
            Text::Slice(bytes) => bytes,
            Text::Owned(bytes) => bytes,
        }
    }

    /// As characters; each byte that is part of none becomes U+FFFD.
    pub fn to_str(&self) -> Cow<'_, str> {
        match self {
            Text::Shared(text) => Cow::Borrowed(text),
            Text::Slice(bytes) => readable(bytes),
            Text::Owned(bytes) => readable(bytes),
        }
    }

    /// The text as a field. Bytes that are part of no character become U+FFFD each, as JSON would show them.
    pub fn into_shared(self) -> Rc<str> {
        match self {
            Text::Shared(text) => text.clone(),
            text => text.to_str().into(),
        }
    }

    /// What `cut` makes of the text, borrowed where the text is.
    pub fn cut(&self, cut: impl for<'b> Fn(&'b [u8]) -> &'b [u8]) -> Text<'a> {
        match self {
            Text::Shared(text) => Text::Slice(cut(text.as_bytes())),
            Text::Slice(bytes) => Text::Slice(cut(bytes)),
            Text::Owned(bytes) => Text::Owned(cut(bytes).to_vec()),
        }
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Text::Owned(text.into_bytes())
    }
}

fn readable(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(characters(bytes).map(|(_, character)| character).collect()),
    }
}

/// Byte offsets and characters; each byte that is part of no character counts as a U+FFFD.
pub fn characters(bytes: &[u8]) -> impl Iterator<Item = (usize, char)> + '_ {
    let mut start = 0;
    bytes.utf8_chunks().flat_map(move |chunk| {
        let valid_start = start;
        let invalid_start = start + chunk.valid().len();
        start = invalid_start + chunk.invalid().len();
        let valid = chunk.valid().char_indices().map(move |(offset, character)| (valid_start + offset, character));
        valid.chain((invalid_start..start).map(|offset| (offset, char::REPLACEMENT_CHARACTER)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_characters_show_as_one_replacement_a_byte() {
        let text = Text::Slice(&"aé日本".as_bytes()[..8]);
        assert_eq!(text.to_str(), "aé日\u{fffd}\u{fffd}");
        let offsets: Vec<_> = characters(text.as_bytes()).map(|(offset, _)| offset).collect();
        assert_eq!(offsets, [0, 1, 3, 6, 7]);
    }

    #[test]
    fn whole_texts_are_shared() {
        let field: Rc<str> = "web01".into();
        assert!(Rc::ptr_eq(&field, &Text::Shared(&field).into_shared()));
        assert_eq!(&*Text::Shared(&field).cut(|bytes| &bytes[3..]).into_shared(), "01");
    }
}
