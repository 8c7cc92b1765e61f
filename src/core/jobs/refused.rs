//! Holds of refused claims, and the claim behind each.

use super::claims;
use super::row::{JobKey, SourceId};
use super::source_jobs::SourceJobs;
use super::table::Jobs;
use crate::core::facts::{RootId, RuleId};
use crate::core::hold::Hold;
use crate::core::path::RelPath;
use crate::core::policy::{JobFilter, Policy};

/// Characters of a claim that a message shows: those that are longer are no paths.
const SHOWN_MAX: usize = 300;

/// A claim that is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusedClaim {
    /// The job that makes it.
    pub job: JobKey,
    /// The claim, as the source has it, cut off where it is too long to be shown.
    pub file: String,
    /// The reason for the refusal, for people.
    pub why: String,
}

/// The refused claims of one source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusedClaims {
    /// Number of them.
    pub claims: u64,
    /// Of how many jobs.
    pub jobs: u64,
    /// One of them; of a job that has not ended, if there is such a job.
    pub example: RefusedClaim,
}

/// A claim that leads to a path, with the path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResolvedClaim {
    /// The job that makes it.
    pub job: JobKey,
    /// The root.
    pub root: RootId,
    /// The path in it.
    pub path: RelPath,
}

impl RefusedClaim {
    /// The hold of what the claim may mean, or of all that its job owns.
    #[must_use]
    pub fn hold(self, policy: &Policy) -> Hold {
        let source = policy.sources.get(&self.job.source);
        Hold::ClaimRefused {
            source: source.map_or_else(String::new, |source| source.name.clone()),
            job: self.job.id,
            file: self.file,
            why: self.why,
        }
    }
}

impl Jobs {
    /// Returns what holds the thing at `path` in `root`, which no known job owns, because a refused
    /// claim may mean it. `rule` lets it lapse.
    #[must_use]
    pub fn refused_hold(
        &self,
        policy: &Policy,
        root: RootId,
        path: &[u8],
        rule: RuleId,
    ) -> Option<Hold> {
        let is_orphan = policy.rule(rule).jobs == JobFilter::Nobody;
        let governing = policy.sources.keys().copied();
        governing
            .filter(|&source| self.governs(policy, source, root))
            .find_map(|source| {
                let tables = self.tables();
                let table = tables.get(&source)?;
                let no = table.refusals().claimant(path, is_orphan)?;
                Some(
                    table
                        .refused_claim(policy, source, no, Some(path))?
                        .hold(policy),
                )
            })
    }

    /// The claims of jobs that have not ended which lead elsewhere than to `path` in `root`, and to
    /// a thing that is called like it or a directory around it: at most `most`.
    #[must_use]
    pub fn namesakes(
        &self,
        policy: &Policy,
        root: RootId,
        path: &[u8],
        most: usize,
    ) -> Vec<ResolvedClaim> {
        let tables = self.tables();
        let mut found = Vec::new();
        for (&source, table) in tables.iter() {
            let Some(of) = policy.sources.get(&source) else {
                continue;
            };
            for name in path.split(|&byte| byte == b'/') {
                for no in table.refusals().live_claimants(name) {
                    for (at, claimed) in table.claimed(policy, of, no) {
                        let is_called_so = claimed.split().is_some_and(|(_, last)| last == name);
                        if !is_called_so || (at == root && claimed.as_bytes() == path) {
                            continue;
                        }
                        if found.len() == most {
                            return found;
                        }
                        let id = table.id(no);
                        found.push(ResolvedClaim {
                            job: JobKey { source, id },
                            root: at,
                            path: claimed,
                        });
                    }
                }
            }
        }
        found
    }

    /// Returns true if any job of any source has a refused claim.
    #[must_use]
    pub fn has_refused(&self) -> bool {
        self.tables()
            .values()
            .any(|table| !table.refusals().is_empty())
    }

    /// A refused claim of the job `key`, if it has one.
    #[must_use]
    pub fn refused_claim(&self, policy: &Policy, key: &JobKey) -> Option<RefusedClaim> {
        let tables = self.tables();
        let table = tables.get(&key.source)?;
        table.refused_claim(policy, key.source, table.find(&key.id)?, None)
    }

    /// The refused claims of `source`; `None`: there is none.
    #[must_use]
    pub fn refused_claims(&self, policy: &Policy, source: SourceId) -> Option<RefusedClaims> {
        let tables = self.tables();
        let table = tables.get(&source)?;
        let refusals = table.refusals();
        let example = table.refused_claim(policy, source, refusals.example()?, None)?;
        let (claims, jobs) = refusals.counts();
        Some(RefusedClaims {
            claims,
            jobs,
            example,
        })
    }
}

impl SourceJobs {
    /// A refused claim of the job `no`; one that may mean `path`, if there is one.
    fn refused_claim(
        &self,
        policy: &Policy,
        source: SourceId,
        no: u32,
        path: Option<&[u8]>,
    ) -> Option<RefusedClaim> {
        let of = policy.sources.get(&source)?;
        let mut refused = self.refused(policy, of, no).claims;
        let means = |(file, _): &(String, String)| {
            let names = claims::names(of, file)?;
            let mut parts = path?.split(|&byte| byte == b'/');
            parts.find(|part| names.iter().any(|name| name == part))
        };
        let at = refused.iter().position(|claim| means(claim).is_some());
        if refused.is_empty() {
            return None;
        }
        let (file, why) = refused.swap_remove(at.unwrap_or(0));
        let mut shown: String = file.chars().take(SHOWN_MAX).collect();
        if shown.len() < file.len() {
            shown.push('…');
        }
        let (file, id) = (shown, self.id(no));
        Some(RefusedClaim {
            job: JobKey { source, id },
            file,
            why,
        })
    }
}
