//! Limits: those of what crosses the link, and those that the configuration sets.

/// Largest frame, in bytes with its head. A longer one is refused by both sides and ends the link.
pub const FRAME_BYTES_MAX: usize = 64 << 20;

/// Deepest expression that a plan may hold. The compiler refuses deeper ones, so that no walk overflows a stack.
pub const EXPR_DEPTH_MAX: usize = 200;

/// Most nodes of one task.
pub const NODES_PER_TASK_MAX: usize = 1_000;

/// Limits of the data plane that `[farad]` sets, by the same names. Given to it when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub connections_max: u64,
    pub body_bytes_max: u64,
    pub staged_bytes_max: u64,
    pub series_bytes_max: u64,
    pub ring_blocks_max: u64,
    pub loopback_bytes_max: u64,
    pub outputs_max: u64,
    pub alerts_waiting_max: u64,
    pub posts_waiting_max: u64,
    pub influxdb_bytes_max: u64,
    pub udf_bytes_max: u64,
}

/// One of them.
pub struct Settable {
    /// Its key in the configuration.
    pub key: &'static str,
    pub default: u64,
    pub least: u64,
    pub most: u64,
    place: fn(&mut Limits) -> &mut u64,
}

const GIB: u64 = 1 << 30;

/// All of them.
pub const SETTABLE: [Settable; 11] = [
    // 0: as many as files may be open.
    settable("connections-max", 0, (0, 10_000_000), |limits| &mut limits.connections_max),
    settable("body-bytes-max", 256 << 20, (1 << 10, 4 * GIB), |limits| &mut limits.body_bytes_max),
    settable("staged-bytes-max", 512 << 20, (1 << 20, 1_024 * GIB), |limits| &mut limits.staged_bytes_max),
    settable("series-bytes-max", GIB, (1 << 20, 1_024 * GIB), |limits| &mut limits.series_bytes_max),
    settable("ring-blocks-max", 16, (1, 4_096), |limits| &mut limits.ring_blocks_max),
    settable("loopback-bytes-max", 64 << 20, (1 << 10, 64 * GIB), |limits| &mut limits.loopback_bytes_max),
    settable("outputs-max", 16_384, (1, 1 << 24), |limits| &mut limits.outputs_max),
    settable("alerts-waiting-max", 65_536, (0, 1 << 24), |limits| &mut limits.alerts_waiting_max),
    settable("posts-waiting-max", 10_000, (1, 1 << 24), |limits| &mut limits.posts_waiting_max),
    settable("influxdb-bytes-max", 64 << 20, (1 << 10, 64 * GIB), |limits| &mut limits.influxdb_bytes_max),
    settable("udf-bytes-max", 64 << 20, (1 << 10, 64 * GIB), |limits| &mut limits.udf_bytes_max),
];

const fn settable(
    key: &'static str,
    default: u64,
    (least, most): (u64, u64),
    place: fn(&mut Limits) -> &mut u64,
) -> Settable {
    Settable { key, default, least, most, place }
}

impl Settable {
    pub fn find(key: &str) -> Option<&'static Settable> {
        SETTABLE.iter().find(|settable| settable.key == key)
    }

    /// Why a value cannot be set; `None` if it can.
    pub fn refuses(&self, value: i128) -> Option<String> {
        let Settable { least, most, .. } = self;
        let allowed = i128::from(*least)..=i128::from(*most);
        (!allowed.contains(&value)).then(|| format!("wants a number from {least} to {most}, not {value}"))
    }
}

/// Why a limit cannot be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    #[error("{0:?} is no limit")]
    Unknown(String),
    #[error("{key} {why}")]
    Value { key: &'static str, why: String },
}

impl Default for Limits {
    fn default() -> Limits {
        let mut limits = Limits {
            connections_max: 0,
            body_bytes_max: 0,
            staged_bytes_max: 0,
            series_bytes_max: 0,
            ring_blocks_max: 0,
            loopback_bytes_max: 0,
            outputs_max: 0,
            alerts_waiting_max: 0,
            posts_waiting_max: 0,
            influxdb_bytes_max: 0,
            udf_bytes_max: 0,
        };
        for settable in &SETTABLE {
            *(settable.place)(&mut limits) = settable.default;
        }
        limits
    }
}

impl Limits {
    pub fn set(&mut self, key: &str, value: u64) -> Result<(), LimitError> {
        let settable = Settable::find(key).ok_or_else(|| LimitError::Unknown(key.to_owned()))?;
        if let Some(why) = settable.refuses(value.into()) {
            return Err(LimitError::Value { key: settable.key, why });
        }
        *(settable.place)(self) = value;
        Ok(())
    }

    /// Keys and values, in the order of [`SETTABLE`].
    pub fn all(mut self) -> Vec<(&'static str, u64)> {
        SETTABLE.iter().map(|settable| (settable.key, *(settable.place)(&mut self))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_a_place_of_its_own() {
        let mut limits = Limits::default();
        for (at, settable) in SETTABLE.iter().enumerate() {
            limits.set(settable.key, settable.least + at as u64).unwrap();
        }
        for (at, (settable, (key, value))) in SETTABLE.iter().zip(limits.all()).enumerate() {
            assert_eq!((key, value), (settable.key, settable.least + at as u64));
        }
    }

    #[test]
    fn a_value_out_of_range_is_refused() {
        let mut limits = Limits::default();
        let error = limits.set("ring-blocks-max", 0).unwrap_err().to_string();
        assert_eq!(error, "ring-blocks-max wants a number from 1 to 4096, not 0");
        assert_eq!(limits.set("nothing", 1), Err(LimitError::Unknown("nothing".into())));
        assert_eq!(limits, Limits::default());
    }
}
