//! The query nodes of a task (reference: batch-and-replay §1, §2, §8, §9).

use proto::plan::Dbrp;

use super::{Schedule, cron::Cron};
use crate::{
    influxdb::{
        Client, Clusters, flux,
        result::{self, BatchTime, Manner},
    },
    influxql::{Dimension, Fill, Select, Window, parse_select},
    tick::{
        pipeline::{Pipeline, PipelineNode},
        value::ScriptValue,
    },
};

/// A query node.
#[derive(Clone, Debug)]
pub struct Query {
    /// `query1`
    pub name: String,
    pub schedule: Schedule,
    /// Nanoseconds, as `offset`.
    pub period: i64,
    pub offset: i64,
    pub cluster: String,
    language: Language,
}

#[derive(Clone, Debug)]
enum Language {
    InfluxQl { select: Box<Select>, dimensions: Vec<Dimension>, fill: Option<Fill>, align_group: bool, by_name: bool },
    Flux { script: String, org: String, org_id: String },
}

/// What an answer held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// A line a batch, as in recordings.
    pub lines: Vec<u8>,
    pub batches: u64,
}

impl Query {
    /// The window that a tick asks for.
    pub fn window(&self, tick: i64) -> Window {
        let stop = tick.saturating_sub(self.offset);
        Window { start: stop.saturating_sub(self.period), stop }
    }

    /// Refuses sources outside of a task's databases (reference: batch-and-replay §8).
    fn check_sources(&self, dbrps: &[Dbrp]) -> Result<(), String> {
        let Language::InfluxQl { select, .. } = &self.language else { return Ok(()) };
        for source in &select.sources {
            if !dbrps.iter().any(|dbrp| dbrp.db == source.database && dbrp.rp == source.retention_policy) {
                let (database, policy) = (&source.database, &source.retention_policy);
                return Err(format!("batch query is not allowed to request data from \"{database}\".\"{policy}\""));
            }
        }
        Ok(())
    }

    /// The client of the query's cluster.
    pub fn client(&self, clusters: &Clusters) -> Result<Client, String> {
        clusters.get(&self.cluster).map_err(|error| error.to_string())
    }

    /// Asks for the window of a tick. Time buckets are aligned with the window only in live queries.
    pub async fn ask(&self, clusters: &Clusters, tick: i64, live: bool, now: i64) -> Result<Asked, String> {
        let client = self.client(clusters)?;
        let window = self.window(tick);
        match &self.language {
            Language::InfluxQl { select, dimensions, fill, align_group, by_name } => {
                let text = select.text(window, dimensions, fill.as_ref(), *align_group && live);
                let body = client.query(&text).await.map_err(|error| error.to_string())?;
                let by_time = dimensions.iter().any(|dimension| matches!(dimension, Dimension::Time { .. }));
                let time = if by_time { BatchTime::Last(window.stop) } else { BatchTime::Stop(window.stop) };
                let manner = Manner { by_name: *by_name, time };
                read(move |lines| result::batches(&body, manner, lines).map_err(|error| error.to_string())).await
            }
            Language::Flux { script, org, org_id } => {
                let now = if live { window.stop } else { now };
                let (path, body) = flux::request(script, org, org_id, now);
                let body = client.flux(&path, body).await.map_err(|error| error.to_string())?;
                read(move |lines| flux::batches(&body, tick, lines).map_err(|error| error.to_string())).await
            }
        }
    }
}

/// Reads an answer where a large one holds up nobody.
async fn read(work: impl FnOnce(&mut Vec<u8>) -> Result<u64, String> + Send + 'static) -> Result<Asked, String> {
    let work = move || {
        let mut lines = Vec::new();
        let batches = work(&mut lines)?;
        Ok(Asked { lines, batches })
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())?
}

/// The query nodes of a batch task in order of creation, or why the task cannot start.
pub fn queries(pipeline: &Pipeline) -> Result<Vec<Query>, String> {
    let nodes = pipeline.nodes.iter().filter(|node| matches!(node.spec.method, "query" | "queryFlux"));
    nodes.map(query).collect()
}

