//! A page: entries of one directory in order of arrival, packed into one exact-size blob.
//!
//! The blob holds, one after the other, for `n` entries:
//!
//! | part | bytes | what |
//! | --- | --- | --- |
//! | terms | 11 each | the distinct (class, time to live) pairs |
//! | basis | `width` × n | basis − the page's earliest basis, little endian |
//! | fingerprints | n | a byte of each name's hash: what a search looks at first |
//! | lengths | n, or 2 n | of the names; two bytes each when one is longer than 255 |
//! | which | n, or none | number of the entry's terms, where there are several |
//! | names | | one behind the other |
//! | rest | | size, inode − the previous entry's, mtime − basis: as LEB128, differences wrap |
//! | | | unless the page is plain: blocks − the usual ones, number of names − 1, likewise |
//!
//! **Invariant:** immutable, and never empty. A change makes a new page.
//! **Invariant:** every value of every field comes back as it was: differences wrap instead of
//! saturating.

use super::codec::{take, unfold_sign};
use super::hash::{fingerprint, matching, name_hash};
use super::record::{DirId, Record};
use super::term::{TERM_BYTES, unpack_term};
use crate::core::facts::{RuleId, usual_blocks};
use crate::core::policy::Class;
use crate::core::time::Timestamp;

/// Up to 256 entries of one directory, in order of arrival. Immutable: a change swaps in a new
/// page.
#[derive(Debug)]
pub struct Page {
    pub(super) dir: DirId,
    /// Number of entries, 1 to 256.
    pub(super) count: u16,
    /// Number of terms, 1 to 256.
    pub(super) terms: u16,
    /// Bytes of one basis: 0 to 8.
    pub(super) width: u8,
    /// Lengths of names take two bytes.
    pub(super) wide: bool,
    /// All entries take the usual blocks, and have one name.
    pub(super) plain: bool,
    pub(super) names_bytes: u32,
    /// The earliest basis, in milliseconds.
    pub(super) base: i64,
    /// Earliest and latest own deadline in milliseconds; the first behind the last when there is
    /// none.
    pub(super) span: (i64, i64),
    /// Sum of the sizes of its entries, at most [`u64::MAX`].
    pub(super) bytes: u64,
    /// Sum of their blocks, likewise.
    pub(super) blocks: u64,
    /// The most blocks of one entry, at most [`u32::MAX`].
    pub(super) largest: u32,
    pub(super) blob: Box<[u8]>,
}

#[cfg(test)]
thread_local! {
    /// Number of pages that this thread has unpacked, for tests that bound work.
    pub(in crate::core) static UNPACKED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// The parts of a blob.
struct Parts<'a> {
    fingerprints: &'a [u8],
    lengths: &'a [u8],
    which: &'a [u8],
    names: &'a [u8],
    rest: &'a [u8],
}

impl Page {
    /// The directory that the entries are in.
    #[must_use]
    pub fn dir(&self) -> DirId {
        self.dir
    }

