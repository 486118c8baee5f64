//! The fields of a line.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use super::{error::Reason, key, number};
use crate::block::Cell;

/// Iterates over the fields of a line. Every byte is checked, also of fields whose value nobody asks for.
///
/// A field name may come twice; the last one counts, which is the caller's business.
pub struct Fields<'a> {
    line: &'a [u8],
    at: usize,
    state: State,
    /// A comma stood where a field name was due: refused at the end, unless something worse comes before.
    malformed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    First,
    Next,
    Done,
}

/// A field, not yet converted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RawField<'a> {
    key: &'a [u8],
    pub value: RawValue<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RawValue<'a> {
    /// Digits that are known to be a float.
    Float(&'a [u8]),
    Int(i64),
    Bool(bool),
    /// What stands between the quotes, escapes and all.
    String(&'a [u8]),
}

impl<'a> Fields<'a> {
    /// Reads on behind the key of a line.
    pub fn new(line: &'a [u8], key_end: usize) -> Self {
        Fields { line, at: key_end, state: State::First, malformed: false }
    }

    /// The next field; after `None`, [`Fields::end`] is where the timestamp may begin.
    pub fn next_field(&mut self) -> Result<Option<RawField<'a>>, Reason> {
        match self.state {
            State::First => self.at = skip_blanks(self.line, self.at),
            State::Next => {}
            State::Done if self.malformed => return Err(Reason::InvalidFieldFormat),
            State::Done => return Ok(None),
        }
        let key = self.key()?;
        let value = self.value()?;
        match self.line.get(self.at) {
            Some(b',') => {
                self.at += 1;
                self.state = State::Next;
            }
            // A blank, or the end of the line.
            _ => self.state = State::Done,
        }
        Ok(Some(RawField { key, value }))
    }

    /// Where the fields end.
    pub fn end(&self) -> usize {
        self.at
    }

    fn key(&mut self) -> Result<&'a [u8], Reason> {
        let start = self.at;
        loop {
            match self.line.get(self.at) {
                Some(b'=') => break,
                Some(b'\\') => self.at += 2,
                Some(b',') => {
                    self.malformed = true;
                    self.at += 1;
                }
                Some(b' ') | None => return Err(Reason::InvalidFieldFormat),
                Some(_) => self.at += 1,
            }
        }
        let key = self.line.get(start..self.at).unwrap_or_default();
        self.at += 1;
        if key.is_empty() || key.ends_with(b",") && !key.ends_with(b"\\,") {
            return Err(Reason::MissingFieldKey);
        }
        Ok(key)
    }

    fn value(&mut self) -> Result<RawValue<'a>, Reason> {
        match self.line.get(self.at) {
            None | Some(b',' | b' ') => Err(Reason::MissingFieldValue),
            Some(b'"') => self.string(),
            Some(b'0'..=b'9' | b'-' | b'.' | b'N' | b'n') => number::parse(self.token()),
            Some(_) => match self.token() {
                b"t" | b"T" | b"true" | b"True" | b"TRUE" => Ok(RawValue::Bool(true)),
                b"f" | b"F" | b"false" | b"False" | b"FALSE" => Ok(RawValue::Bool(false)),
                _ => Err(Reason::InvalidBoolean),
            },
        }
    }

    /// The bytes up to the next comma or blank.
    fn token(&mut self) -> &'a [u8] {
        let rest = self.line.get(self.at..).unwrap_or_default();
        let token = rest.split(|byte| matches!(byte, b',' | b' ')).next().unwrap_or_default();
        self.at += token.len();
        token
    }

    /// Bytes behind the closing quote are accepted, and the value is then all between the first and the last byte: a
    /// defect of the original that writers may rely on.
    fn string(&mut self) -> Result<RawValue<'a>, Reason> {
        let start = self.at;
        let mut in_quotes = false;
        while let Some(byte) = self.line.get(self.at) {
            match byte {
                b'\\' if self.at + 1 < self.line.len() => self.at += 1,
                b'"' => in_quotes = !in_quotes,
                b',' | b' ' if !in_quotes => break,
                // The last byte of the line escapes nothing.
                b'\\' => {}
                _ if in_quotes => {
                    // Straight to the next byte that can matter.
                    let rest = self.line.get(self.at..).unwrap_or_default();
                    self.at += memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
                    continue;
                }
                _ => {}
            }
            self.at += 1;
        }
        self.at = self.at.min(self.line.len());
        if in_quotes {
            return Err(Reason::UnbalancedQuotes);
        }
        Ok(RawValue::String(self.line.get(start + 1..self.at - 1).unwrap_or_default()))
    }
}

impl<'a> RawField<'a> {
    /// The name, without escapes.
    pub fn name(&self) -> Cow<'a, str> {
        key::unescaped(self.key)
    }

    /// Whether the name is `name`, without converting it when it has no escapes.
    pub fn is_named(&self, name: &str) -> bool {
        let escaped = || memchr(b'\\', self.key).is_some();
        match self.key == name.as_bytes() {
            true => !escaped() || self.name() == name,
            false => (escaped() || !self.key.is_ascii()) && self.name() == name,
        }
    }
}

impl<'a> RawValue<'a> {
    /// The value; `text` is where a string goes that cannot be lent.
    pub fn cell<'t>(self, text: &'t mut String) -> Cell<'t>
    where
        'a: 't,
    {
        match self {
            RawValue::Float(digits) => Cell::Float(number::float(digits).unwrap_or_default()),
            RawValue::Int(x) => Cell::Int(x),
            RawValue::Bool(x) => Cell::Bool(x),
            RawValue::String(quoted) => {
                if memchr(b'\\', quoted).is_none()
                    && let Ok(plain) = std::str::from_utf8(quoted)
                {
                    return Cell::String(plain);
                }
                text.clear();
                text.push_str(&key::lossy(&without_escapes(quoted)));
                Cell::String(text)
            }
        }
    }
}

/// A string value without the backslashes that escape a quote or a backslash; others stay.
fn without_escapes(quoted: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(quoted.len());
    let mut bytes = quoted.iter();
    while let Some(byte) = bytes.next() {
        match (byte, bytes.as_slice().first()) {
            (b'\\', Some(b'"' | b'\\')) => plain.extend(bytes.next()),
            _ => plain.push(*byte),
        }
    }
    plain
}

/// The first byte from `at` on that is no blank. Behind a first blank, tabs and NULs count as blanks, too.
pub(super) fn skip_blanks(line: &[u8], at: usize) -> usize {
    let rest = line.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| !matches!(byte, b' ' | b'\t' | 0)).unwrap_or(rest.len())
}
