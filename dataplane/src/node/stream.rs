//! The source of a stream task: hands on what arrives (reference: nodes-stream §4).

use super::{BySeries, Fault, Operator, Outlet};
use crate::{
    group::Groups,
    point::{Batch, Point},
};

pub struct Stream;

impl Operator for Stream {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        out.point(point)
    }

    fn batch(&mut self, _port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        out.batch(batch)
    }

    fn by_series(&mut self, point: &Point<'_>, _groups: &mut Groups) -> Option<BySeries> {
        Some(BySeries::Passes(point.group.clone()))
    }
}
