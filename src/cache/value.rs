//! Frame of a value: a version, and a checksum over tree, key, and value.
//!
//! **Invariant:** a value is used only with the key and in the tree that it was written for.

/// Format of the cache. A cache of a newer format is refused, one of an older format is set aside.
pub const FORMAT: u64 = 4;

/// Version of a frame.
const VERSION: u8 = 1;
/// Length of version and checksum.
const HEAD_BYTES: usize = 5;

/// Tree of the database.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Tree {
    /// Records of the cache as a whole.
    Meta,
    /// Roots, by path.
    Roots,
    /// Directories, by number.
    Dirs,
    /// Pages, by number.
    Pages,
    /// Stamps, by the directory's number.
    Stamps,
}

impl Tree {
    /// All trees.
    pub const ALL: [Self; 5] = [
        Self::Meta,
        Self::Roots,
        Self::Dirs,
        Self::Pages,
        Self::Stamps,
    ];

    /// Returns its name in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Roots => "roots",
            Self::Dirs => "dirs",
            Self::Pages => "pages",
            Self::Stamps => "stamps",
        }
    }
}

/// Returns `payload` in its frame, for `key` in `tree`.
#[must_use]
pub fn frame(tree: Tree, key: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(HEAD_BYTES + payload.len());
    value.push(VERSION);
    value.extend_from_slice(&checksum(tree, key, payload).to_le_bytes());
    value.extend_from_slice(payload);
    value
}

/// Returns the payload of a frame; `None` if it was not written for `key` in `tree`, or is damaged.
pub(super) fn unframe<'v>(tree: Tree, key: &[u8], value: &'v [u8]) -> Option<&'v [u8]> {
    let (head, payload) = value.split_at_checked(HEAD_BYTES)?;
    let (version, sum) = head.split_first()?;
    let sum = u32::from_le_bytes(*sum.first_chunk()?);
    (*version == VERSION && sum == checksum(tree, key, payload)).then_some(payload)
}

fn checksum(tree: Tree, key: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[VERSION]);
    hasher.update(tree.name().as_bytes());
    hasher.update(&(key.len() as u64).to_le_bytes());
    hasher.update(key);
    hasher.update(payload);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_believed_only_where_it_belongs() {
        let value = frame(Tree::Pages, b"key", b"payload");
        assert_eq!(unframe(Tree::Pages, b"key", &value), Some(&b"payload"[..]));
        assert_eq!(unframe(Tree::Dirs, b"key", &value), None);
        assert_eq!(unframe(Tree::Pages, b"kez", &value), None);
        for at in 0..value.len() {
            let mut damaged = value.clone();
            damaged[at] ^= 1;
            assert_eq!(unframe(Tree::Pages, b"key", &damaged), None, "byte {at}");
            assert_eq!(unframe(Tree::Pages, b"key", &value[..at]), None);
        }
    }
}
