//! Lists of files.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{library, names};
use crate::common::{Place, lines, path_of};

#[test]
fn files_are_filtered() {
    let (_place, daemon) = library();
    let found = |query: &str| {
        let mut names = names(&daemon, query);
        names.sort();
        names.join(" ")
    };
    assert_eq!(
        found(""),
        "0.dat 1.dat 2.dat 3.dat 4.dat a.part b.part kept.txt"
    );
    assert_eq!(found("root=uploads"), "a.part b.part");
    assert_eq!(found("job=job-1"), "1.dat 3.dat");
    assert_eq!(found("rule=data&job=job-0"), "0.dat 2.dat 4.dat");
    assert_eq!(found("rule=none"), "kept.txt");
    assert_eq!(found("glob=*.part"), "a.part", "`*` does not cross `/`");
    assert_eq!(found("glob=**/*.part"), "a.part b.part");
    assert_eq!(found("min_size=400"), "3.dat 4.dat");
    assert_eq!(found("min_size=0.4kB"), "3.dat 4.dat");
    assert_eq!(found("older_than=4h30m"), "4.dat a.part b.part kept.txt");
    assert_eq!(
        found("expiring_within=45h30m&root=results"),
        "2.dat 3.dat 4.dat"
    );
    assert_eq!(found("hold=open"), "");
    assert_eq!(found("older_than=4h30m&min_size=100"), "4.dat");
    assert_eq!(found("glob=nothing"), "");
}

#[test]
fn files_come_in_order_and_in_parts() {
    let (_place, daemon) = library();
    let sizes = "4.dat 3.dat 2.dat 1.dat 0.dat b.part a.part kept.txt";
    assert_eq!(names(&daemon, "sort=size").join(" "), sizes);
    let reversed: Vec<&str> = sizes.split(' ').rev().collect();
    assert_eq!(names(&daemon, "sort=size&order=asc"), reversed);
    assert_eq!(
        names(&daemon, "sort=age").join(" "),
        "kept.txt b.part a.part 4.dat 3.dat 2.dat 1.dat 0.dat"
    );
    assert_eq!(
        names(&daemon, "sort=deadline&root=results").join(" "),
        "4.dat 3.dat 2.dat 1.dat 0.dat kept.txt",
        "what never lapses stands last"
    );
    assert_eq!(
        names(&daemon, "sort=path").join(" "),
        "0.dat 2.dat 4.dat 1.dat 3.dat kept.txt a.part b.part"
    );

    // Page by page the same, also when the page's last file goes and another one comes.
    let (mut cursor, mut seen) = (String::new(), Vec::new());
    loop {
        let (status, answer) = daemon.get(&format!("/v1/files?sort=size&limit=3{cursor}"));
        assert_eq!(status, 200, "{answer}");
        let files = answer["files"].as_array().unwrap();
        assert!(files.len() <= 3);
        seen.extend(files.iter().map(path_of));
        let Some(next) = answer["cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
        let last = seen.last().unwrap();
        if last.exists() {
            std::fs::remove_file(last).unwrap();
            daemon.sync();
        }
    }
    let seen: Vec<_> = seen
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(seen.join(" "), sizes);
}

#[test]
fn lines_tell_the_same_as_one_object() {
    let (place, daemon) = library();
    let (_, whole) = daemon.get("/v1/files?sort=path");
    let whole: Vec<Value> = whole["files"].as_array().unwrap().clone();
    let by_path: Vec<Value> = daemon.files("").into_values().collect();
    let as_paths = |entries: &[Value]| entries.iter().map(path_of).collect::<BTreeSet<_>>();
    assert_eq!(as_paths(&whole), as_paths(&by_path));
    let sorted = place.run(&["ls", "--json", "--sort", "path"]);
    let sorted: Vec<Value> = lines(&sorted)
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(sorted, whole);
    let fields: Vec<&String> = whole[0].as_object().unwrap().keys().collect();
    assert_eq!(
        fields.into_iter().collect::<BTreeSet<_>>(),
        [
            "path",
            "root",
            "size",
            "mtime",
            "job",
            "source",
            "status",
            "rule",
            "deadline",
            "lapses_at",
            "reason",
            "hold",
            "pin"
        ]
        .map(str::to_owned)
        .iter()
        .collect()
    );
    let limited = place.run(&["ls", "--json", "-n", "2"]);
    assert_eq!(lines(&limited).len(), 2);
}

#[test]
fn a_question_with_sync_knows_everything_before_it() {
    let place = Place::new();
    let root = place.make_dir("data");
    let daemon = place.serve_ready(&["--watch", "data=1h"]);
    for round in 0..50 {
        let path = root.join(format!("{round}/deep/er/file"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, b"x").unwrap();
        assert_eq!(names(&daemon, "sync=true").len(), round + 1);
    }
    let synced = place.run(&["sync"]);
    assert!(
        lines(&synced)[0].starts_with("in sync after "),
        "{synced:?}"
    );
    let listed = place.run(&["ls", "--sync", "--json"]);
    assert_eq!(lines(&listed).len(), 50);
}
