//! Answers to InfluxQL queries as lines of a batch recording (reference: batch-and-replay §5, http-api §16).
//!
//! Values pass through as they are written: InfluxDB escapes strings as recordings do, and numbers keep their digits. Rows
//! are read one by one, so that a large answer needs its own memory and that of its lines.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use dataplane::{json, rfc3339};
use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, SeqAccess, Visitor},
};
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
    values: Option<&'a RawValue>,
}

impl<'a> Series<'a> {
    /// Calls `visit` with the cells of each row, in order; stops at the first error.
    pub fn each_row(&self, visit: impl FnMut(&[&'a RawValue]) -> Result<(), ResultError>) -> Result<(), ResultError> {
        let Some(values) = self.values.filter(|values| values.get() != "null") else { return Ok(()) };
        let mut rows = Rows { visit, cells: Vec::new(), failure: None };
        let read = (&mut rows).deserialize(&mut serde_json::Deserializer::from_str(values.get()));
        match rows.failure {
            Some(failure) => Err(failure),
            None => Ok(read?),
        }
    }
}

/// Reads rows without keeping them.
struct Rows<'a, F> {
    visit: F,
    /// Of the row at hand.
    cells: Vec<&'a RawValue>,
    /// What `visit` said; the reader's own errors have no room for it.
    failure: Option<ResultError>,
}

impl<'a, F: FnMut(&[&'a RawValue]) -> Result<(), ResultError>> DeserializeSeed<'a> for &mut Rows<'a, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'a, F: FnMut(&[&'a RawValue]) -> Result<(), ResultError>> Visitor<'a> for &mut Rows<'a, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rows")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut rows: A) -> Result<(), A::Error> {
        while rows.next_element_seed(Row(&mut self.cells))?.is_some() {
            if let Err(failure) = (self.visit)(&self.cells) {
                self.failure = Some(failure);
                return Err(serde::de::Error::custom("a row cannot be read"));
            }
        }
        Ok(())
    }
}

/// Reads one row into the cells of the last.
struct Row<'a, 'c>(&'c mut Vec<&'a RawValue>);

impl<'a> DeserializeSeed<'a> for Row<'a, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'a> Visitor<'a> for Row<'a, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut cells: A) -> Result<(), A::Error> {
        self.0.clear();
        while let Some(cell) = cells.next_element()? {
            self.0.push(cell);
        }
        Ok(())
    }
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
        batch(series, manner, out)?;
    }
    Ok(all.len() as u64)
}

fn batch(series: &Series<'_>, manner: Manner, out: &mut Vec<u8>) -> Result<(), ResultError> {
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
    let mut head = String::from("{\"name\":");
    json::string(&series.name, &mut head);
    head.push_str(",\"tmax\":");
    // It is known when the rows have been seen, and put in here.
    let time_at = out.len() + head.len();
    let group = group(series, manner.by_name);
    if !group.is_empty() {
        head.push_str(",\"group\":");
        json::string(&group, &mut head);
    }
    if manner.by_name {
        head.push_str(",\"byname\":true");
    }
    if !series.tags.is_empty() {
        head.push_str(",\"tags\":");
        head.push_str(&tags);
    }
    out.extend_from_slice(head.as_bytes());
    let point_tags = if series.tags.is_empty() { "null" } else { &tags };
    let (mut latest, mut point): (Option<i64>, String) = (None, String::new());
    series.each_row(|row| {
        point.clear();
        point.push_str(if latest.is_none() { ",\"points\":[{\"fields\":{" } else { ",{\"fields\":{" });
        let mut any = false;
        for (index, key) in &columns {
            let Some(value) = row.get(*index).map(|value| value.get()).filter(|value| *value != "null") else {
                continue;
            };
            if any {
                point.push(',');
            }
            any = true;
            point.push_str(key);
            point.push(':');
            point.push_str(value);
        }
        if !any {
            return Ok(());
        }
        let time = match time_column.and_then(|index| row.get(index)) {
            Some(value) => time_of(value.get())?,
            None => rfc3339::ZERO_TIME,
        };
        latest = Some(latest.map_or(time, |latest| latest.max(time)));
        point.push_str("},\"tags\":");
        point.push_str(point_tags);
        point.push_str(",\"time\":");
        json::time(time, &mut point);
        point.push('}');
        out.extend_from_slice(point.as_bytes());
        Ok(())
    })?;
    out.extend_from_slice(if latest.is_some() { b"]}\n" } else { b"}\n" });
    let time = match manner.time {
        BatchTime::Stop(stop) => stop,
        BatchTime::Last(otherwise) => latest.unwrap_or(otherwise),
    };
    let mut text = String::new();
    json::time(time, &mut text);
    out.splice(time_at..time_at, text.into_bytes());
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
        let odd = r#"{"results":[{"series":[{"name":"m","values":[["2020-09-13T12:26:40Z",1]],"columns":["time","v"]},
            {"name":"n","columns":["time","v"],"values":null}]}]}"#;
        let odd = lines(odd, false, STOP).unwrap();
        assert!(
            odd.contains("\"fields\":{\"v\":1}")
                && odd.ends_with("{\"name\":\"n\",\"tmax\":\"2020-09-13T12:26:50Z\"}\n"),
            "{odd}"
        );
        assert!(lines(r#"{"results":[{"series":[{"name":"m","columns":["v"],"values":[1]}]}]}"#, false, STOP).is_err());
    }
}
