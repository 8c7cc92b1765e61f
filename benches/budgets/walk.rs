//! A bare walk, getdents and statx on two threads and nothing else: what no crawl can undercut, and the truth to compare with.

use std::ffi::CString;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, StatxFlags};

/// The second of the two is the caller's own.
const THREADS: usize = 2;

/// A regular file as the walk saw it.
pub struct Found<'a> {
    pub dir: &'a Path,
    pub name: &'a [u8],
    pub mtime_ms: i64,
}

/// Directories to be read, and those that read.
#[derive(Default)]
struct Queue {
    left: Vec<PathBuf>,
    busy: usize,
}

struct Walk {
    queue: Mutex<Queue>,
    changed: Condvar,
}

/// Looks at every regular file below `root` but the quarantine; `each` is called by two threads, with one state per thread.
pub fn walk<T: Default + Send>(
    root: &Path,
    each: impl Fn(&mut T, &Found) + Sync,
) -> anyhow::Result<Vec<T>> {
    let walk = Walk {
        queue: Mutex::new(Queue {
            left: vec![root.to_path_buf()],
            busy: 0,
        }),
        changed: Condvar::new(),
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..THREADS)
            .map(|_| scope.spawn(|| walk.run(&each)))
            .collect();
        let mut all = vec![walk.run(&each)?];
        for other in others {
            all.push(
                other
                    .join()
                    .map_err(|_| anyhow::anyhow!("a walker panicked"))??,
            );
        }
        Ok(all)
    })
}

/// How many regular files there are.
pub fn count(root: &Path) -> anyhow::Result<u64> {
    let counts = walk(root, |count: &mut u64, _| *count += 1)?;
    Ok(counts.into_iter().sum())
}

/// Their paths below `root`, in order.
pub fn paths(root: &Path) -> anyhow::Result<Vec<String>> {
    let lists = walk(root, |list: &mut Vec<String>, found| {
        let dir = found.dir.strip_prefix(root).unwrap_or(found.dir);
        let name = String::from_utf8_lossy(found.name);
        list.push(dir.join(&*name).to_string_lossy().into_owned());
    })?;
    let mut paths: Vec<String> = lists.into_iter().flatten().collect();
    paths.sort_unstable();
    Ok(paths)
}

impl Walk {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run<T: Default>(&self, each: &impl Fn(&mut T, &Found)) -> anyhow::Result<T> {
        let mut state = T::default();
        let mut buffer = vec![MaybeUninit::uninit(); 64 * 1024];
        while let Some(dir) = self.next() {
            let below = read(&dir, &mut buffer, &mut |found| each(&mut state, found));
            let mut queue = self.lock();
            queue.busy -= 1;
            if let Ok(below) = &below {
                queue.left.extend_from_slice(below);
            }
            drop(queue);
            self.changed.notify_all();
            below?;
        }
        Ok(state)
    }

    /// The next directory; `None` when all are read.
    fn next(&self) -> Option<PathBuf> {
        let mut queue = self.lock();
        loop {
            if let Some(dir) = queue.left.pop() {
                queue.busy += 1;
                return Some(dir);
            }
            if queue.busy == 0 {
                return None;
            }
            queue = self
                .changed
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Reads one directory; gives those below it.
fn read(
    path: &Path,
    buffer: &mut [MaybeUninit<u8>],
    each: &mut impl FnMut(&Found),
) -> anyhow::Result<Vec<PathBuf>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = rustix::fs::open(path, flags, Mode::empty())?;
    let mut below = Vec::new();
    let mut entries = RawDir::new(&dir, buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        match entry.file_type() {
            FileType::Directory if matches!(name.to_bytes(), b"." | b".." | b".lapsed") => {}
            FileType::Directory => below.push(path.join(&*name.to_string_lossy())),
            FileType::RegularFile => {
                let mask = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
                let name: CString = name.to_owned();
                let seen = rustix::fs::statx(&dir, &name, AtFlags::SYMLINK_NOFOLLOW, mask)?;
                let nanos = i64::from(seen.stx_mtime.tv_nsec);
                each(&Found {
                    dir: path,
                    name: name.to_bytes(),
                    mtime_ms: seen.stx_mtime.tv_sec * 1000 + (nanos + 999_999) / 1_000_000,
                });
            }
            _ => {}
        }
    }
    Ok(below)
}
