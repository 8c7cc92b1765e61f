//! A page while it is being changed: unpacked, with the changes.
//!
//! **Invariant:** `changes` holds exactly the steps from the entries that were loaded to those that
//! are here, so that sums follow without unpacking anything twice.

use super::codec::{fold_sign, put, width};
use super::hash::{fingerprint, name_hash};
use super::page::Page;
use super::page_sums::Sums;
use super::record::{DirId, Record};
use super::term::{TERM_BYTES, pack_term};
use crate::core::facts::usual_blocks;

/// A change of one entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    /// The record before; `None`: the entry is new.
    pub(super) before: Option<Record>,
    /// The record after; `None`: the entry was removed.
    pub(super) after: Option<Record>,
}

/// The entries of a page to be packed. Keeps its buffers over [`PageBuilder::clear`].
#[derive(Debug, Default)]
pub(super) struct PageBuilder {
    names: Vec<u8>,
    lengths: Vec<u16>,
    fingerprints: Vec<u8>,
    records: Vec<Record>,
    /// The changes since the entries were loaded.
    pub(super) changes: Vec<Change>,
    /// The hashes of the names that were removed since then.
    pub(super) removed: Vec<u64>,
    /// The number of entries that were added since then, which stand last.
    pub(super) added: usize,
    which: Vec<u8>,
    terms: Vec<[u8; TERM_BYTES]>,
    rest: Vec<u8>,
}

impl PageBuilder {
    /// Forgets all entries and changes.
    pub(super) fn clear(&mut self) {
        self.names.clear();
        self.lengths.clear();
        self.fingerprints.clear();
        self.records.clear();
        self.changes.clear();
        self.removed.clear();
        self.added = 0;
    }

    /// Starts anew with the entries of `page`.
    pub(super) fn load(&mut self, page: &Page) {
        self.clear();
        self.append(page);
    }

    /// Takes the entries of `page` in behind those that are here. They count as loaded.
    pub(super) fn append(&mut self, page: &Page) {
        let (fingerprints, names) = page.columns();
        self.fingerprints.extend_from_slice(fingerprints);
        self.names.extend_from_slice(names);
        for (name, record) in page.entries() {
            self.lengths.push(length(name));
            self.records.push(record);
        }
    }

    /// Number of entries.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Replaces the record at place `at`.
    pub(super) fn set(&mut self, at: usize, record: Record) {
        let before = std::mem::replace(&mut self.records[at], record);
        if before != record {
            self.changes.push(Change {
                before: Some(before),
                after: Some(record),
            });
        }
    }

    /// Adds an entry that is not here yet.
    pub(super) fn push(&mut self, name: &[u8], hash: u64, record: Record) {
        self.lengths.push(length(name));
        self.names.extend_from_slice(name);
        self.fingerprints.push(fingerprint(hash));
        self.records.push(record);
        self.added += 1;
        self.changes.push(Change {
            before: None,
            after: Some(record),
        });
    }

    /// Puts the result of `change` in each record's place.
    pub(super) fn update(&mut self, change: &mut dyn FnMut(&[u8], Record) -> Record) {
        let mut start = 0;
        for at in 0..self.len() {
            let end = start + usize::from(self.lengths[at]);
            let after = change(&self.names[start..end], self.records[at]);
            self.set(at, after);
            start = end;
        }
    }

    /// Removes the entries for which `keep` does not hold, which is asked with place, name and
    /// record, in order.
    pub(super) fn retain(
        &mut self,
        dir: DirId,
        keep: &mut dyn FnMut(usize, &[u8], &Record) -> bool,
    ) {
        let (mut start, mut kept, mut kept_bytes) = (0, 0, 0);
        for at in 0..self.len() {
            let end = start + usize::from(self.lengths[at]);
            let name = &self.names[start..end];
            if keep(at, name, &self.records[at]) {
                self.names.copy_within(start..end, kept_bytes);
                self.lengths[kept] = self.lengths[at];
                self.fingerprints[kept] = self.fingerprints[at];
                self.records[kept] = self.records[at];
                kept += 1;
                kept_bytes += end - start;
            } else {
                self.removed.push(name_hash(dir.0, name));
                self.changes.push(Change {
                    before: Some(self.records[at]),
                    after: None,
                });
            }
            start = end;
        }
        self.names.truncate(kept_bytes);
        self.lengths.truncate(kept);
        self.fingerprints.truncate(kept);
        self.records.truncate(kept);
    }

