//! A shard as receiver: bodies become blocks, one per owner.
//!
//! One bad line refuses a whole body, so a body is staged ([`super::staging`]) and committed at its end. Series that it
//! sees for the first time stay with it and enter the cache at its commit: a refused body leaves nothing behind.

use std::sync::Arc;

use super::{
    routes::Routes,
    staging::{NEW, Staging},
};
use crate::{
    block::{Block, Definition},
    line::{FastReader, SeriesKey},
    name::{Name, TooManyNames},
    routing::{self, Instance, Routing},
    series::{BodyIngress, Cache, IngressTable, NONE, Space},
};

/// Counters of a receiver.
#[derive(Debug, Default)]
pub struct Counters {
    pub bodies: u64,
    pub points: u64,
    pub bytes: u64,
    pub bodies_refused: u64,
    /// Series that no task sees because there was no room for their names.
    pub names_refused: u64,
}

pub struct Receiver {
    pub(super) shards: usize,
    pub(super) routing: Arc<Routing>,
    pub(super) routes: Routes,
    pub cache: Cache,
    pub ingress: IngressTable,
    pub counters: Counters,
    pub(super) reader: FastReader,
    /// Scratch for a string that cannot be lent.
    pub(super) text: String,
    /// Of bodies that are committed, to be used again.
    pub(super) spare_ingress: Vec<BodyIngress>,
    /// Blocks that were run, to be used again.
    pub(super) spare_blocks: Vec<Block>,
}

/// Blocks that a receiver keeps for the next bodies.
const SPARE_BLOCKS: usize = 8;

/// A larger block is not kept.
const SPARE_BLOCK_BYTES: usize = 4 << 20;

/// The blocks of a good body, by owner; series numbers of the cache are void if `forgot`.
pub struct Committed {
    pub blocks: Vec<(usize, Block)>,
    /// The cache started over while the body was staged: nothing was taken, stage it again.
    pub restage: bool,
    /// The cache starts over with this body: tell the owners first.
    pub forgot: bool,
}

impl Receiver {
    pub fn new(shards: usize, series_bytes_max: usize) -> Self {
        Receiver::with_reader(shards, series_bytes_max, FastReader::default())
    }

    /// One that reads plain lines by `reader`.
    pub fn with_reader(shards: usize, series_bytes_max: usize, reader: FastReader) -> Self {
        Receiver {
            shards,
            routing: Arc::new(Routing::new(0, shards, Vec::new())),
            routes: Routes::default(),
            cache: Cache::new(series_bytes_max),
            ingress: IngressTable::default(),
            counters: Counters::default(),
            reader,
            text: String::new(),
            spare_ingress: Vec::new(),
            spare_blocks: Vec::new(),
        }
    }

    /// Routes bodies by a new table from now on; returns the tasks that are not in it any more.
    pub fn route(&mut self, routing: Arc<Routing>) -> Vec<Instance> {
        let stays = |instance| routing.tasks.iter().any(|task| task.instance == instance);
        let ended = self.routing.tasks.iter().map(|task| task.instance).filter(|instance| !stays(*instance)).collect();
        // Bodies that began under the present epoch still ask for its routes.
        self.routes.retain_from(self.routing.epoch);
        self.routing = routing;
        ended
    }

    /// Works out who owns a series under an epoch, and which of its fields they want. Returns the route's number.
    pub(super) fn resolve(&mut self, routing: &Routing, space: Space, key: &SeriesKey<'_>) -> u32 {
        let (database, retention_policy) = self.cache.space_names(space);
        let route = resolve(routing, database, retention_policy, key).unwrap_or_else(|TooManyNames| {
            self.counters.names_refused += 1;
            None
        });
        self.routes.number(routing.epoch, route)
    }

    /// Brings the route of a cached series to the body's epoch.
    #[cold]
    pub(super) fn resolve_again(&mut self, staging: &Staging, number: u32) {
        // What is in the cache was parsed before.
        let key = self.cache.table().key(number).to_owned();
        let Ok(key) = SeriesKey::parse(&key, true) else { return };
        let route = self.resolve(&staging.routing, staging.space, &key);
        if let Some(series) = self.cache.get_mut(number) {
            series.route = route;
        }
    }

