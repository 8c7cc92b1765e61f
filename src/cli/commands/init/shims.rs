//! Scripts under the names of an older system's, which run commands of the configuration.
//!
//! **Invariant:** what was there under such a name is kept beside it and never overwritten, and no
//! link is followed, neither to it nor on the way to it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};

use super::text;

/// Ending of the name under which an original is kept.
const KEPT: &str = ".before-lapsed";

/// Text that each of our scripts has among its first bytes, and nothing else has.
const MARK: &str = "Installed by lapsed init --shims";

/// Bytes at the beginning of a script that have the mark.
const MARK_WITHIN: u64 = 1024;

/// Words that stand for the program and its configuration.
const BINARY: &str = "@LAPSED@";
const CONFIG: &str = "@CONFIG@";

/// A script.
#[derive(PartialEq, Eq, Debug)]
pub(in crate::cli::commands) struct Shim {
    /// Its path below the directory of the system.
    pub path: &'static str,
    /// Its text, with words for the paths.
    pub text: &'static str,
}

/// A script that was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::cli::commands) struct Placed {
    /// Its path.
    pub path: PathBuf,
    /// Path of the original.
    pub kept: Option<PathBuf>,
}

/// Paths that are written into scripts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Baked<'a> {
    /// The program.
    pub binary: &'a str,
    /// Its configuration.
    pub config: &'a str,
}

/// Failure to write or remove scripts.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli::commands) enum ShimError {
    /// Both names are taken.
    #[error("\"{}\" is not a script of lapsed, and \"{}\" is there already\n  move one of them away", .0.display(), kept(.0).display())]
    BothThere(PathBuf),
    /// A directory on the way is something else.
    #[error("\"{}\" is not a directory, or a link to one\n  give the directory in which it is: --shims DIR", .0.display())]
    NoDirectory(PathBuf),
    /// A path cannot be written into a script.
    #[error("the path {0} is not UTF-8, which a script has to be")]
    NotUtf8(String),
    /// The system refuses it.
    #[error("cannot {action} \"{}\": {error}", path.display())]
    Refused {
        action: &'static str,
        path: PathBuf,
        error: io::Error,
    },
}

/// State of a path at which a script belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum There {
    Nothing,
    Ours,
    Other,
}

/// Writes `shims` below `dir`. Either all can be written, or nothing is touched.
pub(super) fn install(
    dir: &Path,
    shims: &[Shim],
    baked: Baked<'_>,
) -> Result<Vec<Placed>, ShimError> {
    check(dir, shims)?;
    let placed = shims.iter().map(|shim| place(dir, shim, baked));
    placed.collect()
}

/// Refuses what would stop [`install`] half-way.
pub(super) fn check(dir: &Path, shims: &[Shim]) -> Result<(), ShimError> {
    if !dir.is_dir() {
        return Err(ShimError::NoDirectory(dir.to_owned()));
    }
    for shim in shims {
        check_way(dir, Path::new(shim.path))?;
        let path = dir.join(shim.path);
        if there(&path)? == There::Other && fs::symlink_metadata(kept(&path)).is_ok() {
            return Err(ShimError::BothThere(path));
        }
    }
    Ok(())
}

/// Removes our scripts of these paths below `dir`, and puts the originals back. Returns the paths,
/// each with true if an original is back.
pub(in crate::cli::commands) fn restore<'s>(
    dir: &Path,
    shims: impl IntoIterator<Item = &'s Shim>,
) -> Result<Vec<(PathBuf, bool)>, ShimError> {
    let mut restored = Vec::new();
    for shim in shims {
        let path = dir.join(shim.path);
        if check_way(dir, Path::new(shim.path)).is_err() || there(&path)? != There::Ours {
            continue;
        }
        let kept = kept(&path);
        let has_original = fs::symlink_metadata(&kept).is_ok();
        if has_original {
            rename_over(&kept, &path)?;
        } else {
            remove(&path)?;
        }
        restored.push((path, has_original));
    }
    Ok(restored)
}

fn place(dir: &Path, shim: &Shim, baked: Baked<'_>) -> Result<Placed, ShimError> {
    let path = dir.join(shim.path);
    if let Some(parent) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(parent)
            .map_err(refused("make the directory", parent))?;
    }
    let was = there(&path)?;
    let new = with_ending(&path, &format!(".{}.new", std::process::id()));
    write_new(&new, shim, baked)?;
    let mut original = None;
    let placed = match was {
        There::Ours => rename_over(&new, &path),
        There::Nothing => rename_new(&new, &path),
        There::Other => {
            let kept = kept(&path);
            rename_new(&path, &kept).and_then(|()| {
                let placed = rename_new(&new, &path);
                if placed.is_err() {
                    // Only if nothing is there by now; the first failure is what is told.
                    let _ = rename_new(&kept, &path);
                }
                original = Some(kept);
                placed
            })
        }
    };
    if placed.is_err() {
        let _ = remove(&new);
    }
    placed?;
    if was == There::Ours {
        original = Some(kept(&path)).filter(|kept| fs::symlink_metadata(kept).is_ok());
    }
    Ok(Placed {
        path,
        kept: original,
    })
}

fn write_new(path: &Path, shim: &Shim, baked: Baked<'_>) -> Result<(), ShimError> {
    let is_executable = shim.text.starts_with("#!");
    let text = bake(shim.text, baked);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(if is_executable { 0o755 } else { 0o644 })
        .open(path)
        .map_err(refused("write", path))?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| File::sync_all(&file));
    if written.is_err() {
        let _ = remove(path);
    }
    written.map_err(refused("write", path))
}

