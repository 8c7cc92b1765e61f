//! The names of things in a quarantine.

/// The name in the quarantine of a part of what is removed under `id`.
pub(super) fn lain_name(id: u64, part: u32) -> Vec<u8> {
    match part {
        0 => id.to_string(),
        part => format!("{id}.{part}"),
    }
    .into_bytes()
}

/// The number and part behind a name in the quarantine.
pub(super) fn parse_lain_name(name: &[u8]) -> Option<(u64, u32)> {
    let text = std::str::from_utf8(name).ok()?;
    let (id, part) = text.split_once('.').unwrap_or((text, "0"));
    let (id, part) = (id.parse().ok()?, part.parse().ok()?);
    (lain_name(id, part) == name).then_some((id, part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_quarantine_are_told_from_others() {
        for (id, part) in [(1, 0), (77, 3), (u64::MAX, u32::MAX)] {
            assert_eq!(parse_lain_name(&lain_name(id, part)), Some((id, part)));
        }
        for other in ["", "01", "1.0", "1.", "+1", "1.2.3", "displaced-1-x", "x"] {
            assert_eq!(parse_lain_name(other.as_bytes()), None, "{other}");
        }
    }
}
