//! Nodes alone: what a point costs in one, behind `from` and a grouping.
//!
//! Points of 1,000 series (500 hosts with two `cpu` each), in blocks as receivers make them, go through a compiled task.
//! An element is a point; routing, the fields that the node reads and what it hands on to nobody are in the figure, and
//! the first row says what is left without a node. `cargo bench -p farad-benches --bench node`.
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run ends")]

use std::{cell::RefCell, fmt::Write, time::Duration};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use farad_tests::engine::Engine;

const HOSTS: usize = 500;

/// Seconds of data in a body; a window of 10 s closes once in it.
const SECONDS: i64 = 10;

const FROM: &str = "stream|from().measurement('cpu').groupBy('host', 'cpu')";

/// By host alone: two points of each time in a group.
const BY_HOST: &str = "stream|from().measurement('cpu').groupBy('host')";

const TUMBLING: &str = "stream|from().measurement('cpu').groupBy('host', 'cpu')|window().period(10s).every(10s)";

const OVERLAPPING: &str = "stream|from().measurement('cpu').groupBy('host', 'cpu')|window().period(60s).every(10s)";

/// Nodes by their name: what stands before them, and what is measured.
const NODES: [(&str, &str, &str); 46] = [
    ("(none)", FROM, ""),
    // Points one by one.
    ("where", FROM, "|where(lambda: \"usage_idle\" > 50.0)"),
    ("where on a tag", FROM, "|where(lambda: \"cpu\" == 'cpu0')"),
    ("eval", FROM, "|eval(lambda: 100.0 - \"usage_idle\").as('busy')"),
    (
        "eval of two, keep",
        FROM,
        "|eval(lambda: 100.0 - \"usage_idle\", lambda: \"busy\" * 2.0).as('busy', 'twice').keep()",
    ),
    ("groupBy", FROM, "|groupBy('host')|where(lambda: \"usage_idle\" > 50.0)"),
    ("default", FROM, "|default().field('other', 1.0).tag('zone', 'z')"),
    ("delete", FROM, "|delete().field('user').tag('dc')"),
    ("shift", FROM, "|shift(1s)"),
    ("sample by count", FROM, "|sample(10)"),
    ("sample by time", FROM, "|sample(5s)"),
    ("derivative", FROM, "|derivative('usage_idle').unit(1s).nonNegative()"),
    ("changeDetect", FROM, "|changeDetect('usage_idle')"),
    ("stateDuration", FROM, "|stateDuration(lambda: \"usage_idle\" > 50.0)"),
    ("stateCount", FROM, "|stateCount(lambda: \"usage_idle\" > 50.0)"),
    ("barrier", FROM, "|barrier().idle(10s)"),
    ("stats", FROM, "|stats(10s)"),
    ("log", FROM, "|log().level('DEBUG')"),
    ("httpOut", FROM, "|httpOut('points')"),
    (
        "k8sAutoscale, at rest",
        BY_HOST,
        "|k8sAutoscale().resourceNameTag('host').replicas(lambda: int(\"usage_idle\" / 100.0) + 1)",
    ),
    ("alert, silent", FROM, "|alert().crit(lambda: \"usage_idle\" > 200.0)"),
    (
        "alert of three levels, silent",
        FROM,
        "|alert().info(lambda: \"usage_idle\" > 100.0)\
        .warn(lambda: \"usage_idle\" > 150.0).crit(lambda: \"usage_idle\" > 200.0).stateChangesOnly()",
    ),
    ("alert, firing", FROM, "|alert().crit(lambda: \"usage_idle\" > 0.0)"),
    // Several points of a time, several parents.
    ("flatten", BY_HOST, "|flatten().on('cpu')"),
    ("combine", BY_HOST, "|combine(lambda: \"cpu\" == 'cpu0', lambda: \"cpu\" == 'cpu1').as('one', 'two')"),
    (
        "union",
        "var a = stream|from().measurement('cpu').groupBy('host', 'cpu')\n\
        var b = a|where(lambda: \"cpu\" == 'cpu0')\na",
        "|union(b)",
    ),
    (
        "join",
        "var a = stream|from().measurement('cpu').groupBy('host', 'cpu')\n\
        var b = a|eval(lambda: \"user\" * 2.0).as('twice')\na",
        "|join(b).as('a', 'b')",
    ),
    (
        "join on a tag",
        "var a = stream|from().measurement('cpu').groupBy('host', 'cpu')\n\
        var b = stream|from().measurement('cpu').where(lambda: \"cpu\" == 'cpu0').groupBy('host')\n\
        a",
        "|join(b).as('a', 'b').on('host')",
    ),
    // Windows with what stands behind them.
    ("window, mean (fused)", TUMBLING, "|mean('usage_idle')"),
    ("window, count (fused)", TUMBLING, "|count('usage_idle')"),
    ("window, max (fused)", TUMBLING, "|max('usage_idle')"),
    ("window, last (fused)", TUMBLING, "|last('usage_idle')"),
    ("window, percentile", TUMBLING, "|percentile('usage_idle', 95.0)"),
    ("window, median", TUMBLING, "|median('usage_idle')"),
    ("window, stddev", TUMBLING, "|stddev('usage_idle')"),
    ("window, distinct", TUMBLING, "|distinct('usage_idle')"),
    ("window, top", TUMBLING, "|top(3, 'usage_idle')"),
    ("window, holtWinters", TUMBLING, "|holtWinters('usage_idle', 3, 0, 1s)"),
    ("overlapping window, mean", OVERLAPPING, "|mean('usage_idle')"),
    ("overlapping window, percentile", OVERLAPPING, "|percentile('usage_idle', 95.0)"),
    ("window by count, mean", FROM, "|window().periodCount(10).everyCount(10)|mean('usage_idle')"),
    ("window of whole points, httpOut", TUMBLING, "|httpOut('window')"),
    // Functions on streams.
    ("sum on a stream", FROM, "|sum('usage_idle')"),
    ("movingAverage", FROM, "|movingAverage('usage_idle', 5)"),
    ("cumulativeSum", FROM, "|cumulativeSum('usage_idle')"),
    ("elapsed", FROM, "|elapsed('usage_idle', 1s)"),
];

fn body(start: i64) -> String {
    let mut body = String::new();
    for second in start..start + SECONDS {
        for series in 0..2 * HOSTS {
            let (host, cpu, idle) = (series / 2, series % 2, (series * 7 + second as usize * 3) % 90 + 5);
            let _ = writeln!(
                body,
                "cpu,cpu=cpu{cpu},dc=dc-{:02},host=host-{host:05} usage_idle={idle}.5,user=1.25 {second}000000000",
                host % 12
            );
        }
    }
    body
}

fn nodes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("node");
    group
        .throughput(Throughput::Elements(2 * HOSTS as u64 * SECONDS as u64))
        .sample_size(20)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(400));
    for (name, before, node) in NODES {
        let engine =
            RefCell::new(Engine::new(&format!("{before}{node}")).map_err(|error| format!("{name}: {error}")).unwrap());
        let mut start = 1_700_000_000;
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                // Staging is not measured, and time goes on from body to body.
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

criterion_group!(benches, nodes);
criterion_main!(benches);
