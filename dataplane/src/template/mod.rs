//! Templates of alerts: Go's `text/template` for ids and messages, `html/template` for details.
//!
//! reference: nodes-alert-join-io §3. The language comes from the `gotmpl` crate; what it lacks is added here by rewriting
//! the parsed tree: fields of structs (an unknown one is an error, not `<no value>`), methods of times and durations, and
//! the type names that `printf` shows ([`rewrite`], [`object`]). Templates that only join texts and plain fields, which is
//! what most ids and messages are, never get that far: they are a list of [`simple`] segments.

mod check;
mod data;
mod event;
mod functions;
mod go_text;
mod object;
mod rewrite;
mod row;
mod simple;
mod time_layout;

pub use data::Data;
pub use event::EventData;
pub use go_text::duration as duration_text;
pub use row::Row;

use crate::name::Name;
use check::Check;
use gotmpl::parse::{Expr, ListNode, Node};
use rewrite::Rewriter;
use simple::Segment;

/// What a template is for: it decides which data it sees and how its output is escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Id,
    Message,
    /// HTML.
    Details,
    /// The body or URL of a POST of an httpPost node.
    Row,
    /// The body or URL of a POST of an alert's event.
    Event,
}

impl Kind {
    /// The template's name in error texts.
    fn name(self) -> &'static str {
        match self {
            Kind::Id => "id",
            Kind::Message => "message",
            Kind::Details => "details",
            Kind::Row => "row",
            Kind::Event => "alert",
        }
    }

    /// Go's type of the data in error texts.
    fn data_type(self) -> &'static str {
        match self {
            Kind::Id => "kapacitor.idInfo",
            Kind::Message => "kapacitor.messageInfo",
            Kind::Details => "kapacitor.detailsInfo",
            Kind::Row => "httppost.row",
            Kind::Event => "alert.Data",
        }
    }

    /// How many of its fields belong to the structs embedded in it, the innermost first.
    fn embedded(self) -> &'static [usize] {
        match self {
            Kind::Id | Kind::Row | Kind::Event => &[],
            Kind::Message => &[5],
            Kind::Details => &[5, 10],
        }
    }

    /// Fields of the data, in Go's order.
    fn fields(self) -> &'static [&'static str] {
        const FIELDS: [&str; 11] =
            ["Name", "TaskName", "Group", "Tags", "ServerInfo", "ID", "Fields", "Level", "Time", "Duration", "Message"];
        match self {
            Kind::Id => &FIELDS[..5],
            Kind::Message => &FIELDS[..10],
            Kind::Details => &FIELDS,
            Kind::Row => &["Name", "Tags", "Values"],
            Kind::Event => {
                &["ID", "Message", "Details", "Time", "Duration", "Level", "Data", "PreviousLevel", "Recoverable"]
            }
        }
    }
}

/// The rewritten template stands under a name of its own, and this one, which alone can be executed, calls it.
const MAIN: &str = "farad_main";
const ENTRY: &str = "{{ template \"farad_main\" . }}";

/// Stands behind a template while it is parsed: an `end` too many hides it, one too few swallows it.
const END: &str = "\u{1}end";

/// A template that cannot be parsed, or that failed for some data. The text is Go's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(String);

/// A parsed template.
pub struct Template {
    kind: Kind,
    form: Form,
}

enum Form {
    Simple(Vec<Segment>),
    Text(Box<gotmpl::Template>),
    Html(Box<gotmpl::html::Template>),
}