    /// Takes a good body: its new series enter the cache, its blocks get what owners do not know yet.
    pub fn commit(&mut self, mut staging: Staging, order: u64) -> Committed {
        let nothing = |restage| Committed { blocks: Vec::new(), restage, forgot: false };
        if staging.generation != self.cache.generation() && !self.carry_over(&mut staging) {
            return nothing(true);
        }
        let numbers = self.keep_new(&staging);
        if staging.generation != self.cache.generation() {
            // The cache started over half-way: numbers of this body are void, too.
            return Committed { forgot: true, ..nothing(true) };
        }
        let final_number = |number: u32| match number & NEW {
            0 => number,
            _ => numbers.get((number & !NEW) as usize).copied().unwrap_or_default(),
        };
        staging.ingress.commit(&mut self.ingress);
        self.spare_ingress.push(std::mem::take(&mut staging.ingress));
        self.counters.bodies += 1;
        self.counters.points += staging.points;
        for (owner, series) in std::mem::take(&mut staging.untold) {
            let definition = self.definition(owner, final_number(series), staging.space);
            if let (Some(definition), Some(block)) = (definition, staging.blocks.get_mut(owner as usize)) {
                block.definitions.push(definition);
            }
        }
        let mut blocks = Vec::new();
        for (owner, mut block) in staging.blocks.into_iter().enumerate() {
            if block.is_empty() {
                self.recycle(block);
                continue;
            }
            block.order = order;
            if !numbers.is_empty() {
                block.renumber(final_number);
            }
            blocks.push((owner, block));
        }
        Committed { blocks, restage: false, forgot: false }
    }

    /// Takes back a block that was run: memory that a body's rows fit into need not be asked for again.
    pub fn recycle(&mut self, block: Block) {
        if self.spare_blocks.len() < SPARE_BLOCKS && block.bytes() <= SPARE_BLOCK_BYTES {
            self.spare_blocks.push(block);
        }
    }

    pub(super) fn block(&mut self) -> Block {
        let mut block = self.spare_blocks.pop().unwrap_or_default();
        block.reuse(self.routing.epoch);
        block
    }

    /// Series that a body brought enter the cache; returns their numbers there.
    fn keep_new(&mut self, staging: &Staging) -> Vec<u32> {
        let mut numbers: Vec<u32> = Vec::with_capacity(staging.new.len());
        for (index, series) in staging.new.iter().enumerate() {
            let key = staging.new.key(index as u32);
            // Another body may have brought it in the meantime.
            let number = match self.cache.table().find(staging.space, key) {
                Some(number) => number,
                None => self.cache.insert(staging.space, key, series.route, series.ingress),
            };
            // They will probably come in this order again.
            if let Some(previous) = numbers.last().and_then(|previous| self.cache.get_mut(*previous))
                && previous.next == NONE
            {
                previous.next = number;
            }
            numbers.push(number);
        }
        numbers
    }

    /// The definition of a series, unless its owner has been told.
    fn definition(&mut self, owner: u32, series: u32, space: Space) -> Option<Definition> {
        let known = self.cache.get_mut(series).filter(|known| known.told & 1 << owner == 0)?;
        known.told |= 1 << owner;
        let key = SeriesKey::parse(self.cache.table().key(series), true).ok()?;
        let (database, retention_policy) = self.cache.space_names(space);
        // All of these were made when the series was routed.
        let name = |text: &str| Name::new(text).ok();
        Some(Definition {
            series,
            database: name(database)?,
            retention_policy: name(retention_policy)?,
            measurement: name(&key.measurement)?,
            tags: key.tags.iter().map(|(key, value)| Some((name(key)?, Box::from(&**value)))).collect::<Option<_>>()?,
        })
    }
}

/// The route of a series, whose names are interned if there is one.
fn resolve(
    routing: &Routing,
    database: &str,
    retention_policy: &str,
    key: &SeriesKey<'_>,
) -> Result<Option<routing::Route>, TooManyNames> {
    let Some(route) = routing.resolve(database, retention_policy, &key.measurement, &key.tags)? else {
        return Ok(None);
    };
    let tags = key.tags.iter().map(|(key, _)| &**key);
    for name in [database, retention_policy, &*key.measurement].into_iter().chain(tags) {
        Name::new(name)?;
    }
    Ok(Some(route))
}
