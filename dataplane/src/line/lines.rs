//! A body as lines.

use memchr::{memchr, memchr2};

/// Iterates over the lines of a body that may hold a point: without leading blanks, comments and empty lines.
///
/// A newline inside a double-quoted field value does not end a line, nor does one behind a backslash.
pub struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    pub fn new(body: &'a [u8]) -> Self {
        Lines { rest: body }
    }

    /// What follows the last line.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Goes on behind a line that was read by other means: `bytes` with its newline.
    pub fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let blanks = self.rest.iter().position(|byte| !matches!(byte, b' ' | b'\t' | 0))?;
            self.rest = &self.rest[blanks..];
            let end = match self.rest.first()? {
                b'\n' => 0,
                b'#' => memchr(b'\n', self.rest).unwrap_or(self.rest.len()),
                _ => line_end(self.rest),
            };
            let (line, rest) = self.rest.split_at(end);
            self.rest = rest.get(1..).unwrap_or_default();
            if !line.is_empty() && !line.starts_with(b"#") {
                return Some(line);
            }
        }
    }
}

/// Where the first line of `text` ends: at a newline that is neither quoted nor escaped, or at the end.
pub fn line_end(text: &[u8]) -> usize {
    match memchr2(b'\n', b'"', text) {
        Some(at) if text[at] == b'\n' && !text[..at].ends_with(b"\\") => at,
        Some(_) => careful_line_end(text),
        None => text.len(),
    }
}

/// The same for a line with quotes or escapes. Quotes count in field values only: behind the first unescaped blank,
/// while more `=` than `,` have been seen. A backslash takes the next byte with it, unless that is the last.
fn careful_line_end(text: &[u8]) -> usize {
    let (mut in_fields, mut in_quotes) = (false, false);
    let (mut equals, mut commas) = (0_usize, 0_usize);
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'\\' if at + 2 < text.len() => at += 1,
            b'\n' if !in_quotes => return at,
            b' ' => in_fields = true,
            b'=' if in_fields && !in_quotes => equals += 1,
            b',' if in_fields && !in_quotes => commas += 1,
            b'"' if in_fields && equals > commas => in_quotes = !in_quotes,
            _ => {}
        }
        at += 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_short_cut_cuts_where_the_careful_way_does(
            text in proptest::collection::vec(proptest::sample::select(b"m=,\" \\\n".to_vec()), 1..24)) {
            prop_assert_eq!(line_end(&text), careful_line_end(&text));
        }
    }
}
