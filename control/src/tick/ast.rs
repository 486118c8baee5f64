//! The tree of a script. Positions are byte offsets; comments stay with the node that they stand before.
//!
//! reference: tickscript §2, §13.

use proto::expr::{BinaryOp, UnaryOp};

/// A whole script.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    pub statements: Vec<Statement>,
    /// Comments behind the last statement.
    pub trailing: Option<Comment>,
}

/// Comment lines, in blocks that blank lines divide, without `//` and without the blank behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comment {
    pub blocks: Vec<Vec<String>>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    /// `var name = value`
    Declaration {
        comment: Option<Comment>,
        name: Identifier,
        value: Node,
    },
    /// `var name type`
    TypedDeclaration {
        comment: Option<Comment>,
        name: Identifier,
        type_name: Identifier,
    },
    /// `dbrp "db"."rp"`
    Dbrp {
        comment: Option<Comment>,
        db: String,
        rp: String,
    },
    Expression(Node),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identifier {
    pub name: String,
    pub at: usize,
    pub comment: Option<Comment>,
}

/// An expression with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where the tests for line breaks look: a chain's last operator, a binary's operator, everything else's first byte.
    pub at: usize,
    pub comment: Option<Comment>,
    pub kind: NodeKind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum NodeKind {
    /// A list of links, not a tree: chains are as long as scripts.
    Chain {
        head: Box<Node>,
        links: Vec<Link>,
    },
    Call {
        name: String,
        arguments: Vec<Node>,
        multiline: bool,
    },
    Identifier(String),
    Lambda(Box<Node>),
    List(Vec<Node>),
    Binary {
        operator: BinaryOp,
        left: Box<Node>,
        right: Box<Node>,
        parentheses: bool,
        multiline: bool,
    },
    Unary {
        operator: UnaryOp,
        operand: Box<Node>,
    },
    Int {
        value: i64,
        octal: bool,
    },
    Float(f64),
    /// Nanoseconds, and the text as written.
    Duration {
        value: i64,
        text: String,
    },
    /// Content, and whether it stood between three quotes.
    String {
        value: String,
        triple: bool,
    },
    Reference(String),
    /// Pattern without the slashes and their escapes, and as written.
    Regex {
        pattern: String,
        text: String,
    },
    Bool(bool),
    Star,
}

/// One operator of a chain and what it calls or reads.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// Place of the operator.
    pub at: usize,
    pub comment: Option<Comment>,
    pub operator: ChainOp,
    /// A call or an identifier.
    pub right: Node,
}

/// `|`, `.` and `@`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainOp {
    Chaining,
    Property,
    Udf,
}

impl ChainOp {
    pub fn as_str(self) -> &'static str {
        match self {
            ChainOp::Chaining => "|",
            ChainOp::Property => ".",
            ChainOp::Udf => "@",
        }
    }
}

impl Program {
    /// The tree without places, line breaks and comments: what is left is what the script says.
    pub fn bare(mut self) -> Program {
        self.trailing = None;
        for statement in &mut self.statements {
            match statement {
                Statement::Declaration { comment, name, value } => {
                    *comment = None;
                    name.strip();
                    value.strip();
                }
                Statement::TypedDeclaration { comment, name, type_name } => {
                    *comment = None;
                    name.strip();
                    type_name.strip();
                }
                Statement::Dbrp { comment, .. } => *comment = None,
                Statement::Expression(node) => node.strip(),
            }
        }
        self
    }
}

impl Identifier {
    fn strip(&mut self) {
        (self.at, self.comment) = (0, None);
    }
}

impl Node {
    fn strip(&mut self) {
        (self.at, self.comment) = (0, None);
        match &mut self.kind {
            NodeKind::Chain { head, links } => {
                head.strip();
                for link in links {
                    (link.at, link.comment) = (0, None);
                    link.right.strip();
                }
            }
            NodeKind::Call { arguments, multiline, .. } => {
                *multiline = false;
                arguments.iter_mut().for_each(Node::strip);
            }
            NodeKind::Lambda(body) => body.strip(),
            NodeKind::List(items) => items.iter_mut().for_each(Node::strip),
            NodeKind::Binary { left, right, multiline, .. } => {
                *multiline = false;
                left.strip();
                right.strip();
            }
            NodeKind::Unary { operand, .. } => operand.strip(),
            _ => {}
        }
    }
}
