//! Functions on texts: offsets and lengths are in bytes.

use memchr::memmem;

use super::{
    Body, Function,
    Kind::{Bool, Float, Int, Regex, String as Str},
    Signature, signature,
};
use crate::expr::{
    error::Failure,
    operand::{Operand, Text, characters},
    operators::truncated,
};

type Outcome<'a> = Option<Result<Operand<'a>, Failure>>;

pub static FUNCTIONS: &[Function] = &[
    pure("strContains", &[signature(&[Str, Str], Bool)], |a| two(a, |s, sub| is(memmem::find(s, sub).is_some()))),
    pure("strContainsAny", &[signature(&[Str, Str], Bool)], |a| two(a, |s, set| is(first_of(s, set) >= 0))),
    pure("strCount", &[signature(&[Str, Str], Int)], |a| two(a, |s, sub| Operand::Int(count(s, sub)))),
    pure("strHasPrefix", &[signature(&[Str, Str], Bool)], |a| two(a, |s, prefix| is(s.starts_with(prefix)))),
    pure("strHasSuffix", &[signature(&[Str, Str], Bool)], |a| two(a, |s, suffix| is(s.ends_with(suffix)))),
    pure("strIndex", &[signature(&[Str, Str], Int)], |a| two(a, |s, sub| offset(memmem::find(s, sub)))),
    pure("strIndexAny", &[signature(&[Str, Str], Int)], |a| two(a, |s, set| Operand::Int(first_of(s, set)))),
    pure("strLastIndex", &[signature(&[Str, Str], Int)], |a| two(a, |s, sub| offset(memmem::rfind(s, sub)))),
    pure("strLastIndexAny", &[signature(&[Str, Str], Int)], |a| two(a, |s, set| Operand::Int(last_of(s, set)))),
    pure("strLength", &[signature(&[Str], Int)], |a| one(a, |s| Operand::Int(s.as_bytes().len() as i64))),
    pure("strReplace", &[signature(&[Str, Str, Str, Int], Str)], |arguments| match arguments {
        [Operand::Text(s), Operand::Text(old), Operand::Text(new), Operand::Int(limit)] => {
            Some(Ok(Operand::Text(replace(s, old.as_bytes(), new.as_bytes(), *limit))))
        }
        _ => None,
    }),
    pure("strSubstring", &[signature(&[Str, Int, Int], Str)], |arguments| match arguments {
        [Operand::Text(s), Operand::Int(start), Operand::Int(stop)] => {
            Some(substring(s, *start, *stop).map(Operand::Text))
        }
        _ => None,
    }),
    pure("strToLower", &[signature(&[Str], Str)], |a| one(a, |s| Operand::Text(mapped(s, lower)))),
    pure("strToUpper", &[signature(&[Str], Str)], |a| one(a, |s| Operand::Text(mapped(s, upper)))),
    pure("strTrim", &[signature(&[Str, Str], Str)], |a| trim(a, |s, set| trimmed(s, set, true, true))),
    pure("strTrimLeft", &[signature(&[Str, Str], Str)], |a| trim(a, |s, set| trimmed(s, set, true, false))),
    pure("strTrimRight", &[signature(&[Str, Str], Str)], |a| trim(a, |s, set| trimmed(s, set, false, true))),
    pure("strTrimPrefix", &[signature(&[Str, Str], Str)], |a| trim(a, |s, p| s.strip_prefix(p).unwrap_or(s))),
    pure("strTrimSuffix", &[signature(&[Str, Str], Str)], |a| trim(a, |s, p| s.strip_suffix(p).unwrap_or(s))),
    pure("strTrimSpace", &[signature(&[Str], Str)], |a| {
        one(a, |s| Operand::Text(s.cut(|bytes| trimmed_where(bytes, char::is_whitespace, true, true))))
    }),
    pure("regexReplace", &[signature(&[Regex, Str, Str], Str)], |arguments| match arguments {
        [Operand::Regex(pattern), Operand::Text(s), Operand::Text(template)] => {
            let replaced = pattern.replace_all(&s.to_str(), &template.to_str());
            Some(Ok(Operand::Text(replaced.map_or_else(|| s.clone(), Text::from))))
        }
        _ => None,
    }),
    pure("humanBytes", &[signature(&[Int], Str), signature(&[Float], Str)], |arguments| {
        let bytes = match arguments {
            [Operand::Int(x)] => *x as u64,
            // From 2^63 up the unsigned integer still holds the float.
            [Operand::Float(x)] if (9_223_372_036_854_775_808.0..18_446_744_073_709_551_616.0).contains(x) => *x as u64,
            [Operand::Float(x)] => truncated(*x) as u64,
            _ => return None,
        };
        Some(Ok(Operand::Text(human_bytes(bytes).into())))
    }),
];

