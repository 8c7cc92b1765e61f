//! Lines of JSON, as versions before 0.2 wrote intents: read once, at the first start of this
//! version.

use serde::Deserialize;

use super::intent::{Intent, PartLine, QuarantineId, Record};
use crate::core::facts::FileKey;
use crate::core::time::FileTime;
use crate::ledger::Line;
use crate::ledger::line::unpack;

/// A line of the file.
#[derive(Deserialize)]
#[serde(untagged)]
enum Old {
    Intent(Box<OldIntent>),
    Ended { ended: Vec<(u64, Option<u32>)> },
}

#[derive(Deserialize)]
struct OldIntent {
    part: u32,
    root: String,
    root_b64: Option<String>,
    root_ino: u64,
    quarantine: Option<QuarantineId>,
    path: String,
    path_b64: Option<String>,
    dir: bool,
    key: FileKey,
    size: u64,
    mtime: FileTime,
    btime: Option<FileTime>,
    skip_open: bool,
    line: Line,
}

/// Calls `each` with what `line` tells; does nothing for one that cannot be read, such as a torn
/// one.
pub(super) fn read(line: &[u8], each: impl FnOnce(Record<'_>)) {
    match serde_json::from_slice(line) {
        Ok(Old::Intent(old)) => {
            let root = unpack(&old.root, old.root_b64.as_deref());
            let path = unpack(&old.path, old.path_b64.as_deref());
            each(Record::Intent(Intent {
                id: old.line.id,
                part: old.part,
                root: &root,
                root_ino: old.root_ino,
                quarantine: old.quarantine,
                path: &path,
                dir: old.dir,
                key: old.key,
                size: old.size,
                mtime: old.mtime,
                btime: old.btime,
                skip_open: old.skip_open,
                line: PartLine::of(&old.line, &old.line.root),
            }));
        }
        Ok(Old::Ended { ended }) => each(Record::Ended(ended)),
        Err(_) => {}
    }
}
