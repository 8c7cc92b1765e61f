//! Descent into a tree of any depth with a bounded number of descriptors.
//!
//! **Invariant:** at most [`WINDOW`] directories are open at once, and each of them must be the
//! inode that the tree knows.

use std::collections::VecDeque;

use rustix::io::Errno;

use super::dir::Dir;
use super::error::{Action, FsError};
use super::tree::Tree;

/// Maximum number of directories that are open at once: the deepest ones. Going up beyond them
/// opens the path from the top again, once per window.
pub const WINDOW: usize = 64;

/// Open path to one directory of a [`Tree`].
#[derive(Debug)]
pub struct Chain<'a> {
    base: &'a Dir,
    /// Directory of the tree at which the path begins, and its name in `base`.
    top: u32,
    top_name: Vec<u8>,
    /// Directories of the path, from `top` down.
    line: Vec<u32>,
    /// Descriptors of the deepest directories of the path.
    open: VecDeque<Dir>,
}

impl<'a> Chain<'a> {
    /// Creates a path that begins at the tree's directory `top`, which is `top_name` in `base`.
    #[must_use]
    pub fn new(base: &'a Dir, top: u32, top_name: &[u8]) -> Self {
        Self {
            base,
            top,
            top_name: top_name.to_vec(),
            line: Vec::new(),
            open: VecDeque::new(),
        }
    }

    /// Goes to the directory `at`, which must be `top` or below it.
    ///
    /// # Errors
    /// When a directory of the path is gone, was replaced (`ESTALE`), or cannot be opened.
    ///
    /// # Panics
    /// When `at` is not below `top`.
    pub fn go(&mut self, tree: &Tree, at: u32) -> Result<&Dir, FsError> {
        let base_depth = tree.dir(self.top).depth;
        let mut missing = Vec::new();
        let mut next = at;
        let common = loop {
            let depth = (tree.dir(next).depth - base_depth) as usize;
            if self.line.get(depth) == Some(&next) {
                break depth + 1;
            }
            missing.push(next);
            if depth == 0 {
                assert_eq!(next, self.top, "invariant: the path begins at the top");
                break 0;
            }
            next = tree.dir(next).parent;
        };
        for _ in common..self.line.len() {
            self.line.pop();
            self.open.pop_back();
        }
        if self.open.is_empty() {
            self.reopen(tree)?;
        }
        while let Some(next) = missing.pop() {
            self.enter(tree, next)?;
        }
        Ok(self
            .open
            .back()
            .expect("invariant: the path has at least its top"))
    }

    /// Opens the deepest directories of the path again, from the top.
    fn reopen(&mut self, tree: &Tree) -> Result<(), FsError> {
        let line = std::mem::take(&mut self.line);
        for &next in &line {
            self.enter(tree, next)?;
        }
        Ok(())
    }

    fn enter(&mut self, tree: &Tree, next: u32) -> Result<(), FsError> {
        let (from, name) = match self.open.back() {
            Some(dir) => (dir, &*tree.dir(next).name),
            None => (self.base, &*self.top_name),
        };
        let dir = from.open_beneath(name)?;
        if dir.facts()?.key != tree.dir(next).facts.key {
            return Err(from.failed(Action::Open, name, Errno::STALE));
        }
        self.line.push(next);
        self.open.push_back(dir);
        if self.open.len() > WINDOW {
            self.open.pop_front();
        }
        Ok(())
    }
}
