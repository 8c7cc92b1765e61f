//! Pages, directories and stamps as bytes, to be kept while the process does not run.
//!
//! Numbers are LEB128 unless said otherwise.
//!
//! | what | bytes |
//! | --- | --- |
//! | page | directory, entries, terms, width, wide, plain, bytes of names; earliest basis; blob |
//! | directory | parent + 1 (0: a root's own); device, inode; three times; unit; name |
//! | stamp | inode, seconds (folded), nanoseconds, entries |
//!
//! The earliest basis takes 8 bytes, little endian. A time is seconds (folded) and nanoseconds. A
//! unit is 0 (none), or 1 and the newest timestamp of its tree (folded).
//!
//! **Invariant:** whatever the bytes are, decoding ends, allocates no more than they hold, and
//! gives either nothing or a value that keeps every invariant of its type: bytes from a disk are as
//! hostile as bytes from anywhere.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::directories::DirFacts;
use super::hash::{fingerprint, name_hash};
use super::page::Page;
use super::page_sums::Sums;
use super::reader::Index;
use super::record::{DirId, PageId, Unsaved};
use super::term::{TERM_BYTES, unpack_term};
use crate::core::facts::{FileKey, RuleId};
use crate::core::path::is_component;
use crate::core::time::{FileTime, Timestamp};

/// A directory as it was saved.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct DirImage {
    /// `None` for a root's own.
    pub(super) parent: Option<DirId>,
    /// Empty for a root's own.
    pub(super) name: Box<[u8]>,
    key: FileKey,
    /// Changes of its content, of itself, and its birth. Its stamp is saved apart.
    times: (FileTime, FileTime, Option<FileTime>),
    /// The newest timestamp in its tree, where it is a unit.
    pub(super) newest: Option<Timestamp>,
}

impl DirImage {
    pub(super) fn facts(&self) -> DirFacts {
        DirFacts::new(self.key, self.times)
    }
}

/// Vouches for the entries of a directory: while inode and change time match, the saved entries are
/// complete and the directory need not be listed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct StampImage {
    pub(super) ino: u64,
    pub(super) ctime: FileTime,
    /// Number of entries that it vouches for.
    pub(super) files: u32,
}

/// A stamp that is to be saved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stamp {
    /// Nothing vouches for the directory, or there is none: a stamp that was saved before stays
    /// right, or says nothing.
    None,
    /// It may be saved once an instant after this one is known to be in the index.
    Ripens(Timestamp),
    /// It may be saved.
    Ripe(Vec<u8>),
}

/// A stamp has to be this much older than what is known to be in the index: file systems and
/// kernels round change times to a tick, some to two seconds.
const STAMP_AGE_MS: i64 = 2000;

impl Index {
    /// The page `id` as bytes; `None` when there is no such page.
    #[must_use]
    pub fn page_image(&self, id: PageId) -> Option<Vec<u8>> {
        self.page(id).map(|page| encode_page(&page))
    }

    /// The directory `id` as bytes, without what is in it; `None` when there is no such directory.
    #[must_use]
    pub fn dir_image(&self, id: DirId) -> Option<Vec<u8>> {
        let catalog = self.catalog.read();
        let node = catalog.dirs.get(id)?;
        let facts = &node.facts;
        let image = DirImage {
            parent: node.parent(),
            name: node.name.clone(),
            key: facts.key,
            times: (facts.mtime(), facts.ctime(), facts.btime()),
            newest: catalog.units.get(&id).map(|unit| unit.rule.latest.any),
        };
        drop(catalog);
        Some(encode(&image))
    }

    /// Calls `each` with the directory `top` and all beneath it, each before those beneath it:
    /// number, parent, name, inode, stamp.
    pub fn each_dir(
        &self,
        top: DirId,
        mut each: impl FnMut(DirId, Option<DirId>, &[u8], u64, Option<FileTime>),
    ) {
        let catalog = self.catalog.read();
        if catalog.dirs.get(top).is_none() {
            return;
        }
        for id in catalog.dirs.subtree(top) {
            let node = catalog.dirs.known(id);
            each(
                id,
                node.parent(),
                &node.name,
                node.facts.key.ino,
                node.facts.stamp(),
            );
        }
    }

