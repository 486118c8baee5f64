//! A shard as receiver: bodies become blocks, one per owner.
//!
//! A body is staged: parsed, typed, routed, and held back until all of its lines proved good, because one bad line
//! refuses the whole body. Series that a body sees for the first time stay with the body and enter the cache at its
//! commit, so a refused body leaves nothing behind.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::{
    block::{Block, Cell, Definition, RowHead},
    line::{BodyErrors, Fields, Lines, Precision, Reason, SeriesKey, key_end, time},
    name::{Name, TooManyNames},
    routing::{Instance, Routing},
    series::{Cache, Entry, Ingress, IngressTable, SeriesInfo, Space},
};

/// Marks the number of a series that the body itself brought.
const NEW: u32 = 1 << 31;

/// Counters of a receiver.
#[derive(Debug, Default)]
pub struct Counters {
    pub connections_open: u64,
    pub bodies: u64,
    pub points: u64,
    pub bytes: u64,
    pub bodies_refused: u64,
    /// Series that no task sees because there was no room for their names.
    pub names_refused: u64,
}

pub struct Receiver {
    shards: usize,
    routing: Arc<Routing>,
    pub cache: Cache,
    pub ingress: IngressTable,
    pub counters: Counters,
    /// Lists of columns of the present epoch, so that equal ones are one.
    columns: HashMap<Vec<Name>, Arc<[Name]>>,
    /// Scratch of the line that is being staged: its cells by column, and a string that cannot be lent.
    text: String,
}

