//! Rules of joins, each against a task of two or three streams.

use proto::{
    Value,
    plan::{self, EdgeType, NodeKind},
};

use super::WAITING_MAX;
use crate::{
    node::testing::{Bench, SECOND, from, log},
    value,
};

/// Streams `a`, `b`, … each by its own tags, joined and logged.
struct Joined(Bench);

impl Joined {
    fn new(groupings: &[&[&str]], join: plan::Join) -> Joined {
        let names = &["a", "b", "c"][..groupings.len()];
        let mut nodes: Vec<_> =
            (names.iter().zip(groupings)).map(|(name, tags)| (vec![0], EdgeType::Stream, from(name, tags))).collect();
        let prefixes = names.iter().map(|text| (*text).to_owned()).collect();
        let join = plan::Join { prefixes, delimiter: ".".into(), ..join };
        nodes.push(((1..=names.len()).collect(), EdgeType::Stream, NodeKind::Join(join)));
        nodes.push((vec![names.len() + 1], EdgeType::Stream, log()));
        Joined(Bench::new(nodes))
    }

    fn point(&mut self, stream: &str, tags: &str, time: i64, v: f64) -> &mut Self {
        self.0.point(stream, tags, time, value::Value::Float(v), 0);
        self
    }

    fn out(&self) -> Vec<String> {
        self.0.out()
    }

    fn finish(&mut self) -> Vec<String> {
        self.0.finish().out()
    }
}

const BY_HOST: &[&str] = &["host"];

fn fill(value: Value) -> plan::Join {
    plan::Join { fill: Some(value), ..Default::default() }
}

#[test]
fn a_complete_set_comes_out_at_once_and_an_incomplete_one_when_all_have_passed() {
    let mut join = Joined::new(&[BY_HOST, BY_HOST], fill(Value::Float(0.0)));
    join.point("a", "host=x", 1, 1.0).point("b", "host=x", 1, 2.0);
    assert_eq!(join.out(), ["1 host=x a.v=1 b.v=2"]);
    join.point("a", "host=x", 2, 3.0).point("a", "host=x", 3, 4.0);
    assert_eq!(join.out().len(), 1);
    // Each arriving point lets one time go.
    join.point("b", "host=x", 4, 5.0);
    assert_eq!(join.out()[1..], ["2 host=x a.v=3 b.v=0"]);
    assert_eq!(join.finish()[2..], ["3 host=x a.v=4 b.v=0", "4 host=x a.v=0 b.v=5"]);
}

#[test]
fn without_fill_incomplete_sets_are_thrown_away() {
    let mut join = Joined::new(&[BY_HOST, BY_HOST], plan::Join::default());
    join.point("a", "host=x", 1, 1.0).point("b", "host=x", 2, 2.0).point("a", "host=x", 2, 3.0);
    join.point("b", "host=y", 1, 2.0);
    join.point("a", "host=x", 3, 3.0).point("b", "host=x", 3, 3.0).point("b", "host=x", 9, 3.0);
    let joined = ["2 host=x a.v=3 b.v=2", "3 host=x a.v=3 b.v=3"];
    assert_eq!(join.finish(), joined);
}

#[test]
fn a_second_point_of_a_time_opens_a_second_set() {
    let mut join = Joined::new(&[&[], &[]], plan::Join::default());
    join.point("a", "", 1, 1.0).point("a", "", 1, 2.0).point("b", "", 1, 3.0).point("b", "", 1, 4.0);
    assert_eq!(join.out(), ["1  a.v=1 b.v=3", "1  a.v=2 b.v=4"]);
}

#[test]
fn times_are_rounded_half_up() {
    let mut join = Joined::new(&[&[], &[]], plan::Join { tolerance: 10 * SECOND, ..Default::default() });
    join.point("a", "", 14, 1.0).point("b", "", 6, 2.0).point("a", "", 15, 3.0).point("b", "", 24, 4.0);
    assert_eq!(join.out(), ["10  a.v=1 b.v=2", "20  a.v=3 b.v=4"]);
}

#[test]
fn three_parents_meet_and_a_late_point_goes_out_alone() {
    let mut join = Joined::new(&[&[], &[], &[]], fill(Value::Null));
    for time in [1, 2] {
        join.point("a", "", time, 1.0).point("b", "", time, 2.0).point("c", "", time, 3.0);
    }
    assert_eq!(join.out(), ["1  a.v=1 b.v=2 c.v=3", "2  a.v=1 b.v=2 c.v=3"]);
    join.point("b", "", 1, 9.0);
    assert_eq!(join.out().len(), 2);
    // The late point put its own head back; its parent's next one lets it go.
    join.point("b", "", 3, 9.0);
    assert!(join.out()[2].starts_with("1 ") && join.out()[2].contains("b.v=9"), "{:?}", join.out());
}

