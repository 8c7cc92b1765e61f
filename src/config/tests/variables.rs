//! Settings that variables switch.

#![allow(clippy::disallowed_methods, reason = "a test is the user")]

use crate::core::facts::RootId;
use crate::core::policy::{Rule, Schedule};
use crate::core::report::Mode;

use super::*;

#[test]
fn a_rule_that_is_switched_off_is_as_if_it_were_absent() {
    let rule =
        |name: &str, more: &str| format!("[[rule]]\nname = \"{name}\"\nexpire = \"1d\"\n{more}\n");
    let text = format!(
        "[[root]]\npath = \"a\"\n{}{}{}",
        rule("off", "enabled = \"${ARCHIVES:-false}\""),
        rule("named", "schedule = \"${NIGHTLY?:named}\""),
        rule("usual", "schedule = \"\"")
    );
    let names =
        |rules: &[Rule]| -> Vec<String> { rules.iter().map(|rule| rule.name.clone()).collect() };
    let host = Host::with(&text);
    let found = host.good();
    assert_eq!(names(&found.policy.rules), ["named", "usual"]);
    assert_eq!(names(&found.policy.disabled_rules), ["off"]);
    assert_eq!(found.policy.rules[0].schedule, Schedule::Named);
    assert_eq!(found.policy.rules[1].schedule, Schedule::AtDeadline);
    // Not even without automatic removals does a clean of everything take a named rule.
    let found = host.set("LAPSED_AUTOMATIC", "no").good();
    assert_eq!(found.policy.rules[0].schedule, Schedule::Named);
    assert_eq!(found.policy.rules[1].schedule, Schedule::Manual);
    let host = Host::with(&text).set("ARCHIVES", "Yes").set("NIGHTLY", "1");
    let found = host.good();
    assert_eq!(names(&found.policy.rules), ["off", "named", "usual"]);
    assert_eq!(found.policy.rules[1].schedule, Schedule::AtDeadline);
}

/// A root and a rule that lives as long as DAYS says, behind `top`.
fn with_variables(top: &str) -> Host {
    let text = format!(
        "variables = [{top}]\n[[root]]\nname = \"r\"\npath = \"${{UPLOADS:-uploads}}\"\n\
         [[rule]]\nexpire = \"${{DAYS:-7}}d\"\n"
    );
    Host::with(&text).user(rustix::process::geteuid().as_raw())
}

fn days(found: &Settings) -> i64 {
    found.policy.rules[0].expire_ms.unwrap() / 86_400_000
}

#[test]
fn a_file_gives_variables_and_the_process_goes_before_it() {
    let host = with_variables("{ file = \".env\" }, { file = \"more.env\", case = \"any\" }");
    let write = |name: &str, text: &str| fs::write(host.path("data").join(name), text).unwrap();
    write(
        ".env",
        "\u{feff}export DAYS = 24  # Daily\r\nLAPSED_DRY_RUN=true\n",
    );
    write("more.env", "days=1\nuploads='a b'\n");
    let found = host.good();
    assert_eq!(days(&found), 24);
    assert_eq!(found.mode, Mode::Live, "a file overrides no setting");
    assert!(found.policy.roots[&RootId(0)].path.ends_with("data/a b"));
    assert_eq!(found.variables[0].used, ["DAYS"]);
    assert_eq!(found.variables[1].used, ["DAYS", "UPLOADS"]);
    let note = format!(
        "{:?} has what the configuration does not use: \"LAPSED_DRY_RUN\"",
        host.path("data/.env")
    );
    assert_eq!(found.notes, [note]);
    let host = host.set("DAYS", "2");
    assert_eq!(days(&host.good()), 2);
}

