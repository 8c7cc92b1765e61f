//! The looks at what leaves the trash: in its place there, and in the quarantine.

use std::collections::BTreeSet;

use super::super::manifest::{Manifest, ManifestPart};
use super::{Leaving, Purge, unreadable};
use crate::clock;
use crate::core::facts::{Facts, Kind};
use crate::core::hold::Hold;
use crate::core::time::Timestamp;
use crate::fs::tree::Tree;
use crate::ledger::{Line, LineTrash, Mark};
use crate::reap::back::displace_from;
use crate::reap::leftovers::is_younger;
use crate::reap::names::quarantine_name;
use crate::reap::parts::{Part, UNIT_NAMES_MAX};

impl Purge<'_> {
    pub(super) fn check(&self, manifest: &Manifest) -> Result<Leaving, Hold> {
        let now = self.clock.now();
        if !self.order.is_early && now < manifest.until() {
            return Err(Hold::RecheckMismatch);
        }
        if let Some(pin) = self.pin_on(manifest, now) {
            return Err(pin);
        }
        let (mut parts, mut has_displaced) = (Vec::new(), false);
        for part in &manifest.parts {
            let name = quarantine_name(manifest.id(), part.number);
            match self.trash.look(&name).map_err(|error| unreadable(&error))? {
                Some(facts) if part.means(&facts) => parts.push((part.clone(), facts)),
                Some(facts) => {
                    let why = "it changed in the trash";
                    self.displace(manifest, part, &name, &facts, why)?;
                    has_displaced = true;
                }
                None => {
                    let waits = self
                        .root
                        .quarantine
                        .look(&name)
                        .map_err(|error| unreadable(&error))?;
                    if waits.is_some() {
                        let error = "it is on its way to the trash still".to_owned();
                        return Err(Hold::Unreadable { error });
                    }
                }
            }
        }
        let id = self.lane.ledger.next_id();
        let at = clock::now().wall;
        let late_ms = if self.order.is_early {
            0
        } else {
            at.ms_since(manifest.until()).max(0)
        };
        let line = Line {
            id,
            at,
            late_ms,
            result: Mark::Purged,
            by: self.order.by.clone(),
            run: None,
            trash: manifest.line.trash.map(|trash| LineTrash {
                id: manifest.id(),
                ..trash
            }),
            ..manifest.line.clone()
        };
        Ok(Leaving {
            manifest: manifest.clone(),
            line,
            parts,
            has_displaced,
            trees: Vec::new(),
        })
    }

    /// Returns the hold of a pin on a path or a job of the thing.
    fn pin_on(&self, manifest: &Manifest, now: Timestamp) -> Option<Hold> {
        let pins = &self.lane.hooks.pins;
        if pins.is_empty() {
            return None;
        }
        let mut jobs = manifest.jobs.iter();
        let of_job = jobs.find_map(|job| pins.of_job(&job.source, &job.id, now));
        let mut parts = manifest.parts.iter();
        let pin = of_job.or_else(|| parts.find_map(|part| pins.at(&manifest.full(part), now)))?;
        Some(pin.hold())
    }

    fn displace(
        &self,
        manifest: &Manifest,
        part: &ManifestPart,
        name: &[u8],
        facts: &Facts,
        why: &str,
    ) -> Result<(), Hold> {
        let full = manifest.full(part);
        displace_from(self.trash, (&self.root.quarantine, name), &full, why)
            .map_err(|error| unreadable(&error))?;
        self.lane.record_displaced(&[Line {
            id: self.lane.ledger.next_id(),
            at: clock::now().wall,
            files: u64::from(facts.kind == Kind::File),
            bytes: 0,
            result: Mark::Displaced,
            trash: None,
            ..manifest.line.clone()
        }]);
        Ok(())
    }

    /// The look at what is to be deleted, where no other process can reach it.
    pub(super) fn look_again(&self, one: &mut Leaving) -> Result<(), Hold> {
        let stop = || self.lane.is_stopping();
        let (mut files, mut bytes) = (0, 0_u64);
        let at = one.manifest.line.at;
        for (part, _) in &one.parts {
            let name = one.quarantined(part);
            let facts = self
                .root
                .quarantine
                .look(&name)
                .map_err(|error| unreadable(&error))?;
            let facts = facts
                .filter(|facts| part.means(facts))
                .ok_or(Hold::RecheckMismatch)?;
            let path = part.path.rel().unwrap_or_default();
            let (tree, what) = if part.is_dir {
                let links: BTreeSet<u64> = part.links.iter().copied().collect();
                let quarantine = &self.root.quarantine;
                let tree = Tree::walk(quarantine, &name, facts, UNIT_NAMES_MAX, &stop);
                let mut tree = tree.map_err(|error| Hold::Unreadable {
                    error: format!("{error:?}"),
                })?;
                tree.retain_files(|facts| !is_younger(facts, at, &links));
                (tree, Part::Dir(0))
            } else {
                (Tree::of_file(b"", facts, &name, facts), Part::FILE)
            };
            let count = what.count(&tree);
            files += count.0;
            bytes = bytes.saturating_add(count.1);
            one.trees.push((part.number, tree, what, path));
        }
        (one.line.files, one.line.bytes) = (files, bytes);
        Ok(())
    }
}
