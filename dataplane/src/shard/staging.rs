//! Lines to rows: a body is parsed, typed, routed, and held back until all of its lines proved good.
//!
//! A line's series is the one that followed the last line's series before; if it is not, its key is hashed. When that
//! happens often, 32 lines are looked up at once ([`Lookahead`]), until the order is stable again.

use std::sync::Arc;

use super::{receiver::Receiver, routes::Route};
use crate::{
    block::{Block, Cell, RowHead},
    line::{BodyErrors, FastLine, Fields, Lines, Precision, RawValue, Reason, SeriesKey, key_end, time},
    routing::Routing,
    series::{BodyIngress, Lookahead, NONE, Space, Table, key_of_line},
};

/// Marks the number of a series that the body itself brought.
pub(super) const NEW: u32 = 1 << 31;

/// A body on its way to becoming blocks.
pub struct Staging {
    pub(super) routing: Arc<Routing>,
    /// Of the series cache.
    pub(super) generation: u64,
    pub(super) space: Space,
    precision: Precision,
    /// Time of lines without a timestamp.
    arrival: i64,
    /// Index is the owner.
    pub(super) blocks: Vec<Block>,
    /// Series that the cache does not know.
    pub(super) new: Table,
    /// Owner and series of rows whose owner lacked the definition.
    pub(super) untold: Vec<(u32, u32)>,
    pub errors: BodyErrors,
    pub(super) points: u64,
    pub(super) ingress: BodyIngress,
    /// The last line's series.
    pub(super) previous: u32,
    /// How many of the last lines did not have the predicted series, in 1,024ths.
    misses: u32,
    pub(super) lookahead: Lookahead,
}

/// More misses than a tenth: look ahead.
const MISSES_MAX: u32 = 102;

/// The weight of one line in the share of misses is 1 in 2^4.
const MISSES_SHIFT: u32 = 4;

/// Columns that a row of the scalar reader is gathered in without an allocation.
const INLINE_COLUMNS: usize = 32;

impl Staging {
    /// Bytes held: cells, and series that nobody knew.
    pub fn bytes(&self) -> usize {
        self.blocks.iter().map(Block::bytes).sum::<usize>() + self.new.bytes()
    }
}

impl Receiver {
    /// Begins a body. `arrival` is nanoseconds since 1970.
    pub fn stage(&mut self, database: &str, retention_policy: &str, precision: Precision, arrival: i64) -> Staging {
        let space = self.cache.space(database, retention_policy);
        Staging {
            routing: self.routing.clone(),
            generation: self.cache.generation(),
            space,
            precision,
            arrival: precision.truncate(arrival),
            blocks: (0..self.shards).map(|_| self.block()).collect(),
            new: Table::default(),
            untold: Vec::new(),
            errors: BodyErrors::default(),
            points: 0,
            ingress: self.spare_ingress.pop().unwrap_or_default(),
            previous: NONE,
            misses: 0,
            lookahead: Lookahead::default(),
        }
    }

    /// Stages up to `lines_max` lines; returns whether there are more.
    pub fn stage_lines(&mut self, staging: &mut Staging, lines: &mut Lines<'_>, lines_max: usize) -> bool {
        if staging.generation != self.cache.generation() && !self.carry_over(staging) {
            // The cache started over: the commit will ask for the body again.
            staging.errors = BodyErrors::default();
            return false;
        }
        for _ in 0..lines_max {
            let known = self.series_of(staging, lines.rest());
            if let Some((number, key)) = known
                && self.stage_plain(staging, lines, number, key)
            {
                continue;
            }
            let Some(line) = lines.next() else { return false };
            if let Err(reason) = self.stage_any(staging, line, known.map(|(number, _)| number)) {
                staging.errors.push(line, &reason);
            }
        }
        true
    }

    /// The cached series of the line that `text` begins with, and the length of its key, which is plain.
    #[inline]
    fn series_of(&mut self, staging: &mut Staging, text: &[u8]) -> Option<(u32, usize)> {
        let table = self.cache.table();
        let predicted = table.get(staging.previous).map_or(NONE, |series| series.next);
        if staging.misses <= MISSES_MAX
            && let Some(key) = table.begins(predicted, staging.space, text)
        {
            staging.misses -= staging.misses >> MISSES_SHIFT;
            staging.previous = predicted;
            return Some((predicted, key));
        }
        self.look_up(staging, text, predicted)
    }

    /// The same by hash.
    #[inline(never)]
    fn look_up(&mut self, staging: &mut Staging, text: &[u8], predicted: u32) -> Option<(u32, usize)> {
        let previous = std::mem::replace(&mut staging.previous, NONE);
        let table = self.cache.table();
        let mut guess = staging.lookahead.guess(text.len());
        if guess.is_none() && staging.misses > MISSES_MAX {
            staging.lookahead.look(table, staging.space, text);
            guess = staging.lookahead.guess(text.len());
        }
        let guessed = guess.flatten().and_then(|number| Some((number, table.begins(number, staging.space, text)?)));
        let (number, key) = match guessed {
            Some(found) => found,
            None => {
                let key = key_of_line(text)?;
                let number = table.find(staging.space, key)?;
                (number, table.begins(number, staging.space, text)?)
            }
        };
        staging.previous = number;
        if previous != NONE {
            staging.misses -= staging.misses >> MISSES_SHIFT;
            if number != predicted {
                staging.misses += 1024 >> MISSES_SHIFT;
                if let Some(series) = self.cache.get_mut(previous) {
                    series.next = number;
                }
            }
        }
        Some((number, key))
    }

