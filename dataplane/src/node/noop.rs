//! `noop`: a child for a node that has none and whose statistics are watched (reference: nodes-stream §14).

use super::{Fault, Operator, Outlet};
use crate::point::{Batch, Point};

pub struct Noop;

impl Operator for Noop {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        out.point(point)
    }

    fn batch(&mut self, _port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        out.batch(batch)
    }
}