const fn pure(
    name: &'static str,
    signatures: &'static [Signature],
    body: for<'a> fn(&[Operand<'a>]) -> Outcome<'a>,
) -> Function {
    Function { name, signatures, body: Body::Pure(body) }
}

fn one<'a>(arguments: &[Operand<'a>], body: fn(&Text<'a>) -> Operand<'a>) -> Outcome<'a> {
    match arguments {
        [Operand::Text(s)] => Some(Ok(body(s))),
        _ => None,
    }
}

fn two<'a>(arguments: &[Operand<'a>], body: fn(&[u8], &[u8]) -> Operand<'a>) -> Outcome<'a> {
    match arguments {
        [Operand::Text(s), Operand::Text(other)] => Some(Ok(body(s.as_bytes(), other.as_bytes()))),
        _ => None,
    }
}

fn trim<'a>(arguments: &[Operand<'a>], body: for<'b> fn(&'b [u8], &[u8]) -> &'b [u8]) -> Outcome<'a> {
    match arguments {
        [Operand::Text(s), Operand::Text(other)] => {
            Some(Ok(Operand::Text(s.cut(|bytes| body(bytes, other.as_bytes())))))
        }
        _ => None,
    }
}

fn is<'a>(truth: bool) -> Operand<'a> {
    Operand::Bool(truth)
}

fn offset<'a>(found: Option<usize>) -> Operand<'a> {
    Operand::Int(found.map_or(-1, |offset| offset as i64))
}

fn in_set(set: &[u8]) -> impl Fn(char) -> bool + '_ {
    move |character| characters(set).any(|(_, member)| member == character)
}

fn first_of(s: &[u8], set: &[u8]) -> i64 {
    let is_member = in_set(set);
    characters(s).find(|(_, c)| is_member(*c)).map_or(-1, |(offset, _)| offset as i64)
}

fn last_of(s: &[u8], set: &[u8]) -> i64 {
    let is_member = in_set(set);
    characters(s).filter(|(_, c)| is_member(*c)).last().map_or(-1, |(offset, _)| offset as i64)
}

fn count(s: &[u8], sub: &[u8]) -> i64 {
    let found = if sub.is_empty() { characters(s).count() + 1 } else { memmem::find_iter(s, sub).count() };
    found as i64
}

/// The first `limit` occurrences of `old` replaced, all if it is negative. An empty `old` is before each character and
/// at the end.
fn replace<'a>(text: &Text<'a>, old: &[u8], new: &[u8], limit: i64) -> Text<'a> {
    let s = text.as_bytes();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let offsets: Vec<usize> = if old.is_empty() {
        characters(s).map(|(offset, _)| offset).chain([s.len()]).take(limit).collect()
    } else {
        memmem::find_iter(s, old).take(limit).collect()
    };
    if offsets.is_empty() {
        return text.clone();
    }
    let mut result = Vec::with_capacity(s.len() + offsets.len() * new.len());
    let mut copied = 0;
    for offset in offsets {
        result.extend_from_slice(&s[copied..offset]);
        result.extend_from_slice(new);
        copied = offset + old.len();
    }
    result.extend_from_slice(&s[copied..]);
    Text::Owned(result)
}

/// Bytes from `start` up to `stop`, which must be less than the length: the last byte can never be had.
fn substring<'a>(text: &Text<'a>, start: i64, stop: i64) -> Result<Text<'a>, Failure> {
    let first = usize::try_from(start).map_err(|_| Failure::NegativeIndex(start))?;
    let end = usize::try_from(stop).map_err(|_| Failure::NegativeIndex(stop))?;
    if end >= text.as_bytes().len() {
        return Err(Failure::StopPastEnd(stop));
    }
    if first > end {
        return Err(Failure::StartPastStop { start, stop });
    }
    Ok(text.cut(|bytes| bytes.get(first..end).unwrap_or_default()))
}

fn mapped<'a>(text: &Text<'a>, map: fn(char) -> char) -> Text<'a> {
    characters(text.as_bytes()).map(|(_, character)| map(character)).collect::<String>().into()
}

