//! A point or batch as the JSON row that httpOut, httpPost and alert data show.
//!
//! reference: nodes-stream §15 "Row format".

use crate::{
    json::{self, Unsupported},
    name::Name,
    point::{Batch, Point, RowRef},
    tags::TagSet,
    value::{Field, field},
};

/// `{"name":…,"tags":{…},"columns":[…],"values":[[…]]}` of a point.
pub fn of_point(point: &Point<'_>, out: &mut String) -> Result<(), Unsupported> {
    head(point.name, point.tags, out);
    let mut columns: Vec<&Field> = point.fields.all().iter().collect();
    columns.sort_by_key(|field| field.name);
    separate(out);
    out.push_str("\"columns\":[\"time\"");
    for column in &columns {
        out.push(',');
        json::string(column.name.as_str(), out);
    }
    out.push_str("],\"values\":[[");
    json::time(point.time, out);
    for column in &columns {
        out.push(',');
        json::value(&column.value, out)?;
    }
    out.push_str("]]}");
    Ok(())
}

/// The same of a batch: columns are the fields of the first point and those of its tags that are not the group's. A name
/// that is both stands there twice, with the field's value.
pub fn of_batch(batch: &Batch<'_>, out: &mut String) -> Result<(), Unsupported> {
    head(batch.name, &batch.group.tags, out);
    let Some(first) = batch.rows.get(0) else {
        out.push('}');
        return Ok(());
    };
    let mut columns: Vec<Name> = first.fields().iter().map(|field| field.name).collect();
    columns.extend(first.tags().iter().map(|(key, _)| *key).filter(|key| batch.group.tags.get(*key).is_none()));
    columns.sort();
    separate(out);
    out.push_str("\"columns\":[\"time\"");
    for column in &columns {
        out.push(',');
        json::string(column.as_str(), out);
    }
    out.push_str("],\"values\":[");
    for (index, row) in batch.rows.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        cells(row, &columns, out)?;
    }
    out.push_str("]}");
    Ok(())
}

/// `{"series":[ROW]}` around a row.
pub fn series(row: &str) -> String {
    format!("{{\"series\":[{row}]}}")
}

fn cells(row: RowRef<'_>, columns: &[Name], out: &mut String) -> Result<(), Unsupported> {
    out.push('[');
    json::time(row.time(), out);
    let fields = row.fields();
    for column in columns {
        out.push(',');
        match (field(&fields, *column), row.tags().get(*column)) {
            (Some(value), _) => json::value(value, out)?,
            (None, Some(tag)) => json::string(tag, out),
            (None, None) => out.push_str("null"),
        }
    }
    out.push(']');
    Ok(())
}

fn head(name: Name, tags: &TagSet, out: &mut String) {
    out.push('{');
    if !name.is_empty() {
        out.push_str("\"name\":");
        json::string(name.as_str(), out);
    }
    if !tags.is_empty() {
        separate(out);
        out.push_str("\"tags\":{");
        for (index, (key, value)) in tags.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            json::string(key.as_str(), out);
            out.push(':');
            json::string(value, out);
        }
        out.push('}');
    }
}

/// A comma, unless the object has no member yet.
fn separate(out: &mut String) {
    if !out.ends_with('{') {
        out.push(',');
    }
}
