//! What a list query asks for, and the elements that answer it (reference: http-api §10).

use dataplane::http::Query;
use serde_json::{Map, Value};

use crate::task::Page;

/// The fields of a kind of list.
pub struct Fields {
    /// In every element.
    pub always: &'static [&'static str],
    /// Where the query names none.
    pub shown: &'static [&'static str],
    /// Only where the query names them.
    pub asked: &'static [&'static str],
}

impl Fields {
    fn know(&self, field: &str) -> bool {
        [self.always, self.shown, self.asked].iter().any(|fields| fields.contains(&field))
    }
}

/// Page and fields of a list.
pub struct Listing {
    pub page: Page,
    /// Sorted by name; an element has no others.
    fields: Vec<String>,
    /// The first one that was asked for and does not exist.
    unknown: Option<String>,
}

impl Listing {
    /// Reads `pattern`, `offset`, `limit` and `fields`.
    pub fn read(query: Query<'_>, known: &Fields) -> Result<Listing, String> {
        let parameter = |name| query.get(name).unwrap_or_default();
        let page = Page::new(&parameter("pattern"), &parameter("offset"), &parameter("limit"));
        let page = page.map_err(|error| error.to_string())?;
        let asked = query.pairs().filter(|(key, _)| key == "fields");
        let mut fields: Vec<String> = asked.map(|(_, value)| value.into_owned()).collect();
        let unknown = fields.iter().find(|field| !known.know(field)).cloned();
        let others = if fields.is_empty() { known.shown } else { known.always };
        fields.extend(others.iter().map(|field| (*field).to_owned()));
        fields.sort();
        fields.dedup();
        Ok(Listing { page, fields, unknown })
    }

    pub fn shows(&self, field: &str) -> bool {
        self.fields.iter().any(|shown| shown == field)
    }

    /// The part of an object that is asked for; what the object lacks is left out. A field that does not exist is an
    /// error as soon as there is an object.
    pub fn element(&self, object: &Map<String, Value>) -> Result<Value, String> {
        if let Some(unknown) = &self.unknown {
            return Err(format!("unsupported field {unknown:?}"));
        }
        let fields = self.fields.iter().filter_map(|field| Some((field.clone(), object.get(field)?.clone())));
        Ok(Value::Object(fields.collect()))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FIELDS: Fields = Fields { always: &["id", "link"], shown: &["link", "id", "type"], asked: &["vars"] };

    fn element(query: &str) -> Result<String, String> {
        let object = json!({ "link": 1, "id": 2, "type": 3, "vars": 4, "stats": 5 });
        let listing = Listing::read(Query(query), &FIELDS).unwrap();
        listing.element(object.as_object().unwrap()).map(|element| element.to_string())
    }

    #[test]
    fn an_element_has_the_fields_that_are_asked_for() {
        assert_eq!(element("").unwrap(), r#"{"id":2,"link":1,"type":3}"#);
        assert_eq!(element("fields=vars&fields=vars&fields=id").unwrap(), r#"{"id":2,"link":1,"vars":4}"#);
        assert_eq!(element("fields=stats&fields=a").unwrap_err(), "unsupported field \"stats\"");
        assert_eq!(element("fields=").unwrap_err(), "unsupported field \"\"");
        assert_eq!(element("fields=id,link").unwrap_err(), "unsupported field \"id,link\"");
    }
}
