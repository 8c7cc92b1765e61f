//! Accepted configurations, and their meaning.

use std::time::Duration;

use crate::core::claim::Unit;
use crate::core::facts::RootId;
use crate::core::path::RelPath;
use crate::core::policy::{Disposal, Record, Schedule, Since, SkipOpen};
use crate::core::report::{Breaker, Mode};
use crate::core::template::Template;

use super::*;

#[test]
fn the_annotated_default_loads_and_states_the_defaults() {
    let found = Host::with(ANNOTATED_DEFAULT).good();
    assert_eq!(found.socket_mode, 0o660);
    assert_eq!(found.breaker, Breaker::default());
    assert_eq!(found.mode, Mode::Live);
    assert_eq!(found.log_level, LogLevel::Info);
    assert!(found.automatic && !found.policy.cleans_at_start);
    let rule = &found.policy.rules[0];
    assert_eq!((rule.since, rule.unit), (Since::Newest, Unit::File));
    assert_eq!(
        (rule.skip_open, rule.record),
        (SkipOpen::Always, Record::Keep)
    );
    assert_eq!(found.sources.len(), 1);
    assert_eq!(found.http, HttpSettings::default());
}

#[test]
fn everything_that_can_be_said() {
    let host = Host::with(
        r#"
base_dir = "data"
state_dir = "state"
socket = "s/l.sock"
socket_mode = "0600"
dry_run = true
watch = { backend = "inotify", reconcile_every = "5m" }
breaker.entries = "${MANY:-7}"
breaker.share = 1
breaker.orphan_entries = 8
breaker.orphan_bytes = "1GiB"
breaker.orphan_share = 0.25

[store]
size_max = "3MiB"
[ledger]
segment_bytes = 0x100_000
segment_age = "1d"
keep = "400d, 1GiB"

[[root]]
name = "results"
path = "${DIR}/results"
owner = "{job}/**"
prune_empty_dirs = true
optional = "yes"

[[root]]
path = "results/inner"

[[rule]]
name = "old"
root = ["results", "inner"]
glob = ["**/*.tif", "*.tmp"]
exclude = "inbox"
keep = "**/*.log"
since = "btime"
expire = "1h30m"
then = "delete"
skip_open = "if-known"
schedule = "manual"

[[rule]]
glob = "job-*/"
unit = "dir"
expire = "never"
skip_open = false
"#,
    )
    .set("DIR", ".");
    let found = host.good();
    let data = host.path("data");
    assert_eq!(found.base_dir, data);
    assert_eq!(found.state_dir, data.join("state"));
    assert_eq!(found.socket, data.join("s/l.sock"));
    assert_eq!(found.socket_mode, 0o600);
    assert_eq!(found.mode, Mode::DryRun);
    assert_eq!(found.file, Some(host.path("etc/lapsed.toml")));
    assert_eq!(found.watch.backend, Backend::Inotify);
    assert_eq!(found.watch.reconcile_every, Duration::from_mins(5));
    assert_eq!(
        found.breaker,
        Breaker {
            entries: 7,
            share: 1.0,
            orphan_entries: 8,
            orphan_bytes: Some(1 << 30),
            orphan_share: 0.25,
        }
    );
    assert_eq!(found.cache.size_max, 3 << 20);
    assert_eq!(found.ledger.segment_bytes, 0x10_0000);
    assert_eq!(found.ledger.segment_age, Duration::from_hours(24));
    assert_eq!(found.ledger.keep.age, Some(Duration::from_hours(400 * 24)));
    assert_eq!(found.ledger.keep.bytes, Some(1 << 30));
    assert!(found.create.is_empty());

    let outer = &found.policy.roots[&RootId(0)];
    assert_eq!(
        (&*outer.name, &*outer.path),
        ("results", &*data.join("results"))
    );
    assert!(outer.prune_empty_dirs && outer.optional);
    assert_eq!(outer.owner, Template::parse("{job}/**").ok());
    assert_eq!(
        outer.nested,
        [(RelPath::parse(b"inner").unwrap(), RootId(1))]
    );
    let inner = &found.policy.roots[&RootId(1)];
    assert_eq!(inner.name, "inner");
    assert!(!inner.optional);
    assert!(!inner.prune_empty_dirs && inner.owner.is_none() && inner.nested.is_empty());

    let [old, dirs] = &found.policy.rules[..] else {
        panic!("two rules");
    };
    assert_eq!(old.name, "old");
    assert_eq!(old.roots, Some(vec![RootId(0), RootId(1)]));
    assert_eq!(old.glob.as_ref().unwrap().patterns().count(), 2);
    assert_eq!(old.since, Since::Btime);
    assert_eq!(old.expire_ms, Some(5_400_000));
    assert_eq!((old.unit, &old.schedule), (Unit::File, &Schedule::Manual));
    assert_eq!(old.skip_open, SkipOpen::IfKnown);
    assert_eq!((&*dirs.name, dirs.roots.clone()), ("rule 2", None));
    assert_eq!(dirs.expire_ms, None);
    assert_eq!(
        (dirs.unit, &dirs.schedule),
        (Unit::Dir, &Schedule::AtDeadline)
    );
    assert_eq!(dirs.skip_open, SkipOpen::Never);
    assert!(dirs.glob.as_ref().unwrap().matches(b"job-1"));
}

