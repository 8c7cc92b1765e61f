//! Answers about jobs from what the registry keeps of them.

use crate::registry::{ForgottenJob, Removal, WaitingItem};
use crate::types::{Job, JobRemoval, PendingRecord};

impl From<ForgottenJob> for Job {
    fn from(job: ForgottenJob) -> Self {
        let Removal {
            ledger_id,
            at,
            rule,
            files,
            bytes,
        } = job.removal;
        Self {
            forgotten: true,
            forgotten_at: Some(job.forgotten_at.to_string()),
            removal: Some(JobRemoval {
                at,
                rule,
                files,
                bytes,
                ledger_id,
            }),
            ..Self::from_row(job.row, &job.source, Vec::new())
        }
    }
}

impl From<WaitingItem> for PendingRecord {
    fn from(item: WaitingItem) -> Self {
        Self {
            job: item.job,
            action: item.action,
            since: item.since.to_string(),
            attempts: item.attempts,
            error: item.error,
        }
    }
}
