//! `sideload`: fields and tags from files, by the tags of a point (reference: nodes-alert-join-io §7.3).
//!
//! The files come with the plan, and again when they are to be read anew. What a set of tags leads to is worked out once and remembered.

use std::rc::Rc;

use gotmpl::Value as TemplateValue;
use hashbrown::HashMap;
use proto::plan::{self, SideloadFile, SideloadValue};

use super::{Fault, Operator, Outlet, StartError, rewrite};
use crate::{
    name::{Name, TooManyNames},
    point::{Batch, Point, Row, Rows, SeriesNumber},
    tags::TagSet,
    value::{Field, Value, parse_bool, set_field},
};

/// Sets of tags that are remembered. Full: forgotten, and worked out anew.
const REMEMBERED_MAX: usize = 100_000;

pub struct Sideload {
    order: Vec<gotmpl::Template>,
    files: HashMap<String, HashMap<String, SideloadValue>>,
    fields: Vec<(Name, Value)>,
    tags: Vec<(Name, Rc<str>)>,
    remembered: HashMap<Rc<TagSet>, Rc<Loaded>, ahash::RandomState>,
    scratch: Vec<Field>,
    rows: Vec<Row>,
}

/// What a set of tags leads to.
struct Loaded {
    fields: Vec<(Name, Value)>,
    /// The tags with those that were loaded.
    tags: Rc<TagSet>,
    /// What of the files has the wrong type: an error of every point.
    mistakes: Vec<(&'static str, String)>,
}

impl Sideload {
    pub fn new(plan: &plan::Sideload) -> Result<Sideload, StartError> {
        let template = |source: &String| gotmpl::Template::new("order").parse(source).map_err(StartError::new);
        // A later default of the same name replaces an earlier one.
        let mut fields: Vec<(Name, Value)> = Vec::new();
        for (key, default) in &plan.fields {
            let key = Name::new(key).map_err(StartError::new)?;
            fields.retain(|(known, _)| *known != key);
            fields.push((key, default.into()));
        }
        let tag = |(key, default): &(String, String)| Ok((Name::new(key)?, Rc::from(default.as_str())));
        let tags = plan.tags.iter().map(tag).collect::<Result<_, TooManyNames>>();
        Ok(Sideload {
            order: plan.order.iter().map(template).collect::<Result<_, _>>()?,
            files: by_path(&plan.files),
            fields,
            tags: tags.map_err(StartError::new)?,
            remembered: HashMap::default(),
            scratch: Vec::new(),
            rows: Vec::new(),
        })
    }

    fn load(&mut self, tags: &Rc<TagSet>, out: &mut Outlet<'_>) -> Result<Rc<Loaded>, Fault> {
        let loaded = match self.remembered.get(tags) {
            Some(loaded) => loaded.clone(),
            None => self.find(tags)?,
        };
        for (what, mistake) in &loaded.mistakes {
            out.error(what, mistake);
        }
        Ok(loaded)
    }

    /// Works out what a set of tags leads to, and remembers it.
    fn find(&mut self, tags: &Rc<TagSet>) -> Result<Rc<Loaded>, Fault> {
        let text = |value: &str| TemplateValue::String(value.into());
        let data = tags.iter().map(|(key, value)| (std::sync::Arc::from(key.as_str()), text(value))).collect();
        let data = TemplateValue::Map(std::sync::Arc::new(data));
        let mut paths = Vec::with_capacity(self.order.len());
        for template in &self.order {
            let mut path = String::new();
            template.execute_fmt(&mut path, &data).map_err(|error| Fault::new(error.to_string()))?;
            paths.push(path);
        }
        let find = |key: &str| {
            let found = paths.iter().find_map(|path| self.files.get(path)?.get(key));
            found.filter(|found| **found != SideloadValue::Null)
        };
        let mut mistakes = Vec::new();
        let mut fields = Vec::with_capacity(self.fields.len());
        for (key, default) in &self.fields {
            let value = find(key.as_str()).map(|found| {
                converted(found, default).unwrap_or_else(|| {
                    mistakes.push(("cannot load a field", format!("{key} is no {}", default.type_name())));
                    default.clone()
                })
            });
            fields.push((*key, value.unwrap_or_else(|| default.clone())));
        }
        let mut all = TagSet::clone(tags);
        for (key, default) in &self.tags {
            let value = find(key.as_str()).map(|found| {
                scalar_text(found).map(Rc::from).unwrap_or_else(|| {
                    mistakes.push(("cannot load a tag", format!("{key} is no scalar")));
                    default.clone()
                })
            });
            all = all.with(*key, value.unwrap_or_else(|| default.clone()));
        }
        let loaded = Rc::new(Loaded { fields, tags: Rc::new(all), mistakes });
        if self.remembered.len() >= REMEMBERED_MAX {
            self.remembered.clear();
        }
        self.remembered.insert(tags.clone(), loaded.clone());
        Ok(loaded)
    }

