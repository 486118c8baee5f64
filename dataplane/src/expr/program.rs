//! The usual lambdas as straight-line code over registers of floats.
//!
//! Most lambdas are arithmetic, comparison and logic of floats, with a look at a tag. From its place in such a lambda each
//! reference has a type that it should have. Where all of them do, nothing in the lambda can fail, so all of it is worked
//! out from left to right and short circuit shows in nothing. Where one does not, or is missing, there is no result, and
//! the tree ([`super::node`]) says what happens.
//!
//! Truth is 1 or 0 in a register. An integer stands there as the float that a comparison with floats makes of it anyway;
//! with a constant below 2⁵³ it compares as integers do.

use std::rc::Rc;

use proto::expr::BinaryOp;

use super::{
    Scope, State,
    functions::Body,
    look_up,
    node::{Binary, Call, Found, Literal, Node},
    pattern::{MatchCache, Pattern},
};
use crate::{name::Name, value::Value};

/// Registers of a program: a power of two, so that an index is cut to it and not checked.
const REGISTERS: usize = 32;

/// Integers up to here are floats, too.
const EXACT_MAX: u64 = 1 << 53;

type Register = u8;

#[derive(Debug)]
pub struct Program {
    /// Constants stay where they are; what is loaded and worked out is written anew for each point.
    registers: [f64; REGISTERS],
    loads: Box<[(Register, Name, Load)]>,
    steps: Box<[(Register, Step)]>,
    result: Register,
    is_truth: bool,
}

/// What a reference should be, and what of it goes into a register.
#[derive(Debug)]
enum Load {
    Float,
    /// A float or an integer.
    Number,
    Bool,
    /// Whether a text is this one.
    Is(Rc<str>),
    /// Whether a tag matches a pattern, whose matches are remembered in the cache with this index.
    Matches(Rc<Pattern>, usize),
}

/// An operator on registers.
#[derive(Clone, Copy, Debug)]
enum Step {
    Add(Register, Register),
    Subtract(Register, Register),
    Multiply(Register, Register),
    Divide(Register, Register),
    Negate(Register),
    Equal(Register, Register),
    NotEqual(Register, Register),
    Less(Register, Register),
    LessEqual(Register, Register),
    And(Register, Register),
    Or(Register, Register),
    Not(Register),
    /// Condition, value if it is true, value if not.
    Choose(Register, Register, Register),
    Call1(fn(f64) -> f64, Register),
    Call2(fn(f64, f64) -> f64, Register, Register),
    Sigma(Register),
    Spread(Register),
}

impl Program {
    /// The program of a tree, if it has one. `names` are those of its references; `time` is not among them.
    pub fn compile(root: &Node, names: &[Name]) -> Option<Program> {
        let mut builder = Builder::new(names);
        if let Some(result) = builder.float(root, true) {
            return Some(builder.finish(result, false));
        }
        builder = Builder::new(names);
        let result = builder.truth(root, true)?;
        Some(builder.finish(result, true))
    }

    /// The truth for a point that is as the program expects.
    #[inline]
    pub fn truth(&mut self, scope: &Scope<'_>, state: &mut State, caches: &mut [MatchCache]) -> Option<bool> {
        if self.is_truth { Some(self.run(scope, state, caches)? > 0.0) } else { None }
    }

    /// The float for a point that is as the program expects.
    #[inline]
    pub fn float(&mut self, scope: &Scope<'_>, state: &mut State, caches: &mut [MatchCache]) -> Option<f64> {
        if self.is_truth { None } else { self.run(scope, state, caches) }
    }

    /// The value for a point that is as the program expects.
    #[inline]
    pub fn value(&mut self, scope: &Scope<'_>, state: &mut State, caches: &mut [MatchCache]) -> Option<Value> {
        let result = self.run(scope, state, caches)?;
        Some(if self.is_truth { Value::Bool(result > 0.0) } else { Value::Float(result) })
    }

    #[inline]
    fn run(&mut self, scope: &Scope<'_>, state: &mut State, caches: &mut [MatchCache]) -> Option<f64> {
        for (register, name, load) in &self.loads {
            self.registers[usize::from(*register) % REGISTERS] = load.run(*name, scope, caches)?;
        }
        for (register, step) in &self.steps {
            self.registers[usize::from(*register) % REGISTERS] = step.run(&self.registers, state);
        }
        Some(self.registers[usize::from(self.result) % REGISTERS])
    }
}

