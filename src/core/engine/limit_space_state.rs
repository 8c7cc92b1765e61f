//! Knowledge about the space of a file system that a limit asks for, and when to ask again.

use std::collections::BTreeMap;

use crate::core::facts::{BLOCK_BYTES, Space};
use crate::core::limits::Fill;
use crate::core::policy::{Amount, Limit};
use crate::core::time::Timestamp;

/// The least time between two questions while something is written near the limit.
const NEAR_MS: i64 = 250;
/// Near the limit others may fill the file system unseen: then it is asked this often.
const SAFETY_MS: i64 = 10_000;
/// Far from it, it is asked this often at most while a little is written.
const FAR_MS: i64 = 60_000;
/// Number of looks at what a batch has gained, and the time between them: some file systems give
/// space back a while after the last name of a file is gone.
const LOOKS_MAX: u32 = 6;
const LOOK_MS: i64 = 500;
/// A limit that did not help is tried again after this.
const FUTILE_MS: i64 = 600_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct SpaceState {
    last: Option<Space>,
    /// The answer was not acted upon.
    is_new: bool,
    asked_at: Option<Timestamp>,
    is_asked: bool,
    /// Sum of the limit when the file system was asked last.
    seen: Fill,
    /// Sum of the limit when the file system answered.
    answered: Fill,
    batch: Option<Batch>,
    /// The last answer before the batch, and what the limit counted then.
    before: Option<(Space, Fill)>,
    looks: u32,
    not_before: Option<Timestamp>,
    /// Until when it is held, and the bytes that were given back and gained.
    futile: Option<(Timestamp, (u64, u64))>,
    /// Nothing could be taken at the last try.
    is_waiting: bool,
    /// Numbers of things that were passed over then, by the hold's code.
    pub(super) passed: BTreeMap<&'static str, u64>,
}

/// Charge of everything that one decision claims.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batch {
    pub(super) bytes: u64,
    pub(super) files: u64,
    /// All of it is in the trash.
    pub(super) is_trash: bool,
    /// Some of it may have gone to the trash, which was not emptied since.
    pub(super) may_be_in_trash: bool,
    /// Bytes are lacking, not only inodes.
    pub(super) is_of_bytes: bool,
}

/// Next step about a file system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Check {
    Nothing,
    /// It is looked at again then.
    Wait(Timestamp),
    Ask,
    /// Something is to be removed.
    Act,
}

impl SpaceState {
    /// Returns the space when the file system was asked last.
    pub(super) fn last(&self) -> Option<Space> {
        self.last
    }

    /// Returns true once for each batch of things that may have gone to the trash.
    pub(super) fn take_trash_turn(&mut self) -> bool {
        let batch = self.batch.as_mut();
        batch.is_some_and(|batch| std::mem::take(&mut batch.may_be_in_trash))
    }

    pub(super) fn was_asked(&self) -> bool {
        self.asked_at.is_some()
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.is_waiting
    }

    /// Returns the bytes that were given back in vain and those that were gained, while that holds.
    pub(super) fn futile_since(&self, now: Timestamp) -> Option<(u64, u64)> {
        let (until, what) = self.futile?;
        (now < until).then_some(what)
    }

    /// Decides what is to be done when the limit counts `fill`.
    pub(super) fn check(
        &mut self,
        limit: &Limit,
        fill: Fill,
        is_going: bool,
        now: Timestamp,
    ) -> Check {
        if self.is_asked {
            return Check::Nothing;
        }
        let (Some(asked_at), Some(last)) = (self.asked_at, self.last) else {
            return ask_at(self.asked_at.map(|at| at.plus_ms(SAFETY_MS)), now);
        };
        if self.batch.is_some() {
            // What the reaper still has is not free yet.
            return if is_going {
                Check::Nothing
            } else {
                ask_at(self.not_before, now)
            };
        }
        if limit.missing(&last) != (0, 0) {
            if let Some((until, _)) = self.futile.filter(|(until, _)| now < *until) {
                let again = asked_at.plus_ms(FAR_MS);
                return ask_at(Some(again.min(until)), now);
            }
            if let Some(at) = self.not_before.filter(|&at| now < at) {
                return Check::Wait(at);
            }
            return match (is_going, self.is_new) {
                (true, _) => Check::Nothing,
                (false, true) => Check::Act,
                (false, false) => Check::Ask,
            };
        }
        self.is_waiting = false;
        let number = |amount: Option<Amount>, all| amount.map_or(0, |amount| amount.of(all));
        let bytes = number(limit.min_free, last.size_bytes);
        let inodes = number(limit.min_free_inodes, last.inodes);
        let is_near = last.available_bytes / 2 < bytes || last.available_inodes / 2 < inodes;
        let is_changed = fill != self.seen;
        if is_near {
            let wait = if is_changed { NEAR_MS } else { SAFETY_MS };
            return ask_at(Some(asked_at.plus_ms(wait)), now);
        }
        if !is_changed {
            return Check::Nothing;
        }
        let grown = fill
            .blocks
            .saturating_sub(self.seen.blocks)
            .saturating_mul(BLOCK_BYTES);
        let more = fill.files.saturating_sub(self.seen.files);
        let is_much = grown > (last.available_bytes - bytes) / 2
            || more > last.available_inodes.saturating_sub(inodes) / 2 && last.inodes > 0;
        ask_at(
            Some(asked_at.plus_ms(if is_much { 0 } else { FAR_MS })),
            now,
        )
    }

