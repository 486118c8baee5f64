//! Running a script: its statements make a [`Pipeline`].
//!
//! reference: tickscript §4, §5.

mod call;
mod chain;
mod constant;
mod lambda;
mod names;
mod place;

pub(super) use lambda::unresolved;

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
};

use proto::plan::Dbrp;

use super::{
    ast::{Comment, Identifier, Node, NodeKind, Program, Statement},
    diagnostic::{DIAGNOSTICS_MAX, Diagnostic},
    pipeline::{Pipeline, TaskType},
    udf::Udfs,
    value::ScriptValue,
    vars::{Var, Vars},
};

/// Types of `var name type`.
const TYPES: [&str; 9] = ["int", "float", "bool", "string", "regex", "duration", "lambda", "list", "star"];

/// What a script says.
#[derive(Debug)]
pub struct Interpreted {
    pub pipeline: Pipeline,
    /// From `dbrp` statements, in order.
    pub dbrps: Vec<Dbrp>,
    /// The vars of a template, in order.
    pub declared: Vec<Declared>,
}

/// A var as the script declares it.
#[derive(Debug)]
pub struct Declared {
    pub name: String,
    pub comment: Option<Comment>,
    /// Of `var name type`, which has no value yet.
    pub type_name: Option<&'static str>,
    pub value: ScriptValue,
    /// The body of a lambda, with vars put in as literals.
    pub lambda: Option<Node>,
}

/// What stands beside the script.
#[derive(Clone, Copy, Debug)]
pub struct Environment<'a> {
    /// Values that replace those of declarations.
    pub vars: &'a Vars,
    pub udfs: &'a Udfs,
    /// A var without a value has the zero value of its type.
    pub template: bool,
}

/// The type of a task by the source that its script uses: looked for at the left end of chains, at the top and on the
/// right of declarations.
pub fn task_type(program: &Program) -> Result<TaskType, Diagnostic> {
    let (mut stream, mut batch) = (false, false);
    for statement in &program.statements {
        let mut node = match statement {
            Statement::Declaration { value, .. } => value,
            Statement::Expression(node) => node,
            _ => continue,
        };
        if let NodeKind::Chain { head, .. } = &node.kind {
            node = head;
        }
        match &node.kind {
            NodeKind::Identifier(name) => {
                stream |= name == "stream";
                batch |= name == "batch";
            }
            _ => continue,
        }
    }
    match (stream, batch) {
        (true, false) => Ok(TaskType::Stream),
        (false, true) => Ok(TaskType::Batch),
        (true, true) => Err(Diagnostic::new("invalid task type: invalid").help("use either stream or batch, not both")),
        (false, false) => {
            Err(Diagnostic::new("invalid task type: invalid").help("begin with stream|from() or batch|query('…')"))
        }
    }
}

/// Runs a script that parsed. Statements that depend on one that failed are passed over; the first error is the one that
/// ends the run of a script that is read from top to bottom.
pub fn interpret(
    source: &str,
    program: &Program,
    task_type: TaskType,
    environment: Environment<'_>,
) -> Result<Interpreted, Vec<Diagnostic>> {
    let no_sources = || vec![Diagnostic::new("the table of nodes has no sources")];
    let mut interpreter = Interpreter::new(source, task_type, environment).ok_or_else(no_sources)?;
    interpreter.run(program);
    let Interpreter { found, pipeline, dbrps, declared, .. } = interpreter;
    if !found.is_empty() {
        return Err(found);
    }
    if pipeline.nodes.len() < 2 {
        let nothing = Diagnostic::new("task does nothing").help("a task needs at least one node behind its source");
        return Err(vec![nothing]);
    }
    Ok(Interpreted { pipeline, dbrps, declared })
}

struct Interpreter<'a> {
    source: &'a str,
    scope: BTreeMap<String, ScriptValue>,
    pipeline: Pipeline,
    environment: Environment<'a>,
    dbrps: Vec<Dbrp>,
    declared: Vec<Declared>,
    /// Bodies of the lambdas that vars hold, for templates.
    lambdas: BTreeMap<String, Node>,
    found: Vec<Diagnostic>,
    /// Names whose declaration failed.
    failed: BTreeSet<String>,
    /// Bytes of values that were taken from vars so far.
    copied: Cell<usize>,
    /// The lambda comes from a request, where no names stand for values: a start says so.
    supplied: bool,
}

impl<'a> Interpreter<'a> {
    fn new(source: &'a str, task_type: TaskType, environment: Environment<'a>) -> Option<Self> {
        let name = if task_type == TaskType::Stream { "stream" } else { "batch" };
        let mut scope = BTreeMap::new();
        scope.insert("time".to_owned(), ScriptValue::Function("time".to_owned()));
        scope.insert(name.to_owned(), ScriptValue::Node(0));
        Some(Interpreter {
            source,
            scope,
            pipeline: Pipeline::new(task_type)?,
            environment,
            dbrps: Vec::new(),
            declared: Vec::new(),
            lambdas: BTreeMap::new(),
            found: Vec::new(),
            failed: BTreeSet::new(),
            copied: Cell::new(0),
            supplied: false,
        })
    }

    fn run(&mut self, program: &Program) {
        for statement in &program.statements {
            let declares = match statement {
                Statement::Declaration { name, .. } | Statement::TypedDeclaration { name, .. } => Some(&name.name),
                _ => None,
            };
            let done = if names::uses_any(statement, &self.failed) {
                Err(None)
            } else {
                self.statement(statement).map_err(Some)
            };
            if let Err(error) = done {
                self.found.extend(error);
                if let Some(name) = declares.filter(|name| !self.scope.contains_key(*name)) {
                    self.failed.insert(name.clone());
                }
            }
            if self.found.len() >= DIAGNOSTICS_MAX {
                return;
            }
        }
    }

