//! A batch as its line of JSON (reference: http-api §16).
//!
//! `{"name":…,"tmax":…,"byname":…,"tags":{…},"points":[{"fields":{…},"tags":{…},"time":…}]}`. Numbers are floats, nulls are
//! absent fields, `group` is made from tags and byname. Names and tags mostly repeat from point to point, so each point is
//! compared with the one before it first.

use std::{cell::RefCell, fmt, rc::Rc};

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::{
    name::Name,
    point::Row,
    rfc3339,
    tags::TagSet,
    value::{Field, Value, set_field},
};

/// A batch as it was read.
#[derive(Debug)]
pub struct BatchLine {
    pub name: Name,
    pub time: i64,
    pub by_name: bool,
    pub tags: Rc<TagSet>,
    /// A point's tags are `None` if they are the batch's.
    pub points: Vec<PointLine>,
}

#[derive(Debug)]
pub struct PointLine {
    pub time: i64,
    pub tags: Option<Rc<TagSet>>,
    pub fields: Vec<Field>,
}

impl BatchLine {
    /// Reads a line; its bytes are used up.
    pub fn read(line: &mut [u8]) -> Result<BatchLine, simd_json::Error> {
        BatchLine::read_in_parts(line, PART_BYTES)
    }

    /// The parser's notes on a text are larger than the text, so the points of a long line are read a part at a time.
    fn read_in_parts(line: &mut [u8], part_bytes: usize) -> Result<BatchLine, simd_json::Error> {
        let last = RefCell::default();
        let cuts = if line.len() > part_bytes { cuts(line, part_bytes) } else { None };
        let Some(cuts) = cuts.filter(|cuts| cuts.len() > 1) else {
            return Reader { last: &last }.deserialize(&mut simd_json::Deserializer::from_slice(line)?);
        };
        // The line without its points.
        let (first, end) = (cuts[0], cuts[cuts.len() - 1]);
        let mut head = [&line[..=first], &line[end..]].concat();
        let mut batch = Reader { last: &last }.deserialize(&mut simd_json::Deserializer::from_slice(&mut head)?)?;
        for ends in cuts.windows(2) {
            // What stands between two parts is an end to both.
            let part = &mut line[ends[0]..=ends[1]];
            let ends = part.len() - 1;
            (part[0], part[ends]) = (b'[', b']');
            let mut deserializer = simd_json::Deserializer::from_slice(part)?;
            Points { last: &last, into: &mut batch.points }.deserialize(&mut deserializer)?;
        }
        Ok(batch)
    }

    /// Takes the rows, all times moved by `shift`.
    pub fn take_rows(&mut self, shift: i64) -> Vec<Row> {
        let tags = &self.tags;
        let row = |point: PointLine| {
            let tags = point.tags.unwrap_or_else(|| tags.clone());
            Row::new(point.time.saturating_add(shift), tags, &point.fields)
        };
        std::mem::take(&mut self.points).into_iter().map(row).collect()
    }
}

/// Text of points that is read at once.
const PART_BYTES: usize = 1 << 20;

/// Where the points of a line may be cut into parts of about so many bytes: the bracket before them, commas between them,
/// the bracket behind. `None` if the line is not as recordings are written.
fn cuts(line: &[u8], part_bytes: usize) -> Option<Vec<usize>> {
    // Inside a string the quotes of the key would be escaped.
    const POINTS: &[u8] = b"\"points\":[";
    let start = memchr::memmem::find(line, POINTS)? + POINTS.len() - 1;
    let mut cuts = vec![start];
    let (mut at, mut depth) = (start + 1, 0_usize);
    loop {
        at += memchr::memchr3(b'"', b'{', b'}', line.get(at..)?)?;
        match line.get(at)? {
            b'"' => at = string_end(line, at + 1)?,
            b'{' => depth += 1,
            _ => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    let behind = at + 1 + line.get(at + 1..)?.iter().position(|byte| !byte.is_ascii_whitespace())?;
                    match line.get(behind)? {
                        b']' => {
                            cuts.push(behind);
                            return Some(cuts);
                        }
                        b',' if behind - cuts.last()? >= part_bytes => cuts.push(behind),
                        b',' => {}
                        _ => return None,
                    }
                    at = behind;
                }
            }
        }
        at += 1;
    }
}

/// The quote that ends a string whose first byte is at `at`.
fn string_end(line: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr::memchr2(b'"', b'\\', line.get(at..)?)?;
        match line.get(at)? {
            b'"' => return Some(at),
            _ => at += 2,
        }
    }
}

/// What the last point had.
#[derive(Default)]
struct Last {
    names: Vec<Name>,
    tags: Option<Rc<TagSet>>,
}

