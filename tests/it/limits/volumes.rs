//! Limits on small real file systems that fill.

use super::*;
use crate::common::machine::has_namespaces;
use crate::common::namespace::{serve_in_namespace, within};
use crate::common::trees::Mounted;

/// A daemon whose root is on a small file system of its own: "volume/cache".
fn begin_on_volume(options: &str, limit: &str) -> Option<(Place, PathBuf, Daemon)> {
    begin_on_volume_with(options, &format!("limit = {{ {limit} }}"))
}

/// The same with other keys of the rule.
fn begin_on_volume_with(options: &str, keys: &str) -> Option<(Place, PathBuf, Daemon)> {
    // Where there is none yet, the test has run in one of its own by now.
    if !has_namespaces(&["--mount"]) {
        return None;
    }
    let place = Place::new();
    let volume = place.make_dir("volume");
    let (at, root) = (volume.display(), volume.join("cache"));
    let config = place.config(&format!(
        "[[root]]\npath = \"{}\"\n[[rule]]\nname = \"cache\"\nexpire = \"never\"\n{keys}\n",
        root.display()
    ));
    let mount = format!("mount -t tmpfs -o {options} limits {at}; mkdir {at}/cache {at}/others");
    let daemon = serve_in_namespace(&place, &mount, &config);
    let volume = within(&daemon, &volume);
    Some((place, volume, daemon))
}

#[test]
fn a_file_system_is_kept_from_filling_and_no_more_goes_than_has_to() {
    let limit = "min_free = \"1MiB\", keep_at_least = \"256KiB\"";
    let Some((_place, volume, daemon)) = begin_on_volume("size=4m", limit) else {
        return;
    };
    let root = volume.join("cache");
    for number in 10..24 {
        write(&root.join(format!("f{number}")), 64);
    }
    let free = || {
        rustix::fs::statvfs(&volume)
            .map(|space| space.f_bavail * space.f_frsize)
            .unwrap()
    };
    crate::common::wait_or_tell(
        "a mebibyte is free",
        || (free() >= 1 << 20).then_some(()),
        || format!("{} are free; {}", free(), daemon.said()),
    );
    daemon.sync();
    let left = names(&root);
    assert!(
        (10..=12).contains(&left.len()) && left.contains(&"f23".to_owned()),
        "{left:?}"
    );
    assert!(!left.contains(&"f10".to_owned()), "{left:?}");
}

/// A neighbour fills the file system as fast as it can, until the limit gives up.
#[track_caller]
fn fill_until_it_gives_up(daemon: &Daemon, root: &Path, others: &Path) {
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            use std::io::Write as _;
            let mut file = std::fs::File::create(others.join("log")).unwrap();
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                let _ = file.write_all(&content(1));
            }
        });
        // What is written in the root has the limit look. A neighbour that gets little time takes
        // less than a half of what each batch gives back: then the limit ends at what is kept.
        wait_for("the limit gives up", || {
            let _ = std::fs::write(root.join("more"), b"");
            let (_, limits) = daemon.get("/v1/limits");
            let of = &limits["limits"][0];
            let why = of["why"].as_str().unwrap_or_default();
            let is_futile = of["hold"] == "limit-futile" && why.contains("something else");
            let is_kept =
                of["state"] == "unmet" && of["passed"]["keep-at-least"].as_u64() > Some(0);
            (is_futile || is_kept).then_some(())
        });
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn an_ext4_is_kept_from_filling_and_is_not_emptied_for_a_neighbour() {
    let place = Place::new();
    let volume = place.make_dir("volume");
    let mounted = Mounted::ext4(&place.path("image"), "32M", &volume);
    let root = place.make_dir("volume/cache");
    let others = place.make_dir("volume/others");
    let config = place.config(&format!(
        "[[root]]\npath = \"{}\"\n[[rule]]\nname = \"cache\"\nexpire = \"never\"\n\
         limit = {{ min_free = \"8MiB\", keep_at_least = \"1MiB\" }}\n",
        root.display()
    ));
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    let free = || {
        let space = rustix::fs::statvfs(&volume).unwrap();
        space.f_bavail * space.f_frsize
    };
    let wait_until_met = || {
        crate::common::wait_or_tell(
            "eight mebibytes are free",
            || (free() >= 8 << 20).then_some(()),
            || format!("{} are free; {}", free(), daemon.said()),
        );
    };
    // More than the file system has, in bursts.
    for number in 100..196 {
        if number % 4 == 0 {
            wait_until_met();
        }
        write(&root.join(format!("f{number}")), 128);
    }
    wait_until_met();
    daemon.sync();
    let left = names(&root);
    let is_newest = left.last().is_some_and(|name| name == "f195");
    assert!(
        is_newest && !left.contains(&"f100".to_owned()) && free() < 10 << 20,
        "{} are free beside {left:?}",
        free()
    );
    fill_until_it_gives_up(&daemon, &root, &others);
    // How much has gone by then depends on the neighbour's speed; a mebibyte is always kept.
    let now = names(&root).len();
    assert!(now >= 2, "{now} of {} are left", left.len());
    drop(daemon);
    mounted.unmount();
}

#[test]
fn a_neighbour_that_fills_the_file_system_does_not_empty_the_cache() {
    let limit = "min_free = \"1MiB\", keep_at_least = \"64KiB\"";
    let Some((_place, volume, daemon)) = begin_on_volume("size=4m", limit) else {
        return;
    };
    let root = volume.join("cache");
    for number in 10..20 {
        write(&root.join(format!("f{number}")), 64);
    }
    fill_until_it_gives_up(&daemon, &root, &volume.join("others"));
    let left = names(&root).len();
    // How much has gone by then depends on the neighbour's speed; the last is always kept.
    assert!(left >= 1, "{left} of 11 are left");
}

#[test]
fn inodes_are_kept_free() {
    let limit = "min_free_inodes = 20, keep_at_least = 1";
    let Some((_place, volume, daemon)) = begin_on_volume("size=4m,nr_inodes=80", limit) else {
        return;
    };
    let root = volume.join("cache");
    for number in 10..74 {
        write(&root.join(format!("f{number}")), 1);
    }
    let free = || rustix::fs::statvfs(&volume).unwrap().f_favail;
    crate::common::wait_or_tell(
        "twenty inodes are free",
        || (free() >= 20).then_some(()),
        || format!("{} are free; {}", free(), daemon.said()),
    );
    assert!(names(&root).len() >= 50, "{:?}", names(&root));
}

#[test]
fn free_space_comes_out_of_the_trash_first() {
    let limit = "min_free = \"1MiB\", keep_at_least = \"256KiB\"";
    let text = format!("limit = {{ {limit} }}\nundo = \"1h\"");
    let Some((_place, volume, daemon)) = begin_on_volume_with("size=4m", &text) else {
        return;
    };
    let root = volume.join("cache");
    for number in 10..30 {
        write(&root.join(format!("f{number}")), 48);
    }
    let free = || {
        let space = rustix::fs::statvfs(&volume).unwrap();
        space.f_bavail * space.f_frsize
    };
    crate::common::wait_or_tell(
        "a mebibyte is free",
        || (free() >= 1 << 20).then_some(()),
        || format!("{} are free; {}", free(), daemon.said()),
    );
    let left = names(&root);
    assert!(
        left.contains(&"f29".to_owned()) && !left.contains(&"f10".to_owned()),
        "{left:?}"
    );
}
