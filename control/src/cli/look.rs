//! How results look (reference: cli §4).

use serde_json::Value;

/// A column of a table.
#[derive(Clone, Copy)]
pub enum Column {
    /// As wide as its widest cell, at least this, and one more.
    Fit(usize),
    Fixed(usize),
    Right(usize),
    /// Not padded.
    Rest,
}

/// A table as lines. A heading in a right-aligned last column is not padded.
pub fn table(columns: &[(&str, Column)], rows: &[Vec<String>]) -> String {
    let width = |index: usize, least: usize| {
        let cells = rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.chars().count());
        cells.max().unwrap_or(0).max(least) + 1
    };
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(index, (_, column))| match column {
            Column::Fit(least) => width(index, *least),
            Column::Fixed(width) | Column::Right(width) => *width,
            Column::Rest => 0,
        })
        .collect();
    let mut out = String::new();
    let headings: Vec<String> = columns.iter().map(|(heading, _)| (*heading).to_owned()).collect();
    for row in std::iter::once(&headings).chain(rows) {
        for ((cell, (_, column)), width) in row.iter().zip(columns).zip(&widths) {
            out.push_str(&match column {
                Column::Right(_) => format!("{cell:>width$}"),
                _ => format!("{cell:width$}"),
            });
        }
        out.push('\n');
    }
    out
}

/// `23 Nov 26 06:20 UTC` of a time in RFC 3339, in UTC.
pub fn utc(time: &str) -> String {
    in_zone(time, &jiff::tz::TimeZone::UTC)
}

/// The same in the zone of this machine.
pub fn local(time: &str) -> String {
    in_zone(time, &jiff::tz::TimeZone::system())
}

fn in_zone(time: &str, zone: &jiff::tz::TimeZone) -> String {
    let stamp = time.parse::<jiff::Timestamp>();
    let stamp = stamp.map(|stamp| stamp.to_zoned(zone.clone()).strftime("%d %b %y %H:%M %Z").to_string());
    stamp.unwrap_or_else(|_| time.to_owned())
}

/// Bytes in decimal units: `141 B`, `1.4 kB`, `12 kB`.
pub fn size(bytes: i64) -> String {
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1_000.0 && unit < 6 {
        value /= 1_000.0;
        unit += 1;
    }
    let name = ["B", "kB", "MB", "GB", "TB", "PB", "EB"][unit];
    let rounded = (value * 10.0).round() / 10.0;
    if rounded < 10.0 { format!("{rounded:.1} {name}") } else { format!("{value:.0} {name}") }
}

/// `["db"."rp" "db2"."rp2"]`
pub fn dbrps(task: &Value) -> String {
    let dbrps = task.get("dbrps").and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |dbrp: &Value| format!("{}.{}", dbrp["db"], dbrp["rp"]);
    format!("[{}]", dbrps.iter().map(text).collect::<Vec<_>>().join(" "))
}

/// Vars by name: each with its type and value.
pub fn vars(object: &Value) -> Vec<(String, String, String, String)> {
    let vars = object.get("vars").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut rows: Vec<_> = vars
        .iter()
        .map(|(name, var)| {
            let kind = super::text(var, "type");
            let shown = var_value(&kind, var.get("value").unwrap_or(&Value::Null));
            (name.clone(), kind, shown, super::text(var, "description"))
        })
        .collect();
    rows.sort();
    rows
}

fn var_value(kind: &str, value: &Value) -> String {
    match (kind, value) {
        ("star", _) => "[*]".to_owned(),
        (_, Value::Null) => "<required>".to_owned(),
        ("duration", Value::Number(nanoseconds)) => {
            dataplane::template::duration_text(nanoseconds.as_i64().unwrap_or_default())
        }
        (_, Value::String(text)) => text.clone(),
        (_, Value::Array(items)) => {
            let item = |item: &Value| item.get("value").and_then(Value::as_str).unwrap_or("*").to_owned();
            format!("[{}]", items.iter().map(item).collect::<Vec<_>>().join(", "))
        }
        (_, other) => crate::api::answer::compact(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_decimal_units() {
        let sizes = [0, 141, 999, 1_000, 1_449, 9_949, 9_960, 12_345, 1_500_000].map(size);
        assert_eq!(sizes, ["0 B", "141 B", "999 B", "1.0 kB", "1.4 kB", "9.9 kB", "10 kB", "12 kB", "1.5 MB"]);
    }

    #[test]
    fn times_have_the_form_of_the_original() {
        assert_eq!(utc("2026-11-23T06:20:47.795845546Z"), "23 Nov 26 06:20 UTC");
        assert_eq!(utc("0001-01-01T00:00:00Z"), "01 Jan 01 00:00 UTC");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let columns = [("ID", Column::Fit(2)), ("Level", Column::Fit(8)), ("Collected", Column::Right(10))];
        let rows = [vec!["tp".to_owned(), "CRITICAL".to_owned(), "1".to_owned()]];
        assert_eq!(table(&columns, &rows), "ID Level     Collected\ntp CRITICAL          1\n");
    }
}
