//! Roots come and go, lie in one another, hold mounts and are mounted over: what is not of a root is never touched.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::common::trees::{
    Mounted, alone, assert_agrees, assert_agrees_but, configured, instant_ms, newest_ms, now_ms,
    removals, root_status, set_age, snapshot, write,
};
use crate::common::{Daemon, Place, wait_for};

/// What is younger than an hour stays, what is older goes at once: a file's own time alone decides.
const BY_MTIME: &str = r#"
    [[root]]
    name = "root"
    path = "in/root"
    [[rule]]
    since = "mtime"
    expire = "1h"
"#;

/// Makes a file that `BY_MTIME` lets go at once: aged before it gets its name, so that it is never seen young.
fn write_old(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, b"old").unwrap();
    set_age(path, Duration::from_hours(2)).unwrap();
}

fn wait_until_phase(daemon: &Daemon, root: &str, phase: &str) {
    wait_for(&format!("{root} is {phase}"), || {
        (root_status(daemon, root)["phase"] == phase).then_some(())
    });
}

#[track_caller]
fn wait_until_gone(path: &Path) {
    wait_for(&format!("{} goes", path.display()), || {
        path.symlink_metadata().is_err().then_some(())
    });
}

/// The daemon does its work in `root`: what is old goes, what is young is known.
#[track_caller]
fn assert_works(daemon: &Daemon, root: &Path, what: &str) {
    let (old, young) = (root.join("at/work/old"), root.join("at/work/young"));
    write(&young, 2);
    write_old(&old);
    wait_until_gone(&old);
    let files = assert_agrees(daemon, root, what);
    assert!(files.contains_key(&young), "{what}");
}

#[test]
fn a_root_that_is_deleted_and_made_again_is_taken_up_again() {
    let place = Place::new();
    let root = place.make_dir("in/root");
    write(&root.join("a/young"), 1);
    let daemon = configured(&place, BY_MTIME);
    for round in 0..3 {
        assert_works(&daemon, &root, "before");
        fs::remove_dir_all(&root).unwrap();
        wait_until_phase(&daemon, "root", "missing");
        assert!(daemon.files("").is_empty());
        assert_eq!(root_status(&daemon, "root")["entries"], 0);
        let (_, health) = daemon.get("/v1/health");
        assert_eq!(
            health["status"], "holding",
            "a missing root is nothing to be calm about"
        );
        assert!(!root.exists(), "it makes no roots while it runs");
        if round == 1 {
            fs::remove_dir(place.path("in")).unwrap();
        }
        place.make_dir("in/root/x/y");
        wait_until_phase(&daemon, "root", "ready");
    }
    // Deleted and made again faster than anybody looks.
    for round in 0..20 {
        // Nothing appears in it meanwhile: nothing is due.
        fs::remove_dir_all(&root).unwrap();
        write(&root.join(format!("a/b/{round}")), round);
    }
    assert_eq!(assert_agrees(&daemon, &root, "after quick rounds").len(), 1);
    assert_works(&daemon, &root, "after quick rounds");
}

#[test]
fn another_directory_in_the_roots_place_is_another_root() {
    let place = Place::new();
    let root = place.make_dir("in/root");
    write(&root.join("mine/young"), 1);
    let other = place.make_dir("other");
    write(&other.join("theirs/young"), 22);
    write_old(&other.join("theirs/old"));
    let daemon = configured(&place, BY_MTIME);
    fs::rename(&root, place.path("aside")).unwrap();
    fs::rename(&other, &root).unwrap();
    wait_until_gone(&root.join("theirs/old"));
    let files = assert_agrees(&daemon, &root, "the other directory");
    assert_eq!(
        files.keys().collect::<Vec<_>>(),
        [&root.join("theirs/young")]
    );
    // What has been the root is of no concern any more, whatever is written there.
    write_old(&place.path("aside/mine/old"));
    assert_works(&daemon, &root, "the other directory");
    assert!(place.path("aside/mine/old").exists());
    // In exchange, in one step.
    let flags = rustix::fs::RenameFlags::EXCHANGE;
    let here = rustix::fs::CWD;
    rustix::fs::renameat_with(here, &root, here, place.path("aside"), flags).unwrap();
    wait_until_gone(&root.join("mine/old"));
    assert_works(&daemon, &root, "the first directory again");
    assert!(place.path("aside/theirs/young").exists());
}

