//! `match` of a topic's handler: which events it gets (reference: nodes-alert-join-io §5.3).

use dataplane::{
    expr::{Lambda, Scope, State},
    name::Name,
    tags::TagSet,
    value::{Field, Value},
};
use proto::{Expr, message::AlertEvent, value::Level};

use crate::tick;

/// A condition on events: a lambda over tags with functions of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Match(Expr);

/// The functions, as names of values of an event. No tag can have such a name without escapes.
const FUNCTIONS: [&str; 5] = ["changed", "level", "name", "taskName", "alertDuration"];

impl Match {
    pub fn new(text: &str) -> Result<Match, String> {
        let constants = Level::ALL.map(|level| (level.as_str(), level as i64));
        let mut expression = tick::condition(text, &constants)?;
        name_functions(&mut expression);
        Lambda::compile(&expression).map_err(|error| error.to_string())?;
        Ok(Match(expression))
    }

    /// Whether the event is meant. A tag that it lacks is an error.
    ///
    /// Compiled anew for each event: a compiled lambda stays on its thread, and events are few.
    pub fn matches(&self, event: &AlertEvent, previous: Level) -> Result<bool, String> {
        let failed = |error: &dyn std::fmt::Display| error.to_string();
        let mut lambda = Lambda::compile(&self.0).map_err(|error| failed(&error))?;
        let name = |name: &str| Name::new(name).map_err(|error| failed(&error));
        let values = [
            Value::Bool(event.level != previous),
            Value::Int(event.level as i64),
            Value::String(event.name.as_str().into()),
            Value::String(event.task.as_str().into()),
            Value::Duration(event.duration),
        ];
        let mut fields = Vec::with_capacity(FUNCTIONS.len());
        for (function, value) in FUNCTIONS.into_iter().zip(values) {
            fields.push(Field { name: name(&value_name(function))?, value });
        }
        let mut tags = Vec::with_capacity(event.tags.len());
        for (key, value) in &event.tags {
            tags.push((name(key)?, value.as_str().into()));
        }
        let tags = TagSet::new(tags);
        let scope = Scope {
            time: event.time,
            fields: (&fields).into(),
            tags: &tags,
            results: &[],
            now: dataplane::clock::now(),
        };
        lambda.eval_bool(&scope, &mut State::default()).map_err(|error| failed(&error))
    }
}

fn value_name(function: &str) -> String {
    format!("{function}()")
}

fn name_functions(expression: &mut Expr) {
    match expression {
        Expr::Call(name, arguments) if arguments.is_empty() && FUNCTIONS.contains(&name.as_str()) => {
            *expression = Expr::Reference(value_name(name));
        }
        Expr::Call(_, arguments) => arguments.iter_mut().for_each(name_functions),
        Expr::Unary(_, operand) | Expr::Lambda(operand) => name_functions(operand),
        Expr::Binary(_, left, right) => {
            name_functions(left);
            name_functions(right);
        }
        Expr::Literal(_) | Expr::Reference(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(text: &str) -> Result<bool, String> {
        let event = AlertEvent {
            task: "t".into(),
            node: "alert2".into(),
            topics: vec![],
            category: None,
            id: "i".into(),
            message: String::new(),
            details: String::new(),
            time: 0,
            duration: 5,
            level: Level::Warning,
            recoverable: true,
            name: "cpu".into(),
            group: "host=a".into(),
            tags: vec![("host".into(), "a".into())],
            fields: vec![],
            data: String::new(),
        };
        Match::new(text)?.matches(&event, Level::Ok)
    }

    #[test]
    fn events_match_by_level_name_task_and_tags() {
        for text in [
            "level() >= WARNING",
            "changed()",
            "changed() == TRUE AND name() == 'cpu'",
            "taskName() == 't' AND \"host\" =~ /^a$/",
            "alertDuration() < 1u OR TRUE",
            "alertDuration() * 1000 == 5u",
            "level() == 2 // two",
        ] {
            assert_eq!(matches(text), Ok(true), "{text}");
        }
        assert_eq!(matches("level() == CRITICAL"), Ok(false));
        assert!(matches("\"rack\" == '1' OR TRUE").is_err());
        for text in ["level() >", "level() >= LOUD", "level() ===", "TRUE)|log(", "level"] {
            assert!(Match::new(text).is_err(), "{text}");
        }
    }
}
