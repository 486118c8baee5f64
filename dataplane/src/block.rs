//! A block: the points of one body for one owner shard, parsed and typed, on their way between shards.
//!
//! ```text
//! block = definitions of series the owner has not seen from this receiver
//!       + runs in order of arrival; a run has one list of columns
//!       + rows; a row is a series, a time, and one cell a column
//! cell  = 8 bytes of value and a kind (missing, float, int, bool, string in the arena)
//! line  = a last cell: the field section as sent, where a task may ask for any field
//! ```
//!
//! Cells stand row by row. A block owns all that it holds: nothing in it refers to a receive buffer, so the buffer is
//! free when the body is staged.

use std::{ops::Range, sync::Arc};

use crate::name::Name;

/// What the owner needs to know of a series, sent once per receiver and generation of the receiver's cache.
#[derive(Clone, Debug)]
pub struct Definition {
    /// Number of the series in the receiver's cache.
    pub series: u32,
    pub database: Name,
    pub retention_policy: Name,
    pub measurement: Name,
    /// Sorted by key.
    pub tags: Arc<[(Name, Box<str>)]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Missing,
    Float,
    Int,
    Bool,
    String,
    /// The field section of a line.
    Line,
}

/// A value on its way into a block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    Missing,
    Float(f64),
    Int(i64),
    Bool(bool),
    String(&'a str),
}

#[derive(Clone, Copy, Debug)]
pub struct RowHead {
    pub series: u32,
    /// Place of the line in its body.
    pub line: u32,
    /// Nanoseconds since 1970.
    pub time: i64,
}

/// Rows with the same columns.
#[derive(Clone, Debug)]
struct Run {
    columns: Arc<[Name]>,
    /// A cell more than there are columns: the field section.
    with_line: bool,
    rows: Range<u32>,
    /// Index of the first row's first cell.
    cells: u32,
}

#[derive(Debug, Default)]
pub struct Block {
    /// Plan epoch of the body's first byte.
    pub epoch: u64,
    /// Place of the body in the order of acceptance, over all shards.
    pub order: u64,
    pub definitions: Vec<Definition>,
    runs: Vec<Run>,
    rows: Vec<RowHead>,
    bits: Vec<u64>,
    kinds: Vec<Kind>,
    arena: String,
    /// Field sections.
    lines: Vec<u8>,
}

impl Block {
    /// Empties a block for a body of the plan epoch `epoch`; its memory stays.
    pub fn reuse(&mut self, epoch: u64) {
        let Block { epoch: of, order, definitions, runs, rows, bits, kinds, arena, lines } = self;
        (*of, *order) = (epoch, 0);
        definitions.clear();
        runs.clear();
        rows.clear();
        bits.clear();
        kinds.clear();
        arena.clear();
        lines.clear();
    }

    /// Begins a row; its cells follow by [`Block::push`], as many as `columns` has, and then [`Block::push_line`] if it is
    /// `with_line`.
    pub fn begin_row(&mut self, head: RowHead, columns: &Arc<[Name]>, with_line: bool) {
        let index = self.rows.len() as u32;
        self.rows.push(head);
        match self.runs.last_mut() {
            Some(run) if run.with_line == with_line && Arc::ptr_eq(&run.columns, columns) => run.rows.end = index + 1,
            _ => {
                let (rows, cells) = (index..index + 1, self.bits.len() as u32);
                self.runs.push(Run { columns: columns.clone(), with_line, rows, cells });
            }
        }
    }

    /// Ends a row with the field section of its line: what stands between the key and the timestamp.
    pub fn push_line(&mut self, line: &[u8]) {
        self.bits.push((self.lines.len() as u64) << 32 | line.len() as u64);
        self.kinds.push(Kind::Line);
        self.lines.extend_from_slice(line);
    }

