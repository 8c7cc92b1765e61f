//! Units that a crash left when some of their files were removed.

use super::crashes::{Intend, RECORDED, append_intents, crash_with, intend};
use super::*;
use crate::reap::intent::Record;
use crate::reap::names::removal_name;

#[test]
fn the_other_names_of_a_file_are_removed_after_a_crash_in_the_sweep() {
    let mut bench = Bench::files();
    for unit in ["known", "unknown"] {
        for file in ["a/shared", "b/own"] {
            bench.write(&format!("{unit}/{file}"), "1");
        }
        let name = |file: &str| bench.path(&format!("{unit}/{file}"));
        std::fs::hard_link(name("a/shared"), name("b/other")).unwrap();
    }
    let inode = bench.facts("known/a/shared").key.ino;
    crash_with(&bench, "unknown", (11, 0), RECORDED, intend);
    let with_links: Intend = |bench, dir, path, part, line| {
        intend(bench, dir, path, part, line);
        let links = vec![bench.facts(&format!("{path}/a/shared")).key.ino];
        let mut bytes = Vec::new();
        Record::Links(links).encode(&mut bytes);
        append_intents(bench, &bytes);
    };
    crash_with(&bench, "known", (12, 0), RECORDED, with_links);
    // What the sweeper has removed of them moves the change time of the other name.
    let at = clock::now().wall.plus_ms(100);
    wait(|| clock::now().wall > at.plus_ms(50));
    for number in [11, 12] {
        std::fs::remove_file(bench.path(&format!(".lapsed/{number}/a/shared"))).unwrap();
    }
    let other = bench.facts(".lapsed/12/b/other");
    assert_eq!((other.key.ino, other.nlink), (inode, 1));
    assert!(other.ctime.ceil() > at);
    bench.start();
    bench.settle();
    // Without a record of its names it may be any file, and is kept.
    let displaced = || {
        let [name] = &bench.quarantined()[..] else {
            return None;
        };
        let is_displaced = name.starts_with("displaced-");
        is_displaced.then(|| bench.path(&format!(".lapsed/{name}")))
    };
    wait(|| displaced().is_some());
    let displaced = displaced().unwrap();
    assert!(displaced.join("b/other").exists() && !displaced.join("b/own").exists());
    wait(|| bench.intents().is_empty());
}

#[test]
fn a_file_that_was_about_to_be_removed_is_removed_after_a_crash_and_no_other() {
    let mut bench = Bench::files();
    for unit in ["unit", "swapped"] {
        for file in ["d/a", "d/b"] {
            bench.write(&format!("{unit}/{file}"), "1");
        }
    }
    let quarantine = bench.path(".lapsed");
    for (number, unit) in [(21, "unit"), (22, "swapped")] {
        let meant = bench.facts(&format!("{unit}/d/a"));
        let next = bench.facts(&format!("{unit}/d/b"));
        crash_with(&bench, unit, (number, 0), RECORDED, intend);
        let name = removal_name(number, 0, 5, [next, meant].iter());
        let name = quarantine.join(std::str::from_utf8(&name).unwrap());
        std::fs::rename(quarantine.join(format!("{number}/d/a")), &name).unwrap();
        if number == 22 {
            // As old, as long, and under the name that the sweeper came to.
            let other = bench.path("other");
            std::fs::write(&other, b"2").unwrap();
            let file = std::fs::File::options().append(true).open(&other).unwrap();
            let mtime = std::fs::metadata(&name).unwrap().modified().unwrap();
            file.set_modified(mtime).unwrap();
            std::fs::rename(other, name).unwrap();
        }
    }
    // No part in work has this number.
    let stray = quarantine.join("23.0.1.AAAAAAAAAAA");
    std::fs::write(stray, b"3").unwrap();
    bench.start();
    bench.settle();
    wait(|| bench.intents().is_empty() && bench.quarantined().len() == 2);
    let contents = bench.quarantined().into_iter().map(|name| {
        assert!(name.starts_with("displaced-"), "{name}");
        bench.read(&format!(".lapsed/{name}"))
    });
    assert_eq!(contents.collect::<Vec<_>>(), ["2", "3"]);
}
