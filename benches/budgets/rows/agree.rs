//! The index against the file system: whatever else was measured, nothing may be lost.

use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

use crate::bench::Bench;
use crate::daemon::Daemon;
use crate::walk;

/// Examples that a complaint shows.
const SHOWN_MAX: usize = 3;

/// An entry, as far as it matters here.
#[derive(Deserialize)]
struct Entry {
    path: String,
}

/// Holds the index of `daemon`, after a sync, against a walk of `root`; gives the number of files.
pub fn check(bench: &mut Bench, what: &str, daemon: &Daemon, root: &Path) -> anyhow::Result<u64> {
    let mut client = daemon.client()?;
    client.sync()?;
    let mut body = Vec::new();
    client.lines("/v1/files", |part| body.extend_from_slice(part))?;
    let mut index: Vec<String> = Vec::new();
    for line in body
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let entry: Entry = serde_json::from_slice(line).context("a line is no entry")?;
        let below = Path::new(&entry.path).strip_prefix(root)?;
        index.push(below.to_string_lossy().into_owned());
    }
    index.sort_unstable();
    let walk = walk::paths(root)?;
    if index != walk {
        let lost = missing(&walk, &index);
        let invented = missing(&index, &walk);
        bench.wrong(format!(
            "{what}: of {} files the index lacks {} ({}), and it has {} that are not there ({})",
            walk.len(),
            lost.len(),
            some(&lost),
            invented.len(),
            some(&invented)
        ));
    }
    Ok(walk.len() as u64)
}

/// What is in `all` and not in `sorted`.
fn missing<'a>(all: &'a [String], sorted: &[String]) -> Vec<&'a String> {
    all.iter()
        .filter(|path| sorted.binary_search(path).is_err())
        .collect()
}

fn some(paths: &[&String]) -> String {
    let shown: Vec<&str> = paths
        .iter()
        .take(SHOWN_MAX)
        .map(|path| path.as_str())
        .collect();
    shown.join(", ")
}
