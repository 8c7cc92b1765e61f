//! Whatever happens below the roots, however fast: after a sync the index is what an independent walk finds.

mod shortage;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::evidence::wait_until_settled;
use crate::common::trees::{
    assert_agrees, instant_ms, removals, root_status, set_age, watches, write,
};
use crate::common::{Daemon, Place, backend, lines, wait_for};

/// A daemon on the directory `root` of `place`, in which everything lives an hour.
fn hourly(place: &Place) -> (Daemon, PathBuf) {
    let root = place.make_dir("root");
    let daemon = place.serve_ready(&["--watch", &format!("{}=1h", root.display())]);
    daemon.sync();
    (daemon, root)
}

#[test]
fn the_backend_in_use_is_told() {
    let place = Place::new();
    let (daemon, root) = hourly(&place);
    assert_eq!(watches(&daemon)["backend"], backend().name());
    let human = lines(&place.run(&["status"])).join("\n");
    assert!(
        human.contains(&format!("({})", backend().name())),
        "{human}"
    );
    // Without a sync: by its event, or at the next second.
    write(&root.join("a/b/f"), 7);
    wait_for("the file is known", || {
        daemon
            .files("")
            .contains_key(&root.join("a/b/f"))
            .then_some(())
    });
}

#[test]
fn every_file_of_3000_racing_mkdirs_is_known_after_one_sync() {
    const WRITERS: usize = 3;
    const EACH: usize = 900;
    const BY_SHELL: usize = 300;
    let place = Place::new();
    let (daemon, root) = hourly(&place);
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let root = &root;
            scope.spawn(move || {
                for at in 0..EACH {
                    // Some share parents with other writers, most are all their own.
                    let shared = at % 5 == 0;
                    let top = if shared { 0 } else { writer };
                    let dir = root.join(format!("{top}-{at}/b/c/d"));
                    fs::create_dir_all(&dir).unwrap();
                    fs::write(dir.join(writer.to_string()), vec![0; at % 97]).unwrap();
                }
            });
        }
        scope.spawn(|| {
            let script = "i=0; while [ $i -lt $1 ]; do mkdir -p s$i/b/c/d && echo $i > s$i/b/c/d/f; i=$((i+1)); done";
            let mut shell = Command::new("sh");
            shell.args(["-c", script, "sh", &BY_SHELL.to_string()]);
            assert!(shell.current_dir(&root).status().unwrap().success());
        });
    });
    let files = assert_agrees(&daemon, &root, "3,000 racing mkdirs");
    assert_eq!(files.len(), WRITERS * EACH + BY_SHELL);
    let line = root_status(&daemon, "root");
    assert_eq!(line["entries"].as_u64(), Some(files.len() as u64));
    let bytes: u64 = files.values().map(|file| file.size).sum();
    assert_eq!(line["bytes"].as_u64(), Some(bytes));
}

/// A path of up to four components of few names, so that deeds meet.
fn any_path(dice: &mut fastrand::Rng, root: &Path) -> PathBuf {
    let mut path = root.to_path_buf();
    for _ in 0..=dice.usize(..4) {
        path.push(["a", "b", "c", "d", "e", "f"][dice.usize(..6)]);
    }
    path
}

/// Changes the content of a file.
fn change(path: &Path, options: &fs::OpenOptions, bytes: usize) -> std::io::Result<()> {
    use std::io::Write;
    options.open(path)?.write_all(&vec![b'x'; bytes])
}

/// Makes a file whose content is there from the start.
fn make_whole(path: &Path, outside: &Path, bytes: usize) -> std::io::Result<()> {
    let made = tempfile::NamedTempFile::new_in(outside)?;
    fs::write(made.path(), vec![b'x'; bytes])?;
    fs::hard_link(made.path(), path)
}

/// One deed; many are refused, for want of what they need. Only files called `l…` get several names, and their content never
/// changes once they stand in a root: the kernel tells of that only under the name that it was made through.
fn deed(dice: &mut fastrand::Rng, roots: &[PathBuf]) -> std::io::Result<()> {
    let mut place = || {
        let root = &roots[dice.usize(..roots.len())];
        let path = any_path(dice, root);
        let linked = path.with_file_name(["l1", "l2", "l3"][dice.usize(..3)]);
        (path, linked)
    };
    let ((a, la), (b, lb)) = (place(), place());
    let bytes = dice.usize(..200);
    match dice.usize(..24) {
        0..4 => change(
            &a,
            fs::File::options().write(true).create(true).truncate(true),
            bytes,
        ),
        4..6 => {
            fs::create_dir_all(&a)?;
            fs::write(a.join("file"), vec![0; bytes])
        }
        6..8 => change(&a, fs::File::options().append(true), bytes),
        8 => fs::File::options().write(true).open(&a)?.set_len(1),
        9..12 => fs::rename(&a, &b),
        12 => fs::rename(a.join("file"), b.join("file")),
        13 => fs::remove_file(&a),
        14 => fs::remove_dir_all(&a),
        15 => {
            let mode = if a.is_dir() { 0o700 } else { 0o400 };
            fs::set_permissions(&a, fs::Permissions::from_mode(mode | dice.u32(..0o100)))
        }
        16 => set_age(&a, Duration::from_secs(dice.u64(..1_000_000))),
        17 => symlink(&a, &b),
        18 => make_whole(&la, roots[0].parent().unwrap(), bytes),
        19 => fs::hard_link(&la, &lb),
        20 => fs::rename(&la, &lb),
        21 => fs::remove_file(&la),
        _ => fs::create_dir(&a),
    }
}

