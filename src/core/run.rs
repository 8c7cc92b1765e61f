//! Run: one clean from its order to its report, as its client, the engine and the ledger know it.
//!
//! **Invariant:** numbers only grow, and a number is never given twice in one state directory.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// Cause of a run.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    utoipa::ToSchema,
)]
#[strum(serialize_all = "kebab-case")]
#[serde(rename_all = "kebab-case")]
pub enum RunCause {
    /// A client asked for it.
    Order,
    /// The schedule of a rule.
    Schedule,
    /// The start of the daemon.
    Start,
}

impl RunCause {
    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// State or outcome of a run.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Serialize,
    Deserialize,
    strum::EnumString,
    strum::IntoStaticStr,
    utoipa::ToSchema,
)]
#[strum(serialize_all = "kebab-case")]
#[serde(rename_all = "kebab-case")]
pub enum RunStatus {
    /// It has not ended.
    Running,
    /// All that was due was removed, or is held by something ordinary.
    Done,
    /// Something could not be read, removed or recorded, or a breaker stopped it.
    Errors,
    /// Nothing could be judged: no root, or nothing that decides about the roots, could be read.
    Failed,
    /// A client cancelled it, or its process ended first: what was removed until then is gone.
    Interrupted,
}

impl RunStatus {
    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Progress of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// Files, directories and jobs that were due when it looked.
    pub due: u64,
    /// Those of them that are removed, held, or not due any more.
    pub settled: u64,
    /// Removed files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A run under way. Clones are the same run.
#[derive(Clone)]
pub struct Run(Arc<State>);

struct State {
    id: u64,
    is_cancelled: AtomicBool,
    due: AtomicU64,
    settled: AtomicU64,
    files: AtomicU64,
    bytes: AtomicU64,
}

impl Run {
    /// The run with the number `id`, which has done nothing yet.
    #[must_use]
    pub fn new(id: u64) -> Self {
        Self(Arc::new(State {
            id,
            is_cancelled: AtomicBool::new(false),
            due: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            files: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }))
    }

    /// Returns its number.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// Cancels it: the engine hands out no more of its claims from its next step on.
    pub fn cancel(&self) {
        self.0.is_cancelled.store(true, Ordering::SeqCst);
    }

    /// Returns true once it was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled.load(Ordering::SeqCst)
    }

    /// Returns its progress.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let load = |of: &AtomicU64| of.load(Ordering::Relaxed);
        Progress {
            due: load(&self.0.due),
            settled: load(&self.0.settled),
            files: load(&self.0.files),
            bytes: load(&self.0.bytes),
        }
    }

    pub(super) fn add_due(&self, count: usize) {
        self.0.due.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn add_settled(&self, count: usize) {
        self.0.settled.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn add_removed(&self, files: u64, bytes: u64) {
        self.0.files.fetch_add(files, Ordering::Relaxed);
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl PartialEq for Run {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Run {}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("id", &self.id())
            .field("progress", &self.progress())
            .finish_non_exhaustive()
    }
}
