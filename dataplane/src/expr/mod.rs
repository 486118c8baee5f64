//! Compiled lambda expressions (reference: tickscript §8 to §12).
//!
//! # Order of evaluation
//!
//! An expression is defined in two steps: first its type for this point is worked out, then its value. A type error
//! anywhere below thus fails the point before any function has been called. Comparisons, logic and `!` are bool without
//! a look below; they start the two steps anew for their own operands when evaluation reaches them. The steps show only in
//! two places, and elsewhere one pass that computes values does both:
//!
//! - **State.** `count() + "nope"` must not count. Where an operand is stateful, [`node::Node::kind`] runs first.
//! - **Short circuit.** `AND` and `OR` skip a right side that cannot matter. If both sides are bool by their form, the
//!   right one is not looked at. If either is *dynamic* (a reference or call, or minus, arithmetic or a lambda var around
//!   one), both must turn out to be bool, so `"on" AND "nope"` fails for a missing `nope` even if `on` is false, while
//!   `"on" AND "nope" > 1.0` is false.
//!
//! All references are looked up before anything else, also those that evaluation would skip: a name that is both field
//! and tag fails the point wherever it stands. Functions get all their arguments evaluated; `if` is a function.
//!
//! # Cost
//!
//! Floats, and looks at tags, are straight-line code without errors in between ([`program`]); a point that is not as it
//! expects is left to the tree ([`node`]), and all that is said above is said of the tree.
//!
//! Numbers never allocate. Texts are borrowed from the point until they are a result, and a whole text of the point is
//! shared even then. Constants are folded, regular expressions are compiled once, and matches on tags are remembered by
//! the address of the tag's text, which all points of a series share. Errors are data until somebody prints them.

mod compile;
mod duration_text;
mod error;
mod functions;
mod node;
mod operand;
mod operators;
mod pattern;
mod program;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use error::{CompileError, EvalError};
pub use functions::{State, function_arguments, function_names};
pub use pattern::{BadPattern, Pattern};

use crate::{
    fields::Fields,
    name::Name,
    point::{Point, RowRef},
    tags::TagSet,
    value::{Field, Value, field},
};
use node::{Found, Node, Reads, Writes};
use operand::{Kind, Operand};
use pattern::MatchCache;
use program::Program;

/// What an expression sees of a point.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// Of the point, nanoseconds since 1970.
    pub time: i64,
    pub fields: Fields<'a>,
    pub tags: &'a TagSet,
    /// Earlier results of the same `eval`: what is neither field nor tag is looked for here.
    pub results: &'a [Field],
    /// The clock, nanoseconds since 1970.
    pub now: i64,
}

impl<'a> Scope<'a> {
    /// A point of a stream.
    pub fn of(point: &Point<'a>, now: i64) -> Self {
        Scope { time: point.time, fields: point.fields, tags: point.tags, results: &[], now }
    }

    /// A point of a batch; `fields` are the row's.
    pub fn of_row(row: RowRef<'a>, fields: &'a [Field], now: i64) -> Self {
        Scope { time: row.time(), fields: fields.into(), tags: row.tags(), results: &[], now }
    }
}

/// One lambda of a node, for all groups.
///
/// It holds scratch and the state of lambda vars inside it, which all groups of the node share; the state of its own
/// functions is the caller's, one [`State`] per group or one per node (reference: tickscript §11).
#[derive(Debug)]
pub struct Lambda {
    root: Node,
    /// What it is at points that are as expected.
    program: Option<Box<Program>>,
    names: Vec<Name>,
    /// The reference `"time"`.
    time: Option<usize>,
    own_state: bool,
    stateful: bool,
    embedded: Vec<State>,
    caches: Vec<MatchCache>,
}

/// State of the lambda vars inside a lambda, as plain data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SharedState(Vec<State>);

impl Lambda {
    /// Errors: operators on constants of wrong types, a regular expression that does not compile, too deep a tree, too
    /// many names in the process. Everything else is found per point (reference: tickscript §6).
    pub fn compile(expr: &proto::Expr) -> Result<Lambda, CompileError> {
        let compiled = compile::compile(expr)?;
        let time = Name::new("time")?;
        let time = compiled.names.iter().position(|name| *name == time);
        let program = if time.is_none() { Program::compile(&compiled.root, &compiled.names) } else { None };
        Ok(Lambda {
            root: compiled.root,
            program: program.map(Box::new),
            time,
            names: compiled.names,
            own_state: compiled.own_state,
            stateful: compiled.stateful,
            embedded: vec![State::default(); compiled.embedded],
            caches: std::iter::repeat_with(MatchCache::default).take(compiled.caches).collect(),
        })
    }

    /// The value for a point: float, int, bool, string or duration. Anything else is an error.
    #[inline]
    pub fn eval(&mut self, scope: &Scope<'_>, state: &mut State) -> Result<Value, EvalError> {
        if let Some(program) = &mut self.program
            && let Some(value) = program.value(scope, state, &mut self.caches)
        {
            return Ok(value);
        }
        self.eval_tree(scope, state)
    }

