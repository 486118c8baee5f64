//! A body as lines.

use memchr::{memchr, memchr2};

/// Iterates over the lines of a body that may hold a point: without leading blanks, comments and empty lines.
///
/// A newline inside a double-quoted field value does not end a line.
pub struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    pub fn new(body: &'a [u8]) -> Self {
        Lines { rest: body }
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

/// Where the first line of `text` ends: at a newline outside quotes, or at the end.
fn line_end(text: &[u8]) -> usize {
    match memchr2(b'\n', b'"', text) {
        Some(at) if text[at] == b'\n' => at,
        Some(_) => quoted_line_end(text),
        None => text.len(),
    }
}

/// The same for a line with quotes. They count in field values only: behind the first unescaped blank, while more `=`
/// than `,` have been seen. A backslash takes the next byte with it.
fn quoted_line_end(text: &[u8]) -> usize {
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
