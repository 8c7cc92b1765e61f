//! Ways of claims to files: a symbolic link on the way means that they may mean another file,
//! and a file that the index does not know that not all of the job has gone.
//!
//! **Invariant:** no link is followed: that there is one on the way is enough to hold.

use std::collections::BTreeSet;

use rustix::io::Errno;

use crate::core::claim::Claim;
use crate::core::facts::{Kind, RootId};
use crate::core::hold::Hold;
use crate::core::jobs::{Jobs, ResolvedClaim};
use crate::core::path::RelPath;
use crate::core::policy::{Class, Policy};
use crate::fs::RootDir;

/// So many claims with the name of one file are looked at: more are no names of single files, and
/// none of them is believed.
const NAMESAKES_MAX: usize = 1000;

/// Returns the hold of the orphan at `path` in `root`, if a claim may lead to it through a link.
pub(super) fn hold_of(jobs: &Jobs, policy: &Policy, root: RootId, path: &[u8]) -> Option<Hold> {
    let namesakes = jobs.namesakes(policy, root, path, NAMESAKES_MAX);
    let are_too_many = namesakes.len() == NAMESAKES_MAX;
    namesakes.into_iter().find_map(|claim| {
        let way = match way_of(policy, claim.root, &claim.path) {
            Way::Straight(_) if are_too_many => "too many jobs claim files of this name".to_owned(),
            Way::Straight(_) => return None,
            Way::Crooked(why) => why,
        };
        Some(hold(policy, claim, way))
    })
}

/// Returns the hold of all that a job owns, whose record is to be written: a claim that leads
/// through a link, or to a file that the index does not know. Files first, then the row.
pub(super) fn hold_of_record(jobs: &Jobs, policy: &Policy, claim: &Claim) -> Option<Hold> {
    let key = claim.owners.first()?;
    let pieces: BTreeSet<(RootId, &RelPath)> = claim
        .pieces
        .iter()
        .map(|piece| (piece.root, &piece.path))
        .collect();
    let goes = |root: RootId, path: &RelPath| {
        let above = |path: &RelPath| path.split().map(|(above, _)| above);
        pieces.contains(&(root, path))
            || std::iter::successors(above(path), above).any(|dir| pieces.contains(&(root, &dir)))
    };
    let no = jobs.number(key)?;
    let mut claimed = jobs.claimed(policy, key.source, no).into_iter();
    claimed.find_map(|(root, path)| match way_of(policy, root, &path) {
        Way::Crooked(why) => {
            let job = key.clone();
            Some(hold(policy, ResolvedClaim { job, root, path }, why))
        }
        Way::Straight(Some(Kind::File))
            if !goes(root, &path) && is_to_go(jobs, policy, claim, root, &path) =>
        {
            let path = path.below(&policy.roots.get(&root)?.path);
            Some(Hold::Unreadable {
                error: format!(
                    "job {:?} claims \"{}\", which is there and was not listed yet; see that the service's user may read its directory",
                    key.id,
                    path.display()
                ),
            })
        }
        Way::Straight(_) => None,
    })
}

/// Returns true if a file that only the job of `claim` has a say in goes with it: what is kept, or
/// falls under another rule, stays with the row's knowledge.
fn is_to_go(jobs: &Jobs, policy: &Policy, claim: &Claim, root: RootId, path: &RelPath) -> bool {
    let owner = jobs.owner(policy, root, path.as_bytes());
    let (class, job) = policy.decide(root, path.as_bytes(), &owner);
    let is_its = job.is_some_and(|job| claim.owners.first() == Some(&job.key));
    class == Class::Job(claim.rule) && is_its && owner.with_say().count() == 1
}

/// Way from a claim to its path.
enum Way {
    /// Through directories, to a file, a directory, or nothing.
    Straight(Option<Kind>),
    /// Otherwise, or nobody can tell.
    Crooked(String),
}

fn way_of(policy: &Policy, root: RootId, path: &RelPath) -> Way {
    let (Some(root), Some((above, name))) = (policy.roots.get(&root), path.split()) else {
        return Way::Straight(None);
    };
    let looked = RootDir::open(&root.path)
        .and_then(|root| root.dir(&above))
        .and_then(|dir| dir.look(name));
    match looked {
        Ok(Some(facts)) if facts.kind == Kind::Other => {
            Way::Crooked("it is a symbolic link, or no file".to_owned())
        }
        Ok(facts) => Way::Straight(facts.map(|facts| facts.kind)),
        Err(error) => match error.errno {
            Errno::NOENT => Way::Straight(None),
            // As which the last component is told.
            Errno::LOOP | Errno::NOTDIR => {
                Way::Crooked("it leads through a symbolic link, or what is no directory".to_owned())
            }
            _ => Way::Crooked(error.to_string()),
        },
    }
}

