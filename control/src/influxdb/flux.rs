//! Flux queries to InfluxDB 2 and their annotated CSV (reference: batch-and-replay §9).
//!
//! A batch a table: name from `_measurement`, tags from the columns of the group key, fields from all other columns.

use std::collections::BTreeMap;

use dataplane::{json, rfc3339};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FluxError {
    #[error("flux query error: {0}")]
    Server(String),
    #[error("the answer to a flux query cannot be read: {0}")]
    Csv(String),
}

/// Path and body of a query. `now` is nanoseconds since 1970.
pub fn request(script: &str, org: &str, org_id: &str, now: i64) -> (String, String) {
    let parameter = |name: &str, value: &str| {
        (!value.is_empty()).then(|| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
    };
    let parameters: Vec<String> = [parameter("org", org), parameter("orgID", org_id)].into_iter().flatten().collect();
    let mut time = String::new();
    json::rfc3339(now, &mut time);
    let body = json!({
        "type": "flux",
        "now": time,
        "query": script,
        "dialect": { "annotations": ["datatype", "default", "group"], "delimiter": ",", "header": true },
    });
    (format!("/api/v2/query?{}", parameters.join("&")), body.to_string())
}

/// The columns of the present tables.
#[derive(Default)]
struct Head {
    types: Vec<String>,
    grouped: Vec<bool>,
    defaults: Vec<String>,
    names: Vec<String>,
}

/// A table on its way to a line.
#[derive(Default)]
struct Table {
    key: Option<String>,
    name: String,
    tags: BTreeMap<String, String>,
    /// Time, and the fields as JSON.
    rows: Vec<(i64, String)>,
}

/// Appends a line for each table; returns how many. A table without times has the time of the tick.
pub fn batches(body: &[u8], tick: i64, out: &mut Vec<u8>) -> Result<u64, FluxError> {
    let text = std::str::from_utf8(body).map_err(|error| FluxError::Csv(error.to_string()))?;
    let (mut head, mut table, mut count) = (Head::default(), Table::default(), 0);
    for record in records(text) {
        let first = record.first().map_or("", String::as_str);
        match first {
            _ if record.iter().all(String::is_empty) => {
                count += table.finish(tick, out);
                head = Head::default();
            }
            "#datatype" | "#group" | "#default" => {
                if !head.names.is_empty() {
                    count += table.finish(tick, out);
                    head = Head::default();
                }
                match first {
                    "#datatype" => head.types = record,
                    "#group" => head.grouped = record.iter().map(|word| word == "true").collect(),
                    _ => head.defaults = record,
                }
            }
            _ if head.names.is_empty() => head.names = record,
            _ => {
                if head.names.iter().any(|name| name == "error") && head.names.len() <= 4 {
                    let at = head.names.iter().position(|name| name == "error");
                    let text = at.and_then(|at| record.get(at)).cloned().unwrap_or_default();
                    return Err(FluxError::Server(text));
                }
                count += table.row(&head, &record, tick, out)?;
            }
        }
    }
    count += table.finish(tick, out);
    Ok(count)
}

impl Table {
    /// Takes a row; returns 1 if it begins another table, whose predecessor is written.
    fn row(&mut self, head: &Head, record: &[String], tick: i64, out: &mut Vec<u8>) -> Result<u64, FluxError> {
        let cell = |at: usize| -> &str {
            match record.get(at).map(String::as_str) {
                None | Some("") => head.defaults.get(at).map_or("", String::as_str),
                Some(text) => text,
            }
        };
        let mut key = String::new();
        let (mut name, mut tags, mut fields, mut time) = (String::new(), BTreeMap::new(), BTreeMap::new(), None);
        for (at, column) in head.names.iter().enumerate() {
            let (value, kind) = (cell(at), head.types.get(at).map_or("string", String::as_str));
            let grouped = head.grouped.get(at).copied().unwrap_or(false);
            match column.as_str() {
                "" | "result" => {}
                "table" => value.clone_into(&mut key),
                "_measurement" => value.clone_into(&mut name),
                "_start" | "_stop" if grouped => {}
                "_time" => {
                    let parsed = rfc3339::parse(value);
                    time = Some(parsed.ok_or_else(|| FluxError::Csv(format!("unexpected time format: {value}")))?);
                }
                column if grouped => {
                    tags.insert(column.to_owned(), value.to_owned());
                }
                column => {
                    if let Some(value) = field(kind, value)? {
                        fields.insert(column.to_owned(), value);
                    }
                }
            }
        }
        let mut written = 0;
        if self.key.as_ref() != Some(&key) {
            written = self.finish(tick, out);
            *self = Table { key: Some(key), name, tags, rows: Vec::new() };
        }
        let mut text = String::from("{");
        for (index, (column, value)) in fields.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            json::string(column, &mut text);
            text.push(':');
            text.push_str(value);
        }
        text.push('}');
        self.rows.push((time.unwrap_or(tick), text));
        Ok(written)
    }

    fn finish(&mut self, tick: i64, out: &mut Vec<u8>) -> u64 {
        let table = std::mem::take(self);
        if table.key.is_none() {
            return 0;
        }
        let mut line = String::from("{\"name\":");
        json::string(&table.name, &mut line);
        line.push_str(",\"tmax\":");
        json::time(table.rows.iter().map(|(time, _)| *time).max().unwrap_or(tick), &mut line);
        let mut tags = String::from("null");
        if !table.tags.is_empty() {
            tags = serde_json::to_string(&table.tags).unwrap_or_default();
            line.push_str(",\"tags\":");
            line.push_str(&tags);
        }
        line.push_str(",\"points\":[");
        for (index, (time, fields)) in table.rows.iter().enumerate() {
            line.push_str(if index > 0 { ",{\"fields\":" } else { "{\"fields\":" });
            line.push_str(fields);
            line.push_str(",\"tags\":");
            line.push_str(&tags);
            line.push_str(",\"time\":");
            json::time(*time, &mut line);
            line.push('}');
        }
        line.push_str("]}\n");
        out.extend_from_slice(line.as_bytes());
        1
    }
}