#[test]
fn on_finds_every_match_whoever_comes_first() {
    let on = || plan::Join { on: vec!["dc".into()], ..Default::default() };
    let groupings: [&[&str]; 2] = [&["dc", "host"], &["dc"]];
    let expected = ["1 dc=eu,host=x a.v=1 b.v=9", "1 dc=eu,host=y a.v=2 b.v=9"];
    let mut first = Joined::new(&groupings, on());
    first.point("b", "dc=eu", 1, 9.0).point("b", "dc=us", 1, 8.0);
    first.point("a", "dc=eu,host=x", 1, 1.0).point("a", "dc=eu,host=y", 1, 2.0);
    assert_eq!(first.out(), expected);
    let mut last = Joined::new(&groupings, on());
    last.point("a", "dc=eu,host=x", 1, 1.0).point("a", "dc=eu,host=y", 1, 2.0).point("b", "dc=eu", 1, 9.0);
    assert_eq!(last.out(), expected);
}

#[test]
fn on_with_three_parents_finds_every_set_once() {
    let groupings: [&[&str]; 3] = [&["dc", "host"], &["dc"], &["dc"]];
    let mut join = Joined::new(&groupings, plan::Join { on: vec!["dc".into()], ..Default::default() });
    join.point("c", "dc=eu", 1, 7.0).point("a", "dc=eu,host=x", 1, 1.0).point("a", "dc=eu,host=x", 2, 2.0);
    // A parent lags.
    join.point("b", "dc=eu", 1, 8.0).point("b", "dc=eu", 2, 8.5).point("c", "dc=eu", 2, 7.5);
    let expected = ["1 dc=eu,host=x a.v=1 b.v=8 c.v=7", "2 dc=eu,host=x a.v=2 b.v=8.5 c.v=7.5"];
    assert_eq!(join.finish(), expected);
}

#[test]
fn on_gives_each_point_of_a_time_its_match() {
    let on = || plan::Join { on: vec!["dc".into()], fill: Some(Value::Int(0)), ..Default::default() };
    let expected = ["1 dc=eu,host=x a.v=1 b.v=9", "1 dc=eu,host=x a.v=2 b.v=9"];
    let groupings: [&[&str]; 2] = [&["dc", "host"], &["dc"]];
    let mut first = Joined::new(&groupings, on());
    first.point("b", "dc=eu", 1, 9.0).point("a", "dc=eu,host=x", 1, 1.0).point("a", "dc=eu,host=x", 1, 2.0);
    assert_eq!(first.finish(), expected);
    let mut last = Joined::new(&groupings, on());
    last.point("a", "dc=eu,host=x", 1, 1.0).point("a", "dc=eu,host=x", 1, 2.0).point("b", "dc=eu", 1, 9.0);
    assert_eq!(last.finish(), expected);
}

#[test]
fn specific_points_without_a_match_are_filled_at_the_end() {
    let on = plan::Join { on: vec!["dc".into()], fill: Some(Value::Int(0)), ..Default::default() };
    let mut join = Joined::new(&[&["dc", "host"], &["dc"]], on);
    join.point("a", "dc=eu,host=x", 1, 1.0);
    assert_eq!(join.finish(), ["1 dc=eu,host=x a.v=1 b.v=0"]);
}

#[test]
fn what_waits_survives_a_checkpoint() {
    let mut join = Joined::new(&[BY_HOST, BY_HOST], plan::Join::default());
    join.point("a", "host=x", 1, 1.0);
    let snapshot = join.0.task.snapshot().unwrap();
    let mut again = Joined::new(&[BY_HOST, BY_HOST], plan::Join::default());
    again.0.task.restore(snapshot).unwrap();
    again.point("b", "host=x", 1, 2.0);
    assert_eq!(again.out(), ["1 host=x a.v=1 b.v=2"]);
}

/// One parent is silent: however the others' points spread over groups, no more wait than may, and the rest goes out.
#[test]
fn what_waits_is_bounded_by_group_and_over_groups() {
    let host = |n: usize| format!("host=h{n}");
    for groups in [1, 7, 10 * WAITING_MAX] {
        let mut join = Joined::new(&[BY_HOST, BY_HOST], fill(Value::Float(0.0)));
        for n in 0..WAITING_MAX + 100 {
            join.point("a", &host(n % groups), 1 + n as i64, 1.0);
        }
        let released = if groups == 1 { 100 } else { join.out().len() };
        assert!((100..110).contains(&released) && join.out().len() == released, "{groups} groups: {released}");
        let errors: u64 = join.0.task.statistics().iter().map(|node| node.errors).sum();
        assert_eq!(errors, 100);
        assert_eq!(join.finish().len(), WAITING_MAX + 100);
    }
}

/// The same where parents meet by a tag, whoever of them is silent.
#[test]
fn what_waits_for_its_match_is_bounded() {
    for stream in ["a", "b"] {
        for hosts in [1, 10 * WAITING_MAX] {
            let join = plan::Join { on: vec!["host".into()], ..fill(Value::Float(0.0)) };
            let mut join = Joined::new(&[&["host", "cpu"], BY_HOST], join);
            for n in 0..WAITING_MAX + 100 {
                join.point(stream, &format!("host=h{},cpu=c", n % hosts), 1 + n as i64, 1.0);
            }
            let errors: u64 = join.0.task.statistics().iter().map(|node| node.errors).sum();
            assert!(errors >= 100, "{stream} {hosts}: {errors}");
            let bytes = join.0.bytes_of(3);
            assert!(bytes < 2 * WAITING_MAX * super::PART_BYTES, "{stream} {hosts}: {bytes}");
        }
    }
}
