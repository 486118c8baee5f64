//! `trickle`: the points of batches, one by one (reference: nodes-stream §14).

use super::{Fault, Operator, Outlet, StartError};
use crate::{
    name::Name,
    point::{Batch, Point, SeriesNumber},
};

pub struct Trickle {
    empty: Name,
}

impl Trickle {
    pub fn new() -> Result<Trickle, StartError> {
        Ok(Trickle { empty: Name::new("").map_err(StartError::new)? })
    }
}

impl Operator for Trickle {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        out.point(point)
    }

    fn batch(&mut self, _port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        for row in batch.rows.iter() {
            let fields = row.fields();
            out.point(&Point {
                name: batch.name,
                database: self.empty,
                retention_policy: self.empty,
                group: batch.group,
                tags: row.tags(),
                fields: fields.as_ref().into(),
                time: row.time(),
                series: SeriesNumber::NONE,
            })?;
        }
        Ok(())
    }
}
