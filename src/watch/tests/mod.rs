//! The watcher on real trees: what it reports, applied to a plain map, must be what an independent
//! walk finds.
#![expect(
    clippy::disallowed_methods,
    reason = "the tests play the neighbours that change the trees"
)]

use crate::watch::BackendKind;

/// Backend that the modules beside this line are tried on.
const BACKEND: BackendKind = BackendKind::Inotify;
const BACKEND_NAME: &str = "inotify";

mod barriers;
mod churn;
mod harness;
mod limits;
mod mounts;
mod open_files;
mod overflow;
mod quarantined;
mod reader;
mod roots;
mod tree_changes;

/// The same, on the `notify` crate. Left out is `limits`: it is about inotify's own limits and
/// about a backend of its own.
#[allow(clippy::duplicate_mod, reason = "what is tried twice is written once")]
mod on_notify {
    use crate::watch::BackendKind;

    const BACKEND: BackendKind = BackendKind::Notify;
    const BACKEND_NAME: &str = "notify";

    #[path = "../barriers.rs"]
    mod barriers;
    #[path = "../churn.rs"]
    mod churn;
    #[path = "../harness.rs"]
    mod harness;
    #[path = "../mounts.rs"]
    mod mounts;
    mod notify;
    #[path = "../open_files.rs"]
    mod open_files;
    #[path = "../overflow.rs"]
    mod overflow;
    #[path = "../quarantined.rs"]
    mod quarantined;
    #[path = "../reader.rs"]
    mod reader;
    #[path = "../roots.rs"]
    mod roots;
    #[path = "../tree_changes.rs"]
    mod tree_changes;
}
