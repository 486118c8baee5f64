//! Rewrites a parsed template so that it works on objects (see [`super::object`]) and prints as Go does.
//!
//! | in the template | becomes |
//! |---|---|
//! | `.A.B` | a call that knows structs, methods and where it stands |
//! | `.A.B x` | the same with the arguments of a method |
//! | `{{ pipeline }}` | `{{ pipeline ∣ show }}` |
//! | `html a` and its like | `html (show a)` |
//! | `print`, `println` | functions that print floats as Go does |
//! | `eq a b` and its like, `if a` | the same on numbers instead of durations |
//! | `printf "%d" a` | each operand in the form that its verb wants, and Go's type names in what it says of wrong ones |
//! | `range a` | the same, unless `a` is nothing to range over |
//! | `template "x"` | `template "x" nil` |
//! | `index .Tags "x"` | empty for a missing tag, as the zero value of a Go string |

use gotmpl::parse::{ActionNode, BranchNode, CommandNode, Expr, ListNode, Node, PipeNode, Pos, SmolStr, TemplateNode};

use super::{Kind, TemplateError, functions};

pub struct Rewriter {
    kind: Kind,
}

impl Rewriter {
    pub fn new(kind: Kind) -> Self {
        Rewriter { kind }
    }

    pub fn list(&self, list: &ListNode) -> Result<ListNode, TemplateError> {
        let nodes = list.nodes.iter().map(|node| self.node(node)).collect::<Result<_, _>>()?;
        Ok(ListNode { pos: list.pos, nodes })
    }

    fn node(&self, node: &Node) -> Result<Node, TemplateError> {
        Ok(match node {
            Node::List(list) => Node::List(self.list(list)?),
            Node::Action(action) => {
                let mut pipe = self.pipe(&action.pipe)?;
                if pipe.decl.is_empty() && !ends_in_escaper(&action.pipe) {
                    pipe.commands.push(call(action.pos, functions::SHOW, Vec::new()));
                }
                Node::Action(ActionNode { pos: action.pos, pipe })
            }
            Node::If(branch) => {
                let mut branch = self.branch(branch)?;
                if branch.pipe.decl.is_empty() {
                    branch.pipe.commands.push(call(branch.pos, functions::NUMBER, Vec::new()));
                }
                Node::If(branch)
            }
            Node::Range(branch) => {
                let mut branch = self.branch(branch)?;
                branch.pipe.commands.push(call(branch.pos, functions::RANGE, Vec::new()));
                Node::Range(branch)
            }
            Node::With(branch) => Node::With(self.branch(branch)?),
            Node::Template(template) => {
                // Without a pipeline the other template sees nothing.
                let nothing = || {
                    let commands = vec![call(template.pos, functions::NIL, Vec::new())];
                    Ok(PipeNode { pos: template.pos, decl: Vec::new(), commands, is_assign: false })
                };
                let pipe = template.pipe.as_ref().map_or_else(nothing, |pipe| self.pipe(pipe))?;
                Node::Template(TemplateNode { pos: template.pos, name: template.name.clone(), pipe: Some(pipe) })
            }
            other => other.clone(),
        })
    }

    fn branch(&self, branch: &BranchNode) -> Result<BranchNode, TemplateError> {
        Ok(BranchNode {
            pos: branch.pos,
            pipe: self.pipe(&branch.pipe)?,
            body: self.list(&branch.body)?,
            else_body: branch.else_body.as_ref().map(|body| self.list(body)).transpose()?,
        })
    }

    fn pipe(&self, pipe: &PipeNode) -> Result<PipeNode, TemplateError> {
        let mut commands = Vec::with_capacity(pipe.commands.len());
        for (index, command) in pipe.commands.iter().enumerate() {
            self.command(command, index > 0, &mut commands)?;
        }
        Ok(PipeNode { pos: pipe.pos, decl: pipe.decl.clone(), commands, is_assign: pipe.is_assign })
    }

    /// Appends what stands for a command; `piped` says that a value comes to it from the one before.
    fn command(&self, command: &CommandNode, piped: bool, out: &mut Vec<CommandNode>) -> Result<(), TemplateError> {
        let Some((first, rest)) = command.args.split_first() else {
            out.push(command.clone());
            return Ok(());
        };
        let arguments = rest.iter().map(|argument| self.expr(argument)).collect::<Result<Vec<_>, _>>()?;
        if let Expr::Identifier(pos, name) = first {
            self.check_function(*pos, name)?;
            self.function(*pos, name, rest, arguments, piped, out);
            return Ok(());
        }
        let has_arguments = piped || !rest.is_empty();
        match self.chain(first)? {
            Some((receiver, path, text)) if has_arguments => {
                let mut all = vec![self.place(first.pos(), &text), receiver, string(first.pos(), &path)];
                all.extend(arguments);
                out.push(call(command.pos, functions::METHOD, all));
            }
            _ => {
                let mut args = vec![self.expr(first)?];
                args.extend(arguments);
                out.push(CommandNode { pos: command.pos, args });
            }
        }
        Ok(())
    }

