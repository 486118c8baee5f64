//! Which shards own the points of a series, and what they want of them.
//!
//! A [`Routing`] is the plan epoch: an immutable table that all receivers share. It is consulted once per series and
//! epoch, never per point. Receivers and owners ask the same [`TaskRoute`], so they always agree.

use std::{
    collections::BTreeSet,
    hash::{BuildHasher, Hash, Hasher},
    sync::Arc,
};

use hashbrown::HashMap;
use proto::plan::{NodeKind, Plan};

use crate::{
    dag::{
        demand::{Demand, demands},
        placement::{KeyTags, PartitionKey, Placement, placement},
    },
    name::{Name, TooManyNames},
};

/// Most shards of a process: owners of a series are a set of 64 bits.
pub const SHARDS_MAX: usize = 64;

/// Number of one start of a task, never used again.
pub type Instance = u64;

/// What a task takes from the stream of points.
#[derive(Debug)]
pub struct TaskRoute {
    pub instance: Instance,
    dbrps: Vec<(Box<str>, Box<str>)>,
    sources: Vec<Source>,
    placement: Placement,
    /// The shard of a task that runs whole.
    home: usize,
}

/// One `from` below the stream; `None` matches anything.
#[derive(Debug)]
struct Source {
    database: Option<Box<str>>,
    retention_policy: Option<Box<str>>,
    measurement: Option<Box<str>>,
    demand: Demand,
}

impl TaskRoute {
    pub fn new(instance: Instance, plan: &Plan, shards: usize) -> TaskRoute {
        let some = |text: &str| (!text.is_empty()).then(|| Box::from(text));
        let demands = demands(plan);
        let sources = plan.nodes.iter().zip(demands).filter_map(|(node, demand)| match &node.kind {
            // A nested `from` only narrows what the one above it takes.
            NodeKind::From(from) if node.parents == [0] => Some(Source {
                database: some(&from.database),
                retention_policy: some(&from.retention_policy),
                measurement: some(&from.measurement),
                demand,
            }),
            _ => None,
        });
        TaskRoute {
            instance,
            dbrps: plan.dbrps.iter().map(|dbrp| (dbrp.db.as_str().into(), dbrp.rp.as_str().into())).collect(),
            sources: sources.collect(),
            placement: placement(plan),
            home: (fixed_hash(&plan.task) % shards.max(1) as u64) as usize,
        }
    }

    /// What the task wants of a series; `None` if it is not routed to the task.
    pub fn demand(&self, database: &str, retention_policy: &str, measurement: &str) -> Option<Demand> {
        let sources = self.sources(database, retention_policy, measurement);
        sources.map(|source| source.demand.clone()).reduce(Demand::union)
    }

    /// Whether a series is routed to the task.
    pub fn wants(&self, database: &str, retention_policy: &str, measurement: &str) -> bool {
        self.sources(database, retention_policy, measurement).next().is_some()
    }

    fn sources(&self, database: &str, retention_policy: &str, measurement: &str) -> impl Iterator<Item = &Source> {
        let routed = self.dbrps.iter().any(|(db, rp)| **db == *database && **rp == *retention_policy);
        let takes = |wanted: &Option<Box<str>>, found: &str| wanted.as_ref().is_none_or(|wanted| **wanted == *found);
        let sources = if routed { self.sources.as_slice() } else { &[] };
        sources.iter().filter(move |source| {
            takes(&source.database, database)
                && takes(&source.retention_policy, retention_policy)
                && takes(&source.measurement, measurement)
        })
    }

    /// Whether a shard may get points of the task.
    pub fn runs_on(&self, shard: usize) -> bool {
        self.placement != Placement::Whole || self.home == shard
    }

    /// The shard that runs the task for a series with these tags, sorted by key.
    pub fn owner<T: AsRef<str>>(&self, measurement: &str, tags: &[(T, T)], shards: usize) -> usize {
        match &self.placement {
            Placement::Whole => self.home,
            Placement::Partition(key) => (key_hash(key, measurement, tags) % shards.max(1) as u64) as usize,
        }
    }
}

fn key_hash<T: AsRef<str>>(key: &PartitionKey, measurement: &str, tags: &[(T, T)]) -> u64 {
    let mut hasher = fixed_state().build_hasher();
    if key.measurement {
        measurement.hash(&mut hasher);
    }
    match &key.tags {
        KeyTags::Named(names) => {
            for name in names {
                let value = tags.iter().find(|(tag, _)| tag.as_ref() == name).map_or("", |(_, value)| value.as_ref());
                value.hash(&mut hasher);
            }
        }
        KeyTags::AllBut(excluded) => {
            for (tag, value) in tags.iter().filter(|(tag, _)| !excluded.iter().any(|name| name == tag.as_ref())) {
                (tag.as_ref(), value.as_ref()).hash(&mut hasher);
            }
        }
    }
    hasher.finish()
}

