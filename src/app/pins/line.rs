//! The ledger's line about a pin.

use std::os::unix::ffi::OsStrExt;

use crate::app::daemon::{Daemon, root_name};
use crate::core::jobs::{JobKey, JobRow, Status};
use crate::core::path::RelPath;
use crate::core::pins::{Pin, PinTarget};
use crate::core::policy::Record;
use crate::core::principal::Principal;
use crate::core::time::Timestamp;
use crate::ledger::line::{LineJob, LinePin, pack};
use crate::ledger::{Line, LineUnit, Mark};

/// The line that `by` did `mark` with `pin` at `at`.
pub(crate) fn of(daemon: &Daemon, pin: &Pin, mark: Mark, by: &Principal, at: Timestamp) -> Line {
    let line = Line {
        id: daemon.parts.ledger.next_id(),
        at,
        root: String::new(),
        unit: LineUnit::Job,
        basis: pin.set_at,
        deadline: pin.until,
        result: mark,
        by: by.clone(),
        pin: Some(LinePin {
            id: pin.id,
            who: pin.who.clone(),
            why: pin.why.clone(),
        }),
        ..Line::default()
    };
    let policy = daemon.policy();
    match &pin.target {
        PinTarget::Path(path) => {
            let place = policy.locate(path);
            let is_dir = place.as_ref().is_some_and(|(root, path)| {
                *path == RelPath::root()
                    || daemon.parts.index.dir_id(*root, path.as_bytes()).is_some()
            });
            let root = place.map(|(root, _)| root_name(&policy, root).to_owned());
            let (path, path_b64) = pack(path.as_os_str().as_bytes());
            Line {
                // A reload may have taken the root away since the pin was set.
                root: root.unwrap_or_default(),
                path,
                path_b64,
                unit: if is_dir {
                    LineUnit::Dir
                } else {
                    LineUnit::File
                },
                ..line
            }
        }
        PinTarget::Job { source, id } => Line {
            owner: Some(id.clone()),
            job: Some(LineJob {
                source: source.clone(),
                record: Record::Keep.as_str().to_owned(),
                row: row(daemon, source, id),
                files_left_out: 0,
            }),
            ..line
        },
    }
}

/// Row of the job, as far as it is known.
fn row(daemon: &Daemon, source: &str, id: &str) -> JobRow {
    let policy = daemon.policy();
    let known = policy
        .sources
        .iter()
        .find(|(_, known)| known.name == source);
    let job = known.and_then(|(&source, _)| {
        let id = id.to_owned();
        daemon.parts.jobs.job(&JobKey { source, id })
    });
    match job {
        Some(job) => JobRow {
            kind: job.kind.as_deref().map(str::to_owned),
            moments: job.moments,
            ..JobRow::new(id, job.status)
        },
        None => JobRow {
            unreadable: Some("its source had not told of it".to_owned()),
            ..JobRow::new(id, Status::Running)
        },
    }
}