    fn function(
        &self,
        pos: Pos,
        name: &SmolStr,
        originals: &[Expr],
        arguments: Vec<Expr>,
        piped: bool,
        out: &mut Vec<CommandNode>,
    ) {
        let wrap = |by: &str, arguments: Vec<Expr>| -> Vec<Expr> {
            arguments.into_iter().map(|argument| nested(call(pos, by, vec![argument]))).collect()
        };
        match name.as_str() {
            "print" => out.push(call(pos, functions::PRINT, arguments)),
            "println" => out.push(call(pos, functions::PRINTLN, arguments)),
            "html" | "js" | "urlquery" if arguments.len() + usize::from(piped) > 1 => {
                out.push(call(pos, functions::PRINT, arguments));
                out.push(call(pos, name, Vec::new()));
            }
            "html" | "js" | "urlquery" => {
                if piped {
                    out.push(call(pos, functions::SHOW, Vec::new()));
                }
                out.push(call(pos, name, wrap(functions::SHOW, arguments)));
            }
            "eq" | "ne" | "lt" | "le" | "gt" | "ge" | "not" => {
                if piped {
                    out.push(call(pos, functions::NUMBER, Vec::new()));
                }
                out.push(call(pos, name, wrap(functions::NUMBER, arguments)));
            }
            "index" if matches!(originals.first(), Some(Expr::Field(_, path)) if path.len() == 1 && path[0] == "Tags") =>
            {
                out.push(call(pos, functions::INDEX_TAGS, arguments));
            }
            "printf" => self.printf(pos, originals, arguments, piped, out),
            _ => out.push(call(pos, name, arguments)),
        }
    }

    /// `printf` with a constant format: each operand goes through the form that its verb wants.
    fn printf(&self, pos: Pos, originals: &[Expr], mut arguments: Vec<Expr>, piped: bool, out: &mut Vec<CommandNode>) {
        let (mut format, mut verbs) = (None, Vec::new());
        if let Some(Expr::String(_, text)) = originals.first() {
            verbs = verbs_of(text);
            format = Some(text.replace("%T", "%s"));
        }
        let verb = |index: usize| verbs.get(index).copied().unwrap_or('v').to_string();
        if piped {
            let index = arguments.len().saturating_sub(1);
            out.push(call(pos, functions::FOR_VERB, vec![string(pos, &verb(index))]));
        }
        if let (Some(format), Some(first)) = (format, arguments.first_mut()) {
            *first = string(pos, &format);
        }
        for (index, argument) in arguments.iter_mut().skip(1).enumerate() {
            let operand = std::mem::replace(argument, Expr::Nil(pos));
            *argument = nested(call(pos, functions::FOR_VERB, vec![string(pos, &verb(index)), operand]));
        }
        out.push(call(pos, "printf", arguments));
        out.push(call(pos, functions::GO_TYPES, Vec::new()));
    }

    fn expr(&self, expr: &Expr) -> Result<Expr, TemplateError> {
        if let Some((receiver, path, text)) = self.chain(expr)? {
            let pos = expr.pos();
            return Ok(nested(call(pos, functions::FIELD, vec![self.place(pos, &text), receiver, string(pos, &path)])));
        }
        Ok(match expr {
            Expr::Pipe(pos, pipe) => Expr::Pipe(*pos, self.pipe(pipe)?),
            Expr::Identifier(pos, name) => {
                self.check_function(*pos, name)?;
                expr.clone()
            }
            other => other.clone(),
        })
    }

    /// Receiver, path and text of an access to fields.
    fn chain(&self, expr: &Expr) -> Result<Option<(Expr, String, String)>, TemplateError> {
        let joined = |path: &[SmolStr]| path.iter().map(SmolStr::as_str).collect::<Vec<_>>().join(".");
        Ok(match expr {
            Expr::Field(pos, path) => {
                let path = joined(path);
                Some((Expr::Dot(*pos), path.clone(), format!(".{path}")))
            }
            Expr::Variable(pos, name, path) if !path.is_empty() => {
                let path = joined(path);
                let text = format!("{name}.{path}");
                Some((Expr::Variable(*pos, name.clone(), Vec::new()), path, text))
            }
            Expr::Chain(_, inner, path) => {
                let path = joined(path);
                let text = format!("(…).{path}");
                Some((self.expr(inner)?, path, text))
            }
            _ => None,
        })
    }

    /// Where an access stands, for its error text.
    fn place(&self, pos: Pos, text: &str) -> Expr {
        let name = self.kind.name();
        string(pos, &format!("executing {name:?} at <{text}>"))
    }

    fn check_function(&self, pos: Pos, name: &str) -> Result<(), TemplateError> {
        if functions::exists(self.kind, name) {
            return Ok(());
        }
        let template = self.kind.name();
        Err(TemplateError(format!("template: {template}:{}: function {name:?} not defined", pos.line)))
    }
}

/// Whether the last command makes a text that HTML templates allow nowhere else in a pipeline.
fn ends_in_escaper(pipe: &PipeNode) -> bool {
    let last = pipe.commands.last().and_then(|command| command.args.first());
    matches!(last, Some(Expr::Identifier(_, name)) if matches!(name.as_str(), "html" | "urlquery"))
}

/// The verbs of a format, one for each operand in order.
fn verbs_of(format: &str) -> Vec<char> {
    let mut verbs = Vec::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            continue;
        }
        for character in characters.by_ref() {
            match character {
                '%' => break,
                // A width or precision that is an operand itself.
                '*' => verbs.push('d'),
                '+' | '-' | '#' | ' ' | '0'..='9' | '.' | '[' | ']' => {}
                verb => {
                    verbs.push(verb);
                    break;
                }
            }
        }
    }
    verbs
}

fn call(pos: Pos, function: &str, arguments: Vec<Expr>) -> CommandNode {
    let mut args = vec![Expr::Identifier(pos, function.into())];
    args.extend(arguments);
    CommandNode { pos, args }
}

fn nested(command: CommandNode) -> Expr {
    let pos = command.pos;
    Expr::Pipe(pos, PipeNode { pos, decl: Vec::new(), commands: vec![command], is_assign: false })
}

fn string(pos: Pos, text: &str) -> Expr {
    Expr::String(pos, text.into())
}
