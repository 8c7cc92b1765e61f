//! Barriers for a backend that reads the kernel's queue by other hands: a file of our own is
//! touched, and its event marks the place.
//!
//! The kernel puts the events of one inotify instance into one queue in the order of what happened,
//! and its reader hands them on in that order. So when the event of a touch arrives,
//! everything from before the touch has arrived. The files are in memory (`memfd_create(2)`): no
//! disk can be full, no name can be in the way, and nothing has to be cleaned up.
//!
//! The kernel merges equal neighbours in its queue, so an event cannot say which of two touches it
//! is of. Therefore one touch at a time is under way, markers that come meanwhile wait for the next
//! one, and two files take turns: a late event of a touch that was given up names the file that
//! no marker waits for.
//!
//! **Invariant:** a marker is handed over after the event of a touch that was made after it was
//! asked for, or behind an overflow.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, Mode, fchmod, memfd_create};
use rustix::io::Errno;

use super::backend::Marker;
use super::fd_paths;

/// See the module.
pub(super) struct CookieFiles {
    files: [(OwnedFd, PathBuf); 2],
    /// Number of the file that was touched last.
    turn: usize,
    /// Markers that the touch under way stands for.
    flying: Vec<Marker>,
    /// Markers that the next one stands for.
    waiting: Vec<Marker>,
}

impl CookieFiles {
    /// Makes the files.
    ///
    /// # Errors
    /// When the operating system gives out none.
    pub(super) fn new() -> Result<Self, Errno> {
        let file = || {
            let file = memfd_create("lapsed-barrier", MemfdFlags::CLOEXEC)?;
            let path = fd_paths::of_own(file.as_raw_fd());
            Ok((file, path))
        };
        Ok(Self {
            files: [file()?, file()?],
            turn: 0,
            flying: Vec::new(),
            waiting: Vec::new(),
        })
    }

    /// Paths that must be watched before the first marker is asked for.
    pub(super) fn paths(&self) -> [&Path; 2] {
        self.files.each_ref().map(|(_, path)| path.as_path())
    }

    /// Asks for a marker.
    ///
    /// # Errors
    /// When the file cannot be touched: then no event comes, and [`CookieFiles::give_up`] has
    /// what is to be done.
    pub(super) fn ask(&mut self, marker: Marker) -> Result<(), Errno> {
        self.waiting.push(marker);
        if self.flying.is_empty() {
            self.touch()?;
        }
        Ok(())
    }

    /// Takes the event of `path`: the markers that have their place here. `None` when it is no file
    /// of these.
    ///
    /// # Errors
    /// As for [`CookieFiles::ask`].
    pub(super) fn arrive(&mut self, path: &Path) -> Option<Result<Vec<Marker>, Errno>> {
        let number = self.files.iter().position(|(_, own)| own == path)?;
        if number != self.turn || self.flying.is_empty() {
            return Some(Ok(Vec::new()));
        }
        let arrived = std::mem::take(&mut self.flying);
        let next = if self.waiting.is_empty() {
            Ok(())
        } else {
            self.touch()
        };
        if let Err(errno) = next {
            self.flying = arrived;
            return Some(Err(errno));
        }
        Some(Ok(arrived))
    }

    /// Events were lost, this one's perhaps: all markers, to be put behind the overflow.
    pub(super) fn give_up(&mut self) -> Vec<Marker> {
        let mut all = std::mem::take(&mut self.flying);
        all.append(&mut self.waiting);
        all
    }

    fn touch(&mut self) -> Result<(), Errno> {
        self.turn = 1 - self.turn;
        // The mode that it has: it is a change of attributes to the kernel all the same.
        fchmod(&self.files[self.turn].0, Mode::RUSR | Mode::WUSR)?;
        self.flying = std::mem::take(&mut self.waiting);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_touch_at_a_time_and_late_events_name_the_other_file() {
        let mut beacons = CookieFiles::new().unwrap();
        let paths = beacons.paths().map(Path::to_path_buf);
        let [even, odd] = &paths;
        assert_ne!(even, odd);
        let mut at = |path: &Path| beacons.arrive(path).unwrap().unwrap();
        assert!(at(odd).is_empty());
        beacons.ask(Marker::Sync(1)).unwrap();
        beacons.ask(Marker::Sync(2)).unwrap();
        let mut at = |path: &Path| beacons.arrive(path).unwrap().unwrap();
        assert!(at(even).is_empty());
        assert_eq!(at(odd), [Marker::Sync(1)]);
        // The event of the first touch again: the second one is of the other file.
        assert!(at(odd).is_empty());
        assert_eq!(at(even), [Marker::Sync(2)]);
        assert!(at(even).is_empty());
        assert!(beacons.arrive(Path::new("/elsewhere")).is_none());
    }

    #[test]
    fn after_a_loss_no_marker_is_left() {
        let mut beacons = CookieFiles::new().unwrap();
        beacons.ask(Marker::Sync(1)).unwrap();
        beacons.ask(Marker::Sync(2)).unwrap();
        assert_eq!(beacons.give_up(), [Marker::Sync(1), Marker::Sync(2)]);
        beacons.ask(Marker::Drained).unwrap();
        let late = beacons.paths()[1].to_path_buf();
        assert_eq!(beacons.arrive(&late).unwrap().unwrap(), []);
        let right = beacons.paths()[0].to_path_buf();
        assert_eq!(beacons.arrive(&right).unwrap().unwrap(), [Marker::Drained]);
    }
}
