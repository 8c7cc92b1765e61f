//! What is about to be taken out of its place: how a crash is undone.
//!
//! **Invariant:** a thing is moved only after its intent was written. Not synchronized: it must outlive the process, not the
//! machine; what a power failure leaves without an intent is displaced, never deleted.
//! **Invariant:** an intent is settled only by a look into the quarantine that its thing was moved to. While that one is elsewhere
//! (renamed, or on a disk that is away), it is kept.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::intent::{Intent, QuarantineId, decode, encode};
use super::place::Place;
use crate::fs::error::reason;
use crate::ledger::line::Line;

/// The file in the state directory.
const FILE: &str = "intents";

/// When the file is larger than this and twice what is live in it together, it is written anew: each byte is copied less than once.
const REWRITE_BYTES: u64 = 1 << 20;

/// A line that tells of parts that are neither in the quarantine nor on their way there any more.
#[derive(Serialize, Deserialize)]
struct Ended {
    /// The number of the removal, and the part; `None`: all parts.
    ended: Vec<(u64, Option<u32>)>,
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
    /// Bytes of `live`.
    live_len: u64,
    /// Those parts that a thread is at work on: not for recovery.
    in_flight: BTreeSet<(u64, u32)>,
    /// Live ones that no thread finishes at once, such as those of the last process, with whose the things are.
    left: BTreeMap<u64, Option<String>>,
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
        let mut state = State {
            file,
            len: bytes.len() as u64,
            live: BTreeMap::new(),
            live_len: 0,
            in_flight: BTreeSet::new(),
            left: BTreeMap::new(),
        };
        for text in bytes.split_inclusive(|&b| b == b'\n') {
            if let Some(intent) = decode(text) {
                // The last one may lack its end.
                let text = [text.trim_ascii_end(), b"\n"].concat();
                state.insert(intent.line.id, text.into());
            } else if let Ok(Ended { ended }) = serde_json::from_slice(text) {
                state.end(&ended);
            }
        }
        let ids: Vec<u64> = state.live.keys().copied().collect();
        for id in ids {
            state.leave(id);
        }
        // New lines must not join a torn one.
        state.rewrite(&path)?;
        Ok(Self {
            path,
            state: Mutex::new(state),
        })
    }

    /// The numbers that are in use.
    pub(super) fn ids(&self) -> BTreeSet<u64> {
        self.state.lock().live.keys().copied().collect()
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
            state.insert(part.0, bytes[from..end].into());
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
        let ended: Vec<(u64, Option<u32>)> = ids.into_iter().map(|id| (id, None)).collect();
        for (id, _) in &ended {
            state.land(*id);
        }
        self.end(&mut state, ended);
    }

    /// Forgets some parts of what goes under `id`: others of it may still be in the quarantine.
    pub(super) fn done_parts(&self, id: u64, parts: &[u32]) {
        let mut state = self.state.lock();
        for part in parts {
            state.in_flight.remove(&(id, *part));
        }
        let ended = parts.iter().map(|part| (id, Some(*part)));
        self.end(&mut state, ended.collect());
    }

    /// Notes, also in the file, what is not live any more: without that the next process could tell it only by a look into its
    /// quarantine, which may be away then.
    fn end(&self, state: &mut State, ended: Vec<(u64, Option<u32>)>) {
        state.end(&ended);
        if !state.live.is_empty() && !ended.is_empty() {
            let mut bytes =
                serde_json::to_vec(&Ended { ended }).expect("invariant: it has only numbers");
            bytes.push(b'\n');
            match state.file.write_all_at(&bytes, state.len) {
                Ok(()) => state.len += bytes.len() as u64,
                // Half a line would join the next one.
                Err(_) => drop(state.file.set_len(state.len)),
            }
        }
        self.tidy(state);
    }

    fn tidy(&self, state: &mut State) {
        let tidied = if state.live.is_empty() {
            state.len = 0;
            state.file.set_len(0)
        } else if state.len > REWRITE_BYTES + 2 * state.live_len {
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
            state.leave(id);
        }
    }

    /// Leaves some parts of what goes under `id` to recovery.
    pub(super) fn leave_parts(&self, id: u64, parts: &[u32]) {
        let mut state = self.state.lock();
        for part in parts {
            state.in_flight.remove(&(id, *part));
        }
        state.leave(id);
    }

    /// Notes that a thread comes back later to what goes under `id`.
    pub(super) fn postpone(&self, id: u64) {
        self.state.lock().leave(id);
    }

    /// Whether something that `owner` owned is still in a quarantine, and no thread is about to finish it.
    pub(super) fn has_left(&self, owner: &str) -> bool {
        let state = self.state.lock();
        let mut owners = state.left.values().flatten();
        owners.any(|known| known == owner)
    }

    /// Whether nothing that goes under `id` is in a quarantine any more.
    pub(super) fn is_done(&self, id: u64) -> bool {
        !self.state.lock().live.contains_key(&id)
    }

    /// Counts what was moved out of the root at `place` into another quarantine than `id`, and is not known to be gone.
    pub(super) fn count_elsewhere(&self, place: &Place, id: Option<QuarantineId>) -> usize {
        let state = self.state.lock();
        let left = state.left.keys().filter_map(|id| state.live.get(id));
        let intents = left.flatten().filter_map(|text| decode(text));
        intents
            .filter(|intent| intent.is_of(place) && !intent.is_in(id))
            .count()
    }

    /// Takes up, as in flight, every part that lies in the quarantine `id` of the root at `place` and that no thread is at work on.
    /// Other parts of the same unit may lie in other roots: they are for the recovery of those.
    pub(super) fn take_up(
        &self,
        place: &Place,
        id: Option<QuarantineId>,
    ) -> BTreeMap<u64, Vec<Intent>> {
        let mut state = self.state.lock();
        let State {
            live,
            in_flight,
            left,
            ..
        } = &mut *state;
        let mut taken: BTreeMap<u64, Vec<Intent>> = BTreeMap::new();
        for &number in left.keys() {
            for intent in live
                .get(&number)
                .into_iter()
                .flatten()
                .filter_map(|text| decode(text))
            {
                let is_here = intent.is_of(place) && intent.is_in(id);
                if is_here && in_flight.insert((number, intent.part)) {
                    taken.entry(number).or_default().push(intent);
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
    fn insert(&mut self, id: u64, text: Box<[u8]>) {
        self.live_len += text.len() as u64;
        self.live.entry(id).or_default().push(text);
    }

    /// Forgets parts; `None`: all parts of that number.
    fn end(&mut self, ended: &[(u64, Option<u32>)]) {
        let mut of: BTreeMap<u64, Option<BTreeSet<u32>>> = BTreeMap::new();
        for &(id, part) in ended {
            match (of.entry(id).or_insert_with(|| Some(BTreeSet::new())), part) {
                (Some(parts), Some(part)) => drop(parts.insert(part)),
                (all, _) => *all = None,
            }
        }
        for (id, parts) in of {
            self.retain(id, |text| match &parts {
                None => false,
                Some(parts) => decode(text).is_some_and(|intent| !parts.contains(&intent.part)),
            });
        }
    }

    /// Keeps those lines of `id` that `keep` wants.
    fn retain(&mut self, id: u64, mut keep: impl FnMut(&[u8]) -> bool) {
        let Some(texts) = self.live.get_mut(&id) else {
            return;
        };
        let len = |texts: &[Box<[u8]>]| texts.iter().map(|text| text.len() as u64).sum::<u64>();
        let before = len(texts);
        texts.retain(|text| keep(text));
        self.live_len -= before - len(texts);
        if texts.is_empty() {
            self.live.remove(&id);
            self.left.remove(&id);
        }
    }

    /// Notes whose it is that no thread finishes at once.
    fn leave(&mut self, id: u64) {
        let first = self.live.get(&id).and_then(|texts| texts.first());
        if let Some(intent) = first.and_then(|text| decode(text)) {
            self.left.insert(id, intent.line.owner);
        }
    }

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

#[cfg(test)]
mod tests;
