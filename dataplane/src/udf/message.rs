//! What server and function say to each other.

use super::wire::{Malformed, Raw, Reader, Writer};

/// From the server.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    Info,
    Init {
        options: Vec<(String, Vec<OptionValue>)>,
        task: String,
        node: String,
    },
    /// Nanoseconds.
    Keepalive(i64),
    Snapshot,
    Restore(Vec<u8>),
    Begin(Begin),
    Point(UdfPoint),
    End(End),
}

/// From the function.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    Info(Info),
    /// The text says why not.
    Init(Result<(), String>),
    Keepalive,
    Snapshot(Vec<u8>),
    Restore(Result<(), String>),
    Error(String),
    Begin(Begin),
    Point(UdfPoint),
    End(End),
}

#[derive(Clone, Debug, PartialEq)]
pub enum OptionValue {
    Bool(bool),
    Int(i64),
    Double(f64),
    String(String),
    /// Nanoseconds.
    Duration(i64),
}

/// What a function takes, gives, and can be told. Types of options as the protocol numbers them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    pub wants_batch: bool,
    pub provides_batch: bool,
    pub options: Vec<(String, Vec<i64>)>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Begin {
    pub name: String,
    pub group: String,
    pub tags: Vec<(String, String)>,
    pub size: i64,
    pub by_name: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct End {
    pub name: String,
    pub group: String,
    /// Nanoseconds.
    pub time: i64,
    pub tags: Vec<(String, String)>,
    pub by_name: bool,
}

/// A point of a stream, or of a batch: the latter has only time, group, tags and fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UdfPoint {
    /// Nanoseconds.
    pub time: i64,
    pub name: String,
    pub database: String,
    pub retention_policy: String,
    pub group: String,
    pub dimensions: Vec<String>,
    pub tags: Vec<(String, String)>,
    pub fields: Vec<(String, UdfValue)>,
    pub by_name: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum UdfValue {
    Double(f64),
    Int(i64),
    String(String),
    Bool(bool),
}

impl Request {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Request::Info => out.message(1, |_| {}),
            Request::Init { options, task, node } => out.message(2, |out| {
                for (name, values) in options {
                    out.message(1, |out| {
                        out.text(1, name);
                        values.iter().for_each(|value| out.message(2, |out| option_value(value, out)));
                    });
                }
                out.text(2, task);
                out.text(3, node);
            }),
            Request::Keepalive(time) => out.message(3, |out| out.int(1, *time)),
            Request::Snapshot => out.message(4, |_| {}),
            Request::Restore(snapshot) => out.message(5, |out| out.bytes(1, snapshot)),
            Request::Begin(begin) => out.message(16, |out| begin.write(out)),
            Request::Point(point) => out.message(17, |out| point.write(out)),
            Request::End(end) => out.message(18, |out| end.write(out)),
        }
        out.into_bytes()
    }
}

impl Response {
    pub fn decode(message: &[u8]) -> Result<Response, Malformed> {
        let (number, body) = Reader(message).last().ok_or(Malformed)??;
        let body = body.bytes()?;
        Ok(match number {
            1 => Response::Info(Info::read(body)?),
            2 => Response::Init(outcome(body)?),
            3 => Response::Keepalive,
            4 => Response::Snapshot(first_bytes(body)?),
            5 => Response::Restore(outcome(body)?),
            6 => Response::Error(String::from_utf8_lossy(&first_bytes(body)?).into_owned()),
            16 => Response::Begin(Begin::read(body)?),
            17 => Response::Point(UdfPoint::read(body)?),
            18 => Response::End(End::read(body)?),
            _ => return Err(Malformed),
        })
    }
}

fn option_value(value: &OptionValue, out: &mut Writer) {
    match value {
        OptionValue::Bool(x) => out.present_int(2, i64::from(*x)),
        OptionValue::Int(x) => {
            out.int(1, 1);
            out.present_int(3, *x);
        }
        OptionValue::Double(x) => {
            out.int(1, 2);
            out.present_double(4, *x);
        }
        OptionValue::String(x) => {
            out.int(1, 3);
            out.bytes(5, x.as_bytes());
        }
        OptionValue::Duration(x) => {
            out.int(1, 4);
            out.present_int(6, *x);
        }
    }
}

fn outcome(body: &[u8]) -> Result<Result<(), String>, Malformed> {
    let (mut success, mut error) = (false, String::new());
    for field in Reader(body) {
        match field? {
            (1, value) => success = value.int()? != 0,
            (2, value) => error = value.text()?,
            _ => {}
        }
    }
    Ok(if success { Ok(()) } else { Err(error) })
}

