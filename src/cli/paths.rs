//! Paths on the command line, as daemons know them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// `path` from `/`, as the daemon knows it: symbolic links on the way are followed (roots are known
/// by their real paths), the last component is not.
pub(super) fn absolute(path: &Path, current_dir: Option<&Path>) -> Option<PathBuf> {
    let path = if path.is_absolute() {
        path.to_path_buf()
    } else {
        current_dir?.join(path)
    };
    let last = match path.components().next_back() {
        Some(Component::Normal(name)) if !ends_in_dot(&path) => name,
        // `/`, `..` and `.` name a directory by where they stand.
        _ => return Some(path.canonicalize().unwrap_or_else(|_| plain(&path))),
    };
    let parent = path.parent().unwrap_or(Path::new("/"));
    let parent = parent.canonicalize().unwrap_or_else(|_| plain(parent));
    Some(parent.join(last))
}

fn ends_in_dot(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    bytes.ends_with(b"/.") || path.as_os_str() == OsStr::new(".")
}

/// `path` with its `.` and `..` resolved by their spelling: what is not there cannot be asked.
pub(super) fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::Normal(name) => plain.push(name),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_component_is_not_followed_and_the_others_are() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        std::fs::create_dir(real.join("a")).unwrap();
        std::os::unix::fs::symlink("a", real.join("link")).unwrap();
        let seen = |path: &str| absolute(Path::new(path), Some(&real)).unwrap();
        assert_eq!(seen("link/file"), real.join("a/file"));
        assert_eq!(seen("link"), real.join("link"));
        assert_eq!(seen("link/."), real.join("a"));
        assert_eq!(seen("."), real);
        assert_eq!(seen("a/../b"), real.join("b"));
        assert_eq!(seen("gone/../../x/y"), plain(&real.join("../x/y")));
        assert_eq!(seen("/"), Path::new("/"));
        assert_eq!(absolute(Path::new("a"), None), None);
    }
}
