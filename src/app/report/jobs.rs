//! Jobs of a report.

use std::collections::BTreeMap;

use crate::app::daemon::{json_path, root_name, source_name};
use crate::core::claim::{JobShare, RemovedThing, Unit};
use crate::core::facts::RuleId;
use crate::core::jobs::{Job, JobKey};
use crate::core::policy::{JobFilter, Policy, Record, Rule};
use crate::core::report::{CleanItem, CleanReport};
use crate::core::time::Timestamp;
use crate::types::{JobRecord, ReportJob, ReportThing};

/// Returns the jobs that are removed as a whole, or held, and those of which something was removed
/// under a rule that names the status of jobs, once for each rule.
pub(super) fn of(report: &CleanReport, policy: &Policy) -> Vec<ReportJob> {
    let mut jobs = Vec::new();
    let mut places = BTreeMap::<(&JobKey, RuleId), usize>::new();
    for item in report.removed.iter().chain(&report.held) {
        let rule = policy.rules.get(usize::from(item.rule.0));
        let Some((job, rule)) = item.job.as_deref().zip(rule) else {
            continue;
        };
        match item.unit {
            Unit::Job => jobs.push(whole(item, job, rule, policy)),
            Unit::File | Unit::Dir => {
                let is_of_jobs = matches!(rule.jobs, JobFilter::Standing(_));
                if !is_of_jobs || item.hold.is_some() {
                    continue;
                }
                let place = *places.entry((&job.key, item.rule)).or_insert(jobs.len());
                if place == jobs.len() {
                    jobs.push(bare(job, rule, policy));
                }
                add(&mut jobs[place], item, policy);
            }
        }
    }
    jobs
}

/// `job`, of which nothing is removed yet.
fn bare(job: &Job, rule: &Rule, policy: &Policy) -> ReportJob {
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    ReportJob {
        id: job.key.id.clone(),
        source: source_name(policy, job.key.source).to_owned(),
        kind: job.kind.as_deref().map(str::to_owned),
        status: job.status,
        rule: rule.name.clone(),
        created_at: text(job.moments.created_at),
        started_at: None,
        completed_at: text(job.moments.completed_at),
        error: None,
        columns: None,
        files: Vec::new(),
        directories: Vec::new(),
        file_count: 0,
        bytes: 0,
        record: JobRecord::Kept,
        hold: None,
        why: None,
    }
}

/// A job that is removed as a whole, or held.
fn whole(item: &CleanItem, job: &Job, rule: &Rule, policy: &Policy) -> ReportJob {
    let mut found = bare(job, rule, policy);
    (found.file_count, found.bytes) = (item.files, item.bytes);
    found.record = match (&item.hold, rule.record) {
        (Some(_), _) => JobRecord::Held,
        (None, Record::Keep) => JobRecord::Kept,
        (None, Record::Mark) => JobRecord::Marked,
        (None, Record::Forget) => JobRecord::Forgotten,
    };
    found.hold = item.hold.as_ref().map(|hold| hold.code().to_owned());
    found.why = item.hold.as_ref().map(ToString::to_string);
    let Some(share) = &item.share else {
        return found;
    };
    if let Some(facts) = &share.facts {
        found.started_at = facts.started_at.map(|at| at.to_string());
        found.error.clone_from(&facts.error);
        found.columns = Some(facts.attributes.clone());
    }
    for thing in &share.things {
        push(&mut found, thing, policy);
    }
    found
}

/// Adds a file or directory that is removed by itself.
fn add(job: &mut ReportJob, item: &CleanItem, policy: &Policy) {
    job.file_count += item.files;
    job.bytes = job.bytes.saturating_add(item.bytes);
    if job.files.len() + job.directories.len() < JobShare::THINGS_MAX {
        let thing = RemovedThing {
            root: item.root,
            path: item.path.clone(),
            is_dir: item.unit == Unit::Dir,
            files: item.files,
            bytes: item.bytes,
        };
        push(job, &thing, policy);
    }
}

fn push(job: &mut ReportJob, thing: &RemovedThing, policy: &Policy) {
    let things = if thing.is_dir {
        &mut job.directories
    } else {
        &mut job.files
    };
    things.push(ReportThing {
        path: json_path(policy, thing.root, &thing.path),
        root: root_name(policy, thing.root).to_owned(),
        files: thing.files,
        bytes: thing.bytes,
    });
}
