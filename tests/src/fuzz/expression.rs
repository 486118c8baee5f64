//! The compiler and evaluator of lambdas: any expression on any point has a value or an error, and the same one again.

use control::tick::condition;
use dataplane::{
    expr::{Lambda, Scope, State},
    name::Name,
    tags::TagSet,
    value::{Field, Value},
};

/// The first byte chooses the values of the point, the rest is the text of the expression.
pub fn check(data: &[u8]) {
    let Some((choice, text)) = data.split_first() else { return };
    let Ok(expression) = condition(&String::from_utf8_lossy(text), &[("ONE", 1)]) else { return };
    let (Ok(mut lambda), Ok(mut again)) = (Lambda::compile(&expression), Lambda::compile(&expression)) else { return };
    let mut names = ["i", "f", "b", "s", "d", "t"].into_iter().flat_map(Name::new);
    let mut name = || names.next();
    let numbers = [0, 1, -1, 7, i64::MAX, i64::MIN, 1_000_000_007, 60_000_000_000];
    let number = numbers[usize::from(choice % 8)];
    let values = [
        Value::Int(number),
        Value::Float(if number == 7 { f64::NAN } else { number as f64 / 3.0 }),
        Value::Bool(choice & 8 == 0),
        Value::String(if choice & 16 == 0 { "".into() } else { "a é 1h30m".into() }),
        Value::Duration(number),
    ];
    let fields: Vec<Field> = values.into_iter().filter_map(|value| name().map(|name| Field { name, value })).collect();
    let tags = TagSet::new(name().map(|name| (name, "web-1.example".into())).into_iter().collect());
    let (mut state, mut other) = (State::default(), State::default());
    for time in [0, number, 1_600_000_000_000_000_000] {
        let scope = Scope { time, fields: (&fields).into(), tags: &tags, results: &[], now: 1 };
        let (one, two) = (lambda.eval(&scope, &mut state), again.eval(&scope, &mut other));
        let random = expression_is_random(&expression);
        if !random {
            // By text: a NaN is not equal to itself.
            assert_eq!(format!("{one:?}"), format!("{two:?}"));
        }
        if let Err(error) = one {
            assert!(!error.to_string().is_empty());
        }
        let _ = lambda.eval_bool(&scope, &mut state);
        let _ = again.eval_bool(&scope, &mut other);
    }
}

fn expression_is_random(expression: &proto::Expr) -> bool {
    let mut random = false;
    expression.walk(&mut |node| random |= matches!(node, proto::Expr::Call(name, _) if name == "rand"));
    random
}
