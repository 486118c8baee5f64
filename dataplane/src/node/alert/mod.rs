//! `alert`: a level for each point or batch, an event where it matters, and only then on to the children.
//!
//! reference: nodes-alert-join-io §2. Levels, ids and texts are made here; events leave for the topics, whose state,
//! handlers and delivery are the control plane's.

mod history;
mod inhibitors;
mod levels;
mod state;

use std::{collections::HashMap, rc::Rc, sync::Arc};

use proto::{
    message::AlertEvent,
    plan::{self, TopicLevel},
    value::Level,
};
use serde::Deserialize;

use super::{Fault, Operator, Outlet, SnapshotError, StartError, from_state, rewrite, to_state};
use crate::{
    group::{Group, GroupStates, Groups, SavedStates},
    name::Name,
    point::{Batch, Point, Row, Rows, SeriesNumber},
    row,
    tags::TagSet,
    template::{Data, Kind, Template},
    value::{Field, Value, set_field},
};
use history::Flapping;
pub use inhibitors::Inhibitors;
use inhibitors::NodeInhibitors;
use levels::{Levels, LevelsState};
use state::{GroupState, Policy};

pub struct Alert {
    task: Rc<str>,
    levels: Levels,
    id: Template,
    id_can_fail: bool,
    message: Template,
    details: Template,
    topics: Vec<String>,
    category: Option<String>,
    server: plan::ServerInfo,
    null_tags: bool,
    policy: Policy,
    outputs: AddedFields,
    states: GroupStates<GroupState>,
    /// The events that are not OK in one of the topics of this node, by topic and id.
    known: HashMap<(usize, Box<str>), (Level, i64)>,
    inhibitors: NodeInhibitors,
    counters: Counters,
    scratch: Scratch,
}

/// What the node adds to what it passes on.
struct AddedFields {
    level_tag: Option<Name>,
    id_tag: Option<Name>,
    level: Option<Name>,
    id: Option<Name>,
    message: Option<Name>,
    duration: Option<Name>,
}

#[derive(Default)]
struct Counters {
    triggered: u64,
    inhibited: u64,
    by_level: [u64; 4],
}

#[derive(Default)]
struct Scratch {
    id: String,
    fields: Vec<Field>,
    rows: Vec<Row>,
}

/// One occasion to send an event.
struct Occasion<'a> {
    name: Name,
    group: &'a Group,
    /// Of the point; of a batch those of its group.
    tags: &'a TagSet,
    fields: &'a [Field],
    time: i64,
    level: Level,
    duration: i64,
}

/// Texts of an event that was sent.
struct Sent {
    level: Level,
    id: String,
    message: String,
    duration: i64,
}

#[derive(Deserialize)]
struct Snapshot {
    states: SavedStates<GroupState>,
    levels: LevelsState,
    known: Vec<(usize, String, Level, i64)>,
}

impl Alert {
    /// `restored` are the events that the topics hold; `inhibitors` those of the whole process. With `null_tags`, details
    /// show tags that are none as `null`.
    pub fn new(
        task: &str,
        plan: &plan::Alert,
        restored: &[TopicLevel],
        inhibitors: Arc<Inhibitors>,
        null_tags: bool,
    ) -> Result<Alert, StartError> {
        let template = |kind, source: &str| Template::new(kind, source).map_err(StartError::new);
        let name = |name: &Option<String>| name.as_deref().map(Name::new).transpose().map_err(StartError::new);
        let topics: Vec<String> = plan.anonymous_topic.iter().chain(&plan.topic).cloned().collect();
        let known = restored.iter().filter_map(|event| {
            let topic = topics.iter().position(|topic| *topic == event.topic)?;
            Some(((topic, event.id.as_str().into()), (event.level, event.time)))
        });
        let id = template(Kind::Id, &plan.id)?;
        Ok(Alert {
            task: task.into(),
            levels: Levels::new(plan)?,
            id_can_fail: id.can_fail(),
            id,
            message: template(Kind::Message, &plan.message)?,
            details: template(Kind::Details, &plan.details)?,
            known: known.collect(),
            category: plan.category.clone(),
            server: plan.server.clone(),
            null_tags,
            policy: Policy {
                all: plan.all,
                no_recoveries: plan.no_recoveries,
                state_changes_only: plan.state_changes_only.map(|changes| changes.interval),
                flapping: plan.flapping.map(|(low, high)| Flapping { low, high, history: plan.history as usize }),
            },
            outputs: AddedFields {
                level_tag: name(&plan.level_tag)?,
                id_tag: name(&plan.id_tag)?,
                level: name(&plan.level_field)?,
                id: name(&plan.id_field)?,
                message: name(&plan.message_field)?,
                duration: name(&plan.duration_field)?,
            },
            states: GroupStates::default(),
            inhibitors: NodeInhibitors::new(inhibitors, &plan.inhibits)?,
            counters: Counters::default(),
            scratch: Scratch::default(),
            topics,
        })
    }

