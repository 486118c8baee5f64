//! Nodes but `alert`.

use proto::{
    Expr, Value,
    expr::BinaryOp,
    plan::{
        Barrier, BarrierClock, Combine, DimensionTags, Dimensions, Eval, Flatten, From, HttpPost, InfluxDbOut,
        InfluxQl, InfluxQlFunction, Join, Keep, LogLevel, Loopback, NodeKind, Percent, Sample, Sideload, Stats, Udf,
        Window,
    },
};

use super::{LowerError, Lowering};
use crate::tick::{
    pipeline::{PipelineNode, first_string, strings},
    value::ScriptValue,
};

const SECOND: i64 = 1_000_000_000;

pub(super) fn lower(node: &PipelineNode, lowering: &Lowering<'_>) -> Result<NodeKind, LowerError> {
    Ok(match node.spec.method {
        "stream" => NodeKind::Stream,
        "batch" => NodeKind::Batch,
        "query" | "queryFlux" => NodeKind::Query,
        "from" => NodeKind::From(from(node)),
        "where" => NodeKind::Where { predicate: lambda(node, 0)? },
        "groupBy" => NodeKind::GroupBy(Dimensions {
            by_measurement: node.is_set("byMeasurement"),
            tags: match dimension_tags(&node.arguments) {
                DimensionTags::All { .. } => DimensionTags::All {
                    exclude: node.settings("exclude").flat_map(|setting| strings(&setting.arguments)).collect(),
                },
                named => named,
            },
        }),
        "eval" => NodeKind::Eval(eval(node)?),
        "window" => NodeKind::Window(window(node)?),
        "default" => NodeKind::Default {
            fields: node.settings("field").filter_map(|setting| pair(&setting.arguments)).collect(),
            tags: string_pairs(node, "tag"),
        },
        "delete" => NodeKind::Delete {
            fields: node.settings("field").flat_map(|setting| strings(&setting.arguments)).collect(),
            tags: node.settings("tag").flat_map(|setting| strings(&setting.arguments)).collect(),
        },
        "sample" => match node.arguments.first() {
            Some(ScriptValue::Int(n)) if *n != 0 => NodeKind::Sample(Sample::Count(*n)),
            Some(ScriptValue::Duration(d)) if *d != 0 => NodeKind::Sample(Sample::Duration(*d)),
            _ => return Err(LowerError::new("invalid sample rate: must be positive integer or duration")),
        },
        "shift" => match node.arguments.first() {
            Some(ScriptValue::Duration(shift)) if *shift != 0 => NodeKind::Shift { shift: *shift },
            _ => return Err(LowerError::new("invalid shift value: must be non zero duration")),
        },
        "derivative" => NodeKind::Derivative {
            field: node.argument(0).to_owned(),
            r#as: node.string("as").filter(|name| !name.is_empty()).unwrap_or(node.argument(0)).to_owned(),
            unit: node.duration("unit").unwrap_or(SECOND),
            non_negative: node.is_set("nonNegative"),
        },
        "changeDetect" => NodeKind::ChangeDetect { fields: strings(&node.arguments) },
        "stateDuration" => NodeKind::StateDuration {
            predicate: lambda(node, 0)?,
            r#as: node.string("as").unwrap_or("state_duration").to_owned(),
            unit: node.duration("unit").unwrap_or(SECOND),
        },
        "stateCount" => NodeKind::StateCount {
            predicate: lambda(node, 0)?,
            r#as: node.string("as").unwrap_or("state_count").to_owned(),
        },
        "flatten" => NodeKind::Flatten(Flatten {
            on: node.strings("on").unwrap_or_default(),
            delimiter: node.string("delimiter").unwrap_or(".").to_owned(),
            tolerance: node.duration("tolerance").unwrap_or_default(),
            drop_original_field_name: match node.setting("dropOriginalFieldName") {
                Some([ScriptValue::Bool(drop)]) => *drop,
                Some(_) => true,
                None => false,
            },
        }),
        "combine" => NodeKind::Combine(Combine {
            expressions: named_lambdas(node)?,
            delimiter: node.string("delimiter").unwrap_or(".").to_owned(),
            tolerance: node.duration("tolerance").unwrap_or_default(),
            max: node.int("max").unwrap_or(1_000_000),
        }),
        "log" => NodeKind::Log {
            level: match node.string("level").unwrap_or_default().to_ascii_lowercase().as_str() {
                "debug" => LogLevel::Debug,
                "error" => LogLevel::Error,
                _ => LogLevel::Info,
            },
            prefix: node.string("prefix").unwrap_or_default().to_owned(),
        },
        "httpOut" => NodeKind::HttpOut { endpoint: node.argument(0).to_owned() },
        "httpPost" => NodeKind::HttpPost(http_post(node, lowering)?),
        "join" => NodeKind::Join(join(node)),
        "union" => NodeKind::Union { rename: node.string("rename").unwrap_or_default().to_owned() },
        "barrier" => NodeKind::Barrier(Barrier {
            clock: match (node.duration("idle").unwrap_or_default(), node.duration("period").unwrap_or_default()) {
                (0, period) => BarrierClock::Period(period),
                (idle, _) => BarrierClock::Idle(idle),
            },
            delete: node.bool("delete"),
        }),
        "stats" => NodeKind::Stats(Stats {
            watched: node.watches.ok_or_else(|| LowerError(format!("{} watches no node", node.name)))?,
            interval: match node.arguments.first() {
                Some(ScriptValue::Duration(interval)) => *interval,
                _ => 0,
            },
            align: node.is_set("align"),
        }),
        "noop" => NodeKind::Noop,
        "trickle" => NodeKind::Trickle,
        "kapacitorLoopback" => NodeKind::Loopback(Loopback {
            database: node.string("database").unwrap_or_default().to_owned(),
            retention_policy: node.string("retentionPolicy").unwrap_or_default().to_owned(),
            measurement: node.string("measurement").unwrap_or_default().to_owned(),
            tags: string_pairs(node, "tag"),
        }),
        "sideload" => NodeKind::Sideload(Sideload {
            order: node.strings("order").unwrap_or_default(),
            files: (lowering.sideload)(node.string("source").unwrap_or_default()).map_err(LowerError)?,
            fields: node.settings("field").filter_map(|setting| pair(&setting.arguments)).collect(),
            tags: string_pairs(node, "tag"),
        }),
        "udf" => NodeKind::Udf(Box::new(udf(node, lowering)?)),
        "k8sAutoscale" | "swarmAutoscale" | "ec2Autoscale" => {
            NodeKind::Autoscale(Box::new(super::autoscale::lower(node, lowering)?))
        }
        "influxDBOut" => NodeKind::InfluxDbOut(Box::new(influxdb_out(node, lowering)?)),
        method => match influxql(node, method) {
            Some(function) => NodeKind::InfluxQl(InfluxQl {
                function,
                field: field(node).to_owned(),
                r#as: node.string("as").filter(|name| !name.is_empty()).unwrap_or(node.spec.kind).to_owned(),
                use_point_times: node.is_set("usePointTimes"),
            }),
            None => {
                let what = node.udf.as_ref().map_or(method, |_| "a user-defined function");
                return Err(LowerError(format!("{}: {what} is not supported by this version", node.name)));
            }
        },
    })
}

