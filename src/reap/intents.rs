//! Intents: what is about to be taken out of its place, in a file, so that a crash is undone.
//!
//! **Invariant:** a thing is moved only after its intent was written. Not synchronized: it must
//! outlive the process, not the machine; what a power failure leaves without an intent is
//! displaced, never deleted.
//! **Invariant:** an intent is settled only by a look into the quarantine that its thing was moved
//! to. While that one is elsewhere (renamed, or on a disk that is away), it is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use rustix::io::Errno;

use super::intent::{Fate, Intent, QuarantineId, Record};
use super::location::RootLocation;
use super::parts::Parts;
use crate::fs::error::reason;

/// The file in the state directory.
const FILE: &str = "intents";

/// Size at which the file is rewritten, in addition to twice the live bytes: each byte is copied
/// less than once.
const REWRITE_BYTES: u64 = 1 << 20;

/// Maximum number of parts in one record of ended parts: ~30 KB.
const ENDED_PARTS: usize = 4096;

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
    /// By number and part.
    live: BTreeMap<(u64, u32), Live>,
    /// Bytes of the records of `live`.
    live_len: u64,
    /// Removals that no thread finishes at once, such as those of the last process, and the owners
    /// of the things.
    left: BTreeMap<u64, Option<String>>,
    /// True if an owner in `left` is missing because its record could not be read.
    has_unknown_owner: bool,
}

/// Live intent: ~30 bytes in memory. Its record is read only when something has to be undone.
#[derive(Clone, Copy, Debug)]
struct Live {
    /// Position of its record in the file, and its length.
    at: u64,
    len: u32,
    /// True if a thread is at work on it: then it is not for recovery.
    in_flight: bool,
}

/// The record of an intent that recovery has taken up.
#[derive(Debug)]
pub(super) struct Taken(Vec<u8>);

impl Taken {
    pub(super) fn intent(&self) -> Intent<'_> {
        match Record::decode(&self.0) {
            Some((Record::Intent(intent) | Record::TrashIntent(intent), _)) => intent,
            _ => unreachable!("invariant: it was decoded when it was taken up"),
        }
    }

    /// Returns the fate of the part, should its removal be recorded.
    pub(super) fn fate(&self) -> Fate {
        match Record::decode(&self.0) {
            Some((Record::TrashIntent(_), _)) => Fate::Trash,
            _ => Fate::Deletion,
        }
    }

    /// Returns the inodes of the files with several names in the part.
    pub(super) fn links(&self) -> BTreeSet<u64> {
        let (_, len) = Record::decode(&self.0).expect("invariant: it was decoded before");
        match Record::decode(&self.0[len..]) {
            Some((Record::Links(inodes), _)) => inodes.into_iter().collect(),
            _ => BTreeSet::new(),
        }
    }
}

impl Intents {
    /// Reads what the last process left. A torn last record is of a thing that was not moved yet.
    pub(super) fn open(state_dir: &Path) -> io::Result<Self> {
        let path = state_dir.join(FILE);
        let mut file = options().truncate(false).open(&path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let mut state = State {
            file,
            len: bytes.len() as u64,
            live: BTreeMap::new(),
            live_len: 0,
            left: BTreeMap::new(),
            has_unknown_owner: false,
        };
        let (mut at, mut last) = (0, None);
        while let Some((record, len)) = Record::decode(&bytes[at..]) {
            match record {
                Record::Intent(intent) | Record::TrashIntent(intent) => {
                    let number = (intent.id, intent.part);
                    state.insert(number, (at as u64, len), false);
                    last = Some((number, at));
                    let owner = intent.line.owner.map(str::to_owned);
                    state.left.insert(intent.id, owner);
                }
                Record::Ended(ended) => state.end(&ended),
                // It is kept and read with its intent.
                Record::Links(_) => {
                    if let Some((number, from)) = last.filter(|(of, _)| state.live.contains_key(of))
                    {
                        state.insert(number, (from as u64, at + len - from), false);
                    }
                }
            }
            at += len;
        }
        // What follows must not join a torn record.
        state.rewrite(&path)?;
        Ok(Self {
            path,
            state: Mutex::new(state),
        })
    }

    /// The numbers that are in use.
    pub(super) fn ids(&self) -> BTreeSet<u64> {
        self.state.lock().live.keys().map(|(id, _)| *id).collect()
    }

    /// Writes intents down before the things are moved, each with the inodes of the files in it
    /// that have several names.
    pub(super) fn write<'i>(
        &self,
        intents: impl IntoIterator<Item = (Fate, Intent<'i>, Vec<u64>)>,
    ) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut ends = Vec::new();
        for (fate, intent, links) in intents {
            let key = (intent.id, intent.part);
            fate.record(intent).encode(&mut bytes);
            if !links.is_empty() {
                Record::Links(links).encode(&mut bytes);
            }
            ends.push((key, bytes.len()));
        }
        let mut state = self.state.lock();
        let len = state.len;
        if let Err(error) = state.file.write_all_at(&bytes, len) {
            // What was written of them means nothing that was moved.
            if state.file.set_len(len).is_err() {
                state.rewrite(&self.path)?;
            }
            return Err(error);
        }
        state.len += bytes.len() as u64;
        let mut from = 0;
        for (number, end) in ends {
            state.insert(number, (len + from as u64, end - from), true);
            from = end;
        }
        Ok(())
    }

