//! A script as tokens.
//!
//! reference: tickscript §1. What a character means depends on the token before it: behind an operand `/` divides and
//! `*` multiplies, elsewhere they begin a regular expression and a star.

use super::{
    ast::Comment,
    literal::{self, LiteralError},
};

#[derive(Clone, Debug, PartialEq)]
pub enum TokenKind {
    Var,
    Dbrp,
    True,
    False,
    And,
    Or,
    Lambda,
    Identifier(String),
    Int {
        value: i64,
        octal: bool,
    },
    Float(f64),
    Duration {
        value: i64,
        text: String,
    },
    String {
        value: String,
        triple: bool,
    },
    Reference(String),
    Regex {
        pattern: String,
        text: String,
    },
    Plus,
    Minus,
    Multiply,
    Divide,
    Modulo,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    RegexMatch,
    RegexNotMatch,
    Not,
    Assign,
    Pipe,
    Dot,
    At,
    LeftParenthesis,
    RightParenthesis,
    LeftBracket,
    RightBracket,
    Comma,
    Star,
    End,
    /// Text that is no token, and why.
    Error(String),
    /// A literal that is well formed and has no value: its message is complete.
    BadLiteral(String),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    pub kind: TokenKind,
    pub start: usize,
    pub end: usize,
    /// Comments right before it.
    pub comment: Option<Comment>,
}

/// Most regular expressions of one script.
const REGEXES_MAX: usize = 1_000;