    pub fn push(&mut self, cell: Cell<'_>) {
        let (bits, kind) = match cell {
            Cell::Missing => (0, Kind::Missing),
            Cell::Float(x) => (x.to_bits(), Kind::Float),
            Cell::Int(x) => (x.cast_unsigned(), Kind::Int),
            Cell::Bool(x) => (u64::from(x), Kind::Bool),
            Cell::String(text) => {
                let start = self.arena.len() as u64;
                self.arena.push_str(text);
                (start << 32 | text.len() as u64, Kind::String)
            }
        };
        self.bits.push(bits);
        self.kinds.push(kind);
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Bytes of memory held, in use or not.
    pub fn bytes(&self) -> usize {
        self.rows.capacity() * size_of::<RowHead>()
            + self.bits.capacity() * size_of::<u64>()
            + self.kinds.capacity()
            + self.arena.capacity()
            + self.lines.capacity()
            + self.runs.capacity() * size_of::<Run>()
            + self.definitions.capacity() * size_of::<Definition>()
    }

    /// Replaces numbers of series: for bodies whose new series got their final number at commit.
    pub fn renumber(&mut self, mut number: impl FnMut(u32) -> u32) {
        for row in &mut self.rows {
            row.series = number(row.series);
        }
    }

    /// Moves all times by `delta` nanoseconds: for replays.
    pub fn shift(&mut self, delta: i64) {
        for row in &mut self.rows {
            row.time = row.time.saturating_add(delta);
        }
    }

    /// Heads of rows.
    pub fn heads(&self, range: Range<usize>) -> &[RowHead] {
        self.rows.get(range).unwrap_or_default()
    }

    /// Times of the rows, in order.
    pub fn times(&self) -> impl ExactSizeIterator<Item = i64> {
        self.rows.iter().map(|row| row.time)
    }

    /// The series of the rows, one after the other; a run of rows of one series gives it once.
    pub fn series(&self) -> impl Iterator<Item = u32> {
        self.rows.chunk_by(|one, other| one.series == other.series).filter_map(|run| run.first()).map(|row| row.series)
    }

    /// Calls `visit` with each row of `range`, its columns and its cells, in order; stops at the first error.
    pub fn visit<'a, E>(
        &'a self,
        range: Range<usize>,
        mut visit: impl FnMut(&'a RowHead, &'a [Name], Cells<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        let first = self.runs.partition_point(|run| run.rows.end as usize <= range.start);
        for run in self.runs.get(first..).unwrap_or_default() {
            let columns = run.columns.len();
            let width = columns + usize::from(run.with_line);
            for index in range.start.max(run.rows.start as usize)..range.end.min(run.rows.end as usize) {
                let at = run.cells as usize + (index - run.rows.start as usize) * width;
                let cells = Cells { block: self, at, columns, with_line: run.with_line };
                if let Some(row) = self.rows.get(index) {
                    visit(row, &run.columns, cells)?;
                }
            }
            if run.rows.end as usize >= range.end {
                break;
            }
        }
        Ok(())
    }
}

/// The cells of one row.
#[derive(Clone, Copy)]
pub struct Cells<'a> {
    block: &'a Block,
    at: usize,
    columns: usize,
    with_line: bool,
}

impl<'a> Cells<'a> {
    /// The field section of the line, if it goes with the row.
    pub fn line(self) -> Option<&'a [u8]> {
        let bits = *self.block.bits.get(self.at + self.columns).filter(|_| self.with_line)?;
        let start = (bits >> 32) as usize;
        self.block.lines.get(start..start + (bits & u64::from(u32::MAX)) as usize)
    }

    /// By column.
    pub fn iter(self) -> impl Iterator<Item = Cell<'a>> {
        let range = self.at..self.at + self.columns;
        let bits = self.block.bits.get(range.clone()).unwrap_or_default();
        let kinds = self.block.kinds.get(range).unwrap_or_default();
        bits.iter().zip(kinds).map(move |(&bits, kind)| match kind {
            Kind::Missing | Kind::Line => Cell::Missing,
            Kind::Float => Cell::Float(f64::from_bits(bits)),
            Kind::Int => Cell::Int(bits.cast_signed()),
            Kind::Bool => Cell::Bool(bits != 0),
            Kind::String => {
                let start = (bits >> 32) as usize;
                let text = self.block.arena.get(start..start + (bits & u64::from(u32::MAX)) as usize);
                Cell::String(text.unwrap_or_default())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were_staged_from_any_range() {
        let columns = |names: &[&str]| -> Arc<[Name]> { names.iter().map(|name| Name::new(name).unwrap()).collect() };
        let (wide, narrow) = (columns(&["a", "b"]), columns(&["c"]));
        let mut block = Block::default();
        for n in 0..6_u32 {
            let head = RowHead { series: n, line: n, time: i64::from(n) };
            if n % 3 == 2 {
                block.begin_row(head, &narrow, true);
                block.push(Cell::String("text"));
                block.push_line(b"line");
            } else {
                block.begin_row(head, &wide, false);
                block.push(Cell::Int(-i64::from(n)));
                block.push(Cell::Missing);
            }
        }
        for range in [0..6, 1..5, 2..3, 5..6, 3..3] {
            let mut seen = Vec::new();
            block
                .visit(range.clone(), |row, columns, cells| {
                    assert_eq!(cells.line(), (row.series % 3 == 2).then_some(&b"line"[..]));
                    let cells: Vec<_> = cells.iter().collect();
                    match row.series % 3 {
                        2 => assert_eq!((columns.len(), cells.as_slice()), (1, &[Cell::String("text")][..])),
                        _ => assert_eq!(cells, [Cell::Int(-i64::from(row.series)), Cell::Missing]),
                    }
                    seen.push(row.series as usize);
                    Ok::<_, ()>(())
                })
                .unwrap();
            assert_eq!(seen, range.collect::<Vec<_>>());
        }
    }
}
