//! Tokens as a tree (reference: tickscript §2).
//!
//! A statement that does not parse gives a diagnostic, and parsing goes on at the next line that can begin a statement,
//! so that one run finds several errors. The first diagnostic is the one that the API shows.

use proto::expr::{BinaryOp, UnaryOp};

use super::{
    ast::{ChainOp, Comment, Identifier, Link, Node, NodeKind, Program, Statement},
    diagnostic::{DIAGNOSTICS_MAX, Diagnostic, position},
    lexer::{Token, TokenKind, tokens},
};

/// Deepest nesting, sums counted by their operators: the tree is walked recursively.
const DEPTH_MAX: usize = proto::limits::EXPR_DEPTH_MAX;

/// Longest script, in bytes.
pub const SCRIPT_BYTES_MAX: usize = 1 << 20;

/// The tree of a script, as far as it goes, and what is wrong with it.
#[derive(Debug)]
pub struct Parse {
    pub program: Program,
    pub diagnostics: Vec<Diagnostic>,
}

/// Parses a script. Never fails: an empty list of diagnostics says that the tree is whole.
pub fn parse(source: &str) -> Parse {
    let program = Program { statements: Vec::new(), trailing: None };
    if source.len() > SCRIPT_BYTES_MAX {
        return Parse { program, diagnostics: vec![too_long(source)] };
    }
    let mut parser = Parser { source, tokens: tokens(source), at: 0, depth: 0 };
    let mut parse = Parse { program, diagnostics: Vec::new() };
    while !parser.is_at_end() {
        let before = parser.at;
        match parser.statement() {
            Ok(statement) => parse.program.statements.push(statement),
            Err(diagnostic) => {
                parse.diagnostics.push(diagnostic);
                if parse.diagnostics.len() == DIAGNOSTICS_MAX {
                    return parse;
                }
                parser.recover(before);
            }
        }
    }
    parse.program.trailing = parser.trailing();
    parse
}

/// Parses one lambda expression, without the word in front, as vars write it.
pub fn parse_lambda(source: &str) -> Result<Node, Diagnostic> {
    if source.len() > SCRIPT_BYTES_MAX {
        return Err(too_long(source));
    }
    let mut parser = Parser { source, tokens: tokens(source), at: 0, depth: 0 };
    let node = parser.binary(0)?;
    match parser.peek() {
        TokenKind::End => Ok(node),
        _ => Err(parser.unexpected(&["EOF"])),
    }
}

fn too_long(source: &str) -> Diagnostic {
    Diagnostic::new(format!("parser: the script has {} bytes, {SCRIPT_BYTES_MAX} are allowed", source.len()))
}

