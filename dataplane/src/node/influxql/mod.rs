//! The InfluxQL functions (reference: nodes-stream §10).
//!
//! Reducers make one result (or one batch) of a batch, or of the points of a stream that have one time ([`reduce`]);
//! transformations give a result a point ([`transform`]). What a reducer sees is a list of [`Sample`]s of one type.

pub mod accumulate;
mod distinct_top;
pub mod holt_winters;
mod nelder_mead;
mod order;
pub mod reduce;
mod transform;

use proto::plan::{EdgeType, InfluxQl, InfluxQlFunction};

use super::{Operator, StartError, window};
use crate::{name::Name, value::Value};

/// The operator of a function on a stream or a batch edge.
pub fn new(plan: &InfluxQl, wants: EdgeType) -> Result<Box<dyn Operator>, StartError> {
    check(&plan.function)?;
    let name = |text: &str| Name::new(text).map_err(StartError::new);
    let (field, result, empty) = (name(&plan.field)?, name(&plan.r#as)?, name("")?);
    Ok(match &plan.function {
        InfluxQlFunction::Elapsed { .. }
        | InfluxQlFunction::Difference
        | InfluxQlFunction::MovingAverage { .. }
        | InfluxQlFunction::CumulativeSum => Box::new(transform::Transform::new(&plan.function, field, result, empty)),
        function => Box::new(reduce::Reduce::new(function, field, result, empty, plan.use_point_times, wants)?),
    })
}

/// What the original dies of, and what would take the memory of all.
fn check(function: &InfluxQlFunction) -> Result<(), StartError> {
    let bad = |message: &str| Err(StartError::new(message));
    match function {
        InfluxQlFunction::Top { count, .. } | InfluxQlFunction::Bottom { count, .. } if *count < 0 => {
            bad("the number of values must not be negative")
        }
        InfluxQlFunction::Elapsed { unit } if *unit == 0 => bad("the unit of elapsed must not be zero"),
        InfluxQlFunction::MovingAverage { window } if *window <= 0 => {
            bad("the window of movingAverage must be greater than zero")
        }
        InfluxQlFunction::MovingAverage { window: size } if *size > window::POINTS_MAX as i64 => Err(StartError(
            format!("the window of movingAverage holds {} points of a group at most, not {size}", window::POINTS_MAX),
        )),
        InfluxQlFunction::HoltWinters { forecasts, .. } if *forecasts > holt_winters::INTERVALS_MAX as i64 => {
            Err(StartError(format!(
                "holtWinters forecasts {} values at most, not {forecasts}",
                holt_winters::INTERVALS_MAX
            )))
        }
        InfluxQlFunction::HoltWinters { season, .. } if *season > holt_winters::SEASON_MAX as i64 => Err(StartError(
            format!("a season of holtWinters has {} intervals at most, not {season}", holt_winters::SEASON_MAX),
        )),
        InfluxQlFunction::HoltWinters { interval, .. } if *interval <= 0 => {
            bad("the interval of holtWinters must be greater than zero")
        }
        _ => Ok(()),
    }
}

/// Types that functions tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Type {
    Float,
    Int,
    String,
    Bool,
}

impl Type {
    /// The type of a value; `None` for those that no function takes.
    pub fn of(value: &Value) -> Option<Type> {
        Some(match value {
            Value::Float(_) => Type::Float,
            Value::Int(_) => Type::Int,
            Value::String(_) => Type::String,
            Value::Bool(_) => Type::Bool,
            Value::Duration(_) | Value::Null | Value::Missing => return None,
        })
    }

    pub fn is_number(self) -> bool {
        matches!(self, Type::Float | Type::Int)
    }
}

/// Whether a function takes values of a type.
pub fn takes(function: &InfluxQlFunction, kind: Type) -> bool {
    kind.is_number()
        || matches!(
            function,
            InfluxQlFunction::Count
                | InfluxQlFunction::First
                | InfluxQlFunction::Last
                | InfluxQlFunction::Distinct
                | InfluxQlFunction::Elapsed { .. }
        )
}

/// The method's name, for errors.
pub fn method(function: &InfluxQlFunction) -> &'static str {
    match function {
        InfluxQlFunction::Count => "count",
        InfluxQlFunction::Sum => "sum",
        InfluxQlFunction::Mean => "mean",
        InfluxQlFunction::Median => "median",
        InfluxQlFunction::Mode => "mode",
        InfluxQlFunction::Spread => "spread",
        InfluxQlFunction::Stddev => "stddev",
        InfluxQlFunction::First => "first",
        InfluxQlFunction::Last => "last",
        InfluxQlFunction::Min => "min",
        InfluxQlFunction::Max => "max",
        InfluxQlFunction::Percentile(_) => "percentile",
        InfluxQlFunction::Distinct => "distinct",
        InfluxQlFunction::Top { .. } => "top",
        InfluxQlFunction::Bottom { .. } => "bottom",
        InfluxQlFunction::HoltWinters { .. } => "holtWinters",
        InfluxQlFunction::Elapsed { .. } => "elapsed",
        InfluxQlFunction::Difference => "difference",
        InfluxQlFunction::MovingAverage { .. } => "movingAverage",
        InfluxQlFunction::CumulativeSum => "cumulativeSum",
    }
}

