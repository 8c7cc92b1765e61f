//! What a daemon says of its sources of jobs.

use serde_json::Value;

use super::{Daemon, wait_or_tell};

/// A job id that no other number has.
pub fn uuid(number: u32) -> String {
    format!("{number:08x}-0000-4000-8000-00000000beef")
}

/// What `status` says of a source.
#[track_caller]
pub fn source(daemon: &Daemon, name: &str) -> Value {
    let (_, status) = daemon.get("/v1/status");
    let sources = status["sources"].as_array().unwrap();
    let found = sources.iter().find(|source| source["name"] == name);
    found.cloned().unwrap_or_default()
}

/// Waits until a source is in `state`, and gives why.
#[track_caller]
pub fn wait_for_source(daemon: &Daemon, name: &str, state: &str) -> String {
    wait_or_tell(
        &format!("source {name} is {state}"),
        || {
            let source = source(daemon, name);
            (source["state"] == state)
                .then(|| source["why"].as_str().unwrap_or_default().to_owned())
        },
        || tell_of(daemon),
    )
}

/// For the message of a failed test.
pub fn tell_of(daemon: &Daemon) -> String {
    let (_, status) = daemon.get("/v1/status");
    let files: Vec<String> = daemon
        .files("")
        .into_iter()
        .take(30)
        .map(|(_, entry)| entry.to_string())
        .collect();
    format!(
        "holds: {:#}\nsources: {:#}\nfiles: {files:#?}",
        status["holds"], status["sources"]
    )
}
