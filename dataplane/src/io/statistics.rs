//! Counters, gathered from the shards and from the lanes of batch tasks while the I/O thread goes on with other things.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use hashbrown::HashMap;
use proto::message::{IngressStatistics, NodeStatistics, Statistics, TaskStatistics};

use super::shards::Shards;
use crate::{group::Account, lane::Lane, routing::Instance, shard::command::Command};

/// How long a look at a lane that is busy may take.
const LANE_LIMIT: Duration = Duration::from_millis(200);

/// What falls, too; everything else is counted since the start. Names as in [`Statistics::counters`], those of shards without
/// the word in front.
pub const LEVELS: [&str; 7] = [
    "client_connections",
    "connections_bytes_held",
    "connections_open",
    "on_epoll",
    "on_io_uring",
    "series_cache_bytes",
    "series_cached",
];

/// A task that is counted.
pub struct Counted {
    pub name: String,
    pub fingerprint: u64,
    pub instance: Instance,
    pub account: Arc<Account>,
    pub lane: Option<Lane>,
    /// Last counters of the lane, for when it is busy.
    pub last: Rc<RefCell<(f64, Vec<NodeStatistics>)>>,
}

/// Of these tasks and, unless `alone`, of everything else; `counters` are those of the I/O thread. With `alone` there is one
/// task at most.
pub async fn gather(shards: Shards, tasks: Vec<Counted>, alone: bool, mut counters: Vec<(String, u64)>) -> Statistics {
    let of = tasks.first().map(|task| task.instance).filter(|_| alone);
    let mut nodes: HashMap<Instance, (f64, Vec<NodeStatistics>)> = HashMap::new();
    let mut ingress: HashMap<(String, String, String), u64> = HashMap::new();
    let mut per_shard: Vec<Vec<(String, u64)>> = Vec::new();
    let mut writes = Vec::new();
    let mut summed: Vec<(String, u64)> = Vec::new();
    for shard in shards.ask(|reply| Command::Statistics { of, reply }).await {
        for IngressStatistics { database, retention_policy, measurement, points } in shard.ingress {
            *ingress.entry((database, retention_policy, measurement)).or_default() += points;
        }
        for (instance, throughput, statistics) in shard.tasks {
            let (sum, total) = nodes.entry(instance).or_default();
            *sum += throughput;
            add_nodes(total, statistics);
        }
        let shown: Vec<_> = shard.counters.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
        add_counters(&mut summed, &shown);
        per_shard.push(shown);
        writes.push(shard.writes);
    }
    summed.append(&mut counters);
    let mut counted = Vec::with_capacity(tasks.len());
    for Counted { name: task, fingerprint, instance, account, lane, last } in tasks {
        if let Some(lane) = lane {
            if let Ok(statistics) = tokio::time::timeout(LANE_LIMIT, lane.statistics()).await {
                last.replace(statistics);
            }
            nodes.insert(instance, last.borrow().clone());
        }
        let (throughput, nodes) = nodes.remove(&instance).unwrap_or_default();
        let (groups, bytes, groups_refused) = (account.groups(), account.bytes(), account.refused());
        counted.push(TaskStatistics { task, fingerprint, throughput, groups, bytes, groups_refused, nodes });
    }
    let ingress = ingress.into_iter().map(|((database, retention_policy, measurement), points)| IngressStatistics {
        database,
        retention_policy,
        measurement,
        points,
    });
    let (ingress, shards) = (ingress.collect(), shards.len() as u32);
    Statistics { ingress, tasks: counted, counters: summed, per_shard, shards, writes, limits: Vec::new() }
}

fn add_nodes(total: &mut Vec<NodeStatistics>, part: Vec<NodeStatistics>) {
    if total.is_empty() {
        *total = part;
        return;
    }
    for (sum, node) in total.iter_mut().zip(part) {
        sum.collected += node.collected;
        sum.emitted += node.emitted;
        sum.errors += node.errors;
        sum.working_cardinality += node.working_cardinality;
        sum.avg_exec_time_ns = sum.avg_exec_time_ns.max(node.avg_exec_time_ns);
        for ((_, count), (_, more)) in sum.extra.iter_mut().zip(node.extra) {
            *count += more;
        }
        for ((_, count), (_, more)) in sum.children.iter_mut().zip(node.children) {
            *count += more;
        }
    }
}

fn add_counters(total: &mut Vec<(String, u64)>, part: &[(String, u64)]) {
    for (name, count) in part {
        match total.iter_mut().find(|(known, _)| known == name) {
            Some((_, sum)) => *sum += count,
            None => total.push((name.clone(), *count)),
        }
    }
}
