//! `k8sAutoscale`, `swarmAutoscale`, `ec2Autoscale`: set how many copies of something run (reference:
//! nodes-alert-join-io §9).
//!
//! One operator for all three. The I/O thread asks and sets; the node has one question or order on the way at a time, and
//! what comes meanwhile waits behind it, in order, in a bounded FIFO. A lane waits for its answers, so nothing is lost of
//! replays and batches. What is known of a resource is all groups' together, so the task runs on one shard.

mod decision;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, rc::Rc, sync::Arc};

use hashbrown::HashMap;
use proto::plan::{self, LogLevel, Scaler};

use self::decision::{Change, Decision, Resource};
use super::{Fault, Operator, Outlet, SnapshotError, StartError, from_state, parked::Message, rewrite, to_state};
use crate::{
    expr::{Lambda, Scope, State},
    fields::Fields,
    group::{Group, GroupStates, Groups},
    logging::pair,
    name::Name,
    point::{Barrier, Batch, Point, RowRef, SeriesNumber},
    tags::TagSet,
    value::{Field, Value},
};

/// Messages of one node that wait for an answer.
pub const PARKED_MAX: usize = 10_000;

/// A question or an order of an autoscale node.
#[derive(Clone, Debug)]
pub struct AutoscaleRequest {
    pub task: String,
    pub node: String,
    pub plan: Arc<plan::Autoscale>,
    pub resource: String,
    /// Copies to set; `None` asks how many there are.
    pub set: Option<i64>,
    /// Given back with the answer by [`Operator::scaled`].
    pub ticket: u64,
}

/// How many copies are wanted by now, or why nobody knows or they could not be set.
pub type Scale = Result<i64, String>;

/// What became of a request.
#[derive(Debug)]
pub enum Asked {
    /// The answer comes by [`Operator::scaled`].
    Waits,
    /// It was waited for.
    Answered(Scale),
    /// There was no room for it.
    Refused,
}

pub struct Autoscale {
    plan: Arc<plan::Autoscale>,
    resource: ResourceName,
    replicas: Lambda,
    current_field: Option<Name>,
    /// Names of an event's fields.
    old: Name,
    new: Name,
    /// Tags of an event beside its group's and the resource.
    tags: Vec<(Name, Rc<str>)>,
    name_tag: Option<Name>,
    states: GroupStates<State>,
    /// As many as were found to exist.
    resources: HashMap<Rc<str>, Resource, ahash::RandomState>,
    next_ticket: u64,
    /// What is on its way for the first message that is parked.
    awaited: Option<Awaited>,
    parked: VecDeque<Message>,
    /// Rows of the first message, a batch, that are done with.
    rows_done: usize,
    increases: u64,
    decreases: u64,
    cooldown_drops: u64,
}

enum ResourceName {
    Fixed(Rc<str>),
    Tag(Name),
}

struct Awaited {
    ticket: u64,
    resource: Rc<str>,
    /// `None`: how many copies there are.
    change: Option<Change>,
}

/// A point, of a stream or of a batch.
#[derive(Clone, Copy)]
struct Sample<'a> {
    name: Name,
    group: &'a Rc<Group>,
    tags: &'a TagSet,
    fields: Fields<'a>,
    time: i64,
    in_batch: bool,
}

/// Whether a message is done with, or waits for an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Done,
    Waits,
}

