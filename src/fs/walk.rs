//! Look at a whole directory tree of any depth, without recursion and with a bounded number of
//! descriptors.
//!
//! **Invariant:** mounts and quarantines are reported, and never entered.

use std::ops::ControlFlow;

use rustix::io::Errno;

use super::QUARANTINE;
use super::chain::Chain;
use super::dir::Dir;
use super::error::FsError;
use super::open::named;
use super::tree::{Tree, TreeDir};
use crate::core::facts::{Facts, FileKey, Kind};
use crate::core::observed::Name;

/// Reason for which a tree could not be seen.
#[derive(Debug)]
pub enum WalkError {
    /// The file system refuses something.
    Fs(FsError),
    /// The tree changed meanwhile.
    Changed,
    /// Something is mounted in it, on the directory or file at this absolute path.
    Mount(std::path::PathBuf),
    /// A quarantine lies in it, at this absolute path: another process removes what lapses there.
    Quarantine(std::path::PathBuf),
    /// It has more names than the caller allows.
    TooLarge,
    /// The caller stopped the walk.
    Stopped,
}

impl From<FsError> for WalkError {
    fn from(error: FsError) -> Self {
        match error.errno {
            Errno::XDEV => Self::Mount(error.path),
            _ if error.is_absence() => Self::Changed,
            _ => Self::Fs(error),
        }
    }
}

impl Tree {
    /// Looks at the directory `name` in `base`, which was seen as `facts`, and at everything below
    /// it, if these are at most about `names_max` names. Calls `stop` between directories.
    ///
    /// # Errors
    /// See [`WalkError`].
    pub fn walk(
        base: &Dir,
        name: &[u8],
        facts: Facts,
        names_max: usize,
        stop: &dyn Fn() -> bool,
    ) -> Result<Self, WalkError> {
        let mut names = 0;
        let mut tree = Self::of_dir(name, facts);
        let mut chain = Chain::new(base, 0, name);
        let mut pending = vec![0];
        while let Some(at) = pending.pop() {
            if stop() {
                return Err(WalkError::Stopped);
            }
            let here = chain.go(&tree, at)?;
            let may_change = here.may_change();
            let (files, dirs) = read(here, names_max - names)?;
            names += files.len() + dirs.len();
            let first = tree.len();
            let depth = tree.dir(at).depth + 1;
            tree.dirs
                .extend(dirs.into_iter().map(|(name, facts)| TreeDir {
                    parent: at,
                    depth,
                    name,
                    facts,
                    files: Vec::new(),
                    may_change: true,
                    children: 0..0,
                }));
            let children = first..tree.len();
            pending.extend(children.clone());
            let dir = &mut tree.dirs[at as usize];
            dir.files = files;
            dir.may_change = may_change;
            dir.children = children;
        }
        Ok(tree)
    }

    /// Calls `each` for every entry at or below `top` that is not a directory, as it was seen.
    /// `top` is still `top_name` in `base`. A break value ends the walk. Does not read the
    /// directories: their own times show if a name was added or removed.
    ///
    /// # Errors
    /// See [`WalkError`]; [`WalkError::Changed`] when a directory has changed.
    pub fn ask_each<B>(
        &self,
        top: u32,
        base: &Dir,
        top_name: &[u8],
        stop: &dyn Fn() -> bool,
        each: impl FnMut(&Dir, &[u8], &Facts) -> ControlFlow<B>,
    ) -> Result<ControlFlow<B>, WalkError> {
        let as_seen = |dir: &Dir, known: &TreeDir| Ok(dir.facts()? == known.facts);
        self.go_through(top, base, top_name, stop, as_seen, each)
    }

