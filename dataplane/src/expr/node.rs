//! A compiled expression as a tree, and how its types and values are found for a point.

use std::rc::Rc;

use proto::expr::{BinaryOp, UnaryOp};

use super::{
    error::{BadCall, EvalError, FailedArgument, FailedCall, MissingArgument, OperatorError, Side},
    functions::{ARGUMENTS_MAX, Body, Function, State, random},
    operand::{Kind, Operand, Text},
    operators::{self, Refused},
    pattern::{MatchCache, Pattern},
};
use crate::{name::Name, value::Value};

#[derive(Debug)]
pub enum Node {
    Literal(Literal),
    /// Index among the references of the lambda.
    Reference(usize),
    Minus(Box<Node>),
    Not(Box<Checked>),
    Arithmetic(Box<Binary>),
    Comparison(Box<Binary>),
    /// A text against a literal pattern.
    Match(Box<Match>),
    Logical(Box<Logical>),
    Call(Box<Call>),
    /// A call of a function that does not exist fails when a point reaches it.
    Undefined(Box<str>),
    /// A lambda var with a state of its own.
    Embedded(Box<Embedded>),
}

#[derive(Debug)]
pub enum Literal {
    Float(f64),
    Int(i64),
    Bool(bool),
    String(Rc<str>),
    Duration(i64),
    Time(i64),
    Regex(Rc<Pattern>),
    Null,
}

#[derive(Debug)]
pub struct Checked {
    pub operand: Node,
    /// Types come first, since evaluation would touch state.
    pub check: bool,
}

#[derive(Debug)]
pub struct Binary {
    pub op: BinaryOp,
    pub left: Node,
    pub right: Node,
    /// Types come first, since evaluation would touch state.
    pub check: bool,
    /// Operand of another operator: what it says of missing values differs.
    pub nested: bool,
}

#[derive(Debug)]
pub struct Match {
    pub text: Node,
    pub pattern: Rc<Pattern>,
    /// `!~`
    pub negated: bool,
    pub check: bool,
    /// Index among the caches of the lambda.
    pub cache: usize,
}

#[derive(Debug)]
pub struct Logical {
    pub op: BinaryOp,
    pub left: Node,
    pub right: Node,
    /// Types come first, since evaluation would touch state.
    pub check: bool,
    /// The right side must have its type even when the left side decides.
    pub needs_right: bool,
}

#[derive(Debug)]
pub struct Call {
    pub function: &'static Function,
    pub arguments: Vec<Node>,
}

#[derive(Debug)]
pub struct Embedded {
    /// Index among the embedded states of the lambda.
    pub state: usize,
    pub node: Node,
}

/// What a reference stands for at one point.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    Missing,
    Time,
    Value(&'a Value),
    Tag(&'a Rc<str>),
}

/// What an evaluation reads.
#[derive(Clone, Copy, Debug)]
pub struct Reads<'a> {
    pub names: &'a [Name],
    /// In the order of `names`.
    pub found: &'a [Found<'a>],
    pub time: i64,
    pub now: i64,
}

/// What an evaluation changes.
#[derive(Debug)]
pub struct Writes<'a> {
    pub state: &'a mut State,
    pub embedded: &'a mut [State],
    pub caches: &'a mut [MatchCache],
}

impl<'a> Reads<'a> {
    #[inline]
    fn operand(&self, reference: usize) -> Operand<'a> {
        match self.found[reference] {
            Found::Value(value) => value.into(),
            Found::Tag(text) => Operand::Text(Text::Shared(text)),
            Found::Time => Operand::Time(self.time),
            Found::Missing => Operand::Missing,
        }
    }
}

impl Literal {
    pub fn operand(&self) -> Operand<'_> {
        match self {
            Literal::Float(x) => Operand::Float(*x),
            Literal::Int(x) => Operand::Int(*x),
            Literal::Bool(x) => Operand::Bool(*x),
            Literal::String(text) => Operand::Text(Text::Shared(text)),
            Literal::Duration(x) => Operand::Duration(*x),
            Literal::Time(x) => Operand::Time(*x),
            Literal::Regex(pattern) => Operand::Regex(pattern),
            Literal::Null => Operand::Null,
        }
    }
}

