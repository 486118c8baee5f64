//! For tests: expressions written as scripts write them.

use std::iter::Peekable;

use proto::{
    Expr, Value,
    expr::{BinaryOp, UnaryOp},
};

use super::duration_text;

/// Reads a lambda's text; `{…}` around a part makes it a lambda var. Panics on anything odd.
pub fn expr(text: &str) -> Expr {
    let tokens = tokens(text);
    let mut tokens = tokens.into_iter().peekable();
    let expr = binary(&mut tokens, 0);
    assert_eq!(tokens.next(), None, "{text}");
    expr
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Value(Value),
    Reference(String),
    Word(String),
    Sign(String),
}

type Tokens = Peekable<std::vec::IntoIter<Token>>;

const LEVELS: [&[(&str, BinaryOp)]; 6] = [
    &[("OR", BinaryOp::Or)],
    &[("AND", BinaryOp::And)],
    &[
        ("==", BinaryOp::Equal),
        ("!=", BinaryOp::NotEqual),
        ("=~", BinaryOp::RegexMatch),
        ("!~", BinaryOp::RegexNotMatch),
    ],
    &[("<", BinaryOp::Less), ("<=", BinaryOp::LessEqual), (">", BinaryOp::Greater), (">=", BinaryOp::GreaterEqual)],
    &[("+", BinaryOp::Add), ("-", BinaryOp::Subtract)],
    &[("*", BinaryOp::Multiply), ("/", BinaryOp::Divide), ("%", BinaryOp::Modulo)],
];

fn binary(tokens: &mut Tokens, level: usize) -> Expr {
    let Some(operators) = LEVELS.get(level) else { return primary(tokens) };
    let mut left = binary(tokens, level + 1);
    loop {
        let op = match tokens.peek() {
            Some(Token::Sign(sign) | Token::Word(sign)) => operators.iter().find(|(text, _)| text == sign),
            _ => None,
        };
        let Some((_, op)) = op else { return left };
        tokens.next();
        left = Expr::Binary(*op, Box::new(left), Box::new(binary(tokens, level + 1)));
    }
}

fn primary(tokens: &mut Tokens) -> Expr {
    let sign = |text: &str| Some(Token::Sign(text.to_owned()));
    match tokens.next().expect("an operand") {
        Token::Value(value) => Expr::Literal(value),
        Token::Reference(name) => Expr::Reference(name),
        Token::Word(word) if word == "TRUE" || word == "FALSE" => Expr::Literal(Value::Bool(word == "TRUE")),
        Token::Word(name) => {
            assert_eq!(tokens.next(), sign("("), "{name}");
            let mut arguments = Vec::new();
            while tokens.peek() != sign(")").as_ref() {
                arguments.push(binary(tokens, 0));
                if tokens.peek() == sign(",").as_ref() {
                    tokens.next();
                }
            }
            tokens.next();
            Expr::Call(name, arguments)
        }
        Token::Sign(text) => match text.as_str() {
            "-" => Expr::Unary(UnaryOp::Minus, Box::new(primary(tokens))),
            "!" => Expr::Unary(UnaryOp::Not, Box::new(primary(tokens))),
            "(" | "{" => {
                let inner = binary(tokens, 0);
                assert_eq!(tokens.next(), sign(if text == "(" { ")" } else { "}" }));
                if text == "(" { inner } else { Expr::Lambda(Box::new(inner)) }
            }
            other => panic!("unexpected {other}"),
        },
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let mut rest = text.trim_start();
    let mut tokens: Vec<Token> = Vec::new();
    while let Some(first) = rest.chars().next() {
        // After an operand a slash divides.
        let after_operand = match tokens.last() {
            None => false,
            Some(Token::Sign(sign)) => sign == ")" || sign == "}",
            Some(Token::Word(word)) => word != "AND" && word != "OR",
            Some(_) => true,
        };
        let length = match first {
            '0'..='9' => rest.find(|c: char| !c.is_alphanumeric() && c != '.').unwrap_or(rest.len()),
            '\'' | '"' => quoted(rest, first),
            '/' if !after_operand => quoted(rest, first),
            c if c.is_alphabetic() => rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len()),
            _ => {
                ["==", "!=", "=~", "!~", "<=", ">="].iter().find(|sign| rest.starts_with(**sign)).map_or(1, |s| s.len())
            }
        };
        let (token, after) = rest.split_at(length);
        let inside = || token[1..token.len() - 1].replace(&format!("\\{first}"), &first.to_string());
        tokens.push(match first {
            '0'..='9' => Token::Value(number(token)),
            '\'' => Token::Value(Value::String(inside())),
            '"' => Token::Reference(inside()),
            '/' if length > 1 => Token::Value(Value::Regex(inside())),
            c if c.is_alphabetic() => Token::Word(token.to_owned()),
            _ => Token::Sign(token.to_owned()),
        });
        rest = after.trim_start();
    }
    tokens
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (offset, c) in text.char_indices().skip(1) {
        if c == quote && !escaped {
            return offset + 1;
        }
        escaped = c == '\\';
    }
    panic!("unterminated {text}")
}

fn number(text: &str) -> Value {
    match (text.parse(), text.parse()) {
        (Ok(int), _) => Value::Int(int),
        (_, Ok(float)) => Value::Float(float),
        _ => Value::Duration(duration_text::parse(text).unwrap()),
    }
}
