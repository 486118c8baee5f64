//! From an expression of a plan to a tree that can be evaluated: names and functions resolved, regular expressions
//! compiled, constants computed, and type errors between constants found (reference: tickscript §6).

use std::rc::Rc;

use proto::{
    Expr, Value,
    expr::{BinaryOp, UnaryOp},
    limits::EXPR_DEPTH_MAX,
};

use super::{
    error::{CompileError, OperatorError, Place},
    functions::{ARGUMENTS_MAX, Function, State},
    node::{Binary, Call, Checked, Embedded, Literal, Logical, Match, Node, Reads, Writes},
    operand::{Kind, Operand, Text},
    operators,
    pattern::Pattern,
};
use crate::name::Name;

/// A compiled tree and what it needs beside it.
pub struct Compiled {
    pub root: Node,
    pub names: Vec<Name>,
    /// A stateful function stands in it, outside of embedded lambdas.
    pub own_state: bool,
    /// Evaluation may touch some state, its own or embedded.
    pub stateful: bool,
    /// Number of embedded lambdas with state.
    pub embedded: usize,
    /// Number of caches of matches.
    pub caches: usize,
}

pub fn compile(expr: &Expr) -> Result<Compiled, CompileError> {
    if is_deeper(expr, EXPR_DEPTH_MAX) {
        return Err(CompileError::TooDeep);
    }
    let texts = expr.references();
    let names = texts.iter().map(|text| Name::new(text)).collect::<Result<_, _>>()?;
    let mut compiler = Compiler { texts, own_state: false, embedded: 0, caches: 0, inside_embedded: false };
    let built = compiler.node(expr, false)?;
    Ok(Compiled {
        root: built.node,
        names,
        own_state: compiler.own_state,
        stateful: built.stateful,
        embedded: compiler.embedded,
        caches: compiler.caches,
    })
}

fn is_deeper(expr: &Expr, levels: usize) -> bool {
    let Some(below) = levels.checked_sub(1) else { return true };
    match expr {
        Expr::Literal(_) | Expr::Reference(_) => false,
        Expr::Unary(_, operand) | Expr::Lambda(operand) => is_deeper(operand, below),
        Expr::Binary(_, left, right) => is_deeper(left, below) || is_deeper(right, below),
        Expr::Call(_, arguments) => arguments.iter().any(|argument| is_deeper(argument, below)),
    }
}

struct Compiler<'e> {
    /// References by their index.
    texts: Vec<&'e str>,
    own_state: bool,
    inside_embedded: bool,
    embedded: usize,
    caches: usize,
}

struct Built {
    node: Node,
    /// A bare reference or call, or minus, arithmetic or a lambda var around one: its type is known per point only.
    dynamic: bool,
    /// The type, where it is known now.
    kind: Option<Kind>,
    stateful: bool,
}

impl Built {
    fn is_literal(&self) -> bool {
        matches!(self.node, Node::Literal(_))
    }
}

