//! Line protocol without a server: fields alone by both readers, then whole bodies into blocks.
//!
//! An element is a line. `cargo bench -p farad-benches --bench line`.

use std::{hint::black_box, sync::Arc};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dataplane::{
    line::{FastReader, Fields, Precision, time},
    routing::TaskRoute,
};
use farad_benches::lines::{BASE_TIME, Line, Shape, mix};
use farad_tests::staging::{receiver_of, stage, task};

const LINES: usize = 5_000;

const SHAPES: [(&str, Shape); 4] =
    [("small", Shape::Small), ("telegraf", Shape::Telegraf), ("wide", Shape::Wide), ("mixed", Shape::Mixed)];

/// Lines of these series, each with its newline.
fn body(shape: Shape, series: impl Iterator<Item = usize>, of: usize) -> Vec<u8> {
    let mut body = Vec::new();
    for series in series {
        shape.write(Line { series, of, pass: series % 7, time: BASE_TIME, firing: false }, &mut body);
    }
    body
}

/// Fields and time of each line, the key cut off.
fn fields(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fields");
    group.throughput(Throughput::Elements(LINES as u64));
    for (name, shape) in SHAPES {
        let body = body(shape, (0..LINES).map(|n| n % 1_000), 1_000);
        let starts: Vec<usize> = body
            .split_inclusive(|byte| *byte == b'\n')
            .scan(0, |at, line| {
                let start = *at + line.iter().position(|byte| *byte == b' ')? + 1;
                *at += line.len();
                Some(start)
            })
            .collect();
        let mut reader = FastReader::default();
        group.bench_function(format!("{name}/fast"), |bencher| {
            bencher.iter(|| {
                for start in &starts {
                    black_box(reader.read(&body[*start..], Precision::NANOSECOND, 0).map(|line| line.time));
                }
            });
        });
        group.bench_function(format!("{name}/scalar"), |bencher| {
            bencher.iter(|| {
                for start in &starts {
                    let line = body[*start..].split(|byte| *byte == b'\n').next().unwrap_or_default();
                    let mut fields = Fields::new(line, 0);
                    while let Ok(Some(field)) = fields.next_field() {
                        black_box(field);
                    }
                    let _ = black_box(time(line, fields.end(), Precision::NANOSECOND, 0));
                }
            });
        });
    }
}

/// Stages bodies of known series; `prepare` gives the tasks and the bodies.
fn stage_warm(criterion: &mut Criterion, name: &str, prepare: impl Fn() -> (Vec<Arc<TaskRoute>>, Vec<Vec<u8>>)) {
    let mut group = criterion.benchmark_group("stage");
    group.throughput(Throughput::Elements(LINES as u64));
    group.bench_function(name, |bencher| {
        let (tasks, bodies) = prepare();
        let mut receiver = receiver_of(FastReader::default(), tasks);
        let mut stage = |body: &Vec<u8>| {
            let committed = stage(&mut receiver, body, usize::MAX);
            committed
                .into_iter()
                .flat_map(|committed| committed.blocks)
                .for_each(|(_, block)| receiver.recycle(black_box(block)));
        };
        bodies.iter().for_each(&mut stage);
        let mut rounds = bodies.iter().cycle();
        bencher.iter(|| rounds.next().map(&mut stage));
    });
}

/// Bodies of known series, by what tasks want of them.
fn wanted(criterion: &mut Criterion) {
    let wants: [(&str, Option<&[&str]>); 4] = [
        ("nothing", None),
        ("one field", Some(&["usage_idle"])),
        ("four fields", Some(&["usage_idle", "user", "system", "usage_steal"])),
        ("whole points", Some(&[])),
    ];
    for (name, shape) in SHAPES {
        for (wanted, fields) in wants {
            stage_warm(criterion, &format!("{name}/{wanted}"), || {
                let tasks = fields.map(|fields| task(1, "cpu", fields)).into_iter().collect();
                (tasks, vec![body(shape, (0..LINES).map(|n| n % 1_000), 1_000)])
            });
        }
    }
}

/// Bodies of many series, in the order of the last time and in another one.
fn series(criterion: &mut Criterion) {
    for series in [1_000, 100_000, 1_000_000] {
        for shuffles in [0, 3] {
            let order = if shuffles > 0 { "shuffled" } else { "in order" };
            stage_warm(criterion, &format!("{series} series {order}"), || {
                let mut passes: Vec<usize> = (0..series).cycle().take(series * shuffles.max(1)).collect();
                if shuffles > 0 {
                    for (pass, order) in passes.chunks_mut(series).enumerate() {
                        order.sort_by_cached_key(|series| mix((*series as u64) << 20 | pass as u64));
                    }
                }
                let part = |part: &[usize]| body(Shape::Telegraf, part.iter().copied().cycle().take(LINES), series);
                (vec![], passes.chunks(LINES).map(part).collect())
            });
        }
    }
}

criterion_group!(benches, fields, wanted, series);
criterion_main!(benches);
