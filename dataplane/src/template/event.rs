//! What templates of alert handlers see: of endpoints the event as handlers send it (reference: nodes-alert-join-io §4.4),
//! of services what is known of it.

use std::sync::Arc;

use gotmpl::Value as TemplateValue;
use proto::{
    message::AlertEvent,
    value::{Level, Value},
};
use serde_json::{Map, Value as Json};

use super::{
    data::field_value,
    object::{self, Object},
};
use crate::rfc3339;

/// The data of an event.
pub struct EventData {
    value: TemplateValue,
}

impl EventData {
    /// `json` is the event as handlers send it, `previous` the level before it.
    pub fn new(event: &AlertEvent, previous: Level, json: String) -> EventData {
        let text = |text: &str| TemplateValue::String(text.into());
        let fields = vec![
            ("ID", text(&event.id)),
            ("Message", text(&event.message)),
            ("Details", text(&event.details)),
            ("Time", object::value(Object::Time(event.time))),
            ("Duration", object::value(Object::Duration(event.duration))),
            ("Level", text(event.level.as_str())),
            ("Data", data(event)),
            ("PreviousLevel", text(previous.as_str())),
            ("Recoverable", TemplateValue::Bool(event.recoverable)),
        ];
        let type_name = super::Kind::Event.data_type();
        EventData { value: object::value(Object::Struct { type_name, fields, embedded: &[], json }) }
    }

    /// What options of services see.
    pub fn of_service(event: &AlertEvent) -> EventData {
        let text = |text: &str| TemplateValue::String(text.into());
        let tags = event.tags.iter().map(|(key, value)| (Arc::from(key.as_str()), text(value)));
        let values = event.fields.iter().map(|(key, value)| (Arc::from(key.as_str()), field_value(&value.into())));
        let fields = vec![
            ("ID", text(&event.id)),
            ("Message", text(&event.message)),
            ("Level", text(event.level.as_str())),
            ("Time", object::value(Object::Time(event.time))),
            ("Duration", object::value(Object::Duration(event.duration))),
            ("Name", text(&event.name)),
            ("TaskName", text(&event.task)),
            ("Group", text(&event.group)),
            ("Tags", TemplateValue::Map(Arc::new(tags.collect()))),
            ("Fields", TemplateValue::Map(Arc::new(values.collect()))),
            ("Details", text(&event.details)),
        ];
        let json = String::new();
        EventData {
            value: object::value(Object::Struct { type_name: "alert.TemplateData", fields, embedded: &[], json }),
        }
    }

    pub(super) fn value(&self) -> &TemplateValue {
        &self.value
    }
}

/// `.Data`, with its `.Series`.
fn data(event: &AlertEvent) -> TemplateValue {
    let parsed: Json = serde_json::from_str(&event.data).unwrap_or_default();
    let series = parsed.get("series").and_then(Json::as_array).into_iter().flatten();
    let series: Vec<TemplateValue> = series.filter_map(Json::as_object).map(|row| series_row(row, event)).collect();
    let fields = vec![("Series", TemplateValue::List(series.into()))];
    object::value(Object::Struct { type_name: "models.Result", fields, embedded: &[], json: event.data.clone() })
}

fn series_row(row: &Map<String, Json>, event: &AlertEvent) -> TemplateValue {
    let list = |name: &str| row.get(name).and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
    let columns: Vec<&str> = list("columns").iter().filter_map(Json::as_str).collect();
    let tags = row.get("tags").and_then(Json::as_object).into_iter().flatten();
    let tags =
        tags.map(|(key, value)| (Arc::from(key.as_str()), TemplateValue::String(value.as_str().unwrap_or("").into())));
    let cells = |values: &Json| {
        let values = values.as_array().map_or(&[][..], Vec::as_slice);
        let cells = columns.iter().zip(values).map(|(column, value)| cell(column, value, event));
        TemplateValue::List(cells.collect::<Vec<_>>().into())
    };
    let columns_shown = columns.iter().map(|column| TemplateValue::String((*column).into()));
    let fields = vec![
        ("Name", TemplateValue::String(row.get("name").and_then(Json::as_str).unwrap_or_default().into())),
        ("Tags", TemplateValue::Map(Arc::new(tags.collect()))),
        ("Columns", TemplateValue::List(columns_shown.collect::<Vec<_>>().into())),
        ("Values", TemplateValue::List(list("values").iter().map(cells).collect::<Vec<_>>().into())),
    ];
    let members = ["name", "tags", "columns", "values"].into_iter();
    let members = members.filter_map(|name| row.get(name).map(|value| format!("\"{name}\":{value}")));
    let json = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
    object::value(Object::Struct { type_name: "models.Row", fields, embedded: &[], json })
}

/// A value of a column. JSON does not tell whole floats from integers: the event's fields do.
fn cell(column: &str, value: &Json, event: &AlertEvent) -> TemplateValue {
    let is_float = || matches!(event.fields.iter().find(|(name, _)| name == column), Some((_, Value::Float(_))));
    match value {
        Json::String(text) => match rfc3339::parse(text) {
            Some(time) if column == "time" => object::value(Object::Time(time)),
            _ => TemplateValue::String(text.as_str().into()),
        },
        Json::Bool(x) => TemplateValue::Bool(*x),
        Json::Number(x) => match x.as_i64() {
            Some(x) if !is_float() => TemplateValue::Int(x),
            _ => x.as_f64().map_or(TemplateValue::Nil, TemplateValue::Float),
        },
        _ => TemplateValue::Nil,
    }
}