impl Node {
    /// The type of the value, without computing it. Comparisons, logic and `!` are bool whatever is below.
    pub fn kind(&self, reads: &Reads<'_>) -> Result<Kind, EvalError> {
        match self {
            Node::Literal(literal) => Ok(literal.operand().kind()),
            Node::Reference(reference) => Ok(reads.operand(*reference).kind()),
            Node::Minus(operand) => match operand.kind(reads)? {
                kind @ (Kind::Float | Kind::Int | Kind::Duration | Kind::Bool) => Ok(kind),
                kind => Err(operand.unary_error(UnaryOp::Minus, kind, reads)),
            },
            Node::Not(_) | Node::Comparison(_) | Node::Match(_) | Node::Logical(_) => Ok(Kind::Bool),
            Node::Arithmetic(binary) => binary.kind(reads),
            Node::Call(call) => call.kind(reads),
            Node::Undefined(name) => Err(EvalError::UndefinedFunction(name.clone())),
            Node::Embedded(embedded) => embedded.node.kind(reads),
        }
    }

    pub fn value<'a>(&'a self, reads: &Reads<'a>, writes: &mut Writes<'_>) -> Result<Operand<'a>, EvalError> {
        match self {
            Node::Literal(literal) => Ok(literal.operand()),
            Node::Reference(reference) => Ok(reads.operand(*reference)),
            Node::Arithmetic(binary) => binary.arithmetic(reads, writes),
            Node::Comparison(binary) => binary.comparison(reads, writes).map(Operand::Bool),
            Node::Logical(logical) => logical.value(reads, writes).map(Operand::Bool),
            Node::Match(matching) => matching.value(reads, writes).map(Operand::Bool),
            Node::Call(call) => call.value(reads, writes),
            Node::Minus(node) => {
                let operand = node.value(reads, writes)?;
                operators::negated(&operand).ok_or_else(|| node.unary_error(UnaryOp::Minus, operand.kind(), reads))
            }
            Node::Not(not) => {
                if not.check {
                    not.operand.kind(reads)?;
                }
                match not.operand.truth(reads, writes)? {
                    Ok(truth) => Ok(Operand::Bool(!truth)),
                    Err(kind) => Err(not.operand.unary_error(UnaryOp::Not, kind, reads)),
                }
            }
            Node::Undefined(name) => Err(EvalError::UndefinedFunction(name.clone())),
            Node::Embedded(embedded) => {
                let mut state = std::mem::take(&mut writes.embedded[embedded.state]);
                let mut own =
                    Writes { state: &mut state, embedded: &mut *writes.embedded, caches: &mut *writes.caches };
                let result = embedded.node.value(reads, &mut own);
                writes.embedded[embedded.state] = state;
                result
            }
        }
    }

    /// The value of an operand that should be bool; the inner error is the type that it has instead.
    #[inline]
    pub fn truth(&self, reads: &Reads<'_>, writes: &mut Writes<'_>) -> Result<Result<bool, Kind>, EvalError> {
        match self {
            Node::Comparison(binary) => binary.comparison(reads, writes).map(Ok),
            Node::Logical(logical) => logical.value(reads, writes).map(Ok),
            Node::Match(matching) => matching.value(reads, writes).map(Ok),
            node => Ok(match node.value(reads, writes)? {
                Operand::Bool(truth) => Ok(truth),
                other => Err(other.kind()),
            }),
        }
    }

    /// The reference that this node is, if it is one: only those can be missing.
    pub fn reference(&self) -> Option<usize> {
        match self {
            Node::Reference(reference) => Some(*reference),
            Node::Embedded(embedded) => embedded.node.reference(),
            _ => None,
        }
    }

    #[cold]
    fn unary_error(&self, op: UnaryOp, kind: Kind, reads: &Reads<'_>) -> EvalError {
        match (kind, self.reference()) {
            (Kind::Missing, Some(reference)) => EvalError::Missing(reads.names[reference]),
            _ => EvalError::Unary { op, kind },
        }
    }
}

impl Binary {
    fn kind(&self, reads: &Reads<'_>) -> Result<Kind, EvalError> {
        let (left, right) = (self.left.kind(reads)?, self.right.kind(reads)?);
        operators::result_kind(self.op, left, right).ok_or_else(|| self.error(left, right, reads))
    }

