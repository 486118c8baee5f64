//! What operator tests share: outputs that record.

use std::{cell::RefCell, rc::Rc};

use proto::{
    Plan,
    message::AlertEvent,
    plan::{self, EdgeType, LogLevel, Node, NodeKind},
};

use super::{
    HttpPostRequest, InfluxDbRequest, Outputs,
    autoscale::{Asked, AutoscaleRequest},
    udf::UdfRequest,
};
use crate::{
    dag::{build::build, task::Task},
    name::Name,
    point::{Point, SeriesNumber},
    tags::TagSet,
    value::{Field, Value},
};

pub const SECOND: i64 = 1_000_000_000;

pub fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// A task of any graph, with its effects.
pub struct Bench {
    pub task: Task,
    pub recorded: Recorded,
}

/// A node by its parents and kind; [`Bench::new`] names it by its index.
pub type Row = (Vec<usize>, EdgeType, NodeKind);

/// `from` of a measurement (empty: any), grouped by tags.
pub fn from(measurement: &str, tags: &[&str]) -> NodeKind {
    let tags = plan::DimensionTags::Named(tags.iter().map(|tag| (*tag).to_owned()).collect());
    let dimensions = plan::Dimensions { by_measurement: false, tags };
    NodeKind::From(plan::From { measurement: measurement.to_owned(), dimensions, ..Default::default() })
}

/// A node that records what it gets.
pub fn log() -> NodeKind {
    NodeKind::Log { level: LogLevel::Info, prefix: String::new() }
}

impl Bench {
    /// `nodes` stand behind the source, which has index 0.
    pub fn new(nodes: Vec<Row>) -> Bench {
        Bench::with(nodes, false)
    }

    /// As [`Bench::new`]; `quiet` nodes keep their errors to themselves.
    pub fn with(nodes: Vec<Row>, quiet: bool) -> Bench {
        let source = (vec![], EdgeType::Stream, NodeKind::Stream);
        let node = |(index, (parents, provides, kind)): (usize, Row)| Node {
            name: format!("n{index}"),
            parents,
            provides,
            quiet,
            kind,
        };
        let plan = Plan {
            version: plan::PLAN_VERSION,
            task: "t".into(),
            edge: EdgeType::Stream,
            dbrps: vec![],
            nodes: std::iter::once(source).chain(nodes).enumerate().map(node).collect(),
            levels: vec![],
        };
        let recorded = Recorded::default();
        let mut task = build(&plan, Box::new(recorded.clone()), &Default::default()).unwrap();
        task.start(0).unwrap();
        Bench { task, recorded }
    }

    /// A point with one field `v`; `tags` as `host=x,dc=y`, times in seconds.
    pub fn point(&mut self, measurement: &str, tags: &str, time: i64, v: Value, now: i64) -> &mut Self {
        let tags = tags.split(',').filter_map(|tag| tag.split_once('='));
        let tags = Rc::new(TagSet::new(tags.map(|(key, value)| (name(key), value.into())).collect()));
        let fields = [Field { name: name("v"), value: v }];
        let group = self.task.nil_group().clone();
        let point = Point {
            name: name(measurement),
            database: name("db"),
            retention_policy: name("rp"),
            group: &group,
            tags: &tags,
            fields: (&fields).into(),
            time: time * SECOND,
            series: SeriesNumber::NONE,
        };
        self.task.advance(now * SECOND).unwrap();
        self.task.point(&point, 0, now * SECOND).unwrap();
        self
    }

    /// Time has come to `now`, in seconds.
    pub fn advance(&mut self, now: i64) -> &mut Self {
        self.task.advance(now * SECOND).unwrap();
        self
    }

    /// Bytes of state of a node, by its index.
    pub fn bytes_of(&self, node: usize) -> usize {
        self.task.bytes_of(node)
    }

    pub fn finish(&mut self) -> &mut Self {
        self.task.finish(0).unwrap();
        self
    }

