//! What a list query asks for, and the elements that answer it (reference: http-api §10).

use dataplane::http::Query;
use serde_json::{Map, Value};

use crate::task::Page;

/// Page and fields of a list.
pub struct Listing {
    pub page: Page,
    /// Sorted by name; an element has no others.
    fields: Vec<String>,
    known: &'static [&'static str],
}

impl Listing {
    /// Reads `pattern`, `offset`, `limit` and `fields`. Without fields an element has those of `shown`; `id` and `link`
    /// are always there. `known` are those that may be asked for.
    pub fn read(
        query: Query<'_>,
        shown: &'static [&'static str],
        known: &'static [&'static str],
    ) -> Result<Listing, String> {
        let parameter = |name| query.get(name).unwrap_or_default();
        let page = Page::new(&parameter("pattern"), &parameter("offset"), &parameter("limit"));
        let page = page.map_err(|error| error.to_string())?;
        let asked = query.pairs().filter(|(key, _)| key == "fields");
        let mut fields: Vec<String> = asked.map(|(_, value)| value.into_owned()).collect();
        match fields.is_empty() {
            true => fields.extend(shown.iter().map(|field| (*field).to_owned())),
            false => fields.extend(["id".to_owned(), "link".to_owned()]),
        }
        fields.sort();
        fields.dedup();
        Ok(Listing { page, fields, known })
    }

    pub fn shows(&self, field: &str) -> bool {
        self.fields.iter().any(|shown| shown == field)
    }

    /// The part of an object that is asked for. A field that does not exist is an error.
    pub fn element(&self, object: &Map<String, Value>) -> Result<Value, String> {
        let mut element = Map::new();
        for field in &self.fields {
            match object.get(field) {
                Some(value) if self.known.contains(&field.as_str()) => element.insert(field.clone(), value.clone()),
                _ => return Err(format!("unsupported field {field:?}")),
            };
        }
        Ok(Value::Object(element))
    }
}

/// Whether scripts are shown as they were given: the parameter `script-format`.
pub fn raw_script(query: Query<'_>) -> Result<bool, String> {
    match query.get("script-format").unwrap_or_default().as_ref() {
        "" | "formatted" => Ok(false),
        "raw" => Ok(true),
        other => Err(format!("invalid script-format parameter {other:?}")),
    }
}
