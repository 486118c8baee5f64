//! Running a script: its statements make a [`Pipeline`].
//!
//! reference: tickscript §4, §5.

mod call;
mod constant;
mod lambda;

use std::collections::BTreeMap;

use proto::plan::Dbrp;

use super::{
    ast::{ChainOp, Node, NodeKind, Program, Statement},
    diagnostic::{Diagnostic, suggest},
    pipeline::{Pipeline, TaskType},
    value::ScriptValue,
    vars::{Var, Vars},
};

/// What a script says.
#[derive(Debug)]
pub struct Interpreted {
    pub pipeline: Pipeline,
    /// From `dbrp` statements, in order.
    pub dbrps: Vec<Dbrp>,
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
        while let NodeKind::Chain { left, .. } = &node.kind {
            node = left;
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
        (false, false) => Err(Diagnostic::new("invalid task type: invalid")
            .help("begin with `stream\\n    |from()` or `batch\\n    |query('…')`")),
    }
}

/// Runs a script that parsed. `vars` replace values of its declarations.
pub fn interpret(source: &str, program: &Program, task_type: TaskType, vars: &Vars) -> Result<Interpreted, Diagnostic> {
    let pipeline = Pipeline::new(task_type).ok_or_else(|| Diagnostic::new("the table of nodes has no sources"))?;
    let name = if task_type == TaskType::Stream { "stream" } else { "batch" };
    let mut scope = BTreeMap::new();
    scope.insert("time".to_owned(), ScriptValue::Function("time".to_owned()));
    scope.insert(name.to_owned(), ScriptValue::Node(0));
    let mut interpreter = Interpreter { source, scope, pipeline, vars, dbrps: Vec::new() };
    for statement in &program.statements {
        interpreter.statement(statement)?;
    }
    if interpreter.pipeline.nodes.len() < 2 {
        return Err(Diagnostic::new("task does nothing").help("a task needs at least one node behind its source"));
    }
    Ok(Interpreted { pipeline: interpreter.pipeline, dbrps: interpreter.dbrps })
}

struct Interpreter<'a> {
    source: &'a str,
    scope: BTreeMap<String, ScriptValue>,
    pipeline: Pipeline,
    vars: &'a Vars,
    dbrps: Vec<Dbrp>,
}

