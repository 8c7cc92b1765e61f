//! A naive model of the index: sorted maps over whole paths, and the steps that change it.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{DirId, Record, RemoveOutcome, UnitRule, UnitState, Writer};
use crate::core::facts::{Latest, RootId, RuleId, usual_blocks};
use crate::core::policy::Class;
use crate::core::time::Timestamp;

/// Deadlines crowd around here, so that minutes are shared.
const NOW: i64 = 1_700_000_000_000;

pub(super) type Path = (RootId, Vec<u8>);

#[derive(Clone, Default, Debug)]
pub(super) struct Model {
    pub(super) dirs: BTreeSet<Path>,
    pub(super) files: BTreeMap<Path, Record>,
    pub(super) units: BTreeMap<Path, UnitRule>,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Ensure(u16, String),
    Upsert(usize, u8, Record),
    UpsertMany(usize, Vec<(u8, Record)>),
    Remove(usize, u8),
    RemoveMany(usize, Vec<u8>, u64),
    Retain(usize, u8),
    Reclass(usize, i64),
    Look(usize, i64),
    Drop(usize),
    DropRoot(u16),
    Move(usize, usize, u8),
    Unit(usize, Option<UnitRule>),
}

pub(super) fn any_time() -> impl Strategy<Value = Timestamp> {
    let ms = prop_oneof![
        6 => NOW - 200_000..NOW + 200_000,
        2 => NOW - 20_000_000..NOW + 20_000_000,
        1 => any::<i64>(),
    ];
    ms.prop_map(Timestamp::from_unix_ms)
}

pub(super) fn any_expire() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![
        2 => Just(None),
        6 => (0i64..4).prop_map(|n| Some(n * 60_000)),
        1 => any::<i64>().prop_map(Some),
    ]
}

pub(super) fn any_record() -> impl Strategy<Value = Record> {
    let size = prop_oneof![4 => 0u64..10_000, 1 => Just(u64::MAX), 1 => any::<u64>()];
    let ino = prop_oneof![4 => 1u64..1_000, 1 => any::<u64>()];
    let class = (0u8..10, 0u16..3).prop_map(|(kind, rule)| match kind {
        0 => Class::Unruled,
        1 => Class::Kept(RuleId(rule)),
        2..6 => Class::Dir(RuleId(rule)),
        _ => Class::File(RuleId(rule)),
    });
    let taken = prop_oneof![3 => Just(None), 1 => any::<(u64, u32)>().prop_map(Some)];
    (
        size,
        taken,
        ino,
        any_time(),
        any_time(),
        class,
        any_expire(),
    )
        .prop_map(
            |(size, taken, ino, mtime, basis, class, expire_ms)| Record {
                size,
                blocks: taken.map_or(usual_blocks(size), |(blocks, _)| blocks),
                nlink: taken.map_or(1, |(_, nlink)| nlink),
                ino,
                mtime,
                basis,
                class,
                expire_ms,
            },
        )
}

pub(super) fn any_step() -> impl Strategy<Value = Step> {
    let dir = 0usize..64;
    let name = 0u8..60;
    let named = (name.clone(), any_record());
    let unit = (0u16..3, any_time(), any_expire()).prop_map(|(rule, basis, expire_ms)| UnitRule {
        rule: RuleId(rule),
        basis,
        latest: Latest::at(basis),
        expire_ms,
    });
    prop_oneof![
        4 => (0u16..2, "[abc](/[abc]){0,3}").prop_map(|(root, path)| Step::Ensure(root, path)),
        1 => (0u16..2).prop_map(|root| Step::Ensure(root, String::new())),
        6 => (dir.clone(), name.clone(), any_record()).prop_map(|(d, n, r)| Step::Upsert(d, n, r)),
        8 => (dir.clone(), prop::collection::vec(named, 0..50)).prop_map(|(d, e)| Step::UpsertMany(d, e)),
        6 => (dir.clone(), name.clone()).prop_map(|(d, n)| Step::Remove(d, n)),
        3 => (dir.clone(), prop::collection::vec(name, 0..30), 2u64..6).prop_map(|(d, n, m)| Step::RemoveMany(d, n, m)),
        3 => (dir.clone(), 2u8..9).prop_map(|(d, n)| Step::Retain(d, n)),
        3 => (0usize..64, any::<i64>()).prop_map(|(p, by)| Step::Reclass(p, by)),
        1 => (dir.clone(), any::<i64>()).prop_map(|(d, at)| Step::Look(d, at)),
        1 => dir.clone().prop_map(Step::Drop),
        1 => (0u16..40).prop_map(Step::DropRoot),
        5 => (dir.clone(), dir.clone(), 0u8..4).prop_map(|(d, to, n)| Step::Move(d, to, n)),
        4 => (dir, prop::option::weighted(0.8, unit)).prop_map(|(d, u)| Step::Unit(d, u)),
    ]
}

