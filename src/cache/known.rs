//! List of known roots: a small file beside the database, in case that is lost.
//!
//! A damaged database can come up sound and empty. Files that are found in a root then must not
//! count as never seen: their arrivals were known, and a breaker may have tripped. The file is
//! rewritten as a whole whenever the state of a root changes, which is rare.
//!
//! **Invariant:** a missing or unreadable file always counts as a first start.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::files::rename;
use crate::core::report::SavedRoot;

/// Known root.
#[derive(Serialize, Deserialize)]
struct Line {
    /// Its path in base64: paths are bytes.
    path_b64: String,
    #[serde(flatten)]
    memory: SavedRoot,
}

/// Reads the file. Returns nothing if it is missing or unreadable.
pub(super) fn read(file: &Path) -> BTreeMap<Vec<u8>, SavedRoot> {
    let lines = fs::read(file)
        .ok()
        .and_then(|text| serde_json::from_slice::<Vec<Line>>(&text).ok());
    let lines = lines.unwrap_or_default().into_iter();
    lines
        .filter_map(|line| Some((STANDARD.decode(line.path_b64).ok()?, line.memory)))
        .collect()
}

/// Replaces the file.
pub(super) fn write(file: &Path, roots: &BTreeMap<Vec<u8>, SavedRoot>) -> io::Result<()> {
    let lines: Vec<Line> = roots
        .iter()
        .map(|(path, &memory)| Line {
            path_b64: STANDARD.encode(path),
            memory,
        })
        .collect();
    let text = super::records::json(&lines);
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
