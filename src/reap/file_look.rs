//! The look at a single file in its place: whether it is what was claimed, and may be removed.
//!
//! **Invariant:** a look moves and records nothing: a dry run takes it as well.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::judge::{Asked, Due, Judgement, Since, ask, judge};
use super::place::{Looks, unreached};
use super::rows::is_of;
use crate::core::claim::{Claim, Outcome};
use crate::core::facts::{Facts, Kind};
use crate::core::hold::{Ends, Hold};
use crate::core::jobs::Owner;
use crate::core::path::RelPath;
use crate::core::policy::{Policy, SkipOpen};
use crate::fs::lease::{Lease, WhenBusy};
use crate::fs::{Dir, FsError, RootDir, descriptors};

/// What a look at files of one root needs.
pub(super) struct FileLook<'a> {
    pub(super) looks: &'a Looks,
    pub(super) policy: &'a Policy,
    pub(super) root: &'a RootDir,
    pub(super) since: Since,
}

/// A file that may go, in its place still.
pub(super) struct Picked {
    pub(super) claim: Claim,
    pub(super) dir: Rc<Dir>,
    pub(super) name: Vec<u8>,
    pub(super) facts: Facts,
    pub(super) owner: Owner,
    pub(super) due: Due,
    pub(super) lease: Option<Lease>,
}

pub(super) enum Pick {
    Picked(Box<Picked>),
    Answer(Outcome),
    /// Another name of the same file is at work.
    Later,
    /// Too many directories are open.
    Full,
}

pub(super) type Dirs = BTreeMap<RelPath, Rc<Dir>>;

impl FileLook<'_> {
    /// The first look: whether the claim names what stands there, and the policy lets it go.
    pub(super) fn pick(&self, claim: &Claim, dirs: &mut Dirs, when_busy: WhenBusy) -> Pick {
        let Some((parent, name)) = claim.path.split() else {
            return Pick::Answer(Outcome::Gone);
        };
        let dir = match dirs.get(&parent) {
            Some(dir) => dir.clone(),
            None if dirs.len() >= descriptors::dirs_max() => return Pick::Full,
            None => match self.root.dir(&parent) {
                Ok(dir) => dirs.entry(parent).or_insert(Rc::new(dir)).clone(),
                Err(error) => return Pick::Answer(not_looked_at(&error)),
            },
        };
        let facts = match dir.look(name) {
            Ok(Some(facts)) => facts,
            Ok(None) => return Pick::Answer(Outcome::Gone),
            Err(error) => return Pick::Answer(not_looked_at(&error)),
        };
        let owner = match self.owner(claim, &facts) {
            Ok(owner) => owner,
            Err(outcome) => return Pick::Answer(outcome),
        };
        let due = match self.judge(claim, &facts, &owner) {
            Judgement::Due(due) if facts.kind == Kind::File && facts.key == claim.key => due,
            Judgement::Hold(hold) if facts.key == claim.key => {
                return Pick::Answer(Outcome::Held(hold));
            }
            Judgement::Due(_) | Judgement::Hold(_) | Judgement::NotDue => {
                return Pick::Answer(Outcome::Spared { facts });
            }
        };
        let lease = match ask(self.skip_open(claim), &dir, name, &facts, when_busy) {
            Asked::Free(lease) => lease,
            Asked::Held(hold) => return Pick::Answer(Outcome::Held(hold)),
            Asked::Replaced => return Pick::Answer(Outcome::Spared { facts }),
            Asked::Busy => return Pick::Later,
        };
        Pick::Picked(Box::new(Picked {
            claim: claim.clone(),
            name: name.to_vec(),
            dir,
            facts,
            owner,
            due,
            lease,
        }))
    }

    /// Whose it is; else what it means that this is not who the claim was made about, or that it is pinned.
    pub(super) fn owner(&self, claim: &Claim, facts: &Facts) -> Result<Owner, Outcome> {
        let hooks = &self.looks.hooks;
        let owner = (hooks.owner)(self.policy, claim.root, claim.path.as_bytes());
        if !is_of(&owner, claim) {
            return Err(Outcome::Spared { facts: *facts });
        }
        let now = self.since.now();
        let pin = hooks
            .pins
            .find(self.policy, claim.root, &claim.path, &owner, now);
        let refused = || {
            let path = claim.path.as_bytes();
            let is_owned = !owner.jobs().is_empty();
            (!is_owned).then(|| (hooks.refused)(self.policy, claim.root, path, claim.rule))?
        };
        match pin.map(|pin| pin.hold()).or_else(refused) {
            Some(hold) => Err(Outcome::Held(hold)),
            None => Ok(owner),
        }
    }

    pub(super) fn judge(&self, claim: &Claim, facts: &Facts, owner: &Owner) -> Judgement {
        let path = claim.path.as_bytes();
        let verdict = self
            .policy
            .file(claim.root, path, facts, claim.known, owner);
        judge(claim, verdict, self.since.now())
    }

    pub(super) fn skip_open(&self, claim: &Claim) -> SkipOpen {
        self.policy.rule(claim.rule).skip_open
    }
}

fn not_looked_at(error: &FsError) -> Outcome {
    if error.is_absence() {
        return Outcome::Gone;
    }
    if error.is_shortage() {
        return unreached(error);
    }
    let mend = if error.is_denial() {
        "\ngive the service's user search permission on it and on the directories above it"
    } else {
        ""
    };
    Outcome::Held(Hold::Denied {
        error: format!("{error}{mend}"),
        ends: Ends::Told,
    })
}
