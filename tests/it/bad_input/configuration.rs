//! Mistakes in the configuration.

use super::{mask, refusal, refused_config};
use crate::common::{Daemon, Place, wait_for};

#[test]
fn unknown_keys_and_values_in_the_configuration() {
    let place = Place::new();
    told!(place, refused_config(&place, "[[root]]\npath = \"data\"\n[[rule]]\nname = \"old\"\nexpires = \"7d\"\n"), @r#"
    error: PLACE/lapsed.toml:3: [[rule]] "old": expire is missing
      such as expire = "7d", or expire = "never"
    PLACE/lapsed.toml:5: [[rule]] "old": unknown key "expires"
      allowed: name, enabled, root, glob, exclude, keep, job, kind, source, since, expire, keep_last, per, unit, record, then, undo, skip_open, schedule, limit; did you mean "expire"?
    "#);
    told!(place, refused_config(&place, "[[root]]\npath = \"data\"\n[[rule]]\nexpire = \"7d\"\nunit = \"direcotry\"\n"), @r#"
    error: PLACE/lapsed.toml:5: [[rule]] 1: unit = "direcotry" is an unknown value
      allowed: file, dir, job
    "#);
    told!(place, refused_config(&place, "[[root]]\npath = \"data\"\n[[rule]]\nexpire = \"7d\"\nsince = 5\n"), @r#"
    error: PLACE/lapsed.toml:5: [[rule]] 1: since = 5 is a number, but must be a string
      such as since = "newest"
    "#);
    told!(place, refused_config(&place, "[[root]\npath = \"data\"\n"), @"error: PLACE/lapsed.toml:1: unclosed array table, expected `]`");
}

#[test]
fn the_same_root_twice() {
    let place = Place::new();
    place.make_dir("data");
    std::os::unix::fs::symlink("data", place.path("link")).unwrap();
    told!(place, refused_config(&place, "[[root]]\nname = \"a\"\npath = \"data\"\n[[root]]\nname = \"b\"\npath = \"./link/\"\n"), @r#"
    error: PLACE/lapsed.toml:6: [[root]] "b": path = "./link/" is the same directory as that of root "a" at PLACE/lapsed.toml:2
      both lead to "PLACE/data"
    "#);
    let output = place.run(&["serve", "--watch", "data=1s", "--watch", "./data=2s"]);
    told!(place, refusal(&output), @r#"
    error: --watch "./data=2s" is the same directory as that of root "data" at --watch "data=1s"
      both lead to "PLACE/data"
    "#);
}

#[test]
fn roots_that_nobody_should_watch_by_mistake() {
    let place = Place::new();
    place.make_dir("home");
    place.make_dir("state/within");
    told!(place, refused_config(&place, "[[root]]\npath = \"/\"\n[[rule]]\nexpire = \"1d\"\n"), @r#"
    error: PLACE/lapsed.toml:2: [[root]] 1: path = "/" is the root of the file system
      files in it would be removed; to watch it anyway: allow_unsafe = true in this [[root]]
    "#);
    told!(place, refused_config(&place, "[[root]]\npath = \"home\"\n[[rule]]\nexpire = \"1d\"\n"), @r#"
    error: PLACE/lapsed.toml:2: [[root]] 1: path = "home" is the home directory of the current user
      files in it would be removed; to watch it anyway: allow_unsafe = true in this [[root]]
    "#);
    told!(place, refused_config(&place, "[[root]]\npath = \"state\"\n[[rule]]\nexpire = \"1d\"\n"), @r#"
    error: PLACE/lapsed.toml:2: [[root]] 1: path = "state" is the state directory
      files in it would be removed; to watch it anyway: allow_unsafe = true in this [[root]]
    "#);
    told!(place, refused_config(&place, "[[root]]\npath = \"state/within\"\n[[rule]]\nexpire = \"1d\"\n"), @r#"
    error: PLACE/lapsed.toml:2: [[root]] 1: path = "state/within" is in the state directory, "PLACE/state"
      files in it would be removed; to watch it anyway: allow_unsafe = true in this [[root]]
    "#);
    told!(place, refused_config(&place, "state_dir = \"data/state\"\n[[root]]\npath = \"data\"\n[[rule]]\nexpire = \"1d\"\n"), @r#"
    error: PLACE/lapsed.toml:3: [[root]] 1: path = "data" contains the state directory, "PLACE/data/state"
      files in it would be removed; to watch it anyway: allow_unsafe = true in this [[root]]
    "#);
    for command in ["serve", "check", "plan", "clean"] {
        let output = place.run(&[command, "--watch", "/=10s"]);
        assert!(
            refusal(&output).contains("--watch \"/=10s\" is the root of the file system"),
            "{output:?}"
        );
    }
    let output = place.run(&["serve", "--watch", "/=10s"]);
    told!(place, refusal(&output), @r#"
    error: --watch "/=10s" is the root of the file system
      files in it would be removed; to watch it anyway: --allow-unsafe-roots
    "#);
}

#[test]
fn whoever_says_so_may_watch_them() {
    let place = Place::new();
    let home = place.make_dir("home");
    let output = place
        .lapsed()
        .args(["check", "--allow-unsafe-roots", "--watch", "home=1d"])
        .env("HOME", &home)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");

    // Even then, the daemon's own files are nobody's temporary files.
    let root = place.make_dir("data");
    let config = place
        .config("[[root]]\npath = \"data\"\nallow_unsafe = true\n[[rule]]\nexpire = \"100ms\"\n");
    let mut command = place.lapsed();
    command
        .args(["serve", "--config", config.to_str().unwrap()])
        .env("LAPSED_STATE_DIR", root.join("state"))
        .env("LAPSED_SOCKET", root.join("lapsed.sock"));
    let daemon = Daemon::start(command, root.join("lapsed.sock"));
    daemon.wait_until_up();
    daemon.wait_until_ready();
    for round in 0..3 {
        let file = root.join(format!("file-{round}"));
        std::fs::write(&file, b"x").unwrap();
        wait_for("it lapses", || (!file.exists()).then_some(()));
    }
    daemon.sync();
    assert!(root.join("state/lock").exists(), "{}", daemon.said());
    assert!(root.join("state/ledger").is_dir());
    assert!(root.join("lapsed.sock").exists());
    let (_, history) = daemon.get("/v1/history");
    let paths: Vec<&str> = history["removals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["path"].as_str().unwrap())
        .collect();
    assert!(
        paths.iter().all(|path| path.contains("/file-")),
        "{paths:?}"
    );
}

#[test]
fn durations_and_globs_that_make_no_sense() {
    let place = Place::new();
    let rule = |line: &str| {
        refused_config(
            &place,
            &format!("[[root]]\npath = \"data\"\n[[rule]]\nname = \"r\"\n{line}\n"),
        )
    };
    told!(place, rule("expire = \"-5s\""), @r#"
    error: PLACE/lapsed.toml:5: [[rule]] "r": expire = "-5s" is negative
      examples: 90s, 15m, 12h, 7d, 1h30m, never
    "#);
    told!(place, rule("expire = \"99999999999999999999d\""), @r#"
    error: PLACE/lapsed.toml:5: [[rule]] "r": expire = "99999999999999999999d" is longer than the limit of 1000 years
      examples: 90s, 15m, 12h, 7d, 1h30m, never
    "#);
    told!(place, rule("expire = \"90\""), @r#"
    error: PLACE/lapsed.toml:5: [[rule]] "r": expire = "90" is a number without a unit
      examples: 90s, 15m, 12h, 7d, 1h30m, never
    "#);
    told!(place, rule("expire = \"7d\"\nglob = [\"a/*\", \"b[\"]"), @r#"error: PLACE/lapsed.toml:6: [[rule]] "r": glob = "b[" is an invalid pattern: unclosed character class; missing ']'"#);
    told!(place, refusal(&place.run(&["serve", "--watch", "data=-5s"])), @r#"
    error: --watch "data=-5s" has the TTL "-5s", which is negative
      examples: 90s, 15m, 12h, 7d, 1h30m, never; such as --watch ./scratch=10s
    "#);
    told!(place, refusal(&place.run(&["serve", "--watch", "data=99999999999999999999d"])), @r#"
    error: --watch "data=99999999999999999999d" has the TTL "99999999999999999999d", which is longer than the limit of 1000 years
      examples: 90s, 15m, 12h, 7d, 1h30m, never; such as --watch ./scratch=10s
    "#);
    told!(place, refusal(&place.run(&["plan", "--within", "-1h"])), @r#"
    error: invalid value '-1h' for '--within <DURATION>': give a duration such as 90s, 15m, 12h, 7d or 1h30m

    For more information, try '--help'.
    "#);
    told!(place, refusal(&place.run(&["clean", "--retention", "old=ages"])), @r#"
    error: invalid value 'old=ages' for '--retention <RULE=TTL>': "ages" is no duration such as 90s, 15m, 12h, 7d or 1h30m

    For more information, try '--help'.
    "#);
    told!(place, refusal(&place.run(&["ls", "--older-than", "-1h"])), @r#"
    error: invalid value '-1h' for '--older-than <DURATION>': give a duration such as 90s, 15m, 12h, 7d or 1h30m

    For more information, try '--help'.
    "#);
    told!(place, refusal(&place.run(&["ls", "--min-size", "big"])), @r#"
    error: invalid value 'big' for '--min-size <SIZE>': give a size such as 1000, 10kB, 10M or 1.5GiB

    For more information, try '--help'.
    "#);
}

#[test]
fn socket_paths_that_are_too_long() {
    let place = Place::new();
    place.make_dir("data");
    let long = format!("/tmp/{}", "x".repeat(120));
    let said = [
        &["serve", "--watch", "data=1h"][..],
        &["status"],
        &["plan", "--watch", "data=1h"],
    ]
    .map(|arguments| refusal(&place.run(&[&["--socket", &long], arguments].concat())));
    assert!(said.iter().all(|one| *one == said[0]), "{said:?}");
    told!(place, said[0].replace(&long, "LONG"), @r#"
    error: --socket "LONG" results in a path of 125 bytes, but a Unix socket may have at most 107
      name a shorter one, such as --socket /run/lapsed/lapsed.sock (LAPSED_SOCKET, socket)
    "#);
    let config = place.config("socket = \"SOCKET\"\n[[root]]\npath = \"data\"\n");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("SOCKET", &long)).unwrap();
    let output = place
        .lapsed()
        .env_remove("LAPSED_SOCKET")
        .args(["serve", "--config", config.to_str().unwrap()])
        .output()
        .unwrap();
    told!(place, refusal(&output).replace(&long, "LONG"), @r#"
    error: PLACE/lapsed.toml:1: socket = "LONG" results in a path of 125 bytes, but a Unix socket may have at most 107
      name a shorter one, such as --socket /run/lapsed/lapsed.sock (LAPSED_SOCKET, socket)
    "#);
}
