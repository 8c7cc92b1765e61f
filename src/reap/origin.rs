//! Notes beside displaced things, on where they came from.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::trash::manifest::Bytes;
use crate::clock;
use crate::core::facts::{Facts, Kind};
use crate::core::time::Timestamp;
use crate::core::trash::DisplacedThing;
use crate::fs::{Dir, FsError, QUARANTINE, RootDir};

/// Prefix of the names of displaced things.
pub(super) const DISPLACED: &str = "displaced-";

/// The longest name that file systems take.
pub(super) const NAME_BYTES_MAX: usize = 255;

/// Ending of the name of a note.
const NOTE: &[u8] = b".origin";

/// Maximum size of a note.
const NOTE_BYTES_MAX: u64 = 64 << 10;

/// Longest name of a displaced thing: its note, while it is written, has 11 bytes more.
pub(super) const DISPLACED_BYTES_MAX: usize = NAME_BYTES_MAX - 11;

/// Note on where a displaced thing came from.
#[derive(Debug, Serialize, Deserialize)]
struct Origin {
    /// Unix milliseconds.
    at: i64,
    #[serde(flatten)]
    path: Bytes,
    why: String,
}

/// Writes beside the displaced thing `name` that it was at `path`.
pub(super) fn note(quarantine: &Dir, name: &[u8], path: &Path, why: &str) {
    let origin = Origin {
        at: clock::now().wall.unix_ms(),
        path: Bytes::of(path.as_os_str().as_bytes()),
        why: why.to_owned(),
    };
    let bytes = serde_json::to_vec(&origin).expect("invariant: a note has only text and numbers");
    if let Err(error) = quarantine.write_file(&note_name(name), &bytes) {
        tracing::warn!(%error, "where it came from is in the log alone");
    }
}

pub(super) fn note_name(name: &[u8]) -> Vec<u8> {
    [name, NOTE].concat()
}

/// Returns the names of displaced things, without those of notes, and looks at them.
fn names(quarantine: &Dir) -> Result<Vec<(Vec<u8>, Facts)>, FsError> {
    let mut found: Vec<(Vec<u8>, Facts)> = Vec::new();
    quarantine.list(|name, facts| {
        if name.starts_with(DISPLACED.as_bytes()) {
            found.push((name.to_vec(), facts));
        }
    })?;
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    let all: BTreeSet<Vec<u8>> = found.iter().map(|(name, _)| name.clone()).collect();
    let is_note = |name: &[u8]| name.strip_suffix(NOTE).is_some_and(|of| all.contains(of));
    found.retain(|(name, _)| !is_note(name));
    Ok(found)
}

/// Returns the number of displaced things in a quarantine.
///
/// # Errors
/// When it cannot be read.
pub(super) fn count(quarantine: &Dir) -> Result<u64, FsError> {
    Ok(names(quarantine)?.len() as u64)
}

/// Returns the displaced things in a quarantine, by name.
///
/// # Errors
/// When it cannot be read.
pub(super) fn list(quarantine: &Dir) -> Result<Vec<DisplacedThing>, FsError> {
    let found = names(quarantine)?;
    let things = found.iter();
    let things = things.map(|(name, facts)| {
        let note = quarantine.read_file(&note_name(name), NOTE_BYTES_MAX).ok();
        let origin: Option<Origin> = note.and_then(|note| serde_json::from_slice(&note).ok());
        DisplacedThing {
            name: name.clone(),
            is_dir: facts.kind == Kind::Dir,
            bytes: if facts.kind == Kind::File {
                facts.size
            } else {
                0
            },
            path: origin.as_ref().and_then(|origin| {
                let path = PathBuf::from(OsStr::from_bytes(&origin.path.get()));
                // Of what nothing is known, the path is that in the quarantine.
                (!path.starts_with(quarantine.path())).then_some(path)
            }),
            at: origin
                .as_ref()
                .map(|origin| Timestamp::from_unix_ms(origin.at)),
            why: origin.map(|origin| origin.why),
        }
    });
    Ok(things.collect())
}

/// Returns the displaced things in the quarantine of the root at `path`; none if it has none.
/// Changes and locks nothing.
///
/// # Errors
/// When it cannot be read.
pub fn displaced_things(path: &Path) -> Result<Vec<DisplacedThing>, FsError> {
    let opened = RootDir::open(path).and_then(|root| root.top().open_beneath(QUARANTINE));
    match opened {
        Ok(quarantine) => list(&quarantine),
        Err(error) if error.is_absence() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
