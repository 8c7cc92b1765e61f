//! Refusals of the operating system: permissions, mounts, full disks.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::*;
use crate::common::machine::{has_namespaces, has_no_privileges};

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_directory_that_may_not_be_changed_holds_with_what_would_mend_it() {
    if !has_no_privileges() {
        return;
    }
    let mut bench = Bench::files();
    bench.write("dir/file", "1");
    chmod(&bench.path("dir"), 0o555);
    let outcome = bench.reap_one(Unit::File, "dir/file");
    let Hold::Denied { error, .. } = held(&outcome) else {
        panic!("{outcome:?}");
    };
    let dir = bench.path("dir").display().to_string();
    assert!(
        error.contains(&dir) && error.contains("write and search permission"),
        "{error}"
    );
    chmod(&bench.path("dir"), 0o755);
    removed(&bench.reap_one(Unit::File, "dir/file"));

    bench.policy.rules = vec![rule(Unit::Dir, Since::Newest, 0)];
    bench.write("unit/sub/file", "1");
    chmod(&bench.path("unit/sub"), 0o555);
    let outcome = bench.reap_one(Unit::Dir, "unit");
    assert!(matches!(held(&outcome), Hold::Denied { .. }), "{outcome:?}");
    assert_eq!(bench.read("unit/sub/file"), "1");
    chmod(&bench.path("unit/sub"), 0o000);
    let outcome = bench.reap_one(Unit::Dir, "unit");
    assert!(
        matches!(held(&outcome), Hold::Unreadable { .. }),
        "{outcome:?}"
    );
    chmod(&bench.path("unit/sub"), 0o755);
    removed(&bench.reap_one(Unit::Dir, "unit"));

    chmod(&bench.path(".lapsed"), 0o755);
    bench.policy.rules = vec![rule(Unit::File, Since::Newest, 0)];
    bench.write("file", "1");
    let outcome = bench.reap_one(Unit::File, "file");
    assert!(matches!(held(&outcome), Hold::NoQuarantine { error } if error.contains("0700")));
}

#[test]
fn what_cannot_be_known_to_be_closed_is_held_or_goes_as_the_rule_says() {
    if !has_no_privileges() {
        return;
    }
    let mut bench = Bench::files();
    bench.write("file", "1");
    chmod(&bench.path("file"), 0o200);
    let outcome = bench.reap_one(Unit::File, "file");
    assert!(
        matches!(held(&outcome), Hold::OpenUnknown { .. }),
        "{outcome:?}"
    );
    bench.policy.rules[0].skip_open = SkipOpen::IfKnown;
    removed(&bench.reap_one(Unit::File, "file"));
}

#[test]
fn mounts_in_a_unit_hold_it() {
    if !has_namespaces(&["--mount"]) {
        return;
    }
    let mut bench = Bench::dirs();
    bench.write("unit/sub/dir/file", "1");
    bench.write("elsewhere/file", "2");
    let mounted = bench.path("unit/sub/dir");
    let bind = |from: &Path, to: &Path| {
        let status = Command::new("mount")
            .arg("--bind")
            .args([from, to])
            .status();
        assert!(status.unwrap().success());
    };
    bind(&bench.path("elsewhere"), &mounted);
    let outcome = bench.reap_one(Unit::Dir, "unit");
    let path = mounted.display().to_string();
    assert_eq!(*held(&outcome), Hold::MountInside { path });
    assert_eq!(bench.read("elsewhere/file"), "2");

    let inside = Claim {
        path: RelPath::parse(b"unit/file").unwrap(),
        ..bench.claim(Unit::File, "elsewhere/file")
    };
    bind(&bench.path("elsewhere"), &bench.path("unit"));
    assert!(matches!(
        held(&bench.reap_one(Unit::Dir, "unit")),
        Hold::MountInside { .. }
    ));
    bench.policy.rules = vec![rule(Unit::File, Since::Newest, 0)];
    assert_eq!(
        bench.reap(&[inside]),
        [Outcome::Gone],
        "a mount is never entered"
    );
    assert_eq!(bench.read("elsewhere/file"), "2");
    bind(&bench.path("elsewhere"), &bench.path(".lapsed"));
    bench.write("file", "1");
    let outcome = bench.reap_one(Unit::File, "file");
    assert!(
        matches!(held(&outcome), Hold::NoQuarantine { error } if error.contains("unmount")),
        "{outcome:?}"
    );
}

#[test]
fn without_room_in_the_ledger_everything_comes_back() {
    if !has_namespaces(&["--mount"]) {
        return;
    }
    let mut bench = Bench::files();
    let disk = bench.base.join("ledger");
    std::fs::create_dir(&disk).unwrap();
    let options = ["-t", "tmpfs", "-o", "size=64k", "none"];
    assert!(
        Command::new("mount")
            .args(options)
            .arg(&disk)
            .status()
            .unwrap()
            .success()
    );
    bench.write("before", "1");
    removed(&bench.reap_one(Unit::File, "before"));
    let _ = std::fs::write(disk.join("ballast"), vec![1; 100_000]);
    let names: Vec<String> = (0..100).map(|n| format!("file-{n}")).collect();
    for name in &names {
        bench.write(name, name);
    }
    let claims: Vec<Claim> = names
        .iter()
        .map(|name| bench.claim(Unit::File, name))
        .collect();
    for outcome in bench.reap(&claims) {
        assert!(
            matches!(held(&outcome), Hold::LedgerUnavailable { .. }),
            "{outcome:?}"
        );
    }
    for name in &names {
        assert_eq!(bench.read(name), *name);
    }
    let mut fillers = 0;
    let outcome = loop {
        bench.write("filler", "1");
        match bench.reap_one(Unit::File, "filler") {
            Outcome::Removed(_) => fillers += 1,
            other => break other,
        }
    };
    assert!(
        matches!(held(&outcome), Hold::LedgerUnavailable { .. }),
        "{outcome:?}"
    );
    bench.policy.rules.push(rule(Unit::Dir, Since::Newest, 0));
    bench.policy.rules[0].glob = Some(globs(&["file-*"]));
    bench.write("unit/file", "1");
    let outcome = bench.reap_one(Unit::Dir, "unit");
    assert!(
        matches!(held(&outcome), Hold::LedgerUnavailable { .. }),
        "{outcome:?}"
    );
    assert_eq!(bench.read("unit/file"), "1");
    bench.policy.rules.pop();

    std::fs::remove_file(disk.join("ballast")).unwrap();
    // The way there and back moved their change times: they are claimed anew.
    for name in &names {
        removed(&bench.reap_one(Unit::File, name));
    }
    assert_eq!(bench.lines().len(), 101 + fillers);
    assert_eq!(bench.quarantined(), Vec::<String>::new());
}