    /// What log nodes got: second of the minute, group and fields of each point.
    pub fn out(&self) -> Vec<String> {
        let line = |line: String| {
            let part = |key: &str| line.split_once(key).map_or("", |(_, rest)| rest.split(' ').next().unwrap());
            let mut fields: Vec<&str> = line.split(' ').filter(|word| word.starts_with("field_")).collect();
            fields.sort_unstable();
            let fields: Vec<&str> = fields.iter().map(|field| &field["field_".len()..]).collect();
            let time = part("time=").trim_end_matches('Z').rsplit(':').next().unwrap().trim_start_matches('0');
            format!("{} {} {}", time, part("group=").replace('"', ""), fields.join(" "))
        };
        self.recorded.points().into_iter().map(line).collect()
    }
}

/// Keeps all effects of a task; clones share what they keep.
#[derive(Clone, Default)]
pub struct Recorded(Rc<RefCell<Effects>>);

#[derive(Default)]
struct Effects {
    lines: Vec<(LogLevel, String)>,
    alerts: Vec<AlertEvent>,
    posts: Vec<HttpPostRequest>,
    writes: Vec<InfluxDbRequest>,
    udf: Vec<UdfRequest>,
    scales: Vec<AutoscaleRequest>,
    loopbacks: Vec<String>,
}

impl Recorded {
    /// Lines that log nodes wrote, one a point.
    pub fn points(&self) -> Vec<String> {
        let effects = self.0.borrow();
        effects.lines.iter().filter(|(level, _)| *level == LogLevel::Info).map(|(_, line)| line.clone()).collect()
    }

    /// Lines that tell of errors.
    pub fn errors(&self) -> Vec<String> {
        let effects = self.0.borrow();
        effects.lines.iter().filter(|(level, _)| *level == LogLevel::Error).map(|(_, line)| line.clone()).collect()
    }

    pub fn alerts(&self) -> Vec<AlertEvent> {
        self.0.borrow().alerts.clone()
    }

    pub fn writes(&self) -> Vec<InfluxDbRequest> {
        self.0.borrow().writes.clone()
    }

    pub fn udf(&self) -> Vec<UdfRequest> {
        self.0.borrow().udf.clone()
    }

    pub fn scales(&self) -> Vec<AutoscaleRequest> {
        self.0.borrow().scales.clone()
    }

    pub fn loopbacks(&self) -> Vec<String> {
        self.0.borrow().loopbacks.clone()
    }

    pub fn posts(&self) -> Vec<HttpPostRequest> {
        self.0.borrow().posts.clone()
    }
}

impl Outputs for Recorded {
    fn alert(&mut self, event: AlertEvent) {
        self.0.borrow_mut().alerts.push(event);
    }

    fn http_post(&mut self, request: HttpPostRequest) -> bool {
        self.0.borrow_mut().posts.push(request);
        true
    }

    fn influxdb(&mut self, request: InfluxDbRequest) -> bool {
        self.0.borrow_mut().writes.push(request);
        true
    }

    fn autoscale(&mut self, request: AutoscaleRequest) -> Asked {
        self.0.borrow_mut().scales.push(request);
        Asked::Waits
    }

    fn udf(&mut self, request: UdfRequest) -> bool {
        self.0.borrow_mut().udf.push(request);
        true
    }

    fn loopback(&mut self, database: &Rc<str>, retention_policy: &Rc<str>, line: &str) -> bool {
        self.0.borrow_mut().loopbacks.push(format!("{database}.{retention_policy} {line}"));
        true
    }

    fn record(&mut self, _recorded: super::Recorded) -> bool {
        true
    }

    fn log(&mut self, level: LogLevel, _task: &str, node: &str, message: &str, pairs: &str) {
        let mut line = node.to_owned();
        crate::logging::pair("msg", message, &mut line);
        self.0.borrow_mut().lines.push((level, line + pairs));
    }
}
