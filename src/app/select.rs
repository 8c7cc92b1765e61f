//! Order of lists, and cursors.
//!
//! **Invariant:** an order is total: the value first, then the path. A cursor names a place in it,
//! so that it stays good whatever comes or goes meanwhile, its own entry included.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::entry::Values;
use crate::app::error::AppError;
use crate::types::{FilesQuery, SortBy, SortOrder};

/// An order of entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Order {
    pub(crate) by: SortBy,
    /// The other way round.
    pub(crate) reverse: bool,
}

/// An entry's place in an order: smaller comes first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    rank: u64,
    path: Vec<u8>,
}

impl SortBy {
    /// Returns true if the order goes from large to small unless it is reversed.
    const fn is_descending(self) -> bool {
        match self {
            Self::Age | Self::Size => true,
            Self::Deadline | Self::Path => false,
        }
    }
}

impl Order {
    /// The order that `query` asks for.
    pub(crate) fn new(query: &FilesQuery) -> Self {
        let by = query.sort.unwrap_or(SortBy::Path);
        let is_reversed = |order| (order == SortOrder::Desc) != by.is_descending();
        Self {
            by,
            reverse: query.order.is_some_and(is_reversed),
        }
    }

    /// The value that decides first; entries with equal ones go by path.
    fn rank(self, values: &Values<'_>) -> u64 {
        let rank = match self.by {
            SortBy::Age => in_order(values.mtime.unix_ms()),
            SortBy::Size => !values.size,
            SortBy::Deadline => match values.deadline {
                None => return u64::MAX,
                Some(deadline) => in_order(deadline.unix_ms()),
            },
            SortBy::Path => return 0,
        };
        if self.reverse { !rank } else { rank }
    }

    fn compare_paths(self, one: Ordering) -> Ordering {
        match self.by {
            SortBy::Path if self.reverse => one.reverse(),
            SortBy::Path | SortBy::Age | SortBy::Size | SortBy::Deadline => one,
        }
    }

    /// Compares the entry `name` in `dir` with `place`, without joining its path.
    fn compare(self, rank: u64, (dir, name): (&[u8], &[u8]), place: &Place) -> Ordering {
        let paths = || {
            let (head, tail) = place.path.split_at(dir.len().min(place.path.len()));
            dir.cmp(head).then_with(|| name.cmp(tail))
        };
        rank.cmp(&place.rank)
            .then_with(|| self.compare_paths(paths()))
    }

    /// A cursor that stands behind `place`.
    pub(crate) fn cursor(self, place: &Place) -> String {
        let mut bytes = vec![self.tag()];
        bytes.extend_from_slice(&place.rank.to_be_bytes());
        bytes.extend_from_slice(&place.path);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place that a cursor stands behind.
    pub(crate) fn place(self, cursor: &str) -> Result<Place, AppError> {
        let broken = || {
            AppError::invalid_parameter("cursor", cursor)
                .hint("give a cursor of an earlier answer as it is")
        };
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| broken())?;
        let (&tag, rest) = bytes.split_first().ok_or_else(broken)?;
        let (rank, path) = rest.split_first_chunk().ok_or_else(broken)?;
        if tag != self.tag() {
            return Err(
                AppError::invalid("the cursor belongs to a list in another order")
                    .hint("repeat sort and order of the request that it comes from"),
            );
        }
        Ok(Place {
            rank: u64::from_be_bytes(*rank),
            path: path.to_vec(),
        })
    }

    fn tag(self) -> u8 {
        let by = match self.by {
            SortBy::Age => b'a',
            SortBy::Size => b's',
            SortBy::Deadline => b'd',
            SortBy::Path => b'p',
        };
        if self.reverse {
            by.to_ascii_uppercase()
        } else {
            by
        }
    }
}

/// Signed to unsigned, in the same order.
fn in_order(value: i64) -> u64 {
    value.cast_unsigned() ^ (1 << 63)
}

/// The first entries of an order behind a place, found in one pass. Takes memory for so many
/// entries, not for all.
#[derive(Debug)]
pub(crate) struct First {
    order: Order,
    after: Option<Place>,
    limit: usize,
    heap: BinaryHeap<Picked>,
    has_more: bool,
}

/// An entry that is among the first so far.
#[derive(Debug)]
pub(crate) struct Picked {
    pub(crate) place: Place,
    /// The entry as JSON.
    pub(crate) json: Vec<u8>,
    order: Order,
}

impl First {
    /// The first `limit` (at least one) entries behind `after`.
    pub(crate) fn new(order: Order, after: Option<Place>, limit: usize) -> Self {
        Self {
            order,
            after,
            limit: limit.max(1),
            heap: BinaryHeap::new(),
            has_more: false,
        }
    }

    /// Shows the entry `name` in `dir` (an absolute path with a closing slash). `json` is asked for
    /// when it is needed.
    pub(crate) fn offer(
        &mut self,
        dir: &[u8],
        name: &[u8],
        values: &Values<'_>,
        json: impl FnOnce(&mut Vec<u8>),
    ) {
        let rank = self.order.rank(values);
        let compare = |place: &Place| self.order.compare(rank, (dir, name), place);
        if self
            .after
            .as_ref()
            .is_some_and(|after| compare(after).is_le())
        {
            return;
        }
        if self.heap.len() == self.limit {
            self.has_more = true;
            if self
                .heap
                .peek()
                .is_some_and(|last| compare(&last.place).is_ge())
            {
                return;
            }
            self.heap.pop();
        }
        let mut text = Vec::new();
        json(&mut text);
        let path = [dir, name].concat();
        self.heap.push(Picked {
            place: Place { rank, path },
            json: text,
            order: self.order,
        });
    }

    /// The entries in order, and whether there are more behind them.
    pub(crate) fn finish(self) -> (Vec<Picked>, bool) {
        (self.heap.into_sorted_vec(), self.has_more)
    }
}

impl Ord for Picked {
    fn cmp(&self, other: &Self) -> Ordering {
        let paths = || self.place.path.cmp(&other.place.path);
        self.place
            .rank
            .cmp(&other.place.rank)
            .then_with(|| self.order.compare_paths(paths()))
    }
}

impl PartialOrd for Picked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Picked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Picked {}

#[cfg(test)]
mod tests;