    /// The id of an event, rendered into the scratch.
    fn render_id(&mut self, name: Name, group: &Group, tags: &TagSet) -> Result<(), Fault> {
        self.scratch.id.clear();
        let data = Data {
            name,
            task: &self.task,
            group: &group.text(),
            tags,
            null_tags: self.null_tags,
            server: &self.server,
            id: "",
            fields: &[],
            level: Level::Ok,
            time: 0,
            duration: 0,
            message: "",
        };
        self.id.render(&data, &mut self.scratch.id).map_err(|error| Fault::new(error.to_string()))
    }

    /// Makes sure that the group has a state: a new group starts at the level that its id has in the topics.
    fn meet(&mut self, name: Name, group: &Rc<Group>, tags: &TagSet) -> Result<(), Fault> {
        let is_new = self.states.get_mut(group).is_none();
        if !is_new && !self.id_can_fail {
            return Ok(());
        }
        // Rendering shows in nothing but its failures until there is an event.
        if self.id_can_fail || (is_new && !self.known.is_empty()) {
            self.render_id(name, group, tags)?;
        }
        if !is_new {
            return Ok(());
        }
        let id = self.scratch.id.as_str();
        let known = (0..self.topics.len()).find_map(|topic| self.known.get(&(topic, id.into())).copied());
        let state = self.states.get_or_insert_with(group, GroupState::default);
        // The node's own topic counts, even where it says that all is well.
        if let Some((level, time)) = known.filter(|(level, _)| *level != Level::Ok) {
            state.restore(level, time, &self.policy);
            self.inhibitors.set(group.index, tags, true);
        }
        Ok(())
    }

    /// Sends the event of an occasion; tells what is passed on, if anything is.
    fn send(
        &mut self,
        occasion: &Occasion<'_>,
        data: Result<String, crate::json::Unsupported>,
        out: &mut Outlet<'_>,
    ) -> Result<Sent, Fault> {
        self.render_id(occasion.name, occasion.group, occasion.tags)?;
        let id = self.scratch.id.clone();
        let group_text = occasion.group.text();
        let mut message = String::new();
        let mut texts = Data {
            name: occasion.name,
            task: &self.task,
            group: &group_text,
            tags: occasion.tags,
            null_tags: self.null_tags,
            server: &self.server,
            id: &id,
            fields: occasion.fields,
            level: occasion.level,
            time: occasion.time,
            duration: occasion.duration,
            message: "",
        };
        let failed = |error: crate::template::TemplateError| Fault::new(error.to_string());
        self.message.render(&texts, &mut message).map_err(failed)?;
        texts.message = &message;
        let mut details = String::new();
        self.details.render(&texts, &mut details).map_err(failed)?;
        let sent = Sent { level: occasion.level, id, message, duration: occasion.duration };
        if let Some(category) = &self.category
            && self.inhibitors.shared().is_inhibited(category, occasion.tags)
        {
            self.counters.inhibited += 1;
            return Ok(sent);
        }
        self.counters.triggered += 1;
        self.counters.by_level[occasion.level as usize] += 1;
        if self.topics.is_empty() {
            return Ok(sent);
        }
        for topic in 0..self.topics.len() {
            let key = (topic, sent.id.as_str().into());
            match occasion.level {
                Level::Ok => self.known.remove(&key),
                level => self.known.insert(key, (level, occasion.time)),
            };
        }
        match data {
            Ok(row) => out.context.outputs.alert(AlertEvent {
                task: self.task.to_string(),
                node: out.node().to_string(),
                topics: self.topics.clone(),
                category: self.category.clone(),
                id: sent.id.clone(),
                message: sent.message.clone(),
                details,
                time: occasion.time,
                duration: occasion.duration,
                level: occasion.level,
                recoverable: !self.policy.no_recoveries,
                name: occasion.name.as_str().to_owned(),
                group: group_text,
                tags: occasion.tags.iter().map(|(key, value)| (key.as_str().to_owned(), value.to_string())).collect(),
                fields: occasion.fields.iter().map(|field| (field.name.to_string(), (&field.value).into())).collect(),
                data: row::series(&row),
            }),
            Err(error) => out.error("failed to make the data of an event", &error),
        }
        Ok(sent)
    }