    #[inline]
    fn arithmetic<'a>(&'a self, reads: &Reads<'a>, writes: &mut Writes<'_>) -> Result<Operand<'a>, EvalError> {
        let left = self.left.value(reads, writes)?;
        let right = self.right.value(reads, writes)?;
        operators::arithmetic(self.op, &left, &right).map_err(|refused| match refused {
            Refused::DivideByZero => EvalError::DivideByZero,
            Refused::Kinds => self.error(left.kind(), right.kind(), reads),
        })
    }

    #[inline]
    fn comparison(&self, reads: &Reads<'_>, writes: &mut Writes<'_>) -> Result<bool, EvalError> {
        if self.check {
            self.kind(reads)?;
        }
        let left = self.left.value(reads, writes)?;
        let right = self.right.value(reads, writes)?;
        match (self.op, &left, &right) {
            (BinaryOp::RegexMatch, Operand::Text(text), Operand::Regex(pattern)) => {
                Ok(pattern.is_match(&text.to_str()))
            }
            (BinaryOp::RegexNotMatch, Operand::Text(text), Operand::Regex(pattern)) => {
                Ok(!pattern.is_match(&text.to_str()))
            }
            _ => operators::compare(self.op, &left, &right).ok_or_else(|| self.error(left.kind(), right.kind(), reads)),
        }
    }

    #[cold]
    fn error(&self, left: Kind, right: Kind, reads: &Reads<'_>) -> EvalError {
        let shown_as_operand = !self.nested;
        operand_error(self.op, (&self.left, left), (&self.right, right), shown_as_operand, reads)
    }
}

/// What is wrong with the operands of an operator.
#[cold]
fn operand_error(
    op: BinaryOp,
    (left, left_kind): (&Node, Kind),
    (right, right_kind): (&Node, Kind),
    names_missing: bool,
    reads: &Reads<'_>,
) -> EvalError {
    for (side, node, kind) in [(Side::Left, left, left_kind), (Side::Right, right, right_kind)] {
        if kind == Kind::Missing {
            return match node.reference() {
                Some(reference) if names_missing => EvalError::MissingOperand { side, name: reads.names[reference] },
                _ => OperatorError::Invalid { op, kind }.into(),
            };
        }
    }
    OperatorError::new(op, left_kind, right_kind).into()
}

impl Match {
    fn value(&self, reads: &Reads<'_>, writes: &mut Writes<'_>) -> Result<bool, EvalError> {
        if let Node::Reference(reference) = &self.text
            && let Found::Tag(tag) = reads.found[*reference]
        {
            return Ok(writes.caches[self.cache].is_match(&self.pattern, tag) != self.negated);
        }
        if self.check {
            match self.text.kind(reads)? {
                Kind::String => {}
                kind => return Err(self.error(kind, reads)),
            }
        }
        match self.text.value(reads, writes)? {
            Operand::Text(text) => Ok(self.pattern.is_match(&text.to_str()) != self.negated),
            other => Err(self.error(other.kind(), reads)),
        }
    }

    #[cold]
    fn error(&self, kind: Kind, reads: &Reads<'_>) -> EvalError {
        let op = if self.negated { BinaryOp::RegexNotMatch } else { BinaryOp::RegexMatch };
        match (kind, self.text.reference()) {
            (Kind::Missing, Some(reference)) => {
                EvalError::MissingOperand { side: Side::Left, name: reads.names[reference] }
            }
            _ => OperatorError::new(op, kind, Kind::Regex).into(),
        }
    }
}

impl Logical {
    fn value(&self, reads: &Reads<'_>, writes: &mut Writes<'_>) -> Result<bool, EvalError> {
        if self.check {
            self.check_kinds(reads)?;
        }
        let left = match self.left.truth(reads, writes)? {
            Ok(truth) => truth,
            Err(kind) => return Err(self.error(kind, self.right.kind(reads)?, reads)),
        };
        if left == (self.op == BinaryOp::Or) {
            if self.needs_right && !self.check {
                self.check_kinds(reads)?;
            }
            return Ok(left);
        }
        self.right.truth(reads, writes)?.map_err(|kind| self.error(Kind::Bool, kind, reads))
    }

    fn check_kinds(&self, reads: &Reads<'_>) -> Result<(), EvalError> {
        match (self.left.kind(reads)?, self.right.kind(reads)?) {
            (Kind::Bool, Kind::Bool) => Ok(()),
            (left, right) => Err(self.error(left, right, reads)),
        }
    }

    #[cold]
    fn error(&self, left: Kind, right: Kind, reads: &Reads<'_>) -> EvalError {
        operand_error(self.op, (&self.left, left), (&self.right, right), true, reads)
    }
}