    /// Stages the line of a known series by the fast reader; `false`: that one cannot.
    #[inline]
    fn stage_plain(&mut self, staging: &mut Staging, lines: &mut Lines<'_>, number: u32, key: usize) -> bool {
        let route = self.cache.table().get(number).map_or(NONE, |series| series.route);
        if self.routes.get(route, staging.routing.epoch).is_none() {
            self.resolve_again(staging, number);
        }
        let Some(series) = self.cache.table().get(number) else { return false };
        let Some(route) = self.routes.get(series.route, staging.routing.epoch).filter(|route| route.plain) else {
            return false;
        };
        let text = lines.rest().get(key + 1..).unwrap_or_default();
        let Some(line) = self.reader.read(text, staging.precision, staging.arrival) else { return false };
        staging.points += 1;
        staging.ingress.add(series.ingress);
        if route.owners != 0 {
            staging.push_plain(route, number, series.told, &line);
        }
        lines.skip(key + 1 + line.bytes);
        true
    }

    /// Stages any line by the scalar reader; `number` is its series if that is known.
    fn stage_any(&mut self, staging: &mut Staging, line: &[u8], number: Option<u32>) -> Result<(), Reason> {
        let end = key_end(line);
        let number = match number {
            Some(number) => number,
            None => self.series_of_any(staging, line.get(..end).unwrap_or_default(), end < line.len())?,
        };
        let epoch = staging.routing.epoch;
        let series = match number & NEW {
            0 => {
                let route = self.cache.table().get(number).map_or(NONE, |series| series.route);
                if self.routes.get(route, epoch).is_none() {
                    self.resolve_again(staging, number);
                }
                self.cache.table().get(number)
            }
            _ => staging.new.get(number & !NEW),
        };
        let Some((route, ingress, told)) =
            series.and_then(|series| Some((self.routes.get(series.route, epoch)?, series.ingress, series.told)))
        else {
            return Ok(());
        };
        let mut fields = Fields::new(line, end);
        if route.owners == 0 {
            while fields.next_field()?.is_some() {}
            time(line, fields.end(), staging.precision, staging.arrival)?;
        } else {
            staging.push_any(route, number, told, (line, end), fields, &mut self.text)?;
        }
        staging.points += 1;
        staging.ingress.add(ingress);
        Ok(())
    }

    /// The series of any key; `complete` says that a blank follows it. One that is new stays with the body.
    fn series_of_any(&mut self, staging: &mut Staging, key: &[u8], complete: bool) -> Result<u32, Reason> {
        // A key without a blank behind it is an error that only its parser names.
        if complete {
            if let Some(number) = self.cache.table().find(staging.space, key) {
                return Ok(number);
            }
            if let Some(number) = staging.new.find(staging.space, key) {
                return Ok(number | NEW);
            }
        }
        let parsed = SeriesKey::parse(key, complete)?;
        let (database, retention_policy) = self.cache.space_names(staging.space);
        let ingress = self.ingress.number(database, retention_policy, &parsed.measurement);
        let route = self.resolve(&staging.routing, staging.space, &parsed);
        Ok(staging.new.insert(staging.space, key, route, ingress) | NEW)
    }
}

impl Staging {
    /// Stages the wanted fields of a plain line for each owner.
    #[inline]
    fn push_plain(&mut self, route: &Route, series: u32, told: u64, line: &FastLine<'_>) {
        let head = RowHead { series, line: self.points as u32, time: line.time };
        self.for_owners(route, series, told, |block| {
            block.begin_row(head, &route.columns, route.whole);
            for name in route.columns.iter() {
                block.push(line.find(name.as_str()).map_or(Cell::Missing, |number| line.cell(number)));
            }
            if route.whole {
                block.push_line(line.section());
            }
        });
    }

    /// Stages the wanted fields of any line for each owner. Nothing is staged of a line that proves bad.
    fn push_any(
        &mut self,
        route: &Route,
        series: u32,
        told: u64,
        (line, key_end): (&[u8], usize),
        mut fields: Fields<'_>,
        text: &mut String,
    ) -> Result<(), Reason> {
        let mut found: [Option<RawValue<'_>>; INLINE_COLUMNS] = [None; INLINE_COLUMNS];
        let mut more = Vec::new();
        if route.columns.len() > INLINE_COLUMNS {
            more.resize(route.columns.len(), None);
        }
        let found = if more.is_empty() { &mut found[..route.columns.len()] } else { &mut more[..] };
        // Fields mostly come in the order of the columns.
        let mut expected = 0;
        while let Some(field) = fields.next_field()? {
            let at = match route.columns.get(expected) {
                Some(name) if field.is_named(name.as_str()) => Some(expected),
                _ => route.columns.iter().position(|name| field.is_named(name.as_str())),
            };
            if let Some(at) = at {
                found[at] = Some(field.value);
                expected = at + 1;
            }
        }
        let time = time(line, fields.end(), self.precision, self.arrival)?;
        let head = RowHead { series, line: self.points as u32, time };
        self.for_owners(route, series, told, |block| {
            block.begin_row(head, &route.columns, route.whole);
            for value in found.iter() {
                block.push(value.map_or(Cell::Missing, |value| value.cell(text)));
            }
            if route.whole {
                block.push_line(line.get(key_end..fields.end()).unwrap_or_default());
            }
        });
        Ok(())
    }

    #[inline]
    fn for_owners(&mut self, route: &Route, series: u32, told: u64, mut push: impl FnMut(&mut Block)) {
        let mut owners = route.owners;
        while owners != 0 {
            let owner = owners.trailing_zeros();
            owners &= owners - 1;
            if told & 1 << owner == 0 {
                self.untold.push((owner, series));
            }
            if let Some(block) = self.blocks.get_mut(owner as usize) {
                push(block);
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
