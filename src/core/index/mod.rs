//! Every known file and directory, in memory: packed pages of entries, a tree of directories, and
//! sums.
//!
//! - [`Index`] is the read side, shared by all; [`Writer`] is the only way to change it, and there
//!   is one.
//! - A [`Page`] holds entries of one directory in order of arrival, in one exact-size blob. A
//!   change writes a new blob and swaps it in: a reader that holds the old one keeps reading the
//!   old state.
//! - Directories are records with a number; pages hang on the number, so that renaming a directory
//!   touches no page.
//! - What spans pages (which page belongs where, sums) stands in the catalog behind one lock, which
//!   is held for a step at a time, and never while pages are packed or unpacked by the writer.
//!
//! **Invariant:** pure. No I/O, no clock, fixed hashes: the same calls give the same index, page
//! numbers included.
//! **Invariant:** a name stands in exactly one page of its directory. Replacing an entry keeps its
//! page and place.
//! **Invariant:** entries change pages only when two pages merge, and the merged page keeps the
//! number of the one with the earlier deadline: a timer that was set for either still fires in
//! time. [`Index::snapshot`] sees every entry exactly once, whatever merges meanwhile.
//! **Invariant:** sums are never estimates: they are changed by the same step that changes the
//! entries.
//!
//! A root may hold up to 2³² − 1 files, and so may the index.

mod catalog;
mod codec;
mod dir_pages;
mod directories;
mod forecast;
pub(in crate::core) mod hash;
mod image;
mod names;
mod next;
mod page;
mod page_builder;
mod page_sums;
mod pages;
mod reader;
mod record;
mod restore;
mod rule_usage;
mod term;
mod tree_writer;
mod unit;
mod usage;
mod writer;

#[cfg(test)]
mod model_test;
#[cfg(test)]
mod saved_walk_test;
#[cfg(test)]
mod scale_test;
#[cfg(test)]
mod walk_test;

pub use directories::DirFacts;
pub use forecast::Forecast;
pub use image::Stamp;
pub use page::Page;
#[cfg(test)]
pub(in crate::core) use page::UNPACKED;
pub use reader::{Dir, Index, Top, Totals};
pub use record::{DirId, PageId, Record, RemoveOutcome, Unsaved};
pub use restore::{RestoreLosses, Restored, Restorer};
pub use rule_usage::RuleUsage;
pub use tree_writer::Dropped;
pub use unit::{UnitRule, UnitState};
pub use writer::Writer;