/// A body on its way to becoming blocks.
pub struct Staging {
    routing: Arc<Routing>,
    generation: u64,
    space: Space,
    precision: Precision,
    /// Time of lines without a timestamp.
    arrival: i64,
    /// Index is the owner.
    blocks: Vec<Block>,
    /// Series that the cache does not know.
    new: Vec<(Box<[u8]>, Entry)>,
    new_by_key: HashMap<Box<[u8]>, u32, ahash::RandomState>,
    pub errors: BodyErrors,
    points: u64,
    lines: u32,
    /// Points by counter, the current run of one counter apart.
    ingress: Vec<(Ingress, u64)>,
}

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
        Receiver {
            shards,
            routing: Arc::new(Routing::new(0, shards, Vec::new())),
            cache: Cache::new(series_bytes_max),
            ingress: IngressTable::default(),
            counters: Counters::default(),
            columns: HashMap::new(),
            text: String::new(),
        }
    }

    /// Routes bodies by a new table from now on; returns the tasks that are not in it any more.
    pub fn route(&mut self, routing: Arc<Routing>) -> Vec<Instance> {
        let stays = |instance| routing.tasks.iter().any(|task| task.instance == instance);
        let ended = self.routing.tasks.iter().map(|task| task.instance).filter(|instance| !stays(*instance)).collect();
        self.routing = routing;
        self.columns.clear();
        ended
    }

    /// Begins a body. `arrival` is nanoseconds since 1970.
    pub fn stage(&mut self, database: &str, retention_policy: &str, precision: Precision, arrival: i64) -> Staging {
        let space = self.cache.space(database, retention_policy);
        let block = || Block::new(self.routing.epoch);
        Staging {
            routing: self.routing.clone(),
            generation: self.cache.generation(),
            space,
            precision,
            arrival: precision.truncate(arrival),
            blocks: (0..self.shards).map(|_| block()).collect(),
            new: Vec::new(),
            new_by_key: HashMap::default(),
            errors: BodyErrors::default(),
            points: 0,
            lines: 0,
            ingress: Vec::new(),
        }
    }

    /// Stages up to `lines_max` lines; returns whether there are more.
    pub fn stage_lines(&mut self, staging: &mut Staging, lines: &mut Lines<'_>, lines_max: usize) -> bool {
        for _ in 0..lines_max {
            let Some(line) = lines.next() else { return false };
            if let Err(reason) = self.stage_line(staging, line) {
                staging.errors.push(line, &reason);
            }
        }
        true
    }

    fn stage_line(&mut self, staging: &mut Staging, line: &[u8]) -> Result<(), Reason> {
        let end = key_end(line);
        let key = line.get(..end).unwrap_or_default();
        // A key without a blank behind it is an error that only its parser names.
        let number = match self.cache.find(staging.space, key).filter(|_| end < line.len()) {
            Some(number) if staging.generation == self.cache.generation() => number,
            _ => match staging.new_by_key.get(key).filter(|_| end < line.len()) {
                Some(index) => index | NEW,
                None => self.new_series(staging, key, end < line.len())?,
            },
        };
        let entry = if number & NEW == 0 {
            self.refresh(staging, number, key)?;
            self.cache.get(number)
        } else {
            staging.new.get((number & !NEW) as usize).map(|(_, entry)| entry)
        };
        let Some(entry) = entry else { return Ok(()) };
        let mut fields = Fields::new(line, end);
        let head = RowHead { series: number, line: staging.lines, time: 0 };
        staging.lines += 1;
        let (ingress, owners) = (entry.ingress, entry.owners);
        match &entry.columns {
            Some(columns) if owners != 0 => {
                let (columns, whole) = (columns.clone(), entry.whole);
                stage_row(staging, &mut self.text, (line, end), fields, head, (&columns, whole), owners)?;
            }
            _ => {
                while fields.next_field()?.is_some() {}
                time(line, fields.end(), staging.precision, staging.arrival)?;
            }
        }
        staging.points += 1;
        match staging.ingress.last_mut() {
            Some((last, points)) if *last == ingress => *points += 1,
            _ => staging.ingress.push((ingress, 1)),
        }
        Ok(())
    }

    /// A series that neither the cache nor the body knows.
    fn new_series(&mut self, staging: &mut Staging, key: &[u8], complete: bool) -> Result<u32, Reason> {
        let parsed = SeriesKey::parse(key, complete)?;
        let (database, retention_policy) = self.cache.space_names(staging.space);
        let ingress = self.ingress.number(database, retention_policy, &parsed.measurement);
        let mut entry = Entry { ingress, ..Entry::default() };
        let routed = route_entry(&mut entry, &staging.routing, &mut self.columns, database, retention_policy, &parsed);
        if routed.is_err() {
            self.counters.names_refused += 1;
        }
        let index = staging.new.len() as u32;
        staging.new.push((key.into(), entry));
        staging.new_by_key.insert(key.into(), index);
        Ok(index | NEW)
    }

    /// Brings the route of a cached series to the body's epoch.
    fn refresh(&mut self, staging: &Staging, number: u32, key: &[u8]) -> Result<(), Reason> {
        let epoch = staging.routing.epoch;
        let (database, retention_policy) = {
            let names = self.cache.space_names(staging.space);
            if self.cache.get(number).is_none_or(|entry| entry.epoch == epoch) {
                return Ok(());
            }
            (names.0.to_owned(), names.1.to_owned())
        };
        let parsed = SeriesKey::parse(key, true)?;
        if let Some(entry) = self.cache.get_mut(number) {
            let routed = route_entry(entry, &staging.routing, &mut self.columns, &database, &retention_policy, &parsed);
            if routed.is_err() {
                self.counters.names_refused += 1;
            }
        }
        Ok(())
    }

    /// Takes a good body: its new series enter the cache, its blocks get what owners do not know yet.
    pub fn commit(&mut self, mut staging: Staging, order: u64) -> Committed {
        let nothing = |restage| Committed { blocks: Vec::new(), restage, forgot: false };
        if staging.generation != self.cache.generation() {
            return nothing(true);
        }
        let mut numbers = Vec::with_capacity(staging.new.len());
        for (key, entry) in std::mem::take(&mut staging.new) {
            // Another body may have brought it in the meantime.
            let number = match self.cache.find(staging.space, &key) {
                Some(number) => number,
                None => self.cache.insert(staging.space, &key, entry),
            };
            numbers.push(number);
        }
        if staging.generation != self.cache.generation() {
            // The cache started over half-way: numbers of this body are void, too.
            return Committed { forgot: true, ..nothing(true) };
        }
        for (ingress, points) in &staging.ingress {
            self.ingress.add(*ingress, *points);
        }
        self.counters.bodies += 1;
        self.counters.points += staging.points;
        let mut blocks = Vec::new();
        for (owner, mut block) in staging.blocks.into_iter().enumerate() {
            if block.is_empty() {
                continue;
            }
            block.order = order;
            if !numbers.is_empty() {
                block.renumber(|number| match number & NEW {
                    0 => number,
                    _ => numbers.get((number & !NEW) as usize).copied().unwrap_or_default(),
                });
            }
            self.define(owner, &mut block);
            blocks.push((owner, block));
        }
        Committed { blocks, restage: false, forgot: false }
    }

    /// Adds the definitions that the owner of a block has not been told.
    fn define(&mut self, owner: usize, block: &mut Block) {
        let mut definitions = Vec::new();
        for series in block.series() {
            let Some(entry) = self.cache.get_mut(series) else { continue };
            if entry.told & (1 << owner) != 0 {
                continue;
            }
            entry.told |= 1 << owner;
            if let Some(info) = &entry.info {
                definitions.push(Definition {
                    series,
                    database: info.database,
                    retention_policy: info.retention_policy,
                    measurement: info.measurement,
                    tags: info.tags.clone(),
                });
            }
        }
        block.definitions = definitions;
    }
}