impl Load {
    #[inline]
    fn run(&self, name: Name, scope: &Scope<'_>, caches: &mut [MatchCache]) -> Option<f64> {
        match (self, look_up(name, scope)?) {
            (Load::Float | Load::Number, Found::Value(Value::Float(x))) => Some(*x),
            (Load::Number, Found::Value(Value::Int(x))) => Some(*x as f64),
            (Load::Bool, Found::Value(Value::Bool(x))) => Some(number(*x)),
            (Load::Is(text), Found::Tag(found) | Found::Value(Value::String(found))) => Some(number(*text == *found)),
            (Load::Matches(pattern, cache), Found::Tag(tag)) => {
                Some(number(caches.get_mut(*cache)?.is_match(pattern, tag)))
            }
            _ => None,
        }
    }
}

impl Step {
    #[inline]
    fn run(self, registers: &[f64; REGISTERS], state: &mut State) -> f64 {
        let r = |register: Register| registers[usize::from(register) % REGISTERS];
        match self {
            Step::Add(a, b) => r(a) + r(b),
            Step::Subtract(a, b) => r(a) - r(b),
            Step::Multiply(a, b) | Step::And(a, b) => r(a) * r(b),
            Step::Divide(a, b) => r(a) / r(b),
            Step::Negate(a) => -r(a),
            Step::Equal(a, b) => number(r(a) == r(b)),
            Step::NotEqual(a, b) => number(r(a) != r(b)),
            Step::Less(a, b) => number(r(a) < r(b)),
            Step::LessEqual(a, b) => number(r(a) <= r(b)),
            Step::Or(a, b) => number(r(a) + r(b) > 0.0),
            Step::Not(a) => 1.0 - r(a),
            Step::Choose(condition, yes, no) => r(if r(condition) > 0.0 { yes } else { no }),
            Step::Call1(body, a) => body(r(a)),
            Step::Call2(body, a, b) => body(r(a), r(b)),
            Step::Sigma(a) => state.sigma(r(a)),
            Step::Spread(a) => state.spread(r(a)),
        }
    }
}

fn number(truth: bool) -> f64 {
    f64::from(u8::from(truth))
}

/// Writes a program. `None` from its methods says that there is none.
///
/// `always` says of a part that it is evaluated at every point, so that it may touch state.
struct Builder<'a> {
    names: &'a [Name],
    registers: [f64; REGISTERS],
    used: usize,
    loads: Vec<(Register, Name, Load)>,
    steps: Vec<(Register, Step)>,
}

