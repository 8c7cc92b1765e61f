//! The directory of the trash in a quarantine, and the manifests in it.

use std::ops::Deref;

use rustix::io::Errno;

use super::manifest::{BYTES_MAX, Manifest};
use crate::fs::{Dir, FsError};

/// Name of the trash in a quarantine.
pub(in crate::reap) const TRASH: &[u8] = b"trash";

/// Path of the trash from the root.
pub(in crate::reap) const TRASH_PATH: &[u8] = b".lapsed/trash";

/// Endings of the names of manifests, of notes on what was restored, and of files that are being
/// written.
const MANIFEST: &str = ".json";
const NOTE: &str = ".restored.json";
const FRESH: &str = ".new";

/// The trash of a root, open.
#[derive(Debug)]
pub(in crate::reap) struct TrashDir(Dir);

impl Deref for TrashDir {
    type Target = Dir;

    fn deref(&self) -> &Dir {
        &self.0
    }
}

/// Meaning of a name in a trash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::reap) enum TrashName {
    /// A part of a thing.
    Part(u64, u32),
    Manifest(u64),
    Note(u64),
    /// A file that was being written.
    Fresh,
    Other,
}

impl TrashName {
    pub(in crate::reap) fn of(name: &[u8]) -> Self {
        if let Some((id, part)) = super::super::names::parse_quarantine_name(name) {
            return Self::Part(id, part);
        }
        let Ok(name) = std::str::from_utf8(name) else {
            return Self::Other;
        };
        let number = |text: &str| text.parse().ok().filter(|id: &u64| id.to_string() == text);
        let numbered = |ending: &str| number(name.strip_suffix(ending)?);
        if let Some(id) = numbered(NOTE) {
            Self::Note(id)
        } else if let Some(id) = numbered(MANIFEST) {
            Self::Manifest(id)
        } else if name.ends_with(&[MANIFEST, FRESH].concat()) {
            Self::Fresh
        } else {
            Self::Other
        }
    }
}

pub(in crate::reap) fn manifest_name(id: u64) -> Vec<u8> {
    format!("{id}{MANIFEST}").into_bytes()
}

pub(in crate::reap) fn note_name(id: u64) -> Vec<u8> {
    format!("{id}{NOTE}").into_bytes()
}

impl TrashDir {
    /// Opens the trash in `quarantine`; `None` if there is none.
    pub(in crate::reap) fn find(quarantine: &Dir) -> Result<Option<Self>, FsError> {
        match quarantine.open_beneath(TRASH) {
            Ok(dir) => Ok(Some(Self(dir))),
            Err(error) if error.errno == Errno::NOENT => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens the trash in `quarantine`, and makes it where there is none.
    pub(in crate::reap) fn make(quarantine: &Dir) -> Result<Self, FsError> {
        match quarantine.make_dir(TRASH) {
            Err(error) if error.errno != Errno::EXIST => return Err(error),
            Ok(()) | Err(_) => {}
        }
        quarantine.open_beneath(TRASH).map(Self)
    }

    pub(in crate::reap) fn write(&self, manifest: &Manifest) -> Result<(), FsError> {
        self.write_file(&manifest_name(manifest.id()), &manifest.encode())
    }

    /// Reads the manifest of the removal `id`; `None` if there is none.
    pub(in crate::reap) fn read(&self, id: u64) -> Result<Option<Manifest>, ReadError> {
        match self.read_file(&manifest_name(id), BYTES_MAX) {
            Ok(bytes) => Manifest::decode(id, &bytes)
                .map(Some)
                .map_err(ReadError::Damaged),
            Err(error) if error.errno == Errno::NOENT => Ok(None),
            Err(error) => Err(ReadError::Fs(error)),
        }
    }

    /// Returns true if there is a manifest of the removal `id`.
    pub(in crate::reap) fn has_manifest(&self, id: u64) -> Result<bool, FsError> {
        Ok(self.look(&manifest_name(id))?.is_some())
    }

    /// Removes a file of ours, if it is there.
    pub(in crate::reap) fn discard(&self, name: &[u8]) -> Result<(), FsError> {
        match self.remove_file(name) {
            Err(error) if error.errno != Errno::NOENT => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// Reason for which a manifest cannot be read.
#[derive(Debug, thiserror::Error)]
pub(in crate::reap) enum ReadError {
    /// It may be readable later.
    #[error("{0}")]
    Fs(FsError),
    /// It never will.
    #[error("{0}")]
    Damaged(String),
}
