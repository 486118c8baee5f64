//! `shift`: moves points and batches in time (reference: nodes-stream §11).

use super::{Fault, Operator, Outlet, StartError};
use crate::point::{Batch, Point, Row, Rows};

pub struct Shift {
    shift: i64,
    rows: Vec<Row>,
}

impl Shift {
    pub fn new(shift: i64) -> Result<Shift, StartError> {
        match shift {
            0 => Err(StartError::new("invalid shift value: must be non zero duration")),
            shift => Ok(Shift { shift, rows: Vec::new() }),
        }
    }
}

impl Operator for Shift {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        out.point(&Point { time: point.time.saturating_add(self.shift), ..*point })
    }

    fn batch(&mut self, _port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        self.rows.clear();
        self.rows.extend(
            batch
                .rows
                .iter()
                .map(|row| Row::new(row.time().saturating_add(self.shift), row.tags().clone(), &row.fields())),
        );
        out.batch(&Batch { time: batch.time.saturating_add(self.shift), rows: Rows::new(&self.rows), ..*batch })
    }
}
