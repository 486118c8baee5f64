//! The formatter (reference: tickscript §13).
//!
//! Each node is written at an indentation, and knows whether the text is at the start of a line: a comment that is not
//! breaks the line first.

use proto::expr::{BinaryOp, UnaryOp};

use super::ast::{ChainOp, Comment, Identifier, Node, NodeKind, Program, Statement};

const STEP: usize = 4;

/// The text of a script in its standard form.
pub fn format(program: &Program) -> String {
    let mut out = Writer::default();
    for (index, statement) in program.statements.iter().enumerate() {
        if index > 0 {
            out.newline();
        }
        out.statement(statement);
        out.newline();
    }
    if let Some(trailing) = &program.trailing {
        if !program.statements.is_empty() {
            out.newline();
        }
        out.comment(Some(trailing), 0, true);
        out.newline();
    }
    out.text
}

/// The text of one expression, as vars show lambdas.
pub fn format_expression(node: &Node) -> String {
    let mut out = Writer::default();
    out.node(node, 0, false);
    out.text
}

#[derive(Default)]
struct Writer {
    text: String,
    /// Of the node that is written next.
    around: Around,
}

/// Where a star that stands for everything needs parentheses: behind a word of the language it multiplies, and a sign behind
/// it (any but a minus) is not read. Elsewhere it must have none: with the line above they could be a call.
#[derive(Default)]
struct Around {
    behind_word: bool,
    before_sign: bool,
}

impl Writer {
    fn newline(&mut self) {
        self.text.push('\n');
    }

    fn indent(&mut self, indentation: usize) {
        self.text.extend(std::iter::repeat_n(' ', indentation));
    }

    /// Writes a comment, and the indentation of what follows it; returns nothing to remember: behind it text goes on.
    fn comment(&mut self, comment: Option<&Comment>, indentation: usize, at_line_start: bool) {
        if let Some(comment) = comment {
            if !at_line_start {
                self.newline();
            }
            for (index, block) in comment.blocks.iter().enumerate() {
                if index > 0 {
                    self.newline();
                }
                for line in block {
                    self.indent(indentation);
                    self.text.push_str("//");
                    if !line.is_empty() {
                        self.text.push(' ');
                        self.text.push_str(line);
                    }
                    self.newline();
                }
            }
        }
        if comment.is_some() || at_line_start {
            self.indent(indentation);
        }
    }

