//! Overridden options of the configuration, by section and element.

use super::{StoreError, table::Table};
use crate::config::Override;

/// Stands between section and element in a key; neither can hold it.
const SEPARATOR: char = '\0';

#[derive(Clone)]
pub struct OverrideTable(pub(super) Table<Override>);

impl OverrideTable {
    pub fn all(&self) -> Result<Vec<Override>, StoreError> {
        self.0.all()
    }

    /// Writes places in one transaction; one without an override is removed.
    pub fn put<'a>(
        &self,
        places: impl Iterator<Item = (&'a (String, String), Option<&'a Override>)>,
    ) -> Result<(), StoreError> {
        self.0.change(|transaction| {
            for ((section, element), entry) in places {
                let key = format!("{section}{SEPARATOR}{element}");
                match entry {
                    Some(entry) => self.0.put_in(transaction, &key, entry)?,
                    None => self.0.delete_in(transaction, &key)?,
                }
            }
            Ok(())
        })
    }
}
