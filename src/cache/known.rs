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
    // A name of its own: `store.new` is a copy of the database.
    let fresh = file.with_extension("roots.new");
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

#[cfg(test)]
mod tests {
    use super::super::files::CacheFiles;
    use super::*;

    #[test]
    fn a_write_that_was_cut_off_is_not_taken_for_a_database() {
        let dir = tempfile::tempdir().unwrap();
        let files = CacheFiles::new(dir.path());
        // Something that a file cannot replace.
        fs::create_dir(files.known()).unwrap();
        fs::write(files.known().join("x"), "").unwrap();
        write(&files.known(), &BTreeMap::new()).unwrap_err();
        let names = || {
            let entries = fs::read_dir(dir.path()).unwrap();
            let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.collect::<std::collections::BTreeSet<_>>()
        };
        let before = names();
        assert_eq!(before.len(), 2, "{before:?}");
        files.tidy().unwrap();
        assert_eq!(names(), before);
    }
}
