//! Regular expressions of an expression, compiled once, and what is remembered of their matches.

use std::rc::Rc;

use proto::regex_dialect::{group_name, translate};
use regex::{Captures, Regex};

/// A regular expression in the dialect of TICKscript (reference: tickscript §3).
#[derive(Debug)]
pub struct Pattern(Regex);

/// A regular expression that cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {0}")]
pub struct BadPattern(String);

impl Pattern {
    pub fn new(source: &str) -> Result<Pattern, BadPattern> {
        let source = translate(source).map_err(|error| BadPattern(error.to_string()))?;
        Regex::new(&source).map(Pattern).map_err(|error| BadPattern(error.to_string()))
    }

    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// `text` with all matches replaced by `template`; `None` if there is no match.
    pub fn replace_all(&self, text: &str, template: &str) -> Option<String> {
        let mut matches = self.0.captures_iter(text).peekable();
        matches.peek()?;
        let mut result = String::with_capacity(text.len());
        let mut copied = 0;
        for captures in matches {
            let Some(whole) = captures.get(0) else { continue };
            result.push_str(&text[copied..whole.start()]);
            self.expand(template, &captures, &mut result);
            copied = whole.end();
        }
        result.push_str(&text[copied..]);
        Some(result)
    }

    /// Appends `template` with its `$1`, `$name`, `${name}` and `$$` (reference: tickscript §10, `regexReplace`).
    fn expand(&self, template: &str, captures: &Captures<'_>, result: &mut String) {
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('$') {
            result.push_str(before);
            rest = after;
            if let Some(after) = rest.strip_prefix('$') {
                result.push('$');
                rest = after;
            } else if let Some((name, after)) = named_group(rest) {
                result.push_str(self.group(captures, name).unwrap_or(""));
                rest = after;
            } else {
                result.push('$');
            }
        }
        result.push_str(rest);
    }

    /// What a group matched: a number without leading zeros is an index. Of groups of one name the first that took part.
    fn group<'t>(&self, captures: &Captures<'t>, name: &str) -> Option<&'t str> {
        let is_index = name.bytes().all(|byte| byte.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
        let group = if is_index {
            captures.get(name.parse().ok()?)
        } else {
            let names = self.0.capture_names().enumerate();
            let mut named = names.filter(|(_, group)| group.is_some_and(|group| group_name(group) == name));
            named.find_map(|(index, _)| captures.get(index))
        };
        group.map(|group| group.as_str())
    }
}

/// The name of a group at the start of a template's rest, and what follows it.
fn named_group(text: &str) -> Option<(&str, &str)> {
    let braced = text.strip_prefix('{');
    let start = braced.unwrap_or(text);
    let end = start.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(start.len());
    let (name, rest) = start.split_at(end);
    if name.is_empty() {
        return None;
    }
    let rest = if braced.is_some() { rest.strip_prefix('}')? } else { rest };
    Some((name, rest))
}

/// Matches of one pattern on texts of tags, which all points of a series share.
///
/// Each slot holds its text, so that an address stands for one text as long as it is remembered.
#[derive(Debug, Default)]
pub struct MatchCache {
    slots: Vec<Option<(Rc<str>, bool)>>,
    /// Texts that took another one's place since the slots were made.
    displaced: usize,
}

impl MatchCache {
    /// It starts with the least and grows while texts displace each other.
    const SLOTS_MIN: usize = 64;
    const SLOTS_MAX: usize = 1 << 18;

    /// Whether `pattern` matches `text`; always asked with the same pattern.
    pub fn is_match(&mut self, pattern: &Pattern, text: &Rc<str>) -> bool {
        if self.displaced >= self.slots.len() && self.slots.len() < Self::SLOTS_MAX {
            let slots = (self.slots.len() * 4).max(Self::SLOTS_MIN);
            self.slots.clear();
            self.slots.resize_with(slots, || None);
            self.displaced = 0;
        }
        // Texts are at least 16 bytes apart; the multiplication spreads the rest of the address.
        let address = text.as_ptr() as usize as u64 >> 4;
        let slot = (address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & (self.slots.len() - 1);
        match &mut self.slots[slot] {
            Some((known, matched)) if Rc::ptr_eq(known, text) => *matched,
            other => {
                let matched = pattern.is_match(text);
                self.displaced += usize::from(other.is_some());
                *other = Some((text.clone(), matched));
                matched
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(pattern: &str, text: &str, template: &str) -> Option<String> {
        Pattern::new(pattern).unwrap().replace_all(text, template)
    }

    #[test]
    fn templates_name_groups() {
        let cases = [
            ("${2}-$1", "b-a!"),
            ("$1x", "!"),
            ("${1}x", "ax!"),
            ("$x$$", "b$!"),
            ("$", "$!"),
            ("a$-${x", "a$-${x!"),
            ("${}$9$01", "${}!"),
            ("$0$0", "abab!"),
        ];
        for (template, result) in cases {
            assert_eq!(replaced("(a)(?P<x>b)", "ab!", template).as_deref(), Some(result), "{template}");
        }
        assert_eq!(replaced("(?P<x>a)|(?P<x>b)", "ab", "<$x>").as_deref(), Some("<a><b>"));
        assert_eq!(replaced("z", "ab", "x"), None);
        assert_eq!(replaced("x*", "axé", "-").as_deref(), Some("-a-é-"));
    }

    #[test]
    fn remembered_matches_are_those_of_the_text() {
        let pattern = Pattern::new("^web").unwrap();
        let mut cache = MatchCache::default();
        let texts: Vec<Rc<str>> =
            (0..2000).map(|n| if n % 3 == 0 { format!("web{n}") } else { format!("db{n}") }.into()).collect();
        for _ in 0..2 {
            for text in &texts {
                assert_eq!(cache.is_match(&pattern, text), text.starts_with("web"));
            }
        }
    }
}
