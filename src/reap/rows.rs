//! Job rows as the sources have them now, read once for each round and job.
//!
//! **Invariant:** an answer that is missing, or differs from what is known, holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::context::LookContext;
use crate::core::claim::Claim;
use crate::core::hold::Hold;
use crate::core::jobs::{Job, JobFacts, JobKey, JobLookup, Owner};
use crate::core::policy::{Policy, Record};
use crate::ledger::line::LineJob;

/// The answers of the sources, for one look at the claims of a round.
pub(super) struct JobLookupCache<'a> {
    looks: &'a LookContext,
    policy: &'a Policy,
    /// Each with whether it differed from what was known when it came.
    asked: BTreeMap<JobKey, (JobLookup, bool)>,
}

impl<'a> JobLookupCache<'a> {
    pub(super) fn new(looks: &'a LookContext, policy: &'a Policy) -> Self {
        Self {
            looks,
            policy,
            asked: BTreeMap::new(),
        }
    }

    /// Checks that each of these jobs is known as its source tells of it now.
    ///
    /// # Errors
    /// The hold of what it owns, otherwise.
    pub(super) fn agree<'k>(
        &mut self,
        keys: impl IntoIterator<Item = &'k JobKey>,
    ) -> Result<(), Hold> {
        keys.into_iter().try_for_each(|key| self.agrees(key))
    }

    fn agrees(&mut self, key: &JobKey) -> Result<(), Hold> {
        if let Some(asked) = self.asked.get(key) {
            return self.still_agrees(key, asked);
        }
        let hooks = &self.looks.hooks;
        let fresh = (hooks.fresh)(key);
        let is_news = !matches!(fresh, JobLookup::Unknown(_)) && !(hooks.agrees)(key, &fresh);
        if is_news {
            // Now or never: what is known may soon be newer than this answer.
            (hooks.disagrees)(key, fresh.clone());
        }
        let asked = (fresh, is_news);
        let agrees = self.still_agrees(key, &asked);
        self.asked.insert(key.clone(), asked);
        agrees
    }

    /// As [`JobLookupCache::agrees`], by an answer of before: what is known may have changed since.
    fn still_agrees(&self, key: &JobKey, (fresh, is_news): &(JobLookup, bool)) -> Result<(), Hold> {
        let agrees = &self.looks.hooks.agrees;
        match fresh {
            JobLookup::Unknown(why) => Err(self.unknown(key, why.clone())),
            JobLookup::Row(_) | JobLookup::Gone if !is_news && agrees(key, fresh) => Ok(()),
            JobLookup::Row(_) | JobLookup::Gone => Err(self.changed(key)),
        }
    }

    /// The job as its source told of it; `None` when it was not asked about or has none.
    pub(super) fn job(&self, key: &JobKey) -> Option<Job> {
        match &self.asked.get(key)?.0 {
            JobLookup::Row(row) => Some(Job {
                key: key.clone(),
                kind: row.kind.as_deref().map(Arc::from),
                status: row.status,
                moments: row.moments,
                unreadable: row.unreadable.is_some(),
            }),
            JobLookup::Gone | JobLookup::Unknown(_) => None,
        }
    }

    /// Facts of the job that decide nothing.
    pub(super) fn facts(&self, key: &JobKey) -> Option<JobFacts> {
        match &self.asked.get(key)?.0 {
            JobLookup::Row(row) => Some(row.facts()),
            JobLookup::Gone | JobLookup::Unknown(_) => None,
        }
    }

    /// The job as the ledger line describes it.
    pub(super) fn line_job(&self, key: &JobKey, record: Record) -> Option<LineJob> {
        match &self.asked.get(key)?.0 {
            JobLookup::Row(row) => Some(LineJob {
                source: self.name_of(key),
                record: record.as_str().to_owned(),
                row: (**row).clone(),
                files_left_out: 0,
            }),
            JobLookup::Gone | JobLookup::Unknown(_) => None,
        }
    }

    /// The hold of what is owned by a job that has changed.
    pub(super) fn changed(&self, key: &JobKey) -> Hold {
        let why = format!(
            "the row of job \"{}\" has changed and is being read",
            key.id
        );
        self.unknown(key, why)
    }

    fn unknown(&self, key: &JobKey, why: String) -> Hold {
        let source = self.name_of(key);
        Hold::SourceDown { source, why }
    }

    fn name_of(&self, key: &JobKey) -> String {
        let known = self.policy.sources.get(&key.source);
        known.map_or_else(|| key.source.0.to_string(), |source| source.name.clone())
    }
}

/// Returns whether the claim was made about these owners, whose rows are read.
pub(super) fn is_of(owner: &Owner, claim: &Claim) -> bool {
    owner.keys().iter().all(|key| claim.owners.contains(key))
}

/// The owner in the ledger line: the job that decides, the job that it would belong to, or what the
/// root's template captures.
pub(super) fn owner_name(
    policy: &Policy,
    claim: &Claim,
    owner: &Owner,
    decides: Option<&Job>,
) -> Option<String> {
    match owner {
        Owner::Jobs(_) => decides.map(|job| job.key.id.clone()),
        Owner::Unknown { captured, .. } => captured.clone(),
        Owner::Nobody => policy
            .owner(claim.root, claim.path.as_bytes())
            .map(|job| String::from_utf8_lossy(job).into_owned()),
    }
}