impl Compiler<'_> {
    /// `nested`: an operand of another operator.
    fn node(&mut self, expr: &Expr, nested: bool) -> Result<Built, CompileError> {
        match expr {
            Expr::Literal(value) => {
                let literal = literal(value)?;
                let kind = Some(literal.operand().kind());
                Ok(Built { node: Node::Literal(literal), dynamic: false, kind, stateful: false })
            }
            Expr::Reference(name) => {
                // Every reference of the tree is in the list.
                let index = self.texts.iter().position(|text| text == name).unwrap_or_default();
                Ok(Built { node: Node::Reference(index), dynamic: true, kind: None, stateful: false })
            }
            Expr::Unary(op, operand) => self.unary(*op, operand),
            Expr::Binary(op, left, right) => self.binary(*op, left, right, nested),
            Expr::Call(name, arguments) => self.call(name, arguments),
            Expr::Lambda(inner) => self.embedded(inner, nested),
        }
    }

    fn unary(&mut self, op: UnaryOp, operand: &Expr) -> Result<Built, CompileError> {
        let built = self.node(operand, true).map_err(below(Place::Operand))?;
        let constant = built.is_literal();
        let stateful = built.stateful;
        let (node, dynamic, kind) = match op {
            UnaryOp::Not => {
                (Node::Not(Box::new(Checked { operand: built.node, check: stateful })), false, Some(Kind::Bool))
            }
            UnaryOp::Minus => {
                let numeric = [Kind::Float, Kind::Int, Kind::Duration, Kind::Bool];
                let kind = built.kind.filter(|kind| numeric.contains(kind));
                (Node::Minus(Box::new(built.node)), built.dynamic, kind)
            }
        };
        Ok(Built { node: if constant { folded(node) } else { node }, dynamic, kind, stateful })
    }

    fn binary(&mut self, op: BinaryOp, left: &Expr, right: &Expr, nested: bool) -> Result<Built, CompileError> {
        let left = self.node(left, true).map_err(below(Place::Left))?;
        let right = self.node(right, true).map_err(below(Place::Right))?;
        let dynamic = left.dynamic || right.dynamic;
        let stateful = left.stateful || right.stateful;
        let check = dynamic && stateful;
        let constant = left.is_literal() && right.is_literal();
        let mut kind = None;
        if let (false, Some(left), Some(right)) = (dynamic, left.kind, right.kind) {
            let result = operators::result_kind(op, left, right);
            kind = Some(result.ok_or_else(|| OperatorError::new(op, left, right))?);
        }
        let is_arithmetic =
            matches!(op, BinaryOp::Add | BinaryOp::Subtract | BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Modulo);
        let node = match op {
            BinaryOp::And | BinaryOp::Or => {
                let needs_right = dynamic && right.kind != Some(Kind::Bool);
                Node::Logical(Box::new(Logical { op, left: left.node, right: right.node, check, needs_right }))
            }
            BinaryOp::RegexMatch | BinaryOp::RegexNotMatch => match right.node {
                Node::Literal(Literal::Regex(pattern)) => {
                    self.caches += 1;
                    let (cache, negated) = (self.caches - 1, op == BinaryOp::RegexNotMatch);
                    Node::Match(Box::new(Match { text: left.node, pattern, negated, check, cache }))
                }
                right => Node::Comparison(Box::new(Binary { op, left: left.node, right, check, nested: false })),
            },
            _ if is_arithmetic => {
                Node::Arithmetic(Box::new(Binary { op, left: left.node, right: right.node, check, nested }))
            }
            _ => Node::Comparison(Box::new(Binary { op, left: left.node, right: right.node, check, nested: false })),
        };
        let node = if constant { folded(node) } else { node };
        if is_arithmetic {
            Ok(Built { node, dynamic, kind, stateful })
        } else {
            Ok(Built { node, dynamic: false, kind: Some(Kind::Bool), stateful })
        }
    }

    fn call(&mut self, name: &str, arguments: &[Expr]) -> Result<Built, CompileError> {
        let mut nodes = Vec::with_capacity(arguments.len());
        let (mut stateful, mut constant) = (false, arguments.len() <= ARGUMENTS_MAX);
        for (index, argument) in arguments.iter().enumerate() {
            let built = self.node(argument, false).map_err(below(Place::Argument(index + 1)))?;
            stateful |= built.stateful;
            constant &= built.is_literal();
            nodes.push(built.node);
        }
        let node = match Function::find(name) {
            None => Node::Undefined(name.into()),
            Some(function) => {
                stateful |= function.is_stateful();
                self.own_state |= function.is_stateful() && !self.inside_embedded;
                let node = Node::Call(Box::new(Call { function, arguments: nodes }));
                if constant && function.is_pure() { folded(node) } else { node }
            }
        };
        Ok(Built { node, dynamic: true, kind: None, stateful })
    }

    fn embedded(&mut self, inner: &Expr, nested: bool) -> Result<Built, CompileError> {
        let outside = std::mem::replace(&mut self.inside_embedded, true);
        let built = self.node(inner, nested);
        self.inside_embedded = outside;
        let built = built?;
        if !built.stateful {
            return Ok(built);
        }
        let state = self.embedded;
        self.embedded += 1;
        Ok(Built { node: Node::Embedded(Box::new(Embedded { state, node: built.node })), ..built })
    }
}

fn below(place: Place) -> impl FnOnce(CompileError) -> CompileError {
    move |cause| CompileError::Below { place, cause: Box::new(cause) }
}

fn literal(value: &Value) -> Result<Literal, CompileError> {
    Ok(match value {
        Value::Float(x) => Literal::Float(*x),
        Value::Int(x) => Literal::Int(*x),
        Value::Bool(x) => Literal::Bool(*x),
        Value::String(text) => Literal::String(text.as_str().into()),
        Value::Duration(x) => Literal::Duration(*x),
        Value::Time(x) => Literal::Time(*x),
        Value::Regex(source) => Literal::Regex(Rc::new(Pattern::new(source)?)),
        Value::Null => Literal::Null,
    })
}

/// The value of a node over literals; the node itself if it has none, so that it fails per point.
fn folded(node: Node) -> Node {
    let reads = Reads { names: &[], found: &[], time: 0, now: 0 };
    // No cache is asked, since the operands are literals.
    let mut writes = Writes { state: &mut State::default(), embedded: &mut [], caches: &mut [] };
    let literal = match node.value(&reads, &mut writes) {
        Ok(Operand::Float(x)) => Literal::Float(x),
        Ok(Operand::Int(x)) => Literal::Int(x),
        Ok(Operand::Bool(x)) => Literal::Bool(x),
        Ok(Operand::Duration(x)) => Literal::Duration(x),
        Ok(Operand::Regex(pattern)) => Literal::Regex(pattern.clone()),
        Ok(Operand::Text(text)) => match text {
            Text::Shared(text) => Literal::String(text.clone()),
            text => match std::str::from_utf8(text.as_bytes()) {
                Ok(text) => Literal::String(text.into()),
                Err(_) => return node,
            },
        },
        Ok(Operand::Time(_) | Operand::Missing | Operand::Null) | Err(_) => return node,
    };
    Node::Literal(literal)
}