    /// The fields with those that were loaded, in the scratch.
    fn merge(&mut self, fields: &[Field], loaded: &Loaded) {
        self.scratch.clear();
        self.scratch.extend_from_slice(fields);
        for (key, value) in &loaded.fields {
            set_field(&mut self.scratch, *key, value.clone());
        }
    }
}

fn by_path(files: &[SideloadFile]) -> HashMap<String, HashMap<String, SideloadValue>> {
    files.iter().map(|file| (file.path.clone(), file.values.iter().cloned().collect())).collect()
}

/// A value as the default's type; `None` where it is not one.
fn converted(found: &SideloadValue, default: &Value) -> Option<Value> {
    match (default, found) {
        (Value::Float(_), SideloadValue::Number(x)) => Some(Value::Float(*x)),
        (Value::Float(_), SideloadValue::Text(text)) => text.parse().ok().map(Value::Float),
        // A number of a file is a float; only a whole one is an integer.
        (Value::Int(_), SideloadValue::Number(x)) if x.fract() == 0.0 && x.abs() < 9.3e18 => {
            Some(Value::Int(*x as i64))
        }
        (Value::Int(_), SideloadValue::Text(text)) => text.parse().ok().map(Value::Int),
        (Value::Bool(_), SideloadValue::Bool(x)) => Some(Value::Bool(*x)),
        (Value::Bool(_), SideloadValue::Text(text)) => parse_bool(text).map(Value::Bool),
        (Value::String(_), found) => scalar_text(found).map(|text| Value::String(text.into())),
        _ => None,
    }
}

fn scalar_text(found: &SideloadValue) -> Option<String> {
    match found {
        SideloadValue::Text(text) => Some(text.clone()),
        SideloadValue::Number(x) => Some(x.to_string()),
        SideloadValue::Bool(x) => Some(x.to_string()),
        SideloadValue::Null | SideloadValue::Other => None,
    }
}

impl Operator for Sideload {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let loaded = self.load(point.tags, out)?;
        self.merge(point.fields.all(), &loaded);
        let tags = &loaded.tags;
        let Some(group) = rewrite::regroup(point.group, tags, point.name, out) else {
            return Ok(());
        };
        let series = if self.tags.is_empty() { point.series } else { SeriesNumber::NONE };
        out.point(&Point { tags, group: &group, fields: (&self.scratch).into(), series, ..*point })
    }

    fn sideload(&mut self, files: &[SideloadFile]) {
        self.files = by_path(files);
        self.remembered.clear();
    }

    /// The begin of a batch stays as it is.
    fn batch(&mut self, _port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let mut rows = std::mem::take(&mut self.rows);
        rows.clear();
        for row in batch.rows.iter() {
            let loaded = self.load(row.tags(), out)?;
            self.merge(&row.fields(), &loaded);
            rows.push(Row::new(row.time(), loaded.tags.clone(), &self.scratch));
        }
        let done = out.batch(&Batch { rows: Rows::new(&rows), ..*batch });
        self.rows = rows;
        done
    }
}

#[cfg(test)]
mod tests {
    use proto::plan::{EdgeType, NodeKind, SideloadFile};

    use super::*;
    use crate::node::testing::{Bench, from, log};

    fn file(path: &str, values: &[(&str, SideloadValue)]) -> SideloadFile {
        let values = values.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        SideloadFile { path: path.into(), values }
    }

    #[test]
    fn the_first_file_that_has_the_key_counts_and_values_take_the_defaults_type() {
        let text = |text: &str| SideloadValue::Text(text.into());
        let plan = plan::Sideload {
            order: vec!["host/{{.host}}.yml".into(), "default.yml".into()],
            files: vec![
                file("host/a.yml", &[("n", SideloadValue::Number(3.0)), ("f", text("0.5")), ("rack", text("r1"))]),
                file("default.yml", &[("n", SideloadValue::Number(1.5)), ("b", text("true"))]),
            ],
            fields: vec![
                ("n".into(), proto::Value::Int(9)),
                ("f".into(), proto::Value::Float(0.0)),
                ("b".into(), proto::Value::Bool(false)),
            ],
            tags: vec![("rack".into(), "none".into())],
        };
        let mut bench = Bench::new(vec![
            (vec![0], EdgeType::Stream, from("", &["rack"])),
            (vec![1], EdgeType::Stream, NodeKind::Sideload(plan)),
            (vec![2], EdgeType::Stream, log()),
        ]);
        bench.point("m", "host=a", 1, Value::Int(1), 0).point("m", "", 2, Value::Int(2), 0);
        // A loaded tag that is a dimension moves the point; 1.5 is no integer.
        assert_eq!(bench.out(), ["1 rack=r1 b=true f=0.5 n=3 v=1", "2 rack=none b=true f=0 n=9 v=2"]);
        assert_eq!(bench.task.statistics()[2].errors, 1);
        bench.task.sideload("n2", &[file("host/a.yml", &[("n", SideloadValue::Number(4.0))])]);
        bench.point("m", "host=a", 3, Value::Int(3), 0);
        assert_eq!(bench.out()[2], "3 rack=none b=false f=0 n=4 v=3");
    }

    #[test]
    fn a_null_is_the_default_whatever_later_files_say_and_texts_are_bools_as_go_reads_them() {
        let text = |text: &str| SideloadValue::Text(text.into());
        let plan = plan::Sideload {
            order: vec!["a".into(), "b".into()],
            files: vec![
                file("a", &[("n", SideloadValue::Null), ("t", text("T")), ("w", text("yes"))]),
                file("b", &[("n", SideloadValue::Number(3.0)), ("m", SideloadValue::Number(4.0))]),
            ],
            fields: ["m", "n"]
                .map(|key| (key.to_owned(), proto::Value::Int(9)))
                .into_iter()
                .chain(["t", "w"].map(|key| (key.to_owned(), proto::Value::Bool(false))))
                .collect(),
            tags: vec![],
        };
        let mut bench = Bench::new(vec![
            (vec![0], EdgeType::Stream, from("", &[])),
            (vec![1], EdgeType::Stream, NodeKind::Sideload(plan)),
            (vec![2], EdgeType::Stream, log()),
        ]);
        bench.point("m", "", 1, Value::Int(1), 0);
        assert_eq!(bench.out(), ["1  m=4 n=9 t=true v=1 w=false"]);
        assert_eq!(bench.task.statistics()[2].errors, 1);
        // What is remembered is an error of each point all the same.
        bench.point("m", "", 2, Value::Int(1), 0);
        assert_eq!(bench.task.statistics()[2].errors, 2);
    }
}