    /// Everything, as if all of it had changed.
    #[must_use]
    pub fn all_unsaved(&self) -> Unsaved {
        let catalog = self.catalog.read();
        let tops = catalog.roots.values().map(|root| root.dir);
        Unsaved {
            pages: self.pages.all().into_iter().map(|(id, _)| id).collect(),
            dirs: tops.flat_map(|top| catalog.dirs.subtree(top)).collect(),
        }
    }

    /// The change time that `dir` had when something looked into it that is heard of every later
    /// change; `None`: nothing vouches for what is known of it.
    #[must_use]
    pub fn stamp(&self, dir: DirId) -> Option<FileTime> {
        self.catalog.read().dirs.get(dir)?.facts.stamp()
    }

    /// The stamp of the directory `id`, when all that happened until `known` is in the index.
    #[must_use]
    pub fn stamp_image(&self, id: DirId, known: Timestamp) -> Stamp {
        let catalog = self.catalog.read();
        let Some(node) = catalog.dirs.get(id) else {
            return Stamp::None;
        };
        let Some(ctime) = node.facts.stamp() else {
            return Stamp::None;
        };
        let ripe = ctime.ceil().plus_ms(STAMP_AGE_MS);
        if ripe > known {
            return Stamp::Ripens(ripe);
        }
        Stamp::Ripe(encode(&StampImage {
            ino: node.facts.key.ino,
            ctime,
            files: node.files,
        }))
    }
}

fn encode_page(page: &Page) -> Vec<u8> {
    let (counts, columns) = (
        (page.count, page.terms),
        (page.width, page.wide, page.plain),
    );
    let head = (page.dir, counts, columns, page.names_bytes, page.base);
    let mut out = encode(&head);
    out.extend_from_slice(&page.blob);
    out
}

/// The page that `bytes` are; its rules' numbers are below `rules`.
pub(super) fn decode_page(bytes: &[u8], rules: usize) -> Option<Page> {
    let (head, blob) = postcard::take_from_bytes(bytes).ok()?;
    let (dir, (count, terms), (width, wide, plain), names_bytes, base) = head;
    if !(1..=256).contains(&count) || !(1..=count).contains(&terms) || width > 8 {
        return None;
    }
    let mut page = Page {
        dir,
        count,
        terms,
        width,
        wide,
        plain,
        names_bytes,
        base,
        span: Sums::NONE.span,
        bytes: 0,
        blocks: 0,
        largest: 0,
        blob: blob.into(),
    };
    if !is_sound(&page, rules) {
        return None;
    }
    let sums = Sums::of(page.unpack().map(|(_, record)| record));
    (page.span, page.bytes) = (sums.span, sums.bytes);
    (page.blocks, page.largest) = (sums.blocks, sums.largest);
    Some(page)
}

/// Returns true if every part of the page's blob is sound.
fn is_sound(page: &Page, rules: usize) -> bool {
    let count = page.len();
    let lengths_bytes = if page.wide { 2 * count } else { count };
    let which_bytes = if page.terms > 1 { count } else { 0 };
    let columns = usize::from(page.terms) * TERM_BYTES
        + usize::from(page.width) * count
        + count
        + lengths_bytes
        + which_bytes
        + page.names_bytes as usize;
    // A page of one basis has no column of bases: the reader of that column relies on it.
    if page.blob.len() < columns || (page.width > 0 && count < 2) {
        return false;
    }
    let known_rule = |term: &[u8; TERM_BYTES]| {
        let is_known = |rule: RuleId| usize::from(rule.0) < rules;
        unpack_term(term).is_some_and(|(class, _)| class.rule().is_none_or(is_known))
    };
    let (terms, _) = page.blob.as_chunks();
    if !terms[..page.terms.into()].iter().all(known_rule) {
        return false;
    }
    let which = page.which();
    if which.iter().any(|&number| u16::from(number) >= page.terms) {
        return false;
    }
    let mut left = page.names_bytes as usize;
    for length in page.name_lengths() {
        match left.checked_sub(length) {
            Some(rest) if length > 0 => left = rest,
            Some(_) | None => return false,
        }
    }
    if left > 0 {
        return false;
    }
    let (fingerprints, _) = page.columns();
    let names_sound = page.names().zip(fingerprints).all(|(name, &found)| {
        is_component(name) && fingerprint(name_hash(page.dir.0, name)) == found
    });
    let mut rest = &page.blob[columns..];
    let numbers = if page.plain { 3 } else { 5 };
    let numbers_sound = (0..numbers * count).all(|_| {
        let number = postcard::take_from_bytes::<u64>(rest);
        number.map(|(_, after)| rest = after).is_ok()
    });
    names_sound && numbers_sound && rest.is_empty()
}

