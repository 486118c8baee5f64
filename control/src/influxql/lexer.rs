//! Words of InfluxQL.

/// A word with its place: characters on its line, from 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    pub kind: Kind,
    /// As written, for errors.
    pub text: String,
    pub line: usize,
    pub column: usize,
    /// A blank stands before it.
    pub spaced: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Unquoted, as written.
    Word(String),
    Quoted(String),
    String(String),
    Integer(String),
    Float(f64),
    /// Nanoseconds.
    Duration(i64),
    Regex(String),
    /// An operator or a mark.
    Mark(&'static str),
    End,
    Bad,
}

const MARKS: [&str; 25] = [
    "::", "=~", "!~", "!=", "<>", "<=", ">=", "=", "<", ">", "+", "-", "*", "/", "%", "&", "|", "^", "(", ")", ",",
    ".", ";", ":", "$",
];

/// Units of durations, in nanoseconds; longer spellings first.
const UNITS: [(&str, i64); 10] = [
    ("ns", 1),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("u", 1_000),
    ("µ", 1_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// Cuts a text into words; the last is [`Kind::End`].
pub fn tokens(text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut rest = text;
    let (mut line, mut column) = (1, 1);
    let mut spaced = false;
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() {
            (line, column) = if first == '\n' { (line + 1, 1) } else { (line, column + 1) };
            rest = &rest[first.len_utf8()..];
            spaced = true;
            continue;
        }
        let (kind, length) = word(rest, operand_expected(tokens.last()));
        let (read, behind) = rest.split_at(length);
        tokens.push(Token { kind, text: read.to_owned(), line, column, spaced });
        column += read.chars().count();
        rest = behind;
        spaced = false;
    }
    // The original counts the place behind the end.
    tokens.push(Token { kind: Kind::End, text: "EOF".to_owned(), line, column: column + 1, spaced });
    tokens
}

/// Where an operand may stand, a slash begins a regular expression.
fn operand_expected(before: Option<&Token>) -> bool {
    match before.map(|token| &token.kind) {
        None => true,
        Some(Kind::Word(word)) => ["FROM", "SELECT", "BY", "WHERE", "AND", "OR", "DISTINCT"]
            .iter()
            .any(|known| word.eq_ignore_ascii_case(known)),
        Some(Kind::Mark(mark)) => !matches!(*mark, ")" | "*"),
        Some(_) => false,
    }
}

fn word(text: &str, operand: bool) -> (Kind, usize) {
    let first = text.chars().next().unwrap_or_default();
    if first.is_ascii_alphabetic() || first == '_' {
        let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
        return (Kind::Word(text[..end].to_owned()), end);
    }
    match first {
        '"' => quoted(text, '"').map_or((Kind::Bad, text.len()), |(value, end)| (Kind::Quoted(value), end)),
        '\'' => quoted(text, '\'').map_or((Kind::Bad, text.len()), |(value, end)| (Kind::String(value), end)),
        '/' if operand => regex(text).map_or((Kind::Bad, text.len()), |(value, end)| (Kind::Regex(value), end)),
        '0'..='9' => number(text),
        '.' if text[1..].starts_with(|c: char| c.is_ascii_digit()) => number(text),
        _ => match MARKS.iter().find(|mark| text.starts_with(**mark)) {
            Some(mark) => (Kind::Mark(mark), mark.len()),
            None => (Kind::Bad, first.len_utf8()),
        },
    }
}

fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Some((value, at + 1)),
            '\n' => return None,
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                c @ ('\\' | '"' | '\'') => value.push(c),
                _ => return None,
            },
            c => value.push(c),
        }
    }
    None
}

fn regex(text: &str) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '/' => return Some((value, at + 1)),
            '\n' => return None,
            '\\' if chars.peek().is_some_and(|(_, next)| *next == '/') => {
                chars.next();
                value.push('/');
            }
            c => value.push(c),
        }
    }
    None
}

fn number(text: &str) -> (Kind, usize) {
    let digits = |from: usize| from + text[from..].bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(0);
    if text[whole..].starts_with('.') && text[whole + 1..].starts_with(|c: char| c.is_ascii_digit()) {
        let end = digits(whole + 1);
        return match text[..end].parse() {
            Ok(value) => (Kind::Float(value), end),
            Err(_) => (Kind::Bad, end),
        };
    }
    let mut nanoseconds: i64 = 0;
    let mut end = whole;
    let mut start = 0;
    let mut any = false;
    while let Some((unit, size)) = unit(&text[end..]) {
        let Some(part) = text[start..end].parse::<i64>().ok().and_then(|count| count.checked_mul(size)) else {
            return (Kind::Bad, end);
        };
        nanoseconds = nanoseconds.saturating_add(part);
        any = true;
        start = end + unit.len();
        end = digits(start);
        if end == start {
            return (Kind::Duration(nanoseconds), start);
        }
    }
    match any {
        true => (Kind::Bad, end),
        false => (Kind::Integer(text[..whole].to_owned()), whole),
    }
}

fn unit(text: &str) -> Option<(&'static str, i64)> {
    if text.starts_with('w') {
        return Some(("w", 7 * 86_400_000_000_000));
    }
    UNITS.iter().find(|(unit, _)| text.starts_with(unit)).copied()
}