    /// The names' hashes, in order of arrival.
    pub(super) fn hashes(&self, dir: DirId) -> impl Iterator<Item = u64> + Clone {
        let mut start = 0;
        self.lengths.iter().map(move |&len| {
            let end = start + usize::from(len);
            let hash = name_hash(dir.0, &self.names[start..end]);
            start = end;
            hash
        })
    }

    /// Packs the entries into a page of `dir`.
    ///
    /// # Panics
    /// Panics when there is no entry, or more than 256.
    pub(super) fn pack(&mut self, dir: DirId) -> Page {
        let count = u16::try_from(self.len()).expect("invariant: at most 256 entries");
        assert!((1..=256).contains(&count), "invariant: 1 to 256 entries");
        let base = self.records.iter().map(|record| record.basis.unix_ms());
        let base = base.min().expect("invariant: an entry");
        let widest = self.records.iter().map(|record| above(base, record)).max();
        let bytes = width(widest.unwrap_or(0));
        let plain = self.records.iter().all(Record::is_plain);
        self.pack_rest(plain);
        let wide = self.lengths.iter().any(|&len| len > u16::from(u8::MAX));
        let which: &[u8] = if self.terms.len() > 1 {
            &self.which
        } else {
            &[]
        };

        let mut blob = Vec::with_capacity(
            self.terms.len() * TERM_BYTES
                + self.len() * (bytes + 1 + if wide { 2 } else { 1 })
                + which.len()
                + self.names.len()
                + self.rest.len(),
        );
        blob.extend_from_slice(self.terms.as_flattened());
        if bytes > 0 {
            for record in &self.records {
                // Eight bytes and a cut are faster than fewer bytes.
                blob.extend_from_slice(&above(base, record).to_le_bytes());
                blob.truncate(blob.len() - (8 - bytes));
            }
        }
        blob.extend_from_slice(&self.fingerprints);
        if wide {
            blob.extend(self.lengths.iter().flat_map(|len| len.to_le_bytes()));
        } else {
            blob.extend(self.lengths.iter().map(|len| len.to_le_bytes()[0]));
        }
        blob.extend_from_slice(which);
        blob.extend_from_slice(&self.names);
        blob.extend_from_slice(&self.rest);

        let sums = Sums::of(self.records.iter().copied());
        Page {
            dir,
            count,
            terms: u16::try_from(self.terms.len()).expect("invariant: at most one term an entry"),
            width: u8::try_from(bytes).expect("invariant: 0 to 8"),
            wide,
            plain,
            names_bytes: u32::try_from(self.names.len()).expect("invariant: 256 names of 64 KiB"),
            base,
            span: sums.span,
            bytes: sums.bytes,
            blocks: sums.blocks,
            largest: sums.largest,
            blob: blob.into_boxed_slice(),
        }
    }

    /// Fills `terms`, `which` and `rest`.
    fn pack_rest(&mut self, plain: bool) {
        self.which.clear();
        self.terms.clear();
        self.rest.clear();
        let mut ino = 0;
        let mut last = None;
        for record in &self.records {
            let key = (record.class, record.expire_ms);
            let number = match last {
                Some((previous, number)) if previous == key => number,
                _ => number_of(&mut self.terms, pack_term(key.0, key.1)),
            };
            last = Some((key, number));
            self.which.push(number);
            put(&mut self.rest, record.size);
            let step = record.ino.wrapping_sub(ino).cast_signed();
            put(&mut self.rest, fold_sign(step));
            ino = record.ino;
            let later = record.mtime.unix_ms().wrapping_sub(record.basis.unix_ms());
            put(&mut self.rest, fold_sign(later));
            if !plain {
                let more = record.blocks.wrapping_sub(usual_blocks(record.size));
                put(&mut self.rest, fold_sign(more.cast_signed()));
                put(&mut self.rest, record.nlink.wrapping_sub(1).into());
            }
        }
    }
}

/// The number of `term` among `terms`, where it is added when it is new.
fn number_of(terms: &mut Vec<[u8; TERM_BYTES]>, term: [u8; TERM_BYTES]) -> u8 {
    let number = terms.iter().position(|known| *known == term);
    let number = number.unwrap_or_else(|| {
        terms.push(term);
        terms.len() - 1
    });
    u8::try_from(number).expect("invariant: at most one term an entry, of 256")
}

/// The length of a name.
fn length(name: &[u8]) -> u16 {
    let length = u16::try_from(name.len());
    length.expect("invariant: a name is shorter than any path (4,096 bytes)")
}

/// Returns the distance of the basis of `record` from `base`.
fn above(base: i64, record: &Record) -> u64 {
    record.basis.unix_ms().wrapping_sub(base).cast_unsigned()
}