    /// Number of entries: 1 to 256.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a page is never empty")]
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Names and records, in order of arrival.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], Record)> {
        self.unpack()
    }

    /// Returns the sum of the sizes of its entries, at most [`u64::MAX`].
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the sum of the blocks of its entries, at most [`u64::MAX`].
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Returns a number that no entry's blocks exceed.
    #[must_use]
    pub fn largest(&self) -> u64 {
        match self.largest {
            u32::MAX => u64::MAX,
            blocks => blocks.into(),
        }
    }

    /// Returns the earliest timestamp that a rule counts from, of any entry.
    #[must_use]
    pub fn first_basis(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.base)
    }

    /// Returns true if no entry has another name.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// Classes of its entries, some of them more than once.
    pub fn classes(&self) -> impl Iterator<Item = Class> {
        (0..self.terms.into()).map(|number| self.term(number).0)
    }

    /// Returns the class of all of its entries; `None` when they differ in it or in their time to
    /// live.
    #[must_use]
    pub fn only_class(&self) -> Option<Class> {
        self.classes().next().filter(|_| self.terms == 1)
    }

    /// Returns the rule by which all of its entries lapse by themselves until `until` (included).
    pub(super) fn all_due(&self, until: Timestamp) -> Option<RuleId> {
        let (first, last) = self.span;
        match self.only_class()? {
            Class::File(rule) if first <= last && last <= until.unix_ms() => Some(rule),
            Class::Unruled | Class::Kept(_) | Class::File(_) | Class::Dir(_) | Class::Job(_) => {
                None
            }
        }
    }

    /// The earliest own deadline; `None` when no entry lapses by itself.
    #[must_use]
    pub fn min_deadline(&self) -> Option<Timestamp> {
        let (first, last) = self.span;
        (first <= last).then(|| Timestamp::from_unix_ms(first))
    }

    /// The entries whose own deadline is not after `now`, in order of arrival.
    pub fn due(&self, now: Timestamp) -> impl Iterator<Item = (&[u8], Record)> {
        let some = self.min_deadline().is_some_and(|first| first <= now);
        some.then(|| self.unpack())
            .into_iter()
            .flatten()
            .filter(move |(_, record)| record.deadline().is_some_and(|at| at <= now))
    }

    /// The entry that is called `name`.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<Record> {
        self.place_of(name, name_hash(self.dir.0, name))
            .map(|at| self.record(at))
    }

    /// The place of the entry that is called `name`; `hash` is its hash.
    pub(super) fn place_of(&self, name: &[u8], hash: u64) -> Option<usize> {
        let parts = self.parts();
        let mut from = 0;
        let mut offset = 0;
        for at in matching(parts.fingerprints, fingerprint(hash)) {
            if self.length(parts.lengths, at) != name.len() {
                continue;
            }
            offset += self.lengths_sum(parts.lengths, from, at);
            from = at;
            if parts.names[offset..].starts_with(name) {
                return Some(at);
            }
        }
        None
    }

    /// The record at place `at`.
    pub(super) fn record(&self, at: usize) -> Record {
        let entry = self.unpack().nth(at);
        entry.expect("invariant: a place within the page").1
    }

    /// All fingerprints, and all names one behind the other.
    pub(super) fn columns(&self) -> (&[u8], &[u8]) {
        let parts = self.parts();
        (parts.fingerprints, parts.names)
    }

    /// The numbers of the entries' terms; empty where there is one term only.
    pub(super) fn which(&self) -> &[u8] {
        self.parts().which
    }

    /// Returns the name of the entry at place `at`.
    pub(in crate::core) fn name(&self, at: usize) -> Option<&[u8]> {
        self.names().nth(at)
    }

    /// The lengths of the names, in order of arrival.
    pub(super) fn name_lengths(&self) -> impl Iterator<Item = usize> {
        let lengths = self.parts().lengths;
        (0..self.len()).map(move |at| self.length(lengths, at))
    }

    /// The names, in order of arrival.
    pub(super) fn names(&self) -> impl Iterator<Item = &[u8]> {
        let parts = self.parts();
        let mut offset = 0;
        (0..self.len()).map(move |at| {
            let start = offset;
            offset += self.length(parts.lengths, at);
            &parts.names[start..offset]
        })
    }

    pub(super) fn unpack(&self) -> Unpack<'_> {
        #[cfg(test)]
        UNPACKED.set(UNPACKED.get() + 1);
        Unpack {
            page: self,
            parts: self.parts(),
            at: 0,
            name_at: 0,
            rest_at: 0,
            ino: 0,
        }
    }

    fn parts(&self) -> Parts<'_> {
        let count = self.len();
        let head = usize::from(self.terms) * TERM_BYTES + usize::from(self.width) * count;
        let (fingerprints, rest) = self.blob[head..].split_at(count);
        let (lengths, rest) = rest.split_at(if self.wide { 2 * count } else { count });
        let (which, rest) = rest.split_at(if self.terms > 1 { count } else { 0 });
        let (names, rest) = rest.split_at(self.names_bytes as usize);
        Parts {
            fingerprints,
            lengths,
            which,
            names,
            rest,
        }
    }

    fn length(&self, lengths: &[u8], at: usize) -> usize {
        if self.wide {
            usize::from(u16::from_le_bytes([lengths[2 * at], lengths[2 * at + 1]]))
        } else {
            usize::from(lengths[at])
        }
    }

    fn lengths_sum(&self, lengths: &[u8], from: usize, to: usize) -> usize {
        if self.wide {
            (from..to).map(|at| self.length(lengths, at)).sum()
        } else {
            lengths[from..to].iter().map(|&len| usize::from(len)).sum()
        }
    }

    fn basis(&self, at: usize) -> Timestamp {
        let mut offset = 0;
        if self.width > 0 {
            let start = usize::from(self.terms) * TERM_BYTES + at * usize::from(self.width);
            // Always eight bytes, the unwanted ones masked: a page with a width has two entries at
            // least, and so five bytes for each of them behind this column.
            let word = self.blob[start..].first_chunk::<8>();
            let word = u64::from_le_bytes(*word.expect("invariant: ten bytes follow"));
            offset = word & (u64::MAX >> (64 - 8 * u32::from(self.width)));
        }
        Timestamp::from_unix_ms(self.base.wrapping_add(offset.cast_signed()))
    }

    fn term(&self, number: usize) -> (Class, Option<i64>) {
        let term = self.blob[number * TERM_BYTES..].first_chunk();
        let term = term.and_then(unpack_term);
        term.expect("invariant: a term within the page")
    }
}

/// Unpacks a page from its beginning.
pub(super) struct Unpack<'a> {
    page: &'a Page,
    parts: Parts<'a>,
    at: usize,
    name_at: usize,
    rest_at: usize,
    ino: u64,
}

