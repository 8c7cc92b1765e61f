//! The only caller of the users' file system: descriptors beneath a root, looks, renames, removals.
//!
//! **Invariant:** below a root every path is resolved by the kernel with `BENEATH | NO_SYMLINKS | NO_MAGICLINKS |
//! NO_XDEV` (`openat2(2)`): no symbolic link is followed, no mount is crossed, no `..` climbs out.
//! **Invariant:** no descriptor outlives the batch of work it was opened for, but for that of a locked quarantine.
//! **Invariant:** nothing here changes a mode or an owner.

pub mod chain;
pub mod descriptors;
pub mod dir;
pub mod error;
pub mod lease;
pub mod mounts;
pub mod quarantine;
pub mod root;
pub mod tree;

pub use dir::Dir;
pub use error::FsError;
pub use root::RootDir;

/// The name of the quarantine directory in every root. Never indexed, never watched.
pub const QUARANTINE: &[u8] = b".lapsed";
