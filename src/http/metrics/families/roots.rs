//! Families of metrics of roots, and of their rules.

use std::fmt::Display;

use strum::VariantNames as _;

use super::{Exposition, seconds_of};
use crate::types::{Reconciliation, RootLine, RootPhase, RuleLine, Status, Volume};

/// Adds them.
pub(super) fn add(all: &mut Exposition, status: &Status) {
    roots(all, &status.roots);
    passes(all, &status.roots);
    rules(all, &status.roots);
    breakers(all, status);
}

fn of_roots<V: Display>(
    all: &mut Exposition,
    (name, help): (&'static str, &str),
    roots: &[RootLine],
    value: impl Fn(&RootLine) -> Option<V>,
) {
    let mut family = all.family(name, help);
    for root in roots {
        if let Some(value) = value(root) {
            family.sample(&[("root", &root.name)], value);
        }
    }
}

fn roots(all: &mut Exposition, roots: &[RootLine]) {
    let mut family = all.family("lapsed_root_state", "1 for the state of the root.");
    for root in roots {
        let labels = [("root", root.name.as_str())];
        family.states(&labels, RootPhase::VARIANTS, root.phase.as_str());
    }
    let directories = (
        "lapsed_root_directories",
        "Directories of the root in the index.",
    );
    of_roots(all, directories, roots, |root| Some(root.dirs));
    let mut of_spaces = |name, help, value: fn(Volume) -> u64| {
        of_roots(all, (name, help), roots, |root| root.space.map(value));
    };
    of_spaces(
        "lapsed_filesystem_size_bytes",
        "Size of the root's file system.",
        |space| space.size_bytes,
    );
    of_spaces(
        "lapsed_filesystem_avail_bytes",
        "Bytes that users other than root may still write to the root's file system.",
        |space| space.available_bytes,
    );
    of_spaces(
        "lapsed_filesystem_inodes",
        "Inodes of the root's file system; 0 where it has no fixed number.",
        |space| space.inodes,
    );
    of_spaces(
        "lapsed_filesystem_avail_inodes",
        "Inodes that users other than root may still take on the root's file system.",
        |space| space.available_inodes,
    );
}

/// Kind of a count, and the way to it.
type Kind = (&'static str, fn(&Reconciliation) -> u64);

/// Cost and findings of the scans.
fn passes(all: &mut Exposition, roots: &[RootLine]) {
    let mut of_passes = |name, help, value: fn(&Reconciliation) -> f64| {
        of_roots(all, (name, help), roots, |root| {
            root.reconciliation.as_ref().map(value)
        });
    };
    of_passes(
        "lapsed_scan_seconds",
        "Time that the last scan of the root took.",
        |of| seconds_of(of.last.took_ms),
    );
    of_passes(
        "lapsed_scan_cpu_seconds",
        "Processor time that the last scan of the root took.",
        |of| seconds_of(of.last.cpu_ms),
    );
    let counts: [(_, _, &[Kind]); 2] = [
        (
            "lapsed_scan_directories",
            "Directories that the last scan of the root read, and those that it skipped because they had not changed.",
            &[
                ("listed", |of| of.last.listed),
                ("skipped", |of| of.last.skipped),
            ],
        ),
        (
            "lapsed_scan_differences_total",
            "Files that scans of the root found and events had not told: new, gone, changed.",
            &[
                ("found", |of| of.found),
                ("gone", |of| of.gone),
                ("changed", |of| of.changed),
            ],
        ),
    ];
    for (name, help, kinds) in counts {
        let mut family = all.family(name, help);
        for root in roots {
            let Some(of) = &root.reconciliation else {
                continue;
            };
            for (kind, value) in kinds {
                family.sample(&[("root", &root.name), ("kind", kind)], value(of));
            }
        }
    }
}

fn rules(all: &mut Exposition, roots: &[RootLine]) {
    let mut of_rules = |name, help, value: fn(&RuleLine) -> Option<u64>| {
        let mut family = all.family(name, help);
        for root in roots {
            for line in &root.rules {
                let Some(value) = value(line) else { continue };
                let rule = line.rule.as_deref().unwrap_or_default();
                let trigger = line.trigger.map_or("none", |trigger| trigger.as_str());
                let labels = [("root", &*root.name), ("rule", rule), ("trigger", trigger)];
                family.sample(&labels, value);
            }
        }
    };
    of_rules(
        "lapsed_files",
        "Files in the index; those under no rule have an empty one and the trigger \"none\".",
        |line| Some(line.files),
    );
    of_rules(
        "lapsed_files_bytes",
        "Bytes of the files in the index.",
        |line| Some(line.bytes),
    );
    of_rules(
        "lapsed_due_files",
        "Files that are due, held or not.",
        |line| line.trigger.map(|_| line.due.files),
    );
    of_rules(
        "lapsed_due_bytes",
        "Bytes of the files that are due.",
        |line| line.trigger.map(|_| line.due.bytes),
    );
    of_rules(
        "lapsed_removed_units_total",
        "Files, directories and jobs that were removed as a whole.",
        |line| line.removed.map(|sum| sum.units),
    );
    of_rules(
        "lapsed_removed_files_total",
        "Files that were removed.",
        |line| line.removed.map(|sum| sum.files),
    );
    of_rules(
        "lapsed_removed_bytes_total",
        "Bytes of the files that were removed.",
        |line| line.removed.map(|sum| sum.bytes),
    );
    of_rules(
        "lapsed_displaced_files_total",
        "Files that were moved to the quarantine and are kept there.",
        |line| line.removed.map(|sum| sum.displaced),
    );
}

fn breakers(all: &mut Exposition, status: &Status) {
    let breaker = &status.breaker;
    let backlogs = (
        "lapsed_backlog_breaker_tripped",
        "1 if too much of the root became due at once: it waits for a person.",
    );
    of_roots(all, backlogs, &status.roots, |root| {
        Some(u8::from(root.breaker.is_some()))
    });
    let orphans = (
        "lapsed_orphan_breaker_tripped",
        "1 if too much of the root would be removed as orphans: these wait for a person.",
    );
    of_roots(all, orphans, &status.roots, |root| {
        let mut trips = breaker.orphans.iter();
        let is_tripped = trips.any(|trip| trip.root.as_ref() == Some(&root.name));
        Some(u8::from(is_tripped))
    });
}