struct Parser<'a> {
    source: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn token(&self) -> &Token {
        // The list always ends with End or Error, which are never passed.
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn peek(&self) -> &TokenKind {
        &self.token().kind
    }

    fn is_at_end(&self) -> bool {
        *self.peek() == TokenKind::End
    }

    fn peek_behind(&self) -> &TokenKind {
        self.tokens.get(self.at + 1).map_or(&TokenKind::End, |token| &token.kind)
    }

    fn next(&mut self) -> Token {
        let token = self.token().clone();
        if !matches!(token.kind, TokenKind::End | TokenKind::Error(_)) {
            self.at += 1;
        }
        token
    }

    fn expect(&mut self, kind: &TokenKind) -> Result<Token, Diagnostic> {
        if self.peek() == kind { Ok(self.next()) } else { Err(self.unexpected(&[kind.name()])) }
    }

    fn identifier(&mut self) -> Result<Identifier, Diagnostic> {
        match self.peek().clone() {
            TokenKind::Identifier(name) => {
                let token = self.next();
                Ok(Identifier { name, at: token.start, comment: token.comment })
            }
            _ => Err(self.unexpected(&["identifier"])),
        }
    }

    /// What stands here was not expected.
    fn unexpected(&self, expected: &[&str]) -> Diagnostic {
        let token = self.token();
        if let TokenKind::BadLiteral(message) = &token.kind {
            return Diagnostic::new(format!("parser: {message}")).at(self.source, token.start, token.end);
        }
        let place = position(self.source, token.start);
        let words: Vec<String> = expected.iter().map(|word| format!("{word:?}")).collect();
        let message = format!(
            "parser: unexpected {} line {} char {} in \"{}\". expected: {}",
            token.kind.name(),
            place.line,
            place.char,
            self.excerpt(token.start),
            words.join(",")
        );
        let mut diagnostic = Diagnostic::new(message).at(self.source, token.start, token.end.max(token.start + 1));
        diagnostic.expected = expected.iter().map(|word| (*word).to_owned()).collect();
        let help = self.runaway_string().or_else(|| self.hint(expected).map(str::to_owned));
        diagnostic.help = help.or_else(|| self.still_open(expected));
        diagnostic
    }

    /// A string that ends on a later line, right before what was not expected: its own end was probably forgotten.
    fn runaway_string(&self) -> Option<String> {
        let before = self.tokens.get(self.at.checked_sub(1)?)?;
        let text = self.source.get(before.start..before.end)?;
        let runs_on = matches!(before.kind, TokenKind::String { triple: false, .. }) && text.contains('\n');
        let place = position(self.source, before.start);
        let (line, char) = (place.line, place.char);
        runs_on
            .then(|| format!("the string at line {line} char {char} goes on to here: does it lack its closing quote?"))
    }

    /// The bracket that should have been closed before the end, before a line that begins like a statement, or on an
    /// earlier line.
    fn still_open(&self, expected: &[&str]) -> Option<String> {
        let before = self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).map_or(0, |token| token.end);
        let closes = expected.contains(&")") || expected.contains(&"]");
        let first_of_its_line = self.newline_between(before, self.token().start);
        if !(self.is_at_end() || self.may_begin_statement() || closes && first_of_its_line) {
            return None;
        }
        let mut open = Vec::new();
        for token in self.tokens.iter().take(self.at) {
            match token.kind {
                TokenKind::LeftParenthesis | TokenKind::LeftBracket => open.push(token),
                TokenKind::RightParenthesis | TokenKind::RightBracket => drop(open.pop()),
                _ => {}
            }
        }
        let Some(open) = open.pop() else {
            return self.is_at_end().then(|| "the script ends too early".to_owned());
        };
        let place = position(self.source, open.start);
        Some(format!("the {} at line {} char {} is still open", open.kind.name(), place.line, place.char))
    }

    /// A token that can begin a statement and stands at the very start of a line.
    fn may_begin_statement(&self) -> bool {
        let token = self.token();
        let begins = matches!(token.kind, TokenKind::Var | TokenKind::Dbrp | TokenKind::Identifier(_));
        let before = self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).map_or(0, |token| token.end);
        begins && self.source.get(before..token.start).is_some_and(|text| text.ends_with('\n'))
    }

    /// What other languages write here, and how it is written in this one.
    fn hint(&self, expected: &[&str]) -> Option<&'static str> {
        let before = self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).map(|token| &token.kind);
        let after_not = matches!(before, Some(TokenKind::Identifier(word)) if word.eq_ignore_ascii_case("not"));
        Some(match self.peek() {
            TokenKind::Identifier(word) => match word.as_str() {
                "true" | "True" => "the literal is TRUE",
                "false" | "False" => "the literal is FALSE",
                "and" | "And" => "the operator is AND",
                "or" | "Or" => "the operator is OR",
                _ if after_not => "the operator is !",
                _ if expected == ["reference"] => "names of databases and retention policies have double quotes",
                _ => return None,
            },
            TokenKind::Error(message) if message.starts_with("unterminated") => "its closing delimiter is missing",
            TokenKind::Error(_) => match self.source[self.token().start..].chars().next() {
                Some('&') => "the operator is AND",
                Some(';') => "statements need no separator",
                Some('?') => "a choice is written if(condition, one, other)",
                Some('^') => "a power is written pow(x, y)",
                Some('#') => "comments begin with //",
                _ => return None,
            },
            TokenKind::Assign if self.source[self.token().start..].starts_with("=>") => "greater or equal is >=",
            TokenKind::Assign if self.source[self.token().start..].starts_with("=<") => "less or equal is <=",
            TokenKind::Duration { .. } if matches!(before, Some(TokenKind::Duration { .. })) => {
                "a duration has one unit: 90m, not 1h30m"
            }
            TokenKind::Pipe if before == Some(&TokenKind::Pipe) || *self.peek_behind() == TokenKind::Pipe => {
                "the operator is OR"
            }
            TokenKind::Assign if before != Some(&TokenKind::Var) => "equality is ==",
            TokenKind::Divide => "a regular expression stands behind =~ or !~, or as an argument",
            TokenKind::Reference(_) if after_not => "the operator is !",
            TokenKind::Reference(_) => "double quotes name fields and tags in lambdas; a string has single quotes",
            _ => return None,
        })
    }

    /// Up to ten bytes on both sides of a place, within its line.
    fn excerpt(&self, at: usize) -> String {
        let line_start = self.source[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = self.source[at..].find('\n').map_or(self.source.len(), |newline| at + newline);
        let start = (at.saturating_sub(10).max(line_start)..=at).find(|at| self.source.is_char_boundary(*at));
        let end = ((at + 10).min(line_end)..=line_end).find(|at| self.source.is_char_boundary(*at));
        self.source[start.unwrap_or(at)..end.unwrap_or(line_end)].to_owned()
    }

    /// Goes to where the next statement may begin: a token that can begin one and is the first of its line.
    fn recover(&mut self, before: usize) {
        self.depth = 0;
        self.at = self.at.max(before + 1);
        while self.at < self.tokens.len() {
            if self.is_at_end() || self.may_begin_statement() {
                return;
            }
            if matches!(self.peek(), TokenKind::Error(_)) {
                break;
            }
            self.at += 1;
        }
        // Behind text that is no token nothing can be read.
        self.tokens.truncate(self.at.min(self.tokens.len()));
        let end = self.source.len();
        self.tokens.push(Token { kind: TokenKind::End, start: end, end, comment: None });
        self.at = self.tokens.len() - 1;
    }

    /// Comments before the end, or before the very last token when that keeps none.
    fn trailing(&mut self) -> Option<Comment> {
        let comment = self.tokens.last().and_then(|end| end.comment.clone());
        let last = self.tokens.len().checked_sub(2).and_then(|at| self.tokens.get(at));
        let lost = last.filter(|token| {
            matches!(token.kind, TokenKind::RightParenthesis | TokenKind::RightBracket | TokenKind::Comma)
        });
        comment.or_else(|| lost.and_then(|token| token.comment.clone()))
    }

    /// Runs `parse` one level deeper.
    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, Diagnostic>) -> Result<T, Diagnostic> {
        self.descend()?;
        let parsed = parse(self);
        self.depth = self.depth.saturating_sub(1);
        parsed
    }

    fn descend(&mut self) -> Result<(), Diagnostic> {
        self.depth += 1;
        if self.depth <= DEPTH_MAX {
            return Ok(());
        }
        let token = self.token();
        let message = format!("parser: nested deeper than {DEPTH_MAX} levels");
        Err(Diagnostic::new(message).at(self.source, token.start, token.end))
    }

    fn statement(&mut self) -> Result<Statement, Diagnostic> {
        match self.peek() {
            TokenKind::Var => {
                let comment = self.next().comment;
                let name = self.identifier()?;
                match self.peek() {
                    TokenKind::Assign => {
                        self.next();
                        let mut value = self.expression()?;
                        // Behind `=` two slashes are a regular expression.
                        let comment = joined(comment, take_leading_comments(&mut value));
                        Ok(Statement::Declaration { comment, name, value })
                    }
                    TokenKind::Identifier(_) => {
                        Ok(Statement::TypedDeclaration { comment, name, type_name: self.identifier()? })
                    }
                    _ => Err(self.unexpected(&["=", "identifier"])),
                }
            }
            TokenKind::Dbrp => {
                let comment = self.next().comment;
                let db = self.reference()?;
                self.expect(&TokenKind::Dot)?;
                Ok(Statement::Dbrp { comment, db, rp: self.reference()? })
            }
            _ => Ok(Statement::Expression(self.expression()?)),
        }
    }

    fn reference(&mut self) -> Result<String, Diagnostic> {
        match self.peek().clone() {
            TokenKind::Reference(name) => {
                self.next();
                Ok(name)
            }
            _ => Err(self.unexpected(&["reference"])),
        }
    }

    fn expression(&mut self) -> Result<Node, Diagnostic> {
        self.deeper(Self::expression_here)
    }

    fn expression_here(&mut self) -> Result<Node, Diagnostic> {
        let behind = self.peek_behind();
        match self.peek() {
            TokenKind::Identifier(_) if matches!(behind, TokenKind::Pipe | TokenKind::Dot | TokenKind::At) => {
                let node = self.plain_identifier();
                self.chain(node)
            }
            TokenKind::Identifier(_) if *behind == TokenKind::LeftParenthesis => {
                let comment = self.token().comment.clone();
                let call = self.call(true, comment)?;
                match self.peek() {
                    TokenKind::Pipe | TokenKind::Dot | TokenKind::At => self.chain(call),
                    _ => self.binary_rest(call, 0),
                }
            }
            TokenKind::Lambda => {
                let token = self.next();
                let body = self.binary(0)?;
                Ok(Node { at: token.start, comment: token.comment, kind: NodeKind::Lambda(Box::new(body)) })
            }
            TokenKind::LeftBracket => self.list(),
            _ => self.binary(0),
        }
    }

    fn plain_identifier(&mut self) -> Node {
        let token = self.next();
        let name = match token.kind {
            TokenKind::Identifier(name) => name,
            other => other.name().to_owned(),
        };
        Node { at: token.start, comment: token.comment, kind: NodeKind::Identifier(name) }
    }

    fn chain(&mut self, head: Node) -> Result<Node, Diagnostic> {
        let (mut at, mut links) = (head.at, Vec::new());
        loop {
            let operator = match self.peek() {
                TokenKind::Pipe => ChainOp::Chaining,
                TokenKind::Dot => ChainOp::Property,
                TokenKind::At => ChainOp::Udf,
                _ => return Ok(Node { at, comment: None, kind: NodeKind::Chain { head: Box::new(head), links } }),
            };
            let token = self.next();
            if !matches!(self.peek(), TokenKind::Identifier(_)) {
                return Err(self.unexpected(&["identifier"]));
            }
            let is_call = *self.peek_behind() == TokenKind::LeftParenthesis;
            let right = if is_call || operator == ChainOp::Chaining {
                let comment = self.token().comment.clone();
                self.call(true, comment)?
            } else {
                self.plain_identifier()
            };
            at = token.start;
            links.push(Link { at, comment: token.comment, operator, right });
        }
    }

    /// A function with its arguments: full expressions, or only binaries inside a lambda.
    fn call(&mut self, full: bool, comment: Option<Comment>) -> Result<Node, Diagnostic> {
        self.deeper(|parser| {
            let name = parser.identifier()?;
            parser.expect(&TokenKind::LeftParenthesis)?;
            let mut arguments = Vec::new();
            while *parser.peek() != TokenKind::RightParenthesis {
                arguments.push(if full { parser.expression()? } else { parser.binary(0)? });
                if *parser.peek() != TokenKind::Comma {
                    break;
                }
                parser.next();
            }
            parser.expect(&TokenKind::RightParenthesis)?;
            let multiline = arguments.last().is_some_and(|last| parser.newline_between(name.at, last.at));
            Ok(Node { at: name.at, comment, kind: NodeKind::Call { name: name.name, arguments, multiline } })
        })
    }

    fn newline_between(&self, one: usize, other: usize) -> bool {
        self.source.get(one.min(other)..one.max(other)).is_some_and(|text| text.contains('\n'))
    }

    fn list(&mut self) -> Result<Node, Diagnostic> {
        let open = self.next();
        let mut items = Vec::new();
        while *self.peek() != TokenKind::RightBracket {
            match self.peek() {
                TokenKind::Identifier(_) | TokenKind::String { .. } | TokenKind::Star => items.push(self.primary()?),
                _ => return Err(self.unexpected(&["identifier", "string", "*"])),
            }
            if *self.peek() != TokenKind::Comma {
                break;
            }
            self.next();
        }
        self.expect(&TokenKind::RightBracket)?;
        Ok(Node { at: open.start, comment: open.comment, kind: NodeKind::List(items) })
    }

    /// Operators of at least `level`, all left-associative.
    fn binary(&mut self, level: usize) -> Result<Node, Diagnostic> {
        let left = self.primary()?;
        self.binary_rest(left, level)
    }

    fn binary_rest(&mut self, mut left: Node, level: usize) -> Result<Node, Diagnostic> {
        let depth = self.depth;
        while let Some((operator, found)) = binary_operator(self.peek()).filter(|(_, found)| *found >= level) {
            self.descend()?;
            let token = self.next();
            let mut right = self.deeper(|parser| parser.binary(found + 1))?;
            let mut comment = token.comment;
            if matches!(operator, BinaryOp::RegexMatch | BinaryOp::RegexNotMatch) {
                // Behind these two slashes are a regular expression.
                comment = joined(comment, take_leading_comments(&mut right));
            }
            let multiline = self.newline_between(left.at, right.at);
            let (left_box, right) = (Box::new(left), Box::new(right));
            let kind = NodeKind::Binary { operator, left: left_box, right, parentheses: false, multiline };
            left = Node { at: token.start, comment, kind };
        }
        self.depth = depth;
        Ok(left)
    }

    fn primary(&mut self) -> Result<Node, Diagnostic> {
        let literal = |parser: &mut Self, kind| {
            let token = parser.next();
            Ok(Node { at: token.start, comment: token.comment, kind })
        };
        match self.peek().clone() {
            TokenKind::LeftParenthesis => self.deeper(|parser| {
                let open = parser.next();
                let mut inner = parser.binary(0)?;
                parser.expect(&TokenKind::RightParenthesis)?;
                if let NodeKind::Binary { parentheses, .. } = &mut inner.kind {
                    *parentheses = true;
                }
                inner.comment = joined(open.comment, inner.comment);
                Ok(inner)
            }),
            TokenKind::Int { value, octal } => literal(self, NodeKind::Int { value, octal }),
            TokenKind::Float(value) => literal(self, NodeKind::Float(value)),
            TokenKind::Duration { value, text } => literal(self, NodeKind::Duration { value, text }),
            TokenKind::String { value, triple } => literal(self, NodeKind::String { value, triple }),
            TokenKind::Reference(name) => literal(self, NodeKind::Reference(name)),
            TokenKind::Regex { pattern, text } => literal(self, NodeKind::Regex { pattern, text }),
            TokenKind::True => literal(self, NodeKind::Bool(true)),
            TokenKind::False => literal(self, NodeKind::Bool(false)),
            TokenKind::Star => literal(self, NodeKind::Star),
            TokenKind::Identifier(_) if *self.peek_behind() == TokenKind::LeftParenthesis => {
                let comment = self.token().comment.clone();
                self.call(false, comment)
            }
            TokenKind::Identifier(_) => Ok(self.plain_identifier()),
            TokenKind::Minus | TokenKind::Not => self.deeper(|parser| {
                let token = parser.next();
                let operator = if token.kind == TokenKind::Minus { UnaryOp::Minus } else { UnaryOp::Not };
                let operand = Box::new(parser.primary()?);
                Ok(Node { at: token.start, comment: token.comment, kind: NodeKind::Unary { operator, operand } })
            }),
            _ => Err(self.unexpected(&[
                "number",
                "string",
                "duration",
                "identifier",
                "TRUE",
                "FALSE",
                "regex",
                "reference",
                "*",
                "(",
                "-",
                "!",
            ])),
        }
    }
}

