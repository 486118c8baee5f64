//! Limits that `[farad]` sets (see [`proto::limits`]).

use proto::limits::{Limits, Settable};
use toml::Value;

use super::{Config, check::Fault};

/// Why a key, named with its section, cannot have a value of the right type; `None` if it can.
pub fn refuses(name: &str, value: &Value) -> Option<String> {
    let number = value.as_integer()?;
    match name.strip_prefix("farad.")? {
        "task-groups-max" | "task-bytes-max" if number < 0 => Some(format!("wants a number from 0, not {number}")),
        key => Settable::find(key)?.refuses(number.into()),
    }
}

impl Config {
    /// Those of the data plane.
    pub fn limits(&self) -> Result<Limits, Fault> {
        let mut limits = Limits::default();
        for (key, value) in &self.farad.limits {
            limits.set(key, *value).map_err(|error| Fault::new("farad", error.to_string()))?;
        }
        Ok(limits)
    }
}