/// The one character of lower case; only `İ` has more than one, of which the first counts.
fn lower(character: char) -> char {
    character.to_lowercase().next().unwrap_or(character)
}

/// The one character of upper case, itself if upper case takes several.
fn upper(character: char) -> char {
    let mut upper = character.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(only), None) => only,
        // Greek letters with iota subscript have an upper case of one character next to one of two.
        _ => match character as u32 {
            c @ (0x1f80..=0x1f87 | 0x1f90..=0x1f97 | 0x1fa0..=0x1fa7) => char::from_u32(c + 8).unwrap_or(character),
            c @ (0x1fb3 | 0x1fc3 | 0x1ff3) => char::from_u32(c + 9).unwrap_or(character),
            _ => character,
        },
    }
}

fn trimmed<'b>(s: &'b [u8], set: &[u8], left: bool, right: bool) -> &'b [u8] {
    trimmed_where(s, in_set(set), left, right)
}

fn trimmed_where(s: &[u8], strip: impl Fn(char) -> bool, left: bool, right: bool) -> &[u8] {
    let mut start = if left { s.len() } else { 0 };
    let mut end = if right { 0 } else { s.len() };
    let mut kept = characters(s).filter(|(_, character)| !strip(*character)).peekable();
    if let (true, Some((offset, _))) = (left, kept.peek()) {
        start = *offset;
    }
    if let (true, Some((offset, _))) = (right, kept.last()) {
        let width = characters(&s[offset..]).nth(1).map_or(s.len() - offset, |(width, _)| width);
        end = offset + width;
    }
    s.get(start..end).unwrap_or_default()
}

/// A number of bytes for people: at most two digits and a decimal unit.
fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 10 {
        return format!("{bytes} B");
    }
    let exponent = ((bytes as f64).ln() / 1000f64.ln()).floor();
    let unit = UNITS.get(exponent as usize).copied().unwrap_or("EB");
    let number = (bytes as f64 / 1000f64.powi(exponent as i32) * 10.0 + 0.5).floor() / 10.0;
    if number < 10.0 { format!("{number:.1} {unit}") } else { format!("{number:.0} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_for_people() {
        let shown = [
            (0, "0 B"),
            (9, "9 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (9_949, "9.9 kB"),
            (9_950, "10 kB"),
            (100_500, "100 kB"),
            (999_999, "1000 kB"),
            (1_000_000, "1.0 MB"),
            (1_500_000_000, "1.5 GB"),
            (1_000_000_000_000_000_000, "1.0 EB"),
            (u64::MAX, "18 EB"),
        ];
        for (bytes, text) in shown {
            assert_eq!(human_bytes(bytes), text);
        }
    }

    #[test]
    fn case_maps_one_character_to_one() {
        let text = |s: &'static str| Text::Slice(s.as_bytes());
        assert_eq!(mapped(&text("Straße ǅ ﬁ ᾳ"), upper).to_str(), "STRAßE Ǆ ﬁ ᾼ");
        assert_eq!(mapped(&text("İÉΣ ǅ"), lower).to_str(), "iéσ ǆ");
    }

    #[test]
    fn trimming_stops_at_whole_characters() {
        assert_eq!(trimmed("ééaéé".as_bytes(), "é".as_bytes(), true, true), b"a");
        assert_eq!(trimmed("éaé".as_bytes(), b"a", false, true), "éaé".as_bytes());
        assert_eq!(trimmed(b"xxx", b"x", true, true), b"");
        assert_eq!(trimmed(b"xxx", b"x", false, true), b"");
        assert_eq!(trimmed(b"", b"x", true, false), b"");
        assert_eq!(trimmed_where("\u{a0}\u{2003} a b\r\n".as_bytes(), char::is_whitespace, true, true), b"a b");
    }

    #[test]
    fn substrings_never_hold_the_last_byte() {
        let text = Text::Slice(b"hello");
        assert_eq!(substring(&text, 1, 4).map(|text| text.as_bytes().to_vec()), Ok(b"ell".to_vec()));
        assert!(substring(&text, 2, 2).is_ok_and(|text| text.as_bytes().is_empty()));
        assert!(matches!(substring(&text, 0, 5), Err(Failure::StopPastEnd(5))));
        assert!(matches!(substring(&text, -1, 2), Err(Failure::NegativeIndex(-1))));
        assert!(matches!(substring(&text, 3, 1), Err(Failure::StartPastStop { .. })));
    }
}
