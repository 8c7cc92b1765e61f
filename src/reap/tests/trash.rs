//! Things that go to the trash and come back.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use super::*;
use crate::core::pins::PinTarget;
use crate::core::policy::Disposal;
use crate::core::principal::Principal;
use crate::core::trash::{PurgeOrder, Purged, RestoreOrder, Restored, TrashFilter, TrashNews};
use crate::ledger::Mark;

/// An undo window that no test outlasts, and one that is over at once.
pub(super) const LONG_MS: i64 = 86_400_000;
pub(super) const SHORT_MS: i64 = 1;

pub(super) fn trashing(mut bench: Bench, undo_ms: i64) -> Bench {
    for rule in &mut bench.policy.rules {
        rule.disposal = Disposal::Trash { undo_ms };
    }
    bench
}

impl Bench {
    /// Waits until the trash of all roots was read.
    pub(super) fn wait_for_trash(&mut self) {
        if self.reaper.is_none() {
            self.start();
        }
        let mut roots = vec![ROOT];
        if self.base.join("uploads").exists() {
            roots.push(world::UPLOADS);
        }
        let trash = Arc::clone(&self.world.trash);
        wait(|| roots.iter().all(|root| trash.is_known(*root)));
    }

    /// Names in the trash.
    pub(super) fn in_trash(&self) -> Vec<String> {
        let listed = std::fs::read_dir(self.path(".lapsed/trash"));
        let names = listed.into_iter().flatten();
        let names = names.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    pub(super) fn reaper(&self) -> &Reaper {
        self.reaper.as_ref().unwrap()
    }

    pub(super) fn restore(&mut self, ids: &[u64], beside: bool) -> Vec<Restored> {
        self.wait_for_trash();
        let order = RestoreOrder {
            ids: ids.iter().copied().collect(),
            beside,
            by: Principal::Uid(7),
            ..RestoreOrder::default()
        };
        self.reaper().restore(&order).unwrap()
    }

    /// Has things deleted as the engine has it, and waits for the answers.
    pub(super) fn purge(&mut self, ids: &[u64], is_early: bool) -> Vec<Purged> {
        self.wait_for_trash();
        self.world.trash_news.lock().clear();
        let order = PurgeOrder {
            root: ROOT,
            ids: ids.to_vec(),
            is_early,
            by: Principal::Rule,
        };
        self.reaper().purge(Arc::default(), order);
        let answers = || -> Vec<Purged> {
            let news = self.world.trash_news.lock();
            let purged = news.iter().filter_map(|one| match one {
                TrashNews::Purged(purged) => Some(purged.clone()),
                TrashNews::Read(_) | TrashNews::Restored(_) => None,
            });
            let mut all: Vec<Purged> = purged.flatten().collect();
            all.sort_by_key(|one| one.id);
            all
        };
        wait(|| answers().len() == ids.len());
        answers()
    }

    pub(super) fn marks(&self) -> Vec<Mark> {
        self.lines().iter().map(|line| line.result).collect()
    }

    pub(super) fn trash_ids(&self) -> Vec<u64> {
        let all = self.world.trash.list(&TrashFilter::default(), None, 1000);
        let mut ids: Vec<u64> = all.into_iter().map(|(_, thing)| thing.id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn set_mtime(path: &Path, secs: u64) {
    let file = std::fs::File::open(path).unwrap();
    let at = std::time::UNIX_EPOCH + Duration::from_secs(secs);
    file.set_modified(at).unwrap();
}

#[test]
fn a_file_goes_to_the_trash_and_comes_back_as_it_was() {
    let mut bench = trashing(Bench::files(), LONG_MS);
    bench.write("a/b/file", "content");
    set_mode(&bench.path("a/b/file"), 0o640);
    set_mode(&bench.path("a/b"), 0o2751);
    set_mtime(&bench.path("a/b"), 1_600_000_000);
    let before = bench.path("a/b/file").metadata().unwrap();
    let outcome = bench.reap_one(Unit::File, "a/b/file");
    let removal = removed(&outcome);
    assert!(removal.trashed.is_some_and(|until| until > removal.at));
    assert!(!bench.path("a/b/file").exists());
    assert_eq!(bench.marks(), [Mark::Trashed]);
    assert_eq!(bench.quarantined(), ["trash"]);
    let id = removal.id;
    assert_eq!(bench.in_trash(), [id.to_string(), format!("{id}.json")]);
    bench.assert_no_intents();
    std::fs::remove_dir_all(bench.path("a")).unwrap();

    let page = bench.reaper().trash_page(&TrashFilter::default(), None, 10);
    assert_eq!((page.items.len(), page.next), (1, None));
    assert_eq!(page.items[0].parts[0].path, bench.path("a/b/file"));
    let restored = bench.restore(&[id], false).remove(0);
    assert!(restored.is_whole(), "{restored:?}");
    assert_eq!(restored.restored, [bench.path("a/b/file")]);
    assert_eq!(bench.read("a/b/file"), "content");
    let after = bench.path("a/b/file").metadata().unwrap();
    assert_eq!(
        (before.ino(), before.mode(), before.mtime(), before.uid()),
        (after.ino(), after.mode(), after.mtime(), after.uid())
    );
    let above = bench.path("a/b").metadata().unwrap();
    assert_eq!(
        (above.mode() & 0o7777, above.mtime()),
        (0o2751, 1_600_000_000)
    );
    assert_eq!(bench.marks(), [Mark::Trashed, Mark::Restored]);
    assert_eq!(bench.in_trash(), [""; 0]);
    assert!(bench.world.trash.is_empty());
    let pins = bench.world.ordered_pins.lock();
    assert_eq!(pins[0].targets, [PinTarget::Path(bench.path("a/b/file"))]);
    assert_eq!(pins[0].by, Principal::Uid(7));
}

#[test]
fn a_directory_comes_back_with_links_and_empty_things() {
    let mut bench = trashing(Bench::dirs(), LONG_MS);
    bench.write("unit/a/file", "1");
    bench.write("unit/empty", "");
    std::fs::create_dir_all(bench.path("unit/none/at/all")).unwrap();
    std::fs::hard_link(bench.path("unit/a/file"), bench.path("unit/hard")).unwrap();
    std::os::unix::fs::symlink("a/file", bench.path("unit/soft")).unwrap();
    std::os::unix::fs::symlink("nowhere", bench.path("unit/dangling")).unwrap();
    let has_xattr = rustix::fs::setxattr(
        bench.path("unit/a/file"),
        "user.test",
        b"kept",
        rustix::fs::XattrFlags::empty(),
    );
    let ino = bench.path("unit/hard").metadata().unwrap().ino();
    let outcome = bench.reap_one(Unit::Dir, "unit");
    let id = removed(&outcome).id;
    assert!(!bench.path("unit").exists());
    // Another process finds it.
    bench.start();
    let restored = bench.restore(&[id], false).remove(0);
    assert!(restored.is_whole() && restored.files == 3, "{restored:?}");
    assert_eq!(bench.path("unit/hard").metadata().unwrap().ino(), ino);
    assert_eq!(bench.path("unit/a/file").metadata().unwrap().nlink(), 2);
    assert_eq!(bench.read("unit/soft"), "1");
    let dangling = std::fs::read_link(bench.path("unit/dangling")).unwrap();
    assert_eq!(dangling, Path::new("nowhere"));
    assert!(bench.path("unit/none/at/all").is_dir());
    assert_eq!(bench.read("unit/empty"), "");
    if has_xattr.is_ok() {
        let mut value = [0; 16];
        let len = rustix::fs::getxattr(bench.path("unit/a/file"), "user.test", &mut value[..]);
        assert_eq!(&value[..len.unwrap()], b"kept");
    }
}

#[test]
fn a_taken_name_is_never_overwritten_and_may_be_passed_by() {
    let mut bench = trashing(Bench::files(), LONG_MS);
    bench.write("file", "old");
    let outcome = bench.reap_one(Unit::File, "file");
    let id = removed(&outcome).id;
    bench.write("file", "new");
    bench.write(&format!("file.restored-{id}"), "another");
    let refused = bench.restore(&[id], false).remove(0);
    assert_eq!(refused.taken, [bench.path("file")]);
    assert!(refused.restored.is_empty() && !refused.is_whole());
    assert_eq!(bench.trash_ids(), [id]);
    assert_eq!(bench.in_trash(), [id.to_string(), format!("{id}.json")]);
    let beside = bench.restore(&[id], true).remove(0);
    let name = format!("file.restored-{id}-2");
    assert_eq!(beside.restored, [bench.path(&name)]);
    assert_eq!(
        (bench.read("file"), bench.read(&name)),
        ("new".into(), "old".into())
    );
    assert_eq!(bench.read(&format!("file.restored-{id}")), "another");
    assert_eq!(bench.in_trash(), [""; 0]);
}

#[test]
fn a_half_restored_unit_stays_restorable() {
    let mut bench = trashing(Bench::dirs(), LONG_MS);
    bench.policy.rules[0].keep = Some(globs(&["**/*.log"]));
    for name in ["unit/keep.log", "unit/a", "unit/b", "unit/sub/c"] {
        bench.write(name, name);
    }
    let outcome = bench.reap_one(Unit::Dir, "unit");
    let removal = removed(&outcome);
    assert!(removal.partial && bench.path("unit/keep.log").exists());
    let id = removal.id;
    bench.write("unit/a", "taken");
    let first = bench.restore(&[id], false).remove(0);
    assert_eq!(
        (first.taken.len(), first.restored.len()),
        (1, 2),
        "{first:?}"
    );
    assert_eq!(bench.trash_ids(), [id]);
    bench.start();
    std::fs::remove_file(bench.path("unit/a")).unwrap();
    let second = bench.restore(&[id], false).remove(0);
    assert_eq!(second.restored, [bench.path("unit/a")]);
    assert_eq!(bench.read("unit/a"), "unit/a");
    assert_eq!((bench.in_trash(), bench.trash_ids()), (vec![], vec![]));
}

#[test]
fn without_room_for_a_manifest_everything_goes_back() {
    let mut bench = trashing(Bench::files(), LONG_MS);
    bench.write("file", "1");
    bench.start();
    bench.settle();
    std::fs::write(bench.path(".lapsed/trash"), "in the way").unwrap();
    let outcome = bench.reap_one(Unit::File, "file");
    assert!(
        matches!(held(&outcome), Hold::LedgerUnavailable { .. }),
        "{outcome:?}"
    );
    assert_eq!(bench.read("file"), "1");
    assert_eq!(bench.lines(), []);
    bench.assert_no_intents();
    assert!(bench.world.trash.is_empty());
}

#[test]
fn pins_that_cannot_be_set_let_nothing_come_back() {
    let mut bench = trashing(Bench::files(), LONG_MS);
    bench.write("file", "1");
    let outcome = bench.reap_one(Unit::File, "file");
    let id = removed(&outcome).id;
    *bench.world.refuses.lock() = Some("no room".to_owned());
    let failed = bench.restore(&[id], false).remove(0);
    assert_eq!(failed.errors, ["no room"]);
    assert!(!bench.path("file").exists());
    assert_eq!(bench.trash_ids(), [id]);
}

/// Number of things in the test of a large trash.
fn many() -> u64 {
    let given = std::env::var("LAPSED_TRASH_THINGS").ok();
    given.map_or(3_000, |given| given.parse().unwrap())
}

#[test]
fn a_large_trash_is_listed_and_restored() {
    use crate::core::policy::SkipOpen;
    use crate::ledger::LineTrash;
    use crate::reap::trash::manifest::{Manifest, ManifestPart};
    use crate::reap::trash::store::TrashDir;

    let mut bench = trashing(Bench::files(), LONG_MS);
    let root = RootDir::open(&bench.base.join("root")).unwrap();
    let quarantine = crate::fs::quarantine::make(&root).unwrap();
    let dir = TrashDir::make(&quarantine).unwrap();
    let at = clock::now().wall;
    for id in 1..=many() {
        std::fs::write(bench.path(&format!(".lapsed/trash/{id}")), "1").unwrap();
        let facts = dir.look(id.to_string().as_bytes()).unwrap().unwrap();
        let line = Line {
            id,
            at,
            root: "results".into(),
            result: Mark::Trashed,
            trash: Some(LineTrash {
                id,
                until: at.plus_ms(LONG_MS),
                share: false,
            }),
            ..Line::default()
        };
        let path = RelPath::parse(format!("{}/{id}", id % 100).as_bytes()).unwrap();
        let base = bench.base.join("root");
        let mut manifest = Manifest::new(&line, &base, Vec::new(), SkipOpen::Always);
        manifest.add(ManifestPart::new(0, &path, &facts, (1, 1), Vec::new()));
        dir.write(&manifest).unwrap();
    }
    bench.wait_for_trash();
    let sums = bench.reaper().trash_sums();
    assert_eq!((sums[0].things, sums[0].bytes), (many(), many()));
    let (mut after, mut listed) = (None, 0);
    loop {
        let page = bench
            .reaper()
            .trash_page(&TrashFilter::default(), after, 1000);
        assert!(page.unreadable.is_empty() && page.items.len() <= 1000);
        listed += page.items.len() as u64;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(listed, many());
    let ids: Vec<u64> = (1..=many()).collect();
    let restored = bench.restore(&ids, false);
    assert!(restored.len() as u64 == many() && restored.iter().all(Restored::is_whole));
    assert_eq!(bench.read("7/107"), "1");
    assert_eq!(bench.in_trash(), [""; 0]);
    let pins = bench.world.ordered_pins.lock();
    let pinned: usize = pins.iter().map(|order| order.targets.len()).sum();
    assert_eq!(pinned as u64, many());
}
