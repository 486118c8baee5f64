use proptest::prelude::*;
use proto::plan::{self, Dbrp, EdgeType, InfluxQl, InfluxQlFunction, Node, NodeKind, Plan, Window};

use super::*;
use crate::{line::FastReader, routing::TaskRoute, shard::receiver::Committed};

/// A task on a measurement: the mean of a field, or whole points into an httpOut.
pub(in super::super) fn task(instance: u64, measurement: &str, mean_of: Option<&str>, shards: usize) -> Arc<TaskRoute> {
    let from = plan::From { measurement: measurement.into(), ..plan::From::default() };
    let mut kinds = vec![NodeKind::Stream, NodeKind::From(from)];
    match mean_of {
        Some(field) => {
            kinds.push(NodeKind::Window(Window::Time { period: 1, every: 1, align: false, fill_period: false }));
            let (function, field) = (InfluxQlFunction::Mean, field.to_owned());
            kinds.push(NodeKind::InfluxQl(InfluxQl { function, field, r#as: "mean".into(), use_point_times: false }));
        }
        None => kinds.push(NodeKind::HttpOut { endpoint: "o".into() }),
    }
    let nodes = kinds.into_iter().enumerate().map(|(index, kind)| Node {
        name: format!("n{index}"),
        parents: index.checked_sub(1).into_iter().collect(),
        provides: EdgeType::Stream,
        quiet: false,
        kind,
    });
    let plan = Plan {
        version: plan::PLAN_VERSION,
        task: format!("t{instance}"),
        edge: EdgeType::Stream,
        dbrps: vec![Dbrp { db: "db".into(), rp: "rp".into() }],
        nodes: nodes.collect(),
        levels: vec![],
    };
    Arc::new(TaskRoute::new(instance, &plan, shards))
}

fn receiver(tasks: Vec<Arc<TaskRoute>>) -> Receiver {
    let mut receiver = Receiver::new(1, 1 << 20);
    receiver.route(Arc::new(Routing::new(1, 1, tasks)));
    receiver
}

/// Stages a body in slices; its answer if it is refused.
fn stage(receiver: &mut Receiver, body: &str) -> Result<Committed, String> {
    let mut staging = receiver.stage("db", "rp", Precision::NANOSECOND, 42);
    let mut lines = Lines::new(body.as_bytes());
    while receiver.stage_lines(&mut staging, &mut lines, 3) {}
    if !staging.errors.is_empty() {
        return Err(String::from_utf8_lossy(&staging.errors.into_text()).into_owned());
    }
    Ok(receiver.commit(staging, 0))
}

/// Definitions, then rows, as text.
fn shown(committed: &Committed) -> Vec<String> {
    let mut shown = Vec::new();
    for (owner, block) in &committed.blocks {
        for definition in &block.definitions {
            shown.push(format!("{owner} {} is {} {:?}", definition.series, definition.measurement, definition.tags));
        }
        let row = |row: &RowHead, columns: &[crate::name::Name], cells: crate::block::Cells<'_>| {
            let mut text = format!("{owner} {} @{}", row.series, row.time);
            columns.iter().zip(cells.iter()).for_each(|(name, cell)| text += &format!(" {name}={cell:?}"));
            if let Some(line) = cells.line() {
                text += &format!(" [{}]", String::from_utf8_lossy(line).trim());
            }
            shown.push(text);
            Ok::<_, ()>(())
        };
        block.visit(0..block.len(), row).unwrap();
    }
    shown
}

fn staged(receiver: &mut Receiver, body: &str) -> Result<Vec<String>, String> {
    stage(receiver, body).map(|committed| shown(&committed))
}

#[test]
fn wanted_fields_become_cells_and_owners_are_told_once() {
    let mut receiver = receiver(vec![task(1, "cpu", Some("idle"), 1)]);
    let body = "cpu,h=a idle=1.5,user=2 7\nmem used=3i 8\ncpu,h=b user=1,idle=2i\ncpu,h=a idle=\"x\",idle=-4 9\n";
    let first = staged(&mut receiver, body).unwrap();
    let rows = ["0 0 @7 idle=Float(1.5)", "0 2 @42 idle=Int(2)", "0 0 @9 idle=Float(-4.0)"];
    assert_eq!(first[..2], ["0 0 is cpu [(\"h\", \"a\")]", "0 2 is cpu [(\"h\", \"b\")]"]);
    assert_eq!(first[2..], rows);
    assert_eq!(staged(&mut receiver, body).unwrap(), rows);
    assert_eq!((receiver.counters.points, receiver.cache.len()), (8, 3));
    let counts: Vec<_> = receiver.ingress.iter().map(|(_, _, measurement, points)| (measurement, points)).collect();
    assert!(counts.contains(&("cpu", 6)) && counts.contains(&("mem", 2)));
}

#[test]
fn whole_points_take_their_field_section_along() {
    let mut receiver = receiver(vec![task(1, "cpu", None, 1), task(2, "cpu", Some("idle"), 1)]);
    let body = "cpu idle=1.5,user=2 7\ncpu state=\"a b\",idle=2 8";
    let rows = ["0 0 @7 idle=Float(1.5) [idle=1.5,user=2]", "0 0 @8 idle=Float(2.0) [state=\"a b\",idle=2]"];
    assert_eq!(staged(&mut receiver, body).unwrap()[1..], rows);
    assert_eq!(staged(&mut receiver, body).unwrap(), rows);
}

#[test]
fn a_refused_body_leaves_nothing_behind() {
    let mut receiver = receiver(vec![task(1, "", None, 1)]);
    let answer = staged(&mut receiver, "cpu v=1\n# no\nmem v=x\nbad\ndisk v=1\n").unwrap_err();
    let expected = "unable to parse 'mem v=x': invalid boolean\nunable to parse 'bad': missing fields\n";
    assert_eq!((answer.as_str(), receiver.cache.len(), receiver.counters.points), (expected, 0, 0));
    assert_eq!(staged(&mut receiver, "cpu v=1 1").unwrap().len(), 2);
}

#[test]
fn a_new_epoch_routes_known_series_anew() {
    let mut receiver = receiver(vec![task(1, "cpu", Some("a"), 1)]);
    let body = "cpu a=1,b=2 1\nmem a=1 1\n";
    assert_eq!(staged(&mut receiver, body).unwrap(), ["0 0 is cpu []", "0 0 @1 a=Float(1.0)"]);
    let begun = receiver.stage("db", "rp", Precision::NANOSECOND, 0);
    receiver.route(Arc::new(Routing::new(2, 1, vec![task(2, "", Some("b"), 1)])));
    let rows = ["0 1 is mem []", "0 0 @1 b=Float(2.0)", "0 1 @1 b=Missing"];
    assert_eq!(staged(&mut receiver, body).unwrap(), rows);
    // The body that began before is routed as it began.
    let (mut begun, mut lines) = (begun, Lines::new(body.as_bytes()));
    while receiver.stage_lines(&mut begun, &mut lines, 10) {}
    assert_eq!(shown(&receiver.commit(begun, 0)), ["0 0 @1 a=Float(1.0)"]);
}

#[test]
fn a_cache_that_starts_over_asks_for_the_body_again() {
    let mut receiver = Receiver::new(1, 2_000);
    receiver.route(Arc::new(Routing::new(1, 1, vec![task(1, "", Some("v"), 1)])));
    let body = |from: u32| (from..from + 10).map(|n| format!("m,n={n} v={n} 1\n")).collect::<String>();
    let mut forgot = 0;
    for n in 0..20 {
        let mut committed = stage(&mut receiver, &body(n * 5)).unwrap();
        if committed.restage {
            forgot += u32::from(committed.forgot);
            committed = stage(&mut receiver, &body(n * 5)).unwrap();
        }
        let rows = shown(&committed).into_iter().filter(|row| row.contains('@')).count();
        assert_eq!((committed.restage, rows), (false, 10));
    }
    assert!(forgot > 0);
}

#[test]
fn a_body_that_is_half_staged_when_the_cache_starts_over_for_age_is_carried_over() {
    const SECOND: i64 = 1_000_000_000;
    let mut receiver = Receiver::new(1, 1 << 30);
    receiver.route(Arc::new(Routing::new(1, 1, vec![task(1, "", Some("v"), 1)])));
    staged(&mut receiver, "m,n=1 v=0 1\nm,n=2 v=0 1\n").unwrap();
    for now in [0, 15 * SECOND] {
        assert!(!receiver.cache.refresh(now));
    }
    let many: String = (10..200_000).map(|n| format!("m,n={n} v=0 1\n")).collect();
    staged(&mut receiver, &many).unwrap();
    let mut begun = receiver.stage("db", "rp", Precision::NANOSECOND, 0);
    receiver.stage_lines(&mut begun, &mut Lines::new(b"m,n=2 v=1 1\nm,n=new v=2 2\nm,n=2 v=3 3\n"), 9);
    assert!(receiver.cache.refresh(16 * SECOND));
    receiver.stage_lines(&mut begun, &mut Lines::new(b"m,n=1 v=4 4\nm,n=2 v=5 5\n"), 9);
    let rows = shown(&receiver.commit(begun, 0));
    let values: Vec<&str> = rows.iter().filter_map(|row| row.split_once("v=").map(|(_, value)| value)).collect();
    assert_eq!(values, ["Float(1.0)", "Float(2.0)", "Float(3.0)", "Float(4.0)", "Float(5.0)"]);
    // Each series was told once, under the number that its rows have.
    let told: Vec<&String> = rows.iter().filter(|row| row.contains(" is ")).collect();
    assert_eq!(told.len(), 3, "{rows:?}");
    let number = |row: &str| row.split(' ').nth(1).map(str::to_owned);
    let of = |text: &str| rows.iter().find(|row| row.contains(text)).and_then(|row| number(row));
    assert_eq!(of("\"2\""), of("v=Float(5.0)"));
}

#[test]
fn a_body_without_a_blank_takes_time_by_its_length() {
    // Were every line to look for its blank behind its end, this would be 10^11 bytes.
    let mut receiver = receiver(vec![]);
    staged(&mut receiver, &shuffled(101, 1)).unwrap();
    let body = shuffled(101, 37) + &"x\n".repeat(300_000);
    let answer = staged(&mut receiver, &body).unwrap_err();
    assert!(answer.ends_with("299900 more lines are refused\n"), "{answer}");
}

/// `lines` of one measurement in an order that `step` gives.
fn shuffled(lines: usize, step: usize) -> String {
    (0..lines).map(|n| format!("cpu,host=h{:03} idle={}.5,user=1 {n}\n", n * step % lines, n * step % lines)).collect()
}

#[test]
fn order_does_not_matter() {
    let mut receiver = receiver(vec![task(1, "cpu", Some("idle"), 1)]);
    staged(&mut receiver, &shuffled(101, 1)).unwrap();
    for step in [1, 1, 37, 1, 53, 53, 2] {
        let expected: Vec<_> =
            (0..101).map(|n| format!("0 {} @{n} idle=Float({}.5)", n * step % 101, n * step % 101)).collect();
        assert_eq!(staged(&mut receiver, &shuffled(101, step)).unwrap(), expected);
    }
}

#[test]
fn a_stable_order_is_predicted_and_another_one_looked_ahead() {
    let mut receiver = receiver(vec![]);
    let misses = |receiver: &mut Receiver, body: &str| {
        let mut staging = receiver.stage("db", "rp", Precision::NANOSECOND, 0);
        while receiver.stage_lines(&mut staging, &mut Lines::new(body.as_bytes()), usize::MAX) {}
        let misses = staging.misses;
        receiver.commit(staging, 0);
        misses
    };
    misses(&mut receiver, &shuffled(997, 1));
    assert!(misses(&mut receiver, &shuffled(997, 1)) < 20);
    assert!(misses(&mut receiver, &shuffled(997, 401)) > 900);
    assert!(misses(&mut receiver, &shuffled(997, 401)) < 20);
}

proptest! {
    /// The fast reader, prediction and looking ahead change nothing.
    #[test]
    fn bodies_are_staged_as_by_the_scalar_reader_alone(
        bodies in proptest::collection::vec(
            proptest::collection::vec((0..12_usize, 0..14_usize, proptest::option::weighted(0.05, any::<(u8, u8)>())), 1..60),
            1..5)) {
        let keys = ["cpu,h=a", "cpu,h=b", "cpu", "mem", "mem,h=a\\ b", "mem,h=\"", "cpu,h=a\\,b", "d=1", "cpu,h=a,i=b", "m,a",
            "#c", " cpu"];
        let rests = ["v=1", "v=1,w=2 5", "w=2i,v=3.25 6", "v=1,v=2", "v=\"a\nb\",w=1 7", "w=1", "v=t", "v=1e3 8", "v=x", "v=1 1 1",
            "a\\ b=1,v=2", "w=1,v=9223372036854775807i", "v=1\n\n#x", "x=1,y=2,v=12345678901234567890 1700000000000000000"];
        let routes = || vec![task(1, "cpu", Some("v"), 1), task(2, "mem", None, 1)];
        let (mut fast, mut scalar) = (receiver(routes()), receiver(routes()));
        scalar.reader = FastReader::scalar();
        for body in bodies {
            let mut text = Vec::new();
            for (key, rest, change) in body {
                let mut line = format!("{} {}\n", keys[key], rests[rest]).into_bytes();
                if let Some((at, byte)) = change {
                    let at = usize::from(at) % line.len();
                    line[at] = b" ,=\\\"\n.i0"[usize::from(byte) % 9];
                }
                text.extend(line);
            }
            let text = String::from_utf8(text).unwrap();
            let (one, other) = (staged(&mut fast, &text), staged(&mut scalar, &text));
            prop_assert_eq!(one, other, "{:?}", text);
        }
        prop_assert_eq!(fast.counters.points, scalar.counters.points);
    }
}
