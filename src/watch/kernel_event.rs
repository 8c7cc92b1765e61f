//! Events as `inotify(7)` writes them: one after the other, in a machine's own byte order.

use rustix::fs::inotify::ReadFlags;

use super::backend::{Change, RawEvent};
use super::node_id::NodeId;

/// Length of an event without its name: `wd, mask, cookie, len`.
const HEAD_BYTES: usize = 16;

/// One event as the kernel writes it.
pub(super) struct KernelEvent<'a> {
    pub(super) watch: i32,
    pub(super) mask: ReadFlags,
    cookie: u32,
    /// Empty for an event of the watched directory itself.
    pub(super) name: &'a [u8],
}

impl<'a> KernelEvent<'a> {
    /// Cuts the first event off; `None` when there is no whole one.
    pub(super) fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let word = |at: usize| {
            let bytes = bytes.get(at..at + 4)?;
            Some(u32::from_ne_bytes(bytes.try_into().ok()?))
        };
        let (watch, mask, cookie, length) = (word(0)?, word(4)?, word(8)?, word(12)?);
        let end = HEAD_BYTES.checked_add(usize::try_from(length).ok()?)?;
        let name = bytes.get(HEAD_BYTES..end)?;
        // The name is padded with NULs.
        let name = name.split(|&b| b == 0).next().unwrap_or_default();
        let event = Self {
            watch: watch.cast_signed(),
            mask: ReadFlags::from_bits_retain(mask),
            cookie,
            name,
        };
        Some((event, &bytes[end..]))
    }

    /// Appends an event as the kernel would write it, without padding.
    pub(super) fn append(
        bytes: &mut Vec<u8>,
        watch: i32,
        mask: ReadFlags,
        cookie: u32,
        name: &[u8],
    ) {
        // Longer than 255 bytes no name is that any file system of Linux takes.
        let length = u32::try_from(name.len()).unwrap_or_default();
        bytes.extend(watch.to_ne_bytes());
        for word in [mask.bits(), cookie, length] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(name);
    }

    /// Returns the event for `node`; `None` if it is none that we asked for.
    pub(super) fn raw(&self, node: NodeId) -> Option<RawEvent<'a>> {
        if self.name.is_empty() {
            let itself = self.mask.contains(ReadFlags::ATTRIB);
            return itself.then_some(RawEvent::Itself(node));
        }
        let change = if self.mask.contains(ReadFlags::MOVED_FROM) {
            Change::MovedFrom(self.cookie)
        } else if self.mask.contains(ReadFlags::MOVED_TO) {
            Change::MovedTo(self.cookie)
        } else {
            Change::Touched
        };
        Some(RawEvent::Name {
            dir: node,
            name: self.name,
            change,
            is_dir: self.mask.contains(ReadFlags::ISDIR),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(watch: i32, mask: u32, name: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let padded = if name.is_empty() { 0 } else { name.len() + 3 };
        bytes.extend(watch.to_ne_bytes());
        for word in [mask, 7, u32::try_from(padded).unwrap()] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(name);
        bytes.resize(HEAD_BYTES + padded, 0);
        bytes
    }

    #[test]
    fn events_are_read_one_after_the_other() {
        let both = [
            bytes(3, ReadFlags::CREATE.bits(), b"name"),
            bytes(-1, ReadFlags::QUEUE_OVERFLOW.bits(), b""),
        ]
        .concat();
        let (first, rest) = KernelEvent::split(&both).unwrap();
        assert_eq!((first.watch, first.name), (3, &b"name"[..]));
        let (second, rest) = KernelEvent::split(rest).unwrap();
        assert_eq!((second.watch, second.name), (-1, &b""[..]));
        assert!(KernelEvent::split(rest).is_none());
    }

    #[test]
    fn what_is_appended_is_what_is_read() {
        let mut bytes = Vec::new();
        KernelEvent::append(&mut bytes, 9, ReadFlags::MOVED_TO, 5, b"new");
        KernelEvent::append(&mut bytes, -2, ReadFlags::ATTRIB, 0, b"");
        let (first, rest) = KernelEvent::split(&bytes).unwrap();
        assert_eq!((first.watch, first.cookie, first.name), (9, 5, &b"new"[..]));
        let (second, rest) = KernelEvent::split(rest).unwrap();
        assert_eq!((second.watch, second.name), (-2, &b""[..]));
        assert_eq!((second.mask, rest.len()), (ReadFlags::ATTRIB, 0));
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_are_nothing_panics_and_it_ends(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut rest = &bytes[..];
            while let Some((_, tail)) = KernelEvent::split(rest) {
                prop_assert!(tail.len() < rest.len());
                rest = tail;
            }
        }
    }
}