pub(super) fn decode_dir(bytes: &[u8]) -> Option<DirImage> {
    let image: DirImage = decode(bytes)?;
    let is_named = match image.parent {
        None => image.name.is_empty(),
        Some(_) => is_component(&image.name),
    };
    let (mtime, ctime, btime) = image.times;
    let mut times = [mtime, ctime].into_iter().chain(btime);
    (is_named && times.all(is_time)).then_some(image)
}

pub(super) fn decode_stamp(bytes: &[u8]) -> Option<StampImage> {
    decode(bytes).filter(|stamp: &StampImage| is_time(stamp.ctime))
}

const fn is_time(time: FileTime) -> bool {
    time.nanos < 1_000_000_000
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).expect("invariant: its parts know their length")
}

/// The value that all of `bytes` are.
fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (value, rest) = postcard::take_from_bytes(bytes).ok()?;
    rest.is_empty().then_some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::model_test::any_record;
    use super::super::page_builder::PageBuilder;
    use super::*;

    fn any_time() -> impl Strategy<Value = FileTime> {
        (any::<i64>(), 0u32..1_000_000_000).prop_map(|(secs, nanos)| FileTime { secs, nanos })
    }

    fn any_page() -> impl Strategy<Value = Page> {
        let name = prop_oneof![
            4 => prop::collection::vec(1u8..=255, 1..30),
            1 => prop::collection::vec(1u8..=255, 250..400),
        ];
        let name = name.prop_filter("a component", |name| is_component(name));
        let entries = prop::collection::btree_map(name, any_record(), 1..60);
        (entries, any::<u32>()).prop_map(|(entries, dir)| {
            let mut builder = PageBuilder::default();
            for (name, record) in entries {
                builder.push(&name, name_hash(dir, &name), record);
            }
            builder.pack(DirId(dir))
        })
    }

    proptest! {
        #[test]
        fn a_page_comes_back_as_it_was(page in any_page()) {
            let back = decode_page(&encode_page(&page), 1 << 16).unwrap();
            prop_assert_eq!(format!("{:?}", back), format!("{page:?}"));
        }

        #[test]
        fn a_damaged_page_is_refused_or_is_a_sound_one(
            page in any_page(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            cut in any::<prop::sample::Index>(),
            cuts in prop::bool::weighted(0.2),
        ) {
            let mut bytes = encode_page(&page);
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if cuts {
                bytes.truncate(cut.index(bytes.len()));
            }
            if let Some(page) = decode_page(&bytes, 3) {
                // Whatever it is, it can be read to its end, and by every name.
                for (name, record) in page.entries() {
                    prop_assert!(page.find(name).is_some());
                    let _ = record.deadline();
                }
                prop_assert_eq!(page.entries().count(), page.len());
                prop_assert_eq!(encode_page(&page).len(), bytes.len());
            }
        }

        #[test]
        fn directories_and_stamps_come_back_as_they_were(
            parent in proptest::option::of(0u32..u32::MAX),
            name in prop::collection::vec(1u8..=255, 1..40).prop_filter("a component", |name| is_component(name)),
            (dev, ino, files) in any::<(u64, u64, u32)>(),
            times in (any_time(), any_time(), proptest::option::of(any_time())),
            newest in proptest::option::of(any::<i64>()),
            cut in any::<prop::sample::Index>(),
        ) {
            let image = DirImage {
                parent: parent.map(DirId),
                name: parent.map_or_else(Box::default, |_| name.into()),
                key: FileKey { dev, ino },
                times,
                newest: newest.map(Timestamp::from_unix_ms),
            };
            let bytes = encode(&image);
            prop_assert_eq!(decode_dir(&bytes), Some(image));
            // Never a panic, whatever is missing.
            let _ = decode_dir(&bytes[..cut.index(bytes.len())]);
            let stamp = StampImage { ino, ctime: times.1, files };
            let bytes = encode(&stamp);
            prop_assert_eq!(decode_stamp(&bytes), Some(stamp));
            prop_assert_eq!(decode_stamp(&bytes[..cut.index(bytes.len())]), None);
        }
    }
}
