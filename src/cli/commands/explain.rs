//! `lapsed explain PATH`: why a file lapses when it does, or does not.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::client::Target;
use crate::cli::context::{Context, End, WatchOptions};
use crate::cli::human;
use crate::daemon::Baseline;
use crate::types::{Bytes, ExplainQuery, Explanation, FoundKind, JsonPath};

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// File, or top-level directory of a root
    path: PathBuf,
    #[command(flatten)]
    watching: WatchOptions,
}

pub(super) async fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let path = context.path_of_daemon(&arguments.path)?;
    let mut client = context
        .connect_to_read(&arguments.watching, Baseline::Saved)
        .await?;
    // The daemon knows of no quarantine: it is asked for the root around it.
    let quarantines = path.ancestors().filter(|dir| dir.ends_with(".lapsed"));
    let around = quarantines.last().and_then(Path::parent).unwrap_or(&path);
    let query = ExplainQuery {
        path: Some(Bytes(around.as_os_str().as_bytes().to_vec())),
        path_b64: None,
    };
    let target = Target::new("/v1/explain").query(&query);
    let mut explanation: Explanation = client.get(&target).await?;
    if !context.is_remote()
        && (explanation.found.is_none() || around != path)
        && let Some((found, sentence)) = look(&path)
    {
        // No rule is for it: what the daemon says is about a file there.
        explanation = Explanation {
            path: JsonPath::new(&path),
            root: explanation.root,
            found: Some(found),
            text: vec![sentence],
            ..Explanation::default()
        };
    }
    if context.is_json() {
        context.output.json(&explanation)?;
        return Ok(End::Done);
    }
    for sentence in &explanation.text {
        let sentence = human::in_local_time(&human::safe(sentence));
        context.output.line(&sentence)?;
    }
    Ok(End::Done)
}

/// Looks at a path that the daemon has nothing at. Returns what is there, and a sentence about it;
/// `None` if it is nothing, or something that rules are for.
fn look(path: &Path) -> Option<(FoundKind, String)> {
    let shown = path.display();
    if path.components().any(|part| part.as_os_str() == ".lapsed") {
        let sentence =
            format!("\"{shown}\" belongs to lapsed: its quarantine, which no rule is for.");
        return Some((FoundKind::Quarantine, sentence));
    }
    let kind = path.symlink_metadata().ok()?.file_type();
    let (found, kind) = if kind.is_symlink() {
        (FoundKind::Symlink, "a symbolic link")
    } else if kind.is_file() || kind.is_dir() {
        return None;
    } else {
        (FoundKind::Other, "neither a file nor a directory")
    };
    let sentence = format!(
        "\"{shown}\" is {kind}: no rule is for it; it goes only with a directory that lapses as a whole."
    );
    Some((found, sentence))
}
