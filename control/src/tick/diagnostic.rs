//! What is wrong with a script, where, and what would be right.

use serde::Serialize;

/// Most findings of one script.
pub const DIAGNOSTICS_MAX: usize = 20;

/// One finding. Its `message` is what the API's one-line error shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    pub severity: Severity,
    pub message: String,
    /// Line and column of the span's start, both from 1; columns count bytes. `None` where no place is to blame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span: Option<Span>,
    /// What could have stood there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expected: Vec<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The script is refused.
    Error,
    /// It is accepted, and hardly does what was meant.
    Warning,
}

/// Bytes of the script, which are far fewer than four billion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Position {
    pub line: usize,
    pub char: usize,
}

impl Diagnostic {
    pub fn new(message: impl Into<String>) -> Self {
        let message = message.into();
        Diagnostic { severity: Severity::Error, message, span: None, position: None, expected: Vec::new(), help: None }
    }

    pub fn warning(message: impl Into<String>) -> Self {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::new(message) }
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Marks a place of `source`.
    pub fn at(mut self, source: &str, start: usize, end: usize) -> Self {
        self.span = Some(Span { start: start as u32, end: end as u32 });
        self.position = Some(position(source, start));
        self
    }

    /// Marks a place of `source` and names it in front of the message, as errors of a script's execution do.
    pub fn located(self, source: &str, start: usize, end: usize) -> Self {
        let Position { line, char } = position(source, start);
        let message = format!("line {line} char {char}: {}", self.message);
        Diagnostic { message, ..self }.at(source, start, end)
    }

    /// The finding with its source line and a caret, for a terminal.
    pub fn render(&self, file: &str, source: &str) -> String {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let mut text = format!("{word}: {}\n", self.message);
        if let (Some(span), Some(Position { line, char })) = (self.span, self.position) {
            let (start, end) = (span.start as usize, span.end as usize);
            let shown = source.lines().nth(line - 1).unwrap_or_default().replace('\t', " ");
            let before = source.get(start - (char - 1)..start).map_or(char - 1, |text| text.chars().count());
            let width =
                source.get(start..end).map_or(1, |text| text.lines().next().unwrap_or_default().chars().count());
            let margin = " ".repeat(line.to_string().len());
            text += &format!("{margin}--> {file}:{line}:{char}\n{margin} |\n{line} | {shown}\n");
            text += &format!("{margin} | {}{}\n", " ".repeat(before), "^".repeat(width.max(1)));
        }
        if let Some(help) = &self.help {
            text += &format!("  = help: {help}\n");
        }
        text
    }
}

/// Line and column of a byte offset, both from 1; columns count bytes.
pub fn position(source: &str, at: usize) -> Position {
    let before = &source.as_bytes()[..at.min(source.len())];
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    Position { line, char: 1 + before.len() - line_start }
}

/// The candidate that `word` was probably meant to be.
pub fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = 1 + word.len() / 4;
    // Words whose lengths differ by more cannot be near.
    let near = candidates.into_iter().filter(|candidate| candidate.len().abs_diff(word.len()) <= 4 * limit);
    let distances = near.map(|candidate| (distance(word, candidate), candidate));
    // Two letters that differ are a slip only in words that begin alike.
    let first = |word: &str| word.chars().next().map(|first| first.to_ascii_lowercase());
    let is_slip = |(distance, candidate): &(usize, &str)| {
        *distance <= limit && (*distance <= 1 || first(candidate) == first(word))
    };
    distances.filter(is_slip).min_by_key(|(distance, _)| *distance).map(|(_, best)| best)
}

/// Edit distance (Levenshtein 1966), letters in any case; long words are told apart by their first 64 characters.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.to_lowercase().chars().take(64).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.to_lowercase().chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_bytes_and_carets_count_characters() {
        let source = "stream\n|where(lambda: \"é\" > )";
        let found = Diagnostic::new("unexpected )").at(source, source.len() - 1, source.len());
        assert_eq!(found.position, Some(Position { line: 2, char: 23 }));
        assert_eq!(
            found.render("a.tick", source),
            "error: unexpected )\n --> a.tick:2:23\n  |\n2 | |where(lambda: \"é\" > )\n  |                      ^\n"
        );
    }

    #[test]
    fn near_misses_are_suggested() {
        assert_eq!(suggest("widnow", ["where", "window", "eval"]), Some("window"));
        assert_eq!(suggest("frobnicate", ["where", "window"]), None);
        assert_eq!(suggest("round", ["count", "bound"]), Some("bound"));
        assert_eq!(suggest("round", ["count"]), None);
    }
}
