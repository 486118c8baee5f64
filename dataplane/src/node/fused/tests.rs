//! The fused operator against its unfused oracle.

use proptest::prelude::*;
use proto::{
    Plan,
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

fn plan(functions: &[InfluxQlFunction], align: bool, use_point_times: bool) -> Plan {
    let dimensions = plan::Dimensions { by_measurement: false, tags: plan::DimensionTags::Named(vec!["host".into()]) };
    let mut nodes = vec![
        ("stream0", vec![], EdgeType::Stream, NodeKind::Stream),
        ("from1", vec![0], EdgeType::Stream, NodeKind::From(plan::From { dimensions, ..Default::default() })),
        (
            "window2",
            vec![1],
            EdgeType::Batch,
            NodeKind::Window(Window::Time { period: 10, every: 10, align, fill_period: false }),
        ),
    ];
    for function in functions {
        let influxql = InfluxQl { function: function.clone(), field: "v".into(), r#as: "r".into(), use_point_times };
        nodes.push(("function", vec![2], EdgeType::Stream, NodeKind::InfluxQl(influxql)));
    }
    for index in 0..functions.len() {
        nodes.push((
            "log",
            vec![3 + index],
            EdgeType::Stream,
            NodeKind::Log { level: Default::default(), prefix: index.to_string() },
        ));
    }
    let nodes = nodes.into_iter().map(|(name, parents, provides, kind)| Node {
        name: name.into(),
        parents,
        provides,
        quiet: false,
        kind,
    });
    Plan {
        version: plan::PLAN_VERSION,
        task: "t".into(),
        edge: EdgeType::Stream,
        dbrps: vec![],
        nodes: nodes.collect(),
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
fn run(plan: &Plan, fused: bool, points: &[(u8, i64, Option<Value>)]) -> (Vec<String>, Vec<(u64, u64, u64)>) {
    let recorded = Recorded::default();
    let mut task: Task = build_with(plan, Box::new(recorded.clone()), &Default::default(), fused).unwrap();
    let name = |text: &str| Name::new(text).unwrap();
    for (order, (host, time, value)) in points.iter().enumerate() {
        let tags = std::rc::Rc::new(TagSet::new(vec![
            (name("host"), host.to_string().into()),
            (name("row"), order.to_string().into()),
        ]));
        let mut fields = vec![Field { name: name("other"), value: Value::Int(order as i64) }];
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
        // Far apart in clock time, so that no error line is held back.
        task.point(&point, order as u64, order as i64 * 10_000_000_000).unwrap();
    }
    let counters = task.statistics().iter().skip(3).map(|node| (node.collected, node.emitted, node.errors)).collect();
    (recorded.points(), counters)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn a_fused_window_says_what_a_buffered_one_says(
        points in proptest::collection::vec((0..3_u8, 0..8_i64, -30..30_i64, values()), 0..120),
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
        let plan = plan(&functions, align, use_point_times);
        prop_assert_eq!(run(&plan, true, &points), run(&plan, false, &points));
    }
}
