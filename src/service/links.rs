//! Claims that lead through a symbolic link within a root: they are read as they are written, and may mean another file.
//!
//! **Invariant:** no link is followed: that there is one on the way is enough to hold.

use rustix::io::Errno;

use crate::core::facts::{Kind, RootId};
use crate::core::hold::Hold;
use crate::core::jobs::{JobKey, Jobs, LedClaim};
use crate::core::path::RelPath;
use crate::core::policy::Policy;
use crate::fs::RootDir;

/// So many claims with the name of one file are looked at: more are no names of single files, and none of them is believed.
const NAMESAKES_MAX: usize = 1000;

/// What holds the thing at `path` in `root`, which nobody owns, because a claim may lead to it through a link.
pub(super) fn hold_of(jobs: &Jobs, policy: &Policy, root: RootId, path: &[u8]) -> Option<Hold> {
    let namesakes = jobs.namesakes(policy, root, path, NAMESAKES_MAX);
    let are_too_many = namesakes.len() == NAMESAKES_MAX;
    namesakes.into_iter().find_map(|claim| {
        let way = match way_of(policy, claim.root, &claim.path) {
            Way::Straight if are_too_many => "too many jobs claim files of this name".to_owned(),
            Way::Straight => return None,
            Way::Crooked(why) => why,
        };
        Some(hold(policy, claim, way))
    })
}

/// What holds all that a job owns, because one of its claims leads through a link.
pub(super) fn hold_of_job(jobs: &Jobs, policy: &Policy, key: &JobKey) -> Option<Hold> {
    let no = jobs.number(key)?;
    let claimed = jobs.claimed(policy, key.source, no).into_iter();
    let mut claimed = claimed.map(|(root, path)| LedClaim {
        job: key.clone(),
        root,
        path,
    });
    claimed.find_map(|claim| match way_of(policy, claim.root, &claim.path) {
        Way::Straight => None,
        Way::Crooked(why) => Some(hold(policy, claim, why)),
    })
}

/// How a claim leads to its path.
enum Way {
    /// Through directories, to a file, a directory, or nothing.
    Straight,
    /// Otherwise, or nobody can tell.
    Crooked(String),
}

fn way_of(policy: &Policy, root: RootId, path: &RelPath) -> Way {
    let (Some(root), Some((above, name))) = (policy.roots.get(&root), path.split()) else {
        return Way::Straight;
    };
    let looked = RootDir::open(&root.path)
        .and_then(|root| root.dir(&above))
        .and_then(|dir| dir.look(name));
    match looked {
        Ok(Some(facts)) if facts.kind == Kind::Other => {
            Way::Crooked("it is a symbolic link, or no file".to_owned())
        }
        Ok(_) => Way::Straight,
        Err(error) => match error.errno {
            Errno::NOENT => Way::Straight,
            // As which the last component is told.
            Errno::LOOP | Errno::NOTDIR => {
                Way::Crooked("it leads through a symbolic link, or what is no directory".to_owned())
            }
            _ => Way::Crooked(error.to_string()),
        },
    }
}

fn hold(policy: &Policy, claim: LedClaim, why: String) -> Hold {
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
