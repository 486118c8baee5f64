//! `eval`: new fields and tags from lambdas.
//!
//! reference: nodes-stream §7, tickscript §12. Each lambda sees the original point; earlier results only under names
//! that the point has neither as field nor as tag. What a lambda merely refers to overwrites an earlier result of that
//! name in the output.

use std::rc::Rc;

use proto::plan::{self, Keep};

use super::{Fault, Operator, Outlet, SnapshotError, StartError, from_state, rewrite::regroup, to_state};
use crate::{
    expr::{EvalError, Lambda, Scope, State},
    fields::Fields,
    group::{Group, GroupStates, Groups},
    name::Name,
    point::{Batch, Point, Row, Rows, SeriesNumber},
    tags::TagSet,
    value::{Field, Value, field, set_field},
};

pub struct Eval {
    lambdas: Vec<Named>,
    tags: Vec<Name>,
    keep: KeepNames,
    /// Some lambda needs a state of its own.
    stateful: bool,
    /// Per group one state a lambda; none if no lambda needs one.
    states: GroupStates<Vec<State>>,
    scratch: Scratch,
    rows: Vec<Row>,
}

/// A lambda and the name of its result.
struct Named {
    name: Name,
    lambda: Lambda,
    /// References that are names of earlier results.
    reloads: Vec<Name>,
    /// An earlier result may have the name.
    again: bool,
}

enum KeepNames {
    Results,
    All,
    Listed(Vec<Name>),
}

/// What one point is worked out in.
#[derive(Default)]
struct Scratch {
    /// Results, and originals that a lambda referred to after a result of that name.
    results: Vec<Field>,
    fields: Vec<Field>,
}