impl<'a> Sample<'a> {
    fn of(point: &Point<'a>) -> Sample<'a> {
        let Point { name, group, tags, fields, time, .. } = *point;
        Sample { name, group, tags, fields, time, in_batch: false }
    }

    fn of_row(name: Name, group: &'a Rc<Group>, row: RowRef<'a>, fields: &'a [Field]) -> Sample<'a> {
        Sample { name, group, tags: row.tags(), fields: fields.into(), time: row.time(), in_batch: true }
    }

    fn refused(&self, out: &mut Outlet<'_>) {
        self.error("too many requests wait for the I/O thread", out);
    }

    fn error(&self, error: &str, out: &mut Outlet<'_>) {
        let message = if self.in_batch { "error batch handling point" } else { "error handling point" };
        out.error(message, &error);
    }
}

impl Autoscale {
    pub fn new(plan: &plan::Autoscale) -> Result<Autoscale, StartError> {
        if plan.min < 1 {
            return Err(StartError(format!("minimum count must be >= 1, got {}", plan.min)));
        }
        let name = |text: &str| Name::new(text).map_err(StartError::new);
        let named = |text: &str| (!text.is_empty()).then(|| name(text)).transpose();
        let tag = |(key, value): &(String, String)| Ok((name(key)?, Rc::from(value.as_str())));
        Ok(Autoscale {
            resource: match &plan.resource {
                plan::ResourceName::Fixed(name) => ResourceName::Fixed(name.as_str().into()),
                plan::ResourceName::Tag(tag) => ResourceName::Tag(name(tag)?),
            },
            replicas: Lambda::compile(&plan.replicas).map_err(StartError::new)?,
            current_field: named(&plan.current_field)?,
            old: name("old")?,
            new: name("new")?,
            tags: plan.tags.iter().map(tag).collect::<Result<_, StartError>>()?,
            name_tag: named(&plan.name_tag)?,
            plan: Arc::new(plan.clone()),
            states: GroupStates::default(),
            resources: HashMap::default(),
            next_ticket: 0,
            awaited: None,
            parked: VecDeque::new(),
            rows_done: 0,
            increases: 0,
            decreases: 0,
            cooldown_drops: 0,
        })
    }

    /// What a point is about; `None` without a name.
    fn resource_of(&self, tags: &TagSet) -> Option<Rc<str>> {
        let name = match &self.resource {
            ResourceName::Fixed(name) => name,
            ResourceName::Tag(tag) => tags.get(*tag)?,
        };
        (!name.is_empty()).then(|| name.clone())
    }

    /// A resource as errors name it.
    fn shown(&self, resource: &str) -> String {
        match &self.plan.scaler {
            Scaler::Kubernetes { namespace, kind, .. } => format!("{namespace}/{kind}/{resource}"),
            Scaler::Swarm { .. } | Scaler::Ec2 { .. } => resource.to_owned(),
        }
    }

    fn take(&mut self, sample: &Sample<'_>, out: &mut Outlet<'_>) -> Result<Step, Fault> {
        let Some(resource) = self.resource_of(sample.tags) else {
            sample.error("could not determine the name of the resource", out);
            return Ok(Step::Done);
        };
        if let Some(known) = self.resources.get(&resource) {
            return self.decide(&resource, *known, sample, out);
        }
        match self.ask(&resource, None, out) {
            Asked::Waits => Ok(Step::Waits),
            Asked::Answered(scale) => self.learned(&resource, scale, sample, out),
            Asked::Refused => {
                sample.refused(out);
                Ok(Step::Done)
            }
        }
    }

    fn decide(
        &mut self,
        resource: &Rc<str>,
        known: Resource,
        sample: &Sample<'_>,
        out: &mut Outlet<'_>,
    ) -> Result<Step, Fault> {
        let current = self.current_field.map(|name| Field { name, value: Value::Int(known.current()) });
        let scope = Scope {
            time: sample.time,
            fields: sample.fields,
            tags: sample.tags,
            results: current.as_slice(),
            now: out.context.now,
        };
        let state = self.states.get_or_insert_with(sample.group, State::default);
        let wanted = match self.replicas.eval_int(&scope, state) {
            Ok(wanted) => wanted,
            Err(error) => {
                sample.error(&format!("failed to evaluate the replicas expression: {error}"), out);
                return Ok(Step::Done);
            }
        };
        let change = match known.decide(&self.plan, wanted, sample.time) {
            Decision::Stay => return Ok(Step::Done),
            Decision::Cool => {
                self.cooldown_drops += 1;
                return Ok(Step::Done);
            }
            Decision::Change(change) => change,
        };
        let mut pairs = String::new();
        pair("new", &change.new.to_string(), &mut pairs);
        pair("old", &change.old.to_string(), &mut pairs);
        pair("event_id", resource, &mut pairs);
        out.log(LogLevel::Debug, "setting replicas", &pairs);
        match self.ask(resource, Some(change), out) {
            Asked::Waits => return Ok(Step::Waits),
            Asked::Answered(scale) => self.made(resource, change, scale, sample, out)?,
            Asked::Refused => sample.refused(out),
        }
        Ok(Step::Done)
    }

    fn ask(&mut self, resource: &Rc<str>, change: Option<Change>, out: &mut Outlet<'_>) -> Asked {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let asked = out.context.outputs.autoscale(AutoscaleRequest {
            task: out.context.task.to_string(),
            node: out.node().to_string(),
            plan: self.plan.clone(),
            resource: resource.to_string(),
            set: change.map(|change| change.new),
            ticket,
        });
        if let Asked::Waits = asked {
            self.awaited = Some(Awaited { ticket, resource: resource.clone(), change });
        }
        asked
    }