fn first_bytes(body: &[u8]) -> Result<Vec<u8>, Malformed> {
    for field in Reader(body) {
        if let (1, value) = field? {
            return Ok(value.bytes()?.to_vec());
        }
    }
    Ok(Vec::new())
}

/// An entry of a map: key and value.
fn entry(body: &[u8]) -> Result<(String, Option<Raw<'_>>), Malformed> {
    let (mut key, mut found) = (String::new(), None);
    for field in Reader(body) {
        match field? {
            (1, raw) => key = raw.text()?,
            (2, raw) => found = Some(raw),
            _ => {}
        }
    }
    Ok((key, found))
}

fn write_tags(number: u32, tags: &[(String, String)], out: &mut Writer) {
    for (key, value) in tags {
        out.message(number, |out| {
            out.text(1, key);
            out.text(2, value);
        });
    }
}

fn read_tag(raw: Raw<'_>) -> Result<(String, String), Malformed> {
    let (key, value) = entry(raw.bytes()?)?;
    Ok((key, value.map_or(Ok(String::new()), Raw::text)?))
}

impl Info {
    fn read(body: &[u8]) -> Result<Info, Malformed> {
        let mut info = Info::default();
        for field in Reader(body) {
            match field? {
                (1, value) => info.wants_batch = value.int()? == 1,
                (2, value) => info.provides_batch = value.int()? == 1,
                (3, value) => {
                    let (name, option) = entry(value.bytes()?)?;
                    let mut types = Vec::new();
                    if let Some(option) = option {
                        for field in Reader(option.bytes()?) {
                            match field? {
                                (1, Raw::Int(kind)) => types.push(kind),
                                // Packed; each type is one byte.
                                (1, Raw::Bytes(packed)) => types.extend(packed.iter().map(|kind| i64::from(*kind))),
                                _ => {}
                            }
                        }
                    }
                    info.options.push((name, types));
                }
                _ => {}
            }
        }
        Ok(info)
    }
}

impl Begin {
    fn write(&self, out: &mut Writer) {
        out.text(1, &self.name);
        out.text(2, &self.group);
        write_tags(3, &self.tags, out);
        out.int(4, self.size);
        out.bool(5, self.by_name);
    }

    fn read(body: &[u8]) -> Result<Begin, Malformed> {
        let mut begin = Begin::default();
        for field in Reader(body) {
            match field? {
                (1, value) => begin.name = value.text()?,
                (2, value) => begin.group = value.text()?,
                (3, value) => begin.tags.push(read_tag(value)?),
                (4, value) => begin.size = value.int()?,
                (5, value) => begin.by_name = value.int()? != 0,
                _ => {}
            }
        }
        Ok(begin)
    }
}

impl End {
    fn write(&self, out: &mut Writer) {
        out.text(1, &self.name);
        out.text(2, &self.group);
        out.int(3, self.time);
        write_tags(4, &self.tags, out);
        out.bool(5, self.by_name);
    }

    fn read(body: &[u8]) -> Result<End, Malformed> {
        let mut end = End::default();
        for field in Reader(body) {
            match field? {
                (1, value) => end.name = value.text()?,
                (2, value) => end.group = value.text()?,
                (3, value) => end.time = value.int()?,
                (4, value) => end.tags.push(read_tag(value)?),
                (5, value) => end.by_name = value.int()? != 0,
                _ => {}
            }
        }
        Ok(end)
    }
}

impl UdfPoint {
    fn write(&self, out: &mut Writer) {
        out.int(1, self.time);
        out.text(2, &self.name);
        out.text(3, &self.database);
        out.text(4, &self.retention_policy);
        out.text(5, &self.group);
        self.dimensions.iter().for_each(|dimension| out.bytes(6, dimension.as_bytes()));
        write_tags(7, &self.tags, out);
        for (name, value) in &self.fields {
            let number = match value {
                UdfValue::Double(_) => 8,
                UdfValue::Int(_) => 9,
                UdfValue::String(_) => 10,
                UdfValue::Bool(_) => 12,
            };
            out.message(number, |out| {
                out.text(1, name);
                match value {
                    UdfValue::Double(x) => out.present_double(2, *x),
                    UdfValue::Int(x) => out.present_int(2, *x),
                    UdfValue::String(x) => out.bytes(2, x.as_bytes()),
                    UdfValue::Bool(x) => out.present_int(2, i64::from(*x)),
                }
            });
        }
        out.bool(11, self.by_name);
    }

