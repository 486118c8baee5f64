//! `log`: events appended to a file, which is opened for each.

use std::{fs::OpenOptions, io::Write, os::unix::fs::OpenOptionsExt};

use super::DeliveryError;

pub fn deliver(path: &str, mode: u32, json: &str) -> Result<(), DeliveryError> {
    let mut file = OpenOptions::new().append(true).create(true).mode(mode).open(path)?;
    file.write_all(json.as_bytes())?;
    Ok(())
}