impl Last {
    /// The name of the field in the nth place.
    fn name<E: de::Error>(&mut self, nth: usize, text: &str) -> Result<Name, E> {
        match self.names.get(nth) {
            Some(name) if name.as_str() == text => Ok(*name),
            known => {
                let name = Name::new(text).map_err(E::custom)?;
                match known {
                    Some(_) => self.names[nth] = name,
                    None => self.names.push(name),
                }
                Ok(name)
            }
        }
    }
}

struct Reader<'a> {
    last: &'a RefCell<Last>,
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = BatchLine;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<BatchLine, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = BatchLine;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a batch")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<BatchLine, A::Error> {
        let name = |text: &str| Name::new(text).map_err(de::Error::custom);
        let mut batch = BatchLine {
            name: name("")?,
            time: rfc3339::ZERO_TIME,
            by_name: false,
            tags: Rc::default(),
            points: Vec::new(),
        };
        while let Some(key) = map.next_key::<&str>()? {
            match key {
                "name" => batch.name = name(&map.next_value::<std::borrow::Cow<'_, str>>()?)?,
                "tmax" => batch.time = map.next_value::<Time>()?.0,
                "byname" => batch.by_name = map.next_value()?,
                "tags" => batch.tags = map.next_value_seed(Tags(self.last))?.unwrap_or_default(),
                "points" => map.next_value_seed(Points { last: self.last, into: &mut batch.points })?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(batch)
    }
}

struct Time(i64);

impl<'de> de::Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text: std::borrow::Cow<'_, str> = de::Deserialize::deserialize(deserializer)?;
        let unreadable = || de::Error::custom(format!("unexpected time format: {text}"));
        rfc3339::parse(&text).map(Time).ok_or_else(unreadable)
    }
}

/// Tags; `None` for null.
struct Tags<'a>(&'a RefCell<Last>);

impl<'de> DeserializeSeed<'de> for Tags<'_> {
    type Value = Option<Rc<TagSet>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Tags<'_> {
    type Value = Option<Rc<TagSet>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tags")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        // As long as they are those of the last point, its set is theirs.
        let last = self.0.borrow().tags.clone().unwrap_or_default();
        let (mut same, mut matched) = (true, 0);
        let mut found: Vec<(Name, Rc<str>)> = Vec::new();
        while let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? {
            let value = map.next_value::<std::borrow::Cow<'_, str>>()?;
            let known = last.iter().nth(matched).filter(|_| same);
            if known.is_some_and(|(name, text)| name.as_str() == key && **text == *value) {
                matched += 1;
                continue;
            }
            if std::mem::take(&mut same) {
                found.extend(last.iter().take(matched).cloned());
            }
            found.push((Name::new(&key).map_err(de::Error::custom)?, value.as_ref().into()));
        }
        if same {
            if matched == last.len() {
                return Ok(Some(last));
            }
            found.extend(last.iter().take(matched).cloned());
        }
        let tags = Rc::new(TagSet::new(found));
        self.0.borrow_mut().tags = Some(tags.clone());
        Ok(Some(tags))
    }
}

struct Points<'a> {
    last: &'a RefCell<Last>,
    into: &'a mut Vec<PointLine>,
}

impl<'de> DeserializeSeed<'de> for Points<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Points<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("points")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_none<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut points: A) -> Result<(), A::Error> {
        self.into.reserve(points.size_hint().unwrap_or_default().min(1 << 20));
        while let Some(point) = points.next_element_seed(Point(self.last))? {
            self.into.push(point);
        }
        Ok(())
    }
}

struct Point<'a>(&'a RefCell<Last>);

impl<'de> DeserializeSeed<'de> for Point<'_> {
    type Value = PointLine;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<PointLine, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Point<'_> {
    type Value = PointLine;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a point")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PointLine, A::Error> {
        let mut point = PointLine { time: rfc3339::ZERO_TIME, tags: None, fields: Vec::new() };
        while let Some(key) = map.next_key::<&str>()? {
            match key {
                "fields" => map.next_value_seed(FieldMap { last: self.0, into: &mut point.fields })?,
                "tags" => point.tags = map.next_value_seed(Tags(self.0))?,
                "time" => point.time = map.next_value::<Time>()?.0,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(point)
    }
}

struct FieldMap<'a> {
    last: &'a RefCell<Last>,
    into: &'a mut Vec<Field>,
}

impl<'de> DeserializeSeed<'de> for FieldMap<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for FieldMap<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut nth = 0;
        while let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? {
            let name = self.last.borrow_mut().name(nth, &key)?;
            nth += 1;
            if let FieldValue(Some(value)) = map.next_value()? {
                set_field(self.into, name, value);
            }
        }
        Ok(())
    }
}

