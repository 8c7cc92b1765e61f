//! The peers that every machine has: measured in the same run as the daemon.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::process::of_children;

/// What a run took.
#[derive(Clone, Copy, Debug)]
pub struct Took {
    pub wall: Duration,
    /// In the kernel's ticks of 10 ms.
    pub cpu: Duration,
    /// Lines printed.
    pub lines: u64,
}

/// `find ROOT ARGUMENTS`; its output goes through a pipe, as whoever uses it would have it.
pub fn find(root: &Path, arguments: &[&str]) -> anyhow::Result<Took> {
    let mut command = Command::new("find");
    command.arg(root).args(arguments);
    run(command)
}

/// `rm -rf ROOT`.
pub fn rm(root: &Path) -> anyhow::Result<Took> {
    let mut command = Command::new("rm");
    command.arg("-rf").arg(root);
    run(command)
}

fn run(mut command: Command) -> anyhow::Result<Took> {
    let (begun, cpu) = (Instant::now(), of_children());
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{command:?} cannot be started"))?;
    let mut lines = 0;
    if let Some(mut output) = child.stdout.take() {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let size = std::io::Read::read(&mut output, &mut buffer)?;
            if size == 0 {
                break;
            }
            lines += buffer[..size].iter().filter(|byte| **byte == b'\n').count() as u64;
        }
    }
    let status = child.wait()?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(Took {
        wall: begun.elapsed(),
        cpu: of_children().saturating_sub(cpu),
        lines,
    })
}
