//! Which elements of a list an answer shows (reference: http-api §10).

use std::num::{IntErrorKind, ParseIntError};

/// What a list query asks for.
#[derive(Clone, Debug)]
pub struct Page {
    pub pattern: Pattern,
    pub offset: usize,
    /// Negative: everything.
    pub limit: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    #[error("invalid {name} parameter {value:?} must be an integer: strconv.ParseInt: parsing {value:?}: {reason}")]
    NotAnInteger { name: &'static str, value: String, reason: &'static str },
}

/// A shell pattern over ids: `*` and `?` do not match `/`; a malformed one matches nothing.
#[derive(Clone, Debug)]
pub enum Pattern {
    All,
    Glob(glob::Pattern),
    Nothing,
}

impl Pattern {
    pub fn new(text: &str) -> Pattern {
        if text.is_empty() {
            return Pattern::All;
        }
        match translated(text).and_then(|text| glob::Pattern::new(&text).ok()) {
            Some(pattern) => Pattern::Glob(pattern),
            None => Pattern::Nothing,
        }
    }

    pub fn matches(&self, id: &str) -> bool {
        let options = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: false,
        };
        match self {
            Pattern::All => true,
            Pattern::Glob(pattern) => pattern.matches_with(id, options),
            Pattern::Nothing => false,
        }
    }
}

impl Page {
    pub fn new(pattern: &str, offset: &str, limit: &str) -> Result<Page, ListError> {
        let integer = |name, value: &str, default: i64| match value {
            "" => Ok(default),
            value => value.parse().map_err(|error: ParseIntError| {
                let beyond = matches!(error.kind(), IntErrorKind::PosOverflow | IntErrorKind::NegOverflow);
                let reason = if beyond { "value out of range" } else { "invalid syntax" };
                ListError::NotAnInteger { name, value: value.to_owned(), reason }
            }),
        };
        let offset = integer("offset", offset, 0)?.max(0);
        Ok(Page {
            pattern: Pattern::new(pattern),
            offset: offset.unsigned_abs() as usize,
            limit: integer("limit", limit, 100)?,
        })
    }
}

impl Page {
    /// The page's part of a list. A negative limit gives everything, whatever the pattern.
    pub fn of<T>(&self, all: Vec<T>, id: impl Fn(&T) -> &str) -> Vec<T> {
        let Ok(limit) = usize::try_from(self.limit) else { return all };
        all.into_iter().filter(|item| self.pattern.matches(id(item))).skip(self.offset).take(limit).collect()
    }
}

/// The pattern in the spelling of the `glob` crate: classes negate with `!`, escapes are classes of one, and there is no
/// `**`. `None` for a malformed pattern.
fn translated(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' => {
                if !out.ends_with('*') {
                    out.push('*');
                }
            }
            '\\' => out.push_str(&glob::Pattern::escape(&chars.next()?.to_string())),
            '[' => {
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('!');
                }
                let mut members = String::new();
                loop {
                    match chars.next()? {
                        ']' if members.is_empty() => return None,
                        ']' => break,
                        '\\' => members.push(chars.next()?),
                        '-' if members.is_empty() || chars.peek() == Some(&']') => return None,
                        c => members.push(c),
                    }
                }
                // A leading `!` is a member here and a negation there.
                match members.strip_prefix('!') {
                    Some(rest) if !out.ends_with('!') => out.push_str(&format!("{rest}!")),
                    _ => out.push_str(&members),
                }
                out.push(']');
            }
            c => out.push(c),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_the_original() {
        let matches = |pattern: &str, id: &str| Pattern::new(pattern).matches(id);
        assert!(matches("", "anything"));
        assert!(matches("cpu*", "cpu_alert") && !matches("cpu*", "mem"));
        assert!(!matches("*", "a/b") && matches("**", "ab") && !matches("**", "a/b"));
        assert!(matches("?a[a-c][^x]", "1aby") && !matches("?a[a-c][^x]", "1abx"));
        assert!(matches("[!a]", "!") && matches("[!a]", "a") && !matches("[!a]", "b"));
        assert!(matches(r"\*", "*") && !matches(r"\*", "a"));
        for malformed in ["[", "[]", "[a", "[-a]", "[a-]", "\\"] {
            assert!(!matches(malformed, malformed) && !matches(malformed, "a"), "{malformed}");
        }
    }

    #[test]
    fn numbers_of_a_page_must_be_integers() {
        assert!(Page::new("", "x", "").unwrap_err().to_string().ends_with("invalid syntax"));
        let beyond = Page::new("", "", "99999999999999999999").unwrap_err().to_string();
        assert!(beyond.ends_with("value out of range"), "{beyond}");
        let page = Page::new("", "-3", "").unwrap();
        assert_eq!((page.offset, page.limit), (0, 100));
        assert_eq!(Page::new("", "", "+2").unwrap().limit, 2);
    }
}
