//! Configured paths → absolute paths without symbolic links.
//!
//! **Invariant:** the existing part of a path is always resolved by the file system. The rest is
//! appended as written and never contains `..`, whose meaning cannot be known yet.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{Refusal, quoted};

/// Most symbolic links in a row: as many as the kernel follows (`path_resolution(7)`).
const LINKS_MAX: usize = 40;

/// Target of a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Resolved {
    /// Absolute path without symbolic links.
    pub path: PathBuf,
    /// Number of its last components that do not exist yet.
    pub missing: usize,
}

/// Resolves `path`, which is absolute.
pub(super) fn resolve(path: &Path) -> Result<Resolved, Refusal> {
    resolve_within(path, LINKS_MAX)
}

/// Removes `.` and doubled slashes from `path`; links are kept.
pub(super) fn tidy(path: &Path) -> PathBuf {
    path.components().collect()
}

fn resolve_within(path: &Path, links: usize) -> Result<Resolved, Refusal> {
    let mut existing = tidy(path);
    let mut missing: Vec<OsString> = Vec::new();
    loop {
        match std::fs::canonicalize(&existing) {
            Ok(mut path) => {
                let count = missing.len();
                path.extend(missing.into_iter().rev());
                return Ok(Resolved {
                    path,
                    missing: count,
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unreachable(&existing, &error)),
        }
        if let Ok(target) = std::fs::read_link(&existing) {
            if links == 0 {
                return Err(Refusal::new(format!(
                    "leads through more than {LINKS_MAX} symbolic links"
                )));
            }
            // A link whose target does not exist yet: it will lead to that target.
            let mut whole = existing.parent().unwrap_or(Path::new("/")).join(target);
            whole.extend(missing.iter().rev());
            return resolve_within(&whole, links - 1);
        }
        let Some(name) = existing.file_name().map(OsString::from) else {
            return Err(Refusal::new(format!(
                "has \"..\" behind {}, which does not exist",
                quoted(existing.parent().unwrap_or(&existing))
            ))
            .hint("write the path without \"..\""));
        };
        missing.push(name);
        existing.pop();
    }
}

fn unreachable(path: &Path, error: &io::Error) -> Refusal {
    Refusal::new(format!(
        "cannot be examined: {}: {}",
        quoted(path),
        reason(error)
    ))
}

/// Reason of the operating system, in lower case and without its number.
#[must_use]
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.rfind(" (os error ").map_or(&*text, |at| &text[..at]);
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(letters).collect()
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn place() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap();
        (dir, path)
    }

    fn refusal_of(path: &Path) -> String {
        resolve(path).unwrap_err().reason
    }

    #[test]
    fn links_lead_where_they_lead_and_the_rest_stays() {
        let (_keep, dir) = place();
        std::fs::create_dir(dir.join("real")).unwrap();
        symlink("real", dir.join("link")).unwrap();
        let there = |path: &str, missing| {
            Ok(Resolved {
                path: dir.join(path),
                missing,
            })
        };
        assert_eq!(resolve(&dir.join("link")), there("real", 0));
        assert_eq!(resolve(&dir.join("link/../real/.")), there("real", 0));
        assert_eq!(resolve(&dir.join("link/a//./b")), there("real/a/b", 2));
    }

    #[test]
    fn a_link_to_what_is_not_there_yet_names_its_target() {
        let (_keep, dir) = place();
        symlink("later/x", dir.join("link")).unwrap();
        let found = resolve(&dir.join("link/y")).unwrap();
        assert_eq!((found.path, found.missing), (dir.join("later/x/y"), 3));
        symlink("loop", dir.join("loop")).unwrap();
        assert!(
            refusal_of(&dir.join("loop/x")).contains("symbolic link"),
            "{}",
            refusal_of(&dir.join("loop/x"))
        );
    }

    #[test]
    fn unknowable_paths_are_refused() {
        let (_keep, dir) = place();
        std::fs::write(dir.join("file"), "").unwrap();
        let wanted = format!(
            "has \"..\" behind {:?}, which does not exist",
            dir.join("no")
        );
        assert_eq!(refusal_of(&dir.join("no/../a")), wanted);
        let below = refusal_of(&dir.join("file/x"));
        assert!(below.contains("ot a directory"), "{below}");
    }

    #[test]
    fn reasons_are_for_people() {
        let error = io::Error::from_raw_os_error(13);
        assert_eq!(reason(&error), "permission denied");
    }
}