/// Several threads do `deeds` deeds each in `roots`.
fn churn(seed: u64, threads: u64, deeds: usize, roots: &[PathBuf]) {
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let mut dice = fastrand::Rng::with_seed(seed * 1000 + thread);
                for _ in 0..deeds {
                    let _ = deed(&mut dice, roots);
                }
            });
        }
    });
}

/// The seeds of a run: those of `LAPSED_CHURN_SEEDS` (separated by commas), to repeat a failure or to look for more.
fn seeds() -> Vec<u64> {
    match std::env::var("LAPSED_CHURN_SEEDS") {
        Ok(seeds) => seeds.split(',').map(|seed| seed.parse().unwrap()).collect(),
        Err(_) => (1..=12).collect(),
    }
}

#[test]
fn after_churn_by_many_hands_the_index_is_what_a_walk_finds() {
    let place = Place::new();
    let roots = [
        place.make_dir("a"),
        place.make_dir("b"),
        place.make_dir("outside"),
    ];
    let watch = |root: &Path| format!("{}=1h", root.display());
    let daemon = place.serve_ready(&["--watch", &watch(&roots[0]), "--watch", &watch(&roots[1])]);
    let mut files = 0;
    for seed in seeds() {
        churn(seed, 4, 1200, &roots);
        for root in &roots[..2] {
            files += assert_agrees(&daemon, root, &format!("seed {seed}")).len();
        }
        assert_eq!(removals(&daemon), []);
    }
    assert!(files > 0, "the churn left nothing to compare");
}

#[test]
fn churn_and_lapses_end_with_nothing_but_what_is_young() {
    let place = Place::new();
    let root = place.make_dir("root");
    let daemon = place.serve_ready(&["--watch", &format!("{}=250ms", root.display())]);
    for seed in seeds() {
        churn(seed + 100, 3, 1500, std::slice::from_ref(&root));
    }
    wait_for("everything lapses", || {
        daemon.sync();
        let left = crate::common::walk(&root);
        (left.is_empty() && daemon.files("").is_empty()).then_some(())
    });
    let told = removals(&daemon);
    assert!(!told.is_empty());
    for (path, line) in &told {
        let lived = instant_ms(&line["at"]) - instant_ms(&line["basis"]);
        assert!(lived >= 250, "{path:?} went early: {line}");
        assert!(line["late_ms"].as_i64().unwrap() >= 0, "{line}");
        assert!(path.starts_with(&root), "{line}");
    }
    // What could not go back, because its directory went meanwhile, is kept there.
    wait_until_settled(&root);
}

#[test]
fn a_tree_that_is_written_while_it_is_renamed_is_known_to_the_last_file() {
    let place = Place::new();
    let (daemon, root) = hourly(&place);
    let stop = AtomicBool::new(false);
    // Written through its descriptor, wherever it has been moved to.
    let dir = fs::File::open(place.make_dir("root/home")).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for at in 0..3000 {
                let name = format!("d{}", at % 50);
                let _ = rustix::fs::mkdirat(&dir, &name, 0o755.into());
                let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY;
                let path = format!("{name}/{at}");
                let file = rustix::fs::openat(&dir, path, flags, 0o644.into()).unwrap();
                rustix::io::write(&file, b"written").unwrap();
            }
            stop.store(true, Ordering::Relaxed);
        });
        scope.spawn(|| {
            let names = ["home", "a", "b/c", "b", "d"].map(|name| root.join(name));
            fs::create_dir(root.join("b")).unwrap();
            let mut at = 0;
            while !stop.load(Ordering::Relaxed) {
                let next = [1, 2, 0, 4][at % 4];
                let from = [0, 1, 2, 0][at % 4];
                fs::rename(&names[from], &names[next]).unwrap();
                if next == 4 {
                    fs::rename(&names[4], &names[0]).unwrap();
                }
                at += 1;
            }
        });
    });
    let files = assert_agrees(&daemon, &root, "written while renamed");
    assert_eq!(files.len(), 3000);
}
