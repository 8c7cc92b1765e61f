//! Sums and bounds over the entries of a page.

use super::record::Record;
use crate::core::time::Timestamp;

/// Sums and bounds over the entries of a page: see the fields of [`Page`].
///
/// [`Page`]: super::page::Page
#[derive(Clone, Copy, Debug)]
pub(super) struct Sums {
    pub(super) span: (i64, i64),
    pub(super) bytes: u64,
    pub(super) blocks: u64,
    pub(super) largest: u32,
}

impl Sums {
    pub(super) const NONE: Self = Self {
        span: (i64::MAX, i64::MIN),
        bytes: 0,
        blocks: 0,
        largest: 0,
    };

    pub(super) fn of(records: impl Iterator<Item = Record>) -> Self {
        let mut sums = Self::NONE;
        for record in records {
            sums.bytes = sums.bytes.saturating_add(record.size);
            sums.blocks = sums.blocks.saturating_add(record.blocks);
            let blocks = u32::try_from(record.blocks).unwrap_or(u32::MAX);
            sums.largest = sums.largest.max(blocks);
            if let Some(at) = record.deadline().map(Timestamp::unix_ms) {
                sums.span = (sums.span.0.min(at), sums.span.1.max(at));
            }
        }
        sums
    }
}