/// The tokens of a script. The last one is [`TokenKind::End`] or what is no token.
pub fn tokens(source: &str) -> Vec<Token> {
    let mut lexer = Lexer { source, at: 0, behind_operand: false, number_due: true, regex_due: false, regexes: 0 };
    let mut tokens = Vec::new();
    loop {
        let token = lexer.token();
        let last = matches!(token.kind, TokenKind::End | TokenKind::Error(_));
        tokens.push(token);
        if last {
            return tokens;
        }
    }
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    behind_operand: bool,
    /// Where a point and a digit begin a number: where no operand stands before, keywords are none.
    number_due: bool,
    /// Behind `=`, `=~` and `!~` a slash begins a regular expression, even an empty one.
    regex_due: bool,
    /// Regular expressions so far: each one is compiled.
    regexes: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn token(&mut self) -> Token {
        let comment = self.comments();
        let start = self.at;
        let kind = self.kind();
        self.regex_due = matches!(kind, TokenKind::Assign | TokenKind::RegexMatch | TokenKind::RegexNotMatch);
        let keyword =
            matches!(kind, TokenKind::Var | TokenKind::Dbrp | TokenKind::And | TokenKind::Or | TokenKind::Lambda);
        let operand = matches!(
            kind,
            TokenKind::True
                | TokenKind::False
                | TokenKind::Identifier(_)
                | TokenKind::Int { .. }
                | TokenKind::Float(_)
                | TokenKind::Duration { .. }
                | TokenKind::String { .. }
                | TokenKind::Reference(_)
                | TokenKind::RightParenthesis
                | TokenKind::BadLiteral(_)
        );
        self.behind_operand = keyword || operand;
        self.number_due = !operand && !matches!(kind, TokenKind::RightBracket | TokenKind::Regex { .. });
        Token { kind, start, end: self.at, comment }
    }

    /// Skips blanks; takes comments, which put the lexer behind an operator.
    fn comments(&mut self) -> Option<Comment> {
        let mut comment: Option<Comment> = None;
        let mut newlines = 0;
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start().len();
            newlines += rest[..blank].matches('\n').count();
            self.at += blank;
            let rest = self.rest();
            // A line that begins with one slash right below a comment goes on with it.
            let goes_on = comment.is_some() && newlines == 1 && rest.starts_with('/');
            if !(rest.starts_with("//") || goes_on) || (self.regex_due && comment.is_none()) {
                return comment;
            }
            let line = rest.lines().next().unwrap_or_default();
            self.at += line.len();
            let text = line.trim_end().strip_prefix("//").or_else(|| line.trim_end().strip_prefix('/'));
            let text = text.unwrap_or_default();
            let text = text.strip_prefix(' ').unwrap_or(text).trim_end().to_owned();
            let comment = comment.get_or_insert_default();
            match comment.blocks.last_mut() {
                Some(block) if newlines <= 1 => block.push(text),
                _ => comment.blocks.push(vec![text]),
            }
            newlines = 0;
            self.behind_operand = false;
            self.regex_due = false;
        }
    }

    fn kind(&mut self) -> TokenKind {
        let Some(first) = self.peek() else { return TokenKind::End };
        match first {
            'a'..='z' | 'A'..='Z' => self.word(),
            c if c.is_alphabetic() => self.word(),
            '0'..='9' => self.number(),
            '.' if self.number_due && self.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) => self.number(),
            '\'' => self.string(),
            '"' => match self.delimited('"', "unterminated field reference") {
                Ok(text) => TokenKind::Reference(text.replace("\\\"", "\"")),
                Err(error) => error,
            },
            '/' if !self.behind_operand || self.regex_due => self.regex(),
            _ => self.sign(first),
        }
    }

    fn word(&mut self) -> TokenKind {
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_alphabetic() || c.is_ascii_digit() || c == '_')).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        let kind = match word {
            "var" => TokenKind::Var,
            "dbrp" => TokenKind::Dbrp,
            "TRUE" => TokenKind::True,
            "FALSE" => TokenKind::False,
            "AND" => TokenKind::And,
            "OR" => TokenKind::Or,
            "lambda" if behind.starts_with(':') => TokenKind::Lambda,
            word => TokenKind::Identifier(word.to_owned()),
        };
        self.at += end + usize::from(kind == TokenKind::Lambda);
        kind
    }

    fn number(&mut self) -> TokenKind {
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let (digits, behind) = rest.split_at(end);
        let points = digits.matches('.').count();
        if points > 1 {
            return self.error("multiple decimals in number");
        }
        let unit = literal::UNITS.iter().find(|(unit, _)| behind.starts_with(unit)).filter(|_| points == 0);
        let bytes = end + unit.map_or(0, |(unit, _)| unit.len());
        let text = rest[..bytes].to_owned();
        let number = match unit {
            Some((_, nanoseconds)) => literal::duration(digits, *nanoseconds, &text),
            None if points == 1 => literal::float(digits),
            None => literal::int(digits),
        };
        self.at += bytes;
        number.unwrap_or_else(|LiteralError(message)| TokenKind::BadLiteral(message))
    }

    fn string(&mut self) -> TokenKind {
        if let Some(rest) = self.rest().strip_prefix("'''") {
            let Some(length) = rest.find("'''") else { return self.error("unterminated string") };
            // The first `'''` ends it, so a string may begin with a quote and not end with one.
            let value = rest[..length].to_owned();
            self.at += length + 6;
            return TokenKind::String { value, triple: true };
        }
        match self.delimited('\'', "unterminated string") {
            Ok(text) => TokenKind::String { value: text.replace("\\'", "'"), triple: false },
            Err(error) => error,
        }
    }

    fn regex(&mut self) -> TokenKind {
        match self.delimited('/', "unterminated regex") {
            Ok(text) => {
                let pattern = text.replace("\\/", "/");
                self.regexes += 1;
                if self.regexes > REGEXES_MAX {
                    return TokenKind::BadLiteral(format!("more than {REGEXES_MAX} regular expressions"));
                }
                match literal::check_regex(&pattern) {
                    Ok(()) => TokenKind::Regex { pattern, text },
                    Err(LiteralError(message)) => TokenKind::BadLiteral(message),
                }
            }
            Err(error) => error,
        }
    }

    /// What stands between two delimiters; a backslash takes the delimiter with it and stays.
    fn delimited(&mut self, delimiter: char, unterminated: &str) -> Result<String, TokenKind> {
        let rest = self.rest();
        let mut escaped = false;
        for (at, c) in rest.char_indices().skip(1) {
            if c == delimiter && !escaped {
                let text = rest[1..at].to_owned();
                self.at += at + 1;
                return Ok(text);
            }
            escaped = c == '\\';
        }
        Err(self.error(unterminated))
    }

    fn sign(&mut self, first: char) -> TokenKind {
        let rest = self.rest();
        let two = rest.get(..2).unwrap_or_default();
        let (kind, bytes) = match (two, first) {
            ("==", _) if self.behind_operand => (TokenKind::Equal, 2),
            ("!=", _) if self.behind_operand => (TokenKind::NotEqual, 2),
            ("<=", _) if self.behind_operand => (TokenKind::LessEqual, 2),
            (">=", _) if self.behind_operand => (TokenKind::GreaterEqual, 2),
            ("=~", _) if self.behind_operand => (TokenKind::RegexMatch, 2),
            ("!~", _) if self.behind_operand => (TokenKind::RegexNotMatch, 2),
            (_, '+') if self.behind_operand => (TokenKind::Plus, 1),
            (_, '/') if self.behind_operand => (TokenKind::Divide, 1),
            (_, '%') if self.behind_operand => (TokenKind::Modulo, 1),
            (_, '<') if self.behind_operand => (TokenKind::Less, 1),
            (_, '>') if self.behind_operand => (TokenKind::Greater, 1),
            (_, '=') if self.behind_operand => (TokenKind::Assign, 1),
            (_, '*') if self.behind_operand => (TokenKind::Multiply, 1),
            (_, '*') => (TokenKind::Star, 1),
            (_, '-') => (TokenKind::Minus, 1),
            (_, '!') => (TokenKind::Not, 1),
            (_, '|') => (TokenKind::Pipe, 1),
            (_, '.') => (TokenKind::Dot, 1),
            (_, '@') => (TokenKind::At, 1),
            (_, '(') => (TokenKind::LeftParenthesis, 1),
            (_, ')') => (TokenKind::RightParenthesis, 1),
            (_, '[') => (TokenKind::LeftBracket, 1),
            (_, ']') => (TokenKind::RightBracket, 1),
            (_, ',') => (TokenKind::Comma, 1),
            _ => return self.error(&format!("unknown state, last char: {first:?}")),
        };
        self.at += bytes;
        kind
    }

    /// What stands here is no token; the place stays that of its first byte.
    fn error(&mut self, message: &str) -> TokenKind {
        TokenKind::Error(message.to_owned())
    }
}

