//! What lies in a site, by an independent walk: two of these differ when anything came, went or was written to.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What is at a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Thing {
    Dir,
    File(Vec<u8>),
    Link(Vec<u8>),
}

/// By path, with escapes where it is not ASCII.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tree(pub BTreeMap<String, Thing>);

impl Tree {
    /// Everything below `top`. What is ours is left out: quarantines, and the names of `ours` at the top.
    pub fn of(top: &Path, ours: &[&str]) -> Self {
        Self::walked(top, ours, &|path| std::fs::read(path).unwrap_or_default())
    }

    /// As [`Tree::of`], but for contents: the daemon leaves alone what somebody reads.
    pub fn names_of(top: &Path, ours: &[&str]) -> Self {
        Self::walked(top, ours, &|_| Vec::new())
    }

    fn walked(top: &Path, ours: &[&str], content: &dyn Fn(&Path) -> Vec<u8>) -> Self {
        let mut things = BTreeMap::new();
        let mut open = vec![top.to_path_buf()];
        while let Some(dir) = open.pop() {
            // A directory may go while it is read.
            for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
                let path = entry.path();
                let name = path.strip_prefix(top).unwrap();
                let is_ours = name.to_str().is_some_and(|name| ours.contains(&name));
                if is_ours || path.file_name().is_some_and(|name| name == ".lapsed") {
                    continue;
                }
                let Ok(meta) = path.symlink_metadata() else {
                    continue;
                };
                let thing = if meta.is_dir() {
                    open.push(path.clone());
                    Thing::Dir
                } else if meta.is_symlink() {
                    let to = std::fs::read_link(&path).unwrap_or_default();
                    Thing::Link(to.as_os_str().as_bytes().to_vec())
                } else {
                    Thing::File(content(&path))
                };
                let name = name.as_os_str().as_bytes().escape_ascii().to_string();
                things.insert(name, thing);
            }
        }
        Self(things)
    }

    /// Whether there is the same at the same paths, whatever the contents.
    pub fn is_named_like(&self, other: &Self) -> bool {
        self.0.keys().eq(other.0.keys())
    }

    /// Without `names`, each of which is in it, and what lies below them.
    #[track_caller]
    pub fn without(&self, names: &[&str]) -> Self {
        let mut left = self.clone();
        for name in names {
            assert!(left.0.contains_key(*name), "{name} is not in {left:#?}");
            let below = format!("{name}/");
            left.0
                .retain(|path, _| path != name && !path.starts_with(&below));
        }
        left
    }

    /// What is left without `gone`, which are paths of the application's.
    #[track_caller]
    pub fn but(&self, gone: &[&str]) -> Self {
        let gone: Vec<String> = gone.iter().map(|name| format!("app/{name}")).collect();
        let gone: Vec<&str> = gone.iter().map(String::as_str).collect();
        self.without(&gone)
    }

    /// How another one differs, for people.
    pub fn difference(&self, other: &Self) -> String {
        let mut text = String::new();
        for (sign, one, two) in [('-', self, other), ('+', other, self)] {
            for (path, thing) in &one.0 {
                if two.0.get(path) != Some(thing) {
                    text.push_str(&format!("{sign} {path}\n"));
                }
            }
        }
        text
    }
}