    /// Returns the message for intents that cannot be written or read, with what would mend it.
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

    /// Forgets parts that are neither in the quarantine nor on their way there any more. Notes it
    /// in the file as well: otherwise the next process could find it out only by a look into the
    /// quarantine, which may be away then.
    pub(super) fn end(&self, ended: impl IntoIterator<Item = Parts>) {
        let ended: Vec<Parts> = ended.into_iter().collect();
        let state = &mut *self.state.lock();
        state.end(&ended);
        if !state.live.is_empty() {
            let mut bytes = Vec::new();
            for some in ended.chunks(ENDED_PARTS) {
                Record::Ended(some.to_vec()).encode(&mut bytes);
            }
            match state.file.write_all_at(&bytes, state.len) {
                Ok(()) => state.len += bytes.len() as u64,
                Err(_) => drop(state.file.set_len(state.len)),
            }
        }
        let tidied = if state.live.is_empty() {
            state.len = 0;
            state.file.set_len(0)
        } else if state.len > REWRITE_BYTES + 2 * state.live_len {
            state.rewrite(&self.path)
        } else {
            Ok(())
        };
        if let Err(error) = tidied {
            // A record too much is harmless: recovery finds nothing of its name.
            tracing::debug!(path = %self.path.display(), %error, "cannot tidy the intents");
        }
    }

    /// Leaves parts to recovery: they are still in the quarantine.
    pub(super) fn leave(&self, left: impl IntoIterator<Item = Parts>) {
        let mut state = self.state.lock();
        for which in left {
            for (_, live) in state.live.range_mut(range_of(which)) {
                live.in_flight = false;
            }
            state.leave(which.0);
        }
    }

    /// Notes that a thread comes back later to what goes under `id`.
    pub(super) fn postpone(&self, id: u64) {
        self.state.lock().leave(id);
    }

    /// Returns true if something that `owner` owned is still in a quarantine, and no thread is
    /// about to finish it.
    pub(super) fn has_left(&self, owner: &str) -> bool {
        let state = self.state.lock();
        let mut owners = state.left.values().flatten();
        state.has_unknown_owner || owners.any(|known| known == owner)
    }

    /// Returns true if no part of the removal `id` is in a quarantine any more.
    pub(super) fn is_done(&self, id: u64) -> bool {
        self.state
            .lock()
            .live
            .range(range_of((id, None)))
            .next()
            .is_none()
    }

    /// Returns true if this part of the removal `id` has a live intent.
    pub(super) fn is_live(&self, id: u64, part: u32) -> bool {
        self.state.lock().live.contains_key(&(id, part))
    }

    /// Counts the live parts that were moved out of the root at `place` into another quarantine
    /// than `id`.
    pub(super) fn count_elsewhere(&self, place: &RootLocation, id: Option<QuarantineId>) -> usize {
        let state = self.state.lock();
        let of_left = state
            .left
            .keys()
            .flat_map(|id| state.live.range(range_of((*id, None))));
        let taken = of_left.filter_map(|(_, live)| state.read(*live).ok());
        taken
            .filter(|taken| {
                let intent = taken.intent();
                intent.is_of(place) && !intent.is_in(id)
            })
            .count()
    }