#[test]
fn a_symbolic_link_in_the_roots_place_leads_nowhere() {
    let place = Place::new();
    let root = place.make_dir("in/root");
    let elsewhere = place.make_dir("elsewhere");
    write_old(&elsewhere.join("root/sub/old"));
    write_old(&elsewhere.join("old"));
    let before = snapshot(&elsewhere);
    let daemon = configured(&place, BY_MTIME);
    write(&root.join("young"), 1);
    // The root itself, then a directory above it.
    for (from, target) in [
        (root.clone(), elsewhere.join("root")),
        (place.path("in"), elsewhere.clone()),
    ] {
        fs::rename(&from, place.path("aside")).unwrap();
        symlink(&target, &from).unwrap();
        wait_until_phase(&daemon, "root", "missing");
        daemon.sync();
        assert!(daemon.files("").is_empty());
        let (status, _) = daemon.post("/v1/clean", "{}");
        assert!(status == 200 || status == 409, "{status}");
        fs::remove_file(&from).unwrap();
        fs::rename(place.path("aside"), &from).unwrap();
        assert_works(&daemon, &root, "the root is back");
        assert_eq!(snapshot(&elsewhere), before);
    }
    // Back and forth, while there is work to do.
    for _ in 0..30 {
        write_old(&root.join("sub/old"));
        fs::rename(&root, place.path("aside")).unwrap();
        symlink(elsewhere.join("root"), &root).unwrap();
        fs::remove_file(&root).unwrap();
        fs::rename(place.path("aside"), &root).unwrap();
    }
    wait_until_gone(&root.join("sub/old"));
    assert_eq!(snapshot(&elsewhere), before);
}

#[test]
fn a_root_that_is_not_there_at_the_start_is_waited_for() {
    let place = Place::new();
    let config = r#"
        [[root]]
        name = "root"
        path = "not/yet/in/root"
        [[root]]
        name = "here"
        path = "here"
        [[rule]]
        since = "mtime"
        expire = "1h"
    "#;
    place.make_dir("here");
    let daemon = configured(&place, config);
    let line = root_status(&daemon, "root");
    assert_eq!(line["phase"], "missing");
    assert!(
        line["why"]
            .as_str()
            .is_some_and(|why| why.contains("no such file")),
        "{line}"
    );
    assert_works(&daemon, &place.path("here"), "the other root");
    // Its parents come one by one, one of them from elsewhere and already with something in it.
    place.make_dir("not/yet");
    place.make_dir("made/root/sub");
    write_old(&place.path("made/root/sub/old"));
    write(&place.path("made/root/sub/young"), 3);
    daemon.sync();
    assert_eq!(root_status(&daemon, "root")["phase"], "missing");
    fs::rename(place.path("made"), place.path("not/yet/in")).unwrap();
    let root = place.path("not/yet/in/root");
    wait_until_gone(&root.join("sub/old"));
    assert_works(&daemon, &root, "the root came");
    // And all of them go again.
    fs::remove_dir_all(place.path("not")).unwrap();
    wait_until_phase(&daemon, "root", "missing");
    assert_works(&daemon, &place.path("here"), "the other root");
    // A file in its place is no root.
    place.make_dir("not/yet/in");
    fs::write(&root, b"a file").unwrap();
    daemon.sync();
    assert_eq!(root_status(&daemon, "root")["phase"], "missing");
    fs::remove_file(&root).unwrap();
    place.make_dir("not/yet/in/root");
    assert_works(&daemon, &root, "the root came again");
}

/// The quarantines that a daemon has open.
fn open_quarantines(daemon: &Daemon) -> Vec<PathBuf> {
    let open = fs::read_dir(format!("/proc/{}/fd", daemon.child.id())).unwrap();
    let open = open.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    open.filter(|path| path.ends_with(".lapsed")).collect()
}

