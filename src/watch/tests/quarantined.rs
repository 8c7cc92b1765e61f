//! Files that the reaper renames into a quarantine: their events hide no other change.

use std::fs;

use super::harness::Bench;
use super::reader::Reader;

/// A root with two files and a quarantine, whose events wait while the reader is held.
fn files() -> (Bench, Reader) {
    let mut bench = Bench::new();
    for dir in ["root/d", "root/.lapsed"] {
        fs::create_dir_all(bench.path(dir)).unwrap();
    }
    for name in ["a", "b"] {
        bench.write(name, "old");
    }
    let options = bench.options(&["root"]);
    let reader = bench.start_held(options);
    bench.assert_agrees(0, "root");
    (bench, reader)
}

impl Bench {
    fn rename(&self, from: &str, to: &str) {
        let root = self.path("root");
        fs::rename(root.join(from), root.join(to)).unwrap();
    }

    /// Renames a file as the reaper does.
    fn take(&self, name: &str) {
        self.rename(&format!("d/{name}"), &format!(".lapsed/{name}"));
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path(&format!("root/d/{name}")), content).unwrap();
    }

    /// Does `change` while the reader is held, and checks what a barrier after it shows.
    #[track_caller]
    fn check_batch(&mut self, reader: &Reader, change: impl FnOnce(&Self)) {
        let held = reader.hold();
        change(self);
        drop(held);
        self.assert_agrees(0, "root");
    }
}

#[test]
fn what_is_taken_is_gone_and_what_comes_to_its_name_is_seen() {
    let (mut bench, reader) = files();
    bench.check_batch(&reader, |bench| bench.take("a"));
    assert_eq!(bench.model(0).paths(), ["d/b"]);
    bench.check_batch(&reader, |bench| bench.write("a", "new"));
    bench.check_batch(&reader, |bench| {
        bench.take("a");
        bench.write("a", "newer");
    });
    bench.check_batch(&reader, |bench| {
        bench.take("a");
        bench.rename(".lapsed/a", "d/a");
    });
    bench.check_batch(&reader, |bench| {
        bench.take("a");
        bench.rename("d/b", "d/a");
        bench.take("a");
    });
    assert!(bench.model(0).files.is_empty());
}

#[test]
fn a_rename_by_another_of_the_same_name_is_seen_before_and_after() {
    let (mut bench, reader) = files();
    bench.check_batch(&reader, |bench| {
        bench.rename("d/a", "d/c");
        bench.write("a", "new");
        bench.take("a");
    });
    bench.check_batch(&reader, |bench| {
        bench.take("b");
        bench.write("b", "new");
        bench.rename("d/b", "d/e");
    });
    assert_eq!(bench.model(0).paths(), ["d/c", "d/e"]);
    bench.check_batch(&reader, |bench| {
        bench.take("c");
        fs::create_dir(bench.path("root/d/c")).unwrap();
        bench.write("c/f", "x");
    });
    assert_eq!(bench.model(0).paths(), ["d/c/f", "d/e"]);
}

#[test]
fn names_that_are_exchanged_are_both_looked_at() {
    let (mut bench, reader) = files();
    bench.write("b", "longer");
    bench.check_batch(&reader, |bench| {
        let dir = fs::File::open(bench.path("root/d")).unwrap();
        let flags = rustix::fs::RenameFlags::EXCHANGE;
        rustix::fs::renameat_with(&dir, "a", &dir, "b", flags).unwrap();
    });
    assert_eq!(bench.model(0).paths(), ["d/a", "d/b"]);
}

#[test]
fn lost_events_of_taken_files_end_in_a_reconciliation() {
    let (mut bench, _) = files();
    let mut options = bench.options(&["root"]);
    options.queue_bytes_max = 1;
    bench.start(options);
    for name in ["a", "b"] {
        bench.take(name);
        bench.write("c", name);
        bench.assert_agrees(0, "root");
    }
    assert!(bench.watcher().stats().overflows > 0);
}

#[test]
fn a_quarantine_is_watched_while_it_is_there() {
    let (mut bench, _reader) = files();
    let watches = bench.watcher().stats().watches;
    fs::remove_dir(bench.path("root/.lapsed")).unwrap();
    bench.assert_agrees(0, "root");
    fs::create_dir(bench.path("root/.lapsed")).unwrap();
    bench.take("a");
    bench.assert_agrees(0, "root");
    bench.take("b");
    bench.assert_agrees(0, "root");
    assert_eq!(bench.watcher().stats().watches, watches);
    bench.rename("", "../away");
    bench.sync();
    assert_eq!(bench.watcher().stats().watches, 0);
}
