//! Cache of the paths that were asked for last.
//!
//! A crawl asks for the path of each directory right after the path of its parent. Without the
//! cache every path is put together from the root down, and reading a tree costs the square of its
//! depth.
//!
//! **Invariant:** a cached path is always the path of its node: nodes end for ever, and the tree
//! clears the cache when one moves.

use std::collections::VecDeque;

use super::node_id::NodeId;
use crate::core::path::RelPath;

/// Number of cached paths: twice as many as the levels between which a crawl goes back and forth in
/// trees of any shape that was tried. The memory is at most 16 times the length of the longest
/// path.
const PATHS_MAX: usize = 16;

/// Length from which paths are cached. Putting a shorter one together costs less than keeping it.
/// Tests have short ones.
const PATH_BYTES_MIN: usize = if cfg!(test) { 1 } else { 128 };

/// See the module.
#[derive(Default)]
pub(super) struct RecentPaths {
    /// The least recently used one first.
    paths: VecDeque<(NodeId, RelPath)>,
    /// Number of nodes that were asked for.
    #[cfg(test)]
    pub(super) lookups: u64,
}

impl RecentPaths {
    /// Returns the path of `node`, when it is cached.
    pub(super) fn get(&mut self, node: NodeId) -> Option<RelPath> {
        #[cfg(test)]
        {
            self.lookups += 1;
        }
        let at = self.paths.iter().rposition(|(known, _)| *known == node)?;
        let used = self.paths.remove(at)?;
        let path = used.1.clone();
        self.paths.push_back(used);
        Some(path)
    }

    /// Caches the path of `node`.
    pub(super) fn put(&mut self, node: NodeId, path: &RelPath) {
        let is_cached = self.paths.back().is_some_and(|(known, _)| *known == node);
        if is_cached || path.as_bytes().len() < PATH_BYTES_MIN {
            return;
        }
        if self.paths.len() == PATHS_MAX {
            self.paths.pop_front();
        }
        self.paths.push_back((node, path.clone()));
    }

    /// Drops all paths: a directory has moved.
    pub(super) fn clear(&mut self) {
        self.paths.clear();
    }
}