#[test]
fn a_root_that_is_mounted_over_is_left_alone_until_it_is_back() {
    if !alone(
        &["--mount"],
        "a_root_that_is_mounted_over_is_left_alone_until_it_is_back",
    ) {
        return;
    }
    let place = Place::new();
    let root = place.make_dir("in/root");
    write(&root.join("below/young"), 1);
    let daemon = configured(&place, BY_MTIME);
    assert_works(&daemon, &root, "before");
    let below = assert_agrees(&daemon, &root, "before");

    let mounted = Mounted::tmpfs(&root);
    assert_works(&daemon, &root, "on the mount");
    assert_eq!(assert_agrees(&daemon, &root, "on the mount").len(), 1);
    // The quarantine there is locked; the lock does not outlast the place.
    drop(mounted);
    assert_eq!(assert_agrees(&daemon, &root, "below again"), below);
    assert_works(&daemon, &root, "below again");
    wait_for("one quarantine is open", || {
        let open = open_quarantines(&daemon);
        (open == [root.join(".lapsed")]).then_some(())
    });

    // Above the root there is another file system now, without the root, then with one.
    let mounted = Mounted::tmpfs(&place.path("in"));
    wait_until_phase(&daemon, "root", "missing");
    place.make_dir("in/root");
    assert_works(&daemon, &root, "in the mount");
    drop(mounted);
    assert_works(&daemon, &root, "below once more");
    assert!(below.keys().all(|path| path.exists()));
}

#[test]
fn mounts_beneath_a_root_are_not_entered_and_nothing_on_them_is_removed() {
    if !alone(
        &["--mount"],
        "mounts_beneath_a_root_are_not_entered_and_nothing_on_them_is_removed",
    ) {
        return;
    }
    let place = Place::new();
    let root = place.make_dir("in/root");
    let elsewhere = place.make_dir("elsewhere");
    write_old(&elsewhere.join("sub/old"));
    place.make_dir("in/root/tmpfs");
    place.make_dir("in/root/a/bind");
    let _tmpfs = Mounted::tmpfs(&root.join("tmpfs"));
    // Of the same device as the root: the device number does not tell.
    let _bind = Mounted::bind(&elsewhere, &root.join("a/bind"));
    write_old(&root.join("tmpfs/sub/old"));
    let before = (snapshot(&elsewhere), snapshot(&root.join("tmpfs")));
    let daemon = configured(&place, BY_MTIME);
    // Later, over directories that are known.
    write(&root.join("b/later/sub/covered"), 5);
    write(&root.join("b/young"), 6);
    daemon.sync();
    assert_eq!(daemon.files("").len(), 2);
    let later = Mounted::bind(&elsewhere, &root.join("b/later"));
    let hidden = ["tmpfs", "a/bind", "b/later"].map(|name| root.join(name));
    assert_agrees_but(&daemon, &root, &hidden, "over a known directory");
    // Changes on the mounts are nobody's business here.
    write_old(&root.join("tmpfs/sub/more"));
    write_old(&root.join("b/later/sub/more"));
    fs::remove_file(root.join("tmpfs/sub/more")).unwrap();
    fs::remove_file(root.join("b/later/sub/more")).unwrap();
    assert_works_but(&daemon, &root, &hidden);
    let (status, report) = daemon.post("/v1/clean", "{}");
    assert_eq!((status, &report["files"]), (200, &0.into()), "{report}");
    assert!(elsewhere.join("sub/old").exists() && root.join("tmpfs/sub/old").exists());
    assert_eq!(
        (
            snapshot(&elsewhere).len(),
            snapshot(&root.join("tmpfs")).len()
        ),
        (before.0.len(), before.1.len())
    );
    later.unmount();
    assert_agrees_but(
        &daemon,
        &root,
        &hidden[..2],
        "the covered directory is back",
    );
    assert!(
        daemon
            .files("")
            .contains_key(&root.join("b/later/sub/covered"))
    );
    for (path, _) in removals(&daemon) {
        assert!(path.ends_with("at/work/old"), "{path:?}");
    }
}

/// As [`assert_works`], on a root with mounts in it.
#[track_caller]
fn assert_works_but(daemon: &Daemon, root: &Path, hidden: &[PathBuf]) {
    let old = root.join("at/work/old");
    write_old(&old);
    wait_until_gone(&old);
    assert_agrees_but(daemon, root, hidden, "beside mounts");
}

