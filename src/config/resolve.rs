//! Configured paths → absolute paths without symbolic links.
//!
//! **Invariant:** what exists of a path is resolved by the file system itself; what does not exist is appended as it is
//! written and holds no `..`, whose meaning nobody could know yet.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{Refusal, quoted};

/// As many symbolic links in a row as the kernel follows (`path_resolution(7)`).
const LINKS_MAX: usize = 40;

/// Where a path leads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Resolved {
    /// The absolute path without symbolic links.
    pub path: PathBuf,
    /// How many of its last components do not exist yet.
    pub missing: usize,
}

/// Resolves `path`, which is absolute.
pub(super) fn resolve(path: &Path) -> Result<Resolved, Refusal> {
    resolve_within(path, LINKS_MAX)
}

/// `path` without `.` and doubled slashes, links left as they are.
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
            // A link whose target is not there yet: the target is what will be there one day.
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
        "cannot be looked at: {}: {}",
        quoted(path),
        reason(error)
    ))
}

/// The operating system's reason, lower case and without its number.
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

    fn told(path: &Path) -> String {
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
            told(&dir.join("loop/x")).contains("symbolic link"),
            "{}",
            told(&dir.join("loop/x"))
        );
    }

    #[test]
    fn what_nobody_can_know_is_refused() {
        let (_keep, dir) = place();
        std::fs::write(dir.join("file"), "").unwrap();
        let wanted = format!(
            "has \"..\" behind {:?}, which does not exist",
            dir.join("no")
        );
        assert_eq!(told(&dir.join("no/../a")), wanted);
        let below = told(&dir.join("file/x"));
        assert!(below.contains("ot a directory"), "{below}");
    }

    #[test]
    fn reasons_are_for_people() {
        let error = io::Error::from_raw_os_error(13);
        assert_eq!(reason(&error), "permission denied");
    }
}