#[derive(Debug, thiserror::Error)]
enum PointError {
    #[error(transparent)]
    Lambda(#[from] EvalError),
    #[error("result of a tag expression must be of type string, got {0}")]
    Tag(&'static str),
    #[error("cannot keep field {0:?}, field does not exist")]
    Keep(Name),
}

impl Eval {
    pub fn new(plan: &plan::Eval) -> Result<Eval, StartError> {
        let names = |names: &[String]| {
            names.iter().map(|name| Name::new(name).map_err(StartError::new)).collect::<Result<Vec<_>, _>>()
        };
        let mut earlier = Vec::new();
        let lambda = |(name, lambda): &(String, proto::Expr)| {
            let name = Name::new(name).map_err(StartError::new)?;
            let lambda = Lambda::compile(lambda).map_err(StartError::new)?;
            let reloads = lambda.references().iter().filter(|name| earlier.contains(*name)).copied().collect();
            let again = earlier.contains(&name);
            earlier.push(name);
            Ok(Named { name, lambda, reloads, again })
        };
        let lambdas = plan.expressions.iter().map(lambda).collect::<Result<Vec<_>, StartError>>()?;
        Ok(Eval {
            stateful: lambdas.iter().any(|named| named.lambda.is_stateful()),
            lambdas,
            tags: names(&plan.tags)?,
            keep: match &plan.keep {
                Keep::Results => KeepNames::Results,
                Keep::All => KeepNames::All,
                Keep::Listed(listed) => KeepNames::Listed(names(listed)?),
            },
            states: GroupStates::default(),
            scratch: Scratch::default(),
            rows: Vec::new(),
        })
    }

    /// Works out one point into the scratch; returns its tags if they change.
    fn point_of(
        &mut self,
        group: &Rc<Group>,
        time: i64,
        fields: Fields<'_>,
        tags: &TagSet,
        now: i64,
    ) -> Result<Option<TagSet>, PointError> {
        let count = if self.stateful { self.lambdas.len() } else { 0 };
        let states = self.states.get_or_insert_with(group, || vec![State::default(); count]);
        let Scratch { results, fields: kept } = &mut self.scratch;
        results.clear();
        let mut stateless = State::default();
        for (nth, Named { name, lambda, reloads, again }) in self.lambdas.iter_mut().enumerate() {
            for reference in reloads.iter() {
                if field(results, *reference).is_none() {
                    continue;
                }
                let original =
                    fields.get(*reference).cloned().or_else(|| tags.get(*reference).cloned().map(Value::String));
                if let Some(original) = original {
                    set_field(results, *reference, original);
                }
            }
            let state = states.get_mut(nth).unwrap_or(&mut stateless);
            let scope = Scope { time, fields, tags, results, now };
            if *again {
                let value = lambda.eval(&scope, state)?;
                set_field(results, *name, value);
            } else if let Some(x) = lambda.eval_float(&scope, state) {
                results.push(Field { name: *name, value: Value::Float(x) });
            } else {
                let value = lambda.eval(&scope, state)?;
                results.push(Field { name: *name, value });
            }
        }
        let mut new_tags = None;
        for tag in &self.tags {
            let value = match field(results, *tag) {
                Some(Value::String(value)) => value.clone(),
                other => return Err(PointError::Tag(other.map_or("missing", Value::type_name))),
            };
            new_tags = Some(new_tags.as_ref().unwrap_or(tags).with(*tag, value));
        }
        kept.clear();
        match &self.keep {
            KeepNames::Results if self.tags.is_empty() => std::mem::swap(kept, results),
            KeepNames::Results => {
                // Only what lambdas made, not the originals that took a result's place under another lambda's name.
                kept.extend(results.iter().filter(|result| !self.tags.contains(&result.name)).cloned());
            }
            KeepNames::All => {
                kept.extend_from_slice(fields.all());
                results.iter().for_each(|result| set_field(kept, result.name, result.value.clone()));
            }
            KeepNames::Listed(listed) => {
                for name in listed {
                    let value = field(results, *name).or_else(|| fields.get(*name)).cloned();
                    let referred = || self.lambdas.iter().any(|named| named.lambda.references().contains(name));
                    // A tag that a lambda refers to can be kept as field; a name that is nowhere, too, as an odd one.
                    let value = match value {
                        Some(value) => value,
                        None if referred() => tags.get(*name).cloned().map_or(Value::Missing, Value::String),
                        None => return Err(PointError::Keep(*name)),
                    };
                    set_field(kept, *name, value);
                }
            }
        }
        Ok(new_tags)
    }
}

impl Operator for Eval {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        match self.point_of(point.group, point.time, point.fields, point.tags, out.context.now) {
            Ok(None) => out.point(&Point { fields: (&self.scratch.fields).into(), ..*point }),
            Ok(Some(tags)) => {
                let tags = Rc::new(tags);
                let Some(group) = regroup(point.group, &tags, point.name, out) else {
                    return Ok(());
                };
                let fields = (&self.scratch.fields).into();
                out.point(&Point { fields, tags: &tags, group: &group, series: SeriesNumber::NONE, ..*point })
            }
            Err(error) => {
                // Quiet here means not even counted.
                if !out.is_quiet() {
                    out.error("error evaluating expression", &error);
                }
                Ok(())
            }
        }
    }

    fn batch(&mut self, _port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let mut rows = std::mem::take(&mut self.rows);
        rows.clear();
        for row in batch.rows.iter() {
            match self.point_of(batch.group, row.time(), row.fields().as_ref().into(), row.tags(), out.context.now) {
                Ok(tags) => {
                    let tags = tags.map_or_else(|| row.tags().clone(), Rc::new);
                    rows.push(Row::new(row.time(), tags, &self.scratch.fields));
                }
                Err(_) if out.is_quiet() => {}
                Err(error) => out.error("error evaluating expression", &error),
            }
        }
        let done = out.batch(&Batch { rows: Rows::new(&rows), ..*batch });
        self.rows = rows;
        done
    }

    fn delete_group(&mut self, _port: usize, group: &Rc<Group>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        self.states.remove(group);
        out.delete_group(group)
    }

    fn bytes(&self) -> usize {
        self.states.bytes(|states| states.capacity() * size_of::<State>())
    }

    fn cardinality(&self) -> u64 {
        self.states.len() as u64
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        let shared: Vec<_> = self.lambdas.iter().map(|named| named.lambda.snapshot_shared()).collect();
        to_state(&(&self.states, shared))
    }

    fn restore(&mut self, state: &[u8], groups: &Groups) -> Result<(), SnapshotError> {
        let (states, shared): (_, Vec<_>) = from_state(state)?;
        self.states = GroupStates::restore(states, groups);
        for (named, shared) in self.lambdas.iter_mut().zip(shared) {
            named.lambda.restore_shared(shared);
        }
        Ok(())
    }
}
