//! Lambdas without a server: what an operator costs, by class of lambda.
//!
//! Each lambda runs over points of one series after another, as a `where` or `eval` runs it. An element is an operator or
//! call of the lambda. `cargo bench -p farad-benches --bench expr`.

use std::hint::black_box;

use control::tick::condition;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dataplane::{
    expr::{Lambda, Scope, State},
    name::Name,
    tags::TagSet,
    value::{Field, Value},
};
use farad_benches::lines::{BASE_TIME, mix};

const POINTS: usize = 1_000;

/// A class of lambdas: its name, the lambda, and how many operators and calls it has.
type Class = (&'static str, &'static str, u64);

/// Lambdas of `where` and of alerts.
const PREDICATES: [Class; 6] = [
    ("float comparison", r#""usage" > 90.0"#, 1),
    ("comparison of arithmetic", r#"100.0 - "idle" > "usage" * 2.0"#, 3),
    ("logic of two comparisons", r#""usage" > 10.0 AND "idle" < 90.0"#, 3),
    ("tag equality", r#""host" == 'web-17.example.com'"#, 1),
    ("regex on a tag", r#""host" =~ /^web-\d+\.example\.(com|org)$/"#, 1),
    ("sigma, compared", r#"sigma("usage") > 3.0"#, 2),
];

/// Lambdas of `eval`.
const VALUES: [Class; 7] = [
    ("sum of floats", r#""usage" + "idle""#, 1),
    ("arithmetic of floats", r#"("usage" + "idle") * 0.5 - 1.0"#, 3),
    ("long arithmetic of floats", r#"("usage" * "usage" + "idle" * "idle" - 2.0 * "usage" * "idle") / 100.0 + 1.0"#, 9),
    ("abs", r#"abs("usage")"#, 1),
    ("float of an int", r#"float("count")"#, 1),
    ("if of a comparison", r#"if("usage" > 50.0, "usage", "idle")"#, 2),
    ("sigma", r#"sigma("usage")"#, 1),
];

/// Tags of the series and fields of its points.
struct Series {
    tags: TagSet,
    points: Vec<[Field; 4]>,
}

impl Series {
    fn new() -> Result<Series, Box<dyn std::error::Error>> {
        let [usage, idle, count, state] = ["usage", "idle", "count", "state"].map(Name::new);
        let (usage, idle, count, state) = (usage?, idle?, count?, state?);
        let tag = |key: &str, value: &str| Name::new(key).map(|key| (key, value.into()));
        let tags = TagSet::new(vec![
            tag("host", "web-17.example.com")?,
            tag("cpu", "cpu-total")?,
            tag("region", "eu-west-1")?,
        ]);
        let points = (0..POINTS as u64).map(|number| {
            let percent = (mix(number) % 10_000) as f64 / 100.0;
            [
                Field { name: usage, value: Value::Float(percent) },
                Field { name: idle, value: Value::Float(100.0 - percent) },
                Field { name: count, value: Value::Int(number as i64) },
                Field { name: state, value: Value::String("ok".into()) },
            ]
        });
        Ok(Series { tags, points: points.collect() })
    }

    fn scopes(&self) -> impl Iterator<Item = Scope<'_>> {
        (BASE_TIME..).zip(&self.points).map(|(time, fields)| Scope {
            time,
            fields: fields.into(),
            tags: &self.tags,
            results: &[],
            now: BASE_TIME,
        })
    }
}

/// Runs each lambda over all points; `run` is what the node does with one.
fn classes<T>(
    criterion: &mut Criterion,
    group: &str,
    classes: &[Class],
    run: impl Fn(&mut Lambda, &Scope<'_>, &mut State) -> T,
) {
    let mut group = criterion.benchmark_group(group);
    for (name, text, operators) in classes {
        let compiled = condition(text, &[])
            .map_err(Into::into)
            .and_then(|expr| Lambda::compile(&expr).map_err(Into::into))
            .and_then(|lambda| Series::new().map(|series| (lambda, series)));
        let (mut lambda, series) = match compiled {
            Ok(compiled) => compiled,
            Err(error) => panic!("{text}: {error}"),
        };
        let mut state = State::default();
        group.throughput(Throughput::Elements(operators * POINTS as u64));
        group.bench_function(*name, |bencher| {
            bencher.iter(|| {
                for scope in series.scopes() {
                    black_box(run(&mut lambda, black_box(&scope), &mut state));
                }
            });
        });
    }
}

fn predicates(criterion: &mut Criterion) {
    classes(criterion, "predicate", &PREDICATES, |lambda, scope, state| match lambda.eval_bool(scope, state) {
        Ok(truth) => truth,
        Err(error) => panic!("{error}"),
    });
}

fn values(criterion: &mut Criterion) {
    classes(criterion, "value", &VALUES, |lambda, scope, state| match lambda.eval(scope, state) {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    });
}

criterion_group!(benches, predicates, values);
criterion_main!(benches);
