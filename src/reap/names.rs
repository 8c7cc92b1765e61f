//! The names of things in a quarantine.

use std::fmt::Arguments;
use std::io::Write;
use std::ops::Deref;

use base64::Engine as _;
use base64::display::Base64Display;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::core::facts::Facts;

/// Number of files of a directory that leave through one name. With it the longest name is as long
/// as stacked file systems allow (143 bytes).
pub(super) const FILES_PER_NAME: usize = 8;

/// Bytes of the digest of a file in a name.
const DIGEST_BYTES: usize = 8;

/// The longest name, that of files in their removal: id, part, turn, and digests in base64.
const NAME_BYTES_MAX: usize =
    (20 + 1 + 10) + (1 + 20) + 1 + (FILES_PER_NAME * DIGEST_BYTES * 4).div_ceil(3);

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

/// The name in the quarantine through which `files` of that part leave, at most
/// [`FILES_PER_NAME`]. It tells which files are meant, for a crash that leaves one of them there;
/// `turn` tells the names of one part apart.
pub(super) fn removal_name<'f>(
    id: u64,
    part: u32,
    turn: u64,
    files: impl Iterator<Item = &'f Facts>,
) -> QuarantineName {
    let mut digests = [0; FILES_PER_NAME * DIGEST_BYTES];
    let mut len = 0;
    for (place, file) in digests.chunks_mut(DIGEST_BYTES).zip(files) {
        place.copy_from_slice(&digest(file));
        len += DIGEST_BYTES;
    }
    let digests = Base64Display::new(&digests[..len], &URL_SAFE_NO_PAD);
    QuarantineName::new(format_args!("{id}.{part}.{turn}.{digests}"))
}

/// The digest of what identifies a file: inode, size and modification time. A move leaves them as
/// they are.
fn digest(file: &Facts) -> [u8; DIGEST_BYTES] {
    let mut of = [0; 28];
    of[..8].copy_from_slice(&file.key.ino.to_le_bytes());
    of[8..16].copy_from_slice(&file.size.to_le_bytes());
    of[16..24].copy_from_slice(&file.mtime.secs.to_le_bytes());
    of[24..].copy_from_slice(&file.mtime.nanos.to_le_bytes());
    let digest = Sha256::digest(of);
    std::array::from_fn(|at| digest[at])
}

/// Parses a [`removal_name`] of what was seen as `found`: the number and part, and whether the name
/// means that file.
pub(super) fn parse_removal_name(name: &[u8], found: &Facts) -> Option<((u64, u32), bool)> {
    let mut fields = std::str::from_utf8(name).ok()?.split('.');
    let number = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    fields.next()?.parse::<u64>().ok()?;
    let digests = URL_SAFE_NO_PAD.decode(fields.next()?).ok()?;
    let found = digest(found);
    let is_meant = digests.chunks(DIGEST_BYTES).any(|digest| *digest == found);
    fields.next().is_none().then_some((number, is_meant))
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
    fn names_of_files_in_their_removal_mean_these_files() {
        let longest = Facts {
            kind: Kind::File,
            key: FileKey {
                dev: 0,
                ino: u64::MAX,
            },
            nlink: 1,
            size: u64::MAX,
            blocks: 8,
            mtime: FileTime {
                secs: i64::MIN,
                nanos: u32::MAX,
            },
            ctime: FileTime::default(),
            btime: None,
        };
        let all: Vec<Facts> = (0..8).map(|size| Facts { size, ..longest }).collect();
        let name = removal_name(u64::MAX, u32::MAX, u64::MAX, all.iter());
        assert_eq!(name.len(), NAME_BYTES_MAX);
        let number = (u64::MAX, u32::MAX);
        for file in &all {
            assert_eq!(parse_removal_name(&name, file), Some((number, true)));
        }
        let other = Facts { size: 8, ..longest };
        assert_eq!(parse_removal_name(&name, &other), Some((number, false)));
        let few = removal_name(u64::MAX, u32::MAX, u64::MAX, all[..3].iter());
        assert_eq!(parse_removal_name(&few, &all[2]), Some((number, true)));
        assert_eq!(parse_removal_name(&few, &all[3]), Some((number, false)));
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