    /// The answer to a question at first sight.
    fn learned(
        &mut self,
        resource: &Rc<str>,
        scale: Scale,
        sample: &Sample<'_>,
        out: &mut Outlet<'_>,
    ) -> Result<Step, Fault> {
        match scale {
            Ok(current) => {
                let known = Resource::new(current);
                self.resources.insert(resource.clone(), known);
                self.decide(resource, known, sample, out)
            }
            Err(error) => {
                let shown = self.shown(resource);
                sample.error(&format!("could not determine initial scale for {shown:?}: {error}"), out);
                Ok(Step::Done)
            }
        }
    }

    /// The answer to an order. What could not be set is as it was, and the next point may try again.
    fn made(
        &mut self,
        resource: &Rc<str>,
        change: Change,
        scale: Scale,
        sample: &Sample<'_>,
        out: &mut Outlet<'_>,
    ) -> Result<(), Fault> {
        if let Err(error) = scale {
            let shown = self.shown(resource);
            let error =
                format!("failed to apply scaling event: failed to set new replica count for {shown:?}: {error}");
            sample.error(&error, out);
            return Ok(());
        }
        if let Some(known) = self.resources.get_mut(resource) {
            known.apply(change);
        }
        *(if change.is_increase() { &mut self.increases } else { &mut self.decreases }) += 1;
        let mut tags: Vec<_> = sample.group.tags.iter().chain(&self.tags).cloned().collect();
        tags.extend(self.name_tag.map(|tag| (tag, resource.clone())));
        let tags = Rc::new(TagSet::new(tags));
        let Some(group) = rewrite::regroup(sample.group, &tags, sample.name, out) else { return Ok(()) };
        let nowhere = Name::new("").map_err(|error| Fault::new(error.to_string()))?;
        let fields = [
            Field { name: self.old, value: Value::Int(change.old) },
            Field { name: self.new, value: Value::Int(change.new) },
        ];
        out.point(&Point {
            name: sample.name,
            database: nowhere,
            retention_policy: nowhere,
            group: &group,
            tags: &tags,
            fields: (&fields).into(),
            time: sample.time,
            series: SeriesNumber::NONE,
        })
    }

    /// Parks a message behind what is awaited.
    fn park(&mut self, message: Message, out: &mut Outlet<'_>) {
        if self.parked.len() >= PARKED_MAX {
            let why = format_args!("more than {PARKED_MAX} messages wait for an answer about a resource");
            return out.error("point dropped", &why);
        }
        self.parked.push_back(message);
    }

