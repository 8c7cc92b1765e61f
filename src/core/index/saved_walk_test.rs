//! Saved state of an index, page by page, against the naive model: whole, of two moments, and
//! damaged.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::model_test::{Model, Path, Step, any_step, any_time, join};
use super::walk_test::{LIMITS, Walk};
use super::{DirId, PageId, RestoreLosses, Restored, Restorer};
use crate::core::facts::RootId;
use crate::core::time::Timestamp;

/// Contents of a store, and the model as it was when they were written.
#[derive(Default)]
struct Saved {
    pages: BTreeMap<PageId, Vec<u8>>,
    dirs: BTreeMap<DirId, Vec<u8>>,
    tops: BTreeMap<RootId, DirId>,
    model: Model,
}

impl Saved {
    /// Writes what changed, and nothing else.
    fn save(&mut self, walk: &mut Walk) {
        let unsaved = walk.writer.take_unsaved();
        for id in unsaved.pages {
            match walk.index.page_image(id) {
                Some(bytes) => drop(self.pages.insert(id, bytes)),
                None => drop(self.pages.remove(&id)),
            }
        }
        for id in unsaved.dirs {
            match walk.index.dir_image(id) {
                Some(bytes) => drop(self.dirs.insert(id, bytes)),
                None => drop(self.dirs.remove(&id)),
            }
        }
        let roots = [0, 1].map(RootId).into_iter();
        let tops = roots.filter_map(|root| Some((root, walk.index.dir_id(root, b"")?)));
        self.tops = tops.collect();
        self.model = walk.model.clone();
    }

    fn restorer(&self) -> Restorer {
        let mut restorer = Restorer::default();
        for (&id, bytes) in &self.pages {
            restorer.page(id, bytes, 1 << 16);
        }
        for (&id, bytes) in &self.dirs {
            restorer.dir(id, bytes);
        }
        restorer
    }

    /// Everything anew from what was written.
    fn restore(&self) -> Walk {
        let Restored {
            index,
            mut writer,
            units,
            lost,
        } = self.restorer().finish_with(&self.tops, LIMITS);
        assert_eq!(lost, RestoreLosses::default());
        assert!(writer.take_unsaved().is_empty(), "all of it is saved");
        for ((root, path), rule) in &self.model.units {
            let dir = index.dir_id(*root, path).expect("a unit is a directory");
            assert!(units.contains(&(dir, rule.latest.any)));
            writer.set_unit(dir, Some(*rule));
        }
        assert_eq!(units.len(), self.model.units.len());
        writer.take_unsaved();
        Walk {
            index,
            writer,
            model: self.model.clone(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_saved_page_by_page_is_the_index_again(
        steps in prop::collection::vec((any_step(), 0u8..10, any_time()), 1..60),
    ) {
        let mut walk = Walk::new();
        let mut saved = Saved::default();
        walk.step(Step::Ensure(0, "a/b".into()));
        saved.save(&mut walk);
        for (step, then, now) in steps {
            walk.step(step);
            match then {
                0..4 => saved.save(&mut walk),
                4 => {
                    saved.save(&mut walk);
                    walk = saved.restore();
                    walk.check(now);
                }
                _ => {}
            }
        }
        saved.save(&mut walk);
        let walk = saved.restore();
        walk.check(Timestamp::from_unix_ms(1_700_000_000_000));
    }

    #[test]
    fn what_was_saved_of_two_moments_or_damaged_gives_a_sound_index(
        steps in prop::collection::vec(any_step(), 1..50),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 0..6),
        missing in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        stale in any::<prop::sample::Index>(),
    ) {
        let mut walk = Walk::new();
        walk.step(Step::Ensure(0, "a/b".into()));
        let top = walk.index.dir_id(RootId(0), b"").unwrap();
        let (mut saved, mut old) = (Saved::default(), Saved::default());
        let middle = stale.index(steps.len());
        for (at, step) in steps.into_iter().enumerate() {
            walk.step(step);
            saved.save(&mut walk);
            if at == middle {
                old.pages = saved.pages.clone();
                old.dirs = saved.dirs.clone();
            }
        }
        // Some values are of an older moment, some are gone, some are garbage.
        for (id, bytes) in old.pages.into_iter().step_by(2) {
            saved.pages.insert(id, bytes);
        }
        for (id, bytes) in old.dirs.into_iter().step_by(3) {
            saved.dirs.insert(id, bytes);
        }
        for (which, at, byte) in damage {
            let all: Vec<&mut Vec<u8>> = saved.pages.values_mut().chain(saved.dirs.values_mut()).collect();
            let count = all.len();
            if count > 0 {
                let bytes = all.into_iter().nth(which.index(count)).unwrap();
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
            }
        }
        for which in missing {
            if !saved.dirs.is_empty() {
                let id = *saved.dirs.keys().nth(which.index(saved.dirs.len())).unwrap();
                saved.dirs.remove(&id);
            }
        }
        let restored = saved.restorer().finish_with(&BTreeMap::from([(RootId(0), top)]), LIMITS);
        let mut walk = Walk { index: restored.index, writer: restored.writer, model: Model::default() };
        // The model of whatever it is now.
        let mut open: Vec<Path> = walk.index.dir_id(RootId(0), b"").map(|_| (RootId(0), Vec::new())).into_iter().collect();
        while let Some(dir) = open.pop() {
            let id = walk.index.dir_id(dir.0, &dir.1).unwrap();
            open.extend(walk.index.subdirs(id).into_iter().map(|(name, _)| (dir.0, join(&dir.1, &name))));
            walk.model.dirs.insert(dir);
        }
        for (_, page) in walk.index.snapshot() {
            let (root, dir) = walk.index.dir_path(page.dir()).unwrap();
            for (name, record) in page.entries() {
                let path = (root, dir.join(name).as_bytes().to_vec());
                prop_assert!(walk.model.files.insert(path, record).is_none(), "a name twice");
            }
        }
        walk.check(Timestamp::from_unix_ms(1_700_000_000_000));
        walk.step(Step::DropRoot(0));
        prop_assert!(walk.index.snapshot().is_empty(), "no page is left");
    }
}