    /// The value for a point where it is a float that straight-line code gives: in a register, for who wants many. For all
    /// others [`Lambda::eval`] has to be asked; no state has changed then.
    #[inline]
    pub fn eval_float(&mut self, scope: &Scope<'_>, state: &mut State) -> Option<f64> {
        self.program.as_mut()?.float(scope, state, &mut self.caches)
    }

    #[inline(never)]
    fn eval_tree(&mut self, scope: &Scope<'_>, state: &mut State) -> Result<Value, EvalError> {
        self.evaluate(scope, state, |root, missing, reads, writes| {
            root.value(reads, writes)?.into_value().map_err(|kind| match missing {
                Some(name) if kind == Kind::Missing => EvalError::Missing(name),
                _ => EvalError::Result(kind),
            })
        })
    }

    /// The value of a predicate for a point; anything but a bool is an error.
    #[inline]
    pub fn eval_bool(&mut self, scope: &Scope<'_>, state: &mut State) -> Result<bool, EvalError> {
        if let Some(program) = &mut self.program
            && let Some(truth) = program.truth(scope, state, &mut self.caches)
        {
            return Ok(truth);
        }
        self.eval_bool_of_tree(scope, state)
    }

    #[inline(never)]
    fn eval_bool_of_tree(&mut self, scope: &Scope<'_>, state: &mut State) -> Result<bool, EvalError> {
        self.evaluate(scope, state, |root, missing, reads, writes| {
            root.truth(reads, writes)?.map_err(|actual| match missing {
                Some(name) if actual == Kind::Missing => EvalError::Missing(name),
                _ => EvalError::TypeGuard { actual, expected: Kind::Bool },
            })
        })
    }

    /// The value for a point that must be an integer.
    pub fn eval_int(&mut self, scope: &Scope<'_>, state: &mut State) -> Result<i64, EvalError> {
        match self.eval(scope, state)? {
            Value::Int(x) => Ok(x),
            other => Err(EvalError::TypeGuard { actual: Operand::from(&other).kind(), expected: Kind::Int }),
        }
    }

    /// The names that the expression reads, `time` among them if it does, in order of appearance.
    pub fn references(&self) -> &[Name] {
        &self.names
    }

    /// Whether it needs a [`State`] of its own per group; without, any will do.
    pub fn is_stateful(&self) -> bool {
        self.own_state
    }

    /// State of the lambda vars inside, shared by all groups.
    pub fn snapshot_shared(&self) -> SharedState {
        SharedState(self.embedded.clone())
    }

    /// Takes back what [`Lambda::snapshot_shared`] gave for the same expression; of another one nothing is taken.
    pub fn restore_shared(&mut self, shared: SharedState) {
        if shared.0.len() == self.embedded.len() {
            self.embedded = shared.0;
        }
    }

    /// Looks all references up and has `compute` do the rest; it also gets the name, if the whole is a reference.
    #[inline]
    fn evaluate<T>(
        &mut self,
        scope: &Scope<'_>,
        state: &mut State,
        compute: impl FnOnce(&Node, Option<Name>, &Reads<'_>, &mut Writes<'_>) -> Result<T, EvalError>,
    ) -> Result<T, EvalError> {
        // Most lambdas look at one or two names.
        match self.names.len() {
            0..=2 => self.evaluate_in(&mut [Found::Missing; 2], scope, state, compute),
            3..=8 => self.evaluate_in(&mut [Found::Missing; 8], scope, state, compute),
            many => self.evaluate_in(&mut vec![Found::Missing; many], scope, state, compute),
        }
    }

    /// The same with room for what is found.
    #[inline]
    fn evaluate_in<'s, T>(
        &mut self,
        room: &mut [Found<'s>],
        scope: &Scope<'s>,
        state: &mut State,
        compute: impl FnOnce(&Node, Option<Name>, &Reads<'_>, &mut Writes<'_>) -> Result<T, EvalError>,
    ) -> Result<T, EvalError> {
        let found = room.get_mut(..self.names.len()).unwrap_or_default();
        for (index, (name, found)) in self.names.iter().zip(found.iter_mut()).enumerate() {
            *found = match self.time {
                Some(time) if time == index => Found::Time,
                _ => look_up(*name, scope).ok_or(EvalError::FieldAndTag(*name))?,
            };
        }
        let reads = Reads { names: &self.names, found, time: scope.time, now: scope.now };
        if self.stateful {
            self.root.kind(&reads)?;
        }
        let mut writes = Writes { state, embedded: &mut self.embedded, caches: &mut self.caches };
        let name = self.root.reference().map(|reference| self.names[reference]);
        compute(&self.root, name, &reads, &mut writes)
    }
}

/// Field, then tag, then earlier result (reference: nodes-stream §2, "Field/tag lookup"); `None` for a name that is field
/// and tag.
#[inline]
fn look_up<'a>(name: Name, scope: &Scope<'a>) -> Option<Found<'a>> {
    match (scope.fields.get(name), scope.tags.get(name)) {
        (Some(_), Some(_)) => None,
        (Some(value), None) => Some(Found::Value(value)),
        (None, Some(tag)) => Some(Found::Tag(tag)),
        (None, None) => Some(field(scope.results, name).map_or(Found::Missing, Found::Value)),
    }
}
