//! Owners of a path, and the pin that holds it: for programs and in sentences.

use super::daemon::{Daemon, source_name};
use crate::core::claim::Unit;
use crate::core::facts::RootId;
use crate::core::jobs::{Job, JobRow, Owner};
use crate::core::path::RelPath;
use crate::core::pins::{Pin, PinTarget};
use crate::core::policy::{Class, Policy};
use crate::core::span;
use crate::core::time::Timestamp;
use crate::types;

/// Owners of a path, and the pin that holds it.
pub(crate) struct Belonging<'a> {
    policy: &'a Policy,
    owner: Owner,
    /// Job that the root's template captures.
    captured: Option<String>,
    /// True for an orphan.
    pub(crate) is_orphan: bool,
    /// The pin that holds it, due or not.
    pub(crate) pin: Option<Pin>,
}

/// Returns true if what is at `path` in `root` and falls under `class` is an orphan.
pub(crate) fn is_orphan(
    policy: &Policy,
    root: RootId,
    path: &[u8],
    class: Class,
    owner: &Owner,
) -> bool {
    if !matches!(owner, Owner::Unknown { .. }) {
        return false;
    }
    match class {
        Class::Dir(_) => {
            let top = path.split(|&byte| byte == b'/').next().unwrap_or_default();
            policy.may_be_orphan(root, top, Unit::Dir)
        }
        Class::Unruled | Class::Kept(_) | Class::File(_) | Class::Job(_) => {
            policy.may_be_orphan(root, path, Unit::File)
        }
    }
}

impl<'a> Belonging<'a> {
    pub(crate) fn look(
        daemon: &Daemon,
        policy: &'a Policy,
        (root, path): (RootId, &RelPath),
        class: Class,
        now: Timestamp,
    ) -> Self {
        let parts = &daemon.parts;
        let owner = parts.jobs.owner(policy, root, path.as_bytes());
        let captured = policy.owner(root, path.as_bytes());
        let captured = captured.map(|job| String::from_utf8_lossy(job).into_owned());
        let is_orphan = is_orphan(policy, root, path.as_bytes(), class, &owner);
        let pin = parts.pins.find(policy, root, path, &owner, now);
        let owner = match policy.decide(root, path.as_bytes(), &owner).1.cloned() {
            // The one that decides comes first.
            Some(first) => {
                let others = owner.jobs().iter().filter(|job| **job != first);
                Owner::Jobs([&first].into_iter().chain(others).cloned().collect())
            }
            None => owner,
        };
        Self {
            policy,
            owner,
            captured,
            is_orphan,
            pin,
        }
    }

    /// The job that owns it, or that would.
    pub(crate) fn job(&self) -> Option<types::JobLine> {
        match &self.owner {
            Owner::Nobody => {
                let id = self.captured.clone()?;
                Some(types::JobLine::captured(id, None))
            }
            Owner::Unknown { source, captured } => {
                let source = source_name(self.policy, *source).to_owned();
                Some(types::JobLine::captured(captured.clone()?, Some(source)))
            }
            Owner::Jobs(jobs) => jobs.first().map(|job| self.line(job)),
        }
    }

    /// All of them, where there are several.
    pub(crate) fn owners(&self) -> Vec<types::JobLine> {
        match self.owner.jobs() {
            [] | [_] => Vec::new(),
            jobs => jobs.iter().map(|job| self.line(job)).collect(),
        }
    }

    fn line(&self, job: &Job) -> types::JobLine {
        types::JobLine::known(job, source_name(self.policy, job.key.source))
    }

    /// The same for people.
    pub(crate) fn sentences(&self, now: Timestamp) -> Vec<String> {
        let mut text = Vec::new();
        match &self.owner {
            Owner::Nobody => {
                text.extend(self.captured.as_ref().map(|job| {
                    format!("it belongs to job \"{job}\", by the root's owner template.")
                }));
            }
            Owner::Unknown { source, captured } => {
                let source = source_name(self.policy, *source);
                text.push(match captured {
                    Some(job) => format!(
                        "it would belong to job \"{job}\" of source \"{source}\", which knows no such job."
                    ),
                    None => format!("source \"{source}\" knows no job that owns it."),
                });
            }
            Owner::Jobs(jobs) => text.extend(self.of_jobs(jobs, now)),
        }
        if self.is_orphan {
            text.push("it is an orphan: nobody owns it, where somebody should.".to_owned());
        }
        text.extend(self.pin.as_ref().map(|pin| of_pin(pin, now)));
        text
    }

