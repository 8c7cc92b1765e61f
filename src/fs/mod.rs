//! Access to the users' file systems: descriptors beneath a root, looks, renames, removals. No
//! other part calls them.
//!
//! **Invariant:** below a root the kernel resolves every path with `BENEATH | NO_SYMLINKS |
//! NO_MAGICLINKS | NO_XDEV` (`openat2(2)`): it follows no symbolic link, crosses no mount, and
//! leaves the root by no `..`.
//! **Invariant:** no descriptor outlives the batch of work that it was opened for, except for that
//! of a locked quarantine.
//! **Invariant:** this part changes mode and owner of nothing but directories that it has just
//! made.
//!
#![doc = include_str!("DESIGN.md")]

pub mod chain;
pub mod descriptors;
pub mod dir;
pub mod error;
pub mod file_watch;
pub mod lease;
mod made_dirs;
pub mod mounts;
mod open;
pub mod quarantine;
pub mod root;
pub mod space;
pub mod tree;
pub mod walk;

pub use dir::Dir;
pub use error::FsError;
pub use made_dirs::DirAttributes;
pub use root::RootDir;

pub use crate::core::path::QUARANTINE;
