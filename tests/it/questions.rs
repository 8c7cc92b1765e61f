//! Questions and orders, over the socket and by the commands.

mod events;
mod files;
mod orders;
mod plans;
mod space;

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::common::{Daemon, Place, lines, path_of};

/// A user and a group that no host knows.
const STRANGER: u32 = 64_999;

/// A file of `bytes` bytes, last changed `ago`.
fn file(path: &Path, bytes: usize, ago: Duration) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, vec![b'x'; bytes]).unwrap();
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - ago).unwrap();
}

const HOUR: Duration = Duration::from_hours(1);

/// Two roots, three rules; sizes and ages in steps.
fn library() -> (Place, Daemon) {
    let place = Place::new();
    for number in 0..5_u32 {
        let name = format!("results/job-{}/{number}.dat", number % 2);
        let bytes = 100 * (number as usize + 1);
        file(&place.path(&name), bytes, HOUR * (number + 1));
    }
    file(&place.path("results/kept.txt"), 7, HOUR * 100);
    file(&place.path("uploads/a.part"), 50, HOUR * 10);
    file(&place.path("uploads/sub/b.part"), 60, HOUR * 20);
    let config = place.config(
        r#"
        [[root]]
        name = "results"
        path = "results"
        owner = "{job}/**"
        [[root]]
        name = "uploads"
        path = "uploads"
        [[rule]]
        name = "data"
        root = "results"
        glob = "**/*.dat"
        since = "mtime"
        expire = "48h"
        [[rule]]
        name = "parts"
        root = "uploads"
        since = "mtime"
        schedule = "manual"
        expire = "15h"
        "#,
    );
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    (place, daemon)
}

/// Names of the files that a query gives, in its order.
#[track_caller]
fn names(daemon: &Daemon, query: &str) -> Vec<String> {
    let (status, answer) = daemon.get(&format!("/v1/files?{query}"));
    assert_eq!(status, 200, "{query}: {answer}");
    answer["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let path = path_of(entry);
            path.file_name().unwrap().to_string_lossy().into_owned()
        })
        .collect()
}

#[track_caller]
fn history(place: &Place, arguments: &[&str]) -> Vec<Value> {
    let output = place.run(&[&["history", "--json", "--limit", "0"], arguments].concat());
    assert!(output.status.success(), "{output:?}");
    lines(&output)
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}
