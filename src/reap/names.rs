//! The names of things in a quarantine.

use std::io::Write;
use std::ops::Deref;

/// The longest name: two numbers and a point.
const NAME_BYTES_MAX: usize = 20 + 1 + 10;

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

/// The name in the quarantine of a part of what is removed under `id`.
pub(super) fn quarantine_name(id: u64, part: u32) -> QuarantineName {
    let mut bytes = [0; NAME_BYTES_MAX];
    let mut rest = &mut bytes[..];
    let written = match part {
        0 => write!(rest, "{id}"),
        part => write!(rest, "{id}.{part}"),
    };
    written.expect("invariant: there is room for the longest name");
    let len = NAME_BYTES_MAX - rest.len();
    QuarantineName { bytes, len }
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