impl<'a> Iterator for Unpack<'a> {
    type Item = (&'a [u8], Record);

    fn next(&mut self) -> Option<Self::Item> {
        if self.at == self.page.len() {
            return None;
        }
        let name_end = self.name_at + self.page.length(self.parts.lengths, self.at);
        let name = &self.parts.names[self.name_at..name_end];
        let size = take(self.parts.rest, &mut self.rest_at);
        let step = take(self.parts.rest, &mut self.rest_at);
        self.ino = self.ino.wrapping_add_signed(unfold_sign(step));
        let basis = self.page.basis(self.at);
        let later = unfold_sign(take(self.parts.rest, &mut self.rest_at));
        let (mut blocks, mut nlink) = (usual_blocks(size), 1);
        if !self.page.plain {
            let more = unfold_sign(take(self.parts.rest, &mut self.rest_at));
            blocks = blocks.wrapping_add_signed(more);
            let others = take(self.parts.rest, &mut self.rest_at);
            nlink = u32::try_from(others).unwrap_or(u32::MAX).wrapping_add(1);
        }
        let number = self.parts.which.get(self.at).copied();
        let (class, expire_ms) = self.page.term(number.map_or(0, usize::from));
        self.at += 1;
        self.name_at = name_end;
        let record = Record {
            size,
            blocks,
            nlink,
            ino: self.ino,
            mtime: Timestamp::from_unix_ms(basis.unix_ms().wrapping_add(later)),
            basis,
            class,
            expire_ms,
        };
        Some((name, record))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.page.len() - self.at;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Unpack<'_> {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::model_test::any_record;
    use super::super::page_builder::PageBuilder;
    use super::*;

    fn any_name() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            4 => prop::collection::vec(any::<u8>(), 1..30),
            1 => prop::collection::vec(any::<u8>(), 250..256),
            1 => prop::collection::vec(any::<u8>(), 250..700),
        ]
    }

    fn pack(dir: DirId, entries: &[(Vec<u8>, Record)]) -> Page {
        let mut builder = PageBuilder::default();
        for (name, record) in entries {
            builder.push(name, name_hash(dir.0, name), *record);
        }
        builder.pack(dir)
    }

    proptest! {
        #[test]
        fn a_page_gives_back_what_it_was_given(
            entries in prop::collection::btree_map(any_name(), any_record(), 1..=256),
            dir in any::<u32>(),
            now in any::<i64>(),
        ) {
            let entries: Vec<_> = entries.into_iter().collect();
            let page = pack(DirId(dir), &entries);
            let back: Vec<_> = page.entries().map(|(name, record)| (name.to_vec(), record)).collect();
            prop_assert_eq!(&back, &entries);
            prop_assert_eq!(page.len(), entries.len());
            for (at, (name, record)) in entries.iter().enumerate() {
                prop_assert_eq!(page.place_of(name, name_hash(dir, name)), Some(at));
                prop_assert_eq!(page.find(name), Some(*record));
            }
            let deadlines: Vec<_> = entries.iter().filter_map(|(_, r)| r.deadline()).collect();
            prop_assert_eq!(page.min_deadline(), deadlines.iter().copied().min());
            let now = Timestamp::from_unix_ms(now);
            let due: Vec<_> = entries.iter().filter(|(_, r)| r.deadline().is_some_and(|at| at <= now)).collect();
            let told: Vec<_> = page.due(now).map(|(name, record)| (name.to_vec(), record)).collect();
            prop_assert_eq!(told.iter().collect::<Vec<_>>(), due);
        }

        #[test]
        fn a_loaded_page_packs_into_the_same_page(
            entries in prop::collection::btree_map(any_name(), any_record(), 1..40),
        ) {
            let entries: Vec<_> = entries.into_iter().collect();
            let page = pack(DirId(3), &entries);
            let mut builder = PageBuilder::default();
            builder.load(&page);
            prop_assert_eq!(builder.pack(DirId(3)).blob, page.blob);
            prop_assert!(builder.changes.is_empty());
        }
    }

    #[test]
    fn a_file_of_an_ordinary_directory_takes_less_than_forty_bytes() {
        let record = |at: u64| Record {
            size: 1_000 * at,
            blocks: usual_blocks(1_000 * at),
            nlink: 1,
            ino: 4_000_000 + at,
            mtime: Timestamp::from_unix_ms(1_700_000_000_000 + at.cast_signed() * 977),
            basis: Timestamp::from_unix_ms(1_700_000_000_003 + at.cast_signed() * 977),
            class: Class::File(RuleId(0)),
            expire_ms: Some(86_400_000),
        };
        let entries: Vec<_> = (0..256)
            .map(|at| (format!("upload-{at:09}.dat").into_bytes(), record(at)))
            .collect();
        let page = pack(DirId(0), &entries);
        assert_eq!(entries[0].0.len(), 20);
        let bytes = size_of::<Page>() + page.blob.len();
        assert!(bytes / 256 < 40, "{} bytes", bytes / 256);
    }
}
