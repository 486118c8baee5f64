use proto::{
    Expr, Value as Literal,
    expr::BinaryOp,
    plan::{EdgeType, NodeKind},
};

use super::*;
use crate::node::testing::{Bench, SECOND, from, log};

fn plan() -> plan::Autoscale {
    let access = plan::KubernetesAccess::default();
    let scaler = Scaler::Kubernetes { access, namespace: "n".into(), kind: "deployments".into() };
    plan::Autoscale {
        tags: vec![("namespace".into(), "n".into())],
        name_tag: "resource".into(),
        ..plan::Autoscale::new(scaler, plan::ResourceName::Fixed("web".into()), Expr::Reference("v".into()))
    }
}

fn by_tag() -> plan::Autoscale {
    plan::Autoscale { resource: plan::ResourceName::Tag("app".into()), ..plan() }
}

/// `from`, the node, `log`; groups by `app`.
fn bench(plan: plan::Autoscale) -> Bench {
    Bench::new(vec![
        (vec![0], EdgeType::Stream, from("", &["app"])),
        (vec![1], EdgeType::Stream, NodeKind::Autoscale(Box::new(plan))),
        (vec![2], EdgeType::Stream, log()),
    ])
}

/// What the node has asked for: resource, and copies to set.
fn asked(bench: &Bench) -> Vec<String> {
    let shown = |request: &AutoscaleRequest| match request.set {
        Some(copies) => format!("{}={copies}", request.resource),
        None => format!("{}?", request.resource),
    };
    bench.recorded.scales().iter().map(shown).collect()
}

/// Answers the last request.
fn answer(bench: &mut Bench, scale: Scale) {
    answer_at(bench, scale, 0);
}

/// The same at `now`, in seconds.
fn answer_at(bench: &mut Bench, scale: Scale, now: i64) {
    let last = bench.recorded.scales().pop().unwrap();
    bench.task.scaled("n2", last.ticket, scale, now * SECOND).unwrap();
}

fn counters(bench: &mut Bench) -> Vec<u64> {
    bench.task.statistics()[2].extra.iter().map(|(_, count)| *count).collect()
}

fn errors(bench: &mut Bench) -> u64 {
    bench.task.statistics()[2].errors
}

#[test]
fn the_first_point_asks_and_a_change_is_set_and_told() {
    let mut bench = bench(plan());
    bench.point("m", "app=a", 1, Value::Int(3), 0);
    assert_eq!(asked(&bench), ["web?"]);
    answer(&mut bench, Ok(2));
    assert_eq!(asked(&bench), ["web?", "web=3"]);
    // Nothing is told before it is so.
    assert!(bench.out().is_empty());
    answer(&mut bench, Ok(3));
    assert_eq!(bench.out(), ["1 app=a new=3 old=2"]);
    let told = bench.recorded.points();
    assert!(told[0].contains("tag_namespace=n") && told[0].contains("tag_resource=web"), "{told:?}");
    // What is known needs no question, and the same number no order.
    bench.point("m", "app=a", 2, Value::Int(3), 0).point("m", "app=b", 3, Value::Int(1), 0);
    assert_eq!(asked(&bench)[2..], ["web=1"]);
    answer(&mut bench, Ok(1));
    assert_eq!(bench.out()[1..], ["3 app=b new=1 old=3"]);
    assert_eq!(counters(&mut bench), [1, 1, 0]);
}

#[test]
fn resources_have_cooldowns_of_their_own() {
    let mut bench = bench(plan::Autoscale { increase_cooldown: 10 * SECOND, ..by_tag() });
    for (tags, time, copies) in [("app=a", 1, 2), ("app=b", 2, 2), ("app=a", 5, 3), ("app=b", 12, 3), ("app=a", 10, 3)]
    {
        bench.point("m", tags, time, Value::Int(copies), 0);
        let before = asked(&bench).len();
        if time < 5 {
            answer(&mut bench, Ok(1));
        }
        if asked(&bench).len() > before || time == 12 {
            answer(&mut bench, Ok(copies));
        }
    }
    assert_eq!(asked(&bench), ["a?", "a=2", "b?", "b=2", "b=3"]);
    assert_eq!(counters(&mut bench), [3, 0, 2]);
}

#[test]
fn the_current_number_is_a_name_of_the_expression() {
    let current = Expr::Reference("now".into());
    let sum = Expr::Binary(BinaryOp::Add, Box::new(current), Box::new(Expr::Literal(Literal::Int(1))));
    let mut bench = bench(plan::Autoscale { replicas: sum, current_field: "now".into(), ..plan() });
    bench.point("m", "", 1, Value::Int(0), 0);
    answer(&mut bench, Ok(4));
    answer(&mut bench, Ok(5));
    bench.point("m", "", 2, Value::Int(0), 0);
    assert_eq!(asked(&bench), ["web?", "web=5", "web=6"]);
    // A field of that name hides it.
    let mut hidden = plan();
    hidden.current_field = "v".into();
    let mut bench = self::bench(hidden);
    bench.point("m", "", 1, Value::Int(9), 0);
    answer(&mut bench, Ok(4));
    assert_eq!(asked(&bench), ["web?", "web=9"]);
}

