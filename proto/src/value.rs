//! Values as scripts write them and as points carry them.

use serde::{Deserialize, Serialize};

/// A constant of a script, a default of a node, or a field of an event.
///
/// Durations and times are nanoseconds (times since 1970-01-01T00:00:00Z).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    Float(f64),
    Int(i64),
    Bool(bool),
    String(String),
    Duration(i64),
    Time(i64),
    /// The source of a regular expression in the dialect of TICKscript (reference: tickscript §3).
    Regex(String),
    /// A field that a join filled.
    Null,
}

/// Severity of an alert event (reference: nodes-alert-join-io §2.2). The order is the order of severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    #[default]
    Ok,
    Info,
    Warning,
    Critical,
}

impl Level {
    pub const ALL: [Level; 4] = [Level::Ok, Level::Info, Level::Warning, Level::Critical];

    /// The word that JSON answers and templates show.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Ok => "OK",
            Level::Info => "INFO",
            Level::Warning => "WARNING",
            Level::Critical => "CRITICAL",
        }
    }
}

impl std::str::FromStr for Level {
    type Err = UnknownLevel;

    /// Reads a level in any case.
    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Level::ALL
            .into_iter()
            .find(|level| level.as_str().eq_ignore_ascii_case(word))
            .ok_or_else(|| UnknownLevel(word.to_owned()))
    }
}

/// A word that names no level.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown alert level '{0}'")]
pub struct UnknownLevel(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_ordered_by_severity_and_read_in_any_case() {
        assert!(Level::Ok < Level::Info && Level::Info < Level::Warning && Level::Warning < Level::Critical);
        assert_eq!("critical".parse(), Ok(Level::Critical));
        assert_eq!("nope".parse::<Level>(), Err(UnknownLevel("nope".into())));
    }
}
