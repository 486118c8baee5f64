//! Lambda expressions as a tree: what the data plane compiles (reference: tickscript §8 to §11).

use serde::{Deserialize, Serialize};

use crate::value::Value;

/// One node of a lambda's tree. Vars of the script are already put in as literals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Expr {
    /// A constant; a regular expression stands only where an operator or function takes one.
    Literal(Value),
    /// `"name"`: the point's time if the name is `time`, else a field or a tag.
    Reference(String),
    Unary(UnaryOp, Box<Expr>),
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// A function by its exact name. Unknown names fail per point, not here.
    Call(String, Vec<Expr>),
    /// A lambda var used inside another lambda: a sub-expression with a state of its own, shared by all groups.
    Lambda(Box<Expr>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum UnaryOp {
    Minus,
    Not,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum BinaryOp {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    RegexMatch,
    RegexNotMatch,
    And,
    Or,
}

impl BinaryOp {
    /// The operator as scripts write it.
    pub fn as_str(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Subtract => "-",
            BinaryOp::Multiply => "*",
            BinaryOp::Divide => "/",
            BinaryOp::Modulo => "%",
            BinaryOp::Equal => "==",
            BinaryOp::NotEqual => "!=",
            BinaryOp::Less => "<",
            BinaryOp::LessEqual => "<=",
            BinaryOp::Greater => ">",
            BinaryOp::GreaterEqual => ">=",
            BinaryOp::RegexMatch => "=~",
            BinaryOp::RegexNotMatch => "!~",
            BinaryOp::And => "AND",
            BinaryOp::Or => "OR",
        }
    }
}

impl Expr {
    /// Calls `visit` for this node and all below it, parents first.
    pub fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Expr)) {
        visit(self);
        match self {
            Expr::Literal(_) | Expr::Reference(_) => {}
            Expr::Unary(_, operand) | Expr::Lambda(operand) => operand.walk(visit),
            Expr::Binary(_, left, right) => {
                left.walk(visit);
                right.walk(visit);
            }
            Expr::Call(_, arguments) => arguments.iter().for_each(|argument| argument.walk(visit)),
        }
    }

    /// The names of fields and tags that the expression may read, in order of appearance, each once.
    pub fn references(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.walk(&mut |node| {
            if let Expr::Reference(name) = node
                && !names.contains(&name.as_str())
            {
                names.push(name.as_str());
            }
        });
        names
    }

    /// Whether a stateful function (`count`, `sigma`, `spread`) stands anywhere in it (reference: tickscript §11).
    pub fn is_stateful(&self) -> bool {
        let mut found = false;
        self.walk(&mut |node| {
            found |= matches!(node, Expr::Call(name, _) if matches!(name.as_str(), "count" | "sigma" | "spread"));
        });
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_listed_once_and_state_is_found_in_depth() {
        let usage = || Box::new(Expr::Reference("usage".into()));
        let call = Expr::Call("sigma".into(), vec![Expr::Reference("usage".into())]);
        let tree = Expr::Binary(BinaryOp::Greater, Box::new(Expr::Lambda(Box::new(call))), usage());
        assert_eq!(tree.references(), ["usage"]);
        assert!(tree.is_stateful());
        assert!(!Expr::Unary(UnaryOp::Minus, usage()).is_stateful());
    }
}