fn udf(node: &PipelineNode, lowering: &Lowering<'_>) -> Result<Udf, LowerError> {
    let call = node.udf.as_ref().ok_or_else(|| LowerError(format!("{} calls no function", node.name)))?;
    let (function, snapshot_interval) = (lowering.udf)(&call.name)
        .ok_or_else(|| LowerError(format!("no user-defined function {} is configured", call.name)))?;
    let option = |(name, values): &(String, Vec<ScriptValue>)| {
        (name.clone(), values.iter().filter_map(ScriptValue::constant).collect())
    };
    Ok(Udf { function, options: call.options.iter().map(option).collect(), snapshot_interval })
}

fn influxdb_out(node: &PipelineNode, lowering: &Lowering<'_>) -> Result<InfluxDbOut, LowerError> {
    let text = |name| node.string(name).unwrap_or_default().to_owned();
    let cluster = text("cluster");
    let target = (lowering.influxdb)(&cluster)
        .ok_or_else(|| LowerError(format!("failed to get InfluxDB client: no such InfluxDB config {cluster}")))?;
    Ok(InfluxDbOut {
        target,
        database: text("database"),
        retention_policy: text("retentionPolicy"),
        measurement: text("measurement"),
        write_consistency: text("writeConsistency"),
        precision: text("precision"),
        buffer: node.int("buffer").unwrap_or(1_000),
        flush_interval: node.duration("flushInterval").unwrap_or(10 * SECOND),
        create: node.is_set("create"),
        tags: string_pairs(node, "tag"),
    })
}