/// The same of a task that asks for data of these databases only. Who replays what is recorded asks for none.
pub fn allowed_queries(pipeline: &Pipeline, dbrps: &[Dbrp]) -> Result<Vec<Query>, String> {
    let queries = queries(pipeline)?;
    queries.iter().try_for_each(|query| query.check_sources(dbrps))?;
    Ok(queries)
}

fn query(node: &PipelineNode) -> Result<Query, String> {
    let every = node.duration("every").unwrap_or_default();
    let cron = node.string("cron").filter(|cron| !cron.is_empty());
    let schedule = match (every, cron) {
        (0, None) => return Err("must define one of 'every' or 'cron'".to_owned()),
        (0, Some(cron)) => Schedule::Cron(Box::new(Cron::parse(cron).map_err(|error| error.to_string())?)),
        (_, Some(_)) => return Err("must not set both 'every' and 'cron' properties".to_owned()),
        (..0, None) => return Err("'every' duration must be non-negative".to_owned()),
        (every, None) => Schedule::Every { every, align: node.is_set("align") },
    };
    let text = |name| node.string(name).unwrap_or_default().to_owned();
    let language = match node.spec.method {
        "queryFlux" => Language::Flux { script: node.argument(0).to_owned(), org: text("org"), org_id: text("orgID") },
        _ => influxql(node)?,
    };
    Ok(Query {
        name: node.name.clone(),
        schedule,
        period: node.duration("period").unwrap_or_default(),
        offset: node.duration("offset").unwrap_or_default(),
        cluster: text("cluster"),
        language,
    })
}

fn influxql(node: &PipelineNode) -> Result<Language, String> {
    let select = parse_select(node.argument(0)).map_err(|error| error.to_string())?;
    let mut dimensions = Vec::new();
    collect(node.setting("groupBy").unwrap_or_default(), &mut dimensions)?;
    if dimensions.iter().filter(|dimension| matches!(dimension, Dimension::Time { .. })).count() > 1 {
        return Err("groupBy cannot have more than one time dimension".to_owned());
    }
    let fill = match node.setting("fill").and_then(<[_]>::first) {
        Some(ScriptValue::Int(x)) => Some(Fill::Int(*x)),
        Some(ScriptValue::Float(x)) => Some(Fill::Float(*x)),
        Some(ScriptValue::String(word)) => Some(match word.as_str() {
            "null" => Fill::Null,
            "none" => Fill::None,
            "previous" => Fill::Previous,
            "linear" => Fill::Linear,
            other => return Err(format!("unexpected fill option {other}")),
        }),
        _ => None,
    };
    Ok(Language::InfluxQl {
        select: Box::new(select),
        dimensions,
        fill,
        align_group: node.is_set("alignGroup"),
        by_name: node.is_set("groupByMeasurement"),
    })
}

/// Lists inside are flattened.
fn collect(arguments: &[ScriptValue], dimensions: &mut Vec<Dimension>) -> Result<(), String> {
    for argument in arguments {
        match argument {
            ScriptValue::String(tag) => dimensions.push(Dimension::Tag(tag.clone())),
            ScriptValue::Star => dimensions.push(Dimension::All),
            ScriptValue::Duration(length) => dimensions.push(Dimension::Time { length: *length, offset: 0 }),
            ScriptValue::Time { length, offset } => {
                dimensions.push(Dimension::Time { length: *length, offset: *offset });
            }
            ScriptValue::List(items) => collect(items, dimensions)?,
            other => {
                // Named as in Go, which is what the original shows.
                let found = match other {
                    ScriptValue::Int(_) => "int64",
                    ScriptValue::Float(_) => "float64",
                    ScriptValue::Regex(_) => "*regexp.Regexp",
                    ScriptValue::Lambda(_) => "*ast.LambdaNode",
                    other => other.type_name(),
                };
                return Err(format!("invalid dimension type:{found}, must be string or time.Duration"));
            }
        }
    }
    Ok(())
}