    fn statement(&mut self, statement: &Statement) -> Result<(), Diagnostic> {
        match statement {
            Statement::Declaration { comment, name, value } => self.declare(comment.as_ref(), name, value)?,
            Statement::TypedDeclaration { comment, name, type_name } => {
                self.declare_typed(comment.as_ref(), name, type_name)?;
            }
            Statement::Dbrp { db, rp, .. } => self.dbrps.push(Dbrp { db: db.clone(), rp: rp.clone() }),
            // A loose name is not even looked up.
            Statement::Expression(Node { kind: NodeKind::Identifier(_), .. }) => {}
            Statement::Expression(node) => {
                self.value(node)?;
            }
        }
        Ok(())
    }

    fn declare(&mut self, comment: Option<&Comment>, name: &Identifier, node: &Node) -> Result<(), Diagnostic> {
        let value = match &node.kind {
            // A function that is named only is not called.
            NodeKind::Call { name, .. } => ScriptValue::Function(name.clone()),
            _ => self.value(node)?,
        };
        if self.scope.contains_key(&name.name) {
            return Err(Diagnostic::new(format!("attempted to redefine {}, vars are immutable", name.name)).at(
                self.source,
                name.at,
                name.at + name.name.len(),
            ));
        }
        let value = match self.environment.vars.get(&name.name) {
            Some(var) => supplied(&name.name, var, value.type_name())?,
            None => value,
        };
        if self.environment.template {
            let lambda = self.lambda_body(node)?;
            if let Some(body) = &lambda {
                self.lambdas.insert(name.name.clone(), body.clone());
            }
            let (name, comment, value) = (name.name.clone(), comment.cloned(), value.clone());
            self.declared.push(Declared { name, comment, type_name: None, value, lambda });
        }
        self.scope.insert(name.name.clone(), value);
        Ok(())
    }

    fn declare_typed(
        &mut self,
        comment: Option<&Comment>,
        name: &Identifier,
        type_name: &Identifier,
    ) -> Result<(), Diagnostic> {
        let Some(known) = TYPES.into_iter().find(|known| *known == type_name.name) else {
            let error = Diagnostic::new(format!("invalid var type {:?}", type_name.name));
            let error = error.at(self.source, type_name.at, type_name.at + type_name.name.len());
            return Err(error.help(format!("types are {}", TYPES.join(", "))));
        };
        let value = match self.environment.vars.get(&name.name) {
            Some(var) => supplied(&name.name, var, known)?,
            None if self.environment.template => zero(known),
            None => {
                let error = Diagnostic::new(format!("missing value for var {:?}.", name.name));
                return Err(error.at(self.source, name.at, name.at + name.name.len()));
            }
        };
        if self.environment.template {
            let (name, comment, value) = (name.name.clone(), comment.cloned(), value.clone());
            self.declared.push(Declared { name, comment, type_name: Some(known), value, lambda: None });
        }
        self.scope.insert(name.name.clone(), value);
        Ok(())
    }
}

/// What a var of a template has for a value until a task supplies one.
fn zero(type_name: &str) -> ScriptValue {
    match type_name {
        "int" => ScriptValue::Int(0),
        "float" => ScriptValue::Float(0.0),
        "bool" => ScriptValue::Bool(false),
        "string" => ScriptValue::String(String::new()),
        "regex" => ScriptValue::Regex(String::new()),
        "duration" => ScriptValue::Duration(0),
        "lambda" => ScriptValue::Lambda(proto::Expr::Literal(proto::Value::Bool(false))),
        "list" => ScriptValue::List(Vec::new()),
        _ => ScriptValue::Star,
    }
}

/// A value that was supplied for a declaration of a type.
fn supplied(name: &str, var: &Var, declared: &str) -> Result<ScriptValue, Diagnostic> {
    if var.type_name() != declared {
        return Err(Diagnostic::new(format!(
            "invalid type supplied for {name}, got {} exp {declared}",
            var.type_name()
        )));
    }
    var.to_value().map_err(|error| Diagnostic::new(format!("invalid var {name}: {error}")))
}

/// The expression of a lambda that stands alone: the only names in it are those of `constants`.
pub(super) fn lone_lambda(source: &str, body: &Node, constants: &[(&str, i64)]) -> Result<proto::Expr, String> {
    let constant = |(name, value): &(&str, i64)| ((*name).to_owned(), ScriptValue::Int(*value));
    alone(source, body, constants.iter().map(constant).collect(), false)
}

/// The expression of a lambda that is supplied for a var.
pub(super) fn supplied_lambda(source: &str, body: &Node) -> Result<proto::Expr, String> {
    alone(source, body, BTreeMap::new(), true)
}

fn alone(
    source: &str,
    body: &Node,
    scope: BTreeMap<String, ScriptValue>,
    supplied: bool,
) -> Result<proto::Expr, String> {
    let (vars, udfs) = (Vars::new(), Udfs::default());
    let environment = Environment { vars: &vars, udfs: &udfs, template: false };
    let interpreter = Interpreter::new(source, TaskType::Stream, environment);
    let mut interpreter = interpreter.ok_or("the table of nodes has no sources")?;
    interpreter.scope = scope;
    interpreter.supplied = supplied;
    interpreter.lambda(body).map_err(|error| error.message)
}
