//! The dialect of regular expressions in scripts, said in that of the `regex` crate.
//!
//! Scripts use RE2 syntax with ASCII classes (reference: tickscript §3, "Regex dialect"). [`translate`] rewrites what is
//! spelt otherwise, refuses what only the other dialect knows, and leaves the rest to the compiler of the pattern.

/// Why a pattern is refused, in the words of the original.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialectError {
    #[error("invalid escape sequence: `{0}`")]
    Escape(String),
    #[error("invalid or unsupported Perl syntax: `{0}`")]
    Syntax(String),
    #[error("invalid nested repetition operator: `{0}`")]
    NestedRepeat(String),
    #[error("invalid repeat count: `{0}`")]
    RepeatCount(String),
    #[error("missing argument to repetition operator: `{0}`")]
    MissingOperand(String),
    #[error("missing closing ]: `{0}`")]
    UnclosedClass(String),
    #[error("trailing backslash at end of expression")]
    TrailingBackslash,
}

/// Largest count of one repeat.
const REPEAT_MAX: u32 = 1_000;

/// The same pattern in the dialect of the `regex` crate.
pub fn translate(pattern: &str) -> Result<String, DialectError> {
    let mut translator = Translator {
        rest: pattern,
        out: String::with_capacity(pattern.len() + 8),
        last: Last::Nothing,
        repeats: Vec::new(),
        inside: 1,
        last_repeats: 1,
        names: Vec::new(),
    };
    while let Some(c) = translator.rest.chars().next() {
        translator.step(c)?;
    }
    Ok(translator.out)
}

struct Translator<'a> {
    rest: &'a str,
    out: String,
    last: Last,
    /// Of each open group, how often the most repeated part in front of it is repeated.
    repeats: Vec<u32>,
    /// The same of the part that is being read.
    inside: u32,
    /// How often the most repeated part of the last operand is repeated.
    last_repeats: u32,
    /// Names of groups so far.
    names: Vec<&'a str>,
}

/// What a repeat would apply to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Nothing,
    Operand,
    Repeat,
}

impl<'a> Translator<'a> {
    fn take(&mut self, bytes: usize) {
        let (text, rest) = self.rest.split_at(bytes);
        self.out.push_str(text);
        self.rest = rest;
    }

    fn step(&mut self, c: char) -> Result<(), DialectError> {
        match c {
            '\\' => self.escape(),
            '[' => self.class(),
            '(' => self.group(),
            ')' => {
                self.take(1);
                self.last = Last::Operand;
                self.last_repeats = self.inside;
                self.inside = self.inside.max(self.repeats.pop().unwrap_or(1));
                Ok(())
            }
            '|' => {
                self.take(1);
                self.last = Last::Nothing;
                Ok(())
            }
            '*' | '+' | '?' => self.repeat(1),
            '{' => match braces(self.rest) {
                Some((bytes, low, high)) => {
                    let text = || self.rest[..bytes].to_owned();
                    if low > REPEAT_MAX || high.is_some_and(|high| high > REPEAT_MAX || high < low) {
                        return Err(DialectError::RepeatCount(text()));
                    }
                    // Counts of nested repeats multiply.
                    let repeats = self.last_repeats.saturating_mul(high.unwrap_or(low).max(1));
                    if repeats > REPEAT_MAX {
                        return Err(DialectError::RepeatCount(text()));
                    }
                    self.inside = self.inside.max(repeats);
                    self.repeat(bytes)
                }
                None => self.literal("\\{", 1),
            },
            '}' => self.literal("\\}", 1),
            ']' => self.literal("\\]", 1),
            // An anchor may be repeated, which means nothing and is allowed.
            c => {
                self.take(c.len_utf8());
                self.operand();
                Ok(())
            }
        }
    }

    fn literal(&mut self, text: &str, bytes: usize) -> Result<(), DialectError> {
        self.out.push_str(text);
        self.rest = &self.rest[bytes..];
        self.operand();
        Ok(())
    }

    /// What was read can be repeated.
    fn operand(&mut self) {
        self.last = Last::Operand;
        self.last_repeats = 1;
    }

    fn repeat(&mut self, bytes: usize) -> Result<(), DialectError> {
        let operator = self.rest[..bytes].to_owned();
        match self.last {
            Last::Nothing => return Err(DialectError::MissingOperand(operator)),
            Last::Repeat => return Err(DialectError::NestedRepeat(operator)),
            Last::Operand => {}
        }
        self.take(bytes);
        if self.rest.starts_with('?') {
            self.take(1);
        }
        self.last = Last::Repeat;
        Ok(())
    }

