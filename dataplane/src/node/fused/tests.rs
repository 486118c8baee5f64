//! The fused operator against its unfused oracle.

use proptest::prelude::*;
use proto::{
    Expr, Plan,
    plan::{self, EdgeType, InfluxQl, InfluxQlFunction, Node, NodeKind, Window},
};

use crate::{
    dag::{build::build_with, task::Task},
    name::Name,
    node::testing::Recorded,
    point::{Point, SeriesNumber},
    tags::TagSet,
    value::{Field, Value},
};

/// What stands before the window, beside `from` by host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Nothing,
    /// A barrier, and a shift that makes points older than it, or none.
    Barrier(plan::Barrier, i64),
    /// A barrier, and a filter that lets through every other point.
    Filtered(plan::Barrier),
}

fn befores() -> impl Strategy<Value = Before> {
    let clocks =
        prop_oneof![(1..40_i64).prop_map(plan::BarrierClock::Idle), (1..40_i64).prop_map(plan::BarrierClock::Period),];
    let barriers = (clocks, any::<bool>()).prop_map(|(clock, delete)| plan::Barrier { clock, delete });
    prop_oneof![
        Just(Before::Nothing),
        (barriers.clone(), -15..=15_i64).prop_map(|(barrier, shift)| Before::Barrier(barrier, shift)),
        barriers.prop_map(Before::Filtered),
    ]
}

fn plan(functions: &[InfluxQlFunction], before: Before, align: bool, use_point_times: bool) -> Plan {
    let dimensions = plan::Dimensions { by_measurement: false, tags: plan::DimensionTags::Named(vec!["host".into()]) };
    let mut kinds = vec![NodeKind::Stream, NodeKind::From(plan::From { dimensions, ..Default::default() })];
    match before {
        Before::Nothing => {}
        Before::Barrier(barrier, 0) => kinds.push(NodeKind::Barrier(barrier)),
        Before::Barrier(barrier, shift) => kinds.extend([NodeKind::Barrier(barrier), NodeKind::Shift { shift }]),
        Before::Filtered(barrier) => {
            let predicate = Expr::Reference("odd".into());
            kinds.extend([NodeKind::Barrier(barrier), NodeKind::Where { predicate }]);
        }
    }
    kinds.push(NodeKind::Window(Window::Time { period: 10, every: 10, align, fill_period: false }));
    let window = kinds.len() - 1;
    let mut nodes: Vec<_> = (0..).zip(kinds).map(|(nth, kind): (usize, _)| (nth.checked_sub(1), kind)).collect();
    for function in functions {
        let influxql = InfluxQl { function: function.clone(), field: "v".into(), r#as: "r".into(), use_point_times };
        nodes.push((Some(window), NodeKind::InfluxQl(influxql)));
    }
    for index in 0..functions.len() {
        let log = NodeKind::Log { level: Default::default(), prefix: index.to_string() };
        nodes.push((Some(window + 1 + index), log));
    }
    let node = |(index, (parent, kind)): (usize, (Option<usize>, NodeKind))| Node {
        name: format!("n{index}"),
        parents: parent.into_iter().collect(),
        provides: if index == window { EdgeType::Batch } else { EdgeType::Stream },
        quiet: false,
        kind,
    };
    Plan {
        version: plan::PLAN_VERSION,
        task: "t".into(),
        edge: EdgeType::Stream,
        dbrps: vec![],
        nodes: nodes.into_iter().enumerate().map(node).collect(),
        levels: vec![],
    }
}

fn values() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        4 => (-5..5_i64).prop_map(|x| Some(Value::Float(x as f64 / 2.0))),
        3 => (-5..5_i64).prop_map(|x| Some(Value::Int(x))),
        1 => Just(Some(Value::String("text".into()))),
        1 => any::<bool>().prop_map(|x| Some(Value::Bool(x))),
        1 => Just(None),
    ]
}

/// What a task logs and counts for these points: host, time and value.
fn run(plan: &Plan, fused: bool, points: &[(u8, i64, Option<Value>)]) -> (Vec<String>, Vec<[u64; 4]>) {
    let recorded = Recorded::default();
    let mut task: Task = build_with(plan, Box::new(recorded.clone()), &Default::default(), fused).unwrap();
    let name = |text: &str| Name::new(text).unwrap();
    let mut now = 0;
    for (order, (host, time, value)) in points.iter().enumerate() {
        let tags = std::rc::Rc::new(TagSet::new(vec![
            (name("host"), host.to_string().into()),
            (name("row"), order.to_string().into()),
        ]));
        let mut fields = vec![
            Field { name: name("other"), value: Value::Int(order as i64) },
            Field { name: name("odd"), value: Value::Bool(order % 2 == 1) },
        ];
        fields.extend(value.clone().map(|value| Field { name: name("v"), value }));
        let nil = task.nil_group().clone();
        let point = Point {
            name: name("cpu"),
            database: name("db"),
            retention_policy: name("rp"),
            group: &nil,
            tags: &tags,
            fields: (&fields).into(),
            time: *time,
            series: SeriesNumber::NONE,
        };
        now = now.max(*time);
        task.advance(now).unwrap();
        task.point(&point, order as u64, now).unwrap();
    }
    task.advance(now + 100).unwrap();
    let counters = task.statistics();
    let counters =
        counters.iter().map(|node| [node.collected, node.emitted, node.errors, node.working_cardinality]).collect();
    (recorded.points(), counters)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn a_fused_window_says_what_a_buffered_one_says(
        points in proptest::collection::vec((0..3_u8, 0..8_i64, -30..30_i64, values()), 0..120),
        before in befores(),
        align in any::<bool>(),
        use_point_times in any::<bool>(),
    ) {
        // Times mostly rise, with late and equal ones among them.
        let mut clock = 100;
        let points: Vec<_> = points.into_iter().map(|(host, step, late, value)| {
            clock += step;
            (host, clock - if late > 20 { late } else { 0 }, value)
        }).collect();
        let functions = [
            InfluxQlFunction::Count, InfluxQlFunction::Sum, InfluxQlFunction::Mean, InfluxQlFunction::Spread,
            InfluxQlFunction::First, InfluxQlFunction::Last, InfluxQlFunction::Min, InfluxQlFunction::Max,
        ];
        let plan = plan(&functions, before, align, use_point_times);
        prop_assert_eq!(run(&plan, true, &points), run(&plan, false, &points));
    }
}
