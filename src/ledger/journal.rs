//! Ledger: its segments, appending, reading.
//!
//! **Invariant:** bytes that were not synchronized are cut off again, and no reader returns them
//! meanwhile.
//! **Invariant:** a descriptor is never used again after a failed synchronization: the kernel may
//! have dropped the pages that it could not write (`fsync(2)`, notes on errors).

use std::collections::BTreeSet;
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use rustix::io::Errno;

use super::encode::EncodedLine;
use super::error::{LedgerError, words};
use super::ids::Ids;
use super::line::Line;
use super::segment::{
    SUFFIX, Segment, cut, cut_torn, first_at, largest_id, list, open_for_writing, whole_lines,
};
use super::stats::LedgerStats;
use crate::core::time::Timestamp;

/// Limits of segments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Size in bytes at which a segment is closed: small enough to read, compress, and ship it as a
    /// whole.
    pub segment_bytes: u64,
    /// Age of its first line at which a segment is closed.
    pub segment_age: Duration,
    /// Age, counted back from the latest removal, at which a closed segment is dropped, if all of
    /// its lines have it; `None`: never.
    pub keep_age: Option<Duration>,
    /// Size of all segments in bytes above which the oldest closed one is dropped; `None`: never.
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

/// Callback after lines were appended. It must not use the ledger.
pub type OnAppend = Box<dyn Fn() + Send + Sync>;

/// Durable record of every removal. Shared between threads.
pub struct Ledger {
    dir: PathBuf,
    options: Options,
    ids: Ids,
    state: Mutex<State>,
    on_append: RwLock<Vec<OnAppend>>,
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
    /// Oldest first; lines are appended to the last one.
    segments: Vec<Arc<Segment>>,
    /// The last segment, open for writing; `None` if the next line begins a new one.
    active: Option<Active>,
    last_at: Option<Timestamp>,
    /// Segments with bytes at their end that could not be cut off: path, and length without these.
    uncut: Vec<(PathBuf, u64)>,
    /// Number of appends that failed, and the error of the last append.
    errors: (u64, Option<String>),
}

#[derive(Debug)]
struct Active {
    file: File,
    /// Device and inode of the file.
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

    /// Checks that the file is unchanged since the last append. The error describes the change.
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
    /// Opens the ledger in the directory `dir`, which is created (mode 0700) if it is missing. Cuts
    /// off an incomplete line at the end, which a crash has left.
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
            errors: (0, None),
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
            // The largest number may be in a line before the last one.
            floor = floor.max(largest_id(&segments)?.map_or(0, |id| id + 1));
        }
        state.segments = segments.into_iter().map(Arc::new).collect();
        Ok(Self::with(dir, options, state, floor))
    }

    /// Opens the ledger in the directory `dir` for reading. Creates and changes nothing; a missing
    /// ledger is empty, and a torn line at its end is not read.
    ///
    /// # Errors
    /// When the directory or the last segment cannot be read.
    pub fn open_to_read(dir: &Path) -> Result<Self, LedgerError> {
        let mut segments = match list(dir) {
            Err(LedgerError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Vec::new()
            }
            listed => listed?,
        };
        if let Some(last) = segments.last_mut() {
            last.len = whole_lines(&last.path, last.len)?.0;
        }
        let state = State {
            segments: segments.into_iter().map(Arc::new).collect(),
            active: None,
            last_at: None,
            uncut: Vec::new(),
            errors: (0, None),
        };
        Ok(Self::with(dir, Options::default(), state, 0))
    }

    fn with(dir: &Path, options: Options, state: State, floor: u64) -> Self {
        let ledger = Self {
            dir: dir.to_path_buf(),
            options,
            ids: Ids::open(dir, floor),
            state: Mutex::new(state),
            on_append: RwLock::default(),
        };
        // Pins are set whatever the clock says. Removals are held while the clock is not trusted.
        let mut lines = ledger.newest_first(None).filter_map(Result::ok);
        let last_at = lines.find(|line| line.pin.is_none());
        ledger.state.lock().last_at = last_at.map(|line| line.at);
        ledger
    }

    /// Returns a number for a line: larger than every earlier one, across restarts and crashes.
    #[must_use]
    pub fn next_id(&self) -> u64 {
        self.ids.take()
    }

    /// Raises the next number to `floor` at least: the caller has found a number in use that the
    /// ledger does not know.
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
        let appended = self.try_append(lines);
        let (errors, failing) = &mut self.state.lock().errors;
        *errors += u64::from(appended.is_err());
        *failing = appended.as_ref().err().map(ToString::to_string);
        appended
    }

    fn try_append(&self, lines: &[EncodedLine]) -> Result<(), LedgerError> {
        let Some(newest) = lines.iter().map(|line| line.at).max() else {
            return Ok(());
        };
        let removals = lines.iter().filter(|line| !line.is_order);
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
                for on_append in self.on_append.read().iter() {
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

    /// Copies the whole lines of the segments, and the counter, into the directory `to` (0700),
    /// which must not exist. A segment that is dropped meanwhile is left out.
    ///
    /// # Errors
    /// When a segment cannot be read, or the copy cannot be written.
    pub fn copy_to(&self, to: &Path) -> Result<(), LedgerError> {
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(to)
            .map_err(LedgerError::io("make", to))?;
        for segment in self.segments() {
            segment.copy_to(to)?;
        }
        // Last: its ceiling is above every number in the copy.
        self.ids
            .copy_to(to)
            .map_err(LedgerError::io("copy the counter to", to))
    }

    /// Returns its figures.
    #[must_use]
    pub fn stats(&self) -> LedgerStats {
        let state = self.state.lock();
        let (errors, failing) = state.errors.clone();
        LedgerStats {
            segments: state.segments.len() as u64,
            bytes: state.segments.iter().map(|segment| segment.len).sum(),
            errors,
            failing,
        }
    }

    /// Adds a callback after appends.
    pub fn on_append(&self, on_append: OnAppend) {
        self.on_append.write().push(on_append);
    }

    /// Returns those of `ids` that have a line.
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

    /// Returns the segments, oldest first.
    pub(super) fn segments(&self) -> Vec<Arc<Segment>> {
        self.state.lock().segments.clone()
    }

    /// Forgets the segment, whose file was removed.
    pub(super) fn forget(&self, segment: &Arc<Segment>) {
        let mut state = self.state.lock();
        state.segments.retain(|known| !Arc::ptr_eq(known, segment));
    }

    /// Returns the instant of the last recorded removal: a clock before it is wrong.
    #[must_use]
    pub fn last_at(&self) -> Option<Timestamp> {
        self.state.lock().last_at
    }

    /// Begins a new segment if there is none to append to, or if it is full or old.
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
        // After a failed write a segment without lines has the same name.
        let floor = state
            .segments
            .last()
            .map_or(floor, |last| floor.max(last.floor + 1));
        self.ids.raise(floor);
        let path = self.dir.join(format!("{floor:020}{SUFFIX}"));
        // The directory may have been moved away as a whole.
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
    /// Stops using the active segment if it was moved, replaced, or cut: lines that were appended
    /// to it would be lost.
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