    fn group(&mut self) -> Result<(), DialectError> {
        let rest = self.rest;
        self.last = Last::Nothing;
        let Some(inside) = rest.strip_prefix("(?") else {
            self.open();
            self.take(1);
            return Ok(());
        };
        if let Some(named) = inside.strip_prefix("P<") {
            self.open();
            let name = named.split('>').next().unwrap_or_default();
            self.take(4 + name.len());
            // One name may stand for several groups; here each has its own, which no pattern can spell.
            let before = self.names.iter().filter(|other| **other == name).count();
            if before > 0 {
                self.out.push_str(&format!(".{before}"));
            }
            self.names.push(name);
            return Ok(());
        }
        let end = inside.find([':', ')']).unwrap_or(inside.len());
        let flags = &inside[..end];
        let known = flags.chars().all(|c| matches!(c, 'i' | 'm' | 's' | 'U' | '-'));
        if !known || end == inside.len() || flags.ends_with('-') {
            let shown = rest.chars().take(end + 3).collect();
            return Err(DialectError::Syntax(shown));
        }
        // `(?i)` sets flags and is no group.
        if inside[end..].starts_with(':') {
            self.open();
        }
        self.take(2 + end + 1);
        Ok(())
    }

    fn open(&mut self) {
        self.repeats.push(self.inside);
        self.inside = 1;
    }

    fn escape(&mut self) -> Result<(), DialectError> {
        let rest = self.rest;
        let Some(c) = rest[1..].chars().next() else { return Err(DialectError::TrailingBackslash) };
        if c == 'Q' {
            let text = &rest[2..];
            let end = text.find("\\E").unwrap_or(text.len());
            for quoted in text[..end].chars() {
                push_literal(quoted, &mut self.out);
                self.operand();
            }
            self.rest = text[end..].strip_prefix("\\E").unwrap_or(&text[end..]);
            return Ok(());
        }
        if matches!(c, 'A' | 'z' | 'b' | 'B') {
            let text = match c {
                'b' => "(?-u:\\b)",
                'B' => "(?-u:\\B)",
                'A' => "\\A",
                _ => "\\z",
            };
            return self.literal(text, 2);
        }
        let (text, bytes) = class_escape(rest)?;
        self.literal(&text, bytes)
    }

    fn class(&mut self) -> Result<(), DialectError> {
        let whole = self.rest;
        let unclosed = || DialectError::UnclosedClass(whole.to_owned());
        let mut rest = &whole[1..];
        let mut out = "[".to_owned();
        if let Some(behind) = rest.strip_prefix('^') {
            out.push('^');
            rest = behind;
        }
        let mut first = true;
        loop {
            let c = rest.chars().next().ok_or_else(unclosed)?;
            match c {
                ']' if !first => break,
                '[' if rest.starts_with("[:") => {
                    let end = rest.find(":]").ok_or_else(unclosed)? + 2;
                    out.push_str(&rest[..end]);
                    rest = &rest[end..];
                }
                '\\' => {
                    let (text, bytes) = class_escape(rest)?;
                    out.push_str(&text);
                    rest = &rest[bytes..];
                    // `[\d-z]`: the dash behind a class is itself.
                    if text.starts_with('[') && rest.starts_with('-') && !rest.starts_with("-]") {
                        out.push_str("\\-");
                        rest = &rest[1..];
                    }
                }
                '-' => {
                    // A range keeps its dash; one that begins or ends the class is literal in both dialects, and a
                    // second one behind it must not become a set operation.
                    out.push('-');
                    rest = &rest[1..];
                    if rest.starts_with('-') {
                        out.push_str("\\-");
                        rest = &rest[1..];
                    }
                }
                '&' | '~' | '[' | ']' => {
                    out.push('\\');
                    out.push(c);
                    rest = &rest[1..];
                }
                c => {
                    out.push(c);
                    rest = &rest[c.len_utf8()..];
                }
            }
            first = false;
        }
        out.push(']');
        self.out.push_str(&out);
        self.rest = &rest[1..];
        self.operand();
        Ok(())
    }
}

/// The name that a pattern gave to a group of its translation.
pub fn group_name(translated: &str) -> &str {
    translated.split('.').next().unwrap_or_default()
}

