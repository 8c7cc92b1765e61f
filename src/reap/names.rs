//! The names of things in a quarantine.

use std::fmt::Arguments;
use std::io::Write;
use std::ops::Deref;

use crate::core::facts::Facts;

/// The longest name, that of a file in its removal: id, part, turn, and the look at the file.
const NAME_BYTES_MAX: usize = (20 + 1 + 10) + (1 + 20) + (1 + 16) + (1 + 16) + (1 + 20 + 1 + 10);

/// A name in a quarantine.
#[derive(Clone, Copy, Debug)]
pub(super) struct QuarantineName {
    bytes: [u8; NAME_BYTES_MAX],
    len: usize,
}

impl Deref for QuarantineName {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl QuarantineName {
    fn new(text: Arguments<'_>) -> Self {
        let mut bytes = [0; NAME_BYTES_MAX];
        let mut rest = &mut bytes[..];
        let written = rest.write_fmt(text);
        written.expect("invariant: there is room for the longest name");
        let len = NAME_BYTES_MAX - rest.len();
        Self { bytes, len }
    }
}

/// The name in the quarantine of a part of what is removed under `id`.
pub(super) fn quarantine_name(id: u64, part: u32) -> QuarantineName {
    match part {
        0 => QuarantineName::new(format_args!("{id}")),
        part => QuarantineName::new(format_args!("{id}.{part}")),
    }
}

/// The name in the quarantine of a file of that part while it is looked at for the last time and
/// removed. It tells which file was meant; `turn` tells the names of one file apart.
pub(super) fn removal_name(id: u64, part: u32, turn: u64, file: &Facts) -> QuarantineName {
    let (ino, size, mtime) = (file.key.ino, file.size, file.mtime);
    let (secs, nanos) = (mtime.secs, mtime.nanos);
    QuarantineName::new(format_args!(
        "{id}.{part}.{turn}.{ino:x}.{size:x}.{secs}.{nanos}"
    ))
}

/// Parses a [`removal_name`] of what was seen as `found`: the number and part, and whether the name
/// means that file.
pub(super) fn parse_removal_name(name: &[u8], found: &Facts) -> Option<((u64, u32), bool)> {
    let mut fields = std::str::from_utf8(name).ok()?.split('.');
    let (id, part) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let turn = fields.next()?.parse().ok()?;
    if fields.count() != 4 {
        return None;
    }
    Some(((id, part), *removal_name(id, part, turn, found) == *name))
}

/// The number and part behind a name in the quarantine.
pub(super) fn parse_quarantine_name(name: &[u8]) -> Option<(u64, u32)> {
    let text = std::str::from_utf8(name).ok()?;
    let (id, part) = text.split_once('.').unwrap_or((text, "0"));
    let (id, part) = (id.parse().ok()?, part.parse().ok()?);
    (*quarantine_name(id, part) == *name).then_some((id, part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::facts::{FileKey, Kind};
    use crate::core::time::FileTime;

    #[test]
    fn names_of_files_in_their_removal_mean_one_file() {
        let longest = Facts {
            kind: Kind::File,
            key: FileKey {
                dev: 0,
                ino: u64::MAX,
            },
            nlink: 1,
            size: u64::MAX,
            mtime: FileTime {
                secs: i64::MIN,
                nanos: u32::MAX,
            },
            ctime: FileTime::default(),
            btime: None,
        };
        let name = removal_name(u64::MAX, u32::MAX, u64::MAX, &longest);
        assert_eq!(name.len(), NAME_BYTES_MAX);
        let number = (u64::MAX, u32::MAX);
        assert_eq!(parse_removal_name(&name, &longest), Some((number, true)));
        let other = Facts { size: 1, ..longest };
        assert_eq!(parse_removal_name(&name, &other), Some((number, false)));
        assert_eq!(parse_quarantine_name(&name), None);
        for (id, part) in [(1, 0), (77, 3)] {
            assert_eq!(parse_removal_name(&quarantine_name(id, part), &other), None);
        }
    }

    #[test]
    fn names_in_the_quarantine_are_distinguished_from_others() {
        for (id, part) in [(1, 0), (77, 3), (u64::MAX, u32::MAX)] {
            assert_eq!(
                parse_quarantine_name(&quarantine_name(id, part)),
                Some((id, part))
            );
        }
        for other in ["", "01", "1.0", "1.", "+1", "1.2.3", "displaced-1-x", "x"] {
            assert_eq!(parse_quarantine_name(other.as_bytes()), None, "{other}");
        }
    }
}