/// A cell as JSON; `None` if it is empty.
fn field(kind: &str, value: &str) -> Result<Option<String>, FluxError> {
    if value.is_empty() && kind != "string" {
        return Ok(None);
    }
    let wrong = || FluxError::Csv(format!("{value:?} is no {kind}"));
    Ok(Some(match kind {
        "long" | "unsignedLong" => value.parse::<i128>().map_err(|_| wrong())?.to_string(),
        "double" => {
            let mut text = String::new();
            match json::float(value.parse().map_err(|_| wrong())?, &mut text) {
                Ok(()) => text,
                // JSON has no NaN and no infinity.
                Err(_) => return Ok(None),
            }
        }
        "boolean" => value.parse::<bool>().map_err(|_| wrong())?.to_string(),
        _ => {
            let mut text = String::new();
            json::string(value, &mut text);
            text
        }
    }))
}

/// Records of CSV: quoted cells may hold commas, quotes (doubled) and newlines. An empty line is an empty record.
fn records(text: &str) -> Vec<Vec<String>> {
    let mut records = Vec::new();
    let (mut record, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => record.push(std::mem::take(&mut cell)),
            '\r' if !quoted => {}
            '\n' if !quoted => {
                record.push(std::mem::take(&mut cell));
                records.push(std::mem::take(&mut record));
            }
            c => cell.push(c),
        }
    }
    if !cell.is_empty() || !record.is_empty() {
        record.push(cell);
        records.push(record);
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_the_organization_and_the_time() {
        let (path, body) = request("from(bucket: \"b\")", "my org", "", 1_600_000_000_000_000_000);
        assert_eq!(path, "/api/v2/query?org=my%20org");
        assert!(body.contains("\"now\":\"2020-09-13T12:26:40Z\"") && body.contains("\"annotations\""), "{body}");
    }

    #[test]
    fn tables_become_batches() {
        let csv = "#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,string,string,double,long,boolean\r\n\
            #group,false,false,true,true,false,true,true,false,false,false\r\n\
            #default,_result,,,,,,,,,\r\n\
            ,result,table,_start,_stop,_time,_measurement,host,usage,n,up\r\n\
            ,,0,2020-09-13T12:00:00Z,2020-09-13T13:00:00Z,2020-09-13T12:26:40Z,cpu,a,1.5,3,true\r\n\
            ,,0,2020-09-13T12:00:00Z,2020-09-13T13:00:00Z,2020-09-13T12:26:50Z,cpu,a,2,,false\r\n\
            ,,1,2020-09-13T12:00:00Z,2020-09-13T13:00:00Z,2020-09-13T12:26:40Z,cpu,\"b,\"\"c\",7,4,true\r\n\r\n";
        let mut out = Vec::new();
        assert_eq!(batches(csv.as_bytes(), 0, &mut out), Ok(2));
        let text = String::from_utf8(out).unwrap();
        let mut lines = text.lines();
        assert_eq!(
            lines.next().unwrap(),
            "{\"name\":\"cpu\",\"tmax\":\"2020-09-13T12:26:50Z\",\"tags\":{\"host\":\"a\"},\"points\":[\
             {\"fields\":{\"n\":3,\"up\":true,\"usage\":1.5},\"tags\":{\"host\":\"a\"},\"time\":\"2020-09-13T12:26:40Z\"},\
             {\"fields\":{\"up\":false,\"usage\":2},\"tags\":{\"host\":\"a\"},\"time\":\"2020-09-13T12:26:50Z\"}]}"
        );
        assert!(lines.next().unwrap().contains("\"host\":\"b,\\\"c\""));
    }

    #[test]
    fn an_error_table_is_an_error() {
        let csv = "#datatype,string,string\n#group,true,true\n#default,,\n,error,reference\n,bucket not found,897\n";
        assert_eq!(batches(csv.as_bytes(), 0, &mut Vec::new()), Err(FluxError::Server("bucket not found".into())));
    }
}
