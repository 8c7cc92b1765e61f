//! Files that nobody can remove for a while, root included: what the file system refuses then is an error, and no change.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

/// A file with the attribute that `chattr +i` sets, wherever it is moved below `top`. Lifted when it is dropped.
pub struct Immutable {
    top: PathBuf,
    ino: u64,
}

impl Immutable {
    /// Sets the attribute on the file at `path`.
    #[track_caller]
    pub fn set(top: &Path, path: &Path) -> Self {
        if let Err(error) = set(path, true) {
            panic!(
                "this test needs CAP_LINUX_IMMUTABLE (run it as root, in a container with that capability), and a TMPDIR on a file \
                 system with attributes (ext4, xfs, btrfs, or tmpfs since Linux 6.6): cannot make {} immutable: {error}",
                path.display()
            );
        }
        Self {
            top: top.to_path_buf(),
            ino: path.metadata().unwrap().ino(),
        }
    }

    /// Lets it be removed.
    pub fn lift(self) {
        drop(self);
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        let mut open = vec![self.top.clone()];
        while let Some(dir) = open.pop() {
            let entries = std::fs::read_dir(&dir).into_iter().flatten().flatten();
            for path in entries.map(|entry| entry.path()) {
                match path.symlink_metadata() {
                    Ok(meta) if meta.is_dir() => open.push(path),
                    Ok(meta) if meta.is_file() && meta.ino() == self.ino => drop(set(&path, false)),
                    Ok(_) | Err(_) => {}
                }
            }
        }
    }
}

fn set(path: &Path, is_immutable: bool) -> std::io::Result<()> {
    let file = File::open(path)?;
    let mut flags = ioctl_getflags(&file)?;
    flags.set(IFlags::IMMUTABLE, is_immutable);
    Ok(ioctl_setflags(&file, flags)?)
}