    /// A line that begins with a slash right below a comment would go on with it: an empty line keeps them apart.
    fn part_from_comment(&mut self, indentation: usize) {
        let mut lines = self.text.rsplit('\n');
        let at_line_start = lines.next().is_some_and(|line| line.trim_start().is_empty());
        if at_line_start && lines.next().is_some_and(|line| line.trim_start().starts_with("//")) {
            self.text.truncate(self.text.trim_end_matches(' ').len());
            self.newline();
            self.indent(indentation);
        }
    }

    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Declaration { comment, name, value } => {
                self.comment(comment.as_ref(), 0, true);
                self.text.push_str("var ");
                self.identifier(name);
                self.text.push_str(" = ");
                self.node(value, 0, false);
            }
            Statement::TypedDeclaration { comment, name, type_name } => {
                self.comment(comment.as_ref(), 0, true);
                self.text.push_str("var ");
                self.identifier(name);
                self.text.push(' ');
                self.identifier(type_name);
            }
            Statement::Dbrp { comment, db, rp } => {
                self.comment(comment.as_ref(), 0, true);
                let escaped = |name: &str| name.replace('"', "\\\"");
                self.text.push_str(&format!("dbrp \"{}\".\"{}\"", escaped(db), escaped(rp)));
            }
            Statement::Expression(node) => self.node(node, 0, true),
        }
    }

    fn identifier(&mut self, identifier: &Identifier) {
        self.comment(identifier.comment.as_ref(), 0, false);
        self.text.push_str(&identifier.name);
    }

    fn operand(&mut self, node: &Node, around: Around, indentation: usize, at_line_start: bool) {
        self.around = around;
        self.node(node, indentation, at_line_start);
    }

    fn node(&mut self, node: &Node, indentation: usize, at_line_start: bool) {
        let Around { behind_word, before_sign: before_outer } = std::mem::take(&mut self.around);
        if let NodeKind::Chain { head, links } = &node.kind {
            self.node(head, indentation, at_line_start);
            for link in links {
                self.newline();
                let indentation = indentation + if link.operator == ChainOp::Property { 2 * STEP } else { STEP };
                self.comment(link.comment.as_ref(), indentation, true);
                self.text.push_str(link.operator.as_str());
                self.node(&link.right, indentation, false);
            }
            return;
        }
        if let NodeKind::Binary { operator, left, right, parentheses, multiline } = &node.kind {
            let mut indentation = indentation;
            // The indentation is written first, so a comment of the left operand breaks the line.
            self.comment(node.comment.as_ref(), indentation, at_line_start);
            if *parentheses {
                self.text.push('(');
                indentation += STEP;
            }
            let is_word = matches!(operator, BinaryOp::And | BinaryOp::Or);
            let before_sign = !is_word && *operator != BinaryOp::Subtract;
            let around = Around { behind_word: behind_word && !parentheses, before_sign };
            self.operand(left, around, indentation, false);
            self.text.push(' ');
            self.text.push_str(operator.as_str());
            if *multiline {
                self.newline();
            } else {
                self.text.push(' ');
            }
            let around = Around { behind_word: is_word, before_sign: before_outer && !parentheses };
            self.operand(right, around, indentation, *multiline);
            if *parentheses {
                self.text.push(')');
            }
            return;
        }
        self.comment(node.comment.as_ref(), indentation, at_line_start);
        match &node.kind {
            NodeKind::Chain { .. } | NodeKind::Binary { .. } => {}
            NodeKind::Call { name, arguments, multiline } => self.call(name, arguments, *multiline, indentation),
            NodeKind::Identifier(name) => self.text.push_str(name),
            NodeKind::Lambda(body) => {
                self.text.push_str("lambda: ");
                self.operand(body, Around { behind_word: true, before_sign: before_outer }, indentation, false);
            }
            NodeKind::List(items) => {
                self.text.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        self.text.push_str(", ");
                    }
                    self.node(item, indentation, false);
                }
                self.text.push(']');
            }
            NodeKind::Unary { operator, operand } => {
                self.text.push(if *operator == UnaryOp::Minus { '-' } else { '!' });
                self.operand(operand, Around { behind_word: false, before_sign: before_outer }, indentation, false);
            }
            NodeKind::Int { value, octal: true } if *value != 0 => self.text.push_str(&format!("0{value:o}")),
            NodeKind::Int { octal: true, .. } => self.text.push_str("00"),
            NodeKind::Int { value, octal: false } => self.text.push_str(&value.to_string()),
            NodeKind::Float(value) => {
                let text = value.to_string();
                self.text.push_str(&text);
                if !text.contains('.') {
                    self.text.push_str(".0");
                }
            }
            NodeKind::Duration { text, .. } => self.text.push_str(text),
            NodeKind::String { value, triple: true } => self.text.push_str(&format!("'''{value}'''")),
            NodeKind::String { value, triple: false } => {
                self.text.push_str(&format!("'{}'", value.replace('\'', "\\'")));
            }
            NodeKind::Reference(name) => self.text.push_str(&format!("\"{}\"", name.replace('"', "\\\""))),
            NodeKind::Regex { text, .. } => {
                self.part_from_comment(indentation);
                self.text.push_str(&format!("/{text}/"));
            }
            NodeKind::Bool(value) => self.text.push_str(if *value { "TRUE" } else { "FALSE" }),
            NodeKind::Star if behind_word || before_outer => self.text.push_str("(*)"),
            NodeKind::Star => self.text.push('*'),
        }
    }

    fn call(&mut self, name: &str, arguments: &[Node], multiline: bool, indentation: usize) {
        self.text.push_str(name);
        self.text.push('(');
        for (index, argument) in arguments.iter().enumerate() {
            if multiline {
                self.newline();
            } else if index > 0 {
                self.text.push(' ');
            }
            self.node(argument, indentation + STEP, multiline);
            if index + 1 < arguments.len() {
                self.text.push(',');
            }
        }
        if multiline {
            self.newline();
            self.indent(indentation);
        }
        self.text.push(')');
    }
}
