//! What is claimed, or held for a reason of its own, one by one.
//!
//! **Invariant:** small. Holds that concern a whole root (its crawl, the breaker, the clock) are not spread over its entries.

use std::collections::BTreeMap;

use crate::core::hold::{Ends, Hold};
use crate::core::index::DirId;
use crate::core::observed::Name;
use crate::core::time::Timestamp;

/// Where the index has what a claim is about: the directory, and the name in it (or [`UNIT`]).
pub(super) type Slot = (DirId, Name);

/// What keeps one entry, or (under an empty name) the unit that a top-level directory is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Stay {
    /// The reaper has it.
    Claimed {
        /// How often it was tried before.
        tries: u32,
    },
    /// It was tried, and stays.
    Held {
        /// Why.
        hold: Hold,
        /// When it was tried.
        tried_at: Timestamp,
        /// When it is tried again.
        retry_at: Timestamp,
        /// How often it was tried.
        tries: u32,
    },
}

impl Stay {
    /// How often it was tried and stayed.
    pub(super) fn tries(&self) -> u32 {
        match self {
            Self::Claimed { tries } | Self::Held { tries, .. } => *tries,
        }
    }
}

/// The name under which a directory's own unit stands.
pub(super) const UNIT: &[u8] = b"";

/// All that stays.
#[derive(Debug, Default)]
pub(super) struct Held {
    dirs: BTreeMap<DirId, BTreeMap<Name, Stay>>,
}

impl Held {
    pub(super) fn get(&self, dir: DirId, name: &[u8]) -> Option<&Stay> {
        self.dirs.get(&dir)?.get(name)
    }

    /// Whether the reaper has it, or something else at its path.
    pub(super) fn is_claimed(&self, dir: DirId, name: &[u8]) -> bool {
        matches!(self.get(dir, name), Some(Stay::Claimed { .. }))
    }

    /// Whether anything of `dir` stays.
    pub(super) fn touches(&self, dir: DirId) -> bool {
        self.dirs.contains_key(&dir)
    }

    pub(super) fn claim(&mut self, dir: DirId, name: &[u8]) {
        let names = self.dirs.entry(dir).or_default();
        let tries = names.get(name).map_or(0, Stay::tries);
        names.insert(name.into(), Stay::Claimed { tries });
    }

    pub(super) fn hold(&mut self, dir: DirId, name: &[u8], hold: Hold, tries: u32, now: Timestamp) {
        let retry_at = now.plus_ms(retry_after_ms(&hold, tries));
        let stay = Stay::Held {
            hold,
            tried_at: now,
            retry_at,
            tries: tries + 1,
        };
        self.dirs.entry(dir).or_default().insert(name.into(), stay);
    }

    /// Forgets what kept `name`, and gives it back.
    pub(super) fn clear(&mut self, dir: DirId, name: &[u8]) -> Option<Stay> {
        let names = self.dirs.get_mut(&dir)?;
        let stay = names.remove(name);
        if names.is_empty() {
            self.dirs.remove(&dir);
        }
        stay
    }

    /// Forgets a hold on `name`, but not a claim: something about it changed. Says whether there was one.
    pub(super) fn lift(&mut self, dir: DirId, name: &[u8]) -> bool {
        match self.get(dir, name) {
            Some(Stay::Held { .. }) => self.clear(dir, name).is_some(),
            Some(Stay::Claimed { .. }) | None => false,
        }
    }

    /// Has what is held under `name` tried again at once: something happened to it. What is tried for the same deadline again is
    /// not told again.
    pub(super) fn retry(&mut self, dir: DirId, name: &[u8]) {
        let stay = self
            .dirs
            .get_mut(&dir)
            .and_then(|names| names.get_mut(name));
        if let Some(Stay::Held { retry_at, hold, .. }) = stay
            && *hold != Hold::Reconciling
        {
            *retry_at = Timestamp::MIN;
        }
    }

    /// Has everything tried again at once that waits for the source with this name. Returns the directories that it lies in.
    pub(super) fn retry_source(&mut self, name: &str) -> Vec<DirId> {
        let mut meant = Vec::new();
        for (&dir, names) in &mut self.dirs {
            for stay in names.values_mut() {
                if let Stay::Held {
                    hold: Hold::SourceDown { source, .. },
                    retry_at,
                    ..
                } = stay
                    && source == name
                {
                    *retry_at = Timestamp::MIN;
                    meant.push(dir);
                }
            }
        }
        meant.dedup();
        meant
    }

    /// Lets go what is held until its root is looked over, in the directories that `is_meant` names.
    pub(super) fn release_reconciling(&mut self, is_meant: &dyn Fn(DirId) -> bool) {
        for (dir, names) in &mut self.dirs {
            if is_meant(*dir) {
                names.retain(|_, stay| {
                    !matches!(
                        stay,
                        Stay::Held {
                            hold: Hold::Reconciling,
                            ..
                        }
                    )
                });
            }
        }
        self.dirs.retain(|_, names| !names.is_empty());
    }

