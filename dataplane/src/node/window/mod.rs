//! `window`: points of a stream as batches (reference: nodes-stream §9).

mod buffer;
mod count;
mod time;

use proto::plan;

pub use time::Clock;

use super::{Operator, StartError};
use crate::name::Name;
use buffer::Keep;

/// Points that the window of one group holds. More: of a window by time the oldest goes, counted as an error of its node;
/// one by count that would need more does not start. Tests get there sooner.
pub const POINTS_MAX: usize = if cfg!(test) { 1_000 } else { 16_000_000 };

/// The operator of a window. `wanted` names the fields that anybody behind it reads; `None` keeps whole points.
pub fn new(plan: &plan::Window, wanted: Option<Vec<Name>>) -> Result<Box<dyn Operator>, StartError> {
    let keep = Keep::new(wanted);
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
            if period > POINTS_MAX as i64 {
                return Err(StartError(format!("a window holds {POINTS_MAX} points of a group at most, not {period}")));
            }
            Box::new(count::CountWindow::new(period as usize, every as u64, fill_period, keep))
        }
    })
}