impl Interpreter<'_> {
    /// An error with its place in front.
    fn located(&self, node: &Node, message: impl Into<String>) -> Diagnostic {
        let end = match &node.kind {
            NodeKind::Call { name, .. } | NodeKind::Identifier(name) => node.at + name.len(),
            _ => node.at + 1,
        };
        Diagnostic::new(message).located(self.source, node.at, end)
    }

    fn statement(&mut self, statement: &Statement) -> Result<(), Diagnostic> {
        match statement {
            Statement::Declaration { name, value, .. } => {
                let value = match &value.kind {
                    // A function that is named only is not called.
                    NodeKind::Call { name, .. } => ScriptValue::Function(name.clone()),
                    _ => self.value(value)?,
                };
                if self.scope.contains_key(&name.name) {
                    return Err(Diagnostic::new(format!("attempted to redefine {}, vars are immutable", name.name))
                        .at(self.source, name.at, name.at + name.name.len()));
                }
                let value = match self.vars.get(&name.name) {
                    Some(var) => supplied(&name.name, var, value.type_name())?,
                    None => value,
                };
                self.scope.insert(name.name.clone(), value);
            }
            Statement::TypedDeclaration { name, type_name, .. } => {
                const TYPES: [&str; 9] =
                    ["int", "float", "bool", "string", "regex", "duration", "lambda", "list", "star"];
                if !TYPES.contains(&type_name.name.as_str()) {
                    let mut error = Diagnostic::new(format!("invalid var type {:?}", type_name.name));
                    error = error.at(self.source, type_name.at, type_name.at + type_name.name.len());
                    return Err(error.help(format!("types are {}", TYPES.join(", "))));
                }
                let var = self.vars.get(&name.name).ok_or_else(|| {
                    Diagnostic::new(format!("missing value for var {:?}.", name.name)).at(
                        self.source,
                        name.at,
                        name.at + name.name.len(),
                    )
                })?;
                let value = supplied(&name.name, var, &type_name.name)?;
                self.scope.insert(name.name.clone(), value);
            }
            Statement::Dbrp { db, rp, .. } => self.dbrps.push(Dbrp { db: db.clone(), rp: rp.clone() }),
            Statement::Expression(node) => match &node.kind {
                // A loose name is not even looked up.
                NodeKind::Identifier(_) => {}
                NodeKind::Call { name, .. } => {
                    return Err(self.located(node, format!("no global function {name:?} defined")));
                }
                _ => {
                    self.value(node)?;
                }
            },
        }
        Ok(())
    }

    fn lookup(&self, name: &str, at: usize) -> Result<ScriptValue, Diagnostic> {
        if let Some(value) = self.scope.get(name) {
            return Ok(value.clone());
        }
        let names: Vec<&str> = self.scope.keys().map(String::as_str).collect();
        let mut error = Diagnostic::new(format!("name {name:?} is undefined. Names in scope: {}", names.join(",")));
        error = error.at(self.source, at, at + name.len());
        error.help = match (name, suggest(name, names.iter().copied())) {
            ("true" | "True", _) => Some("the literal is TRUE".to_owned()),
            ("false" | "False", _) => Some("the literal is FALSE".to_owned()),
            (_, Some(meant)) => Some(format!("did you mean {meant}?")),
            _ => None,
        };
        Err(error)
    }

    /// The value of an expression at the top of a script or as an argument.
    fn value(&mut self, node: &Node) -> Result<ScriptValue, Diagnostic> {
        Ok(match &node.kind {
            NodeKind::Chain { left, operator, right } => return self.chain(node, left, *operator, right),
            NodeKind::Call { name, .. } if name == "time" => {
                return Err(self.located(node, "time() is for the groupBy of a query"));
            }
            NodeKind::Call { name, .. } => {
                return Err(self.located(node, format!("no global function {name:?} defined")));
            }
            NodeKind::Identifier(name) => match self.lookup(name, node.at)? {
                ScriptValue::Function(name) if name != "time" => {
                    return Err(self.located(node, format!("no global function {name:?} defined")));
                }
                value => value,
            },
            NodeKind::Lambda(body) => ScriptValue::Lambda(self.lambda(body)?),
            NodeKind::List(items) => {
                let items = items.iter().map(|item| self.value(item)).collect::<Result<_, _>>()?;
                ScriptValue::List(items)
            }
            NodeKind::Binary { .. } | NodeKind::Unary { .. } => self.constant(node)?,
            NodeKind::Int { value, .. } => ScriptValue::Int(*value),
            NodeKind::Float(value) => ScriptValue::Float(*value),
            NodeKind::Duration { value, .. } => ScriptValue::Duration(*value),
            NodeKind::String { value, .. } => ScriptValue::String(value.clone()),
            NodeKind::Reference(name) => ScriptValue::Reference(name.clone()),
            NodeKind::Regex { pattern, .. } => ScriptValue::Regex(pattern.clone()),
            NodeKind::Bool(value) => ScriptValue::Bool(*value),
            NodeKind::Star => ScriptValue::Star,
        })
    }

    fn chain(&mut self, node: &Node, left: &Node, operator: ChainOp, right: &Node) -> Result<ScriptValue, Diagnostic> {
        let value = self.value(left)?;
        let ScriptValue::Node(index) = value else {
            let message = format!("a {} has no methods or properties", value.type_name());
            return Err(self.located(right, message));
        };
        match &right.kind {
            NodeKind::Call { name, arguments, .. } => {
                let mut values = Vec::with_capacity(arguments.len());
                for argument in arguments {
                    values.push(self.value(argument)?);
                }
                // One list alone is the list of arguments.
                if let [ScriptValue::List(_)] = values.as_slice()
                    && let Some(ScriptValue::List(items)) = values.pop()
                {
                    values = items;
                }
                self.call(index, operator, right, name, values)
            }
            NodeKind::Identifier(name) => self.read(node, index, name),
            _ => Err(self.located(right, "expected a method")),
        }
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

/// The expression of a lambda that is supplied as a var: names in it stay unresolved, so there may be none.
pub(super) fn supplied_lambda(source: &str, body: &Node) -> Result<proto::Expr, String> {
    let pipeline = Pipeline::new(TaskType::Stream).ok_or("the table of nodes has no sources")?;
    let vars = Vars::new();
    let interpreter = Interpreter { source, scope: BTreeMap::new(), pipeline, vars: &vars, dbrps: Vec::new() };
    interpreter.lambda(body).map_err(|error| error.message)
}
