//! The state of the sources, for `status`.

use std::collections::BTreeMap;

use super::sources::{Handle, Sources};
use crate::registry::Backlog;
use crate::sources::{ChangeDetection, SourceState};
use crate::types;

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
            let (state, why, heard) = match &one.handle {
                Handle::Api => match &failure {
                    Some(why) => ("down", Some(why.clone()), None),
                    None => ("ready", None, None),
                },
                Handle::Database(database) => {
                    let stats = database.stats();
                    match stats.state {
                        SourceState::Loading => ("loading", None, None),
                        SourceState::Ready => ("ready", None, stats.detection),
                        SourceState::Down { why } => ("down", Some(why), None),
                    }
                }
            };
            let (by, by_why) = match heard {
                None => (None, None),
                Some(ChangeDetection::Notifications) => (Some("notifications"), None),
                Some(ChangeDetection::Polling { why }) => (Some("polling"), Some(why)),
            };
            types::Source {
                name: name.clone(),
                kind: one.settings.kind.as_str().to_owned(),
                state: state.to_owned(),
                why,
                by: by.map(str::to_owned),
                by_why,
                jobs: self.jobs.count(id),
                waiting_records: backlog.waiting,
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
