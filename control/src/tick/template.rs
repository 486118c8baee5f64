//! A script as a template: its vars may lack values, and they are what it is asked for (reference: tickscript §7).

use std::collections::BTreeMap;

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Value as Json, json};

use super::{
    ast::Comment,
    compile::{CompileError, Compiled, compile_in},
    format::format_expression,
    interpret::{Declared, Environment},
    udf::Udfs,
    value::ScriptValue,
    vars::Vars,
};

/// A script that is a template.
#[derive(Clone, Debug)]
pub struct Template {
    /// As a task whose vars without values have the zero values of their types.
    pub compiled: Compiled,
    pub vars: BTreeMap<String, TemplateVar>,
}

/// A var as answers show it.
#[derive(Clone, Debug, PartialEq)]
pub struct TemplateVar {
    pub type_name: &'static str,
    /// The default in JSON; null if the script only declares a type.
    pub value: Json,
    pub description: String,
}

impl Serialize for TemplateVar {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("type", self.type_name)?;
        map.serialize_entry("value", &self.value)?;
        map.serialize_entry("description", &self.description)?;
        map.end()
    }
}

/// Checks a script as a template.
pub fn compile_template(source: &str, udfs: &Udfs) -> Result<Template, CompileError> {
    let vars = Vars::new();
    let (compiled, declared) = compile_in(source, Environment { vars: &vars, udfs, template: true })?;
    Ok(Template { compiled, vars: declared.into_iter().filter_map(var).collect() })
}

/// A var that a task may supply: vars of nodes and references are none.
fn var(declared: Declared) -> Option<(String, TemplateVar)> {
    let value = match (declared.type_name, &declared.lambda) {
        (Some(_), _) => Json::Null,
        (None, Some(body)) => json!(format_expression(body)),
        (None, None) => shown(&declared.value)?,
    };
    let type_name = declared.type_name.unwrap_or(declared.value.type_name());
    let description = declared.comment.as_ref().map(description).unwrap_or_default();
    Some((declared.name, TemplateVar { type_name, value, description }))
}

fn shown(value: &ScriptValue) -> Option<Json> {
    Some(match value {
        ScriptValue::Int(x) | ScriptValue::Duration(x) => json!(x),
        ScriptValue::Float(x) => json!(x),
        ScriptValue::Bool(x) => json!(x),
        ScriptValue::String(x) | ScriptValue::Regex(x) => json!(x),
        ScriptValue::Star => json!({"typeOf": "star"}),
        ScriptValue::List(items) => {
            let item = |item: &ScriptValue| {
                let value = shown(item)?;
                Some(json!({"type": item.type_name(), "value": value, "description": ""}))
            };
            Json::Array(items.iter().filter_map(item).collect())
        }
        ScriptValue::Lambda(_)
        | ScriptValue::Reference(_)
        | ScriptValue::Node(_)
        | ScriptValue::Time { .. }
        | ScriptValue::Function(_) => return None,
    })
}

/// Lines by a newline, blocks by three.
fn description(comment: &Comment) -> String {
    let blocks: Vec<String> = comment.blocks.iter().map(|lines| lines.join("\n")).collect();
    blocks.join("\n\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vars_without_values_are_asked_for_and_lambdas_show_their_vars_as_literals() {
        let script = "// a\n//\n// b\n\n// c\nvar x = 80.5\nvar w lambda\nvar l = lambda: \"v\" > x OR \"v\" < -1.0 * x\n\
                      var m string\nvar y = m + 'abc'\nvar e = 2 * 5\nvar n = stream|from().where(lambda: w AND TRUE)\nn|log()";
        let template = compile_template(script, &Udfs::default()).unwrap();
        let vars = json!(template.vars);
        let var = |type_name: &str, value: Json, description: &str| json!({"type": type_name, "value": value, "description": description});
        assert_eq!(
            vars,
            json!({
                "e": var("int", json!(10), ""),
                "l": var("lambda", json!("\"v\" > 80.5 OR \"v\" < -1.0 * 80.5"), ""),
                "m": var("string", Json::Null, ""),
                "w": var("lambda", Json::Null, ""),
                "x": var("float", json!(80.5), "a\n\nb\n\n\nc"),
                "y": var("string", json!("abc"), ""),
            })
        );
    }
}
