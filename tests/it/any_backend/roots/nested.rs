//! Roots in roots, and what is of no root.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{wait_until_gone, wait_until_phase, write_old};
use crate::common::trees::{
    configured, instant_ms, newest_ms, now_ms, removals, root_status, set_age, snapshot, write,
};
use crate::common::{Daemon, Place, wait_for};

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
