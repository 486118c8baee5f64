//! Why a line is refused, in the words of the original.

use std::fmt::{self, Write};

/// The reason for refusing one line. Digits are quoted up to [`DIGITS_MAX`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    MissingMeasurement,
    MissingTagKey,
    MissingTagValue,
    InvalidTagFormat,
    DuplicateTags,
    /// Bytes of measurement and tags.
    KeyTooLong(usize),
    MissingFields,
    MissingFieldKey,
    MissingFieldValue,
    InvalidFieldFormat,
    InvalidNumber,
    InvalidFloat,
    InvalidBoolean,
    UnbalancedQuotes,
    IntegerOutOfRange(String),
    BadTimestamp,
    TimestampSyntax(String),
    TimestampOutOfRange(String),
    TimeOutsideRange,
    InvalidPoint,
}

/// Longest measurement with tags.
pub const KEY_BYTES_MAX: usize = 65_535;

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Reason::MissingMeasurement => "missing measurement",
            Reason::MissingTagKey => "missing tag key",
            Reason::MissingTagValue => "missing tag value",
            Reason::InvalidTagFormat => "invalid tag format",
            Reason::DuplicateTags => "duplicate tags",
            Reason::KeyTooLong(bytes) => return write!(f, "max key length exceeded: {bytes} > {KEY_BYTES_MAX}"),
            Reason::MissingFields => "missing fields",
            Reason::MissingFieldKey => "missing field key",
            Reason::MissingFieldValue => "missing field value",
            Reason::InvalidFieldFormat => "invalid field format",
            Reason::InvalidNumber => "invalid number",
            Reason::InvalidFloat => "invalid float",
            Reason::InvalidBoolean => "invalid boolean",
            Reason::UnbalancedQuotes => "unbalanced quotes",
            Reason::IntegerOutOfRange(digits) => {
                return write!(
                    f,
                    "unable to parse integer {digits}: strconv.ParseInt: parsing {digits:?}: value out of range"
                );
            }
            Reason::BadTimestamp => "bad timestamp",
            Reason::TimestampSyntax(text) => return write!(f, "strconv.ParseInt: parsing {text:?}: invalid syntax"),
            Reason::TimestampOutOfRange(text) => {
                return write!(f, "strconv.ParseInt: parsing {text:?}: value out of range");
            }
            Reason::TimeOutsideRange => "time outside range -9223372036854775806 - 9223372036854775806",
            Reason::InvalidPoint => "point is invalid",
        };
        f.write_str(text)
    }
}

/// The refusals of one body: its answer. Bounded, whatever the body holds.
#[derive(Debug, Default)]
pub struct BodyErrors {
    text: Vec<u8>,
    lines: usize,
    listed: usize,
}

/// Refused lines that an answer lists.
const LISTED_MAX: usize = 100;

/// Bytes of refused lines that an answer lists: room for one with the longest key and its fields. A line that goes
/// beyond is cut and is the last one.
pub const TEXT_BYTES_MAX: usize = 128 << 10;

/// Digits of a number out of range that its reason quotes.
const DIGITS_MAX: usize = 1_024;

/// The text of a number as a reason quotes it.
pub(super) fn shown(number: &str) -> String {
    number.chars().take(DIGITS_MAX).collect()
}

impl BodyErrors {
    pub fn push(&mut self, line: &[u8], reason: &Reason) {
        self.lines += 1;
        let room = TEXT_BYTES_MAX.saturating_sub(self.text.len());
        if self.listed == LISTED_MAX || room == 0 {
            return;
        }
        self.listed += 1;
        self.text.extend_from_slice(b"unable to parse '");
        self.text.extend_from_slice(line.get(..room).unwrap_or(line));
        let mut rest = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(rest, "': {reason}");
        self.text.extend_from_slice(rest.as_bytes());
    }

    pub fn is_empty(&self) -> bool {
        self.lines == 0
    }

    /// Refused lines.
    pub fn count(&self) -> usize {
        self.lines
    }

    /// The answer's body: one line a refused line, and how many more there are.
    pub fn into_text(mut self) -> Vec<u8> {
        let more = self.lines - self.listed;
        if more > 0 {
            self.text.extend_from_slice(format!("{more} more lines are refused\n").as_bytes());
        }
        self.text
    }
}