    /// Works on the first message from where it was left, or with `answer` to what it waits for.
    fn go_on(
        &mut self,
        message: &Message,
        mut answer: Option<(Awaited, Scale)>,
        out: &mut Outlet<'_>,
    ) -> Result<Step, Fault> {
        match message {
            Message::Point(point) => self.go_on_with(&Sample::of(&point.as_ref()), answer, out),
            Message::Batch { name, group, rows, .. } => {
                while let Some(row) = rows.get(self.rows_done) {
                    let row = row.as_ref();
                    let fields = row.fields();
                    let sample = Sample::of_row(*name, group, row, &fields);
                    if self.go_on_with(&sample, answer.take(), out)? == Step::Waits {
                        return Ok(Step::Waits);
                    }
                    self.rows_done += 1;
                }
                self.rows_done = 0;
                Ok(Step::Done)
            }
            Message::Barrier { name, group, time } => {
                out.barrier(&Barrier { name: *name, group, time: *time })?;
                Ok(Step::Done)
            }
            Message::DeleteGroup(group) => {
                self.states.remove(group);
                out.delete_group(group)?;
                Ok(Step::Done)
            }
        }
    }

    fn go_on_with(
        &mut self,
        sample: &Sample<'_>,
        answer: Option<(Awaited, Scale)>,
        out: &mut Outlet<'_>,
    ) -> Result<Step, Fault> {
        let Some((Awaited { resource, change, .. }, scale)) = answer else { return self.take(sample, out) };
        match change {
            Some(change) => {
                self.made(&resource, change, scale, sample, out)?;
                Ok(Step::Done)
            }
            None => self.learned(&resource, scale, sample, out),
        }
    }
}

impl Operator for Autoscale {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        if self.awaited.is_some() || self.take(&Sample::of(point), out)? == Step::Waits {
            self.park(point.into(), out);
        }
        Ok(())
    }

    fn batch(&mut self, _port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        if self.awaited.is_some() {
            self.park(batch.into(), out);
            return Ok(());
        }
        for (index, row) in batch.rows.iter().enumerate() {
            let fields = row.fields();
            if self.take(&Sample::of_row(batch.name, batch.group, row, &fields), out)? == Step::Waits {
                self.rows_done = index;
                self.park(batch.into(), out);
                break;
            }
        }
        Ok(())
    }

    fn scaled(&mut self, ticket: u64, scale: Scale, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let Some(awaited) = self.awaited.take_if(|awaited| awaited.ticket == ticket) else { return Ok(()) };
        let mut answer = Some((awaited, scale));
        while self.awaited.is_none()
            && let Some(first) = self.parked.pop_front()
        {
            if self.go_on(&first, answer.take(), out)? == Step::Waits {
                self.parked.push_front(first);
            }
        }
        Ok(())
    }

    fn barrier(&mut self, _port: usize, barrier: &Barrier<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        match self.awaited.is_some() {
            true => self.park(barrier.into(), out),
            false => out.barrier(barrier)?,
        }
        Ok(())
    }

    fn delete_group(&mut self, _port: usize, group: &Rc<Group>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        if self.awaited.is_some() {
            self.park(Message::DeleteGroup(group.clone()), out);
            return Ok(());
        }
        self.states.remove(group);
        out.delete_group(group)
    }

    /// Nobody hears the answer that is still to come.
    fn finish(&mut self, out: &mut Outlet<'_>) -> Result<(), Fault> {
        for message in self.parked.drain(..) {
            if let Message::Point(_) | Message::Batch { .. } = message {
                out.error("point dropped", &"the task ended before the answer about its resource came");
            }
        }
        self.awaited = None;
        Ok(())
    }

    fn bytes(&self) -> usize {
        let resource = |name: &Rc<str>| size_of::<(Rc<str>, Resource)>() + name.len();
        self.states.bytes(|_| 0) + self.resources.keys().map(resource).sum::<usize>()
    }

    fn cardinality(&self) -> u64 {
        self.states.len() as u64
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("increase_events", self.increases),
            ("decrease_events", self.decreases),
            ("cooldown_drops", self.cooldown_drops),
        ]
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        let resources: Vec<_> = self.resources.iter().collect();
        to_state(&(&self.states, self.replicas.snapshot_shared(), resources))
    }

    fn restore(&mut self, state: &[u8], groups: &Groups) -> Result<(), SnapshotError> {
        let (states, shared, resources): (_, _, Vec<_>) = from_state(state)?;
        self.states = GroupStates::restore(states, groups);
        self.replicas.restore_shared(shared);
        self.resources = resources.into_iter().collect();
        Ok(())
    }
}
