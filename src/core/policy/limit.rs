//! Limits: how much a rule or a root may take, and what is removed when it takes more.
//!
//! **Invariant:** a limit makes due only what a rule lets lapse some day, and never what is kept.

use serde::{Deserialize, Serialize};

use super::Policy;
use crate::core::claim::LimitScope;
use crate::core::facts::{BLOCK_BYTES, RootId, Space};

/// Limits on what one rule takes in one root, or on a root.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Limit {
    /// Bytes that it may take, by the blocks of its files.
    pub max_size: Option<u64>,
    /// Bytes that are left after a removal because of `max_size`; at most that.
    pub down_to: Option<u64>,
    /// Number of files that it may have.
    pub max_files: Option<u64>,
    /// Space that its file system is to have free.
    pub min_free: Option<Amount>,
    /// Number of inodes that its file system is to have free.
    pub min_free_inodes: Option<Amount>,
    /// Bytes that are never removed because the file system is full.
    pub keep_at_least: u64,
    /// Order of removal.
    pub order: Order,
    /// Age from which something may be removed, in milliseconds.
    pub min_age_ms: i64,
    /// The things that are counted together.
    pub per: Per,
}

/// A number, or a share of all that a file system has.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Amount {
    /// So many bytes, or inodes.
    Number(u64),
    /// A share, from 0 to 1.
    Share(f64),
}

/// Order in which a limit removes.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Default,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    utoipa::ToSchema,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = LimitOrder)]
pub enum Order {
    /// By the timestamp that the rule counts from.
    #[default]
    Oldest,
    /// By the blocks that are taken.
    Largest,
}

/// Things that a limit counts together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Per {
    /// All of them.
    #[default]
    All,
    /// Those of one owner, as the root's template captures it.
    Owner,
}

impl Order {
    /// The word in configuration and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl Amount {
    /// Returns the number that is meant of `all`.
    #[must_use]
    pub fn of(self, all: u64) -> u64 {
        match self {
            Self::Number(number) => number,
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a share of a file system need not be exact, and casts saturate"
            )]
            Self::Share(share) => (all as f64 * share).ceil() as u64,
        }
    }
}

impl Limit {
    /// Returns true if it asks for free space.
    #[must_use]
    pub const fn is_of_space(&self) -> bool {
        self.min_free.is_some() || self.min_free_inodes.is_some()
    }

    /// Blocks that may be taken: more than these make something due.
    #[must_use]
    pub fn high_blocks(&self) -> u64 {
        self.max_size.map_or(u64::MAX, |bytes| bytes / BLOCK_BYTES)
    }

    /// Blocks that are left once something was removed.
    #[must_use]
    pub fn low_blocks(&self) -> u64 {
        let low = self.down_to.or(self.max_size);
        low.map_or(u64::MAX, |bytes| bytes / BLOCK_BYTES)
    }

    /// Returns the bytes, and the inodes, that `space` has too few of.
    #[must_use]
    pub fn missing(&self, space: &Space) -> (u64, u64) {
        let bytes = self.min_free.map_or(0, |least| least.of(space.size_bytes));
        // Where inodes are made as they are needed there are always some.
        let inodes = self.min_free_inodes.filter(|_| space.inodes > 0);
        let inodes = inodes.map_or(0, |least| least.of(space.inodes));
        (
            bytes.saturating_sub(space.available_bytes),
            inodes.saturating_sub(space.available_inodes),
        )
    }
}

impl Policy {
    /// Limits with what they are of: those of rules before those of roots.
    pub fn each_limit(&self) -> impl Iterator<Item = (LimitScope, &Limit)> {
        let rules = self.each_rule().flat_map(|(id, rule)| {
            let limit = rule.limit.as_ref();
            let roots = self.roots.keys().filter(|root| rule.applies_to(**root));
            limit.into_iter().flat_map(move |limit| {
                let roots = roots.clone();
                roots.map(move |&root| (LimitScope::Rule(root, id), limit))
            })
        });
        let roots = self.roots.iter();
        rules.chain(
            roots.filter_map(|(&id, root)| Some((LimitScope::Root(id), root.limit.as_ref()?))),
        )
    }

    /// Returns true if a limit counts what is in `root`.
    #[must_use]
    pub fn is_limited(&self, root: RootId) -> bool {
        self.roots.get(&root).is_some_and(|of| of.limit.is_some())
            || self
                .rules
                .iter()
                .any(|rule| rule.limit.is_some() && rule.applies_to(root))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_a_file_system_is_rounded_up_and_inodes_without_number_are_enough() {
        let space = Space {
            size_bytes: 1001,
            available_bytes: 100,
            inodes: 0,
            available_inodes: 0,
        };
        let limit = Limit {
            min_free: Some(Amount::Share(0.1)),
            min_free_inodes: Some(Amount::Number(5)),
            ..Limit::default()
        };
        assert_eq!(limit.missing(&space), (1, 0));
        let space = Space {
            available_bytes: 101,
            inodes: 10,
            available_inodes: 2,
            ..space
        };
        assert_eq!(limit.missing(&space), (0, 3));
    }
}