impl Call {
    fn kind(&self, reads: &Reads<'_>) -> Result<Kind, EvalError> {
        let mut kinds = [Kind::Null; ARGUMENTS_MAX];
        let mut count = 0;
        for (number, argument) in self.arguments.iter().enumerate() {
            let kind = argument.kind(reads).map_err(|error| failed_argument(number, error))?;
            if kind == Kind::Missing {
                self.accept_missing(argument, reads)?;
            }
            // More arguments than any function takes are told from the count alone.
            if let Some(slot) = kinds.get_mut(number) {
                *slot = kind;
                count = number + 1;
            }
        }
        let kinds = &kinds[..count];
        let result = if self.arguments.len() == count { self.function.result_kind(kinds) } else { None };
        result.ok_or_else(|| self.bad_call(kinds.to_vec()))
    }

    fn value<'a>(&'a self, reads: &Reads<'a>, writes: &mut Writes<'_>) -> Result<Operand<'a>, EvalError> {
        if self.arguments.len() > ARGUMENTS_MAX {
            self.kind(reads)?;
        }
        let mut operands = [const { Operand::Missing }; ARGUMENTS_MAX];
        for (number, (argument, slot)) in self.arguments.iter().zip(&mut operands).enumerate() {
            *slot = match argument.value(reads, writes) {
                Ok(operand) => operand,
                Err(error) => return Err(failed_argument(number, error)),
            };
            if let Operand::Missing = slot {
                self.accept_missing(argument, reads)?;
            }
        }
        let operands = &operands[..self.arguments.len().min(ARGUMENTS_MAX)];
        let result = match (&self.function.body, operands) {
            (Body::Float1(body), [Operand::Float(x)]) => Operand::Float(body(*x)),
            (Body::Float2(body), [Operand::Float(x), Operand::Float(y)]) => Operand::Float(body(*x, *y)),
            (Body::Pure(body), operands) => match body(operands) {
                Some(Ok(result)) => result,
                Some(Err(cause)) => {
                    let failed = FailedCall { function: self.function.name, cause };
                    return Err(EvalError::Failed(Box::new(failed)));
                }
                None => return Err(self.bad_call(kinds(operands))),
            },
            (Body::TimePart(body), [Operand::Time(time)]) => Operand::Int(body(*time)),
            (Body::Now, []) => Operand::Time(reads.now),
            (Body::Count, []) => Operand::Int(writes.state.count()),
            (Body::Sigma, [Operand::Float(x)]) => Operand::Float(writes.state.sigma(*x)),
            (Body::Spread, [Operand::Float(x)]) => Operand::Float(writes.state.spread(*x)),
            (Body::Random, []) => Operand::Int(random(None).unwrap_or_default()),
            (Body::Random, [Operand::Int(limit)]) => match random(Some(*limit)) {
                Some(number) => Operand::Int(number),
                None => {
                    let cause = super::error::Failure::RandLimit(*limit);
                    let failed = FailedCall { function: self.function.name, cause };
                    return Err(EvalError::Failed(Box::new(failed)));
                }
            },
            (_, operands) => return Err(self.bad_call(kinds(operands))),
        };
        Ok(result)
    }

    #[cold]
    fn bad_call(&self, arguments: Vec<Kind>) -> EvalError {
        EvalError::BadCall(Box::new(BadCall { function: self.function, arguments }))
    }

    /// Only `isPresent` takes a missing argument.
    fn accept_missing(&self, argument: &Node, reads: &Reads<'_>) -> Result<(), EvalError> {
        let Some(reference) = argument.reference().filter(|_| !self.function.takes_missing()) else { return Ok(()) };
        let present = reads.names.iter().zip(reads.found).filter(|(_, found)| !matches!(found, Found::Missing));
        Err(EvalError::MissingArgument(Box::new(MissingArgument {
            function: self.function.name,
            name: reads.names[reference],
            in_scope: present.map(|(name, _)| *name).collect(),
        })))
    }
}

fn kinds(operands: &[Operand<'_>]) -> Vec<Kind> {
    operands.iter().map(Operand::kind).collect()
}

#[cold]
fn failed_argument(index: usize, cause: EvalError) -> EvalError {
    EvalError::Argument(Box::new(FailedArgument { number: index + 1, cause }))
}
