//! Nodes of a task as operators: one node, one file.
//!
//! An operator gets messages by reference and hands its own to the [`Outlet`], which runs the children at once, depth
//! first: a point passes through a whole graph without being queued or copied, and each edge is in order. What an
//! operator makes anew it keeps in scratch buffers of its own, so that the warm path allocates nothing.

pub mod alert;
pub mod autoscale;
pub mod barrier;
pub mod change_detect;
pub mod combine;
pub mod default;
pub mod delete;
pub mod derivative;
pub mod eval;
pub mod flatten;
pub mod from;
pub mod fused;
pub mod group_by;
mod grouping;
pub mod http_out;
pub mod http_post;
pub mod influxdb_out;
pub mod influxql;
pub mod join;
pub mod log;
pub mod loopback;
pub mod noop;
mod outlet;
mod parked;
pub mod query;
pub mod record;
mod rewrite;
pub mod sample;
pub mod shift;
pub mod sideload;
pub mod state;
pub mod stats;
pub mod stopwatch;
pub mod stream;
#[cfg(test)]
pub mod testing;
mod timers;
pub mod trickle;
pub mod udf;
pub mod union;
pub mod r#where;
pub mod window;

use std::rc::Rc;

use proto::plan::SideloadFile;
use serde::{Serialize, de::DeserializeOwned};

pub use influxdb_out::InfluxDbRequest;
pub use outlet::{Child, Context, ErrorLog, HttpPostRequest, Outlet, Outputs, Recorded, Slot, run_slot};
pub use timers::Timers;

use crate::{
    arrival::Arrivals,
    group::{Group, Groups},
    point::{Barrier, Batch, Point},
};

/// A node failed for good: its task stops with this text (reference: nodes-stream §2, "node failure").
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{node}: {message}")]
pub struct Fault {
    /// Name of the node; the outlet fills it in.
    pub node: String,
    pub message: String,
}

impl Fault {
    pub fn new(message: impl Into<String>) -> Self {
        Fault { node: String::new(), message: message.into() }
    }
}

/// A task cannot start: the text that the API answers with status 500.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StartError(pub String);

impl StartError {
    pub fn new(error: impl ToString) -> Self {
        StartError(error.to_string())
    }
}

/// What an operator does to all points of a series.
pub enum BySeries {
    /// Drops them without a trace.
    Drops,
    /// Hands them on in this group, otherwise as they are.
    Passes(Rc<Group>),
}

/// What a node does with messages. `port` is the place of the sending parent among the node's parents.
pub trait Operator {
    fn point(&mut self, port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault>;

    /// Points as they arrived, one after the other: as [`Operator::point`] for each.
    fn arrivals(&mut self, port: usize, arrivals: &Arrivals<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        for arrival in arrivals.iter() {
            out.context.order = arrival.order();
            if let Some(point) = arrival.point() {
                self.point(port, &point, out)?;
            }
        }
        Ok(())
    }

    /// Asks the memory for what is kept of groups, by their numbers: points of many groups are about to come.
    fn prefetch(&self, _groups: &mut dyn Iterator<Item = u32>) {}

    /// Whether most points that arrive are looked at beyond their group, time and fields.
    fn looks_at_points(&self) -> bool {
        true
    }

    fn batch(&mut self, port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault>;

    /// Most nodes forward a barrier at once.
    fn barrier(&mut self, _port: usize, barrier: &Barrier<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        out.barrier(barrier)
    }

    /// A group is gone: forget it and forward.
    fn delete_group(&mut self, _port: usize, group: &Rc<Group>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        out.delete_group(group)
    }

    /// The task begins; nothing has arrived yet.
    fn start(&mut self, _out: &mut Outlet<'_>) -> Result<(), Fault> {
        Ok(())
    }

    /// The time that was asked for by [`Outlet::wake_at`] has come. `due` is that time, nanoseconds since 1970.
    fn wake(&mut self, _due: i64, _out: &mut Outlet<'_>) -> Result<(), Fault> {
        Ok(())
    }

    /// The wall clock was set back by `by` nanoseconds: so is what was asked for by [`Outlet::wake_at`], and an operator that
    /// keeps times of its own sets them back, too.
    fn set_back(&mut self, _by: i64) {}

    /// The answer to the request with this ticket (an HTTP status, 0 for none): errors are counted, parked work goes on.
    fn resume(&mut self, _ticket: u64, _status: u16, _out: &mut Outlet<'_>) -> Result<(), Fault> {
        Ok(())
    }

    /// The answer to the question or order with this ticket of an autoscale node.
    fn scaled(&mut self, _ticket: u64, _scale: autoscale::Scale, _out: &mut Outlet<'_>) -> Result<(), Fault> {
        Ok(())
    }

    /// What became of the function that the node speaks with.
    fn udf(&mut self, _event: udf::UdfEvent, _out: &mut Outlet<'_>) -> Result<(), Fault> {
        Ok(())
    }

    /// The files of a sideload node, read anew.
    fn sideload(&mut self, _files: &[SideloadFile]) {}

    /// The task ends (stopped, or its replay is over): hand on what the reference says is flushed. Most hold it back.
    fn finish(&mut self, _out: &mut Outlet<'_>) -> Result<(), Fault> {
        Ok(())
    }

    /// Whether a finished operator still hears from its function: children are not finished before it has ended.
    fn awaits_end(&self) -> bool {
        false
    }

    /// What the operator does to every point of the series of `point`, by its name and tags alone; `None` if it looks at
    /// more than these, keeps state, or cannot tell.
    fn by_series(&mut self, _point: &Point<'_>, _groups: &mut Groups) -> Option<BySeries> {
        None
    }

    /// Numbers of series are void: forget what was remembered by them.
    fn forget_series(&mut self) {}

    /// Groups held (statistic `working_cardinality`).
    fn cardinality(&self) -> u64 {
        0
    }

    /// The same of each child, where this operator does their work.
    fn cardinality_of_children(&self) -> Option<u64> {
        None
    }

    /// Bytes of state, about.
    fn bytes(&self) -> usize {
        0
    }

    /// Further counters of this kind of node, by their statistic's name.
    fn counters(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }

    /// State as plain data; empty for nodes without any. Groups appear by their number.
    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        Ok(Vec::new())
    }

    /// Takes back what [`Operator::snapshot`] gave, on an operator that has seen nothing yet; `groups`
    /// are those of the snapshot.
    fn restore(&mut self, _state: &[u8], _groups: &Groups) -> Result<(), SnapshotError> {
        Ok(())
    }

    /// Rows that an httpOut node holds; `None` for all other nodes.
    fn http_out(&self) -> Option<HttpOutRows<'_>> {
        None
    }
}

/// What `GET …/tasks/ID/ENDPOINT` shows of one shard.
pub struct HttpOutRows<'a> {
    pub endpoint: &'a str,
    /// Place in the order of first appearance (see [`Context::order`]), and the row as JSON or why there is none.
    pub rows: Vec<(u64, Result<String, String>)>,
}

/// State that could not be written or read.
#[derive(Debug, thiserror::Error)]
#[error("state of a node: {0}")]
pub struct SnapshotError(#[from] postcard::Error);

/// Helper of stateful nodes: their state as bytes.
pub fn to_state<T: Serialize>(state: &T) -> Result<Vec<u8>, SnapshotError> {
    Ok(postcard::to_stdvec(state)?)
}

/// Helper of stateful nodes: the reverse of [`to_state`].
pub fn from_state<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, SnapshotError> {
    Ok(postcard::from_bytes(bytes)?)
}
