//! The trash of a root: a directory of its quarantine, in which what was removed stays until its
//! undo window ends.
//!
//! A thing is there under the name that it had in the quarantine (`ID`, `ID.PART`). Beside it is
//! its manifest (`ID.json`), which tells all that is needed to bring it back without anything else.
//!
//! - `manifest`, `store`: the file beside a thing, and the directory
//! - `moving`: the end of the pipeline for what goes there
//! - `reading`: what is found there at a start
//! - `purge`: the way out, through the quarantine, to deletion
//! - `restore`: the way back
//! - `offline`: the same without a daemon; `notes`: what was restored so
//! - `bin`: questions and orders of others
//!
//! **Invariant:** a thing is moved to the trash after its manifest and its line in the ledger were
//! written; its manifest is removed after it has left.
//! **Invariant:** a thing without a readable manifest is displaced, never deleted.

pub(super) mod bin;
pub(super) mod manifest;
pub(super) mod moving;
pub(super) mod notes;
pub(super) mod offline;
pub(super) mod purge;
pub(super) mod reading;
pub(super) mod restore;
pub(super) mod store;