fn join(node: &PipelineNode) -> Join {
    Join {
        prefixes: node.strings("as").unwrap_or_default(),
        delimiter: node.string("delimiter").unwrap_or(".").to_owned(),
        on: node.strings("on").unwrap_or_default(),
        stream_name: node.string("streamName").unwrap_or_default().to_owned(),
        tolerance: node.duration("tolerance").unwrap_or_default(),
        fill: match node.setting("fill").and_then(<[_]>::first) {
            Some(ScriptValue::String(word)) if word == "null" => Some(Value::Null),
            Some(number @ (ScriptValue::Int(_) | ScriptValue::Float(_))) => number.constant(),
            _ => None,
        },
        delete_all: node.bool("deleteAll"),
    }
}

fn from(node: &PipelineNode) -> From {
    let text = |name| node.string(name).unwrap_or_default().to_owned();
    let lambdas = node.settings("where").filter_map(|setting| match setting.arguments.first() {
        Some(ScriptValue::Lambda(lambda)) => Some(lambda.clone()),
        _ => None,
    });
    From {
        database: text("database"),
        retention_policy: text("retentionPolicy"),
        measurement: text("measurement"),
        filter: lambdas.reduce(|one, other| Expr::Binary(BinaryOp::And, Box::new(one), Box::new(other))),
        truncate: node.duration("truncate").unwrap_or_default(),
        round: node.duration("round").unwrap_or_default(),
        dimensions: Dimensions {
            by_measurement: node.is_set("groupByMeasurement"),
            tags: dimension_tags(node.setting("groupBy").unwrap_or_default()),
        },
    }
}

fn dimension_tags(arguments: &[ScriptValue]) -> DimensionTags {
    if arguments.contains(&ScriptValue::Star) {
        return DimensionTags::All { exclude: Vec::new() };
    }
    let mut names = strings(arguments);
    names.sort();
    DimensionTags::Named(names)
}

fn lambda(node: &PipelineNode, nth: usize) -> Result<Expr, LowerError> {
    match node.arguments.get(nth) {
        Some(ScriptValue::Lambda(lambda)) => Ok(lambda.clone()),
        _ => Err(LowerError(format!("{} wants a lambda", node.name))),
    }
}

fn named_lambdas(node: &PipelineNode) -> Result<Vec<(String, Expr)>, LowerError> {
    let names = node.strings("as").unwrap_or_default();
    names.into_iter().enumerate().map(|(nth, name)| Ok((name, lambda(node, nth)?))).collect()
}

fn eval(node: &PipelineNode) -> Result<Eval, LowerError> {
    Ok(Eval {
        expressions: named_lambdas(node)?,
        tags: node.strings("tags").unwrap_or_default(),
        keep: match node.strings("keep") {
            None => Keep::Results,
            Some(names) if names.is_empty() => Keep::All,
            Some(names) => Keep::Listed(names),
        },
    })
}

