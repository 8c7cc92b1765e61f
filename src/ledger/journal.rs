//! The ledger itself: segments, appending, reading newest first.
//!
//! **Invariant:** what was not synchronized is cut off again, and does not show to readers meanwhile.
//! **Invariant:** after a failed synchronization its descriptor is not trusted again: the kernel may have dropped what it
//! could not write, and forgotten about it (`fsync(2)`, notes on errors).

use std::collections::BTreeSet;
use std::fs::{File, Permissions};
use std::os::unix::fs::{DirBuilderExt, FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::io::Errno;

use super::encode::EncodedLine;
use super::error::{LedgerError, words};
use super::ids::Ids;
use super::line::Line;
use super::newest::{NewestFirst, Stretch};
use super::segment::{
    SUFFIX, Segment, cut, cut_torn, first_at, largest_id, list, open_for_writing,
};
use crate::core::time::Timestamp;
use crate::core::totals::Cursor;

/// When a new segment is begun, and how long old ones are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// A segment is closed when it has reached this size: small enough to be read whole, to compress and to ship.
    pub segment_bytes: u64,
    /// A segment is closed when its first line is as old as this.
    pub segment_age: Duration,
    /// A closed segment is dropped when all of its lines are older than the latest removal by this; `None`: never.
    pub keep_age: Option<Duration>,
    /// The oldest closed segment is dropped while all of them are larger than this; `None`: never.
    pub keep_bytes: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 16 << 20,
            segment_age: Duration::from_hours(30 * 24),
            keep_age: None,
            keep_bytes: None,
        }
    }
}

/// What is called after lines were appended. Must not use the ledger.
pub type OnAppend = Box<dyn Fn() + Send + Sync>;

/// The durable record of every removal. Shared between threads.
pub struct Ledger {
    dir: PathBuf,
    options: Options,
    ids: Ids,
    state: Mutex<State>,
    on_append: OnceLock<OnAppend>,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct State {
    /// Oldest first; the last one is appended to.
    segments: Vec<Arc<Segment>>,
    /// The last segment, opened for writing; `None` when the next line begins a new one.
    active: Option<Active>,
    last_at: Option<Timestamp>,
    /// Segments that end with bytes which could not be cut off: path and good length.
    uncut: Vec<(PathBuf, u64)>,
}

#[derive(Debug)]
struct Active {
    file: File,
    /// Which file it is: its device and inode.
    key: (u64, u64),
    first_at: Option<Timestamp>,
}

impl Active {
    fn of(file: File, path: &Path) -> Result<Self, LedgerError> {
        let stat = rustix::fs::fstat(&file)
            .map_err(|error| LedgerError::io("look at", path)(error.into()))?;
        Ok(Self {
            file,
            key: (stat.st_dev, stat.st_ino),
            first_at: None,
        })
    }

    /// Checks that the file is as it was left; else says what became of it.
    fn check(&self, segment: &Segment) -> Result<(), String> {
        let stat = match rustix::fs::stat(&segment.path) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Err("it was moved away or deleted".to_owned()),
            Err(error) => return Err(format!("it cannot be looked at: {}", words(&error.into()))),
        };
        if (stat.st_dev, stat.st_ino) != self.key {
            return Err("another file is in its place".to_owned());
        }
        let len = u64::try_from(stat.st_size).unwrap_or_default();
        if len != segment.len {
            let was = segment.len;
            return Err(format!(
                "it has {len} bytes, and had {was} when it was last written"
            ));
        }
        Ok(())
    }
}

