//! Manifest: the file beside a thing in the trash, with all that is needed to bring it back.
//!
//! **Invariant:** a manifest that names a path outside of its root, or was cut off, is never
//! decoded.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::core::claim::Unit;
use crate::core::facts::{Facts, Kind};
use crate::core::path::RelPath;
use crate::core::policy::SkipOpen;
use crate::core::time::{FileTime, Timestamp};
use crate::core::trash::{JobName, TrashItem, TrashPart, Trashed};
use crate::fs::DirAttributes;
use crate::ledger::line::{pack, unpack};
use crate::ledger::{Line, LineUnit};

/// Version of the format.
const VERSION: u32 = 1;

/// Maximum number of parts of one removal in one root: ~60 MB of text. A removal with more is held.
pub(in crate::reap) const PARTS_MAX: usize = 200_000;

/// Maximum size of a manifest.
pub(in crate::reap) const BYTES_MAX: u64 = 256 << 20;

/// See the module.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(in crate::reap) struct Manifest {
    version: u32,
    /// The line in the ledger, without the paths of its pieces. Its `trash` has the end of the
    /// window.
    pub(in crate::reap) line: Line,
    /// Path that the root had.
    pub(in crate::reap) root: Bytes,
    /// All jobs that own it, or may.
    pub(in crate::reap) jobs: Vec<JobName>,
    /// True if open files are held.
    pub(in crate::reap) skip_open: bool,
    /// Regular files in the parts, and their bytes.
    pub(in crate::reap) files: u64,
    pub(in crate::reap) bytes: u64,
    pub(in crate::reap) parts: Vec<ManifestPart>,
    /// Directories between the root and the parts, each once, in the order of their paths.
    pub(in crate::reap) above: Vec<Above>,
}

/// Part of a thing.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(in crate::reap) struct ManifestPart {
    pub(in crate::reap) number: u32,
    /// Path in the root.
    pub(in crate::reap) path: Bytes,
    pub(in crate::reap) is_dir: bool,
    ino: u64,
    btime: Option<FileTime>,
    size: u64,
    mtime: FileTime,
    /// Regular files in it, and their bytes.
    pub(in crate::reap) files: u64,
    pub(in crate::reap) bytes: u64,
    /// Inodes of the files in it with several names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::reap) links: Vec<u64>,
}

/// Directory above a part.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(in crate::reap) struct Above {
    /// Path in the root.
    pub(in crate::reap) path: Bytes,
    #[serde(flatten)]
    pub(in crate::reap) was: DirAttributes,
}

/// Bytes of a path: as text, and exactly if they are not UTF-8.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(in crate::reap) struct Bytes {
    path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path_b64: Option<String>,
}

impl Bytes {
    pub(in crate::reap) fn of(bytes: &[u8]) -> Self {
        let (path, path_b64) = pack(bytes);
        Self { path, path_b64 }
    }

    pub(in crate::reap) fn get(&self) -> Vec<u8> {
        unpack(&self.path, self.path_b64.as_deref())
    }

    /// The path in a root, if it is one.
    pub(in crate::reap) fn rel(&self) -> Option<RelPath> {
        RelPath::parse(&self.get())
    }
}

impl ManifestPart {
    pub(in crate::reap) fn new(
        number: u32,
        path: &RelPath,
        facts: &Facts,
        (files, bytes): (u64, u64),
        links: Vec<u64>,
    ) -> Self {
        Self {
            number,
            path: Bytes::of(path.as_bytes()),
            is_dir: facts.kind == Kind::Dir,
            ino: facts.key.ino,
            btime: facts.btime,
            size: facts.size,
            mtime: facts.mtime,
            files,
            bytes,
            links,
        }
    }

    /// Returns true if what was seen as `facts` is the part.
    pub(in crate::reap) fn means(&self, facts: &Facts) -> bool {
        self.is_dir == (facts.kind == Kind::Dir)
            && facts.kind != Kind::Mount
            && self.ino == facts.key.ino
            && self.btime == facts.btime
            && (self.is_dir || (self.size, self.mtime) == (facts.size, facts.mtime))
    }
}

impl Manifest {
    pub(in crate::reap) fn new(
        line: &Line,
        root: &Path,
        jobs: Vec<JobName>,
        skip: SkipOpen,
    ) -> Self {
        Self {
            version: VERSION,
            line: line.without_pieces(),
            root: Bytes::of(root.as_os_str().as_bytes()),
            jobs,
            skip_open: skip != SkipOpen::Never,
            files: 0,
            bytes: 0,
            parts: Vec::new(),
            above: Vec::new(),
        }
    }

    pub(in crate::reap) fn add(&mut self, part: ManifestPart) {
        self.files += part.files;
        self.bytes = self.bytes.saturating_add(part.bytes);
        self.parts.push(part);
    }

    pub(in crate::reap) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("invariant: a manifest has only text and numbers")
    }

    /// Decodes the manifest of the removal `id`.
    pub(in crate::reap) fn decode(id: u64, bytes: &[u8]) -> Result<Self, String> {
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|error| format!("it cannot be read: {error}"))?;
        if manifest.version != VERSION {
            return Err(format!("its version is {}", manifest.version));
        }
        if manifest.id() != id || manifest.line.trash.is_none() {
            return Err("it is that of another thing".to_owned());
        }
        let is_inside = |path: &Bytes| {
            path.rel()
                .is_some_and(|path| !path.is_root() && !path.is_in_quarantine())
        };
        if !manifest.parts.iter().all(|part| is_inside(&part.path)) {
            return Err("a path in it is none in its root".to_owned());
        }
        Ok(manifest)
    }

    pub(in crate::reap) fn id(&self) -> u64 {
        self.line.trash.map_or(self.line.id, |trash| trash.id)
    }

    /// End of the undo window.
    pub(in crate::reap) fn until(&self) -> Timestamp {
        self.line.trash.map_or(Timestamp::MAX, |trash| trash.until)
    }

    /// The table's row of it.
    pub(in crate::reap) fn row(&self) -> Trashed {
        Trashed {
            id: self.id(),
            at: self.line.at,
            until: self.until(),
            files: self.files,
            bytes: self.bytes,
            run: self.line.run,
            jobs: self.jobs.clone().into_boxed_slice(),
        }
    }

    /// The absolute path that a part had.
    pub(in crate::reap) fn full(&self, part: &ManifestPart) -> PathBuf {
        let root = PathBuf::from(OsStr::from_bytes(&self.root.get()));
        root.join(OsStr::from_bytes(&part.path.get()))
    }

    /// Returns the item that lists show.
    pub(in crate::reap) fn item(&self) -> TrashItem {
        let parts = self.parts.iter().map(|part| TrashPart {
            path: self.full(part),
            is_dir: part.is_dir,
        });
        TrashItem {
            what: self.row(),
            root: self.line.root.clone(),
            unit: match self.line.unit {
                LineUnit::File | LineUnit::EmptyDir => Unit::File,
                LineUnit::Dir => Unit::Dir,
                LineUnit::Job => Unit::Job,
            },
            rule: self.line.rule.clone(),
            owner: self.line.owner.clone(),
            by: self.line.by.clone(),
            parts: parts.collect(),
        }
    }
}
