//! `lapsed explain PATH`: why a file lapses when it does, or does not.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;
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
    let path = absolute(&arguments.path, context.environment.current_dir.as_deref())
        .context("the current directory is gone; give an absolute path")?;
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
    if (explanation.found.is_none() || around != path)
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

/// `path` from `/`, as the daemon knows it: symbolic links on the way are followed (roots are known
/// by their real paths), the last component is not.
pub(super) fn absolute(path: &Path, current_dir: Option<&Path>) -> Option<PathBuf> {
    let path = if path.is_absolute() {
        path.to_path_buf()
    } else {
        current_dir?.join(path)
    };
    let last = match path.components().next_back() {
        Some(Component::Normal(name)) if !ends_in_dot(&path) => name,
        // `/`, `..` and `.` name a directory by where they stand.
        _ => return Some(path.canonicalize().unwrap_or_else(|_| plain(&path))),
    };
    let parent = path.parent().unwrap_or(Path::new("/"));
    let parent = parent.canonicalize().unwrap_or_else(|_| plain(parent));
    Some(parent.join(last))
}

fn ends_in_dot(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    bytes.ends_with(b"/.") || path.as_os_str() == OsStr::new(".")
}

/// `path` with its `.` and `..` resolved by their spelling: what is not there cannot be asked.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::Normal(name) => plain.push(name),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_component_is_not_followed_and_the_others_are() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        std::fs::create_dir(real.join("a")).unwrap();
        std::os::unix::fs::symlink("a", real.join("link")).unwrap();
        let seen = |path: &str| absolute(Path::new(path), Some(&real)).unwrap();
        assert_eq!(seen("link/file"), real.join("a/file"));
        assert_eq!(seen("link"), real.join("link"));
        assert_eq!(seen("link/."), real.join("a"));
        assert_eq!(seen("."), real);
        assert_eq!(seen("a/../b"), real.join("b"));
        assert_eq!(seen("gone/../../x/y"), plain(&real.join("../x/y")));
        assert_eq!(seen("/"), Path::new("/"));
        assert_eq!(absolute(Path::new("a"), None), None);
    }
}