impl Ledger {
    /// Opens the ledger in the directory `dir`, made (mode 0700) when it is missing. Cuts off what a crash left of a line at
    /// the end.
    ///
    /// # Errors
    /// When the directory or the last segment cannot be read or written.
    pub fn open(dir: &Path, options: Options) -> Result<Self, LedgerError> {
        make_dir(dir)?;
        let mut segments = list(dir)?;
        let mut state = State {
            segments: Vec::new(),
            active: None,
            last_at: None,
            uncut: Vec::new(),
        };
        let mut floor = 0;
        if let Some(last) = segments.pop() {
            let (len, newest) = cut_torn(&last.path, last.len)?;
            floor = last.floor.max(newest.map_or(0, |id| id + 1));
            state.active = Some(Active {
                first_at: first_at(&last.path),
                ..Active::of(open_for_writing(&last.path, false)?, &last.path)?
            });
            segments.push(Segment { len, ..last });
            // The largest number may stand a little before the last line.
            floor = floor.max(largest_id(&segments)?.map_or(0, |id| id + 1));
        }
        state.segments = segments.into_iter().map(Arc::new).collect();
        let ledger = Self {
            dir: dir.to_path_buf(),
            options,
            ids: Ids::open(dir, floor),
            state: Mutex::new(state),
            on_append: OnceLock::new(),
        };
        // Pins are set whatever the clock says; removals are held while it cannot be believed.
        let mut lines = ledger.newest_first(None).filter_map(Result::ok);
        let last_at = lines.find(|line| line.pin.is_none());
        ledger.state.lock().last_at = last_at.map(|line| line.at);
        Ok(ledger)
    }

    /// A number for a line: larger than every one before, over restarts and crashes.
    #[must_use]
    pub fn next_id(&self) -> u64 {
        self.ids.take()
    }

    /// Gives no number below `floor` any more: somebody has found one in use that the ledger does not know of.
    pub fn raise_ids(&self, floor: u64) {
        self.ids.raise(floor);
    }