    fn read(body: &[u8]) -> Result<UdfPoint, Malformed> {
        let mut point = UdfPoint::default();
        // Of one name in several maps bool counts before double, int and string.
        let mut fields: Vec<(u8, String, UdfValue)> = Vec::new();
        for field in Reader(body) {
            let (number, raw) = field?;
            match number {
                1 => point.time = raw.int()?,
                2 => point.name = raw.text()?,
                3 => point.database = raw.text()?,
                4 => point.retention_policy = raw.text()?,
                5 => point.group = raw.text()?,
                6 => point.dimensions.push(raw.text()?),
                7 => point.tags.push(read_tag(raw)?),
                8 => {
                    let (name, value) = entry(raw.bytes()?)?;
                    fields.push((1, name, UdfValue::Double(value.map_or(Ok(0.0), Raw::double)?)));
                }
                9 => {
                    let (name, value) = entry(raw.bytes()?)?;
                    fields.push((2, name, UdfValue::Int(value.map_or(Ok(0), Raw::int)?)));
                }
                10 => {
                    let (name, value) = entry(raw.bytes()?)?;
                    fields.push((3, name, UdfValue::String(value.map_or(Ok(String::new()), Raw::text)?)));
                }
                11 => point.by_name = raw.int()? != 0,
                12 => {
                    let (name, value) = entry(raw.bytes()?)?;
                    fields.push((0, name, UdfValue::Bool(value.map_or(Ok(0), Raw::int)? != 0)));
                }
                _ => {}
            }
        }
        fields.sort_by_key(|(rank, ..)| *rank);
        for (_, name, value) in fields {
            if !point.fields.iter().any(|(known, _)| *known == name) {
                point.fields.push((name, value));
            }
        }
        Ok(point)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_that_is_echoed_comes_back() {
        let point = UdfPoint {
            time: -5,
            name: "m".into(),
            database: "d".into(),
            dimensions: vec!["host".into()],
            tags: vec![("host".into(), "a".into()), ("e".into(), String::new())],
            fields: vec![
                ("b".into(), UdfValue::Bool(false)),
                ("f".into(), UdfValue::Double(0.0)),
                ("i".into(), UdfValue::Int(-1)),
                ("s".into(), UdfValue::String("x".into())),
            ],
            by_name: true,
            ..UdfPoint::default()
        };
        // Requests and responses have the same numbers for data.
        let echoed = Response::decode(&Request::Point(point.clone()).encode());
        assert_eq!(echoed, Ok(Response::Point(point)));
        let end = End { name: "m".into(), time: 7, tags: vec![("a".into(), "b".into())], ..End::default() };
        assert_eq!(Response::decode(&Request::End(end.clone()).encode()), Ok(Response::End(end)));
        let begin = Begin { size: 3, by_name: true, ..Begin::default() };
        assert_eq!(Response::decode(&Request::Begin(begin.clone()).encode()), Ok(Response::Begin(begin)));
    }

    #[test]
    fn a_bool_counts_before_an_int_of_the_same_name() {
        let point = |value| UdfPoint { fields: vec![("x".into(), value)], ..UdfPoint::default() };
        let mut body = Writer::default();
        point(UdfValue::Int(3)).write(&mut body);
        point(UdfValue::Bool(true)).write(&mut body);
        assert_eq!(UdfPoint::read(&body.into_bytes()).unwrap().fields, [("x".to_owned(), UdfValue::Bool(true))]);
    }

    #[test]
    fn an_empty_response_and_cut_ones_are_malformed() {
        assert_eq!(Response::decode(&[]), Err(Malformed));
        let whole = Request::Point(UdfPoint { name: "measurement".into(), ..UdfPoint::default() }).encode();
        for length in 1..whole.len() {
            assert_eq!(Response::decode(&whole[..length]), Err(Malformed), "{length}");
        }
    }

    #[test]
    fn an_answer_of_info_names_types_of_options() {
        let mut out = Writer::default();
        out.message(1, |out| {
            out.int(2, 1);
            out.message(3, |out| {
                out.text(1, "field");
                out.message(2, |out| out.bytes(1, &[3, 1]));
            });
        });
        let info = Info { wants_batch: false, provides_batch: true, options: vec![("field".into(), vec![3, 1])] };
        assert_eq!(Response::decode(&out.into_bytes()), Ok(Response::Info(info)));
    }
}