#[test]
fn a_unit_with_a_mount_inside_is_held_and_stays_whole() {
    if !alone(
        &["--mount"],
        "a_unit_with_a_mount_inside_is_held_and_stays_whole",
    ) {
        return;
    }
    let place = Place::new();
    let root = place.make_dir("root");
    let elsewhere = place.make_dir("elsewhere");
    write_old(&elsewhere.join("old"));
    let before = snapshot(&elsewhere);
    for unit in ["tmpfs", "bind", "free"] {
        write(&root.join(unit).join("deep/mount/covered"), 1);
        write(&root.join(unit).join("file"), 1);
    }
    let tmpfs = Mounted::tmpfs(&root.join("tmpfs/deep/mount"));
    let bind = Mounted::bind(&elsewhere, &root.join("bind/deep/mount"));
    write_old(&root.join("tmpfs/deep/mount/old"));
    let config = r#"
        [[root]]
        path = "root"
        [[rule]]
        unit = "dir"
        expire = "100ms"
    "#;
    let daemon = configured(&place, config);
    wait_until_gone(&root.join("free"));
    wait_for("the other units are held", || {
        let (_, status) = daemon.get("/v1/status");
        let holds = status["holds"].as_array().unwrap().clone();
        let held = holds.iter().find(|hold| hold["code"] == "mount-inside")?;
        (held["count"] == 2).then_some(())
    });
    for unit in ["tmpfs", "bind"] {
        assert!(root.join(unit).join("file").exists(), "{unit}");
        assert!(root.join(unit).join("deep/mount/old").exists(), "{unit}");
    }
    assert_eq!(snapshot(&elsewhere), before);
    // When the mount goes, so does the unit: nothing changed in it since.
    tmpfs.unmount();
    bind.unmount();
    wait_until_gone(&root.join("tmpfs"));
    wait_until_gone(&root.join("bind"));
    assert_eq!(snapshot(&elsewhere), before);
}

#[test]
fn of_nested_roots_the_innermost_owns_what_it_holds() {
    let place = Place::new();
    let outer = place.make_dir("outer");
    let inner = place.make_dir("outer/job/inner");
    write(&outer.join("job/f"), 1);
    write(&outer.join("alone/f"), 1);
    write(&inner.join("sub/f"), 1);
    let daemon = configured(
        &place,
        r#"
        [[root]]
        name = "outer"
        path = "outer"
        [[root]]
        name = "inner"
        path = "outer/job/inner"
        [[rule]]
        name = "inner"
        root = "inner"
        expire = "1h"
        [[rule]]
        name = "outer"
        root = "outer"
        unit = "dir"
        expire = "1s"
        "#,
    );
    wait_until_gone(&outer.join("alone"));
    // The unit that the inner root lies in cannot go as a whole.
    wait_for("it is held", || {
        let (_, explained) = daemon.get(&format!(
            "/v1/explain?path={}",
            outer.join("job/f").display()
        ));
        let held = explained["holds"]
            .as_array()?
            .iter()
            .any(|hold| hold["code"] == "root-inside");
        held.then_some(())
    });
    assert!(outer.join("job/f").exists() && inner.join("sub/f").exists());
    write(&inner.join("new/f"), 3);
    daemon.sync();
    let files = daemon.files("");
    assert_eq!(files[&inner.join("new/f")]["root"], "inner");
    assert_eq!(files[&outer.join("job/f")]["root"], "outer");
    assert_eq!(files.len(), 3, "each file has one owner");
    // Moved out of the inner root, it is the outer one's; and the other way round.
    fs::rename(inner.join("sub"), outer.join("job/sub")).unwrap();
    fs::rename(outer.join("job/f"), inner.join("f")).unwrap();
    daemon.sync();
    let files = daemon.files("");
    let owner = |path: PathBuf| files[&path]["root"].as_str().unwrap().to_owned();
    assert_eq!(owner(outer.join("job/sub/f")), "outer");
    assert_eq!(owner(inner.join("f")), "inner");
    assert_eq!(files.len(), 3);
    // Without the inner root its place is not the outer one's prey, either.
    fs::remove_dir_all(&inner).unwrap();
    wait_until_phase(&daemon, "inner", "missing");
    place.make_dir("outer/job/inner/again");
    write(&inner.join("again/f"), 1);
    wait_until_phase(&daemon, "inner", "ready");
    daemon.sync();
    assert_eq!(daemon.files("?root=inner").len(), 1);
    assert!(inner.join("again/f").exists());
}