#[test]
fn words_of_environments() {
    let host = Host::with(
        "dry_run = \"${DRY}\"\n[[root]]\npath = \"a\"\nprune_empty_dirs = \"${PRUNE:-no}\"\n[[rule]]\nname = \"r\"\n\
         glob = [\"formal_*_{uuid}.svg\", \"{digits}.tmp\"]\nskip_open = \"${OPEN}\"\nexpire = \"${HOURS}h${HOURS:+0.5m}\"\n",
    );
    let host = host.set("DRY", "True").set("PRUNE", "ON");
    let found = host.set("OPEN", "0").set("HOURS", "0.01").good();
    assert_eq!(found.mode, Mode::DryRun);
    assert!(found.policy.roots[&RootId(0)].prune_empty_dirs);
    let rule = &found.policy.rules[0];
    assert_eq!(rule.skip_open, SkipOpen::Never);
    assert_eq!(rule.expire_ms, Some(66_000));
    let glob = rule.glob.as_ref().unwrap();
    let uuid = "0f8fad5b-d9cb-469f-a165-70867728950e";
    assert!(glob.matches(format!("formal_20240101_120000_{uuid}.svg").as_bytes()));
    assert!(!glob.matches(format!("formal_{uuid}.svg").as_bytes()));
    assert!(glob.matches(b"17.tmp") && !glob.matches(b".tmp"));
    let typed = Host::new().watch(&["a=0.5h"]).good();
    assert_eq!(typed.policy.rules[0].expire_ms, Some(1_800_000));
}

#[test]
fn without_automatic_every_rule_waits_to_be_asked() {
    let text = "log_level = \"WARNING\"\n[[root]]\npath = \"a\"\n[[rule]]\nexpire = \"1d\"\n";
    let mut host = Host::with(text).watch(&["b=1h"]);
    host.overrides.config = Some(host.path("etc/lapsed.toml"));
    let schedules = |found: &Settings| {
        let rules = found.policy.rules.iter();
        rules.map(|rule| rule.schedule.clone()).collect::<Vec<_>>()
    };
    let found = host.good();
    assert_eq!(
        schedules(&found),
        [Schedule::AtDeadline, Schedule::AtDeadline]
    );
    assert_eq!(found.log_level, LogLevel::Warn);
    let found = host.set("LAPSED_AUTOMATIC", "off").good();
    assert_eq!(schedules(&found), [Schedule::Manual, Schedule::Manual]);
    assert!(!found.automatic);
}

#[test]
fn a_quick_start_needs_no_file_and_reads_none() {
    let host = Host::with("this is no toml").watch(&["./scratch=10s", "a=b=never"]);
    let host = host
        .set("LAPSED_CONFIG", "/nonexistent")
        .set("LAPSED_BASE_DIR", "");
    let found = host.good();
    assert_eq!(found.file, None);
    assert_eq!(found.base_dir, host.path("data"));
    assert_eq!(
        found.create,
        [host.path("data/scratch"), host.path("data/a=b")]
    );
    let names: Vec<_> = found
        .policy
        .roots
        .values()
        .map(|root| &*root.name)
        .collect();
    assert_eq!(names, ["scratch", "a=b"]);
    let [scratch, other] = &found.policy.rules[..] else {
        panic!("two rules");
    };
    assert_eq!(scratch.name, "scratch after 10s");
    assert_eq!(scratch.roots, Some(vec![RootId(0)]));
    assert_eq!(scratch.expire_ms, Some(10_000));
    assert_eq!((scratch.since, scratch.unit), (Since::Newest, Unit::File));
    assert_eq!((&*other.name, other.expire_ms), ("a=b for ever", None));
}

