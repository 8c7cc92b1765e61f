//! What is about to be taken out of its place: how a crash is undone.
//!
//! **Invariant:** a thing is moved only after its intent was written. Not synchronized: it must outlive the process, not the
//! machine; what a power failure leaves without an intent is displaced, never deleted.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::place::Place;
use crate::core::facts::{Facts, FileKey, Kind};
use crate::core::path::RelPath;
use crate::core::time::FileTime;
use crate::fs::RootDir;
use crate::fs::error::reason;
use crate::ledger::line::{Line, pack, unpack};

/// The file in the state directory.
const FILE: &str = "intents";

/// When the file is larger than this and most of it is done with, it is written anew.
const REWRITE_BYTES: u64 = 1 << 20;

/// One thing that goes into the quarantine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Intent<L = Line> {
    /// Which part of the unit, from 0. Its name in the quarantine: [`lain_name`].
    pub(super) part: u32,
    /// The root's directory.
    root: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    root_b64: Option<String>,
    /// Which directory the root was: the empty mount point of a disk that is away has the same path.
    root_ino: u64,
    /// Its path in the root.
    path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path_b64: Option<String>,
    dir: bool,
    key: FileKey,
    size: u64,
    mtime: FileTime,
    btime: Option<FileTime>,
    /// Whether open files are held.
    pub(super) skip_open: bool,
    /// What the ledger is to say.
    pub(super) line: L,
}

impl<L> Intent<L> {
    pub(super) fn new(
        root: &RootDir,
        path: &RelPath,
        part: u32,
        facts: &Facts,
        skip_open: bool,
        line: L,
    ) -> Self {
        let root_ino = root.key().ino;
        let (root, root_b64) = pack(root.path().as_os_str().as_encoded_bytes());
        let (path, path_b64) = pack(path.as_bytes());
        Self {
            part,
            root,
            root_b64,
            root_ino,
            path,
            path_b64,
            dir: facts.kind == Kind::Dir,
            key: facts.key,
            size: facts.size,
            mtime: facts.mtime,
            btime: facts.btime,
            skip_open,
            line,
        }
    }
}

impl Intent {
    pub(super) fn is_of(&self, place: &Place) -> bool {
        let root = unpack(&self.root, self.root_b64.as_deref());
        self.root_ino == place.key.ino && root == place.path.as_os_str().as_encoded_bytes()
    }

    pub(super) fn is_dir(&self) -> bool {
        self.dir
    }

    pub(super) fn path(&self) -> Option<RelPath> {
        RelPath::parse(&unpack(&self.path, self.path_b64.as_deref()))
    }

    /// Whether the thing that was seen as `facts` is the one that was meant. A device may have another number after the
    /// machine was started again.
    pub(super) fn means(&self, facts: &Facts) -> bool {
        let file = !self.dir;
        self.dir == (facts.kind == Kind::Dir)
            && self.key.ino == facts.key.ino
            && self.btime == facts.btime
            && (!file || (self.size, self.mtime) == (facts.size, facts.mtime))
    }
}

/// The name in the quarantine of a part of what is removed under `id`.
pub(super) fn lain_name(id: u64, part: u32) -> Vec<u8> {
    match part {
        0 => id.to_string(),
        part => format!("{id}.{part}"),
    }
    .into_bytes()
}

/// The number and part behind a name in the quarantine.
pub(super) fn parse_lain_name(name: &[u8]) -> Option<(u64, u32)> {
    let text = std::str::from_utf8(name).ok()?;
    let (id, part) = text.split_once('.').unwrap_or((text, "0"));
    let (id, part) = (id.parse().ok()?, part.parse().ok()?);
    (lain_name(id, part) == name).then_some((id, part))
}

/// All intents that are not done with.
#[derive(Debug)]
pub(super) struct Intents {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    len: u64,
    /// As they stand in the file. They are read when something has to be undone: seldom.
    live: BTreeMap<u64, Vec<Box<[u8]>>>,
    /// Those parts that a thread is at work on: not for recovery.
    in_flight: BTreeSet<(u64, u32)>,
}

