//! Paths beneath a root, as bytes.
//!
//! **Invariant:** a [`RelPath`] has no empty, `.` or `..` component and no leading or trailing
//! slash, so joining it to a root's path can never name anything outside of the root by its
//! spelling. The empty path is the root itself.

use std::borrow::Borrow;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Name of the quarantine directory in every root. What has it, at any depth, is a quarantine:
/// ours, or that of another process whose root is within ours. It is never listed, watched or
/// removed.
pub const QUARANTINE: &[u8] = b".lapsed";

/// A path relative to a root: components joined by `/`, any bytes but `/` and NUL within them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RelPath(Box<[u8]>);

impl RelPath {
    /// The root itself.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// Takes `path` as a path beneath a root; `None` when it is absolute, or has an empty, `.`,
    /// `..` or NUL component.
    #[must_use]
    pub fn parse(path: &[u8]) -> Option<Self> {
        let sound = path.is_empty() || path.split(|&b| b == b'/').all(is_component);
        sound.then(|| Self(path.into()))
    }

    /// This path with `name` below it. `name` must be one component.
    #[must_use]
    pub fn join(&self, name: &[u8]) -> Self {
        self.join_all(std::iter::once(name))
    }

    /// Returns this path with `names` below it, each in the one before. Each must be one component.
    #[must_use]
    pub fn join_all<'a>(&self, names: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        let added: usize = names.clone().map(|name| name.len() + 1).sum();
        let mut path = Vec::with_capacity(self.0.len() + added);
        path.extend_from_slice(&self.0);
        for name in names {
            debug_assert!(is_component(name), "invariant: a name is one component");
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name);
        }
        Self(path.into())
    }

    /// The bytes, without a leading slash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns true if this is the root itself.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Parent and last component; `None` for the root itself.
    #[must_use]
    pub fn split(&self) -> Option<(Self, &[u8])> {
        let (parent, name) = self.parent_and_name()?;
        Some((Self(parent.into()), name))
    }

    /// Returns the bytes of the parent and the last component; `None` for the root itself.
    #[must_use]
    pub fn parent_and_name(&self) -> Option<(&[u8], &[u8])> {
        if self.is_root() {
            return None;
        }
        Some(match self.0.iter().rposition(|&b| b == b'/') {
            Some(slash) => (&self.0[..slash], &self.0[slash + 1..]),
            None => (&[], &self.0),
        })
    }

    /// The components, from the root down.
    #[must_use]
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&b| b == b'/').filter(|name| !name.is_empty())
    }

    /// The first component: the name of the top-level directory (or file) that this path is in.
    #[must_use]
    pub fn top(&self) -> Option<&[u8]> {
        self.components().next()
    }

    /// Returns true if this path is `ancestor` or is beneath it.
    #[must_use]
    pub fn is_within(&self, ancestor: &Self) -> bool {
        ancestor.is_root()
            || self
                .0
                .strip_prefix(&*ancestor.0)
                .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }

    /// Returns true if this path is a quarantine, or is in one.
    #[must_use]
    pub fn is_in_quarantine(&self) -> bool {
        is_in_quarantine(&self.0)
    }

    /// The absolute path below `root`.
    #[must_use]
    pub fn below(&self, root: &Path) -> PathBuf {
        if self.is_root() {
            return root.to_path_buf();
        }
        root.join(OsStr::from_bytes(&self.0))
    }
}

/// Returns true if `path`, relative to a root, is a quarantine, or is in one.
#[must_use]
pub fn is_in_quarantine(path: &[u8]) -> bool {
    path.split(|&b| b == b'/').any(|name| name == QUARANTINE)
}

/// Returns true if `name` can be one component of a path.
#[must_use]
pub fn is_component(name: &[u8]) -> bool {
    !name.is_empty() && name != b"." && name != b".." && !name.contains(&b'/') && !name.contains(&0)
}

impl Borrow<[u8]> for RelPath {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Display for RelPath {
    /// Lossy, for people's eyes; the root itself is `.`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str(".");
        }
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rel(path: &str) -> RelPath {
        RelPath::parse(path.as_bytes()).unwrap()
    }

    #[test]
    fn what_could_leave_the_root_is_no_path() {
        for bad in [
            "/",
            "/etc/passwd",
            "..",
            "a/../b",
            "a//b",
            "a/",
            "./a",
            "a/.",
            "a\0b",
        ] {
            assert_eq!(RelPath::parse(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(
            rel("a/b").below(Path::new("/srv")),
            PathBuf::from("/srv/a/b")
        );
    }

    #[test]
    fn parts_of_a_path() {
        let path = rel("a/b/c");
        let (parent, name) = path.split().unwrap();
        assert_eq!((parent, name), (rel("a/b"), &b"c"[..]));
        assert_eq!(path.top(), Some(&b"a"[..]));
        assert_eq!(RelPath::root().split(), None);
        assert_eq!(RelPath::root().join(b"x"), rel("x"));
        assert_eq!(rel("a").join(b"x"), rel("a/x"));
    }

    #[test]
    fn within_counts_whole_components() {
        assert!(rel("a/b").is_within(&rel("a")));
        assert!(rel("a").is_within(&rel("a")));
        assert!(rel("a").is_within(&RelPath::root()));
        assert!(!rel("ab").is_within(&rel("a")));
    }
}