    /// Looks again at the tree from `top` down, which is `top_name` in `base` now, and compares
    /// names, contents and change times. Two kinds of change times may differ: that of `top`, which
    /// the rename has changed, and those of files for which `is_moved` returns true, of which
    /// another name was renamed. Calls `each` for every entry that is not a directory. A break
    /// value ends the look.
    ///
    /// # Errors
    /// See [`WalkError`]; [`WalkError::Changed`] for any difference.
    pub fn look_again<B>(
        &self,
        top: u32,
        base: &Dir,
        top_name: &[u8],
        is_moved: &dyn Fn(FileKey) -> bool,
        stop: &dyn Fn() -> bool,
        each: impl FnMut(&Dir, &[u8], &Facts) -> ControlFlow<B>,
    ) -> Result<ControlFlow<B>, WalkError> {
        let before = &self.dir(top).facts;
        let now = base.look(top_name)?.ok_or(WalkError::Changed)?;
        let same = |a: &Facts, b: &Facts| {
            (a.kind, a.key, a.mtime, a.btime) == (b.kind, b.key, b.mtime, b.btime)
        };
        if !same(&now, before) {
            return Err(WalkError::Changed);
        }
        let as_read = |dir: &Dir, known: &TreeDir| {
            let known_names = known.files.len() + known.children.len();
            let (files, dirs) = match read(dir, known_names) {
                Err(WalkError::TooLarge) => return Ok(false),
                read => read?,
            };
            let children = known.children.clone().map(|child| self.dir(child));
            let is_same = |((name, now), (known, before)): (&(Name, Facts), &(Name, Facts))| {
                name == known && (now == before || is_moved(now.key) && now.is_same_content(before))
            };
            Ok(files.len() == known.files.len()
                && files.iter().zip(&known.files).all(is_same)
                && children.len() == dirs.len()
                && children
                    .zip(&dirs)
                    .all(|(known, (name, facts))| known.name == *name && known.facts == *facts))
        };
        self.go_through(top, base, top_name, stop, as_read, each)
    }

    /// Walks the directories from `top` down. Checks by `is_same` that each is unchanged, and calls
    /// `each` for its entries.
    fn go_through<B>(
        &self,
        top: u32,
        base: &Dir,
        top_name: &[u8],
        stop: &dyn Fn() -> bool,
        is_same: impl Fn(&Dir, &TreeDir) -> Result<bool, WalkError>,
        mut each: impl FnMut(&Dir, &[u8], &Facts) -> ControlFlow<B>,
    ) -> Result<ControlFlow<B>, WalkError> {
        let mut chain = Chain::new(base, top, top_name);
        let mut pending = vec![top];
        while let Some(at) = pending.pop() {
            if stop() {
                return Err(WalkError::Stopped);
            }
            let dir = chain.go(self, at)?;
            let known = self.dir(at);
            if !is_same(dir, known)? {
                return Err(WalkError::Changed);
            }
            for (name, facts) in &known.files {
                if let ControlFlow::Break(why) = each(dir, name, facts) {
                    return Ok(ControlFlow::Break(why));
                }
            }
            pending.extend(known.children.clone());
        }
        Ok(ControlFlow::Continue(()))
    }
}

type Listed = Vec<(Name, Facts)>;