    pub(super) fn on_asked(&mut self, fill: Fill, now: Timestamp) {
        self.is_asked = true;
        self.asked_at = Some(now);
        self.seen = fill;
    }

    /// A batch was claimed. What was written since the last answer takes what it gives back, and
    /// is ours.
    pub(super) fn begin(&mut self, batch: Batch) {
        self.before = self.last.map(|space| (space, self.answered));
        self.batch = Some(batch);
        (self.looks, self.not_before) = (0, None);
        (self.is_new, self.is_waiting) = (false, false);
    }

    /// Nothing could be claimed. Returns when that is tried again.
    pub(super) fn on_nothing(&mut self, next_age: Option<Timestamp>, now: Timestamp) -> Timestamp {
        let at = next_age.map_or(now.plus_ms(SAFETY_MS), |age| {
            age.max(now.plus_ms(NEAR_MS)).min(now.plus_ms(SAFETY_MS))
        });
        (self.is_new, self.is_waiting) = (false, true);
        self.not_before = Some(at);
        at
    }

    /// Takes the answer in. Returns when it is to be looked at again.
    pub(super) fn on_answer(
        &mut self,
        space: Option<Space>,
        limit: &Limit,
        fill: Fill,
        now: Timestamp,
    ) -> Option<Timestamp> {
        self.is_asked = false;
        let Some(space) = space else {
            self.last = None;
            return Some(now.plus_ms(SAFETY_MS));
        };
        (self.last, self.is_new) = (Some(space), true);
        self.answered = fill;
        if limit.missing(&space) == (0, 0) {
            (self.batch, self.before, self.futile) = (None, None, None);
            return None;
        }
        let (Some(batch), Some((before, counted))) = (self.batch, self.before) else {
            return None;
        };
        // Whatever was written here meanwhile took what the batch gave back, and is ours.
        let (bytes, files) = if batch.is_trash {
            (0, 0)
        } else {
            (batch.bytes, batch.files)
        };
        let left = fill.blocks.saturating_add(bytes / BLOCK_BYTES);
        let written = left
            .saturating_sub(counted.blocks)
            .saturating_mul(BLOCK_BYTES);
        let new = fill
            .files
            .saturating_add(files)
            .saturating_sub(counted.files);
        let bytes = space.available_bytes.saturating_add(written);
        let bytes = bytes.saturating_sub(before.available_bytes);
        let inodes = space.available_inodes.saturating_add(new);
        let inodes = inodes.saturating_sub(before.available_inodes);
        let is_enough = if batch.is_of_bytes {
            bytes >= batch.bytes / 2
        } else {
            inodes >= batch.files / 2
        };
        if is_enough {
            (self.batch, self.before, self.futile) = (None, None, None);
            return None;
        }
        self.looks += 1;
        if self.looks < LOOKS_MAX {
            let at = now.plus_ms(LOOK_MS);
            self.not_before = Some(at);
            return Some(at);
        }
        (self.batch, self.before, self.not_before) = (None, None, None);
        let until = now.plus_ms(FUTILE_MS);
        self.futile = Some((until, (batch.bytes, bytes)));
        Some(until)
    }
}

/// Asks at an instant, or at once.
fn ask_at(at: Option<Timestamp>, now: Timestamp) -> Check {
    match at {
        Some(at) if now < at => Check::Wait(at),
        Some(_) | None => Check::Ask,
    }
}