/// A field; `None` for null.
struct FieldValue(Option<Value>);

impl<'de> de::Deserialize<'de> for FieldValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = FieldValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, a string, a boolean or null")
            }

            fn visit_unit<E>(self) -> Result<FieldValue, E> {
                Ok(FieldValue(None))
            }

            fn visit_bool<E>(self, value: bool) -> Result<FieldValue, E> {
                Ok(FieldValue(Some(Value::Bool(value))))
            }

            fn visit_i64<E>(self, value: i64) -> Result<FieldValue, E> {
                Ok(FieldValue(Some(Value::Float(value as f64))))
            }

            fn visit_u64<E>(self, value: u64) -> Result<FieldValue, E> {
                Ok(FieldValue(Some(Value::Float(value as f64))))
            }

            fn visit_f64<E>(self, value: f64) -> Result<FieldValue, E> {
                Ok(FieldValue(Some(Value::Float(value))))
            }

            fn visit_str<E>(self, value: &str) -> Result<FieldValue, E> {
                Ok(FieldValue(Some(Value::String(value.into()))))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<BatchLine, simd_json::Error> {
        BatchLine::read(&mut text.as_bytes().to_vec())
    }

    #[test]
    fn a_line_of_the_reference_is_read() {
        let mut batch = read(
            r#"{"name":"cpu","tmax":"2020-09-13T12:26:53Z","group":"cpu\nhost=a","byname":true,"tags":{"host":"a"},"points":[
            {"fields":{"usage":1,"s":"x\"y","n":null},"tags":{"host":"a"},"time":"2020-09-13T12:26:43Z"},
            {"fields":{"usage":2.5,"b":true},"tags":null,"time":"2020-09-13T12:26:44Z"},
            {"fields":{},"tags":{"host":"a","dc":"eu"},"time":"2020-09-13T12:26:45Z"}]}"#,
        )
        .unwrap();
        assert_eq!((batch.name.as_str(), batch.by_name, batch.time), ("cpu", true, 1_600_000_013_000_000_000));
        assert_eq!(batch.tags.len(), 1);
        let fields = |nth: usize| -> Vec<(&str, Value)> {
            batch.points[nth].fields.iter().map(|field| (field.name.as_str(), field.value.clone())).collect()
        };
        assert_eq!(fields(0), [("usage", Value::Float(1.0)), ("s", Value::String("x\"y".into()))]);
        assert_eq!(fields(1), [("usage", Value::Float(2.5)), ("b", Value::Bool(true))]);
        assert!(batch.points[1].tags.is_none());
        assert_eq!(batch.points[2].tags.as_ref().unwrap().len(), 2);
        assert_eq!(batch.take_rows(5)[2].as_ref().time(), 1_600_000_005_000_000_005);
    }

    #[test]
    fn a_line_in_parts_is_the_line() {
        let points = r#"[{"fields":{"s":"}]\"points\":[{\\","v":1},"tags":{"host":"a"},"time":"2020-09-13T12:26:43Z"} , {"fields":{"v":2},"tags":null,"time":"2020-09-13T12:26:44Z"},{"fields":{"v":3,"w":true},"tags":{"host":"b"},"time":"2020-09-13T12:26:45Z"}]"#;
        for line in [
            format!(r#"{{"name":"cpu","tmax":"2020-09-13T12:26:53Z","tags":{{"host":"a"}},"points":{points}}}"#),
            format!(r#"{{"points":{points},"byname":true,"tags":{{"host":"a"}},"name":"cpu"}}"#),
            format!(r#"{{"name":"cpu","points": {points}}}"#),
        ] {
            let whole = format!("{:?}", BatchLine::read_in_parts(&mut line.clone().into_bytes(), usize::MAX).unwrap());
            for part in 0..line.len() {
                let parts = BatchLine::read_in_parts(&mut line.clone().into_bytes(), part).unwrap();
                assert_eq!((parts.points.len(), format!("{parts:?}")), (3, whole.clone()), "{part}");
            }
            // Cut off anywhere, it is an error of its own kind and nothing else.
            for end in 0..line.len() {
                assert!(BatchLine::read_in_parts(&mut line.as_bytes()[..end].to_vec(), 1).is_err(), "{end}");
            }
        }
    }

    #[test]
    fn what_is_left_out_has_its_default_and_garbage_is_an_error() {
        let batch = read(r#"{"name":"m"}"#).unwrap();
        assert_eq!((batch.time, batch.points.len(), batch.tags.len()), (rfc3339::ZERO_TIME, 0, 0));
        for bad in ["", "{", "[]", r#"{"name":1}"#, r#"{"tmax":"x"}"#, r#"{"points":[{"fields":{"a":[]}}]}"#] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
