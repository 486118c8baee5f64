//! Clocks of groups, and that a group which a barrier deletes is forgotten by every node behind it.

use proto::{
    Expr,
    expr::BinaryOp,
    plan::{
        Combine, DimensionTags, Dimensions, EdgeType, Eval, Flatten, HttpPost, InfluxQl, InfluxQlFunction, Join, Keep,
        NodeKind, Sample, Window,
    },
};

use super::*;
use crate::{
    node::testing::{Bench, SECOND, from, log},
    value::Value,
};

/// `from` by host, a barrier, and what it lets through.
fn bench(clock: BarrierClock, delete: bool) -> Bench {
    let barrier = NodeKind::Barrier(plan::Barrier { clock, delete });
    Bench::new(vec![
        (vec![0], EdgeType::Stream, from("", &["host"])),
        (vec![1], EdgeType::Stream, barrier),
        (vec![2], EdgeType::Stream, log()),
    ])
}

const V: Value = Value::Int(1);

#[test]
fn an_idle_group_moves_on_by_the_clock_and_drops_what_is_older() {
    let mut bench = bench(BarrierClock::Idle(5 * SECOND), false);
    bench.point("m", "host=a", 40, V, 100).point("m", "host=b", 40, V, 103);
    // The barrier of `a` is at 45: 44 is late, 45 is not; `b` has its own clock.
    bench.advance(105).point("m", "host=a", 44, V, 106).point("m", "host=a", 45, V, 106);
    bench.point("m", "host=b", 44, V, 107);
    assert_eq!(bench.out(), ["40 host=a v=1", "40 host=b v=1", "45 host=a v=1", "44 host=b v=1"]);
}

#[test]
fn an_idle_clock_counts_from_the_last_point_even_a_late_one() {
    let mut bench = bench(BarrierClock::Idle(5 * SECOND), false);
    bench.point("m", "host=a", 40, V, 100).point("m", "host=a", 30, V, 104);
    // Due at 109, not at 105, and at time 35.
    bench.point("m", "host=a", 34, V, 108).advance(113).point("m", "host=a", 38, V, 113);
    bench.point("m", "host=a", 39, V, 113);
    assert_eq!(bench.out(), ["40 host=a v=1", "30 host=a v=1", "34 host=a v=1", "39 host=a v=1"]);
}

#[test]
fn a_period_is_wall_time() {
    let mut bench = bench(BarrierClock::Period(10 * SECOND), false);
    bench.point("m", "host=a", 1, V, 20).advance(29).point("m", "host=a", 2, V, 29);
    bench.advance(30).point("m", "host=a", 29, V, 31).point("m", "host=a", 30, V, 31);
    assert_eq!(bench.out(), ["1 host=a v=1", "2 host=a v=1", "30 host=a v=1"]);
}

#[test]
fn a_barrier_releases_a_window_and_deletes_its_group() {
    let window = Window::Time { period: 2 * SECOND, every: 2 * SECOND, align: false, fill_period: false };
    let barrier = plan::Barrier { clock: BarrierClock::Idle(3 * SECOND), delete: true };
    let mut bench = Bench::new(vec![
        (vec![0], EdgeType::Stream, from("", &["host"])),
        (vec![1], EdgeType::Stream, NodeKind::Barrier(barrier)),
        (vec![2], EdgeType::Batch, NodeKind::Window(window)),
        (vec![3], EdgeType::Stream, NodeKind::Trickle),
        (vec![4], EdgeType::Stream, log()),
    ]);
    bench.point("m", "host=a", 40, V, 100).point("m", "host=a", 41, V, 101).advance(104);
    assert_eq!(bench.out(), ["40 host=a v=1", "41 host=a v=1"]);
    let cardinality =
        |bench: &mut Bench| bench.task.statistics().iter().map(|node| node.working_cardinality).sum::<u64>();
    assert_eq!(cardinality(&mut bench), 0);
    // A deleted group begins anew: nothing of its mark is left.
    bench.point("m", "host=a", 1, V, 105).advance(108);
    assert_eq!(bench.out().len(), 3);
}

