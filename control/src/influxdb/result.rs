//! Answers to InfluxQL queries as lines of a batch recording (reference: batch-and-replay §5, http-api §16).
//!
//! Values pass through as they are written: InfluxDB escapes strings as recordings do, and numbers keep their digits.

use std::{borrow::Cow, collections::BTreeMap};

use dataplane::{json, rfc3339};
use serde::Deserialize;
use serde_json::value::RawValue;

/// How batches are made of series.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    pub by_name: bool,
    /// Time of batches: the window's stop, or the largest time of their points if there are any.
    pub time: BatchTime,
}

#[derive(Clone, Copy, Debug)]
pub enum BatchTime {
    Stop(i64),
    /// The largest of the points; without points this.
    Last(i64),
}

#[derive(Debug, thiserror::Error)]
pub enum ResultError {
    #[error("{0}")]
    Server(String),
    #[error("the answer of InfluxDB cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    #[error("unexpected time value: {0}")]
    TimeValue(String),
    #[error("unexpected time format: {0}")]
    TimeFormat(String),
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    results: Vec<One<'a>>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct One<'a> {
    #[serde(borrow, default)]
    series: Vec<Series<'a>>,
    error: Option<String>,
}

/// A series of an answer.
#[derive(Deserialize)]
pub struct Series<'a> {
    #[serde(borrow, default)]
    pub name: Cow<'a, str>,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    pub columns: Vec<String>,
    #[serde(borrow, default)]
    pub values: Vec<Vec<&'a RawValue>>,
}

/// The series of an answer, in its order.
pub fn series(body: &[u8]) -> Result<Vec<Series<'_>>, ResultError> {
    let answer: Answer<'_> = serde_json::from_slice(body)?;
    if let Some(error) = answer.error {
        return Err(ResultError::Server(error));
    }
    let mut all = Vec::new();
    for result in answer.results {
        if let Some(error) = result.error {
            return Err(ResultError::Server(error));
        }
        all.extend(result.series);
    }
    Ok(all)
}

/// Appends a line for each series of an answer; returns how many batches that are.
pub fn batches(body: &[u8], manner: Manner, out: &mut Vec<u8>) -> Result<u64, ResultError> {
    let all = series(body)?;
    for series in &all {
        let mut line = String::new();
        batch(series, manner, &mut line)?;
        out.extend_from_slice(line.as_bytes());
    }
    Ok(all.len() as u64)
}

fn batch(series: &Series<'_>, manner: Manner, out: &mut String) -> Result<(), ResultError> {
    let time_column = series.columns.iter().position(|column| column == "time");
    let mut columns: Vec<(usize, String)> = Vec::new();
    for (index, column) in series.columns.iter().enumerate().filter(|(index, _)| Some(*index) != time_column) {
        let mut key = String::new();
        json::string(column, &mut key);
        columns.push((index, key));
    }
    columns.sort_by(|(one, _), (other, _)| series.columns.get(*one).cmp(&series.columns.get(*other)));
    let mut tags = String::new();
    tag_object(&series.tags, &mut tags);
    let mut points = String::with_capacity(series.values.len() * 96);
    let mut latest: Option<i64> = None;
    for row in &series.values {
        let start = points.len();
        points.push_str(if start == 0 { "{\"fields\":{" } else { ",{\"fields\":{" });
        let mut any = false;
        for (index, key) in &columns {
            let Some(value) = row.get(*index).map(|value| value.get()).filter(|value| *value != "null") else {
                continue;
            };
            if any {
                points.push(',');
            }
            any = true;
            points.push_str(key);
            points.push(':');
            points.push_str(value);
        }
        if !any {
            points.truncate(start);
            continue;
        }
        let time = match time_column.and_then(|index| row.get(index)) {
            Some(value) => time_of(value.get())?,
            None => rfc3339::ZERO_TIME,
        };
        latest = Some(latest.map_or(time, |latest| latest.max(time)));
        points.push_str("},\"tags\":");
        points.push_str(if series.tags.is_empty() { "null" } else { &tags });
        points.push_str(",\"time\":");
        json::time(time, &mut points);
        points.push('}');
    }
    let time = match manner.time {
        BatchTime::Stop(stop) => stop,
        BatchTime::Last(otherwise) => latest.unwrap_or(otherwise),
    };
    out.push_str("{\"name\":");
    json::string(&series.name, out);
    out.push_str(",\"tmax\":");
    json::time(time, out);
    let group = group(series, manner.by_name);
    if !group.is_empty() {
        out.push_str(",\"group\":");
        json::string(&group, out);
    }
    if manner.by_name {
        out.push_str(",\"byname\":true");
    }
    if !series.tags.is_empty() {
        out.push_str(",\"tags\":");
        out.push_str(&tags);
    }
    if !points.is_empty() {
        out.push_str(",\"points\":[");
        out.push_str(&points);
        out.push(']');
    }
    out.push_str("}\n");
    Ok(())
}

