//! Lambdas as scripts write them against points, in the order of the reference: tickscript §8 to §12.

mod evaluation;
mod functions;
mod operators;
mod programs;
mod properties;
mod state;

use super::{testing::expr, *};
use crate::value;

/// A point and a clock.
struct Row {
    fields: Vec<Field>,
    tags: TagSet,
    results: Vec<Field>,
    time: i64,
}

const NOW: i64 = 1_600_000_000_000_000_000;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn fields(fields: &[(&str, Value)]) -> Vec<Field> {
    fields.iter().map(|(key, value)| Field { name: name(key), value: value.clone() }).collect()
}

fn row<const N: usize>(of: [(&str, Value); N]) -> Row {
    Row { fields: fields(&of), tags: TagSet::empty(), results: Vec::new(), time: 1_500_000_000_000_000_000 }
}

impl Row {
    fn tag(mut self, key: &str, value: &str) -> Row {
        self.tags = self.tags.with(name(key), value.into());
        self
    }

    fn scope(&self) -> Scope<'_> {
        Scope { time: self.time, fields: (&self.fields).into(), tags: &self.tags, results: &self.results, now: NOW }
    }

    fn eval(&self, text: &str) -> Result<Value, EvalError> {
        compiled(text).eval(&self.scope(), &mut State::default())
    }

    fn holds(&self, text: &str) -> Result<bool, EvalError> {
        compiled(text).eval_bool(&self.scope(), &mut State::default())
    }

    /// Each expression has its value.
    fn check(&self, expected: &[(&str, Value)]) {
        for (text, value) in expected {
            assert_eq!(self.eval(text).as_ref(), Ok(value), "{text} on {:?}", self.fields);
        }
    }

    /// Each expression fails.
    fn refuse(&self, texts: &[&str]) {
        for text in texts {
            assert!(self.eval(text).is_err(), "{text} is {:?}", self.eval(text));
        }
    }
}

fn compiled(text: &str) -> Lambda {
    Lambda::compile(&expr(text)).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn float(x: f64) -> Value {
    Value::Float(x)
}

fn int(x: i64) -> Value {
    Value::Int(x)
}

fn boolean(x: bool) -> Value {
    Value::Bool(x)
}

fn text(x: &str) -> Value {
    Value::String(x.into())
}

fn nanoseconds(x: i64) -> Value {
    Value::Duration(x)
}

fn seconds(x: i64) -> Value {
    Value::Duration(x * 1_000_000_000)
}

fn error(row: &Row, text: &str) -> String {
    row.eval(text).unwrap_err().to_string()
}

fn show(value: &Value) -> String {
    format!("{value:?}")
}

#[test]
fn results_are_shared_with_the_point_where_they_can() {
    let row = row([("s", text("up"))]).tag("host", "a");
    let Ok(Value::String(result)) = row.eval(r#"if("host" == 'a', "s", 'x')"#) else { panic!("no text") };
    let Some(Value::String(field)) = value::field(&row.fields, name("s")) else { panic!("no field") };
    assert!(std::rc::Rc::ptr_eq(&result, field));
}

#[test]
fn references_are_listed_once_in_order() {
    let lambda = compiled(r#""b" > 1.0 AND "a" == {"c" + "b"} OR "time" == "b""#);
    assert_eq!(lambda.references(), [name("b"), name("a"), name("c"), name("time")]);
}

#[test]
fn more_references_than_the_stack_holds() {
    let keys: Vec<String> = (0..20).map(|n| format!("f{n}")).collect();
    let values: Vec<_> = keys.iter().map(|key| (key.as_str(), float(1.0))).collect();
    let row = Row { fields: fields(&values), ..row([]) };
    let sum: Vec<_> = keys.iter().map(|key| format!("\"{key}\"")).collect();
    row.check(&[(&sum.join(" + "), float(20.0))]);
}