impl Template {
    pub fn new(kind: Kind, source: &str) -> Result<Template, TemplateError> {
        let failed = |error: gotmpl::TemplateError| TemplateError(error.to_string());
        let parsed = gotmpl::Template::new(kind.name()).parse(&format!("{source}{{{{`{END}`}}}}")).map_err(failed)?;
        let rewriter = Rewriter::new(kind);
        let tree = whole(kind, source, parsed.lookup(kind.name()))?;
        if !matches!(kind, Kind::Row | Kind::Event)
            && let Some(segments) = simple::segments(kind, &tree)
        {
            return Ok(Template { kind, form: Form::Simple(segments) });
        }
        // Bodies of {{define}}, and the template itself.
        let mut trees = Vec::new();
        for name in parsed.templates() {
            let tree = if name == kind.name() { Some(&tree) } else { parsed.lookup(name) };
            if let Some(tree) = tree {
                Check::body(kind.name(), tree)?;
                trees.push((name.to_owned(), rewriter.list(tree)?));
            }
        }
        let main = match trees.iter().position(|(name, _)| name == kind.name()) {
            Some(at) => trees.swap_remove(at).1,
            None => rewriter.list(&tree)?,
        };
        let form = if kind == Kind::Details {
            let mut template =
                gotmpl::html::Template::new(kind.name()).funcs(functions::all(kind)).parse(ENTRY).map_err(failed)?;
            for (name, tree) in trees {
                template = template.add_parse_tree(&name, tree).map_err(failed)?;
            }
            Form::Html(Box::new(template.add_parse_tree(MAIN, main).map_err(failed)?))
        } else {
            let mut template =
                gotmpl::Template::new(kind.name()).funcs(functions::all(kind)).parse(ENTRY).map_err(failed)?;
            for (name, tree) in trees {
                template = template.add_parse_tree(&name, tree);
            }
            Form::Text(Box::new(template.add_parse_tree(MAIN, main)))
        };
        Ok(Template { kind, form })
    }

    /// Whether rendering can fail for some data; if not, it needs not be tried for its errors.
    pub fn can_fail(&self) -> bool {
        match &self.form {
            Form::Simple(segments) => segments.iter().any(Segment::can_fail),
            Form::Text(_) | Form::Html(_) => true,
        }
    }

    /// The only tag that the output depends on, if it shows one tag once beside constant texts: two outputs are equal only
    /// if that tag is. `constant_name` says that the measurement is always the same.
    pub fn shown_tag(&self, constant_name: bool) -> Option<Name> {
        let Form::Simple(segments) = &self.form else { return None };
        let mut shown = None;
        for segment in segments {
            match segment {
                Segment::Text(_) | Segment::TaskName | Segment::Hostname => {}
                Segment::Name if constant_name => {}
                Segment::IndexedTag(tag) | Segment::Tag(tag) if shown.is_none() => shown = Some(*tag),
                _ => return None,
            }
        }
        shown
    }

    /// Appends the output of a template of a row.
    pub fn render_row(&self, row: &Row, out: &mut String) -> Result<(), TemplateError> {
        self.render_value(row.value(), out)
    }

    /// Appends the output of a template of an event.
    pub fn render_event(&self, event: &EventData, out: &mut String) -> Result<(), TemplateError> {
        self.render_value(event.value(), out)
    }

    fn render_value(&self, value: &gotmpl::Value, out: &mut String) -> Result<(), TemplateError> {
        let done = match &self.form {
            Form::Text(template) => template.execute_fmt(out, value),
            Form::Simple(_) | Form::Html(_) => Ok(()),
        };
        done.map_err(|error| TemplateError(format!("template: {}: {error}", self.kind.name())))
    }

    /// Appends the template's output.
    pub fn render(&self, data: &Data<'_>, out: &mut String) -> Result<(), TemplateError> {
        let done = match &self.form {
            Form::Simple(segments) => {
                return segments.iter().try_for_each(|segment| segment.render(data, self.kind, out));
            }
            Form::Text(template) => template.execute_fmt(out, &data.to_value(self.kind)),
            Form::Html(template) => template.execute_fmt(out, &data.to_value(self.kind)),
        };
        done.map_err(|error| {
            let name = self.kind.name();
            TemplateError(match error {
                gotmpl::TemplateError::Exec(text) => format!("template: {name}: {text}"),
                other => format!("template: {name}: {other}"),
            })
        })
    }
}

/// The template's own body, if all that is opened in it is closed, and nothing else.
fn whole(kind: Kind, source: &str, tree: Option<&ListNode>) -> Result<ListNode, TemplateError> {
    let is_end = |node: &Node| match node {
        Node::Action(action) => match action.pipe.commands.as_slice() {
            [command] => matches!(command.args.as_slice(), [Expr::String(_, text)] if &**text == END),
            _ => false,
        },
        _ => false,
    };
    let mut tree = tree.cloned().unwrap_or(simple::EMPTY);
    if tree.nodes.pop().is_some_and(|last| is_end(&last)) {
        return Ok(tree);
    }
    let lines = 1 + source.matches('\n').count();
    Err(TemplateError(format!("template: {}:{lines}: {{{{end}}}} and what it ends do not match", kind.name())))
}

#[cfg(test)]
mod tests;