impl TokenKind {
    /// The word for it in error texts.
    pub fn name(&self) -> &str {
        match self {
            TokenKind::Var => "var",
            TokenKind::Dbrp => "dbrp",
            TokenKind::True => "TRUE",
            TokenKind::False => "FALSE",
            TokenKind::And => "AND",
            TokenKind::Or => "OR",
            TokenKind::Lambda => "lambda",
            TokenKind::Identifier(_) => "identifier",
            TokenKind::Int { .. } | TokenKind::Float(_) => "number",
            TokenKind::Duration { .. } => "duration",
            TokenKind::String { .. } => "string",
            TokenKind::Reference(_) => "reference",
            TokenKind::Regex { .. } => "regex",
            TokenKind::Plus => "+",
            TokenKind::Minus => "-",
            TokenKind::Multiply | TokenKind::Star => "*",
            TokenKind::Divide => "/",
            TokenKind::Modulo => "%",
            TokenKind::Equal => "==",
            TokenKind::NotEqual => "!=",
            TokenKind::Less => "<",
            TokenKind::LessEqual => "<=",
            TokenKind::Greater => ">",
            TokenKind::GreaterEqual => ">=",
            TokenKind::RegexMatch => "=~",
            TokenKind::RegexNotMatch => "!~",
            TokenKind::Not => "!",
            TokenKind::Assign => "=",
            TokenKind::Pipe => "|",
            TokenKind::Dot => ".",
            TokenKind::At => "@",
            TokenKind::LeftParenthesis => "(",
            TokenKind::RightParenthesis => ")",
            TokenKind::LeftBracket => "[",
            TokenKind::RightBracket => "]",
            TokenKind::Comma => ",",
            TokenKind::End => "EOF",
            TokenKind::Error(message) | TokenKind::BadLiteral(message) => message,
        }
    }
}
