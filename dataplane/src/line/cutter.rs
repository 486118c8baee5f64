//! A body that arrives in parts, cut between its lines.
//!
//! A newline ends a line unless it is quoted or escaped, which may have begun in an earlier part. So the cutter follows
//! the lines; but where a part has neither quotes nor backslashes, its last newline is all that it looks for.

use memchr::{memchr2, memchr3, memrchr};

/// Where the last part ended. Agrees with [`super::Lines`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Cutter {
    place: Place,
}

#[derive(Clone, Copy, Debug, Default)]
enum Place {
    /// Before the first byte of a line that is no blank.
    #[default]
    Begin,
    Comment,
    Line {
        in_fields: bool,
        in_quotes: bool,
        /// Behind a backslash.
        escaped: bool,
        /// `=` less `,` seen among the fields, outside quotes.
        open: i64,
    },
}

impl Cutter {
    /// Bytes of `part` up to and with the end of its last whole line; it begins where a line does. What is behind belongs
    /// to a line that goes on in the next part.
    pub fn cut(&mut self, part: &[u8]) -> usize {
        let mut cut = 0;
        if memchr2(b'"', b'\\', part).is_none() {
            cut = memrchr(b'\n', part).map_or(0, |at| at + 1);
        } else {
            while let Some(line) = part.get(cut..).filter(|line| !line.is_empty()) {
                let end = match memchr3(b'\n', b'"', b'\\', line) {
                    Some(at) if line.get(at) == Some(&b'\n') => Some(at + 1),
                    _ => self.end(line),
                };
                let Some(end) = end else { return cut };
                cut += end;
            }
        }
        self.end(part.get(cut..).unwrap_or_default());
        cut
    }

    /// Bytes of `part` up to and with the end of the line that began in an earlier part; `None`: it goes on.
    pub fn end(&mut self, part: &[u8]) -> Option<usize> {
        part.iter().position(|byte| self.step(*byte)).map(|at| at + 1)
    }

    /// Takes a byte; whether it ends a line.
    fn step(&mut self, byte: u8) -> bool {
        if let Place::Begin = self.place {
            self.place = match byte {
                b' ' | b'\t' | 0 => return false,
                b'\n' => return true,
                b'#' => Place::Comment,
                _ => Place::Line { in_fields: false, in_quotes: false, escaped: false, open: 0 },
            };
        }
        match &mut self.place {
            Place::Line { in_fields, in_quotes, escaped, open } => match byte {
                _ if *escaped => *escaped = false,
                b'\\' => *escaped = true,
                b'\n' if !*in_quotes => {
                    self.place = Place::Begin;
                    return true;
                }
                b' ' => *in_fields = true,
                b'=' if *in_fields && !*in_quotes => *open += 1,
                b',' if *in_fields && !*in_quotes => *open -= 1,
                b'"' if *in_fields && *open > 0 => *in_quotes = !*in_quotes,
                _ => {}
            },
            Place::Begin | Place::Comment if byte == b'\n' => {
                self.place = Place::Begin;
                return true;
            }
            Place::Begin | Place::Comment => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::line::Lines;

    /// The lines of a body in parts, as a receiver joins them.
    fn lines(parts: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut cutter, mut stash, mut lines) = (Cutter::default(), Vec::new(), Vec::new());
        for part in parts {
            let mut part = *part;
            if !stash.is_empty() {
                let end = cutter.end(part);
                stash.extend_from_slice(&part[..end.unwrap_or(part.len())]);
                let Some(end) = end else { continue };
                lines.extend(Lines::new(&stash).map(<[u8]>::to_vec));
                stash.clear();
                part = &part[end..];
            }
            let cut = cutter.cut(part);
            lines.extend(Lines::new(&part[..cut]).map(<[u8]>::to_vec));
            stash.extend_from_slice(&part[cut..]);
        }
        lines.extend(Lines::new(&stash).map(<[u8]>::to_vec));
        lines
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn the_lines_of_parts_are_those_of_the_whole(
            body in proptest::collection::vec(proptest::sample::select(b"m=,\" \\\n#\t".to_vec()), 0..60),
            cuts in proptest::collection::vec(0usize..60, 0..4)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(body.len())).collect();
            cuts.sort_unstable();
            cuts.insert(0, 0);
            cuts.push(body.len());
            let parts: Vec<&[u8]> = cuts.windows(2).map(|cut| &body[cut[0]..cut[1]]).collect();
            let whole: Vec<Vec<u8>> = Lines::new(&body).map(<[u8]>::to_vec).collect();
            prop_assert_eq!(lines(&parts), whole);
        }
    }

    #[test]
    fn a_plain_part_is_cut_behind_its_last_newline() {
        let mut cutter = Cutter::default();
        assert_eq!(cutter.cut(b"m v=1\nm v=2\nm v"), 12);
        assert_eq!(cutter.end(b"=3\nm v=4"), Some(3));
        assert_eq!(cutter.cut(b"m v=4"), 0);
        assert_eq!(cutter.end(b"5"), None);
    }
}
