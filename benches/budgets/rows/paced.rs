//! Writers that keep a pace.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Directories that a writer writes to by turns.
pub const DIRS: u64 = 100;

/// Between two looks at what should have been done by now.
const BEAT: Duration = Duration::from_micros(500);

/// What a writer did.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    pub count: u64,
    pub wall: Duration,
}

impl Done {
    pub fn rate(self) -> f64 {
        crate::stats::rate(self.count, self.wall)
    }
}

/// Does `step` `rate` times a second, until `span` is over or `stop` is set.
pub fn run(
    rate: f64,
    span: Duration,
    stop: &AtomicBool,
    mut step: impl FnMut(u64) -> anyhow::Result<()>,
) -> anyhow::Result<Done> {
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < span && !stop.load(Ordering::Relaxed) {
        let due = (begun.elapsed().as_secs_f64() * rate) as u64;
        while count < due && begun.elapsed() < span {
            step(count)?;
            count += 1;
        }
        std::thread::sleep(BEAT);
    }
    Ok(Done {
        count,
        wall: begun.elapsed(),
    })
}

/// Makes the directories of a writer below `top`.
pub fn make_dirs(top: &Path) -> anyhow::Result<()> {
    for number in 0..DIRS {
        std::fs::create_dir_all(top.join(format!("d{number:03}")))?;
    }
    Ok(())
}

/// The path of file `number`.
pub fn path(top: &Path, number: u64) -> PathBuf {
    top.join(format!("d{:03}/f{number:08}", number % DIRS))
}