fn hold(policy: &Policy, claim: ResolvedClaim, why: String) -> Hold {
    let source = policy.sources.get(&claim.job.source);
    let root = policy.roots.get(&claim.root);
    let path = root.map(|root| claim.path.below(&root.path));
    Hold::ClaimRefused {
        source: source.map_or_else(String::new, |source| source.name.clone()),
        job: claim.job.id,
        file: path.unwrap_or_default().to_string_lossy().into_owned(),
        why,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    use super::*;
    use crate::core::claim::{Actor, Piece, Unit};
    use crate::core::facts::{FileKey, RuleId};
    use crate::core::jobs::{JobKey, JobRow, SourceId, Status};
    use crate::core::policy::{
        Globs, JobFilter, Record, Root, Rule, Schedule, Since, SkipOpen, Source,
    };
    use crate::core::time::Timestamp;

    const ROOT: RootId = RootId(0);
    const DB: SourceId = SourceId(0);

    /// Files of the root `at` that jobs claim, but logs, go with the job, whose row is marked.
    fn policy(at: &Path) -> Policy {
        let root = Root {
            name: "root".to_owned(),
            path: at.to_owned(),
            owner: None,
            source: Some(DB),
            orphans: None,
            limit: None,
            prune_empty_dirs: false,
            alert: crate::core::policy::Alert::default(),
            only: None,
            optional: false,
            nested: Vec::new(),
        };
        let source = Source {
            name: "db".to_owned(),
            id_pattern: None,
            files_root: Some(at.to_owned()),
            base_dir: at.to_owned(),
            path_map: Vec::new(),
            links: Vec::new(),
            derived: Vec::new(),
            claims: true,
            required: true,
            is_listed: true,
            same_rows: Vec::new(),
            is_told: false,
        };
        let rule = Rule {
            name: "done".to_owned(),
            roots: None,
            glob: None,
            exclude: None,
            keep: Some(Globs::compile(&["*.log"]).unwrap()),
            since: Since::CompletedAt,
            expire_ms: Some(0),
            keep_last: None,
            unit: Unit::Job,
            limit: None,
            skip_open: SkipOpen::Never,
            disposal: crate::core::policy::Disposal::Delete,
            schedule: Schedule::AtDeadline,
            jobs: JobFilter::Anyone,
            kinds: None,
            sources: None,
            record: Record::Mark,
        };
        Policy {
            roots: BTreeMap::from([(ROOT, root)]),
            rules: vec![rule],
            sources: BTreeMap::from([(DB, source)]),
            databases: BTreeSet::new(),
            ..Policy::default()
        }
    }

    fn claim(pieces: &[&str]) -> Claim {
        let path = |path: &str| RelPath::parse(path.as_bytes()).unwrap();
        let piece = |at: &&str| Piece {
            root: ROOT,
            path: path(at),
            key: FileKey::default(),
            is_dir: false,
        };
        Claim {
            root: ROOT,
            path: path("a"),
            unit: Unit::Job,
            owners: vec![JobKey {
                source: DB,
                id: "job".to_owned(),
            }],
            key: FileKey::default(),
            pieces: pieces.iter().map(piece).collect(),
            rule: RuleId(0),
            known: Timestamp::MIN,
            retention_ms: None,
            limit: None,
            newer: Vec::new(),
            due: Timestamp::MIN,
            actor: Actor::default(),
        }
    }

    #[test]
    fn a_row_stays_while_a_file_that_it_claims_would_not_go_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        std::fs::create_dir(at("dir")).unwrap();
        for path in ["a", "b", "kept.log", "dir/c"] {
            std::fs::write(at(path), "x").unwrap();
        }
        let policy = policy(dir.path());
        let files = |files: &[&str]| JobRow {
            files: files
                .iter()
                .map(|file| format!("{}/{file}", dir.path().display()))
                .collect(),
            ..JobRow::new("job", Status::Completed)
        };
        let hold = |row: JobRow, pieces: &[&str]| {
            let jobs = Jobs::of_rows(&policy, DB, &[row]);
            hold_of_record(&jobs, &policy, &claim(pieces)).map(|hold| hold.to_string())
        };
        assert_eq!(hold(files(&["a", "kept.log", "gone"]), &["a"]), None);
        assert_eq!(hold(files(&["a", "dir/c"]), &["a", "dir"]), None);
        let why = hold(files(&["a", "b"]), &["a"]).unwrap();
        assert!(
            why.contains("/b\", which is there") && why.contains("read its directory"),
            "{why}"
        );
        std::os::unix::fs::symlink("b", at("link")).unwrap();
        let why = hold(files(&["a", "link"]), &["a"]).unwrap();
        assert!(why.contains("symbolic link"), "{why}");
    }
}
