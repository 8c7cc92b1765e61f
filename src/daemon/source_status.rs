//! The state of the sources, for `status`.

use std::collections::BTreeMap;

use super::sources::{Handle, Sources};
use crate::config::SourceKind;
use crate::registry::Backlog;
use crate::sources::{ChangeDetection, DatabaseOptions, SourceState};
use crate::types::{self, ChangesBy};

impl Sources {
    /// State of each source.
    pub(super) fn tell_all(&self) -> Vec<types::Source> {
        let (backlogs, failure) = match self.registry().counts() {
            Ok(counts) => (counts, None),
            Err(error) => (BTreeMap::new(), Some(error.to_string())),
        };
        let running = self.running.lock();
        let all = running.iter().map(|(&id, one)| {
            let name = &one.settings.name;
            let backlog = backlogs.get(name).cloned().unwrap_or_default();
            let mut read_at = None;
            let (state, why, heard) = match &one.handle {
                Handle::Api => match &failure {
                    Some(why) => (types::SourceState::Down, Some(why.clone()), None),
                    None => (types::SourceState::Ready, None, None),
                },
                Handle::Database(database) => {
                    let stats = database.stats();
                    read_at = stats.last_read_at.map(|at| at.to_string());
                    match stats.state {
                        SourceState::Loading => (types::SourceState::Loading, None, None),
                        SourceState::Ready => (types::SourceState::Ready, None, stats.detection),
                        SourceState::Down { why } => (types::SourceState::Down, Some(why), None),
                    }
                }
            };
            let (by, by_why) = match heard {
                None => (None, None),
                Some(ChangeDetection::Notifications) => (Some(ChangesBy::Notifications), None),
                Some(ChangeDetection::Polling { why }) => (Some(ChangesBy::Polling), Some(why)),
            };
            types::Source {
                name: name.clone(),
                kind: kind(&one.settings.kind),
                state,
                why,
                by,
                by_why,
                jobs: self.jobs.count(id),
                read_at,
                waiting_records: backlog.waiting,
                waiting_since: backlog.since.map(|at| at.to_string()),
                refused_records: backlog.refused,
                refused: self.refused(name, &backlog),
                last_error: backlog.last_error,
                refused_claims: None,
            }
        });
        all.collect()
    }

    /// Records that the source refused, as many as are listed.
    fn refused(&self, name: &str, backlog: &Backlog) -> Vec<types::PendingRecord> {
        if backlog.refused == 0 {
            return Vec::new();
        }
        let refused = self.registry().refused(name).unwrap_or_default();
        refused
            .into_iter()
            .map(types::PendingRecord::from)
            .collect()
    }
}

fn kind(kind: &SourceKind) -> types::SourceKind {
    match kind {
        SourceKind::Api => types::SourceKind::Api,
        SourceKind::Database(DatabaseOptions::Sqlite(_)) => types::SourceKind::Sqlite,
        SourceKind::Database(DatabaseOptions::Postgres(_)) => types::SourceKind::Postgres,
    }
}