    fn of_jobs(&self, jobs: &[Job], now: Timestamp) -> Vec<String> {
        let describe = |job: &Job| {
            format!(
                "job \"{}\" of source \"{}\" ({})",
                job.key.id,
                source_name(self.policy, job.key.source),
                job.status
            )
        };
        let mut text = Vec::new();
        match jobs {
            [] => return text,
            [job] => text.push(format!("it belongs to {}.", describe(job))),
            [first, ..] => {
                let names: Vec<String> = jobs.iter().map(describe).collect();
                text.push(format!(
                    "several jobs own it: {}; it goes only when each of them lets it go, and job \"{}\" keeps it longest.",
                    names.join(", "),
                    first.key.id
                ));
            }
        }
        for job in jobs {
            let id = &job.key.id;
            if id == JobRow::UNNAMED {
                text.push(
                    "rows name it whose id is neither text nor an integer: it stays until they are gone or have an id."
                        .to_owned(),
                );
            } else if job.unreadable {
                text.push(format!(
                    "a value of job \"{id}\" cannot be read: nothing of it goes; see `lapsed job get`."
                ));
            } else if let Some(at) = job.moments.cleaned_at {
                text.push(format!(
                    "job \"{id}\" was cleaned at {at} ({}): what is left of it stays.",
                    span::relative(at.ms_since(now))
                ));
            } else if !job.status.is_over() {
                text.push(format!(
                    "job \"{id}\" has not ended: nothing of it goes until then."
                ));
            } else if let Some(at) = job.moments.completed_at {
                text.push(format!(
                    "job \"{id}\" ended at {at} ({}).",
                    span::relative(at.ms_since(now))
                ));
            }
        }
        text
    }
}

fn of_pin(pin: &Pin, now: Timestamp) -> String {
    let what = match &pin.target {
        PinTarget::Path(path) => format!("\"{}\"", path.display()),
        PinTarget::Job { source, id } => format!("job \"{id}\" of source \"{source}\""),
    };
    let Pin {
        id,
        who,
        why,
        set_at,
        until,
        ..
    } = pin;
    format!(
        "pin {id} holds it until {until} ({}): {who} pinned {what} at {set_at}, because \"{why}\".",
        span::relative(until.ms_since(now))
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::jobs::{JobKey, JobTimestamps, SourceId, Status};

    const NOW: Timestamp = Timestamp::from_unix_ms(1_700_000_000_000);

    fn job(id: &str, status: Status) -> Job {
        Job {
            key: JobKey {
                source: SourceId(0),
                id: id.to_owned(),
            },
            kind: None,
            status,
            moments: JobTimestamps {
                completed_at: Some(NOW.plus_ms(-60_000)),
                ..JobTimestamps::default()
            },
            unreadable: false,
        }
    }

    fn belonging(policy: &Policy, owner: Owner) -> Belonging<'_> {
        Belonging {
            policy,
            owner,
            captured: Some("one".to_owned()),
            is_orphan: false,
            pin: None,
        }
    }

    fn described(owner: Owner) -> String {
        let policy = Policy::default();
        belonging(&policy, owner).sentences(NOW).join(" ")
    }

    #[test]
    fn people_read_whose_it_is_and_what_that_means() {
        let nobody = described(Owner::Nobody);
        assert_eq!(
            nobody,
            "it belongs to job \"one\", by the root's owner template."
        );
        let one = described(Owner::Jobs(vec![job("a", Status::Completed)]));
        assert!(
            one.starts_with("it belongs to job \"a\" of source ") && one.contains("(completed)")
        );
        assert!(one.ends_with("(60 s ago)."), "{one}");
        let mut cleaned = job("a", Status::Completed);
        cleaned.moments.cleaned_at = Some(NOW);
        let cleaned = described(Owner::Jobs(vec![cleaned]));
        assert!(cleaned.contains("what is left of it stays"), "{cleaned}");
        let several = vec![job("a", Status::Running), job("b", Status::Failed)];
        let several = described(Owner::Jobs(several));
        assert!(
            several.contains("several jobs own it: job \"a\"")
                && several.contains("job \"a\" keeps it longest")
                && several.contains("job \"a\" has not ended"),
            "{several}"
        );
        let unknown = Owner::Unknown {
            source: SourceId(0),
            captured: Some("one".to_owned()),
        };
        assert!(described(unknown).contains("which knows no such job"));
    }

    #[test]
    fn several_owners_are_listed_only_where_there_are() {
        let policy = Policy::default();
        let one = belonging(&policy, Owner::Jobs(vec![job("a", Status::Failed)]));
        assert_eq!(one.job().unwrap().status, Some(Status::Failed));
        assert!(one.owners().is_empty());
        let jobs = vec![job("a", Status::Running), job("b", Status::Failed)];
        assert_eq!(belonging(&policy, Owner::Jobs(jobs)).owners().len(), 2);
        let captured = belonging(&policy, Owner::Nobody).job().unwrap();
        assert_eq!((&*captured.id, captured.source), ("one", None));
    }
}
