//! What templates see (reference: nodes-alert-join-io §3).

use std::sync::Arc;

use gotmpl::Value as TemplateValue;
use proto::{plan::ServerInfo, value::Level};

use super::{
    Kind,
    object::{self, Object},
};
use crate::{
    json::{self, Unsupported},
    name::Name,
    tags::TagSet,
    value::{Field, Value},
};

/// The data of one event; what a template's [`Kind`] does not show may be left at its default.
#[derive(Clone, Copy, Debug)]
pub struct Data<'a> {
    /// The measurement.
    pub name: Name,
    pub task: &'a str,
    /// Text of the group.
    pub group: &'a str,
    pub tags: &'a TagSet,
    /// Whether JSON shows an empty set as `null`.
    pub null_tags: bool,
    pub server: &'a ServerInfo,
    pub id: &'a str,
    pub fields: &'a [Field],
    pub level: Level,
    /// Nanoseconds since 1970.
    pub time: i64,
    /// Nanoseconds.
    pub duration: i64,
    pub message: &'a str,
}

impl Data<'_> {
    /// The data as a struct: fields that the kind does not show are not there.
    pub(super) fn to_value(self, kind: Kind) -> TemplateValue {
        let fields = kind.fields().iter().map(|&name| (name, self.field(name))).collect();
        let as_json = if kind == Kind::Details { self.json().unwrap_or_default() } else { String::new() };
        let embedded = kind.embedded();
        object::value(Object::Struct { type_name: kind.data_type(), fields, embedded, json: as_json })
    }

    fn field(&self, name: &str) -> TemplateValue {
        let text = |text: &str| TemplateValue::String(text.into());
        match name {
            "Name" => text(self.name.as_str()),
            "TaskName" => text(self.task),
            "Group" => text(self.group),
            "Tags" => {
                let tags = self.tags.iter().map(|(key, value)| (Arc::from(key.as_str()), text(value)));
                TemplateValue::Map(Arc::new(tags.collect()))
            }
            "ServerInfo" => {
                let server = self.server;
                let fields = vec![
                    ("Hostname", text(&server.hostname)),
                    ("ClusterID", text(&server.cluster_id)),
                    ("ServerID", text(&server.server_id)),
                ];
                object::value(Object::Struct {
                    type_name: "kapacitor.serverInfo",
                    fields,
                    embedded: &[],
                    json: server_json(self.server),
                })
            }
            "ID" => text(self.id),
            "Fields" => {
                let fields =
                    self.fields.iter().map(|field| (Arc::from(field.name.as_str()), field_value(&field.value)));
                TemplateValue::Map(Arc::new(fields.collect()))
            }
            "Level" => text(self.level.as_str()),
            "Time" => object::value(Object::Time(self.time)),
            "Duration" => object::value(Object::Duration(self.duration)),
            _ => text(self.message),
        }
    }

    /// All data as JSON, with the end of line that Go's encoder puts behind it.
    pub(super) fn json(&self) -> Result<String, Unsupported> {
        let mut out = String::with_capacity(512);
        let member = |key: &str, value: &str, out: &mut String| {
            out.push_str(if out.is_empty() { "{\"" } else { ",\"" });
            out.push_str(key);
            out.push_str("\":");
            json::string(value, out);
        };
        member("Name", self.name.as_str(), &mut out);
        member("TaskName", self.task, &mut out);
        member("Group", self.group, &mut out);
        out.push_str(",\"Tags\":");
        if self.null_tags && self.tags.is_empty() {
            out.push_str("null");
        } else {
            out.push('{');
            for (index, (key, value)) in self.tags.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                json::string(key.as_str(), &mut out);
                out.push(':');
                json::string(value, &mut out);
            }
            out.push('}');
        }
        out.push_str(",\"ServerInfo\":");
        out.push_str(&server_json(self.server));
        member("ID", self.id, &mut out);
        out.push_str(",\"Fields\":{");
        let mut sorted: Vec<&Field> = self.fields.iter().collect();
        sorted.sort_by_key(|field| field.name);
        for (index, field) in sorted.into_iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            json::string(field.name.as_str(), &mut out);
            out.push(':');
            json::value(&field.value, &mut out)?;
        }
        out.push('}');
        member("Level", self.level.as_str(), &mut out);
        out.push_str(",\"Time\":");
        json::time(self.time, &mut out);
        out.push_str(",\"Duration\":");
        json::int(self.duration, &mut out);
        member("Message", self.message, &mut out);
        out.push_str("}\n");
        Ok(out)
    }
}

fn server_json(server: &ServerInfo) -> String {
    let mut out = String::from("{\"Hostname\":");
    json::string(&server.hostname, &mut out);
    out.push_str(",\"ClusterID\":");
    json::string(&server.cluster_id, &mut out);
    out.push_str(",\"ServerID\":");
    json::string(&server.server_id, &mut out);
    out.push('}');
    out
}

pub(super) fn field_value(value: &Value) -> TemplateValue {
    match value {
        Value::Float(x) => TemplateValue::Float(*x),
        Value::Int(x) => TemplateValue::Int(*x),
        Value::Bool(x) => TemplateValue::Bool(*x),
        Value::String(text) => TemplateValue::String((&**text).into()),
        Value::Duration(x) => object::value(Object::Duration(*x)),
        Value::Null | Value::Missing => TemplateValue::Nil,
    }
}
