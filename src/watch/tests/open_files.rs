//! Files that other tests of this process keep open without wanting to.

use std::path::Path;

use super::harness::walk;
use crate::common::machine::Deadline;
use crate::fs::RootDir;
use crate::fs::lease::{Lease, LeaseError, WhenBusy};

/// Waits until no file of the tree is open. A program that another test starts has a copy of every
/// descriptor of this process until it is executed: a file that was written and closed here stays
/// open until then, and the kernel raises `IN_CLOSE_WRITE` only at the end.
pub fn await_closed(root: &Path) {
    let top = RootDir::open(root).unwrap();
    let deadline = Deadline::new();
    for (path, (key, ..)) in walk(root).0 {
        let (dir, name) = path.split().unwrap();
        // What cannot be entered is not written either.
        let Ok(dir) = top.dir(&dir) else { continue };
        while let Err(LeaseError::Open) = Lease::take(&dir, name, key, WhenBusy::Wait) {
            assert!(!deadline.is_over(), "{path:?} stays open");
            std::thread::yield_now();
        }
    }
}
