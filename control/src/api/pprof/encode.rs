//! Profiles in the format of pprof (github.com/google/pprof, `proto/profile.proto`): packed Protocol Buffers.

use std::{collections::HashMap, io::Write};

use dataplane::udf::wire::Writer;
use proto::profile::{Profile, ProfileKind};

/// Of processes by name. `now` is in nanoseconds since 1970.
pub fn encode(kind: ProfileKind, profiles: &[(&str, Profile)], now: i64) -> Vec<u8> {
    let mut texts = Texts::default();
    let mut out = Writer::default();
    let (types, seconds) = match kind {
        ProfileKind::Cpu { seconds } => ([("samples", "count"), ("cpu", "nanoseconds")], i64::from(seconds)),
        ProfileKind::Heap => ([("inuse_objects", "count"), ("inuse_space", "bytes")], 0),
    };
    for (name, unit) in types {
        value_type(1, name, unit, &mut texts, &mut out);
    }
    let mut functions: HashMap<(i64, i64), i64> = HashMap::new();
    let mut locations = Writer::default();
    let mut first = 1;
    for (process, profile) in profiles {
        for stack in &profile.stacks {
            let labels = [("process", *process), ("thread", &*stack.thread)];
            out.message(2, |sample| {
                for frame in &stack.frames {
                    sample.present_int(1, first + i64::from(*frame));
                }
                sample.present_int(2, stack.count);
                sample.present_int(2, stack.amount);
                for (key, value) in labels.iter().filter(|(_, value)| !value.is_empty()) {
                    sample.message(3, |label| {
                        label.int(1, texts.number(key));
                        label.int(2, texts.number(value));
                    });
                }
            });
        }
        for (frame, number) in profile.frames.iter().zip(first..) {
            let key = (texts.number(&frame.function), texts.number(&frame.file));
            let next = functions.len() as i64 + 1;
            let function = *functions.entry(key).or_insert(next);
            locations.message(4, |location| {
                location.int(1, number);
                location.message(4, |line| {
                    line.int(1, function);
                    line.int(2, i64::from(frame.line));
                });
            });
        }
        first += profile.frames.len() as i64;
    }
    for ((name, file), number) in functions {
        locations.message(5, |function| {
            function.int(1, number);
            function.int(2, name);
            function.int(3, name);
            function.int(4, file);
        });
    }
    let (name, unit) = types[1];
    let name = if kind == ProfileKind::Heap { "space" } else { name };
    value_type(11, name, unit, &mut texts, &mut locations);
    for text in &texts.all {
        locations.bytes(6, text.as_bytes());
    }
    locations.int(9, now);
    locations.int(10, seconds * 1_000_000_000);
    locations.int(12, profiles.first().map_or(0, |(_, profile)| profile.period));
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    // Writing to a Vec cannot fail.
    let _ = packed.write_all(&out.into_bytes()).and_then(|()| packed.write_all(&locations.into_bytes()));
    packed.finish().unwrap_or_default()
}

fn value_type(field: u32, name: &str, unit: &str, texts: &mut Texts, out: &mut Writer) {
    out.message(field, |value| {
        value.int(1, texts.number(name));
        value.int(2, texts.number(unit));
    });
}

/// The table of strings; its first is empty.
struct Texts {
    all: Vec<String>,
    numbers: HashMap<String, i64>,
}

impl Default for Texts {
    fn default() -> Texts {
        Texts { all: vec![String::new()], numbers: HashMap::from([(String::new(), 0)]) }
    }
}

impl Texts {
    fn number(&mut self, text: &str) -> i64 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.all.len() as i64;
        self.all.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        number
    }
}