/// The same on every shard and in every run, so that a task lands where it did before.
fn fixed_state() -> ahash::RandomState {
    ahash::RandomState::with_seeds(0x6661_7261_6400, 1, 2, 3)
}

fn fixed_hash(text: &str) -> u64 {
    fixed_state().hash_one(text)
}

/// All running tasks, as receivers see them.
#[derive(Debug, Default)]
pub struct Routing {
    /// Rises with every change.
    pub epoch: u64,
    pub shards: usize,
    pub tasks: Vec<Arc<TaskRoute>>,
    /// Indices into `tasks`.
    by_database: HashMap<(Box<str>, Box<str>), Vec<usize>>,
}

/// Where a series goes and what of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Bit n: shard n owns it for some task.
    pub owners: u64,
    /// Fields to read of every line, sorted.
    pub fields: BTreeSet<Name>,
    /// The field section of the line goes with them, for whoever asks for more.
    pub whole: bool,
}

impl Routing {
    pub fn new(epoch: u64, shards: usize, tasks: Vec<Arc<TaskRoute>>) -> Routing {
        let mut by_database: HashMap<_, Vec<usize>> = HashMap::new();
        for (index, task) in tasks.iter().enumerate() {
            for dbrp in &task.dbrps {
                let listed = by_database.entry(dbrp.clone()).or_default();
                if listed.last() != Some(&index) {
                    listed.push(index);
                }
            }
        }
        Routing { epoch, shards, tasks, by_database }
    }

    /// The route of a series; `None` if no task wants it. `tags` are sorted by key.
    pub fn resolve<T: AsRef<str>>(
        &self,
        database: &str,
        retention_policy: &str,
        measurement: &str,
        tags: &[(T, T)],
    ) -> Result<Option<Route>, TooManyNames> {
        let mut owners = 0;
        let mut wanted = Demand::nothing();
        // The key is a pair of boxes, so a look-up by reference goes through an owned pair; this runs once per series.
        let listed = self.by_database.get(&(Box::from(database), Box::from(retention_policy)));
        for task in listed.into_iter().flatten().filter_map(|&index| self.tasks.get(index)) {
            if let Some(demand) = task.demand(database, retention_policy, measurement) {
                owners |= 1 << task.owner(measurement, tags, self.shards);
                wanted = wanted.union(demand);
            }
        }
        if owners == 0 {
            return Ok(None);
        }
        let fields = wanted.fields.iter().map(|field| Name::new(field)).collect::<Result<_, _>>()?;
        Ok(Some(Route { owners, fields, whole: wanted.whole }))
    }
}

#[cfg(test)]
mod tests {
    use proto::plan::{self, Dbrp, DimensionTags, Dimensions, EdgeType, Node};

    use super::*;

    fn task(instance: Instance, measurement: &str, grouped: &[&str]) -> Arc<TaskRoute> {
        let dimensions = Dimensions {
            by_measurement: false,
            tags: DimensionTags::Named(grouped.iter().map(|tag| (*tag).to_owned()).collect()),
        };
        let from = plan::From { measurement: measurement.into(), dimensions, ..plan::From::default() };
        let node = |name: &str, parents, kind| Node {
            name: name.into(),
            parents,
            provides: EdgeType::Stream,
            quiet: false,
            kind,
        };
        let plan = Plan {
            version: plan::PLAN_VERSION,
            task: format!("t{instance}"),
            edge: EdgeType::Stream,
            dbrps: vec![Dbrp { db: "telegraf".into(), rp: "autogen".into() }],
            nodes: vec![
                node("stream0", vec![], NodeKind::Stream),
                node("from1", vec![0], NodeKind::From(from)),
                node("http_out2", vec![1], NodeKind::HttpOut { endpoint: "o".into() }),
            ],
            levels: vec![],
        };
        Arc::new(TaskRoute::new(instance, &plan, 4))
    }

    #[test]
    fn only_tasks_of_the_database_and_measurement_own_a_series() {
        let routing = Routing::new(1, 4, vec![task(1, "cpu", &[]), task(2, "", &["host"])]);
        let tags = [("host", "a")];
        let of = |db, measurement| routing.resolve(db, "autogen", measurement, &tags).unwrap();
        assert_eq!(of("other", "cpu"), None);
        let mem = of("telegraf", "mem").unwrap();
        assert_eq!((mem.owners.count_ones(), mem.whole), (1, true));
        assert!(of("telegraf", "cpu").unwrap().owners.count_ones() <= 2);
    }

    #[test]
    fn a_partitioned_task_spreads_its_groups_and_keeps_each_on_one_shard() {
        let route = task(1, "cpu", &["host"]);
        let owner = |host: &str, core: &str| route.owner("cpu", &[("core", core), ("host", host)], 4);
        assert_eq!(owner("a", "1"), owner("a", "2"));
        let spread: BTreeSet<_> = (0..64).map(|n| owner(&format!("h{n}"), "1")).collect();
        assert_eq!(spread.len(), 4);
    }
}