#[test]
fn a_value_of_a_file_is_never_expanded() {
    let host = with_variables("{ file = \".env\" }");
    let env = host.path("data/.env");
    fs::write(&env, "DAYS=${HOME}\n").unwrap();
    assert!(
        host.refusal()
            .contains("expire = \"${HOME}d\" (from \"${DAYS:-7}d\") is an invalid")
    );
    fs::write(&env, "UPLOADS=\"a\\nb'\\\"${X}\"\n").unwrap();
    let path = host.good().policy.roots[&RootId(0)].path.clone();
    assert!(path.ends_with("a\nb'\"${X}"), "{path:?}");
}

#[test]
fn nested_entries_are_named_with_dots() {
    let text = "variables = [{ file = \"c.yaml\", optional = true }]\n[[root]]\npath = \"a\"\n\
                [[rule]]\nexpire = \"${retention.successful_jobs.days:-7}d\"\n";
    let host = Host::with(text).user(rustix::process::geteuid().as_raw());
    assert_eq!(days(&host.good()), 7);
    fs::write(
        host.path("data/c.yaml"),
        "retention:\n  successful_jobs: {days: 3}\n  failed: {hours: 1}\n",
    )
    .unwrap();
    let found = host.good();
    assert_eq!(days(&found), 3);
    assert!(found.notes[0].ends_with("does not use: \"retention.failed.hours\""));
    fs::write(host.path("data/c.yaml"), "a: &b 1\nc: *b\n").unwrap();
    assert!(
        host.refusal().contains("has an alias"),
        "{}",
        host.refusal()
    );
}

