//! One SELECT as its clauses, each already in the printer's form.

use super::{
    lexer::{Kind, Token, tokens},
    print::{duration, float, identifier, regex, string},
};

/// Deepest nesting of parentheses and calls.
const DEPTH_MAX: usize = 100;

/// Why a text is not the query of a task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("failed to parse InfluxQL query: found {found}, expected {expected} at line {line}, char {column}")]
    Found { found: String, expected: String, line: usize, column: usize },
    #[error("query must be a single select statement, got {0} statements")]
    Statements(usize),
    #[error("query is not a select statement {0:?}")]
    NotSelect(String),
    #[error("failed to parse InfluxQL query: it is nested deeper than {DEPTH_MAX}")]
    Depth,
}

impl ParseError {
    /// The text without the words that a task's start puts before it.
    pub fn bare(&self) -> String {
        self.to_string().trim_start_matches("failed to parse InfluxQL query: ").to_owned()
    }
}

/// A SELECT statement. Its GROUP BY is read and dropped.
#[derive(Clone, Debug, PartialEq)]
pub struct Select {
    pub fields: String,
    pub into: Option<String>,
    pub sources: Vec<SourceName>,
    pub condition: Option<String>,
    /// What stands in `fill(…)`; `None` for null.
    pub fill: Option<String>,
    /// Clauses behind the fill.
    pub tail: Vec<String>,
}

/// A source of the FROM clause; parts that are not written are empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceName {
    pub database: String,
    pub retention_policy: String,
    /// Printed.
    pub measurement: String,
}

impl std::fmt::Display for SourceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.database.is_empty() {
            write!(f, "{}.", identifier(&self.database))?;
        }
        if !self.retention_policy.is_empty() {
            write!(f, "{}", identifier(&self.retention_policy))?;
        }
        if !self.database.is_empty() || !self.retention_policy.is_empty() {
            f.write_str(".")?;
        }
        f.write_str(&self.measurement)
    }
}

/// Reads a text that must be one SELECT; a `;` may follow.
pub fn parse_select(text: &str) -> Result<Select, ParseError> {
    let tokens = tokens(text);
    let mut parser = Parser { tokens: &tokens, at: 0, depth: 0 };
    while parser.mark(";") {}
    let statement = match &parser.here().kind {
        Kind::End => return Err(ParseError::Statements(0)),
        _ if parser.is_word("SELECT") => parser.select()?,
        Kind::Word(word) if STATEMENTS.iter().any(|known| word.eq_ignore_ascii_case(known)) => {
            return Err(ParseError::NotSelect(text.trim().trim_end_matches(';').to_owned()));
        }
        _ => return Err(parser.expected("SELECT")),
    };
    let mut statements = 1;
    while parser.mark(";") {
        if parser.here().kind == Kind::End {
            break;
        }
        parser.select()?;
        statements += 1;
    }
    match (&parser.here().kind, statements) {
        (Kind::End, 1) => Ok(statement),
        (Kind::End, count) => Err(ParseError::Statements(count)),
        _ => Err(parser.expected(";, EOF")),
    }
}

const STATEMENTS: [&str; 12] =
    ["SHOW", "CREATE", "DROP", "DELETE", "ALTER", "GRANT", "REVOKE", "KILL", "EXPLAIN", "SET", "INSERT", "ANALYZE"];

