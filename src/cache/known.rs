//! Which roots were known: a small file beside the database, for when the database has lost it.
//!
//! A database that was damaged can come up sound and empty. Then what is found in the roots must not pass for what was never seen
//! before: arrivals were known, and a breaker may have tripped. This file is rewritten as a whole whenever one of the roots
//! changes, which is seldom.
//!
//! **Invariant:** missing or unreadable, it says nothing: then it is a first start.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::place::rename;
use crate::core::report::RootMemory;

/// One root.
#[derive(Serialize, Deserialize)]
struct Line {
    /// Its path, in base 64: paths are bytes.
    path_b64: String,
    #[serde(flatten)]
    memory: RootMemory,
}

/// Reads the file; nothing when there is none that can be read.
pub(super) fn read(file: &Path) -> BTreeMap<Vec<u8>, RootMemory> {
    let lines = fs::read(file)
        .ok()
        .and_then(|text| serde_json::from_slice::<Vec<Line>>(&text).ok());
    let lines = lines.unwrap_or_default().into_iter();
    lines
        .filter_map(|line| Some((STANDARD.decode(line.path_b64).ok()?, line.memory)))
        .collect()
}

/// Writes the file anew.
pub(super) fn write(file: &Path, roots: &BTreeMap<Vec<u8>, RootMemory>) -> io::Result<()> {
    let lines: Vec<Line> = roots
        .iter()
        .map(|(path, &memory)| Line {
            path_b64: STANDARD.encode(path),
            memory,
        })
        .collect();
    let text = super::save::json(&lines);
    let fresh = file.with_extension("new");
    let mut written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)?;
    written.write_all(&text)?;
    written.sync_data()?;
    rename(&fresh, file)
}
