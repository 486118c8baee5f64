//! Where the answers to a query of a batch task enter (reference: batch-and-replay §7). Control asks.

use super::{Fault, Operator, Outlet};
use crate::point::{Batch, Point};

#[derive(Default)]
pub struct Query {
    batches: u64,
    points: u64,
}

impl Operator for Query {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        out.point(point)
    }

    fn batch(&mut self, _port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        self.batches += 1;
        self.points += batch.rows.len() as u64;
        out.batch(batch)
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        vec![("batches_queried", self.batches), ("points_queried", self.points)]
    }
}
