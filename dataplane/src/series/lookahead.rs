//! Series of the lines to come, looked up together.
//!
//! Without a stable order a look-up waits for memory three times: slot, record, key. The waits of one line depend on each
//! other, those of many lines do not.
//!
//! What is found is a guess: lines are cut at newlines without regard to quotes, and series told apart by their hash.
//! Whoever takes it compares place and key.

use memchr::{memchr, memchr2};

use super::{Space, Table};

/// Lines that are looked up together.
const LINES: usize = 32;

#[derive(Debug, Default)]
pub struct Lookahead {
    guesses: [Guess; LINES],
    next: usize,
    len: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Guess {
    /// Bytes of the body from the line's first on.
    rest: usize,
    hash: u32,
    series: Option<u32>,
}

impl Lookahead {
    /// Looks up the series of the next lines of `body`, which begins with a line.
    pub fn look(&mut self, table: &Table, space: Space, body: &[u8]) {
        (self.next, self.len) = (0, 0);
        let mut rest = body;
        for guess in &mut self.guesses {
            let Some(key) = key_of_line(rest) else { break };
            let hash = table.hash(space, key);
            table.prefetch_slot(hash);
            *guess = Guess { rest: rest.len(), hash, series: None };
            self.len += 1;
            let behind = rest.get(key.len()..).unwrap_or_default();
            let Some(newline) = memchr(b'\n', behind) else { break };
            rest = behind.get(newline + 1..).unwrap_or_default();
        }
        let guesses = self.guesses.get_mut(..self.len).unwrap_or_default();
        for guess in &mut *guesses {
            guess.series = table.likely(guess.hash);
            if let Some(series) = guess.series {
                table.prefetch_record(series);
            }
        }
        guesses.iter().filter_map(|guess| guess.series).for_each(|series| table.prefetch_key(series));
    }

    /// The guess for the line that begins `rest` bytes before the end of the body: `None` if there is none for it.
    pub fn guess(&mut self, rest: usize) -> Option<Option<u32>> {
        let guesses = self.guesses.get(self.next..self.len)?;
        let at = guesses.iter().position(|guess| guess.rest <= rest)?;
        self.next += at;
        (guesses.get(at)?.rest == rest).then(|| {
            self.next += 1;
            guesses.get(at).and_then(|guess| guess.series)
        })
    }
}

/// The key of the line that `text` begins with, if it is plain. Looks no further than the line goes: bodies may be large
/// and have no blank at all.
pub fn key_of_line(text: &[u8]) -> Option<&[u8]> {
    let end = memchr2(b' ', b'\n', text)?;
    text.get(..end).filter(|_| text.get(end) == Some(&b' '))
}

#[cfg(test)]
mod tests {
    use super::{super::Ingress, *};

    #[test]
    fn guesses_are_for_lines_at_their_place() {
        let mut table = Table::default();
        for n in 0..40 {
            table.insert(Space(0), format!("m,n={n}").as_bytes(), 0, Ingress(0));
        }
        let body: String = (0..40).map(|n| format!("m,n={} v=1\n", n * 7 % 43)).collect();
        let starts: Vec<_> = std::iter::once(0).chain(body.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let mut lookahead = Lookahead::default();
        lookahead.look(&table, Space(0), body.as_bytes());
        for (n, start) in starts.iter().enumerate().take(LINES) {
            if n % 5 == 4 {
                // A line that was not asked for.
                continue;
            }
            let series = n as u32 * 7 % 43;
            assert_eq!(lookahead.guess(body.len() - start), Some((series < 40).then_some(series)), "{n}");
            assert_eq!(lookahead.guess(body.len() - start - 1), None);
        }
        assert_eq!(lookahead.guess(body.len() - starts[LINES]), None);
        lookahead.look(&table, Space(0), b"");
        assert_eq!(lookahead.guess(0), None);
    }
}