    /// Fields with those that the node adds, in the scratch.
    fn add_fields(outputs: &AddedFields, sent: &Sent, fields: &mut Vec<Field>) {
        let text = |text: &str| Value::String(text.into());
        if let Some(name) = outputs.level {
            set_field(fields, name, text(sent.level.as_str()));
        }
        if let Some(name) = outputs.id {
            set_field(fields, name, text(&sent.id));
        }
        if let Some(name) = outputs.message {
            set_field(fields, name, text(&sent.message));
        }
        if let Some(name) = outputs.duration {
            set_field(fields, name, Value::Int(sent.duration));
        }
    }

    /// Tags with those that the node adds; `None` without any.
    fn add_tags(outputs: &AddedFields, sent: &Sent, tags: &TagSet) -> Option<TagSet> {
        let level = outputs.level_tag.map(|name| tags.with(name, sent.level.as_str().into()));
        match outputs.id_tag {
            Some(name) => Some(level.as_ref().unwrap_or(tags).with(name, sent.id.as_str().into())),
            None => level,
        }
    }
}

impl AddedFields {
    fn any_field(&self) -> bool {
        self.level.or(self.id).or(self.message).or(self.duration).is_some()
    }
}

impl Operator for Alert {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        self.meet(point.name, point.group, point.tags)?;
        let Some(state) = self.states.get_mut(point.group) else { return Ok(()) };
        let level = self.levels.of(&crate::expr::Scope::of(point, out.context.now), state.level(), out);
        let step = state.step(level, point.time, &self.policy);
        if !step.fires_on_stream(&self.policy) {
            return Ok(());
        }
        state.trigger(point.time);
        let duration = state.duration();
        self.inhibitors.set(point.group.index, point.tags, level != Level::Ok);
        if self.policy.no_recoveries && level == Level::Ok {
            return Ok(());
        }
        let mut data = String::new();
        let data = row::of_point(point, &mut data).map(|()| data);
        let occasion = Occasion {
            name: point.name,
            group: point.group,
            tags: point.tags,
            fields: point.fields.all(),
            time: point.time,
            level,
            duration,
        };
        let sent = self.send(&occasion, data, out)?;
        let mut fields = std::mem::take(&mut self.scratch.fields);
        let mut passed = *point;
        if self.outputs.any_field() {
            fields.clear();
            fields.extend_from_slice(point.fields.all());
            Self::add_fields(&self.outputs, &sent, &mut fields);
            passed.fields = (&fields).into();
        }
        let done = match Self::add_tags(&self.outputs, &sent, point.tags) {
            None => out.point(&passed),
            Some(tags) => {
                let tags = Rc::new(tags);
                match rewrite::regroup(point.group, &tags, point.name, out) {
                    Some(group) => {
                        out.point(&Point { tags: &tags, group: &group, series: SeriesNumber::NONE, ..passed })
                    }
                    None => Ok(()),
                }
            }
        };
        self.scratch.fields = fields;
        done
    }

    fn prefetch(&self, groups: &mut dyn Iterator<Item = u32>) {
        groups.for_each(|index| self.states.prefetch(index));
    }

    fn batch(&mut self, _port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        self.meet(batch.name, batch.group, &batch.group.tags.clone())?;
        let Some(state) = self.states.get_mut(batch.group) else { return Ok(()) };
        let before = state.level();
        let (mut lowest, mut highest) = (Level::Critical, None);
        for row in batch.rows.iter() {
            let fields = row.fields();
            let scope = crate::expr::Scope::of_row(row, &fields, out.context.now);
            let level = self.levels.of(&scope, before, out);
            lowest = lowest.min(level);
            if highest.is_none_or(|(highest, _)| level > highest) {
                highest = Some((level, row));
            }
        }
        let Some((highest, point)) = highest else { return Ok(()) };
        let level = if self.policy.all { lowest } else { highest };
        let time = if self.policy.all || level == Level::Ok { batch.time } else { point.time() };
        let step = state.step(level, time, &self.policy);
        if !step.fires_on_batch(&self.policy) {
            return Ok(());
        }
        state.trigger(time);
        let duration = state.duration();
        self.inhibitors.set(batch.group.index, &batch.group.tags, level != Level::Ok);
        if self.policy.no_recoveries && level == Level::Ok {
            return Ok(());
        }
        let mut data = String::new();
        let data = row::of_batch(batch, &mut data).map(|()| data);
        let fields = point.fields();
        let tags = batch.group.tags.clone();
        let occasion =
            Occasion { name: batch.name, group: batch.group, tags: &tags, fields: &fields, time, level, duration };
        let sent = self.send(&occasion, data, out)?;
        if !self.outputs.any_field() && self.outputs.level_tag.is_none() && self.outputs.id_tag.is_none() {
            return out.batch(batch);
        }
        let group = match Self::add_tags(&self.outputs, &sent, &tags) {
            None => Some(rewrite::same_group(batch.group, out)),
            Some(tags) => rewrite::regroup_as(batch.group, tags, batch.name, out),
        };
        let Some(group) = group else {
            return Ok(());
        };
        let mut rows = std::mem::take(&mut self.scratch.rows);
        rows.clear();
        for row in batch.rows.iter() {
            let mut fields = row.fields().into_owned();
            Self::add_fields(&self.outputs, &sent, &mut fields);
            let tags = Self::add_tags(&self.outputs, &sent, row.tags()).map_or_else(|| row.tags().clone(), Rc::new);
            rows.push(Row::new(row.time(), tags, &fields));
        }
        let done = out.batch(&Batch { group: &group, rows: Rows::new(&rows), ..*batch });
        self.scratch.rows = rows;
        done
    }

    fn delete_group(&mut self, _port: usize, group: &Rc<Group>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        self.states.remove(group);
        self.inhibitors.forget(group.index);
        out.delete_group(group)
    }

    fn bytes(&self) -> usize {
        let known = self.known.keys().take(1).map(|(_, id)| id.len() + 64).sum::<usize>() * self.known.len();
        self.states.bytes(GroupState::bytes) + known
    }

    fn cardinality(&self) -> u64 {
        self.states.len() as u64
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        let [oks, infos, warns, crits] = self.counters.by_level;
        vec![
            ("alerts_triggered", self.counters.triggered),
            ("alerts_inhibited", self.counters.inhibited),
            ("oks_triggered", oks),
            ("infos_triggered", infos),
            ("warns_triggered", warns),
            ("crits_triggered", crits),
        ]
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        let known = self.known.iter().map(|((topic, id), (level, time))| (*topic, id.to_string(), *level, *time));
        to_state(&(&self.states, self.levels.snapshot(), known.collect::<Vec<_>>()))
    }

    fn restore(&mut self, state: &[u8], groups: &Groups) -> Result<(), SnapshotError> {
        let snapshot: Snapshot = from_state(state)?;
        self.states = GroupStates::restore(snapshot.states, groups);
        for (group, _) in self.states.iter().filter(|(_, state)| state.level() != Level::Ok) {
            self.inhibitors.set(group.index, &group.tags, true);
        }
        self.levels.restore(snapshot.levels);
        let known = snapshot.known.into_iter().map(|(topic, id, level, time)| ((topic, id.into()), (level, time)));
        self.known = known.collect();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