/// Takes the comments that would be written in front of a node.
fn take_leading_comments(mut node: &mut Node) -> Option<Comment> {
    let mut comments = None;
    loop {
        comments = joined(comments, node.comment.take());
        node = match &mut node.kind {
            NodeKind::Chain { head, .. } => head,
            NodeKind::Binary { left, parentheses: false, .. } => left,
            _ => return comments,
        };
    }
}

fn joined(one: Option<Comment>, other: Option<Comment>) -> Option<Comment> {
    match (one, other) {
        (Some(mut one), Some(other)) => {
            one.blocks.extend(other.blocks);
            Some(one)
        }
        (one, other) => one.or(other),
    }
}

/// Operator and precedence level.
fn binary_operator(token: &TokenKind) -> Option<(BinaryOp, usize)> {
    Some(match token {
        TokenKind::Or => (BinaryOp::Or, 0),
        TokenKind::And => (BinaryOp::And, 1),
        TokenKind::Equal => (BinaryOp::Equal, 2),
        TokenKind::NotEqual => (BinaryOp::NotEqual, 2),
        TokenKind::RegexMatch => (BinaryOp::RegexMatch, 2),
        TokenKind::RegexNotMatch => (BinaryOp::RegexNotMatch, 2),
        TokenKind::Less => (BinaryOp::Less, 3),
        TokenKind::LessEqual => (BinaryOp::LessEqual, 3),
        TokenKind::Greater => (BinaryOp::Greater, 3),
        TokenKind::GreaterEqual => (BinaryOp::GreaterEqual, 3),
        TokenKind::Plus => (BinaryOp::Add, 4),
        TokenKind::Minus => (BinaryOp::Subtract, 4),
        TokenKind::Multiply => (BinaryOp::Multiply, 5),
        TokenKind::Divide => (BinaryOp::Divide, 5),
        TokenKind::Modulo => (BinaryOp::Modulo, 5),
        _ => return None,
    })
}