/// `text` with the paths: as strings of Python where double quotes are around the words, and of a
/// shell where single ones are.
fn bake(text: &str, baked: Baked<'_>) -> String {
    let mut text = text.to_owned();
    for (word, path) in [(BINARY, baked.binary), (CONFIG, baked.config)] {
        let string = serde_json::Value::from(path).to_string();
        text = text.replace(&format!("\"{word}\""), &string);
        text = text.replace(&format!("'{word}'"), &text::for_shell(path));
    }
    text
}

/// Refuses a directory between `dir` and `path` that is a link or a file.
fn check_way(dir: &Path, path: &Path) -> Result<(), ShimError> {
    let mut at = dir.to_owned();
    for component in path.parent().into_iter().flat_map(Path::components) {
        at.push(component);
        match fs::symlink_metadata(&at) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(ShimError::NoDirectory(at)),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(refused("look at", &at)(error)),
        }
    }
    Ok(())
}

fn there(path: &Path) -> Result<There, ShimError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(There::Nothing),
        Err(error) => return Err(refused("look at", path)(error)),
        Ok(found) if !found.is_file() => return Ok(There::Other),
        Ok(_) => {}
    }
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let mut bytes = Vec::new();
    file.and_then(|file| file.take(MARK_WITHIN).read_to_end(&mut bytes))
        .map_err(refused("read", path))?;
    let is_ours = String::from_utf8_lossy(&bytes).contains(MARK);
    Ok(if is_ours { There::Ours } else { There::Other })
}

fn kept(path: &Path) -> PathBuf {
    with_ending(path, KEPT)
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Renames, if nothing is at `to`.
fn rename_new(from: &Path, to: &Path) -> Result<(), ShimError> {
    let renamed = renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE);
    renamed.map_err(|error| refused("write", to)(error.into()))
}

#[expect(
    clippy::disallowed_methods,
    reason = "what is replaced is a script of ours"
)]
fn rename_over(from: &Path, to: &Path) -> Result<(), ShimError> {
    fs::rename(from, to).map_err(refused("replace", to))
}

#[expect(
    clippy::disallowed_methods,
    reason = "what is removed is a script of ours"
)]
fn remove(path: &Path) -> Result<(), ShimError> {
    fs::remove_file(path).map_err(refused("remove", path))
}

fn refused(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ShimError {
    let path = path.to_path_buf();
    move |error| ShimError::Refused {
        action,
        path,
        error,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    const SHIMS: [Shim; 2] = [
        Shim {
            path: "run.py",
            text: "#!/usr/bin/env python3\n# Installed by lapsed init --shims\nL = \"@LAPSED@\"\nC = \"@CONFIG@\"\n",
        },
        Shim {
            path: "app/utils/tools.sh",
            text: "# Installed by lapsed init --shims\nl='@LAPSED@'\n",
        },
    ];

    const BAKED: Baked<'_> = Baked {
        binary: "/opt/it's \"here\"/lapsed",
        config: "/etc/lapsed.toml",
    };

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn originals_are_kept_and_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("run.py");
        fs::write(&script, "original").unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
        let placed = install(dir.path(), &SHIMS, BAKED).unwrap();
        let original = dir.path().join("run.py.before-lapsed");
        assert_eq!(placed[0].kept.as_ref(), Some(&original));
        assert_eq!(placed[1].kept, None);
        assert_eq!(read(&original), "original");
        assert!(read(&script).contains("L = \"/opt/it's \\\"here\\\"/lapsed\"\n"));
        assert!(read(&placed[1].path).contains("l='/opt/it'\\''s \"here\"/lapsed'\n"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&script), mode(&placed[1].path)), (0o755, 0o644));
        // Again, as after an upgrade.
        let again = install(dir.path(), &SHIMS, BAKED).unwrap();
        assert_eq!(again, placed);
        let restored = restore(dir.path(), &SHIMS).unwrap();
        assert_eq!(
            restored,
            [(script.clone(), true), (placed[1].path.clone(), false)]
        );
        assert_eq!((read(&script).as_str(), mode(&script)), ("original", 0o700));
        assert!(!original.exists() && !placed[1].path.exists());
        assert_eq!(restore(dir.path(), &SHIMS).unwrap(), []);
    }

    #[test]
    fn nothing_is_overwritten_and_no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, outside) = (dir.path().join("in"), dir.path().join("out"));
        fs::create_dir_all(&inside).unwrap();
        fs::create_dir_all(&outside).unwrap();
        let script = inside.join("run.py");
        let kept = inside.join("run.py.before-lapsed");
        fs::write(&script, "a").unwrap();
        fs::write(&kept, "b").unwrap();
        assert!(matches!(
            install(&inside, &SHIMS, BAKED),
            Err(ShimError::BothThere(_))
        ));
        assert_eq!((read(&script).as_str(), read(&kept).as_str()), ("a", "b"));
        remove(&kept).unwrap();
        // A directory on the way leads elsewhere: nothing is touched, the first script neither.
        symlink(&outside, inside.join("app")).unwrap();
        assert!(matches!(
            install(&inside, &SHIMS, BAKED),
            Err(ShimError::NoDirectory(_))
        ));
        assert_eq!(read(&script), "a");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
        // A link under the name itself is what is kept, not what it leads to.
        remove(&inside.join("app")).unwrap();
        remove(&script).unwrap();
        fs::write(outside.join("real.py"), "real").unwrap();
        symlink(outside.join("real.py"), &script).unwrap();
        install(&inside, &SHIMS, BAKED).unwrap();
        assert_eq!(read(&outside.join("real.py")), "real");
        assert!(kept.symlink_metadata().unwrap().is_symlink());
        // A script that was replaced meanwhile is not ours any more.
        fs::write(&script, "new").unwrap();
        restore(&inside, &SHIMS).unwrap();
        assert_eq!(read(&script), "new");
        assert!(kept.symlink_metadata().is_ok());
    }
}
