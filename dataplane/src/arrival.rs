//! Points as they arrive at a task: rows of a block that follow one another, of series that the same tasks take.
//!
//! Nothing is a point yet: what a row has is looked at in place, and a [`Point`] is made for the node that wants one.

use std::rc::Rc;

use crate::{
    dag::route::Way,
    fields::{Fields, Unread},
    group::Group,
    name::Name,
    point::{Point, SeriesNumber},
    prefetch::prefetch,
    tags::TagSet,
    value::Field,
};

/// What is kept of so many series is in the cache whatever the order they come in.
pub const SERIES_IN_CACHE: usize = 8_192;

/// What all points of a series have in common.
#[derive(Debug)]
pub struct Series {
    pub database: Name,
    pub retention_policy: Name,
    pub measurement: Name,
    pub tags: Rc<TagSet>,
}

impl Series {
    pub fn point<'a>(&'a self, group: &'a Rc<Group>, fields: Fields<'a>, time: i64, series: SeriesNumber) -> Point<'a> {
        Point {
            name: self.measurement,
            database: self.database,
            retention_policy: self.retention_policy,
            group,
            tags: &self.tags,
            fields,
            time,
            series,
        }
    }
}

/// A row.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Nanoseconds since 1970.
    pub time: i64,
    /// Number of the series on this shard.
    pub series: u32,
    /// Number of the series among those that the same tasks take.
    pub member: u32,
    /// Place of the line in its body.
    pub line: u32,
    /// Its part of [`AtHand::fields`].
    pub fields: (u32, u32),
    /// In [`AtHand::unread`], or behind its end.
    pub unread: u32,
}

/// What rows refer to.
#[derive(Clone, Copy)]
pub struct AtHand<'a> {
    pub fields: &'a [Field],
    pub unread: &'a [Unread<'a>],
    /// By number on this shard.
    pub series: &'a [Option<Series>],
    /// The group of points before any task.
    pub nil: &'a Rc<Group>,
    /// Place of their body in the order of acceptance, over all shards.
    pub body: u64,
}

/// Rows for one task.
#[derive(Clone, Copy)]
pub struct Arrivals<'a> {
    pub rows: &'a [Row],
    /// The ways of the series through the task, by their number as members.
    pub ways: &'a [Way],
    pub at_hand: AtHand<'a>,
}

impl<'a> Arrivals<'a> {
    pub fn iter(&self) -> impl Iterator<Item = Arrival<'a>> + use<'a> {
        let Arrivals { rows, ways, at_hand } = *self;
        rows.iter().filter_map(move |row| Some(Arrival { row, way: ways.get(row.member as usize)?, at_hand }))
    }

    /// Asks the memory for their series.
    pub fn prefetch_series(&self) {
        self.rows.iter().for_each(|row| prefetch(self.at_hand.series, row.series as usize));
    }

    /// Whether their series are many and come in another order than that of their first sight, so that what is kept of one
    /// does not stand behind what is kept of the last one.
    pub fn are_scattered(&self) -> bool {
        if self.at_hand.series.len() <= SERIES_IN_CACHE {
            return false;
        }
        let follows = |pair: &[Row]| matches!(pair, [one, other] if other.member.wrapping_sub(one.member) <= 4);
        let follow = self.rows.windows(2).filter(|pair| follows(pair)).count();
        follow * 2 < self.rows.len()
    }
}

/// One of them.
#[derive(Clone, Copy)]
pub struct Arrival<'a> {
    row: &'a Row,
    pub way: &'a Way,
    at_hand: AtHand<'a>,
}

impl<'a> Arrival<'a> {
    #[inline]
    pub fn time(&self) -> i64 {
        self.row.time
    }

    /// Place in the order of arrival, over all shards.
    #[inline]
    pub fn order(&self) -> u64 {
        (self.at_hand.body << 24) | u64::from(self.row.line).min((1 << 24) - 1)
    }

    #[inline]
    pub fn fields(&self) -> Fields<'a> {
        let (start, end) = self.row.fields;
        let at_hand = self.at_hand.fields.get(start as usize..end as usize).unwrap_or_default();
        match self.at_hand.unread.get(self.row.unread as usize) {
            Some(unread) => Fields::partly(at_hand, unread),
            None => at_hand.into(),
        }
    }

    /// The point before any task; `None` where the series is gone.
    #[inline]
    pub fn source(&self) -> Option<Point<'a>> {
        self.point_in(self.at_hand.nil)
    }

    /// The point in its group at the first stop of its way.
    #[inline]
    pub fn point(&self) -> Option<Point<'a>> {
        self.point_in(self.way.only_group()?.1)
    }

    #[inline]
    fn point_in(&self, group: &'a Rc<Group>) -> Option<Point<'a>> {
        let series = self.at_hand.series.get(self.row.series as usize)?.as_ref()?;
        Some(series.point(group, self.fields(), self.row.time, SeriesNumber(self.row.series)))
    }
}