/// What a value that a function does not take is reported as.
pub fn unsupported(function: &InfluxQlFunction, field: Name, value: &Value) -> String {
    let kind = match value {
        Value::Float(_) => "float",
        Value::Int(_) => "int",
        Value::String(_) => "string",
        Value::Bool(_) => "boolean",
        other => other.type_name(),
    };
    let method = method(function);
    format!("invalid influxql func {method} with field {field}: cannot apply {method} to {kind} field")
}

/// A point that has a value of the function's type.
#[derive(Clone, Debug)]
pub struct Sample {
    pub time: i64,
    pub value: Value,
    /// Place of the point among the points that are reduced.
    pub row: usize,
}

impl Sample {
    pub fn float(&self) -> f64 {
        match self.value {
            Value::Float(x) => x,
            Value::Int(x) => x as f64,
            _ => f64::NAN,
        }
    }

    pub fn int(&self) -> i64 {
        match self.value {
            Value::Int(x) => x,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proto::plan::{NodeKind, Window};

    use super::*;
    use crate::node::testing::{Bench, SECOND, from, log};

    #[test]
    fn arguments_that_end_the_original_are_refused() {
        let refused = [
            (InfluxQlFunction::MovingAverage { window: 0 }, "the window of movingAverage must be greater than zero"),
            (InfluxQlFunction::MovingAverage { window: -1 }, "the window of movingAverage must be greater than zero"),
            (InfluxQlFunction::Elapsed { unit: 0 }, "the unit of elapsed must not be zero"),
            (
                InfluxQlFunction::MovingAverage { window: 1_001 },
                "the window of movingAverage holds 1000 points of a group at most, not 1001",
            ),
            (
                InfluxQlFunction::HoltWinters { forecasts: 100_001, season: 0, interval: 1, with_fit: false },
                "holtWinters forecasts 100000 values at most, not 100001",
            ),
            (
                InfluxQlFunction::HoltWinters { forecasts: 1, season: 2_001, interval: 1, with_fit: false },
                "a season of holtWinters has 2000 intervals at most, not 2001",
            ),
            (InfluxQlFunction::Top { count: -1, fields_and_tags: vec![] }, "the number of values must not be negative"),
            (
                InfluxQlFunction::HoltWinters { forecasts: 1, season: 0, interval: 0, with_fit: false },
                "the interval of holtWinters must be greater than zero",
            ),
        ];
        for (function, why) in refused {
            let plan = InfluxQl { function, field: "v".into(), r#as: "v".into(), use_point_times: false };
            assert_eq!(super::new(&plan, EdgeType::Batch).err().map(|error| error.to_string()).as_deref(), Some(why));
        }
    }

    /// A field that changes its type under a function: of a batch the first type counts, on a stream each run's.
    #[test]
    fn types_may_change_under_a_function() {
        use InfluxQlFunction::{Max, Min, Spread, Sum};
        let window = Window::Time { period: 4 * SECOND, every: 2 * SECOND, align: false, fill_period: false };
        for function in [Max, Min, Sum, Spread] {
            let plan = InfluxQl { function, field: "v".into(), r#as: "v".into(), use_point_times: false };
            let mut bench = Bench::new(vec![
                (vec![0], EdgeType::Stream, from("", &[])),
                (vec![1], EdgeType::Batch, NodeKind::Window(window.clone())),
                (vec![2], EdgeType::Stream, NodeKind::InfluxQl(plan.clone())),
                (vec![1], EdgeType::Stream, NodeKind::InfluxQl(plan)),
                (vec![3], EdgeType::Stream, log()),
                (vec![4], EdgeType::Stream, log()),
            ]);
            let values = [Value::Int(3), Value::Float(1.5), Value::String("x".into()), Value::Bool(true)];
            for (time, value) in (1..).zip(values.iter().cycle().take(12)) {
                bench.point("m", "", time, value.clone(), 0);
            }
            assert!(bench.out().len() > 5, "{:?}", bench.out());
        }
    }
}
