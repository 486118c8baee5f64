//! `window`: points of a stream as batches (reference: nodes-stream §9).

mod count;
mod time;

use proto::plan;

pub use time::Clock;

use super::{Operator, StartError};
use crate::{
    name::Name,
    point::{Point, Row},
    value::Field,
};

/// The operator of a window. `wanted` names the fields that anybody behind it reads; `None` keeps whole points.
pub fn new(plan: &plan::Window, wanted: Option<Vec<Name>>) -> Result<Box<dyn Operator>, StartError> {
    let keep = Keep { wanted, scratch: Vec::new() };
    Ok(match *plan {
        plan::Window::Time { period: 0, .. } | plan::Window::Count { period: 0, .. } => {
            return Err(StartError::new("window node must have either a non zero period or non zero period count"));
        }
        plan::Window::Time { period, every, align, fill_period } => {
            Box::new(time::TimeWindow::new(Clock { period, every, align, fill_period }, keep))
        }
        plan::Window::Count { period, every, fill_period } => {
            if period < 0 || every <= 0 {
                return Err(StartError::new("periodCount and everyCount must be greater than zero"));
            }
            Box::new(count::CountWindow::new(period as usize, every as u64, fill_period, keep))
        }
    })
}

/// What of a point a window stores.
struct Keep {
    wanted: Option<Vec<Name>>,
    scratch: Vec<Field>,
}

impl Keep {
    fn row(&mut self, point: &Point<'_>) -> Row {
        let Some(wanted) = &self.wanted else { return Row::new(point.time, point.tags.clone(), point.fields.all()) };
        self.scratch.clear();
        let field = |name: &Name| Some(Field { name: *name, value: point.field(*name)?.clone() });
        self.scratch.extend(wanted.iter().filter_map(field));
        Row::new(point.time, point.tags.clone(), &self.scratch)
    }
}