    /// Has everything in `dir` tried again that is held for want of permission: one of them went.
    pub(super) fn retry_denied(&mut self, dir: DirId) -> bool {
        let mut any = false;
        for stay in self
            .dirs
            .get_mut(&dir)
            .into_iter()
            .flat_map(BTreeMap::values_mut)
        {
            if let Stay::Held {
                hold: Hold::Denied { .. },
                retry_at,
                ..
            } = stay
            {
                *retry_at = Timestamp::MIN;
                any = true;
            }
        }
        any
    }

    /// Has one of those in `dir` tried again that are held for want of permission, to see whether it goes now that the
    /// directory has changed: the one that was tried the longest ago.
    pub(super) fn probe_denied(&mut self, dir: DirId) -> bool {
        /// In a busy directory every change is one, and hardly any of them of a permission.
        const PROBE_EVERY_MS: i64 = 1000;
        let mut latest = Timestamp::MIN;
        let mut probe: Option<(Timestamp, &mut Timestamp)> = None;
        for stay in self
            .dirs
            .get_mut(&dir)
            .into_iter()
            .flat_map(BTreeMap::values_mut)
        {
            if let Stay::Held {
                hold: Hold::Denied { .. },
                tried_at,
                retry_at,
                ..
            } = stay
            {
                latest = latest.max(*tried_at);
                if probe.as_ref().is_none_or(|(tried, _)| *tried_at < *tried) {
                    probe = Some((*tried_at, retry_at));
                }
            }
        }
        let Some((_, retry_at)) = probe else {
            return false;
        };
        *retry_at = latest.plus_ms(PROBE_EVERY_MS).min(*retry_at);
        true
    }

    /// The directories that are units and held for want of permission.
    pub(super) fn denied_units(&self) -> Vec<DirId> {
        let is_denied = |names: &BTreeMap<Name, Stay>| {
            matches!(
                names.get(UNIT),
                Some(Stay::Held {
                    hold: Hold::Denied { .. },
                    ..
                })
            )
        };
        let dirs = self.dirs.iter().filter(|(_, names)| is_denied(names));
        dirs.map(|(&dir, _)| dir).collect()
    }

    /// Whether something else in `dir` is held for want of permission: it has been said already.
    pub(super) fn has_denied(&self, dir: DirId) -> bool {
        self.dirs.get(&dir).is_some_and(|names| {
            names.values().any(|stay| {
                matches!(
                    stay,
                    Stay::Held {
                        hold: Hold::Denied { .. },
                        ..
                    }
                )
            })
        })
    }

    /// Forgets all of a directory that was dropped.
    pub(super) fn forget(&mut self, dir: DirId) {
        self.dirs.remove(&dir);
    }

    /// Every hold.
    pub(super) fn iter(&self) -> impl Iterator<Item = (DirId, &[u8], &Hold)> {
        self.dirs.iter().flat_map(|(&dir, names)| {
            names.iter().filter_map(move |(name, stay)| match stay {
                Stay::Held { hold, .. } => Some((dir, &**name, hold)),
                Stay::Claimed { .. } => None,
            })
        })
    }
}

/// How long to wait before what is held is tried again: doubling, so that a hold outlasts its reason by no more than it had
/// lasted, up to a bound for what nothing tells us the end of.
pub(super) fn retry_after_ms(hold: &Hold, tries: u32) -> i64 {
    const FIRST_MS: i64 = 1000;
    const MINUTE_MS: i64 = 60_000;
    const HOUR_MS: i64 = 60 * MINUTE_MS;
    let bound = match hold {
        // A reader that closes its file causes no event that we listen to.
        Hold::Open { .. }
        | Hold::OpenUnknown { .. }
        | Hold::SourceDown { .. }
        | Hold::NoQuarantine { .. }
        | Hold::RootInUse { .. }
        | Hold::RootUnreachable { .. }
        | Hold::Unrecorded { .. } => MINUTE_MS,
        // Events tell when this ends; the retry is for what slips through.
        Hold::Denied {
            ends: Ends::Told, ..
        } => return HOUR_MS,
        // The look and the index disagree: another look soon tells who is right, but not over and over.
        Hold::Unconfirmed => HOUR_MS,
        // Whoever holds it so lets it go.
        Hold::DryRun | Hold::Reconciling | Hold::Unsaved { .. } => return i64::MAX,
        Hold::Denied {
            ends: Ends::Untold, ..
        }
        | Hold::MountInside { .. }
        | Hold::RootInside { .. }
        | Hold::StateInside { .. }
        | Hold::Unreadable { .. }
        | Hold::Displaced
        | Hold::RootMissing
        | Hold::Breaker
        | Hold::ClockJumped { .. }
        | Hold::ClockBehind { .. }
        | Hold::NoTimestamp
        | Hold::Running { .. }
        | Hold::Contested { .. }
        | Hold::UnreadableJob { .. }
        | Hold::ClaimRefused { .. }
        | Hold::Pinned { .. } => 10 * MINUTE_MS,
    };
    (FIRST_MS << tries.min(20)).min(bound)
}
