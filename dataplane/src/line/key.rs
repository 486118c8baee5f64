//! The key of a series: measurement and tags.

use std::borrow::Cow;

use memchr::memchr;

use super::error::{KEY_BYTES_MAX, Reason};

/// Where the key of a line ends: at its first blank that is not escaped, or at the end.
///
/// A byte is escaped if the one before it is a backslash, whatever stands before that.
pub fn key_end(line: &[u8]) -> usize {
    let mut from = 1;
    loop {
        let Some(at) = line.get(from..).and_then(|rest| memchr(b' ', rest)).map(|at| at + from) else {
            return line.len();
        };
        if line[at - 1] != b'\\' {
            return at;
        }
        from = at + 1;
    }
}

/// A parsed key.
#[derive(Debug, PartialEq, Eq)]
pub struct SeriesKey<'a> {
    pub measurement: Cow<'a, str>,
    /// Sorted by key, by bytes.
    pub tags: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> SeriesKey<'a> {
    /// Parses a key as [`key_end`] cuts it off; `complete` says that a blank follows it.
    pub fn parse(key: &'a [u8], complete: bool) -> Result<SeriesKey<'a>, Reason> {
        if key.first().is_none_or(|byte| *byte == b',') {
            return Err(Reason::MissingMeasurement);
        }
        let mut at = find(key, 1, b",").unwrap_or(key.len());
        let measurement = unescaped(&key[..at]);
        // Names are told apart by the bytes sent: two that are no UTF-8 may look alike.
        let (mut tags, mut names) = (Vec::new(), Vec::new());
        while at < key.len() {
            let start = at + 1;
            if key.get(start).is_none_or(|byte| matches!(byte, b',' | b'=')) {
                return Err(Reason::MissingTagKey);
            }
            let equals = find(key, start + 1, b"=,").filter(|at| key[*at] == b'=').ok_or(Reason::MissingTagValue)?;
            let value = equals + 1;
            if key.get(value).is_none_or(|byte| *byte == b',') {
                return Err(Reason::MissingTagValue);
            }
            at = find(key, value, b",=").unwrap_or(key.len());
            if key.get(at) == Some(&b'=') {
                return Err(Reason::InvalidTagFormat);
            }
            names.push(&key[start..equals]);
            tags.push((unescaped(&key[start..equals]), unescaped(&key[value..at])));
        }
        if !complete {
            return Err(Reason::MissingFields);
        }
        tags.sort_by(|(one, _), (other, _)| one.as_bytes().cmp(other.as_bytes()));
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Reason::DuplicateTags);
        }
        if key.len() > KEY_BYTES_MAX {
            return Err(Reason::KeyTooLong(key.len()));
        }
        Ok(SeriesKey { measurement, tags })
    }
}

/// The first byte from `from` on that is one of `wanted` and not escaped.
fn find(text: &[u8], from: usize, wanted: &[u8]) -> Option<usize> {
    (from..text.len()).find(|&at| wanted.contains(&text[at]) && text[at - 1] != b'\\')
}

/// A name or tag value without the backslashes that escape a comma, a blank or an equals sign; others stay.
pub(super) fn unescaped(text: &[u8]) -> Cow<'_, str> {
    if memchr(b'\\', text).is_none() {
        return lossy(text);
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match (byte, bytes.peek()) {
            (b'\\', Some(b',' | b' ' | b'=')) => {}
            _ => plain.push(byte),
        }
    }
    Cow::Owned(lossy(&plain).into_owned())
}

/// Bytes as text; what is no UTF-8 shows as U+FFFD, as it does in the original's JSON.
pub fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