#[test]
fn clocks_survive_a_checkpoint() {
    let mut one = bench(BarrierClock::Idle(5 * SECOND), false);
    one.point("m", "host=a", 40, V, 100).advance(105);
    let mut other = bench(BarrierClock::Idle(5 * SECOND), false);
    other.task.restore(one.task.snapshot().unwrap()).unwrap();
    other.point("m", "host=a", 44, V, 106);
    assert_eq!(other.out(), Vec::<String>::new());
}

/// Runs points of two hosts through `from` by host, a barrier that deletes, and `nodes` behind it (their indices begin
/// at 3); then all groups end. Returns the groups that nodes held before and after, and those that the task held after.
fn churn(nodes: Vec<(Vec<usize>, EdgeType, NodeKind)>) -> (u64, u64, usize) {
    let barrier = NodeKind::Barrier(plan::Barrier { clock: BarrierClock::Idle(5 * SECOND), delete: true });
    let mut graph = vec![(vec![0], EdgeType::Stream, from("", &["host"])), (vec![1], EdgeType::Stream, barrier)];
    graph.extend(nodes);
    let mut bench = Bench::new(graph);
    for time in 40..44 {
        bench.point("m", "host=a,dc=x", time, V, time).point("n", "host=b,dc=x", time, V, time);
    }
    let held = |bench: &mut Bench| {
        // Behind the barrier, which forgets its own clocks.
        bench.task.statistics().iter().skip(3).map(|node| node.working_cardinality).sum::<u64>()
    };
    let before = held(&mut bench);
    bench.advance(60);
    (before, held(&mut bench), bench.task.groups_held())
}

fn is_v() -> Expr {
    let (v, zero) = (Expr::Reference("v".into()), Expr::Literal(proto::Value::Int(0)));
    Expr::Binary(BinaryOp::Greater, Box::new(v), Box::new(zero))
}

fn group_by(tags: &[&str]) -> NodeKind {
    let tags = DimensionTags::Named(tags.iter().map(|tag| (*tag).to_owned()).collect());
    NodeKind::GroupBy(Dimensions { by_measurement: false, tags })
}

fn window() -> NodeKind {
    NodeKind::Window(Window::Time { period: 9 * SECOND, every: 3 * SECOND, align: false, fill_period: false })
}

