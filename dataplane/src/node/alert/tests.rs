//! Events of alert nodes in small graphs.

use std::sync::Arc;

use proto::{
    Expr, Plan,
    expr::BinaryOp,
    plan::{self, Dimensions, EdgeType, Node, NodeKind, PLAN_VERSION, TopicLevel},
    value::{Level, Value as PlanValue},
};

use crate::{
    dag::build::build,
    name::Name,
    node::testing::Recorded,
    point::{Point, SeriesNumber},
    tags::TagSet,
    value::{Field, Value},
};

fn above(limit: f64) -> Option<Expr> {
    let (left, right) = (Expr::Reference("v".into()), Expr::Literal(PlanValue::Float(limit)));
    Some(Expr::Binary(BinaryOp::Greater, Box::new(left), Box::new(right)))
}

fn alert() -> plan::Alert {
    let mut alert = plan::Alert {
        id: "{{ .Group }}".into(),
        message: "{{ .ID }} is {{ .Level }}".into(),
        anonymous_topic: Some("main:t:alert2".into()),
        history: 21,
        ..plan::Alert::default()
    };
    alert.warn.set = above(1.0);
    alert.crit.set = above(2.0);
    alert
}

/// Levels, ids and durations of the events of points `(host, time, v)`.
fn events(alert: plan::Alert, levels: Vec<TopicLevel>, points: &[(&str, i64, f64)]) -> Vec<(String, Level, i64)> {
    let node =
        |name: &str, parents, kind| Node { name: name.into(), parents, provides: EdgeType::Stream, quiet: false, kind };
    let dimensions = Dimensions { by_measurement: false, tags: plan::DimensionTags::Named(vec!["host".into()]) };
    let plan = Plan {
        version: PLAN_VERSION,
        task: "t".into(),
        edge: EdgeType::Stream,
        dbrps: vec![],
        nodes: vec![
            node("stream0", vec![], NodeKind::Stream),
            node("from1", vec![0], NodeKind::From(plan::From { dimensions, ..plan::From::default() })),
            node("alert2", vec![1], NodeKind::Alert(Box::new(alert))),
        ],
        levels,
    };
    let recorded = Recorded::default();
    let mut task = build(&plan, Box::new(recorded.clone()), &Arc::default()).unwrap();
    let name = |text: &str| Name::new(text).unwrap();
    for (order, (host, time, v)) in points.iter().enumerate() {
        let tags = std::rc::Rc::new(TagSet::new(vec![(name("host"), (*host).into())]));
        let fields = [Field { name: name("v"), value: Value::Float(*v) }];
        let group = task.nil_group().clone();
        let point = Point {
            name: name("cpu"),
            database: name("d"),
            retention_policy: name("r"),
            group: &group,
            tags: &tags,
            fields: (&fields).into(),
            time: *time,
            series: SeriesNumber::NONE,
        };
        task.point(&point, order as u64, 0).unwrap();
    }
    recorded.alerts().into_iter().map(|event| (event.id, event.level, event.duration)).collect()
}

#[test]
fn events_follow_the_level_of_each_group() {
    let got = events(
        alert(),
        vec![],
        &[("a", 0, 0.0), ("a", 10, 1.5), ("b", 11, 3.0), ("a", 20, 2.5), ("a", 30, 0.0), ("a", 40, 0.0)],
    );
    let expected = [
        ("host=a", Level::Warning, 0),
        ("host=b", Level::Critical, 0),
        ("host=a", Level::Critical, 10),
        ("host=a", Level::Ok, 20),
    ];
    assert_eq!(got, expected.map(|(id, level, duration)| (id.to_owned(), level, duration)));
}

#[test]
fn state_changes_only_repeats_after_its_interval() {
    let mut alert = alert();
    alert.state_changes_only = Some(plan::StateChangesOnly { interval: 20 });
    let points = [("a", 0, 1.5), ("a", 10, 1.5), ("a", 19, 1.5), ("a", 20, 1.5), ("a", 30, 1.5), ("a", 39, 0.0)];
    let times: Vec<i64> = events(alert, vec![], &points).into_iter().map(|(_, _, duration)| duration).collect();
    assert_eq!(times, [0, 20, 39]);
}

#[test]
fn a_group_starts_at_the_level_of_its_id() {
    let level = TopicLevel { topic: "main:t:alert2".into(), id: "host=a".into(), level: Level::Critical, time: 5 };
    let got = events(alert(), vec![level], &[("a", 10, 0.0), ("b", 10, 0.0)]);
    assert_eq!(got, [("host=a".to_owned(), Level::Ok, 5)]);
}

#[test]
fn without_recoveries_ok_is_silent_and_remembered() {
    let mut alert = alert();
    alert.no_recoveries = true;
    let got = events(alert, vec![], &[("a", 0, 3.0), ("a", 10, 0.0), ("a", 20, 3.0)]);
    assert_eq!(got.iter().map(|event| event.2).collect::<Vec<_>>(), [0, 0]);
}

#[test]
fn groups_that_share_an_id_share_its_level_at_their_start() {
    let mut alert = alert();
    alert.id = "everything".into();
    let got = events(alert, vec![], &[("a", 0, 3.0), ("b", 10, 0.0)]);
    assert_eq!(got.iter().map(|event| event.1).collect::<Vec<_>>(), [Level::Critical, Level::Ok]);
}

#[test]
fn the_nodes_own_topic_counts_before_a_named_one() {
    let level = |topic: &str, level| TopicLevel { topic: topic.into(), id: "host=a".into(), level, time: 5 };
    let mut alert = alert();
    alert.topic = Some("named".into());
    let levels = vec![level("main:t:alert2", Level::Ok), level("named", Level::Critical)];
    assert!(events(alert.clone(), levels, &[("a", 10, 0.0)]).is_empty());
    let got = events(alert, vec![level("named", Level::Critical)], &[("a", 10, 0.0)]);
    assert_eq!(got, [("host=a".to_owned(), Level::Ok, 5)]);
}
