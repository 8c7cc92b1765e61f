//! Forecasts of what lapses with jobs.

use super::owner::{Job, Owner};
use super::table::Jobs;
use crate::core::claim::Unit;
use crate::core::facts::RootId;
use crate::core::index::{Forecast, Index};
use crate::core::policy::{Class, Policy};
use crate::core::time::Timestamp;

impl Jobs {
    /// Calls `each` for what lapses with its job by `until`, with its deadline. A page in the
    /// directory of one job is one part; where names tell the jobs, every entry is visited (~0.1 s
    /// for 100,000).
    pub fn each_deadline(
        &self,
        (index, policy): (&Index, &Policy),
        until: Timestamp,
        mut each: impl FnMut(Timestamp, Forecast),
    ) {
        if policy.rules.iter().all(|rule| rule.unit != Unit::Job) {
            return;
        }
        let is_of_job = |class| matches!(class, Class::Job(_));
        for (_, page) in index.snapshot() {
            if !page.classes().any(is_of_job) {
                continue;
            }
            let Some((root, dir)) = index.dir_path(page.dir()) else {
                continue;
            };
            let mut of_jobs = page.entries().filter(|(_, record)| is_of_job(record.class));
            let first = of_jobs.next().map(|(name, _)| dir.join(name));
            let owner =
                first.and_then(|path| self.owner_of_all_beside(policy, root, path.as_bytes()));
            let part = |rule, files, bytes| Forecast::of_files(root, rule, files, bytes);
            if let (Some(job), Some(Class::Job(rule))) = (&owner, page.only_class())
                && policy.rule(rule).since.is_of_job()
            {
                let at = policy.job_deadline(rule, Some(job), Timestamp::MIN);
                if let Some(at) = at.filter(|&at| at <= until) {
                    each(at, part(rule, page.len() as u64, page.bytes()));
                }
                continue;
            }
            for (name, record) in page.entries() {
                let Class::Job(rule) = record.class else {
                    continue;
                };
                let at = if let Some(job) = &owner {
                    policy.job_deadline(rule, Some(job), record.basis)
                } else {
                    let path = dir.join(name);
                    self.deadline(policy, root, path.as_bytes(), rule, record.basis)
                };
                if let Some(at) = at.filter(|&at| at <= until) {
                    each(at, part(rule, 1, record.size));
                }
            }
        }
    }

    /// Returns the job that owns the file at `path` and alone owns all others of its directory that
    /// any job owns; `None` where each path has to be asked.
    fn owner_of_all_beside(&self, policy: &Policy, root: RootId, path: &[u8]) -> Option<Job> {
        let template = policy.roots.get(&root)?.owner.as_ref()?;
        let claims = self.tables().values().any(|table| table.claims_in(root));
        match self.owner(policy, root, path) {
            Owner::Jobs(jobs) if template.has_job_dir() && !claims => jobs.into_iter().next(),
            Owner::Jobs(_) | Owner::Nobody | Owner::Unknown { .. } => None,
        }
    }
}
