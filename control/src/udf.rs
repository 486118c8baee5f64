//! User-defined functions of the configuration (reference: nodes-alert-join-io §8).
//!
//! Each is asked once, when the server starts, what it takes and gives and can be told; scripts are checked against that.

use std::{collections::BTreeMap, sync::Arc, sync::OnceLock};

use dataplane::udf::{DescribeError, Info, describe};
use proto::plan::{UdfFunction, UdfProgram};

use crate::{
    config::Config,
    tick::{
        table::{Edge, Kind},
        udf::{Udf, Udfs},
    },
};

/// The functions that this server knows; set once, before the first script is read.
static FUNCTIONS: OnceLock<Functions> = OnceLock::new();

#[derive(Debug, Default)]
pub struct Functions {
    udfs: Udfs,
    functions: BTreeMap<String, UdfFunction>,
    /// Nanoseconds.
    snapshot_interval: i64,
}

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum UdfError {
    #[error("udf.functions.{name}: {message}")]
    Section { name: String, message: &'static str },
    #[error("the user-defined function {name} {error}")]
    Describe { name: String, error: DescribeError },
}

/// Asks every function what it is. Blocks.
pub fn open(config: &Config) -> Result<(), UdfError> {
    let snapshot_interval = i64::try_from(config.task.snapshot_interval.0.as_nanos()).unwrap_or(i64::MAX);
    let mut known = BTreeMap::new();
    let mut functions = BTreeMap::new();
    for (name, section) in &config.udf.functions {
        let wrong = |message| UdfError::Section { name: name.clone(), message };
        let program = match (section.prog.as_str(), section.socket.as_str()) {
            ("", "") => return Err(wrong("must set either prog or socket")),
            (prog, "") => UdfProgram::Process {
                program: prog.to_owned(),
                arguments: section.args.clone(),
                environment: section.env.clone().into_iter().collect(),
            },
            ("", path) => UdfProgram::Socket { path: path.to_owned() },
            _ => return Err(wrong("must not set both prog and socket")),
        };
        let timeout = i64::try_from(section.timeout.0.as_nanos()).unwrap_or(i64::MAX);
        if timeout <= 1_000_000 {
            return Err(wrong("timeout must be greater than 1ms"));
        }
        let function = UdfFunction { program, timeout };
        let info = describe(&function).map_err(|error| UdfError::Describe { name: name.clone(), error })?;
        known.insert(name.clone(), Arc::new(checked(info)));
        functions.insert(name.clone(), function);
    }
    let _ = FUNCTIONS.set(Functions { udfs: Udfs::Known(known), functions, snapshot_interval });
    Ok(())
}

/// What scripts may call.
pub fn udfs() -> &'static Udfs {
    static NONE: OnceLock<Udfs> = OnceLock::new();
    FUNCTIONS.get().map_or_else(|| NONE.get_or_init(Udfs::default), |functions| &functions.udfs)
}

/// A function by its name, and how often it is asked for a snapshot, in nanoseconds.
pub fn function(name: &str) -> Option<(UdfFunction, i64)> {
    let functions = FUNCTIONS.get()?;
    Some((functions.functions.get(name)?.clone(), functions.snapshot_interval))
}

fn checked(info: Info) -> Udf {
    let edge = |batch| if batch { Edge::Batch } else { Edge::Stream };
    let kind = |number: &i64| match number {
        0 => Kind::Bool,
        1 => Kind::Int,
        2 => Kind::Float,
        4 => Kind::Duration,
        _ => Kind::String,
    };
    let option = |(name, types): (String, Vec<i64>)| (name, types.iter().map(kind).collect());
    Udf {
        wants: edge(info.wants_batch),
        provides: edge(info.provides_batch),
        options: Some(info.options.into_iter().map(option).collect()),
    }
}