/// An application's own directory holds what it makes beside everything else, our state and socket here among it.
const OUT: &str = r#"
    [[root]]
    name = "app"
    path = "."
    only = ["out_*"]
    [[rule]]
    since = "mtime"
    expire = "1h"
"#;

#[test]
fn of_a_root_only_what_it_names_is_watched() {
    let place = Place::new();
    let at = |name: &str| place.path(name);
    for name in ["src/main", "data/old", "notout_x/old", "old"] {
        write_old(&at(name));
    }
    write(&at("out_1/a/young"), 1);
    write_old(&at("out_1/a/old"));
    write_old(&at("out_file"));
    let known = |daemon: &Daemon| -> Vec<PathBuf> {
        daemon.sync();
        daemon.files("").into_keys().collect()
    };
    let mut daemon = configured(&place, OUT);
    wait_until_gone(&at("out_1/a/old"));
    wait_until_gone(&at("out_file"));
    assert_eq!(known(&daemon), [at("out_1/a/young")]);
    assert_eq!(root_status(&daemon, "app")["dirs"], 3);

    // What moves in is known, what moves out is not, and what happens beside it is nobody's business.
    fs::rename(at("data"), at("out_2")).unwrap();
    wait_until_gone(&at("out_2/old"));
    fs::rename(at("out_1"), at("kept")).unwrap();
    write_old(&at("kept/a/old"));
    write_old(&at("out_3/old"));
    wait_until_gone(&at("out_3/old"));
    assert_eq!(known(&daemon), Vec::<PathBuf>::new());

    // Another pattern, while it runs and while it does not.
    let reload = |daemon: &Daemon, pattern: &str| {
        place.config(&OUT.replace("out_*", pattern));
        daemon.signal(rustix::process::Signal::HUP);
    };
    reload(&daemon, "kep?");
    wait_until_gone(&at("kept/a/old"));
    wait_for("what is known is what is watched now", || {
        (known(&daemon) == [at("kept/a/young")]).then_some(())
    });
    assert!(daemon.stop().success());
    place.config(OUT);
    write_old(&at("kept/a/old"));
    let daemon = place.serve_ready(&["--config", at("lapsed.toml").to_str().unwrap()]);
    write_old(&at("out_4/old"));
    wait_until_gone(&at("out_4/old"));
    assert_eq!(known(&daemon), Vec::<PathBuf>::new());
    for name in ["src/main", "notout_x/old", "old", "kept/a/old"] {
        assert!(at(name).exists(), "{name}");
    }
    let (status, told) = daemon.get(&format!("/v1/explain?path={}", at("old").display()));
    assert_eq!(status, 404, "{told}");
}