#[test]
fn what_fails_is_counted_and_asked_anew() {
    let mut bench = bench(by_tag());
    bench.point("m", "app=", 1, Value::Int(1), 0).point("m", "", 1, Value::Int(1), 0);
    assert_eq!((asked(&bench).len(), errors(&mut bench)), (0, 2));
    // Whose number nobody knows is asked about again.
    bench.point("m", "app=a", 1, Value::Int(5), 1);
    answer_at(&mut bench, Err("away".into()), 2);
    bench.point("m", "app=a", 2, Value::Int(5), 3);
    answer(&mut bench, Ok(1));
    // What could not be set is as it was, and has cooled nothing down.
    answer_at(&mut bench, Err("forbidden".into()), 4);
    bench.point("m", "app=a", 3, Value::Int(5), 5);
    assert_eq!(asked(&bench), ["a?", "a?", "a=5", "a=5"]);
    answer(&mut bench, Ok(5));
    assert_eq!(
        (bench.out(), counters(&mut bench), errors(&mut bench)),
        (vec!["3 app=a new=5 old=1".into()], vec![1, 0, 0], 4)
    );
    bench.point("m", "app=a", 4, Value::Float(1.5), 7);
    let said = bench.recorded.errors();
    for (line, expected) in said.iter().zip([
        "could not determine the name of the resource",
        "could not determine initial scale for \\\"n/deployments/a\\\": away",
        "failed to apply scaling event: failed to set new replica count for \\\"n/deployments/a\\\": forbidden",
        "failed to evaluate the replicas expression: TypeGuard: expression returned unexpected type float, expected int",
    ]) {
        assert!(line.contains(expected), "{line} lacks {expected}");
    }
    assert_eq!(said.len(), 4, "{said:?}");
}

#[test]
fn what_comes_while_an_answer_is_awaited_waits_in_order() {
    let idle = plan::Barrier { clock: plan::BarrierClock::Idle(5 * SECOND), delete: true };
    let mut bench = Bench::new(vec![
        (vec![0], EdgeType::Stream, from("", &["app"])),
        (vec![1], EdgeType::Stream, NodeKind::Barrier(idle)),
        (vec![2], EdgeType::Stream, NodeKind::Autoscale(Box::new(by_tag()))),
        (vec![3], EdgeType::Stream, log()),
    ]);
    bench.point("m", "app=a", 1, Value::Int(2), 1).point("m", "app=b", 2, Value::Int(3), 2).advance(30);
    let groups = |bench: &mut Bench| bench.task.statistics()[3].working_cardinality;
    let tell = |bench: &mut Bench, ticket, copies| bench.task.scaled("n3", ticket, Ok(copies), 0).unwrap();
    assert_eq!((asked(&bench), groups(&mut bench)), (vec!["a?".to_owned()], 0));
    tell(&mut bench, 0, 1);
    // An answer that nobody waits for changes nothing.
    tell(&mut bench, 0, 7);
    tell(&mut bench, 1, 2);
    assert_eq!((asked(&bench), groups(&mut bench)), (["a?", "a=2", "b?"].map(str::to_owned).to_vec(), 1));
    tell(&mut bench, 2, 1);
    tell(&mut bench, 3, 3);
    assert_eq!(bench.out(), ["1 app=a new=2 old=1", "2 app=b new=3 old=1"]);
    // The groups have ended behind their points.
    assert_eq!((asked(&bench).len(), groups(&mut bench)), (4, 0));
}

#[test]
fn each_point_of_a_batch_counts() {
    let window = plan::Window::Time { period: 10 * SECOND, every: 10 * SECOND, align: true, fill_period: false };
    let mut bench = Bench::new(vec![
        (vec![0], EdgeType::Stream, from("", &["app"])),
        (vec![1], EdgeType::Batch, NodeKind::Window(window)),
        (vec![2], EdgeType::Stream, NodeKind::Autoscale(Box::new(by_tag()))),
        (vec![3], EdgeType::Stream, log()),
    ]);
    for (time, copies) in [(1, 2), (2, 2), (3, 4), (4, 1), (12, 6), (21, 6)] {
        bench.point("m", "app=a", time, Value::Int(copies), 0);
    }
    for copies in [1, 2, 4, 1, 6] {
        let last = bench.recorded.scales().pop().unwrap();
        bench.task.scaled("n3", last.ticket, Ok(copies), 0).unwrap();
    }
    assert_eq!(asked(&bench), ["a?", "a=2", "a=4", "a=1", "a=6"]);
    assert_eq!(
        bench.out(),
        ["1 app=a new=2 old=1", "3 app=a new=4 old=2", "4 app=a new=1 old=4", "12 app=a new=6 old=1"]
    );
}

#[test]
fn what_waits_is_bounded_and_dropped_at_the_end() {
    let mut bench = bench(plan());
    for time in 0..PARKED_MAX as i64 + 10 {
        bench.point("m", "", time, Value::Int(1), 0);
    }
    assert_eq!((asked(&bench).len(), errors(&mut bench)), (1, 10));
    bench.finish();
    assert_eq!(errors(&mut bench), 10 + PARKED_MAX as u64);
    answer(&mut bench, Ok(1));
    assert!(bench.out().is_empty());
}

#[test]
fn a_snapshot_keeps_numbers_and_cooldowns() {
    let cool = || plan::Autoscale { increase_cooldown: 10 * SECOND, ..plan() };
    let mut before = bench(cool());
    before.point("m", "app=a", 1, Value::Int(2), 0);
    answer(&mut before, Ok(1));
    answer(&mut before, Ok(2));
    let mut after = bench(cool());
    after.task.restore(before.task.snapshot().unwrap()).unwrap();
    after.point("m", "app=a", 5, Value::Int(3), 0).point("m", "app=a", 11, Value::Int(3), 0);
    assert_eq!((asked(&after), counters(&mut after)), (vec!["web=3".to_owned()], vec![0, 0, 1]));
}

#[test]
fn no_copies_at_all_cannot_be_the_least() {
    let error = Autoscale::new(&plan::Autoscale { min: 0, ..plan() }).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "minimum count must be >= 1, got 0");
}