#[test]
fn a_file_that_is_missing_or_unsound_is_refused() {
    refused!(with_variables("{ file = \".env\" }"), @r#"
    HOST/etc/lapsed.toml:1: [[variables]] 1: file = ".env" does not exist
      create it, or write optional = true
    "#);
    let host = with_variables("{ file = \".env\" }");
    fs::create_dir(host.path("data/.env")).unwrap();
    refused!(host, @r#"HOST/etc/lapsed.toml:1: [[variables]] 1: file = ".env" is not a regular file"#);
    let host = with_variables("{ file = \".env\" }");
    fs::write(host.path("data/.env"), "A=1\n".repeat(300_000)).unwrap();
    refused!(host, @r#"HOST/etc/lapsed.toml:1: [[variables]] 1: file = ".env" is longer than the limit of 1048576 bytes"#);
    let host = with_variables("{ file = \".env\", optional = true }, { file = \"${ENV_FILE}\" }");
    fs::write(host.path("data/.env"), "ENV_FILE=x\n").unwrap();
    refused!(host, @r#"
    HOST/etc/lapsed.toml:1: [[variables]] 2: file = "${ENV_FILE}" names variable ENV_FILE, which is not set
      set it, or give a default: ${ENV_FILE:-default}
    "#);
}

#[test]
fn a_file_that_others_can_change_is_refused() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let host = with_variables("{ file = \"dir/.env\" }");
    let (dir, env) = (host.path("data/dir"), host.path("data/dir/.env"));
    fs::create_dir(&dir).unwrap();
    fs::write(&env, "DAYS=2\n").unwrap();
    let set_mode = |path: &Path, mode| fs::set_permissions(path, PermissionsExt::from_mode(mode));
    assert_eq!(days(&host.good()), 2);
    set_mode(&env, 0o666).unwrap();
    refused!(host, @r#"
    HOST/etc/lapsed.toml:1: [[variables]] 1: file = "dir/.env" can be changed by all users: "HOST/data/dir/.env" has mode 0666
      chmod go-w "HOST/data/dir/.env"
    "#);
    set_mode(&env, 0o600).unwrap();
    // Neither the directory, nor one above it; nor may others add the file, whatever the bit says.
    for (path, mode) in [(&dir, 0o757), (&dir, 0o1757), (&host.path("data"), 0o777)] {
        set_mode(path, mode).unwrap();
        assert!(
            host.refusal().contains("can be changed by all users"),
            "{path:?}"
        );
        set_mode(path, 0o755).unwrap();
    }
    // Others can add names there, but not replace ours.
    set_mode(&host.path("data"), 0o1777).unwrap();
    assert_eq!(days(&host.good()), 2);
    // A link is followed, and what it leads to is examined in the same way.
    fs::rename(&env, host.path("data/real")).unwrap();
    symlink("../real", &env).unwrap();
    assert!(
        host.refusal().contains("has mode 1777"),
        "{}",
        host.refusal()
    );
    set_mode(&host.path("data"), 0o755).unwrap();
    assert_eq!(days(&host.good()), 2);
    let host = host.user(if rustix::process::geteuid().is_root() {
        0
    } else {
        12345
    });
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::lchown(&env, Some(4242), None).unwrap();
        assert!(
            host.refusal().contains("belongs to that user"),
            "{}",
            host.refusal()
        );
    }
}

#[test]
fn what_a_running_daemon_lost_is_no_reason_for_a_default() {
    let host = with_variables("{ file = \".env\", optional = true, case = \"any\" }");
    let env = host.path("data/.env");
    let mut ids = RootIds::default();
    let mut load = || load(&host.overrides, &host.environment, &mut ids);
    assert_eq!(days(&load().unwrap()), 7, "it was never there");
    fs::write(&env, "days=30\nuploads=one\n").unwrap();
    assert_eq!(days(&load().unwrap()), 30);
    fs::write(&env, "UPLOADS=two\n").unwrap();
    let refusal = load().unwrap_err().to_string();
    assert!(
        refusal.starts_with("variable DAYS was in a file of variables"),
        "{refusal}"
    );
    fs::remove_file(&env).unwrap();
    let refusal = load().unwrap_err().to_string();
    assert!(refusal.contains("is gone\n  put it back"), "{refusal}");
    // A root stays where it is, and the change is told.
    fs::write(&env, "DAYS=2\nUPLOADS=two\n").unwrap();
    let found = load().unwrap();
    assert_eq!(days(&found), 2);
    assert_eq!(found.postponed, ["the path of root \"r\" (to \"two\")"]);
    assert!(
        found.policy.roots[&RootId(0)]
            .path
            .ends_with("data/uploads")
    );
    assert_eq!(found.written[&RootId(0)], "uploads");
    // At the next start it is where the file says.
    assert!(
        host.good().policy.roots[&RootId(0)]
            .path
            .ends_with("data/two")
    );
}

#[test]
fn a_root_from_a_file_is_examined_like_any_other() {
    let host = with_variables("{ file = \".env\" }");
    let env = host.path("data/.env");
    let state = host.path("var");
    fs::create_dir(&state).unwrap();
    std::os::unix::fs::symlink("/", host.path("data/link")).unwrap();
    for path in [
        "/",
        "/etc",
        "/usr",
        "/boot",
        "/var",
        "/home",
        "link",
        "link/etc",
        "..",
        state.to_str().unwrap(),
    ] {
        fs::write(
            &env,
            format!("UPLOADS={path}\nUNSAFE=yes\nLAPSED_ALLOW_UNSAFE_ROOTS=1\n"),
        )
        .unwrap();
        let refusal = host.refusal();
        assert!(
            refusal.contains("allow_unsafe = true in this [[root]]"),
            "{path}: {refusal}"
        );
    }
    // Nor can a file lift that.
    let text = fs::read_to_string(host.path("etc/lapsed.toml")).unwrap();
    for (from, to) in [
        (
            "name = \"r\"\n",
            "name = \"r\"\nallow_unsafe = \"${UNSAFE:-no}\"\n",
        ),
        (
            "[[root]]",
            "allow_unsafe_roots = \"${UNSAFE:-no}\"\n[[root]]",
        ),
    ] {
        fs::write(host.path("etc/lapsed.toml"), text.replace(from, to)).unwrap();
        assert!(
            host.refusal().contains("to watch it anyway"),
            "{}",
            host.refusal()
        );
    }
}