/// Words that end an expression.
const CLAUSES: [&str; 14] = [
    "FROM", "INTO", "WHERE", "GROUP", "ORDER", "LIMIT", "OFFSET", "SLIMIT", "SOFFSET", "AS", "FILL", "TZ", "ASC",
    "DESC",
];

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn here(&self) -> &'a Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(&self.here().kind, Kind::Word(found) if found.eq_ignore_ascii_case(word))
    }

    /// Takes the word if it comes.
    fn word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }

    fn is_mark(&self, mark: &str) -> bool {
        matches!(&self.here().kind, Kind::Mark(found) if *found == mark)
    }

    fn mark(&mut self, mark: &str) -> bool {
        let found = self.is_mark(mark);
        self.at += usize::from(found);
        found
    }

    fn expected(&self, expected: &str) -> ParseError {
        let Token { text, line, column, .. } = self.here();
        ParseError::Found { found: text.clone(), expected: expected.to_owned(), line: *line, column: *column }
    }

    fn must_mark(&mut self, mark: &str) -> Result<(), ParseError> {
        if self.mark(mark) { Ok(()) } else { Err(self.expected(mark)) }
    }

    fn must_word(&mut self, word: &str) -> Result<(), ParseError> {
        if self.word(word) { Ok(()) } else { Err(self.expected(word)) }
    }

    fn select(&mut self) -> Result<Select, ParseError> {
        self.must_word("SELECT")?;
        let fields = self.list(Self::field)?.join(", ");
        let into = match self.word("INTO") {
            true => Some(self.source()?.to_string()),
            false => None,
        };
        self.must_word("FROM")?;
        let sources = self.list(Self::source)?;
        let condition = match self.word("WHERE") {
            true => Some(self.expression()?),
            false => None,
        };
        if self.word("GROUP") {
            self.must_word("BY")?;
            self.list(Self::expression)?;
        }
        let fill = self.fill()?;
        let mut tail = Vec::new();
        if self.word("ORDER") {
            self.must_word("BY")?;
            tail.push(format!("ORDER BY {}", self.list(Self::order)?.join(", ")));
        }
        for word in ["LIMIT", "OFFSET", "SLIMIT", "SOFFSET"] {
            if self.word(word) {
                let Kind::Integer(number) = &self.here().kind else { return Err(self.expected("integer")) };
                self.at += 1;
                tail.push(format!("{word} {number}"));
            }
        }
        if self.word("TZ") {
            self.must_mark("(")?;
            let Kind::String(zone) = &self.here().kind else { return Err(self.expected("string")) };
            self.at += 1;
            self.must_mark(")")?;
            tail.push(format!("TZ({})", string(zone)));
        }
        Ok(Select { fields, into, sources, condition, fill, tail })
    }

    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T, ParseError>) -> Result<Vec<T>, ParseError> {
        let mut items = vec![item(self)?];
        while self.mark(",") {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn field(&mut self) -> Result<String, ParseError> {
        let mut text = self.distinct()?;
        if self.word("AS") {
            text.push_str(&format!(" AS {}", identifier(&self.name()?)));
        }
        Ok(text)
    }

    /// An expression, or `DISTINCT` and one.
    fn distinct(&mut self) -> Result<String, ParseError> {
        if self.is_word("DISTINCT")
            && !matches!(self.tokens.get(self.at + 1).map(|next| &next.kind), Some(Kind::Mark("(")))
        {
            self.at += 1;
            return Ok(format!("DISTINCT {}", self.expression()?));
        }
        self.expression()
    }

    /// An identifier, quoted or not.
    fn name(&mut self) -> Result<String, ParseError> {
        let name = match &self.here().kind {
            Kind::Word(word) if !is_clause(word) => word.clone(),
            Kind::Quoted(name) => name.clone(),
            _ => return Err(self.expected("identifier")),
        };
        self.at += 1;
        Ok(name)
    }

    fn source(&mut self) -> Result<SourceName, ParseError> {
        let mut parts: Vec<String> = Vec::new();
        let measurement = loop {
            if let Kind::Regex(pattern) = &self.here().kind {
                self.at += 1;
                break regex(pattern);
            }
            // `db..measurement` leaves the retention policy out.
            if parts.len() == 1 && self.is_mark(".") {
                self.at += 1;
                parts.push(String::new());
                continue;
            }
            let name = self.name()?;
            if parts.len() < 2 && self.mark(".") {
                parts.push(name);
                continue;
            }
            break identifier(&name);
        };
        let retention_policy = parts.pop().unwrap_or_default();
        let database = parts.pop().unwrap_or_default();
        Ok(SourceName { database, retention_policy, measurement })
    }

    fn fill(&mut self) -> Result<Option<String>, ParseError> {
        if !self.word("FILL") {
            return Ok(None);
        }
        self.must_mark("(")?;
        let negative = self.mark("-");
        let sign = if negative { "-" } else { "" };
        let fill = match &self.here().kind {
            Kind::Word(word) if !negative => match word.to_ascii_lowercase().as_str() {
                "null" => None,
                word @ ("none" | "previous" | "linear") => Some(word.to_owned()),
                _ => return Err(self.expected("fill option")),
            },
            Kind::Integer(number) => Some(format!("{sign}{number}")),
            Kind::Float(number) => Some(format!("{sign}{number}")),
            _ => return Err(self.expected("fill option")),
        };
        self.at += 1;
        self.must_mark(")")?;
        Ok(fill)
    }

    fn order(&mut self) -> Result<String, ParseError> {
        let mut text = identifier(&self.name()?);
        for word in ["ASC", "DESC"] {
            if self.word(word) {
                text.push_str(&format!(" {word}"));
            }
        }
        Ok(text)
    }

    fn expression(&mut self) -> Result<String, ParseError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(ParseError::Depth);
        }
        let mut text = self.operand()?;
        while let Some(operator) = self.operator() {
            text.push_str(&format!(" {operator} {}", self.operand()?));
        }
        self.depth -= 1;
        Ok(text)
    }

    fn operator(&mut self) -> Option<&'static str> {
        let operator = match &self.here().kind {
            Kind::Mark("<>") => "!=",
            Kind::Mark(
                mark @ ("=~" | "!~" | "!=" | "<=" | ">=" | "=" | "<" | ">" | "+" | "-" | "*" | "/" | "%" | "&" | "|"
                | "^"),
            ) => mark,
            Kind::Word(word) if word.eq_ignore_ascii_case("AND") => "AND",
            Kind::Word(word) if word.eq_ignore_ascii_case("OR") => "OR",
            _ => return None,
        };
        self.at += 1;
        Some(operator)
    }

    fn operand(&mut self) -> Result<String, ParseError> {
        const WANTED: &str = "identifier, string, number, bool";
        let token = self.here();
        match &token.kind {
            Kind::Mark("(") => {
                self.at += 1;
                let inner = self.expression()?;
                self.must_mark(")")?;
                Ok(format!("({inner})"))
            }
            Kind::Mark(sign @ ("-" | "+")) => {
                self.at += 1;
                let value = match &self.here().kind {
                    Kind::Integer(_)
                    | Kind::Float(_)
                    | Kind::Duration(_)
                    | Kind::Word(_)
                    | Kind::Quoted(_)
                    | Kind::Mark("(") => self.operand()?,
                    _ => return Err(self.expected(WANTED)),
                };
                Ok(if *sign == "-" { format!("-{value}") } else { value })
            }
            Kind::Mark("*") => {
                self.at += 1;
                Ok(format!("*{}", self.cast()?))
            }
            Kind::String(value) => {
                self.at += 1;
                Ok(string(value))
            }
            Kind::Integer(number) => {
                self.at += 1;
                Ok(number.clone())
            }
            Kind::Float(number) => {
                self.at += 1;
                Ok(float(*number))
            }
            Kind::Duration(nanoseconds) => {
                self.at += 1;
                Ok(duration(*nanoseconds))
            }
            Kind::Regex(pattern) => {
                self.at += 1;
                Ok(regex(pattern))
            }
            Kind::Word(word) if word.eq_ignore_ascii_case("true") || word.eq_ignore_ascii_case("false") => {
                self.at += 1;
                Ok(word.to_ascii_lowercase())
            }
            Kind::Word(word) if !is_clause(word) && !is_logic(word) => {
                if matches!(self.tokens.get(self.at + 1).map(|next| &next.kind), Some(Kind::Mark("("))) {
                    return self.call(word);
                }
                self.reference()
            }
            Kind::Quoted(_) => self.reference(),
            _ => Err(self.expected(WANTED)),
        }
    }

    fn call(&mut self, name: &str) -> Result<String, ParseError> {
        self.at += 2;
        let arguments = match self.is_mark(")") {
            true => Vec::new(),
            false => self.list(Self::distinct)?,
        };
        self.must_mark(")")?;
        Ok(format!("{}({})", name.to_ascii_lowercase(), arguments.join(", ")))
    }

    /// A field or tag; a dotted name is one name.
    fn reference(&mut self) -> Result<String, ParseError> {
        let mut name = self.name()?;
        while self.is_mark(".") && !matches!(self.tokens.get(self.at + 1).map(|next| &next.kind), Some(Kind::Regex(_)))
        {
            self.at += 1;
            name = format!("{name}.{}", self.name()?);
        }
        Ok(format!("{}{}", identifier(&name), self.cast()?))
    }

    fn cast(&mut self) -> Result<String, ParseError> {
        if !self.mark("::") {
            return Ok(String::new());
        }
        match &self.here().kind {
            Kind::Word(word) => {
                self.at += 1;
                Ok(format!("::{}", word.to_ascii_lowercase()))
            }
            _ => Err(self.expected("float, integer, string, boolean, field, tag")),
        }
    }
}

fn is_clause(word: &str) -> bool {
    CLAUSES.iter().any(|clause| word.eq_ignore_ascii_case(clause))
}

fn is_logic(word: &str) -> bool {
    word.eq_ignore_ascii_case("and") || word.eq_ignore_ascii_case("or")
}