#[test]
fn two_scratches_are_distinguished() {
    let host = Host::new().watch(&["../a/scratch=1s", "scratch=2s"]);
    fs::create_dir(host.path("a")).unwrap();
    let found = host.good();
    let whole = host.path("data/scratch");
    let names: Vec<_> = found.policy.rules.iter().map(|rule| &*rule.name).collect();
    assert_eq!(
        names,
        ["scratch after 1s", &format!("{} after 2s", whole.display())]
    );
}

#[test]
fn watched_directories_come_before_the_file() {
    let mut host = Host::new();
    fs::create_dir_all(host.path("conf")).unwrap();
    fs::write(
        host.path("conf/l.toml"),
        "[[root]]\npath = \"x\"\n[[rule]]\nexpire = \"1d\"\n",
    )
    .unwrap();
    host.overrides.config = Some("../conf/l.toml".into());
    let found = host.watch(&["y=1s"]).good();
    let names: Vec<_> = found.policy.rules.iter().map(|rule| &*rule.name).collect();
    assert_eq!(names, ["y after 1s", "rule 1"]);
    let paths: Vec<_> = found
        .policy
        .roots
        .values()
        .map(|root| root.path.clone())
        .collect();
    let dir = found.file.unwrap();
    let dir = dir.ancestors().nth(4).unwrap().to_path_buf();
    assert_eq!(paths, [dir.join("conf/x"), dir.join("data/y")]);
}

