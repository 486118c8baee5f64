//! What templates of httpPost endpoints see: a point or batch as `.Name`, `.Tags` and `.Values`, a list with one map from
//! columns to values a point (reference: nodes-stream §15, nodes-alert-join-io §4.4).

use std::{collections::BTreeMap, sync::Arc};

use gotmpl::Value as TemplateValue;

use super::{
    data::field_value,
    object::{self, Object},
};
use crate::{
    json::{self, Unsupported},
    name::Name,
    point::{Batch, Point},
    tags::TagSet,
    value::{Field, Value},
};

/// The data of a row.
pub struct Row {
    value: TemplateValue,
}

impl Row {
    pub fn of_point(point: &Point<'_>) -> Result<Row, Unsupported> {
        let values = vec![columns(point.time, point.fields.all(), &TagSet::empty(), &TagSet::empty())];
        Row::new(point.name, point.tags, values)
    }

    /// Tags of points that are not the group's are columns.
    pub fn of_batch(batch: &Batch<'_>) -> Result<Row, Unsupported> {
        let rows = batch.rows.iter().map(|row| columns(row.time(), &row.fields(), row.tags(), &batch.group.tags));
        Row::new(batch.name, &batch.group.tags, rows.collect())
    }

    fn new(name: Name, tags: &TagSet, rows: Vec<Columns>) -> Result<Row, Unsupported> {
        let text = |text: &str| TemplateValue::String(text.into());
        let json = to_json(name, tags, &rows)?;
        let tags = tags.iter().map(|(key, value)| (Arc::from(key.as_str()), text(value))).collect();
        let row = |row: Columns| {
            let cells = row.into_iter().map(|(key, cell)| {
                let value = match cell {
                    Cell::Time(time) => object::value(Object::Time(time)),
                    Cell::Value(value) => field_value(&value),
                };
                (Arc::from(key.as_str()), value)
            });
            TemplateValue::Map(Arc::new(cells.collect()))
        };
        let fields = vec![
            ("Name", text(name.as_str())),
            ("Tags", TemplateValue::Map(Arc::new(tags))),
            ("Values", TemplateValue::List(rows.into_iter().map(row).collect::<Vec<_>>().into())),
        ];
        let value =
            object::value(Object::Struct { type_name: super::Kind::Row.data_type(), fields, embedded: &[], json });
        Ok(Row { value })
    }

    pub(super) fn value(&self) -> &TemplateValue {
        &self.value
    }
}

enum Cell {
    Time(i64),
    Value(Value),
}

type Columns = BTreeMap<String, Cell>;

fn columns(time: i64, fields: &[Field], tags: &TagSet, group: &TagSet) -> Columns {
    let own = tags.iter().filter(|(key, _)| group.get(*key).is_none());
    let tags = own.map(|(key, value)| (key.as_str().to_owned(), Cell::Value(Value::String(value.clone()))));
    let fields = fields.iter().map(|field| (field.name.as_str().to_owned(), Cell::Value(field.value.clone())));
    let time = std::iter::once(("time".to_owned(), Cell::Time(time)));
    tags.chain(fields).chain(time).collect()
}

/// All of it, in Go's order, with the end of line that Go's encoder puts behind it.
fn to_json(name: Name, tags: &TagSet, rows: &[Columns]) -> Result<String, Unsupported> {
    let mut out = String::from("{\"Name\":");
    json::string(name.as_str(), &mut out);
    out.push_str(",\"Tags\":{");
    for (nth, (key, value)) in tags.iter().enumerate() {
        out.push_str(if nth == 0 { "" } else { "," });
        json::string(key.as_str(), &mut out);
        out.push(':');
        json::string(value, &mut out);
    }
    out.push_str("},\"Values\":[");
    for (nth, row) in rows.iter().enumerate() {
        out.push_str(if nth == 0 { "{" } else { ",{" });
        for (nth, (key, cell)) in row.iter().enumerate() {
            out.push_str(if nth == 0 { "" } else { "," });
            json::string(key, &mut out);
            out.push(':');
            match cell {
                Cell::Time(time) => json::time(*time, &mut out),
                Cell::Value(value) => json::value(value, &mut out)?,
            }
        }
        out.push('}');
    }
    out.push_str("]}\n");
    Ok(out)
}