    /// Encodes `lines` and appends them: see [`Ledger::append_encoded`].
    ///
    /// # Errors
    /// As [`Ledger::append_encoded`], and when a line cannot be kept within its limit.
    pub fn append<'l>(&self, lines: impl IntoIterator<Item = &'l Line>) -> Result<(), LedgerError> {
        let encoded: Result<Vec<EncodedLine>, _> = lines.into_iter().map(Line::encode).collect();
        self.append_encoded(&encoded?)
    }

    /// Appends `lines` with one write and one `fdatasync(2)`: all of them or none.
    ///
    /// # Errors
    /// When the disk is full or fails. The ledger cuts off what was written, and can be used again
    /// as soon as the disk can.
    ///
    /// # Panics
    /// Never: making room ends with a segment to append to, or with an error.
    pub fn append_encoded(&self, lines: &[EncodedLine]) -> Result<(), LedgerError> {
        let Some(newest) = lines.iter().map(|line| line.at).max() else {
            return Ok(());
        };
        let removals = lines.iter().filter(|line| !line.is_pin);
        let removed = removals.map(|line| line.at).max();
        let bytes: Vec<&[u8]> = lines.iter().map(|line| &line.bytes[..]).collect();
        let bytes = bytes.concat();
        let mut state = self.state.lock();
        state.uncut.retain(|(path, len)| cut(path, *len).is_err());
        state.leave_if_changed();
        self.make_room(&mut state, newest)?;
        let last = state
            .segments
            .last()
            .cloned()
            .expect("invariant: room was made in a segment");
        let active = state
            .active
            .as_mut()
            .expect("invariant: room was made in a segment");
        let written = active
            .file
            .write_all_at(&bytes, last.len)
            .map_err(|error| (error, false))
            .and_then(|()| active.file.sync_data().map_err(|error| (error, true)));
        match written {
            Ok(()) => {
                active.first_at.get_or_insert(newest);
                let grown = Segment {
                    path: last.path.clone(),
                    floor: last.floor,
                    len: last.len + bytes.len() as u64,
                    span: Mutex::new(None),
                };
                *state
                    .segments
                    .last_mut()
                    .expect("invariant: room was made in a segment") = Arc::new(grown);
                state.last_at = state.last_at.max(removed);
                drop(state);
                if let Some(on_append) = self.on_append.get() {
                    on_append();
                }
                Ok(())
            }
            Err((error, unsynced)) => {
                let cut = active.file.set_len(last.len);
                if cut.is_err() {
                    state.uncut.push((last.path.clone(), last.len));
                }
                if unsynced || cut.is_err() {
                    state.active = None;
                }
                Err(LedgerError::io("append to", &last.path)(error))
            }
        }
    }

    /// The lines, newest first; those before the place `before`, where one is given. Appending goes on meanwhile; what is appended
    /// after this call does not show.
    #[must_use]
    pub fn newest_first(&self, before: Option<Cursor>) -> NewestFirst {
        NewestFirst::new(self.segments(), before)
    }

    /// What was appended after the place `from`, a segment at a time, oldest first.
    #[must_use]
    pub fn stretches(&self, from: Option<Cursor>) -> Vec<Stretch> {
        Stretch::all_after(self.segments(), from)
    }

    /// Has `on_append` called after lines were appended. The first call counts.
    pub fn on_append(&self, on_append: OnAppend) {
        let _ = self.on_append.set(on_append);
    }

    /// Which of `ids` have a line.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn contains(&self, ids: &BTreeSet<u64>) -> Result<BTreeSet<u64>, LedgerError> {
        let segments = self.segments();
        let mut found = BTreeSet::new();
        for (age, segment) in segments.iter().rev().enumerate() {
            let Some(&oldest) = ids.difference(&found).next() else {
                break;
            };
            if segment.may_hold(ids, age > 0) {
                segment.scan(age > 0, |id| {
                    if ids.contains(&id) {
                        found.insert(id);
                    }
                })?;
            }
            if segment.floor <= oldest {
                break;
            }
        }
        Ok(found)
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    /// The segments, oldest first.
    pub(super) fn segments(&self) -> Vec<Arc<Segment>> {
        self.state.lock().segments.clone()
    }

    /// Reads the segment no more.
    pub(super) fn forget(&self, segment: &Arc<Segment>) {
        let mut state = self.state.lock();
        state.segments.retain(|known| !Arc::ptr_eq(known, segment));
    }

    /// When the last removal that was recorded happened: a clock that stands before it is wrong.
    #[must_use]
    pub fn last_at(&self) -> Option<Timestamp> {
        self.state.lock().last_at
    }

    /// Begins a new segment when there is none to append to, or it is full or old.
    fn make_room(&self, state: &mut State, newest: Timestamp) -> Result<(), LedgerError> {
        let full = state
            .segments
            .last()
            .is_none_or(|last| last.len >= self.options.segment_bytes);
        let old = state
            .active
            .as_ref()
            .and_then(|active| active.first_at)
            .is_some_and(|first| newest >= first.after(self.options.segment_age));
        if state.active.is_some() && !full && !old {
            return Ok(());
        }
        let floor = self.ids.peek();
        // A segment without lines, after a failed write, has the same name: go past it.
        let floor = state
            .segments
            .last()
            .map_or(floor, |last| floor.max(last.floor + 1));
        self.ids.raise(floor);
        let path = self.dir.join(format!("{floor:020}{SUFFIX}"));
        // Somebody may have moved it away as a whole.
        make_dir(&self.dir)?;
        let file = open_for_writing(&path, true)?;
        File::open(&self.dir)
            .and_then(|dir| dir.sync_all())
            .map_err(LedgerError::io("synchronize", &self.dir))?;
        state.active = Some(Active::of(file, &path)?);
        state.segments.push(Arc::new(Segment {
            path,
            floor,
            len: 0,
            span: Mutex::new(None),
        }));
        Ok(())
    }
}

impl State {
    /// Gives up the active segment when somebody has moved, replaced or cut it: what would be appended to it were on no record.
    fn leave_if_changed(&mut self) {
        let (Some(active), Some(segment)) = (&self.active, self.segments.last()) else {
            return;
        };
        if let Err(why) = active.check(segment) {
            tracing::warn!(
                segment = %segment.path.display(),
                why,
                "the ledger's newest segment was changed while it is in use: a new one is begun; \
                 move only older segments, or set ledger.keep"
            );
            self.active = None;
        }
    }
}

fn make_dir(dir: &Path) -> Result<(), LedgerError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(LedgerError::io("make", dir))?;
    std::fs::set_permissions(dir, Permissions::from_mode(0o700))
        .map_err(LedgerError::io("restrict", dir))
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