#[test]
fn a_root_keeps_its_id_over_reloads() {
    let mut ids = RootIds::default();
    let load =
        |host: &Host, ids: &mut RootIds| load(&host.overrides, &host.environment, ids).unwrap();
    let host = Host::new().watch(&["a=1s", "b=1s"]);
    load(&host, &mut ids);
    let mut host = host;
    host.overrides.watch = vec!["c=1s".into(), "b=2s".into()];
    let found = load(&host, &mut ids);
    let by_name = |name| found.policy.root_named(name);
    assert_eq!(
        (by_name("b"), by_name("c")),
        (Some(RootId(1)), Some(RootId(2)))
    );
    assert_eq!(ids.get(&host.path("data/a")), Some(RootId(0)));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the directory is the test's own")]
fn a_known_root_is_waited_for_with_its_parent() {
    let mut ids = RootIds::default();
    let host = Host::new().watch(&["p/q=1s"]);
    let load = |ids: &mut RootIds| load(&host.overrides, &host.environment, ids);
    assert!(load(&mut ids).is_err());
    fs::create_dir(host.path("data/p")).unwrap();
    load(&mut ids).unwrap();
    // Its parent is gone: the disk that it was on, say.
    fs::remove_dir(host.path("data/p")).unwrap();
    load(&mut ids).unwrap();
}

#[test]
fn roots_are_resolved() {
    let host = Host::with("[[root]]\npath = \"link/x\"\n");
    std::os::unix::fs::symlink(host.path("etc"), host.path("data/link")).unwrap();
    let found = host.good();
    assert_eq!(found.policy.roots[&RootId(0)].path, host.path("etc/x"));
    assert!(found.policy.rules.is_empty(), "kept for ever");
}

#[test]
fn nested_roots_know_each_other() {
    let table = |path| format!("[[root]]\nname = \"{path}\"\npath = \"{path}\"\n");
    let text = ["a", "a/b", "a/b/c", "a-b", "a/x"].map(table).concat();
    let found = Host::with(&text).good();
    let nested = |name| {
        let root = &found.policy.roots[&found.policy.root_named(name).unwrap()];
        let nested = root.nested.iter();
        nested
            .map(|(path, id)| (path.to_string(), &*found.policy.roots[id].name))
            .collect::<Vec<_>>()
    };
    let wanted = [("b", "a/b"), ("b/c", "a/b/c"), ("x", "a/x")];
    assert_eq!(
        nested("a"),
        wanted.map(|(path, name)| (path.to_owned(), name))
    );
    assert_eq!(nested("a/b"), [("c".to_owned(), "a/b/c")]);
    assert!(nested("a-b").is_empty() && nested("a/x").is_empty());
}

#[test]
fn unsafe_roots_can_be_allowed() {
    let text = "[[root]]\nname = \"all\"\npath = \"/\"\n";
    assert!(Host::with(text).load().is_err());
    Host::with(&format!("{text}allow_unsafe = true\n")).good();
    Host::with(&format!("allow_unsafe_roots = true\n{text}")).good();
    Host::with(text)
        .set("LAPSED_ALLOW_UNSAFE_ROOTS", "true")
        .good();
    let mut host = Host::with(text);
    host.overrides.allow_unsafe_roots = true;
    host.good();
}

#[test]
fn command_line_before_variables_before_file_before_defaults() {
    let text =
        "dry_run = false\nstate_dir = \"file\"\n[breaker]\nentries = 5\n[[root]]\npath = \"x\"\n";
    let mut host = Host::with(text);
    let of_file = host.good();
    assert_eq!(of_file.state_dir, host.path("data/file"));
    assert_eq!((of_file.breaker.entries, of_file.mode), (5, Mode::Live));

    host = host
        .set("LAPSED_STATE_DIR", "variable")
        .set("LAPSED_BREAKER_ENTRIES", "6")
        .set("LAPSED_DRY_RUN", "true")
        .set("LAPSED_WATCH_BACKEND", "");
    let of_variables = host.good();
    assert_eq!(of_variables.state_dir, host.path("data/variable"));
    assert_eq!(
        (of_variables.breaker.entries, of_variables.mode),
        (6, Mode::DryRun)
    );

    for (name, backend) in [
        ("auto", Backend::Auto),
        ("inotify", Backend::Inotify),
        ("notify", Backend::Notify),
        ("poll", Backend::Poll),
    ] {
        host = host.set("LAPSED_WATCH_BACKEND", name);
        assert_eq!(host.good().watch.backend, backend);
    }

    host = host.set("LAPSED_DRY_RUN", "false");
    host.overrides.state_dir = Some(host.path("flag"));
    host.overrides.dry_run = true;
    let of_flags = host.good();
    assert_eq!(of_flags.state_dir, host.path("flag"));
    assert_eq!(of_flags.mode, Mode::DryRun);
}

#[test]
fn what_lapses_is_deleted_or_goes_to_the_trash() {
    const DAY_MS: i64 = 86_400_000;
    let disposal = |keys: &str| {
        let rule = format!("expire = \"7d\"\n{keys}");
        Host::with_rule(&rule)
            .set("THEN", "trash")
            .good()
            .policy
            .rules[0]
            .disposal
    };
    let trash = |undo_ms| Disposal::Trash { undo_ms };
    assert_eq!(disposal(""), Disposal::Delete);
    assert_eq!(disposal("then = \"trash\""), trash(DAY_MS));
    assert_eq!(disposal("undo = \"90s\""), trash(90_000));
    assert_eq!(
        disposal("then = \"trash\"\nundo = \"365d\""),
        trash(365 * DAY_MS)
    );
    // A preset switches by a variable.
    assert_eq!(
        disposal("then = \"delete\"\nundo = \"7d\""),
        Disposal::Delete
    );
    assert_eq!(
        disposal("then = \"${NONE:-delete}\"\nundo = \"7d\""),
        Disposal::Delete
    );
    assert_eq!(
        disposal("then = \"${THEN:-delete}\"\nundo = \"7d\""),
        trash(7 * DAY_MS)
    );
}

#[test]
fn an_undo_window_of_all_rules_is_for_those_that_say_nothing_else() {
    let disposal = |keys: &str, window: &str| {
        let host = Host::with_rule(&format!("expire = \"7d\"\n{keys}"));
        let found = host.set("LAPSED_UNDO", window).good();
        found.policy.rules[0].disposal
    };
    let trash = |undo_ms| Disposal::Trash { undo_ms };
    assert_eq!(disposal("", "90s"), trash(90_000));
    assert_eq!(disposal("", "0s"), Disposal::Delete);
    assert_eq!(disposal("undo = \"2s\"", "90s"), trash(2000));
    assert_eq!(disposal("undo = \"0s\"", "90s"), Disposal::Delete);
    assert_eq!(disposal("then = \"delete\"", "90s"), Disposal::Delete);
}