fn tag_object(tags: &BTreeMap<String, String>, out: &mut String) {
    out.push('{');
    for (index, (key, value)) in tags.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        json::string(key, out);
        out.push(':');
        json::string(value, out);
    }
    out.push('}');
}

fn group(series: &Series<'_>, by_name: bool) -> String {
    let tags: Vec<String> = series.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    match (by_name, tags.is_empty()) {
        (true, true) => series.name.clone().into_owned(),
        (true, false) => format!("{}\n{}", series.name, tags.join(",")),
        (false, _) => tags.join(","),
    }
}

/// The time of a row, as JSON.
pub fn time_of(value: &str) -> Result<i64, ResultError> {
    let text = value.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let text = text.ok_or_else(|| ResultError::TimeValue(value.to_owned()))?;
    rfc3339::parse(text).ok_or_else(|| ResultError::TimeFormat(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(body: &str, by_name: bool, time: BatchTime) -> Result<String, ResultError> {
        let mut out = Vec::new();
        batches(body.as_bytes(), Manner { by_name, time }, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    const STOP: BatchTime = BatchTime::Stop(1_600_000_010_000_000_000);

    #[test]
    fn a_series_is_the_line_of_the_reference() {
        let body = r#"{"results":[{"statement_id":0,"series":[{"name":"cpu","tags":{"host":"a"},"columns":["time","g","f"],
            "values":[["2020-09-13T14:26:40+02:00","\u003cx",0.5],["2020-09-13T12:26:41Z",null,null],["2020-09-13T12:26:42Z",null,1e-7]]},
            {"name":"mem","columns":["time","f"],"values":[]}]}]}"#;
        assert_eq!(
            lines(body, false, STOP).unwrap(),
            "{\"name\":\"cpu\",\"tmax\":\"2020-09-13T12:26:50Z\",\"group\":\"host=a\",\"tags\":{\"host\":\"a\"},\"points\":[\
             {\"fields\":{\"f\":0.5,\"g\":\"\\u003cx\"},\"tags\":{\"host\":\"a\"},\"time\":\"2020-09-13T12:26:40Z\"},\
             {\"fields\":{\"f\":1e-7},\"tags\":{\"host\":\"a\"},\"time\":\"2020-09-13T12:26:42Z\"}]}\n\
             {\"name\":\"mem\",\"tmax\":\"2020-09-13T12:26:50Z\"}\n"
        );
        let by_name = lines(body, true, BatchTime::Last(rfc3339::ZERO_TIME)).unwrap();
        assert!(by_name.starts_with(
            "{\"name\":\"cpu\",\"tmax\":\"2020-09-13T12:26:42Z\",\"group\":\"cpu\\nhost=a\",\"byname\":true,"
        ));
        assert!(
            by_name
                .ends_with("{\"name\":\"mem\",\"tmax\":\"0001-01-01T00:00:00Z\",\"group\":\"mem\",\"byname\":true}\n")
        );
    }

    #[test]
    fn errors_of_the_answer_are_errors() {
        assert_eq!(lines(r#"{"error":"x %d"}"#, false, STOP).unwrap_err().to_string(), "x %d");
        assert_eq!(lines(r#"{"results":[{},{"error":"y"}]}"#, false, STOP).unwrap_err().to_string(), "y");
        assert!(lines("<html>", false, STOP).is_err());
        let time = |time: &str| {
            let body = format!(
                r#"{{"results":[{{"series":[{{"name":"m","columns":["time","v"],"values":[[{time},1]]}}]}}]}}"#
            );
            lines(&body, false, STOP).unwrap_err().to_string()
        };
        assert_eq!(time("1600000000"), "unexpected time value: 1600000000");
        assert_eq!(time("\"soon\""), "unexpected time format: soon");
        assert_eq!(lines(r#"{"results":[{}]}"#, false, STOP).unwrap(), "");
    }
}