impl Builder<'_> {
    fn new(names: &[Name]) -> Builder<'_> {
        Builder { names, registers: [0.0; REGISTERS], used: 0, loads: Vec::new(), steps: Vec::new() }
    }

    fn finish(self, result: Register, is_truth: bool) -> Program {
        let Builder { registers, loads, steps, .. } = self;
        Program { registers, loads: loads.into(), steps: steps.into(), result, is_truth }
    }

    fn register(&mut self) -> Option<Register> {
        let register = self.used;
        self.used += 1;
        (register < REGISTERS).then_some(register as Register)
    }

    fn constant(&mut self, value: f64) -> Option<Register> {
        let register = self.register()?;
        self.registers[usize::from(register)] = value;
        Some(register)
    }

    fn load(&mut self, reference: usize, load: Load) -> Option<Register> {
        let name = *self.names.get(reference)?;
        let same = |known: &Load| match (known, &load) {
            (Load::Is(a), Load::Is(b)) => a == b,
            (Load::Matches(..), _) => false,
            _ => std::mem::discriminant(known) == std::mem::discriminant(&load),
        };
        if let Some((register, ..)) = self.loads.iter().find(|(_, other, known)| *other == name && same(known)) {
            return Some(*register);
        }
        let register = self.register()?;
        self.loads.push((register, name, load));
        Some(register)
    }

    fn step(&mut self, step: Step) -> Option<Register> {
        let register = self.register()?;
        self.steps.push((register, step));
        Some(register)
    }

    /// A part that is a float.
    fn float(&mut self, node: &Node, always: bool) -> Option<Register> {
        match node {
            Node::Literal(Literal::Float(x)) => self.constant(*x),
            Node::Reference(reference) => self.load(*reference, Load::Float),
            Node::Minus(operand) => {
                let operand = self.float(operand, always)?;
                self.step(Step::Negate(operand))
            }
            Node::Arithmetic(binary) => {
                let (a, b) = (self.float(&binary.left, always)?, self.float(&binary.right, always)?);
                self.step(match binary.op {
                    BinaryOp::Add => Step::Add(a, b),
                    BinaryOp::Subtract => Step::Subtract(a, b),
                    BinaryOp::Multiply => Step::Multiply(a, b),
                    BinaryOp::Divide => Step::Divide(a, b),
                    _ => return None,
                })
            }
            Node::Call(call) => self.call(call, always),
            _ => None,
        }
    }

    fn call(&mut self, call: &Call, always: bool) -> Option<Register> {
        let step = match (&call.function.body, call.arguments.as_slice()) {
            (Body::Float1(body), [x]) => Step::Call1(*body, self.float(x, always)?),
            (Body::Float2(body), [x, y]) => Step::Call2(*body, self.float(x, always)?, self.float(y, always)?),
            (Body::Sigma, [x]) if always => Step::Sigma(self.float(x, always)?),
            (Body::Spread, [x]) if always => Step::Spread(self.float(x, always)?),
            (Body::Pure(_), [Node::Reference(reference)]) if call.function.name == "float" => {
                return self.load(*reference, Load::Number);
            }
            (Body::Pure(_), [condition, yes, no]) if call.function.name == "if" => {
                let condition = self.truth(condition, always)?;
                Step::Choose(condition, self.float(yes, always)?, self.float(no, always)?)
            }
            _ => return None,
        };
        self.step(step)
    }

    /// A part that is true or false.
    fn truth(&mut self, node: &Node, always: bool) -> Option<Register> {
        match node {
            Node::Literal(Literal::Bool(x)) => self.constant(number(*x)),
            Node::Reference(reference) => self.load(*reference, Load::Bool),
            Node::Not(not) => {
                let operand = self.truth(&not.operand, always)?;
                self.step(Step::Not(operand))
            }
            Node::Comparison(binary) => self.comparison(binary, always),
            Node::Match(matching) => {
                let Node::Reference(reference) = matching.text else { return None };
                let matches = self.load(reference, Load::Matches(matching.pattern.clone(), matching.cache))?;
                if matching.negated { self.step(Step::Not(matches)) } else { Some(matches) }
            }
            Node::Logical(logical) => {
                let a = self.truth(&logical.left, always)?;
                let b = self.truth(&logical.right, false)?;
                self.step(if logical.op == BinaryOp::And { Step::And(a, b) } else { Step::Or(a, b) })
            }
            _ => None,
        }
    }

    fn comparison(&mut self, binary: &Binary, always: bool) -> Option<Register> {
        let (left, right) = (&binary.left, &binary.right);
        if let (Node::Reference(reference), Node::Literal(Literal::String(text)))
        | (Node::Literal(Literal::String(text)), Node::Reference(reference)) = (left, right)
        {
            let is = self.load(*reference, Load::Is(text.clone()));
            return match binary.op {
                BinaryOp::Equal => is,
                BinaryOp::NotEqual => is.and_then(|is| self.step(Step::Not(is))),
                _ => None,
            };
        }
        let is_bool = |node: &Node| matches!(node, Node::Literal(Literal::Bool(_)));
        let (a, b) = if is_bool(left) || is_bool(right) {
            if !matches!(binary.op, BinaryOp::Equal | BinaryOp::NotEqual) {
                return None;
            }
            (self.truth(left, always)?, self.truth(right, always)?)
        } else {
            (self.comparand(left, right, always)?, self.comparand(right, left, always)?)
        };
        self.step(match binary.op {
            BinaryOp::Equal => Step::Equal(a, b),
            BinaryOp::NotEqual => Step::NotEqual(a, b),
            BinaryOp::Less => Step::Less(a, b),
            BinaryOp::LessEqual => Step::LessEqual(a, b),
            BinaryOp::Greater => Step::Less(b, a),
            BinaryOp::GreaterEqual => Step::LessEqual(b, a),
            _ => return None,
        })
    }

    /// A number that is compared with `other`: of two references both must be floats, since integers compare exactly.
    fn comparand(&mut self, node: &Node, other: &Node, always: bool) -> Option<Register> {
        match (node, other) {
            (Node::Literal(Literal::Int(x)), _) if x.unsigned_abs() < EXACT_MAX => self.constant(*x as f64),
            (Node::Reference(_), Node::Reference(_)) => self.float(node, always),
            (Node::Reference(reference), _) => self.load(*reference, Load::Number),
            _ => self.float(node, always),
        }
    }
}
