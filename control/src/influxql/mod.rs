//! InfluxQL as far as queries of tasks need it: one SELECT, taken apart into its clauses and printed again.
//!
//! reference: batch-and-replay §2. What InfluxDB receives is the printer's form, so that times, grouping and fill can be
//! put into their places. Nothing is evaluated; what InfluxDB may accept is accepted, and its own errors come back.

mod lexer;
mod parser;
mod print;

pub use parser::{ParseError, Select, SourceName, parse_select};
pub use print::{duration, float, identifier, string};

/// A dimension of the GROUP BY clause that takes the place of the text's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dimension {
    Tag(String),
    All,
    /// Nanoseconds.
    Time {
        length: i64,
        offset: i64,
    },
}

/// What stands for missing buckets.
#[derive(Clone, Debug, PartialEq)]
pub enum Fill {
    Null,
    None,
    Previous,
    Linear,
    Int(i64),
    Float(f64),
}

/// The bounds of a window, nanoseconds since 1970: from `start` on, up to and without `stop`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub start: i64,
    pub stop: i64,
}

impl Select {
    /// The text for a window. `fill` replaces the text's own. With `align_group` time buckets begin at the window.
    pub fn text(&self, window: Window, dimensions: &[Dimension], fill: Option<&Fill>, align_group: bool) -> String {
        let mut text = format!("SELECT {}", self.fields);
        if let Some(into) = &self.into {
            text.push_str(&format!(" INTO {into}"));
        }
        let sources: Vec<String> = self.sources.iter().map(SourceName::to_string).collect();
        text.push_str(&format!(" FROM {} WHERE ", sources.join(", ")));
        if let Some(condition) = &self.condition {
            text.push_str(&format!("{condition} AND "));
        }
        let time = |nanoseconds| {
            let mut text = String::new();
            dataplane::json::rfc3339(nanoseconds, &mut text);
            text
        };
        text.push_str(&format!("time >= '{}' AND time < '{}'", time(window.start), time(window.stop)));
        let dimension = |dimension: &Dimension| match dimension {
            Dimension::Tag(tag) => identifier(tag),
            Dimension::All => "*".to_owned(),
            Dimension::Time { length, offset } => {
                let offset = if align_group && *length > 0 { window.start.rem_euclid(*length) } else { *offset };
                format!("time({}, {})", duration(*length), duration(offset))
            }
        };
        if !dimensions.is_empty() {
            let dimensions: Vec<String> = dimensions.iter().map(dimension).collect();
            text.push_str(&format!(" GROUP BY {}", dimensions.join(", ")));
        }
        let fill = match fill {
            Some(Fill::Null) => None,
            Some(Fill::None) => Some("none".to_owned()),
            Some(Fill::Previous) => Some("previous".to_owned()),
            Some(Fill::Linear) => Some("linear".to_owned()),
            Some(Fill::Int(x)) => Some(x.to_string()),
            Some(Fill::Float(x)) => Some(x.to_string()),
            None => self.fill.clone(),
        };
        if let Some(fill) = fill {
            text.push_str(&format!(" fill({fill})"));
        }
        for clause in &self.tail {
            text.push_str(&format!(" {clause}"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { start: 1_600_000_003_000_000_000, stop: 1_600_000_013_500_000_000 };
    const BOUNDS: &str = "time >= '2020-09-13T12:26:43Z' AND time < '2020-09-13T12:26:53.5Z'";

    fn printed(text: &str) -> String {
        let text = parse_select(text).unwrap().text(WINDOW, &[], None, false);
        text.replace(BOUNDS, "T").replace(" WHERE T", "")
    }

    #[test]
    fn the_example_of_the_reference() {
        let select = parse_select("SELECT mean(\"usage\") FROM \"db\".\"autogen\".\"cpu\"").unwrap();
        let second = 1_000_000_000;
        let dimensions =
            [Dimension::Time { length: 2 * second, offset: second }, Dimension::Tag("host".into()), Dimension::All];
        assert_eq!(
            select.text(WINDOW, &dimensions, Some(&Fill::Int(0)), false),
            format!("SELECT mean(usage) FROM db.autogen.cpu WHERE {BOUNDS} GROUP BY time(2s, 1s), host, * fill(0)")
        );
        let aligned = select.text(WINDOW, &[Dimension::Time { length: 10 * second, offset: second }], None, true);
        assert!(aligned.ends_with("GROUP BY time(10s, 3s)"), "{aligned}");
    }

    #[test]
    fn conditions_get_the_bounds_without_parentheses() {
        let text = parse_select("SELECT v FROM a.b.c WHERE x = 'y' OR (z <> 3 AND w =~ /a\\/b/)").unwrap();
        assert_eq!(
            text.text(WINDOW, &[], None, false),
            format!("SELECT v FROM a.b.c WHERE x = 'y' OR (z != 3 AND w =~ /a\\/b/) AND {BOUNDS}")
        );
    }

    #[test]
    fn the_printer_has_one_form() {
        for (text, expected) in [
            (
                "select \"my field\", \"select\", \"1abc\", \"é\", time from x",
                "SELECT \"my field\", \"select\", \"1abc\", \"é\", time FROM x",
            ),
            ("SELECT Mean(x) AS \"m\" FROM db..cpu", "SELECT mean(x) AS m FROM db..cpu"),
            (
                "SELECT 100-x*2 FROM \"db\".\"week one\".\"my meas\"",
                "SELECT 100 - x * 2 FROM db.\"week one\".\"my meas\"",
            ),
            ("SELECT v FROM a.b./re.*/, c", "SELECT v FROM a.b./re.*/, c"),
            ("SELECT x * 1.5 FROM c", "SELECT x * 1.500 FROM c"),
            ("SELECT x * 0.00012 FROM c", "SELECT x * 0.00012 FROM c"),
            ("SELECT i::integer, host::tag, *::field FROM c", "SELECT i::integer, host::tag, *::field FROM c"),
            (
                "SELECT top(x, host, 3) FROM c GROUP BY time(1m), host fill(none) ORDER BY time DESC LIMIT 3 OFFSET 1 SLIMIT 2 SOFFSET 4;",
                "SELECT top(x, host, 3) FROM c fill(none) ORDER BY time DESC LIMIT 3 OFFSET 1 SLIMIT 2 SOFFSET 4",
            ),
            ("SELECT v INTO a.b.c FROM d FILL(-1)", "SELECT v INTO a.b.c FROM d fill(-1)"),
            ("SELECT v FROM c fill(null)", "SELECT v FROM c"),
            (
                "SELECT derivative(v, 90s), elapsed(v, 500ms), elapsed(v, 60s) FROM c",
                "SELECT derivative(v, 90s), elapsed(v, 500ms), elapsed(v, 1m) FROM c",
            ),
            (
                "SELECT COUNT(distinct v), count(distinct(v)) FROM c",
                "SELECT count(DISTINCT v), count(distinct(v)) FROM c",
            ),
            ("SELECT v FROM c ORDER BY time ASC", "SELECT v FROM c ORDER BY time ASC"),
            ("SELECT DISTINCT v FROM c tz('Europe/Berlin')", "SELECT DISTINCT v FROM c TZ('Europe/Berlin')"),
        ] {
            assert_eq!(printed(text), expected, "{text}");
        }
        let condition = parse_select("SELECT v FROM c WHERE a = 'it\\'s' AND time > now() - 1h").unwrap();
        assert_eq!(condition.condition.unwrap(), "a = 'it\\'s' AND time > now() - 1h");
    }

    #[test]
    fn what_is_not_one_select_is_refused_with_a_place() {
        let error = |text: &str| parse_select(text).unwrap_err().to_string();
        assert_eq!(error(""), "query must be a single select statement, got 0 statements");
        assert_eq!(
            error("SELECT v FROM c; SELECT v FROM c"),
            "query must be a single select statement, got 2 statements"
        );
        assert_eq!(error("SHOW DATABASES"), "query is not a select statement \"SHOW DATABASES\"");
        assert!(error("SELECT FROM").starts_with("failed to parse InfluxQL query: found FROM, expected identifier"));
        assert!(error("SELECT v").ends_with("found EOF, expected FROM at line 1, char 10"), "{}", error("SELECT v"));
        for bad in [
            "SELECT v FROM c WHERE",
            "SELECT v FROM c LIMIT x",
            "SELECT (v FROM c",
            "SELECT v FROM 'c'",
            "SELECT v FROM c WHERE a = \"b",
            "SELECT v FROM c x",
        ] {
            assert!(error(bad).contains("failed to parse InfluxQL query"), "{bad}: {}", error(bad));
        }
    }

    #[test]
    fn sources_say_what_they_name() {
        let select = parse_select("SELECT v FROM \"db\".\"rp\"./x/, cpu, d..m").unwrap();
        let names: Vec<_> =
            select.sources.iter().map(|source| (source.database.as_str(), source.retention_policy.as_str())).collect();
        assert_eq!(names, [("db", "rp"), ("", ""), ("d", "")]);
    }

    proptest::proptest! {
        #[test]
        fn garbage_never_panics_and_what_parses_prints_stably(text in "[ a-z0-9\"'./*(),=<>;:-]{0,60}|SELECT [a-z(),*+. ]{1,20} FROM [a-z.]{1,10}( WHERE [a-z=<>'0-9. ]{0,20})?") {
            if let Ok(select) = parse_select(&text) {
                let once = select.text(WINDOW, &[], None, false);
                let again = parse_select(&once).unwrap();
                proptest::prop_assert_eq!(&again.fields, &select.fields);
                proptest::prop_assert_eq!(&again.sources, &select.sources);
            }
        }
    }
}