/// An escape that means the same inside and outside a class, and its bytes.
fn class_escape(rest: &str) -> Result<(String, usize), DialectError> {
    let mut chars = rest[1..].chars();
    let Some(c) = chars.next() else { return Err(DialectError::TrailingBackslash) };
    let bad = |bytes: usize| DialectError::Escape(rest.get(..bytes).unwrap_or(rest).to_owned());
    Ok(match c {
        'd' => ("[0-9]".into(), 2),
        'D' => ("[^0-9]".into(), 2),
        'w' => ("[0-9A-Za-z_]".into(), 2),
        'W' => ("[^0-9A-Za-z_]".into(), 2),
        's' => ("[\\t\\n\\x0C\\r\\x20]".into(), 2),
        'S' => ("[^\\t\\n\\x0C\\r\\x20]".into(), 2),
        'a' => ("\\x07".into(), 2),
        'f' => ("\\x0C".into(), 2),
        'v' => ("\\x0B".into(), 2),
        't' | 'n' | 'r' => (format!("\\{c}"), 2),
        'p' | 'P' => match rest[2..].strip_prefix('{') {
            Some(name) => {
                let end = name.find('}').ok_or_else(|| bad(2))?;
                (rest[..end + 4].to_owned(), end + 4)
            }
            None => {
                let name = rest[2..].chars().next().ok_or_else(|| bad(2))?;
                (format!("\\{c}{{{name}}}"), 2 + name.len_utf8())
            }
        },
        'x' => {
            let (digits, bytes) = match rest[2..].strip_prefix('{') {
                Some(inside) => {
                    let end = inside.find('}').ok_or_else(|| bad(3))?;
                    (&inside[..end], end + 4)
                }
                None => (rest.get(2..4).ok_or_else(|| bad(rest.len()))?, 4),
            };
            let hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            let code = u32::from_str_radix(digits, 16).ok().filter(|_| hex).and_then(char::from_u32);
            code.map(|_| (format!("\\x{{{digits}}}"), bytes)).ok_or_else(|| bad(bytes))?
        }
        '0' => octal(rest, 1),
        '1'..='7' if rest[2..].starts_with(|c: char| ('0'..='7').contains(&c)) => octal(rest, 1),
        c if c.is_ascii_punctuation() => {
            let mut text = String::new();
            push_literal(c, &mut text);
            (text, 2)
        }
        c => return Err(bad(1 + c.len_utf8())),
    })
}

/// Up to three octal digits.
fn octal(rest: &str, from: usize) -> (String, usize) {
    let digits: String = rest[from..].chars().take(3).take_while(|c| ('0'..='7').contains(c)).collect();
    let code = u32::from_str_radix(&digits, 8).unwrap_or_default();
    (format!("\\x{{{code:x}}}"), from + digits.len())
}

/// A character that stands for itself; also inside a class.
fn push_literal(c: char, out: &mut String) {
    if c.is_ascii_punctuation()
        && c != '_'
        && c != '<'
        && c != '>'
        && c != '/'
        && !matches!(c, '"' | '\'' | '!' | '%' | ',' | ':' | ';' | '=' | '@' | '`')
    {
        out.push('\\');
    }
    out.push(c);
}

/// A repeat `{n}`, `{n,}` or `{n,m}`: its bytes and counts; any other brace is literal.
fn braces(rest: &str) -> Option<(usize, u32, Option<u32>)> {
    let end = rest.find('}')?;
    let inside = &rest[1..end];
    let number = |text: &str| {
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // A count that is no 32-bit number is over every limit.
        plain.then(|| text.parse::<u32>().unwrap_or(u32::MAX))
    };
    let (low, high) = match inside.split_once(',') {
        None => (number(inside)?, Some(number(inside)?)),
        Some((low, "")) => (number(low)?, None),
        Some((low, high)) => (number(low)?, Some(number(high)?)),
    };
    Some((end + 1, low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_the_dialect_are_translated() {
        let cases = [
            (r"^a\d+\.b$", r"^a[0-9]+\.b$"),
            (r"\Qa.b\E+", r"a\.b+"),
            (r"\101\0", r"\x{41}\x{0}"),
            (r"[]a]", r"[\]a]"),
            (r"[\d-z]", r"[[0-9]\-z]"),
            (r"[a&&b]", r"[a\&\&b]"),
            (r"a{", r"a\{"),
            (r"a{,2}", r"a\{,2\}"),
            (r"a{1,2}?", r"a{1,2}?"),
            (r"\pL\p{Greek}", r"\p{L}\p{Greek}"),
            (r"(?i)k", r"(?i)k"),
            (r"(?P<n>x)", r"(?P<n>x)"),
            (r"(?P<n>x)|(?P<n>y)(?P<m>z)(?P<n>)", r"(?P<n>x)|(?P<n.1>y)(?P<m>z)(?P<n.2>)"),
            (r"(a{100}){10}b{1000}", r"(a{100}){10}b{1000}"),
            (r"\<", "<"),
        ];
        for (pattern, expected) in cases {
            assert_eq!(translate(pattern).as_deref(), Ok(expected), "{pattern}");
        }
    }

    #[test]
    fn what_only_the_other_dialect_knows_is_refused() {
        for pattern in [
            r"\Z",
            r"\C",
            r"\h",
            r"\1",
            r"(?x)a",
            r"(?<n>a)",
            r"(?#c)",
            "a**",
            "a++",
            "a{1001}",
            "a{2,1}",
            r"\é",
            "a\\",
            "[a",
            r"\x7",
            "*",
            "(a{100}){11}",
            "(b(a{10,}c)?){101}",
            "((?i)a{2}){501}",
        ] {
            assert!(translate(pattern).is_err(), "{pattern}");
        }
    }
}
