//! Templates that only join texts and fields: rendered without an interpreter.

use gotmpl::parse::{Expr, ListNode, Node, Pos};
use proto::value::Level;

use super::{Data, Kind, TemplateError, go_text, time_layout};
use crate::{name::Name, value::Value};

/// A piece of output.
#[derive(Debug, PartialEq)]
pub enum Segment {
    Text(Box<str>),
    Name,
    TaskName,
    Group,
    Id,
    Level,
    Message,
    Time,
    Duration,
    Hostname,
    /// `index .Tags "x"`: a missing tag is empty.
    IndexedTag(Name),
    /// `.Tags.x`: a missing tag is `<no value>`.
    Tag(Name),
    /// `.Fields.x` or `index .Fields "x"`.
    Field(Name),
    /// `json .`
    Json,
}

/// A template without any text.
pub const EMPTY: ListNode = ListNode { pos: Pos { offset: 0, line: 1 }, nodes: Vec::new() };

/// The segments of a template that is simple.
pub fn segments(kind: Kind, tree: &ListNode) -> Option<Vec<Segment>> {
    tree.nodes.iter().map(|node| segment(kind, node)).collect()
}

fn segment(kind: Kind, node: &Node) -> Option<Segment> {
    let pipe = match node {
        // Markup would change how what follows is escaped.
        Node::Text(text) if kind == Kind::Details && text.text.contains('<') => return None,
        Node::Text(text) => return Some(Segment::Text((&*text.text).into())),
        Node::Action(action) if action.pipe.decl.is_empty() => &action.pipe,
        _ => return None,
    };
    let [command] = pipe.commands.as_slice() else { return None };
    match command.args.as_slice() {
        [Expr::Field(_, path)] => {
            let path: Vec<&str> = path.iter().map(|part| part.as_str()).collect();
            if !kind.fields().contains(path.first()?) {
                return None;
            }
            Some(match path.as_slice() {
                ["Name"] => Segment::Name,
                ["TaskName"] => Segment::TaskName,
                ["Group"] => Segment::Group,
                ["ID"] => Segment::Id,
                ["Level"] => Segment::Level,
                ["Message"] => Segment::Message,
                ["Time"] => Segment::Time,
                ["Duration"] => Segment::Duration,
                ["ServerInfo", "Hostname"] => Segment::Hostname,
                ["Tags", tag] => Segment::Tag(Name::new(tag).ok()?),
                ["Fields", field] => Segment::Field(Name::new(field).ok()?),
                _ => return None,
            })
        }
        [Expr::Identifier(_, function), Expr::Field(_, path), Expr::String(_, key)] if function == "index" => {
            match path.as_slice() {
                [map] if map == "Tags" => Some(Segment::IndexedTag(Name::new(key).ok()?)),
                [map] if map == "Fields" && kind != Kind::Id => Some(Segment::Field(Name::new(key).ok()?)),
                _ => None,
            }
        }
        [Expr::Identifier(_, function), Expr::Dot(_)] if function == "json" && kind == Kind::Details => {
            Some(Segment::Json)
        }
        _ => None,
    }
}

impl Segment {
    pub fn can_fail(&self) -> bool {
        matches!(self, Segment::Json)
    }

    pub fn render(&self, data: &Data<'_>, kind: Kind, out: &mut String) -> Result<(), TemplateError> {
        let start = out.len();
        match self {
            Segment::Text(text) => {
                out.push_str(text);
                return Ok(());
            }
            Segment::Name => out.push_str(data.name.as_str()),
            Segment::TaskName => out.push_str(data.task),
            Segment::Group => out.push_str(data.group),
            Segment::Id => out.push_str(data.id),
            Segment::Level => out.push_str(Level::as_str(data.level)),
            Segment::Message => out.push_str(data.message),
            Segment::Time => out.push_str(&time_layout::default(data.time)),
            Segment::Duration => out.push_str(&go_text::duration(data.duration)),
            Segment::Hostname => out.push_str(&data.server.hostname),
            Segment::IndexedTag(tag) => out.push_str(data.tags.get(*tag).map_or("", |value| value)),
            Segment::Tag(tag) => out.push_str(data.tags.get(*tag).map_or(missing(kind), |value| value)),
            Segment::Field(name) => match crate::value::field(data.fields, *name) {
                Some(Value::Float(x)) => go_text::float(*x, out),
                Some(Value::Int(x)) => out.push_str(&x.to_string()),
                Some(Value::Bool(x)) => out.push_str(if *x { "true" } else { "false" }),
                Some(Value::String(text)) => out.push_str(text),
                Some(Value::Duration(x)) => out.push_str(&go_text::duration(*x)),
                Some(Value::Null | Value::Missing) | None => out.push_str(missing(kind)),
            },
            Segment::Json => match data.json() {
                Ok(json) => out.push_str(&json),
                Err(error) => {
                    let at = format!("executing \"{}\" at <json .>: error calling json", kind.name());
                    return Err(TemplateError(format!("template: {}: {at}: {error}", kind.name())));
                }
            },
        }
        if kind == Kind::Details {
            escape_html(start, out);
        }
        Ok(())
    }
}

/// What stands for a value that is not there.
fn missing(kind: Kind) -> &'static str {
    if kind == Kind::Details { "" } else { "<no value>" }
}

/// Escapes everything from `start` on for HTML text.
fn escape_html(start: usize, out: &mut String) {
    let needs = |c: char| matches!(c, '&' | '<' | '>' | '"' | '\'' | '+' | '\0');
    if !out[start..].contains(needs) {
        return;
    }
    let plain = out.split_off(start);
    for character in plain.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '+' => out.push_str("&#43;"),
            '\0' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
}
