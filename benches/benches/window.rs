//! Windows: points of 1,000 groups through a window and what stands behind it; fused with its aggregate, or buffered.
//!
//! An element is a point. `cargo bench -p farad-benches --bench window`.
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run ends")]

use std::{fmt::Write, time::Duration};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use farad_tests::engine::Engine;

const GROUPS: usize = 1_000;

/// Seconds of data in a body; a window of 10 s closes once in it.
const SECONDS: i64 = 10;

const WINDOWS: [(&str, &str); 6] = [
    ("mean, fused", "|window().period(10s).every(10s)|mean('usage_idle')"),
    ("max, fused", "|window().period(10s).every(10s)|max('usage_idle')"),
    ("mean of an overlapping window", "|window().period(60s).every(10s)|mean('usage_idle')"),
    ("percentile", "|window().period(10s).every(10s)|percentile('usage_idle', 95.0)"),
    ("percentile of an overlapping window", "|window().period(60s).every(10s)|percentile('usage_idle', 95.0)"),
    ("by count", "|window().periodCount(10).everyCount(10)|mean('usage_idle')"),
];

fn body(start: i64) -> String {
    let mut body = String::new();
    for second in start..start + SECONDS {
        for group in 0..GROUPS {
            let idle = (group * 7 + second as usize * 3) % 90 + 5;
            let _ = writeln!(body, "cpu,host=host-{group:05} usage_idle={idle}.5,user=1.25 {second}000000000");
        }
    }
    body
}

fn windows(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("window");
    group.throughput(Throughput::Elements(GROUPS as u64 * SECONDS as u64)).measurement_time(Duration::from_secs(2));
    for (name, window) in WINDOWS {
        let script = format!("stream|from().measurement('cpu').groupBy('host'){window}");
        let mut engine = Engine::new(&script).unwrap();
        let mut start = 1_700_000_000;
        // Staging is not measured, and time goes on from body to body.
        let engine = std::cell::RefCell::new(&mut engine);
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || {
                    start += SECONDS;
                    engine.borrow_mut().stage(body(start).as_bytes()).unwrap()
                },
                |blocks| {
                    engine.borrow_mut().run(&blocks).unwrap();
                    blocks
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, windows);
criterion_main!(benches);
