//! Profiles of a process, on their way to whoever asked.

use serde::{Deserialize, Serialize};

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProfileKind {
    /// Where time goes, sampled for so long.
    Cpu { seconds: u32 },
    /// Who holds the memory that is in use.
    Heap,
}

/// Call stacks with what was counted there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Units of the last value from one sample to the next: ns, or bytes.
    pub period: i64,
    /// Each once; stacks name them by their place.
    pub frames: Vec<Frame>,
    pub stacks: Vec<Stack>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Frame {
    pub function: String,
    pub file: String,
    pub line: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stack {
    /// Empty where it is not known.
    pub thread: String,
    /// From the innermost call outwards.
    pub frames: Vec<u32>,
    /// Samples or objects.
    pub count: i64,
    /// ns or bytes.
    pub amount: i64,
}
