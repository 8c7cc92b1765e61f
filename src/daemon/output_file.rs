//! Files that a command declares.
//!
//! **Invariant:** a file that is there is never written to, nor one behind a link.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Files whose names differ by a number alone: runs within a second.
const SAME_NAME_MAX: u32 = 100;

/// Writes `text` to a new file `name` in `dir`. Where that name is taken, a number is added before
/// its extension. Returns the path.
///
/// # Errors
/// If it cannot be written.
pub fn write_new_file(dir: &Path, name: &str, text: &str) -> anyhow::Result<PathBuf> {
    for number in 1..=SAME_NAME_MAX {
        let path = dir.join(numbered(name, number));
        // Refuses also a link, wherever it leads.
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut file) => {
                let written = file
                    .write_all(text.as_bytes())
                    .and_then(|()| file.write_all(b"\n"));
                written.with_context(|| format!("{}: cannot be written", path.display()))?;
                return Ok(path);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error).with_context(|| format!("{}: cannot be made", path.display()));
            }
        }
    }
    anyhow::bail!(
        "{}: there are {SAME_NAME_MAX} files of that name",
        dir.join(name).display()
    )
}

fn numbered(name: &str, number: u32) -> String {
    if number == 1 {
        return name.to_owned();
    }
    match name.rsplit_once('.') {
        Some((stem, extension)) => format!("{stem}_{number}.{extension}"),
        None => format!("{name}_{number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        std::fs::write(&victim, "old").unwrap();
        std::os::unix::fs::symlink(&victim, dir.path().join("s.json")).unwrap();
        let written = write_new_file(dir.path(), "s.json", "new").unwrap();
        assert_eq!(written, dir.path().join("s_2.json"));
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "old");
        assert_eq!(std::fs::read_to_string(&written).unwrap(), "new\n");
        let error = write_new_file(&dir.path().join("none"), "s.json", "new").unwrap_err();
        assert!(error.to_string().contains("none/s.json"), "{error}");
    }
}
