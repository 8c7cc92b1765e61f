//! A bare inotify reader, in a process of its own: watches on every directory, reads, counts. What no watcher can undercut.

use std::io::{BufRead, BufReader, Write};
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, ensure};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

use super::options::READER;
use super::process::Seen;

/// A file of this name at the top ends the reader.
const END: &str = ".end";

/// What the daemon asks for, too.
fn mask() -> WatchFlags {
    WatchFlags::CREATE
        | WatchFlags::CLOSE_WRITE
        | WatchFlags::ATTRIB
        | WatchFlags::DELETE
        | WatchFlags::MOVED_FROM
        | WatchFlags::MOVED_TO
        | WatchFlags::ONLYDIR
}

/// The reader's whole life: says that it watches, counts, says how many.
pub fn run(dir: &Path) -> anyhow::Result<()> {
    let fd = inotify::init(CreateFlags::CLOEXEC)?;
    let mut open = vec![dir.to_path_buf()];
    while let Some(path) = open.pop() {
        inotify::add_watch(&fd, &path, mask())?;
        for entry in std::fs::read_dir(&path)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            }
        }
    }
    println!("watching");
    std::io::stdout().flush()?;
    let mut buffer = vec![MaybeUninit::uninit(); 64 * 1024];
    let mut events = inotify::Reader::new(&fd, &mut buffer);
    let (mut count, mut overflows) = (0_u64, 0_u64);
    loop {
        let event = events.next()?;
        if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
            overflows += 1;
        }
        if event
            .file_name()
            .is_some_and(|name| name.to_bytes() == END.as_bytes())
        {
            break;
        }
        count += 1;
    }
    println!("{count} {overflows}");
    // Its figures can be read as long as nobody waits for it.
    std::io::stdin().lines().next();
    Ok(())
}

/// A reader that runs.
pub struct Reader {
    child: Child,
    output: BufReader<ChildStdout>,
    dir: PathBuf,
}

/// What it counted.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    pub events: u64,
    pub overflows: u64,
    pub cpu: std::time::Duration,
}

impl Reader {
    /// Starts it on `dir` and waits until it watches.
    pub fn start(dir: &Path) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .env(READER, dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().context("the reader has no output")?;
        let mut reader = Self {
            child,
            output: BufReader::new(output),
            dir: dir.to_path_buf(),
        };
        ensure!(reader.line()? == "watching", "the reader does not watch");
        Ok(reader)
    }

    /// Ends it when it has read everything up to now.
    pub fn finish(mut self) -> anyhow::Result<Counted> {
        std::fs::write(self.dir.join(END), b"")?;
        let line = self.line()?;
        let (events, overflows) = line
            .split_once(' ')
            .context("the reader tells no figures")?;
        let cpu = Seen::default().until(&Seen::now(self.child.id())).cpu;
        drop(self.child.stdin.take());
        self.child.wait()?;
        std::fs::remove_file(self.dir.join(END))?;
        Ok(Counted {
            events: events.parse()?,
            overflows: overflows.parse()?,
            cpu,
        })
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