/// Works out who owns a series under an epoch, and which of its fields they want.
fn route_entry(
    entry: &mut Entry,
    routing: &Routing,
    columns: &mut HashMap<Vec<Name>, Arc<[Name]>>,
    database: &str,
    retention_policy: &str,
    key: &SeriesKey<'_>,
) -> Result<(), TooManyNames> {
    entry.epoch = routing.epoch;
    entry.owners = 0;
    let Some(route) = routing.resolve(database, retention_policy, &key.measurement, &key.tags)? else {
        return Ok(());
    };
    if entry.info.is_none() {
        let tag = |(key, value): &(std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)| {
            Ok((Name::new(key)?, Box::from(&**value)))
        };
        entry.info = Some(Arc::new(SeriesInfo {
            database: Name::new(database)?,
            retention_policy: Name::new(retention_policy)?,
            measurement: Name::new(&key.measurement)?,
            tags: key.tags.iter().map(tag).collect::<Result<_, TooManyNames>>()?,
        }));
    }
    entry.columns = Some(shared(columns, route.fields.into_iter().collect()));
    entry.whole = route.whole;
    entry.owners = route.owners;
    Ok(())
}

fn shared(columns: &mut HashMap<Vec<Name>, Arc<[Name]>>, names: Vec<Name>) -> Arc<[Name]> {
    columns.entry(names).or_insert_with_key(|names| names.as_slice().into()).clone()
}

/// Stages the wanted fields of a line for each owner. Nothing is staged of a line that proves bad.
fn stage_row(
    staging: &mut Staging,
    text: &mut String,
    (line, key_end): (&[u8], usize),
    mut fields: Fields<'_>,
    head: RowHead,
    (columns, whole): (&Arc<[Name]>, bool),
    owners: u64,
) -> Result<(), Reason> {
    let mut found: [Option<crate::line::RawValue<'_>>; INLINE_COLUMNS] = [None; INLINE_COLUMNS];
    let mut more = Vec::new();
    if columns.len() > INLINE_COLUMNS {
        more.resize(columns.len(), None);
    }
    let found = if more.is_empty() { &mut found[..columns.len()] } else { &mut more[..] };
    // Fields mostly come in the order of the columns.
    let mut expected = 0;
    while let Some(field) = fields.next_field()? {
        let at = match columns.get(expected) {
            Some(name) if field.is_named(name.as_str()) => Some(expected),
            _ => columns.iter().position(|name| field.is_named(name.as_str())),
        };
        if let Some(at) = at {
            found[at] = Some(field.value);
            expected = at + 1;
        }
    }
    let time = time(line, fields.end(), staging.precision, staging.arrival)?;
    for (owner, block) in staging.blocks.iter_mut().enumerate() {
        if owners & (1 << owner) == 0 {
            continue;
        }
        block.begin_row(RowHead { time, ..head }, columns, whole);
        for value in found.iter() {
            block.push(value.map_or(Cell::Missing, |value| value.cell(text)));
        }
        if whole {
            block.push_line(line.get(key_end..fields.end()).unwrap_or_default());
        }
    }
    Ok(())
}

/// Columns that a row is gathered in without an allocation.
const INLINE_COLUMNS: usize = 32;