impl Intents {
    /// Reads what the last process left. A torn last line is a thing that was not moved yet.
    pub(super) fn open(state_dir: &Path) -> io::Result<Self> {
        let path = state_dir.join(FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let mut live: BTreeMap<u64, Vec<Box<[u8]>>> = BTreeMap::new();
        for text in bytes.split_inclusive(|&b| b == b'\n') {
            if let Some(intent) = decode(text) {
                // The last one may lack its end.
                let text = [text.trim_ascii_end(), b"\n"].concat();
                live.entry(intent.line.id).or_default().push(text.into());
            }
        }
        let len = bytes.len() as u64;
        let mut state = State {
            file,
            len,
            live,
            in_flight: BTreeSet::new(),
        };
        // New lines must not join a torn one.
        state.rewrite(&path)?;
        Ok(Self {
            path,
            state: Mutex::new(state),
        })
    }

    /// The largest number that is in use.
    pub(super) fn largest_id(&self) -> Option<u64> {
        self.state.lock().live.keys().next_back().copied()
    }

    /// Writes intents down before the things are moved.
    pub(super) fn write<L: Borrow<Line> + Serialize>(
        &self,
        intents: impl IntoIterator<Item = Intent<L>>,
    ) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut ends = Vec::new();
        for intent in intents {
            encode(&mut bytes, &intent);
            ends.push(((intent.line.borrow().id, intent.part), bytes.len()));
        }
        let mut state = self.state.lock();
        let len = state.len;
        if let Err(error) = state.file.write_all_at(&bytes, len) {
            // What was written of them means nothing that was moved; a later line must not join it.
            if state.file.set_len(len).is_err() {
                state.rewrite(&self.path)?;
            }
            return Err(error);
        }
        state.len += bytes.len() as u64;
        let mut from = 0;
        for (part, end) in ends {
            state.in_flight.insert(part);
            state
                .live
                .entry(part.0)
                .or_default()
                .push(bytes[from..end].into());
            from = end;
        }
        Ok(())
    }

    /// What it means when intents cannot be written, and what would mend it.
    pub(super) fn failed(&self, error: &io::Error) -> String {
        let why = error.raw_os_error().map_or_else(
            || error.to_string(),
            |code| reason(Errno::from_raw_os_error(code)),
        );
        format!(
            "cannot write \"{}\": {why}\nmake room for it, or see that the service may write there; it is tried again by itself",
            self.path.display()
        )
    }

    /// Forgets what is neither in the quarantine nor on its way there any more.
    pub(super) fn done(&self, ids: impl IntoIterator<Item = u64>) {
        let mut state = self.state.lock();
        for id in ids {
            state.live.remove(&id);
            state.land(id);
        }
        self.tidy(&mut state);
    }

    /// Forgets some parts of what goes under `id`: others of it may still be in the quarantine.
    pub(super) fn done_parts(&self, id: u64, parts: &[u32]) {
        let mut state = self.state.lock();
        if let Some(texts) = state.live.get_mut(&id) {
            texts.retain(|text| {
                let part = decode(text).map(|intent| intent.part);
                part.is_some_and(|part| !parts.contains(&part))
            });
            if texts.is_empty() {
                state.live.remove(&id);
            }
        }
        for part in parts {
            state.in_flight.remove(&(id, *part));
        }
        self.tidy(&mut state);
    }

    fn tidy(&self, state: &mut State) {
        let tidied = if state.live.is_empty() {
            state.len = 0;
            state.file.set_len(0)
        } else if state.len > REWRITE_BYTES && state.live.len() < 1000 {
            state.rewrite(&self.path)
        } else {
            Ok(())
        };
        if let Err(error) = tidied {
            // A line too much is harmless: recovery finds nothing of its name.
            tracing::debug!(path = %self.path.display(), %error, "cannot tidy the intents");
        }
    }

    /// Leaves these to recovery: their things are still in the quarantine.
    pub(super) fn leave(&self, ids: impl IntoIterator<Item = u64>) {
        let mut state = self.state.lock();
        for id in ids {
            state.land(id);
        }
    }

    /// Leaves some parts of what goes under `id` to recovery.
    pub(super) fn leave_parts(&self, id: u64, parts: &[u32]) {
        let mut state = self.state.lock();
        for part in parts {
            state.in_flight.remove(&(id, *part));
        }
    }

    /// Takes up, as in flight, every part that lies in the root at `place` and that nobody is at work on. Other parts of the same
    /// unit may lie in other roots: they are for the recovery of those.
    pub(super) fn take_up(&self, place: &Place) -> BTreeMap<u64, Vec<Intent>> {
        let mut state = self.state.lock();
        let State {
            live, in_flight, ..
        } = &mut *state;
        let mut taken: BTreeMap<u64, Vec<Intent>> = BTreeMap::new();
        for (&id, texts) in &*live {
            for intent in texts.iter().filter_map(|text| decode(text)) {
                if intent.is_of(place) && in_flight.insert((id, intent.part)) {
                    taken.entry(id).or_default().push(intent);
                }
            }
        }
        taken
    }

