//! The index's hashes.
//!
//! **Invariant:** fixed: no key, no random state, so that runs repeat. Names that collide cost
//! time, never truth: whatever a table finds is compared with the name itself.

use std::hash::{BuildHasherDefault, Hasher};

/// Odd constants with well-mixed bits: the fractions of √2 and √3.
const FIRST: u64 = 0x6a09_e667_f3bc_c909;
const SECOND: u64 = 0xbb67_ae85_84ca_a73b;

/// Hashes a name within a directory; `seed` tells directories apart where that matters.
pub(in crate::core) fn name_hash(seed: u32, name: &[u8]) -> u64 {
    let mut state = mix(
        u64::from(seed) ^ FIRST,
        (name.len() as u64).wrapping_add(SECOND),
    );
    let (words, rest) = name.as_chunks::<8>();
    for word in words {
        state = mix(state ^ u64::from_le_bytes(*word), SECOND);
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(state ^ u64::from_le_bytes(last), FIRST)
}

/// The byte by which a page is searched, from bits that the tables neither place nor tag by.
pub(in crate::core) fn fingerprint(hash: u64) -> u8 {
    hash.to_le_bytes()[5]
}

/// The places of `wanted` among `fingerprints`, sixteen looked at in one go: most runs have none.
pub(super) fn matching(fingerprints: &[u8], wanted: u8) -> impl Iterator<Item = usize> {
    let (runs, rest) = fingerprints.as_chunks::<16>();
    let done = fingerprints.len() - rest.len();
    let runs = (0..).step_by(16).zip(runs);
    // No early exit: that is what makes it one comparison for the whole run.
    let hits = move |run: &[u8; 16]| run.iter().fold(0, |any, &m| any | u8::from(m == wanted));
    let found = runs.filter(move |(_, run)| hits(run) != 0);
    let slices = found
        .map(|(start, run)| (start, &run[..]))
        .chain([(done, rest)]);
    slices.flat_map(move |(start, run)| {
        let places = (start..).zip(run);
        places.filter(move |&(_, &m)| m == wanted).map(|(at, _)| at)
    })
}

/// Mixes a number.
pub(in crate::core) fn number_hash(number: u64) -> u64 {
    mix(number ^ FIRST, SECOND)
}

/// Both halves of the product of `a` and `b`, folded.
fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    let bytes = product.to_le_bytes();
    let (halves, _) = bytes.as_chunks::<8>();
    u64::from_le_bytes(halves[0]) ^ u64::from_le_bytes(halves[1]) ^ a
}

/// Hashes page numbers for the page map.
#[derive(Default)]
pub(super) struct PageHasher(u64);

/// Makes [`PageHasher`]s.
pub(super) type PageHash = BuildHasherDefault<PageHasher>;

impl Hasher for PageHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = number_hash(self.0 ^ u64::from(number));
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 ^= name_hash(0, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_names_spread_over_all_bits() {
        let count = 1 << 14;
        let hashes: Vec<u64> = (0..count)
            .map(|i| name_hash(7, format!("upload-{i:08}.dat").as_bytes()))
            .collect();
        for bit in 0..64 {
            let ones = hashes.iter().filter(|&hash| hash >> bit & 1 == 1).count();
            assert!(
                (count * 2 / 5..count * 3 / 5).contains(&ones),
                "bit {bit}: {ones}"
            );
        }
        let mut distinct = hashes.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), count);
    }

    #[test]
    fn marks_are_found_in_order_wherever_they_stand() {
        for len in [0, 1, 15, 16, 17, 40, 256] {
            let fingerprints: Vec<u8> = (0..5).cycle().take(len).collect();
            let expected: Vec<usize> = (0..len).filter(|at| at % 5 == 3).collect();
            assert_eq!(matching(&fingerprints, 3).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn length_and_seed_count() {
        assert_ne!(name_hash(0, b"a"), name_hash(0, b"a\0"));
        assert_ne!(name_hash(0, b""), name_hash(0, b"\0"));
        assert_ne!(name_hash(0, b"a"), name_hash(1, b"a"));
    }
}
