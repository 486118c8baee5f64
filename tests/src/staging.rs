//! Bodies to rows without a server: the receiving half of a shard, with tasks that want fields and whole points.

use std::{fmt::Write, sync::Arc};

use dataplane::{
    line::{FastReader, Lines, Precision},
    routing::{Routing, TaskRoute},
    shard::receiver::{Committed, Receiver},
};
use proto::plan::{self, Dbrp, EdgeType, InfluxQl, InfluxQlFunction, Node, NodeKind, Plan, Window};

/// Database and retention policy of bodies and tasks.
const DATABASE: &str = "db";
const RETENTION_POLICY: &str = "rp";

/// Room for series of a [`receiver`].
const SERIES_BYTES_MAX: usize = 256 << 20;

/// A task on a measurement (on all of them, if empty): the means of fields, or whole points into an httpOut.
pub fn task(instance: u64, measurement: &str, means_of: &[&str]) -> Arc<TaskRoute> {
    let from = plan::From { measurement: measurement.into(), ..plan::From::default() };
    let mut nodes = vec![(vec![], NodeKind::Stream), (vec![0], NodeKind::From(from))];
    for field in means_of {
        let window = Window::Time { period: 1, every: 1, align: false, fill_period: false };
        nodes.push((vec![1], NodeKind::Window(window)));
        let (function, field) = (InfluxQlFunction::Mean, (*field).to_owned());
        let mean = InfluxQl { function, field, r#as: "mean".into(), use_point_times: false };
        nodes.push((vec![nodes.len() - 1], NodeKind::InfluxQl(mean)));
    }
    if means_of.is_empty() {
        nodes.push((vec![1], NodeKind::HttpOut { endpoint: "points".into() }));
    }
    let node = |(index, (parents, kind))| Node {
        name: format!("node{index}"),
        parents,
        provides: EdgeType::Stream,
        quiet: false,
        kind,
    };
    let plan = Plan {
        version: plan::PLAN_VERSION,
        task: format!("task{instance}"),
        edge: EdgeType::Stream,
        dbrps: vec![Dbrp { db: DATABASE.into(), rp: RETENTION_POLICY.into() }],
        nodes: nodes.into_iter().enumerate().map(node).collect(),
        levels: vec![],
    };
    Arc::new(TaskRoute::new(instance, &plan, 1))
}

/// A receiver of one shard with these tasks.
pub fn receiver_of(reader: FastReader, tasks: Vec<Arc<TaskRoute>>) -> Receiver {
    let mut receiver = Receiver::with_reader(1, SERIES_BYTES_MAX, reader);
    receiver.route(Arc::new(Routing::new(1, 1, tasks)));
    receiver
}

/// A receiver whose tasks want the fields `v`, `usage_idle` and `é` of `cpu`, whole points of `mem`, and nothing else.
pub fn receiver(reader: FastReader) -> Receiver {
    receiver_of(reader, vec![task(1, "cpu", &["v", "usage_idle", "é"]), task(2, "mem", &[])])
}

/// Stages and commits a body in slices of `lines`; the answer if it is refused.
pub fn stage(receiver: &mut Receiver, body: &[u8], lines: usize) -> Result<Committed, Vec<u8>> {
    let mut staging = receiver.stage(DATABASE, RETENTION_POLICY, Precision::NANOSECOND, 42);
    let mut rest = Lines::new(body);
    while receiver.stage_lines(&mut staging, &mut rest, lines) {}
    if !staging.errors.is_empty() {
        return Err(staging.errors.into_text());
    }
    Ok(receiver.commit(staging, 0))
}

/// Definitions and rows of a body as text, or the answer that refuses it.
pub fn staged(receiver: &mut Receiver, body: &[u8]) -> Result<String, Vec<u8>> {
    let committed = stage(receiver, body, 5)?;
    let mut text = String::new();
    for (owner, block) in &committed.blocks {
        for definition in &block.definitions {
            let _ = writeln!(text, "{owner} {} is {} {:?}", definition.series, definition.measurement, definition.tags);
        }
        let shown: Result<(), std::fmt::Error> = block.visit(0..block.len(), |row, columns, cells| {
            write!(text, "{owner} {} @{}", row.series, row.time)?;
            columns.iter().zip(cells.iter()).try_for_each(|(name, cell)| write!(text, " {name}={cell:?}"))?;
            // The fast path leaves out the blank in front.
            writeln!(text, " {:?}", cells.line().map(<[u8]>::trim_ascii_start))
        });
        assert!(shown.is_ok());
    }
    Ok(text)
}