/// The name with a number: some are long, some are not text.
pub(super) fn name(number: u8) -> Vec<u8> {
    match number % 7 {
        0 => vec![0xff, number + 1],
        1 => [vec![b'l'; 250], number.to_string().into_bytes()].concat(),
        _ => format!("n{number}").into_bytes(),
    }
}

pub(super) fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    if dir.is_empty() {
        return name.to_vec();
    }
    [dir, b"/", name].concat()
}

pub(super) fn is_within(path: &[u8], dir: &[u8]) -> bool {
    dir.is_empty() || path == dir || path.strip_prefix(dir).is_some_and(|rest| rest[0] == b'/')
}

impl Model {
    pub(super) fn pick(&self, number: usize) -> Option<Path> {
        let place = number.checked_rem(self.dirs.len())?;
        self.dirs.iter().nth(place).cloned()
    }

    pub(super) fn is_top(dir: &Path) -> bool {
        !dir.1.is_empty() && !dir.1.contains(&b'/')
    }

    pub(super) fn in_dir<'a>(
        &'a self,
        dir: &'a Path,
    ) -> impl Iterator<Item = (&'a [u8], &'a Record)> {
        self.files.iter().filter_map(move |((root, path), record)| {
            let (parent, name) = match path.iter().rposition(|&b| b == b'/') {
                Some(slash) => (&path[..slash], &path[slash + 1..]),
                None => (&path[..0], &path[..]),
            };
            (*root == dir.0 && parent == dir.1).then_some((name, record))
        })
    }

    pub(super) fn drop_dir(&mut self, dir: &Path) {
        let stays = |(root, path): &Path| *root != dir.0 || !is_within(path, &dir.1);
        self.dirs.retain(stays);
        self.files.retain(|path, _| stays(path));
        self.units.retain(|path, _| stays(path));
    }

    pub(super) fn move_dir(&mut self, dir: &Path, to_parent: &Path, name: &[u8]) -> bool {
        let to = (dir.0, join(&to_parent.1, name));
        if dir.1.is_empty() || dir.0 != to_parent.0 {
            return false;
        }
        if to == *dir {
            return true;
        }
        if is_within(&to_parent.1, &dir.1) || (self.dirs.contains(&to) && is_within(&dir.1, &to.1))
        {
            return false;
        }
        self.drop_dir(&to);
        let moved = |(root, path): Path| {
            if root == dir.0 && is_within(&path, &dir.1) {
                (root, [&to.1, &path[dir.1.len()..]].concat())
            } else {
                (root, path)
            }
        };
        self.dirs = std::mem::take(&mut self.dirs)
            .into_iter()
            .map(moved)
            .collect();
        let files = std::mem::take(&mut self.files).into_iter();
        self.files = files.map(|(path, record)| (moved(path), record)).collect();
        let units = std::mem::take(&mut self.units).into_iter();
        let units = units.map(|(path, unit)| (moved(path), unit));
        self.units = units.filter(|(path, _)| Self::is_top(path)).collect();
        true
    }

    pub(super) fn unit_states(&self) -> BTreeMap<Path, UnitState> {
        let state = |(path, unit): (&Path, &UnitRule)| {
            let below = self.files.iter().filter(|(file, record)| {
                file.0 == path.0
                    && is_within(&file.1, &path.1)
                    && matches!(record.class, Class::Dir(_))
            });
            let sizes: Vec<u64> = below.map(|(_, record)| record.size).collect();
            let state = UnitState {
                rule: unit.rule,
                basis: unit.basis,
                latest: unit.latest,
                deadline: unit.expire_ms.map(|ms| unit.basis.plus_ms(ms)),
                files: sizes.len() as u64,
                bytes: sizes.iter().fold(0, |sum, &size| sum.saturating_add(size)),
            };
            (path.clone(), state)
        };
        self.units.iter().map(state).collect()
    }
}

impl Writer {
    /// Removes the entry `name` from `dir` and returns its record.
    pub(super) fn remove(&mut self, dir: DirId, name: &[u8]) -> Option<Record> {
        match self.remove_many(dir, [name], |_, _| true)[..] {
            [RemoveOutcome::Removed(record)] => Some(record),
            _ => None,
        }
    }
}
