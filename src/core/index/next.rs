//! The next deadline.

use super::reader::Index;
use super::record::DirId;
use crate::core::observed::Name;
use crate::core::policy::Class;
use crate::core::time::Timestamp;

impl Index {
    /// The entry with the earliest deadline after `after` of those whose class is `wanted`, and its
    /// directory. Looks only into pages that can have an earlier one than was found.
    #[must_use]
    pub fn next_deadline(
        &self,
        after: Timestamp,
        wanted: &dyn Fn(Class) -> bool,
    ) -> Option<(Timestamp, DirId, Name)> {
        let mut pages = self.snapshot();
        pages.retain(|(_, page)| {
            let is_later = page.span.0 <= page.span.1 && page.span.1 > after.unix_ms();
            is_later && page.classes().any(wanted)
        });
        pages.sort_unstable_by_key(|(id, page)| (page.span.0, *id));
        let mut best: Option<(Timestamp, DirId, Name)> = None;
        for (_, page) in pages {
            if best
                .as_ref()
                .is_some_and(|(at, ..)| at.unix_ms() <= page.span.0)
            {
                break;
            }
            for (name, record) in page.entries() {
                let at = record
                    .deadline()
                    .filter(|&at| at > after && wanted(record.class));
                if let Some(at) = at
                    && best.as_ref().is_none_or(|(found, ..)| at < *found)
                {
                    best = Some((at, page.dir(), name.into()));
                }
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use crate::core::facts::{RootId, RuleId, usual_blocks};
    use crate::core::index::{Index, Record};
    use crate::core::path::RelPath;
    use crate::core::policy::Class;
    use crate::core::time::Timestamp;

    #[test]
    fn the_next_deadline_is_the_earliest_wanted_one_after_the_instant() {
        let (index, mut writer) = Index::new();
        for dir in 0..20i64 {
            let id = writer.ensure_dir(
                RootId(0),
                &RelPath::root().join(format!("d{dir}").as_bytes()),
            );
            let record = |at: i64, rule| Record {
                size: 1,
                blocks: usual_blocks(1),
                nlink: 1,
                ino: 1,
                mtime: Timestamp::MIN,
                basis: Timestamp::from_unix_ms(at),
                class: Class::File(RuleId(rule)),
                expire_ms: Some(0),
            };
            writer.upsert(id, b"early", record(dir * 10, 0));
            writer.upsert(id, b"late", record(1000 - dir, 1));
        }
        let next = |after, rule| {
            index
                .next_deadline(Timestamp::from_unix_ms(after), &|class| {
                    class == Class::File(RuleId(rule))
                })
                .map(|(at, dir, name)| {
                    (
                        at.unix_ms(),
                        index.dir_path(dir).unwrap().1.to_string(),
                        name.to_vec(),
                    )
                })
        };
        assert_eq!(next(35, 0), Some((40, "d4".to_owned(), b"early".to_vec())));
        assert_eq!(next(35, 1), Some((981, "d19".to_owned(), b"late".to_vec())));
        assert_eq!(next(190, 0), None);
    }
}
