//! Space of the roots' file systems.
//!
//! **Invariant:** a file system that does not answer delays one request by [`ANSWER_MAX`], occupies
//! one thread, and is not asked again until it has answered.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use parking_lot::Mutex;
use tokio::time::timeout;

use crate::app::daemon::AskSpace;
use crate::fs::space::{self, Space};
use crate::types;

/// Maximum time for all file systems to answer. Local ones take microseconds.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// File systems that are asked at once: as many threads at most hang in one request.
const ASKED_MAX: usize = 8;

/// Asks file systems for their space.
#[derive(Clone, Default)]
pub(super) struct SpaceProbe {
    /// Paths that were asked and have not answered yet.
    silent: Arc<Mutex<BTreeSet<PathBuf>>>,
    /// One request at a time: another one's questions must not pass for silence.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl SpaceProbe {
    /// Returns the way to ask, for requests.
    pub(super) fn ask() -> Box<AskSpace> {
        let probe = Self::default();
        Box::new(move |paths| {
            let probe = probe.clone();
            Box::pin(async move { probe.look(paths, |path| space::space(path).ok()).await })
        })
    }

    /// Returns the space by path, of those for which `look` answers in time.
    async fn look(
        &self,
        paths: Vec<PathBuf>,
        look: impl Fn(&Path) -> Option<Space> + Copy + Send + 'static,
    ) -> BTreeMap<PathBuf, types::Volume> {
        let _turn = self.turn.lock().await;
        let mut found = BTreeMap::new();
        let ask = |path: PathBuf| {
            let silent = Arc::clone(&self.silent);
            async move {
                if !silent.lock().insert(path.clone()) {
                    return None;
                }
                let asked = tokio::task::spawn_blocking(move || {
                    let answer = look(&path);
                    silent.lock().remove(&path);
                    Some((path, answer?))
                });
                asked.await.ok()?
            }
        };
        let mut answers = stream::iter(paths).map(ask).buffer_unordered(ASKED_MAX);
        let all = async {
            while let Some(answer) = answers.next().await {
                found.extend(answer.map(|(path, space)| (path, in_json(space))));
            }
        };
        // Those that have not answered are left out.
        let _ = timeout(ANSWER_MAX, all).await;
        drop(answers);
        found
    }
}

fn in_json(space: Space) -> types::Volume {
    let Space {
        size_bytes,
        available_bytes,
        inodes,
        available_inodes,
    } = space;
    types::Volume {
        size_bytes,
        available_bytes,
        inodes,
        available_inodes,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    static ASKED: AtomicUsize = AtomicUsize::new(0);
    static IS_MENDED: AtomicUsize = AtomicUsize::new(0);

    /// As a server that does not answer until it is mended.
    fn look(path: &Path) -> Option<Space> {
        if path.ends_with("hangs") {
            ASKED.fetch_add(1, Ordering::SeqCst);
            while IS_MENDED.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
        }
        space::space(Path::new("/")).ok()
    }

    #[tokio::test]
    async fn a_file_system_that_hangs_is_left_out_and_not_asked_again_before_it_answers() {
        let probe = SpaceProbe::default();
        let paths = vec![PathBuf::from("hangs"), PathBuf::from("answers")];
        for _ in 0..3 {
            let found = probe.look(paths.clone(), look).await;
            let found: Vec<_> = found.into_keys().collect();
            assert_eq!(found, [PathBuf::from("answers")]);
        }
        assert_eq!(ASKED.load(Ordering::SeqCst), 1);
        IS_MENDED.store(1, Ordering::SeqCst);
        while !probe.silent.lock().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(probe.look(paths, look).await.len(), 2);
    }

    #[test]
    fn a_missing_path_has_no_space() {
        assert!(space::space(Path::new("/proc/none")).is_err());
        let root = space::space(Path::new("/")).unwrap();
        assert!(
            root.size_bytes >= root.available_bytes && root.size_bytes > 0,
            "{root:?}"
        );
    }
}
