//! Nodes that watch another one: `stats` and `deadman` (reference: tickscript §14, nodes-alert-join-io §6).

use proto::{Expr, Value, expr::BinaryOp};

use super::{
    pipeline::{Deadman, Pipeline, Setting},
    table::{self, NodeSpec},
    value::ScriptValue,
};

/// A watch over every task: `[deadman] global`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GlobalDeadman {
    pub threshold: f64,
    /// Nanoseconds.
    pub interval: i64,
}

impl Pipeline {
    /// Watches the task's source.
    pub fn watch_source(&mut self, deadman: GlobalDeadman) {
        let GlobalDeadman { threshold, interval } = deadman;
        self.add_deadman(0, vec![ScriptValue::Float(threshold), ScriptValue::Duration(interval)], 0);
    }

    /// A source of its own that shows the counters of a node, which gets a child if it has none.
    pub(super) fn add_stats(
        &mut self,
        spec: &'static NodeSpec,
        watched: usize,
        arguments: Vec<ScriptValue>,
        at: usize,
    ) -> usize {
        let stats = self.add(spec, arguments, Vec::new(), at);
        self.nodes[stats].watches = Some(watched);
        if self.nodes[watched].children.is_empty()
            && let Some(noop) = table::by_kind("noop")
        {
            self.add(noop, Vec::new(), vec![watched], at);
        }
        stats
    }

    /// Counters, their rate, and an alert on it. The arguments are a threshold, an interval, and further conditions.
    pub(super) fn add_deadman(&mut self, watched: usize, arguments: Vec<ScriptValue>, at: usize) -> usize {
        let mut arguments = arguments.into_iter();
        let threshold = match arguments.next() {
            Some(ScriptValue::Float(threshold)) => threshold,
            _ => 0.0,
        };
        let interval = match arguments.next() {
            Some(ScriptValue::Duration(interval)) => interval,
            _ => 0,
        };
        let few = Expr::Binary(
            BinaryOp::LessEqual,
            Box::new(Expr::Reference("emitted".to_owned())),
            Box::new(Expr::Literal(Value::Float(threshold))),
        );
        let dead = arguments.fold(few, |all, further| match further {
            ScriptValue::Lambda(further) => Expr::Binary(BinaryOp::And, Box::new(all), Box::new(further)),
            _ => all,
        });
        let node = self.nodes[watched].name.clone();
        let mut below = watched;
        if let Some(stats) = table::by_method("stats") {
            below = self.add_stats(stats, watched, vec![ScriptValue::Duration(interval)], at);
            self.preset(below, "align", Vec::new());
        }
        if let Some(derivative) = table::by_method("derivative") {
            let emitted = vec![ScriptValue::String("emitted".to_owned())];
            below = self.add(derivative, emitted, vec![below], at);
            self.preset(below, "nonNegative", Vec::new());
            self.preset(below, "unit", vec![ScriptValue::Duration(interval)]);
        }
        if let Some(alert) = table::by_method("alert") {
            below = self.add(alert, Vec::new(), vec![below], at);
            self.preset(below, "crit", vec![ScriptValue::Lambda(dead)]);
            self.nodes[below].deadman = Some(Deadman { node, interval });
        }
        below
    }

    /// A property that the language sets by itself.
    fn preset(&mut self, index: usize, name: &str, arguments: Vec<ScriptValue>) {
        let node = &mut self.nodes[index];
        if let Some(property) = node.spec.property(name) {
            node.settings.push(Setting { property, arguments, handler: Vec::new() });
        }
    }
}