    /// Takes up, as in flight, every part that lies in the quarantine `id` of the root at `place`
    /// and that no thread is at work on. Other parts of the same unit may lie in other roots: they
    /// are for the recovery of those.
    ///
    /// # Errors
    /// If the file cannot be read: then nothing is taken up.
    pub(super) fn take_up(
        &self,
        place: &RootLocation,
        id: Option<QuarantineId>,
    ) -> io::Result<BTreeMap<(u64, u32), Taken>> {
        let state = &mut *self.state.lock();
        let mut taken = BTreeMap::new();
        for &id_left in state.left.keys() {
            for (&number, live) in state.live.range(range_of((id_left, None))) {
                if live.in_flight {
                    continue;
                }
                let record = state.read(*live)?;
                let intent = record.intent();
                if intent.is_of(place) && intent.is_in(id) {
                    taken.insert(number, record);
                }
            }
        }
        for number in taken.keys() {
            if let Some(live) = state.live.get_mut(number) {
                live.in_flight = true;
            }
        }
        Ok(taken)
    }
}

impl State {
    fn insert(&mut self, number: (u64, u32), (at, len): (u64, usize), in_flight: bool) {
        let len = u32::try_from(len).expect("invariant: a few paths");
        let live = Live { at, len, in_flight };
        self.live_len += u64::from(len);
        if let Some(before) = self.live.insert(number, live) {
            self.live_len -= u64::from(before.len);
        }
    }

    fn end(&mut self, ended: &[Parts]) {
        for &(id, part) in ended {
            for (_, live) in self.live.extract_if(range_of((id, part)), |_, _| true) {
                self.live_len -= u64::from(live.len);
            }
            if !self.left.is_empty() && self.live.range(range_of((id, None))).next().is_none() {
                self.left.remove(&id);
            }
        }
        if self.left.is_empty() {
            self.has_unknown_owner = false;
        }
    }

    /// Notes whose it is that no thread finishes at once.
    fn leave(&mut self, id: u64) {
        let Some((_, first)) = self.live.range(range_of((id, None))).next() else {
            return;
        };
        let owner = if let Ok(taken) = self.read(*first) {
            taken.intent().line.owner.map(str::to_owned)
        } else {
            self.has_unknown_owner = true;
            None
        };
        self.left.insert(id, owner);
    }

    fn read(&self, live: Live) -> io::Result<Taken> {
        let mut bytes = vec![0; live.len as usize];
        self.file.read_exact_at(&mut bytes, live.at)?;
        match Record::decode(&bytes) {
            Some((Record::Intent(_) | Record::TrashIntent(_), _)) => Ok(Taken(bytes)),
            Some((Record::Ended(_) | Record::Links(_), _)) | None => {
                Err(io::ErrorKind::InvalidData.into())
            }
        }
    }

    /// Replaces the file by one that has only what is live.
    fn rewrite(&mut self, path: &Path) -> io::Result<()> {
        let file = replace(path, |new| {
            self.live
                .values()
                .try_for_each(|live| new.write_all(&self.read(*live)?.0))
        })?;
        self.file = file;
        self.len = 0;
        for live in self.live.values_mut() {
            live.at = self.len;
            self.len += u64::from(live.len);
        }
        Ok(())
    }
}

fn range_of((id, part): Parts) -> std::ops::RangeInclusive<(u64, u32)> {
    (id, part.unwrap_or(0))..=(id, part.unwrap_or(u32::MAX))
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).mode(0o600);
    options
}

/// Replaces the file at `path` by a new one with what `write` writes.
fn replace(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> io::Result<File> {
    let fresh = path.with_extension("new");
    let file = options().truncate(true).open(&fresh)?;
    let mut new = BufWriter::new(&file);
    write(&mut new)?;
    new.flush()?;
    drop(new);
    // Old records may be older than the machine's last start: they deserve to stay that durable.
    file.sync_data()?;
    rustix::fs::rename(&fresh, path)?;
    Ok(file)
}

#[cfg(test)]
mod tests;
