//! A cache that is missing, damaged, of another version, in somebody else's hands, or on a disk that is full: it is set aside or
//! refused with a word, made anew, and costs no file.
//!
//! `LAPSED_CACHE_DAMAGES` is how many ways of damage are tried (default: 200), `LAPSED_CACHE_SEED` repeats a run.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::common::evidence::{Seed, holds, ledger};
use crate::common::namespace::{fill, serve_in_namespace, within};
use crate::common::trees::{assert_agrees, write};
use crate::common::{Place, errors, wait_for, wait_or_tell};
use serde_json::Value;

const CONFIG: &str = "[[root]]\npath = \"root\"\n[[rule]]\nexpire = \"1h\"\n";

/// A place whose daemon has saved what it knows of some hundred files, and is gone.
fn saved() -> (Place, PathBuf) {
    let place = Place::new();
    let root = place.make_dir("root");
    for dir in 0..12 {
        for file in 0..40 {
            write(&root.join(format!("d{dir}/sub/file-{file}")), file);
        }
    }
    place.config(CONFIG);
    let mut daemon = place.serve_ready(&["--config", "lapsed.toml"]);
    daemon.wait_until_saved();
    // Some history, so that there is more than one version of things in the database.
    for file in 0..40 {
        write(&root.join(format!("d0/sub/file-{file}")), file + 1);
    }
    daemon.wait_until_saved();
    daemon.kill();
    (place, root)
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn files_in(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = crate::common::walk(dir).into_keys().collect();
    files.sort();
    files
}

/// Damages what is in the directory `store` in some way, and says how.
fn damage(rng: &mut fastrand::Rng, cache: &Path) -> String {
    let files = files_in(cache);
    // Most of the time the file that everything is in.
    let db = cache.join("db");
    let path = match rng.u32(..5) {
        0 => rng.choice(&files).unwrap().clone(),
        _ => db,
    };
    let name = path.strip_prefix(cache).unwrap().display().to_string();
    let len = fs::metadata(&path).unwrap().len();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let at = rng.u64(..len.max(1));
    match rng.u32(..8) {
        0 => {
            file.set_len(at).unwrap();
            format!("{name} cut at {at} of {len}")
        }
        1 => {
            file.write_all_at(&[rng.u8(..)], at).unwrap();
            format!("{name}: one byte at {at} of {len}")
        }
        2 | 3 => {
            let garbage: Vec<u8> = (0..rng.usize(1..200)).map(|_| rng.u8(..)).collect();
            file.write_all_at(&garbage, at).unwrap();
            format!(
                "{name}: {} bytes of garbage at {at} of {len}",
                garbage.len()
            )
        }
        4 => {
            let zeros = vec![0; rng.usize(1..5000)];
            file.write_all_at(&zeros, at).unwrap();
            format!("{name}: {} zeros at {at} of {len}", zeros.len())
        }
        5 => {
            let garbage: Vec<u8> = (0..len.min(100_000)).map(|_| rng.u8(..)).collect();
            file.write_all_at(&garbage, 0).unwrap();
            format!("{name}: garbage from its begin")
        }
        6 => {
            fs::remove_file(&path).unwrap();
            format!("{name} removed")
        }
        _ => {
            let most: Vec<u64> = (0..20).map(|_| rng.u64(..len.max(1))).collect();
            for at in most {
                file.write_all_at(&[rng.u8(..)], at).unwrap();
            }
            format!("{name}: 20 bytes here and there of {len}")
        }
    }
}

#[test]
fn a_damaged_store_costs_a_listing_and_never_a_file() {
    let ways: usize =
        std::env::var("LAPSED_CACHE_DAMAGES").map_or(200, |text| text.parse().unwrap());
    let seed = Seed::from_env("LAPSED_CACHE_SEED");
    let (place, root) = saved();
    let good = place.path("good");
    copy_dir(&place.path("state/store"), &good);
    let before = crate::common::walk(&root);
    let mut rng = seed.rng(0);
    let (mut whole, mut partly, mut aside) = (0, 0, 0);
    for way in 0..ways {
        let state = place.path("state");
        fs::remove_dir_all(state.join("store")).unwrap();
        copy_dir(&good, &state.join("store"));
        let how = damage(&mut rng, &state.join("store"));
        let mut daemon = place.serve(&["--config", "lapsed.toml"]);
        daemon.wait_until_ready();
        // What it knows is what is there, whatever it was told.
        assert_agrees(&daemon, &root, &format!("way {way}: {how}"));
        assert_eq!(crate::common::walk(&root), before, "way {way}: {how}");
        let said = daemon.said();
        assert!(!said.contains("panicked"), "way {way}: {how}\n{said}");
        let cache = daemon.cache();
        assert_eq!(cache["state"], "ok", "way {way}: {how}: {cache}");
        if cache["set_aside"].is_null() {
            let lost = cache["loaded"]["lost_pages"].as_u64().unwrap()
                + cache["loaded"]["lost_dirs"].as_u64().unwrap();
            let all = cache["loaded"]["entries"].as_u64() == Some(before.len() as u64);
            if lost == 0 && all {
                whole += 1;
            } else {
                partly += 1;
            }
        } else {
            assert!(said.contains("set aside"), "way {way}: {how}\n{said}");
            aside += 1;
        }
        daemon.kill();
    }
    assert_eq!(ledger(&place), Vec::<Value>::new(), "nothing was removed");
    println!(
        "of {ways} damaged caches {whole} were whole all the same, {partly} in part, {aside} were set aside"
    );
    let kept = fs::read_dir(place.path("state")).unwrap().flatten();
    let kept = kept.filter(|entry| {
        entry
            .file_name()
            .to_string_lossy()
            .starts_with("store.damaged-")
    });
    assert!(kept.count() <= 2, "old ones are not kept for ever");
}

#[test]
fn a_store_that_is_gone_is_made_anew() {
    let (place, root) = saved();
    fs::remove_dir_all(place.path("state/store")).unwrap();
    let mut daemon = place.serve_ready(&["--config", "lapsed.toml"]);
    assert_agrees(&daemon, &root, "without a cache");
    assert_eq!(daemon.cache()["loaded"]["entries"], 0);
    daemon.wait_until_saved();
    daemon.kill();
    let daemon = place.serve_ready(&["--config", "lapsed.toml"]);
    assert_eq!(daemon.cache()["loaded"]["entries"], 480);
}

/// Runs `serve`, which is to refuse, and gives what it said.
#[track_caller]
fn refused(place: &Place) -> String {
    let mut command = place.lapsed();
    command.args(["serve", "--config", "lapsed.toml"]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
    errors(&output)
}

#[test]
fn a_store_of_a_newer_version_is_left_alone() {
    use lapsed::cache::{FORMAT, Tree, frame};
    let (place, root) = saved();
    let path = place.path("state/store");
    let db = sled::open(&path).unwrap();
    let newer = (FORMAT + 1).to_string();
    let value = frame(Tree::Meta, b"format", newer.as_bytes());
    db.open_tree(Tree::Meta.name())
        .unwrap()
        .insert(b"format", value)
        .unwrap();
    db.flush().unwrap();
    drop(db);
    let said = refused(&place);
    assert!(said.contains("newer version of lapsed"), "{said}");
    assert!(said.contains(&format!("format {newer}")), "{said}");
    assert!(said.contains(path.to_str().unwrap()), "{said}");
    assert_eq!(crate::common::walk(&root).len(), 480);
    // As the message says.
    fs::rename(&path, place.path("moved")).unwrap();
    place.serve_ready(&["--config", "lapsed.toml"]);
}

#[test]
fn a_store_that_another_process_has_is_left_alone() {
    let (place, _) = saved();
    let path = place.path("state/store");
    let db = sled::open(&path).unwrap();
    let said = refused(&place);
    assert!(said.contains("in use by another process"), "{said}");
    assert!(said.contains(path.to_str().unwrap()), "{said}");
    drop(db);
    wait_for("it is let go", || {
        let daemon = place
            .lapsed()
            .args(["serve", "--config", "lapsed.toml"])
            .stderr(Stdio::piped())
            .spawn();
        let mut daemon = daemon.unwrap();
        let up = wait_for("it is up or has ended", || {
            if daemon.try_wait().unwrap().is_some() {
                return Some(false);
            }
            std::os::unix::net::UnixStream::connect(place.socket())
                .is_ok()
                .then_some(true)
        });
        let _ = daemon.kill();
        let _ = daemon.wait();
        up.then_some(())
    });
}

#[test]
fn a_file_in_the_stores_place_is_set_aside() {
    let (place, root) = saved();
    fs::remove_dir_all(place.path("state/store")).unwrap();
    fs::write(place.path("state/store"), "not a database").unwrap();
    let daemon = place.serve_ready(&["--config", "lapsed.toml"]);
    assert_agrees(&daemon, &root, "with a file in the cache's place");
    let aside = &daemon.cache()["set_aside"];
    let kept = fs::read_to_string(aside["path"].as_str().unwrap()).unwrap();
    assert_eq!(kept, "not a database");
}

#[test]
fn a_store_that_a_crash_left_between_two_names_is_found() {
    let (place, _) = saved();
    let state = place.path("state");
    // The copy was not in its place yet.
    fs::rename(state.join("store"), state.join("store.old")).unwrap();
    fs::create_dir(state.join("store.new")).unwrap();
    fs::write(state.join("store.new/db"), "half a copy").unwrap();
    let mut daemon = place.serve_ready(&["--config", "lapsed.toml"]);
    assert_eq!(daemon.cache()["loaded"]["entries"], 480);
    assert!(!state.join("store.new").exists() && !state.join("store.old").exists());
    daemon.kill();
    // It was, and the old one not removed yet.
    copy_dir(&state.join("store"), &state.join("store.old"));
    let daemon = place.serve_ready(&["--config", "lapsed.toml"]);
    assert_eq!(daemon.cache()["loaded"]["entries"], 480);
    assert!(!state.join("store.old").exists());
}

#[test]
fn starts_that_never_come_to_an_end_set_the_store_aside() {
    let (place, root) = saved();
    let opening = place.path("state/store.opening");
    // A few that were killed at once, as a test or an impatient supervisor does it, are no proof against a sound cache.
    for (weight, is_set_aside) in [("5\n", false), ("20\n", true)] {
        fs::write(&opening, weight).unwrap();
        let mut daemon = place.serve_ready(&["--config", "lapsed.toml"]);
        assert_agrees(&daemon, &root, "after starts that never came to an end");
        assert_eq!(daemon.cache()["set_aside"]["why"].is_string(), is_set_aside);
        assert!(!opening.exists());
        assert!(daemon.stop().success());
    }
}

#[test]
fn past_its_ceiling_the_store_is_replaced_by_a_smaller_copy() {
    let place = Place::new();
    let root = place.make_dir("root");
    place.config(
        "[store]\nsize_max = \"1MiB\"\n[[root]]\npath = \"root\"\n[[rule]]\nexpire = \"1h\"\n",
    );
    let mut daemon = place.serve_ready(&["--config", "lapsed.toml"]);
    let mut round = 0;
    wait_or_tell(
        "the cache is replaced",
        || {
            round += 1;
            for dir in 0..40 {
                for file in 0..50 {
                    write(
                        &root.join(format!("{dir}/file-{file}")),
                        (round + file) % 50,
                    );
                }
            }
            daemon.sync();
            (daemon.cache()["compactions"].as_u64() >= Some(2)).then_some(())
        },
        || daemon.cache().to_string(),
    );
    daemon.wait_until_saved();
    daemon.kill();
    let daemon = place.serve(&["--config", "lapsed.toml"]);
    let loaded = &daemon.cache()["loaded"];
    assert_eq!(loaded["entries"], 2000, "{loaded}");
    assert_eq!(loaded["lost_pages"], 0, "{loaded}");
    daemon.wait_until_ready();
    assert_agrees(&daemon, &root, "after the cache was replaced");
}

#[test]
fn without_room_for_the_store_nothing_goes_until_there_is_some() {
    let place = Place::new();
    let (root, state) = (place.make_dir("root"), place.make_dir("state"));
    let config = place.config(
        "[[root]]\npath = \"root\"\n[[rule]]\nglob = \"**/*.kept\"\nexpire = \"1h\"\n[[rule]]\nexpire = \"3s\"\n",
    );
    let mount = format!("mount -t tmpfs -o size=8m none {}", state.display());
    let mut daemon = serve_in_namespace(&place, &mount, &config);
    let filler = within(&daemon, &state).join("filler");
    fill(&filler);
    // More than fits into what the database has room for already.
    let mut dir = 0;
    wait_or_tell(
        "it cannot be saved",
        || {
            dir += 1;
            for file in 0..400 {
                write(
                    &root.join(format!("{dir}/a-rather-long-name-of-a-file-{file}.kept")),
                    1,
                );
            }
            (daemon.cache()["state"] == "failing").then_some(())
        },
        || daemon.cache().to_string(),
    );
    let why = daemon.cache()["why"].as_str().unwrap().to_owned();
    assert!(
        why.contains("no space left on device") || why.contains("No space left"),
        "{why}"
    );
    assert!(why.contains("make room"), "{why}");
    write(&root.join("due"), 1);
    wait_or_tell(
        "what is due is held",
        || {
            let held = holds(&daemon);
            (held.contains_key("cache-unavailable") || held.contains_key("ledger-unavailable"))
                .then_some(())
        },
        || daemon.get("/v1/status").1.to_string(),
    );
    assert!(root.join("due").exists());
    assert_eq!(daemon.get("/v1/health").1["status"], "holding");
    fs::remove_file(filler).unwrap();
    wait_or_tell(
        "it goes on",
        || (!root.join("due").exists()).then_some(()),
        || daemon.get("/v1/status").1.to_string(),
    );
    daemon.wait_until_saved();
    assert!(
        daemon.said().contains("can be saved again"),
        "{}",
        daemon.said()
    );
    assert!(daemon.stop().success());
}

#[test]
fn a_full_disk_at_the_start_is_waited_for() {
    let place = Place::new();
    let (root, state) = (place.make_dir("root"), place.make_dir("state"));
    write(&root.join("due"), 1);
    let config = place.config("[[root]]\npath = \"root\"\n[[rule]]\nexpire = \"10ms\"\n");
    // A little room, which is not enough for a database, for what is there before it.
    let mounts = format!(
        "mount -t tmpfs -o size=64k none {0}; mkdir {0}/ledger; head -c 60000 /dev/zero > {0}/filler || true",
        state.display()
    );
    let daemon = serve_in_namespace(&place, &mounts, &config);
    let told = daemon.cache();
    if told["state"] == "failing" {
        assert!(root.join("due").exists());
    }
    fs::remove_file(within(&daemon, &state).join("filler")).unwrap();
    assert_agrees(&daemon, &root, "on a full disk");
}