#[test]
fn what_is_ours_is_never_indexed_and_never_lapses() {
    let place = Place::new();
    let root = place.make_dir("root");
    write(&root.join(".lapsed-not/f"), 1);
    write(&root.join("sub/.lapsed/f"), 1);
    let config = place.config(
        r#"
        state_dir = "root/job/state"
        socket = "lapsed.sock"
        [[root]]
        path = "root"
        allow_unsafe = true
        [[rule]]
        unit = "dir"
        glob = "job"
        expire = "500ms"
        [[rule]]
        expire = "1s"
        "#,
    );
    place.make_dir("root/job");
    write(&root.join("job/f"), 1);
    let mut command = place.lapsed();
    command
        .env_remove("LAPSED_STATE_DIR")
        .args(["serve", "--config"])
        .arg(config);
    let daemon = Daemon::start(command, place.socket());
    daemon.wait_until_up();
    daemon.wait_until_ready();
    daemon.sync();
    let ours = |path: &Path| {
        path.starts_with(root.join(".lapsed"))
            || path.starts_with(root.join("sub/.lapsed"))
            || path.starts_with(root.join("job/state"))
    };
    let mut newest = 0;
    for round in 0..5 {
        let path = root.join(format!("round{round}"));
        write(&path, 1);
        newest = newest_ms(&path.metadata().unwrap());
        daemon.sync();
        let files = daemon.files("");
        assert!(!files.keys().any(|path| ours(path)), "{files:?}");
        wait_until_gone(&path);
    }
    assert!(now_ms() >= newest + 1000);
    // Deeper down it is the quarantine of somebody else's root.
    assert!(root.join("sub/.lapsed/f").exists() && !root.join(".lapsed-not/f").exists());
    assert!(root.join("job/state").is_dir() && root.join(".lapsed").is_dir());
    let told = wait_for("the ledger tells of all", || {
        let told = removals(&daemon);
        (told.len() >= 6).then_some(told)
    });
    assert!(told.iter().all(|(path, _)| !ours(path)), "{told:?}");
    for (_, line) in &told {
        assert!(
            instant_ms(&line["at"]) >= instant_ms(&line["deadline"]),
            "{line}"
        );
    }
    // A unit that holds the state directory cannot go as a whole, nor try to.
    let (_, explained) = daemon.get(&format!(
        "/v1/explain?path={}",
        root.join("job/f").display()
    ));
    let holds = explained["holds"].as_array().unwrap();
    assert!(
        holds.iter().any(|hold| hold["code"] == "state-inside"),
        "{explained}"
    );
    assert!(root.join("job").exists());
}

/// Of two daemons, the root of one lies in that of the other, which knows nothing of it. What the inner one removes, or could not put
/// back, is no business of the outer one: as a daemon, as a run, file by file or as a whole directory.
#[test]
fn the_quarantine_of_a_root_within_is_never_touched_by_another_process() {
    let place = Place::new();
    let inner = place.make_dir("outer/job/inner");
    let quarantine = place.make_dir("outer/job/inner/.lapsed");
    fs::set_permissions(&quarantine, fs::Permissions::from_mode(0o700)).unwrap();
    let (plain, around) = (place.path("outer/plain/old"), inner.join("old"));
    // Everything is due, and the quarantine as it is now.
    let age = || {
        for path in [&plain, &around, &quarantine.join("displaced/f")] {
            write_old(path);
            let within = |dir: &&Path| dir.starts_with(place.path("outer"));
            for dir in path.ancestors().skip(1).take_while(within) {
                set_age(dir, Duration::from_hours(2)).unwrap();
            }
        }
        snapshot(&quarantine)
    };
    for unit in ["file", "dir"] {
        let config = place.config(&format!(
            "[[root]]\nname = \"outer\"\npath = \"outer\"\n\
             [[rule]]\nunit = \"{unit}\"\nsince = \"mtime\"\nexpire = \"1h\"\n"
        ));
        let arguments = ["--config", config.to_str().unwrap()];
        let before = age();
        let output = place.run(&["clean", arguments[0], arguments[1]]);
        assert!(!plain.exists(), "{unit}: {output:?}");
        // What surrounds the inner root goes file by file, and never as a whole.
        assert_eq!(around.exists(), unit == "dir", "{unit}: {output:?}");
        assert_eq!(snapshot(&quarantine), before, "{unit}: {output:?}");

        let before = age();
        let daemon = place.serve_ready(&arguments);
        wait_until_gone(&plain);
        if unit == "dir" {
            wait_for("the unit is held", || {
                let (_, status) = daemon.get("/v1/status");
                let mut holds = status["holds"].as_array().unwrap().iter();
                holds
                    .any(|hold| hold["code"] == "root-inside")
                    .then_some(())
            });
        } else {
            wait_until_gone(&around);
        }
        assert_eq!(snapshot(&quarantine), before, "{unit}");
        // What changes there is not heard of, either.
        write_old(&quarantine.join("displaced/more"));
        daemon.sync();
        let files = daemon.files("");
        assert!(!files.keys().any(|path| path.starts_with(&quarantine)));
        assert!(quarantine.join("displaced/more").exists());
    }
}