    /// Whether this part of what goes under `id` has an intent that is not done with.
    pub(super) fn is_live(&self, id: u64, part: u32) -> bool {
        let state = self.state.lock();
        let mut texts = state.live.get(&id).into_iter().flatten();
        texts.any(|text| decode(text).is_some_and(|intent| intent.part == part))
    }
}

impl State {
    /// Nobody is at work on any part of `id` any more.
    fn land(&mut self, id: u64) {
        let all = self.in_flight.range((id, 0)..=(id, u32::MAX));
        let all: Vec<_> = all.copied().collect();
        for part in all {
            self.in_flight.remove(&part);
        }
    }

    /// Replaces the file by one that has only what is live.
    fn rewrite(&mut self, path: &Path) -> io::Result<()> {
        let bytes = self
            .live
            .values()
            .flatten()
            .fold(Vec::new(), |mut all, text| {
                all.extend_from_slice(text);
                all
            });
        let fresh = path.with_extension("new");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)?;
        file.write_all_at(&bytes, 0)?;
        // The old file's lines may be older than the machine's last start: they deserve to stay that durable.
        file.sync_data()?;
        rustix::fs::rename(&fresh, path)?;
        self.file = file;
        self.len = bytes.len() as u64;
        Ok(())
    }
}

fn decode(text: &[u8]) -> Option<Intent> {
    serde_json::from_slice(text).ok()
}

fn encode(bytes: &mut Vec<u8>, intent: &Intent<impl Serialize>) {
    serde_json::to_writer(&mut *bytes, intent)
        .expect("invariant: an intent has only text and numbers");
    bytes.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_quarantine_are_told_from_others() {
        for (id, part) in [(1, 0), (77, 3), (u64::MAX, u32::MAX)] {
            assert_eq!(parse_lain_name(&lain_name(id, part)), Some((id, part)));
        }
        for other in ["", "01", "1.0", "1.", "+1", "1.2.3", "displaced-1-x", "x"] {
            assert_eq!(parse_lain_name(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn parts_that_are_done_with_leave_the_others_to_recovery() {
        let dir = tempfile::tempdir().unwrap();
        let at = crate::core::time::Timestamp::from_unix_ms(3);
        let line = |id: u64, part: u32| {
            let line = Line {
                id,
                at,
                root: "r".to_owned(),
                path: "/r/u".to_owned(),
                path_b64: None,
                unit: crate::ledger::LineUnit::Dir,
                owner: None,
                rule: "x".to_owned(),
                since: "newest".to_owned(),
                basis: at,
                deadline: at,
                late_ms: 0,
                files: 1,
                bytes: 1,
                result: crate::ledger::Mark::Removed,
                by: crate::ledger::By::Rule,
                job: None,
                paths: Vec::new(),
                further_lines: 0,
                part: 0,
                pin: None,
            };
            let intent = Intent {
                part,
                root: "/r".to_owned(),
                root_b64: None,
                root_ino: 7,
                path: format!("u/{part}"),
                path_b64: None,
                dir: true,
                key: FileKey::default(),
                size: 0,
                mtime: FileTime::default(),
                btime: None,
                skip_open: true,
                line,
            };
            serde_json::to_string(&intent).unwrap()
        };
        let text = [
            line(5, 0),
            line(5, 1),
            line(5, 2),
            line(6, 0),
            String::new(),
        ]
        .join("\n");
        std::fs::write(dir.path().join(FILE), text).unwrap();
        let intents = Intents::open(dir.path()).unwrap();
        assert!(intents.is_live(5, 1) && intents.is_live(6, 0));
        intents.done_parts(5, &[0, 2]);
        assert!(
            intents.is_live(5, 1) && !intents.is_live(5, 2),
            "one part is left"
        );
        intents.done([6]);
        drop(intents);
        let again = Intents::open(dir.path()).unwrap();
        assert!(again.is_live(5, 1), "and is so on disk");
        again.done_parts(5, &[0, 1, 2]);
        again.done([6]);
        assert!(!again.is_live(5, 1));
        assert_eq!(std::fs::read(dir.path().join(FILE)).unwrap(), b"");
    }
}