fn influxql(function: InfluxQlFunction) -> NodeKind {
    NodeKind::InfluxQl(InfluxQl { function, field: "v".into(), r#as: "v".into(), use_point_times: false })
}

#[test]
fn a_deleted_group_is_forgotten_by_every_node() {
    use EdgeType::{Batch as B, Stream as S};
    let (predicate, name) = (is_v(), || "s".to_owned());
    let combine = Combine { expressions: vec![("l".into(), is_v())], delimiter: ".".into(), tolerance: 0, max: 9 };
    let alert = || {
        let mut alert = plan::Alert { id: "{{ .Group }}".into(), history: 21, ..plan::Alert::default() };
        alert.crit.set = Some(is_v());
        alert
    };
    let tagged = plan::Alert { level_tag: Some("host".into()), ..alert() };
    let tag = Eval {
        expressions: vec![("dc".into(), Expr::Literal(proto::Value::String("y".into())))],
        tags: vec!["dc".into()],
        keep: Keep::All,
    };
    let kinds: Vec<Vec<NodeKind>> = vec![
        vec![NodeKind::Where { predicate: predicate.clone() }],
        vec![NodeKind::Eval(Eval { expressions: vec![("v".into(), is_v())], tags: vec![], keep: Keep::All })],
        vec![NodeKind::Sample(Sample::Count(2))],
        vec![NodeKind::Derivative { field: "v".into(), r#as: "v".into(), unit: SECOND, non_negative: false }],
        vec![NodeKind::ChangeDetect { fields: vec!["v".into()] }],
        vec![NodeKind::StateCount { predicate: predicate.clone(), r#as: name() }],
        vec![NodeKind::StateDuration { predicate, r#as: name(), unit: SECOND }],
        vec![NodeKind::Flatten(Flatten {
            on: vec!["host".into()],
            delimiter: ".".into(),
            tolerance: 0,
            drop_original_field_name: false,
        })],
        vec![NodeKind::Combine(combine)],
        vec![NodeKind::HttpOut { endpoint: "o".into() }],
        vec![NodeKind::HttpPost(HttpPost::default()), influxql(InfluxQlFunction::Sum)],
        vec![NodeKind::Alert(Box::new(alert()))],
        vec![influxql(InfluxQlFunction::Max)],
        vec![influxql(InfluxQlFunction::CumulativeSum)],
        // Behind nodes that pass on in other groups.
        vec![group_by(&["dc"]), influxql(InfluxQlFunction::Sum)],
        vec![group_by(&[]), influxql(InfluxQlFunction::Sum)],
        vec![from("m", &["dc"]), influxql(InfluxQlFunction::Sum)],
        vec![group_by(&["dc", "host"]), NodeKind::Eval(tag), influxql(InfluxQlFunction::Sum)],
        vec![
            NodeKind::Default { fields: vec![], tags: vec![("host".into(), "none".into())] },
            influxql(InfluxQlFunction::Sum),
        ],
        vec![NodeKind::Delete { fields: vec![], tags: vec!["host".into()] }, influxql(InfluxQlFunction::Sum)],
        vec![NodeKind::Alert(Box::new(tagged)), influxql(InfluxQlFunction::Sum)],
    ];
    for kinds in kinds {
        let shown = format!("{kinds:?}");
        let nodes = kinds.into_iter().enumerate().map(|(index, kind)| (vec![index + 2], S, kind)).collect();
        let (before, after, groups) = churn(nodes);
        assert!(before > 0, "{shown}");
        // The nil group stays: that of points as they arrive.
        assert_eq!((after, groups), (0, 1), "{shown}");
    }
    let mean = || influxql(InfluxQlFunction::Mean);
    let batches = vec![
        (vec![2], B, window()),
        (vec![3], B, group_by(&["dc"])),
        (vec![4], B, NodeKind::Default { fields: vec![], tags: vec![("zone".into(), "z".into())] }),
        (vec![5], S, mean()),
        (vec![3], S, mean()),
        (vec![7], S, NodeKind::HttpOut { endpoint: "o".into() }),
    ];
    let (before, after, groups) = churn(batches);
    assert!(before > 3);
    assert_eq!((after, groups), (0, 1));
}

#[test]
fn joins_and_unions_forget_deleted_groups_and_tell_whoever_is_behind() {
    use EdgeType::Stream as S;
    let join = |on: &[&str]| {
        NodeKind::Join(Join {
            prefixes: vec!["a".into(), "b".into()],
            delimiter: ".".into(),
            on: on.iter().map(|tag| (*tag).to_owned()).collect(),
            stream_name: "j".into(),
            tolerance: 0,
            fill: Some(proto::Value::Int(0)),
            delete_all: false,
        })
    };
    let sum = |field: &str| {
        let function = InfluxQlFunction::Sum;
        NodeKind::InfluxQl(InfluxQl { function, field: field.into(), r#as: "v".into(), use_point_times: false })
    };
    let by_measurement = NodeKind::GroupBy(Dimensions { by_measurement: true, tags: DimensionTags::Named(vec![]) });
    let graphs = [
        vec![(vec![2], S, from("", &["host"])), (vec![2, 3], S, join(&[])), (vec![4], S, sum("a.v"))],
        vec![
            (vec![2], S, group_by(&["dc"])),
            (vec![2], S, group_by(&["dc", "host"])),
            (vec![3, 4], S, join(&["dc"])),
            (vec![5], S, sum("a.v")),
        ],
        vec![
            (vec![2], S, group_by(&["dc"])),
            (vec![2, 3], S, NodeKind::Union { rename: String::new() }),
            (vec![4], S, sum("v")),
        ],
        vec![
            (vec![2], S, by_measurement),
            (vec![2, 3], S, NodeKind::Union { rename: "u".into() }),
            (vec![4], S, sum("v")),
        ],
    ];
    for graph in graphs {
        let shown = format!("{graph:?}");
        let (before, after, groups) = churn(graph);
        assert!(before > 0, "{shown}");
        assert_eq!((after, groups), (0, 1), "{shown}");
    }
}