fn window(node: &PipelineNode) -> Result<Window, LowerError> {
    let fill_period = node.is_set("fillPeriod");
    let (period, every) = (node.duration("period").unwrap_or_default(), node.duration("every").unwrap_or_default());
    let (period_count, every_count) = (node.int("periodCount").unwrap_or(0), node.int("everyCount").unwrap_or(0));
    match (period, period_count) {
        (0, 0) => Err(LowerError::new("window node must have either a non zero period or non zero period count")),
        (0, period) => Ok(Window::Count { period, every: every_count, fill_period }),
        (period, _) => Ok(Window::Time { period, every, align: node.is_set("align"), fill_period }),
    }
}

fn pair(arguments: &[ScriptValue]) -> Option<(String, Value)> {
    Some((first_string(arguments)?.to_owned(), arguments.get(1)?.constant()?))
}

fn string_pairs(node: &PipelineNode, name: &str) -> Vec<(String, String)> {
    let pair = |arguments: &[ScriptValue]| match strings(arguments).as_slice() {
        [key, value] => Some((key.clone(), value.clone())),
        _ => None,
    };
    node.settings(name).filter_map(|setting| pair(&setting.arguments)).collect()
}

fn http_post(node: &PipelineNode, lowering: &Lowering<'_>) -> Result<HttpPost, LowerError> {
    let endpoint = match node.string("endpoint") {
        Some(name) => {
            (lowering.endpoint)(name).ok_or_else(|| LowerError(format!("endpoint '{name}' does not exist")))?
        }
        None => super::Endpoint { url: node.argument(0).to_owned(), ..super::Endpoint::default() },
    };
    let endpoint = endpoint.with_headers(string_pairs(node, "header"));
    Ok(HttpPost {
        url: endpoint.url,
        headers: endpoint.headers,
        basic_auth: endpoint.basic_auth,
        row_template: endpoint.row_template,
        code_field: node.string("codeField").filter(|name| !name.is_empty()).map(str::to_owned),
        capture_response: node.is_set("captureResponse"),
        timeout: node.duration("timeout").unwrap_or_default(),
    })
}

/// The field that a function reads: its first string argument.
fn field(node: &PipelineNode) -> &str {
    node.arguments.iter().find_map(|argument| first_string(std::slice::from_ref(argument))).unwrap_or_default()
}

fn influxql(node: &PipelineNode, method: &str) -> Option<InfluxQlFunction> {
    let int = |nth: usize| match node.arguments.get(nth) {
        Some(ScriptValue::Int(x)) => *x,
        _ => 0,
    };
    let duration = |nth: usize| match node.arguments.get(nth) {
        Some(ScriptValue::Duration(x)) => *x,
        _ => 0,
    };
    let further = || strings(node.arguments.get(2..).unwrap_or_default());
    Some(match method {
        "count" => InfluxQlFunction::Count,
        "sum" => InfluxQlFunction::Sum,
        "mean" => InfluxQlFunction::Mean,
        "median" => InfluxQlFunction::Median,
        "mode" => InfluxQlFunction::Mode,
        "spread" => InfluxQlFunction::Spread,
        "stddev" => InfluxQlFunction::Stddev,
        "first" => InfluxQlFunction::First,
        "last" => InfluxQlFunction::Last,
        "min" => InfluxQlFunction::Min,
        "max" => InfluxQlFunction::Max,
        "percentile" => match node.arguments.get(1) {
            Some(ScriptValue::Float(percent)) => InfluxQlFunction::Percentile(Percent(*percent)),
            _ => return None,
        },
        "distinct" => InfluxQlFunction::Distinct,
        "top" => InfluxQlFunction::Top { count: int(0), fields_and_tags: further() },
        "bottom" => InfluxQlFunction::Bottom { count: int(0), fields_and_tags: further() },
        "holtWinters" | "holtWintersWithFit" => InfluxQlFunction::HoltWinters {
            forecasts: int(1),
            season: int(2),
            interval: duration(3),
            with_fit: method == "holtWintersWithFit",
        },
        "elapsed" => InfluxQlFunction::Elapsed { unit: duration(1) },
        "difference" => InfluxQlFunction::Difference,
        "movingAverage" => InfluxQlFunction::MovingAverage { window: int(1) },
        "cumulativeSum" => InfluxQlFunction::CumulativeSum,
        _ => return None,
    })
}
