//! The list of cases that wait for something to be built: `cases-pending.txt`, a case and what it waits for a line.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

pub struct Pending {
    file: PathBuf,
    rows: BTreeMap<String, String>,
}

impl Pending {
    /// Reads the list. Empty lines and lines that start with `#` are comments.
    pub fn read() -> io::Result<Pending> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases-pending.txt");
        let text = fs::read_to_string(&file)?;
        let rows = text.lines().filter_map(row).map(|(case, reason)| (case.to_owned(), reason.to_owned())).collect();
        Ok(Pending { file, rows })
    }

    pub fn contains(&self, case: &str) -> bool {
        self.rows.contains_key(case)
    }

    pub fn reason(&self, case: &str) -> Option<&str> {
        self.rows.get(case).map(String::as_str)
    }

    pub fn cases(&self) -> impl Iterator<Item = &str> {
        self.rows.keys().map(String::as_str)
    }

    /// Removes the rows of `cases` from the file.
    pub fn strike_off(&self, cases: &[&str]) -> io::Result<()> {
        let text = fs::read_to_string(&self.file)?;
        let kept = |line: &&str| row(line).is_none_or(|(case, _)| !cases.contains(&case));
        fs::write(&self.file, text.split_inclusive('\n').filter(kept).collect::<String>())
    }
}

/// Case and reason of a line.
fn row(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    let (case, reason) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    (!line.is_empty() && !line.starts_with('#')).then_some((case, reason.trim()))
}
