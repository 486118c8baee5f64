//! `count`, `sigma`, `spread` and whose state they keep (reference: tickscript §11).

use super::*;

/// Evaluates `text` on a series of `v`, one state for all.
fn series(text: &str, values: &[f64]) -> Vec<Result<Value, EvalError>> {
    let (mut lambda, mut state) = (compiled(text), State::default());
    values.iter().map(|x| lambda.eval(&row([("v", float(*x))]).scope(), &mut state)).collect()
}

fn numbers(text: &str, values: &[f64]) -> Vec<f64> {
    series(text, values)
        .into_iter()
        .map(|result| match result {
            Ok(Value::Float(x)) => x,
            Ok(Value::Int(n)) => n as f64,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn running_numbers() {
    let values = [1.0, 2.0, 4.0, 8.0, -3.0];
    assert_eq!(numbers("count()", &values), [1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(numbers(r#"spread("v")"#, &values), [0.0, 1.0, 3.0, 7.0, 11.0]);
    let sigma = [0.0, 0.7071067811865475, 1.0910894511799618, 1.372873850248322, 1.337518992468789];
    assert_eq!(numbers(r#"sigma("v")"#, &values), sigma);
}

#[test]
fn state_belongs_to_the_lambda_not_to_the_call() {
    assert_eq!(numbers("count() * 100 + count()", &[0.0; 3]), [102.0, 304.0, 506.0]);
    let (mut lambda, mut state) = (compiled(r#"spread("v") + spread("w")"#), State::default());
    let mut eval = |v, w| lambda.eval(&row([("v", float(v)), ("w", float(w))]).scope(), &mut state);
    assert_eq!(
        [eval(1.0, 100.0), eval(2.0, 50.0), eval(4.0, 300.0)],
        [Ok(float(99.0)), Ok(float(198.0)), Ok(float(398.0))]
    );
    let expected = [0.0, 2.0207259421636903, 2.8528682530411187];
    assert_eq!(numbers(r#"sigma("v") + sigma("v")"#, &[1.0, 2.0, 4.0]), expected);
}

#[test]
fn each_state_counts_for_itself() {
    let (mut lambda, mut a, mut b) = (compiled("count()"), State::default(), State::default());
    assert!(lambda.is_stateful());
    let row = row([]);
    assert_eq!(lambda.eval(&row.scope(), &mut a), Ok(int(1)));
    assert_eq!(lambda.eval(&row.scope(), &mut b), Ok(int(1)));
    assert_eq!(lambda.eval(&row.scope(), &mut a), Ok(int(2)));
}

#[test]
fn skipped_functions_do_not_count_but_those_of_if_do() {
    let values = [1.0, 10.0, 2.0, 20.0, 4.0, 50.0, 8.0, 50.0, -3.0];
    let bools =
        |text: &str| series(text, &values).into_iter().map(|result| result == Ok(boolean(true))).collect::<Vec<_>>();
    assert_eq!(bools(r#""v" > 5.0 OR count() > 2"#), [false, true, false, true, true, true, true, true, true]);
    assert_eq!(bools(r#""v" > 5.0 AND count() > 1"#), [false, false, false, true, false, true, true, true, false]);
    assert_eq!(numbers(r#"if("v" > 5.0, count(), 0)"#, &values), [0.0, 2.0, 0.0, 4.0, 0.0, 6.0, 7.0, 8.0, 0.0]);
}

#[test]
fn failing_types_leave_the_state_as_it_was() {
    let texts = [
        r#"count() + "v""#,
        r#"count() > "nope""#,
        r#"(count() > 0) AND "nope""#,
        r#"(count() > 0) AND "v""#,
        r#"!if(count() > 0, "v", TRUE)"#,
        r#"count() + count("v")"#,
        r#"if(TRUE, count(), "nope")"#,
        r#""nope" + sigma("v")"#,
        r#"string(count()) =~ "v""#,
        r#"if(count() > 0, "v", 'a') =~ /a/"#,
    ];
    let row = row([("v", float(1.0))]);
    for text in texts {
        let mut state = State::default();
        assert!(compiled(text).eval(&row.scope(), &mut state).is_err(), "{text}");
        assert_eq!(state, State::default(), "{text}");
    }
    // Failing values do not undo what was called before.
    let mut state = State::default();
    assert!(compiled("count() + int('x')").eval(&row.scope(), &mut state).is_err());
    assert_eq!(state.count(), 2);
}

#[test]
fn lambda_vars_inside_keep_one_state_for_all_groups() {
    let row = row([]);
    let mut shared = compiled("{count()} + 0");
    assert!(!shared.is_stateful());
    for n in 1..=3 {
        assert_eq!(shared.eval(&row.scope(), &mut State::default()), Ok(int(n)));
    }
    let mut twice = compiled("{count()} + {count()} * 100 + count() * 10000");
    assert!(twice.is_stateful());
    for n in 1..=3 {
        assert_eq!(twice.eval(&row.scope(), &mut State::default()), Ok(int(n + n * 100 + 10000)));
    }
    let mut nested = compiled("{count() + {count()}} + 0");
    assert_eq!(nested.eval(&row.scope(), &mut State::default()), Ok(int(2)));
    assert_eq!(nested.eval(&row.scope(), &mut State::default()), Ok(int(4)));
}

#[test]
fn shared_state_can_be_taken_out_and_put_back() {
    let row = row([]);
    let mut lambda = compiled("{count()} + {sigma(1.0)} * 0");
    assert!(lambda.eval(&row.scope(), &mut State::default()).is_err());
    let mut lambda = compiled("{count()} + 0");
    lambda.eval(&row.scope(), &mut State::default()).unwrap();
    let bytes = postcard::to_stdvec(&lambda.snapshot_shared()).unwrap();
    let mut again = compiled("{count()} + 0");
    again.restore_shared(postcard::from_bytes(&bytes).unwrap());
    assert_eq!(again.eval(&row.scope(), &mut State::default()), Ok(int(2)));
    let mut other = compiled("{count()} + {count()}");
    other.restore_shared(again.snapshot_shared());
    assert_eq!(other.eval(&row.scope(), &mut State::default()), Ok(int(2)));
}

#[test]
fn predicates_may_count() {
    let (mut lambda, mut state) = (compiled("count() % 2 == 0"), State::default());
    let row = row([]);
    let kept: Vec<_> = (0..4).map(|_| lambda.eval_bool(&row.scope(), &mut state)).collect();
    assert_eq!(kept, [Ok(false), Ok(true), Ok(false), Ok(true)]);
}