/// Reads one directory of at most `names_max` names. Returns the entries that are not directories,
/// and the directories, by name.
fn read(dir: &Dir, names_max: usize) -> Result<(Listed, Listed), WalkError> {
    let (mut files, mut dirs) = (Vec::new(), Vec::new());
    let (mut mount, mut quarantine) = (None, None);
    let mut is_too_large = false;
    dir.list(|name, facts| match facts.kind {
        Kind::File | Kind::Other | Kind::Dir if files.len() + dirs.len() == names_max => {
            is_too_large = true;
        }
        Kind::Dir if name == QUARANTINE => {
            quarantine = Some(named(dir.path(), name));
        }
        Kind::File | Kind::Other => files.push((name.into(), facts)),
        Kind::Dir => dirs.push((name.into(), facts)),
        Kind::Mount => mount = Some(named(dir.path(), name)),
    })?;
    if let Some(path) = mount {
        return Err(WalkError::Mount(path));
    }
    if let Some(path) = quarantine {
        return Err(WalkError::Quarantine(path));
    }
    if is_too_large {
        return Err(WalkError::TooLarge);
    }
    files.sort_unstable_by(|a: &(Name, Facts), b| a.0.cmp(&b.0));
    dirs.sort_unstable_by(|a: &(Name, Facts), b| a.0.cmp(&b.0));
    Ok((files, dirs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::RootDir;

    fn never() -> bool {
        false
    }

    fn walk(root: &RootDir) -> Tree {
        let facts = root.top().look(b"unit").unwrap().unwrap();
        Tree::walk(root.top(), b"unit", facts, usize::MAX, &never).unwrap()
    }

    #[test]
    fn a_tree_with_too_many_names_is_not_read_into_memory() {
        let scratch = tempfile::tempdir().unwrap();
        let base = scratch.path().canonicalize().unwrap();
        std::fs::create_dir_all(base.join("unit/a")).unwrap();
        std::fs::write(base.join("unit/a/1"), b"").unwrap();
        std::fs::write(base.join("unit/a/2"), b"").unwrap();
        let root = RootDir::open(&base).unwrap();
        let facts = root.top().look(b"unit").unwrap().unwrap();
        let walk = |names_max| Tree::walk(root.top(), b"unit", facts, names_max, &never);
        assert_eq!(walk(3).unwrap().names(), 4);
        for names_max in 0..3 {
            assert!(matches!(walk(names_max), Err(WalkError::TooLarge)));
        }
    }

    fn again(tree: &Tree, root: &RootDir) -> Result<ControlFlow<()>, WalkError> {
        tree.look_again(0, root.top(), b"unit", &|_| false, &never, |_, _, _| {
            ControlFlow::Continue(())
        })
    }

    #[test]
    fn a_second_look_finds_the_same_and_notices_every_change() {
        let scratch = tempfile::tempdir().unwrap();
        let base = scratch.path().canonicalize().unwrap();
        std::fs::create_dir_all(base.join("unit/a/b")).unwrap();
        std::fs::create_dir_all(base.join("unit/c")).unwrap();
        std::fs::write(base.join("unit/a/b/file"), b"1").unwrap();
        let root = RootDir::open(&base).unwrap();
        let tree = walk(&root);
        let mut paths = Vec::new();
        tree.each_path(|at, path| {
            assert_eq!(tree.path(at), path);
            paths.push(String::from_utf8(path.to_vec()).unwrap());
        });
        paths.sort();
        assert_eq!(paths, ["unit", "unit/a", "unit/a/b", "unit/c"]);
        assert!(again(&tree, &root).is_ok());

        let changes: [fn(&std::path::Path); 3] = [
            |base| std::fs::write(base.join("unit/c/new"), b"").unwrap(),
            |base| std::fs::write(base.join("unit/a/b/file"), b"22").unwrap(),
            |base| {
                use std::os::unix::fs::PermissionsExt;
                let mode = std::fs::Permissions::from_mode(0o711);
                std::fs::set_permissions(base.join("unit/c"), mode).unwrap();
            },
        ];
        for change in changes {
            let tree = walk(&root);
            // File systems keep times as coarsely as the timer ticks: change until it shows.
            while again(&tree, &root).is_ok() {
                change(&base);
            }
        }
    }

    #[test]
    fn combs_deeper_than_descriptors_and_paths_reach_are_walked() {
        let scratch = tempfile::tempdir().unwrap();
        let base = scratch.path().canonicalize().unwrap();
        let root = RootDir::open(&base).unwrap();
        root.top().make_dir(b"unit").unwrap();
        let mut dir = root.top().open_beneath(b"unit").unwrap();
        for _ in 0..700 {
            dir.make_dir(b"deeper-and-deeper").unwrap();
            dir.make_dir(b"side").unwrap();
            dir = dir.open_beneath(b"deeper-and-deeper").unwrap();
        }
        let tree = walk(&root);
        assert_eq!(tree.len(), 1401);
        assert!(again(&tree, &root).is_ok());
        let mut chain = Chain::new(root.top(), 0, b"unit");
        for at in (1..tree.len()).rev() {
            let dir = tree.dir(at);
            let parent = chain.go(&tree, dir.parent).unwrap();
            parent.remove_dir(&dir.name).unwrap();
        }
    }
}
