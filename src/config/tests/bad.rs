//! Refused configurations, with the whole message.

use std::os::unix::ffi::OsStringExt;

use proptest::prelude::*;

use super::*;

const ROOT: &str = "[[root]]\npath = \"scratch\"\n";

fn with(text: &str) -> Host {
    Host::with(&format!("{text}\n{ROOT}"))
}

#[test]
fn unknown_keys() {
    refused!(with("stat_dir = \"x\""), @r#"
    HOST/etc/lapsed.toml:1: unknown key "stat_dir"
      allowed: base_dir, state_dir, socket, socket_mode, group, dry_run, shadow, log_level, log_format, automatic, undo, clean_at_start, allow_unsafe_roots, templates, variables, http, watch, breaker, reap, ledger, store, source, root, rule, schedule, notify, adapter, command, endpoint; did you mean "state_dir"?
    "#);
    refused!(with("[watch]\ninterval = 5"), @r#"
    HOST/etc/lapsed.toml:2: [watch]: unknown key "interval"
      allowed: backend, reconcile_every
    "#);
    refused!(Host::with_rule("expires = \"7d\"\nexpire = \"7d\"\njobs = [\"completed\"]"), @r#"
    HOST/etc/lapsed.toml:5: [[rule]] "r": unknown key "expires"
      allowed: name, enabled, root, glob, exclude, keep, job, kind, source, since, expire, keep_last, per, unit, record, then, undo, skip_open, schedule, limit; did you mean "expire"?
    HOST/etc/lapsed.toml:7: [[rule]] "r": unknown key "jobs"
      allowed: name, enabled, root, glob, exclude, keep, job, kind, source, since, expire, keep_last, per, unit, record, then, undo, skip_open, schedule, limit; did you mean "job"?
    "#);
    refused!(Host::with("[[root]]\npath = \"x\"\npurge = true"), @r#"
    HOST/etc/lapsed.toml:3: [[root]] 1: unknown key "purge"
      allowed: name, path, owner, source, orphans, prune_empty_dirs, only, optional, allow_unsafe, limit, alert
    "#);
    refused!(with("watch = 5\nroots = \"x\""), @r#"
    HOST/etc/lapsed.toml:1: watch = 5 is not a table
      write [watch], and its keys on the lines below it
    HOST/etc/lapsed.toml:2: unknown key "roots"
      allowed: base_dir, state_dir, socket, socket_mode, group, dry_run, shadow, log_level, log_format, automatic, undo, clean_at_start, allow_unsafe_roots, templates, variables, http, watch, breaker, reap, ledger, store, source, root, rule, schedule, notify, adapter, command, endpoint; did you mean "root"?
    "#);
    refused!(Host::with("[root]\npath = \"x\""), @r#"
    HOST/etc/lapsed.toml:1: root = {…} is not a list of tables
      write [[root]] with two brackets: there may be several
    "#);
    refused!(Host::with("root = [\"x\"]"), @r#"
    HOST/etc/lapsed.toml:1: root = "x" is not a list of tables
      write [[root]], and its keys on the lines below it
    "#);
}

#[test]
fn unknown_values() {
    refused!(Host::with_rule("expire = \"7d\"\nsince = \"newst\"\nunit = \"tree\"\nthen = \"tresh\"\nskip_open = \"maybe\"\nschedule = \"daily\""), @r#"
    HOST/etc/lapsed.toml:6: [[rule]] "r": since = "newst" is an unknown value
      allowed: newest, mtime, newest_mtime, ctime, btime, created_at, completed_at, last_activity, expires_at; did you mean "newest"?
    HOST/etc/lapsed.toml:7: [[rule]] "r": unit = "tree" is an unknown value
      allowed: file, dir, job
    HOST/etc/lapsed.toml:8: [[rule]] "r": then = "tresh" is an unknown value
      allowed: delete, trash; did you mean "trash"?
    HOST/etc/lapsed.toml:9: [[rule]] "r": skip_open = "maybe" is an unknown value
      allowed: true, false, if-known
    HOST/etc/lapsed.toml:10: [[rule]] "r": schedule = "daily" is an invalid schedule: it must have five fields, not 1
      allowed: manual; named; five fields (minute, hour, day, month, day of the week) such as "0 3 * * *"; @hourly, @daily, @weekly, @monthly, @yearly; or such as "every 6h"
    "#);
    refused!(Host::with_rule("expire = \"7d\"\nthen = \"trash\"\nundo = \"0s\""), @r#"
    HOST/etc/lapsed.toml:7: [[rule]] "r": undo = "0s" contradicts then = "trash": nothing could be restored
      give a time, or leave out then
    "#);
    refused!(Host::with_rule("expire = \"7d\"\nundo = \"400d\""), @r#"
    HOST/etc/lapsed.toml:6: [[rule]] "r": undo = "400d" is neither 0s (no undo) nor within the limits of 1s to 365d
    "#);
    refused!(with("watch.backend = \"kqueue\"\nsocket_mode = \"rw\"\ngroup = \"no-such-group-here\""), @r#"
    HOST/etc/lapsed.toml:1: [watch]: backend = "kqueue" is an unknown value
      allowed: auto, inotify, notify, poll
    HOST/etc/lapsed.toml:2: socket_mode = "rw" is an invalid mode
      allowed: octal from 0000 to 0777, such as 0660
    HOST/etc/lapsed.toml:3: group = "no-such-group-here" is an unknown group
      create it (groupadd), or name one that `getent group` lists
    "#);
    refused!(with("breaker = { entries = -1, share = 1.5 }\nledger = { segment_bytes = \"1KiB\", segment_age = \"1s\" }\nwatch.reconcile_every = \"0s\""), @r#"
    HOST/etc/lapsed.toml:1: [breaker]: entries = -1 is not a whole number
      allowed: 0 and up, such as 1000
    HOST/etc/lapsed.toml:1: [breaker]: share = 1.5 is an invalid share
      allowed: 0 to 1, such as 0.5
    HOST/etc/lapsed.toml:2: [ledger]: segment_age = "1s" is shorter than the limit of 1m
    HOST/etc/lapsed.toml:2: [ledger]: segment_bytes = "1KiB" is not within the limits of 65536 to 1125899906842624 bytes
    HOST/etc/lapsed.toml:3: [watch]: reconcile_every = "0s" is shorter than the limit of 1s
    "#);
}

#[test]
fn values_of_another_type() {
    refused!(with("socket_mode = 660\ndry_run = 1\nstate_dir = [\"x\"]\nbreaker.entries = true\ngroup = 2026-01-01"), @r#"
    HOST/etc/lapsed.toml:1: socket_mode = 660 is a number, but must be a string
      such as socket_mode = "0660"
    HOST/etc/lapsed.toml:2: dry_run = 1 is a number, but must be true or false
      such as dry_run = true
    HOST/etc/lapsed.toml:3: state_dir = […] is a list, but must be a string
      such as state_dir = "/var/lib/lapsed"
    HOST/etc/lapsed.toml:4: [breaker]: entries = true is a boolean, but must be a number
      such as entries = 1000
    HOST/etc/lapsed.toml:5: group = 2026-01-01 is a date, but must be a string
      such as group = "staff"
    "#);
    refused!(Host::with_rule("expire = 7\nglob = [1, \"a\"]\nroot = []"), @r#"
    HOST/etc/lapsed.toml:5: [[rule]] "r": expire = 7 is a number, but must be a string
      such as expire = "7d"
    HOST/etc/lapsed.toml:6: [[rule]] "r": glob = 1 is a number, but must be a string or a list of strings
      such as glob = "**/*.tmp"
    HOST/etc/lapsed.toml:7: [[rule]] "r": root = [] is an empty list
      omit root, or write such as root = ["results", "uploads"]
    "#);
}

#[test]
fn mistakes_of_syntax() {
    refused!(Host::with("a = \n[[root]\npath = \"x\"\n"), @r#"
    HOST/etc/lapsed.toml:1: string values must be quoted, expected literal string
    HOST/etc/lapsed.toml:2: unclosed array table, expected `]`
    "#);
    refused!(Host::with("dry_run = true\ndry_run = true\n"), @"HOST/etc/lapsed.toml:2: duplicate key");
    let host = Host::with("");
    fs::write(host.path("etc/lapsed.toml"), b"# \n# \xff\n").unwrap();
    refused!(host, @"HOST/etc/lapsed.toml:2: the file is not UTF-8");
}

#[test]
fn files_that_cannot_be_read() {
    let host = Host::new();
    refused!(host, @r#"
    no configuration: there is no "HOST/etc/lapsed.toml"
      name a file with --config FILE or LAPSED_CONFIG, or watch a directory without one: --watch ./scratch=10s
    "#);
    let host = host.user(1000).set("HOME", "/nonexistent");
    refused!(host, @r#"
    no configuration: there is no "/nonexistent/.config/lapsed/lapsed.toml" and no "HOST/etc/lapsed.toml"
      name a file with --config FILE or LAPSED_CONFIG, or watch a directory without one: --watch ./scratch=10s
    "#);
    let mut host = host.set("LAPSED_CONFIG", "c.toml");
    refused!(host, @r#"cannot read configuration "HOST/data/c.toml": no such file or directory"#);
    host.overrides.config = Some("..".into());
    refused!(host, @r#"cannot read configuration "HOST/data/..": is a directory"#);
}

#[test]
fn durations() {
    refused!(Host::with_rule("expire = \"90\""), @r#"
    HOST/etc/lapsed.toml:5: [[rule]] "r": expire = "90" is a number without a unit
      examples: 90s, 15m, 12h, 7d, 1h30m, never
    "#);
    refused!(Host::with_rule("expire = \"-5s\""), @r#"
    HOST/etc/lapsed.toml:5: [[rule]] "r": expire = "-5s" is negative
      examples: 90s, 15m, 12h, 7d, 1h30m, never
    "#);
    refused!(Host::with_rule("expire = \"\""), @r#"
    HOST/etc/lapsed.toml:5: [[rule]] "r": expire = "" is empty, but must be a duration
      examples: 90s, 15m, 12h, 7d, 1h30m, never
    "#);
    refused!(Host::with_rule("expire = \"99999999999999999d\""), @r#"
    HOST/etc/lapsed.toml:5: [[rule]] "r": expire = "99999999999999999d" is longer than the limit of 1000 years
      examples: 90s, 15m, 12h, 7d, 1h30m, never
    "#);
    refused!(Host::with_rule("expire = \"5 fortnights\""), @r#"
    HOST/etc/lapsed.toml:5: [[rule]] "r": expire = "5 fortnights" has an unknown unit: "fortnights"
      examples: 90s, 15m, 12h, 7d, 1h30m, never
    "#);
    refused!(Host::with_rule("glob = \"*\""), @r#"
    HOST/etc/lapsed.toml:3: [[rule]] "r": expire is missing
      such as expire = "7d", or expire = "never"
    "#);
}

#[test]
fn patterns() {
    refused!(Host::with_rule("expire = \"7d\"\nglob = [\n  \"a/*\",\n  \"b[\",\n  \"/c\",\n]"), @r#"
    HOST/etc/lapsed.toml:8: [[rule]] "r": glob = "b[" is an invalid pattern: unclosed character class; missing ']'
    HOST/etc/lapsed.toml:9: [[rule]] "r": glob = "/c" can never match: it begins with "/"
      patterns are matched with paths from the root; write "c"
    "#);
    refused!(Host::with_rule("expire = \"7d\"\nglob = \"logs/\"\nexclude = \"../x\"\nkeep = \"\""), @r#"
    HOST/etc/lapsed.toml:6: [[rule]] "r": glob = "logs/" can never match: it ends with "/"
      write "logs/**" for what lies in a directory
    HOST/etc/lapsed.toml:7: [[rule]] "r": exclude = "../x" can never match: it contains ".."
      patterns are matched with paths from the root, which have neither "." nor ".."
    HOST/etc/lapsed.toml:8: [[rule]] "r": keep = "" is empty, but must be a pattern
    "#);
    refused!(Host::with_rule("expire = \"7d\"\nunit = \"dir\"\nglob = \"a/b\"\nexclude = \"c/d\""), @r#"
    HOST/etc/lapsed.toml:7: [[rule]] "r": glob = "a/b" can never match the name of a directory
      with unit = "dir", patterns are matched with names of top-level directories; write such as "job-*"
    HOST/etc/lapsed.toml:8: [[rule]] "r": exclude = "c/d" can never match the name of a directory
      with unit = "dir", patterns are matched with names of top-level directories; write such as "job-*"
    "#);
    refused!(Host::with("[[root]]\nname = \"r\"\npath = \"x\"\nonly = [\"out_*\", \"a/b\"]"), @r#"
    HOST/etc/lapsed.toml:4: [[root]] "r": only = "a/b" can never match the name of a directory
      these patterns are matched with the names at the root's top, with all that is below; write such as "out_*"
    "#);
    refused!(Host::with_rule("expire = \"7d\"\nglob = []"), @r#"
    HOST/etc/lapsed.toml:6: [[rule]] "r": glob = [] is an empty list
      omit glob, or write such as glob = "**/*.tmp"
    "#);
}

#[test]
fn names() {
    refused!(Host::with("[[root]]\nname = \"a\"\npath = \"x\"\n[[root]]\nname = \"a\"\npath = \"y\"\n"), @r#"
    HOST/etc/lapsed.toml:5: [[root]] 2: name = "a" is taken by the root at HOST/etc/lapsed.toml:2
      give it another name
    "#);
    refused!(Host::with("[[root]]\npath = \"a/x\"\n[[root]]\npath = \"b/x\"\n"), @r#"
    HOST/etc/lapsed.toml:3: [[root]] 2: its name would be "x" after its path, which is taken by the root at HOST/etc/lapsed.toml:2
      give it a name of its own: name = "…"
    "#);
    refused!(with("[[rule]]\nname = \"a\"\nexpire = \"1d\"\n[[rule]]\nname = \"a\"\nexpire = \"1d\"\n[[rule]]\nname = \"none\"\nexpire = \"1d\""), @r#"
    HOST/etc/lapsed.toml:5: [[rule]] 2: name = "a" is taken by the rule at HOST/etc/lapsed.toml:2
      give it another name
    HOST/etc/lapsed.toml:8: [[rule]] 3: name = "none" is reserved for files without a rule
      give it another name
    "#);
    refused!(with("[[rule]]\nname = \"rule 2\"\nexpire = \"1d\"\n[[rule]]\nexpire = \"1d\"\n"), @r#"
    HOST/etc/lapsed.toml:4: [[rule]] 2: its name would be "rule 2", which is taken by the rule at HOST/etc/lapsed.toml:2
      give it a name of its own: name = "…"
    "#);
    refused!(Host::with("[[root]]\nname = \" \"\npath = \"x\"\n"), @r#"HOST/etc/lapsed.toml:2: [[root]] 1: name = " " is empty, but must be a name"#);
    refused!(Host::with_rule("expire = \"1d\"\nroot = [\"scratch\", \"scrtch\"]"), @r#"
    HOST/etc/lapsed.toml:6: [[rule]] "r": root = "scrtch" is an unknown root
      allowed: scratch; did you mean "scratch"?
    "#);
}

#[test]
fn one_mistake_is_reported_once() {
    // The rule's root is the one that has no path: not unknown, too.
    refused!(Host::with("[[root]]\npath = \"${NONE}/a\"\n[[rule]]\nroot = \"a\"\nexpire = \"1d\""), @r#"
    HOST/etc/lapsed.toml:2: [[root]] 1: path = "${NONE}/a" names variable NONE, which is not set
      set it, or give a default: ${NONE:-default}
    "#);
    refused!(Host::with("[[root]]\npath = \"~/a\"\n[[rule]]\nroot = \"a\"\nexpire = \"1d\""), @r#"
    HOST/etc/lapsed.toml:2: [[root]] 1: path = "~/a" begins with "~", which only a shell understands
      write ${HOME} in the file, $HOME on the command line, or ./~ if that is its name
    "#);
}

#[test]
fn watch_arguments() {
    refused!(Host::new().watch(&["scratch"]), @r#"
    --watch "scratch" is not of the form PATH=TTL
      such as --watch ./scratch=10s
    "#);
    refused!(Host::new().watch(&["scratch=10"]), @r#"
    --watch "scratch=10" has the TTL "10", which is a number without a unit
      examples: 90s, 15m, 12h, 7d, 1h30m, never; such as --watch ./scratch=10s
    "#);
    refused!(Host::new().watch(&["scratch="]), @r#"
    --watch "scratch=" has the TTL "", which is empty, but must be a duration
      examples: 90s, 15m, 12h, 7d, 1h30m, never; such as --watch ./scratch=10s
    "#);
    refused!(Host::new().watch(&["=10s"]), @r#"
    --watch "=10s" has no path before the "="
      such as --watch ./scratch=10s
    "#);
    refused!(Host::new().watch(&["a/b/c=10s"]), @r#"
    --watch "a/b/c=10s" is in a directory that does not exist
      create its parent first: only the last directory is created
    "#);
    refused!(Host::new().watch(&["a\0b=10s"]), @r#"--watch "a\0b=10s" contains a NUL byte"#);
}

#[test]
fn variables() {
    let host = with("")
        .set("LAPSED_DRY_RUN", "perhaps")
        .set("LAPSED_BREAKER_ENTRIES", "many")
        .set("LAPSED_SOCKET_MODE", "0999");
    refused!(host, @r#"
    LAPSED_BREAKER_ENTRIES = "many" is not a whole number
      allowed: 0 and up, such as 1000
    LAPSED_DRY_RUN = "perhaps" is an invalid boolean
      allowed: true, yes, on, 1; false, no, off, 0
    LAPSED_SOCKET_MODE = "0999" is an invalid mode
      allowed: octal from 0000 to 0777, such as 0660
    "#);
    refused!(with("").set("LAPSED_DRYRUN", "true").set("LAPSED_LOG", "debug"), @r#"
    unknown variable LAPSED_DRYRUN
      did you mean LAPSED_DRY_RUN?
    "#);
    // What the file names is the user's own, however near to a setting.
    let own = with("group = \"${LAPSED_GROUPS:-}\"\n").set("LAPSED_GROUPS", "root");
    assert_eq!(own.good().group.as_deref(), Some("root"));
    let mut host = with("");
    let value = std::ffi::OsString::from_vec(b"/\xff".to_vec());
    host.environment.vars.insert("LAPSED_SOCKET".into(), value);
    refused!(host, @"LAPSED_SOCKET is not UTF-8");
}

#[test]
fn interpolation() {
    refused!(with("state_dir = \"${NONE}/x\""), @r#"
    HOST/etc/lapsed.toml:1: state_dir = "${NONE}/x" names variable NONE, which is not set
      set it, or give a default: ${NONE:-default}
    "#);
    refused!(with("state_dir = \"$HOME/x\""), @r#"
    HOST/etc/lapsed.toml:1: state_dir = "$HOME/x" has a "$" that names no variable
      write ${NAME} for a variable, ${NAME:-default} for one with a default, ${NAME:+text} for text where it is set, ${NAME?then:else} for one of two texts, $$ for a dollar
    "#);
    refused!(Host::with_rule("expire = \"${DAYS:-x}d\""), @r#"
    HOST/etc/lapsed.toml:5: [[rule]] "r": expire = "xd" (from "${DAYS:-x}d") is an invalid duration
      examples: 90s, 15m, 12h, 7d, 1h30m, never
    "#);
    refused!(with("state_dir = \"a\\u0000b\""), @r#"HOST/etc/lapsed.toml:1: state_dir = "a\0b" contains a NUL byte"#);
    refused!(with("socket_mode = \"${MODE}\"").set("MODE", "\u{7}"), @r#"
    HOST/etc/lapsed.toml:1: socket_mode = "\u{7}" (from "${MODE}") is an invalid mode
      allowed: octal from 0000 to 0777, such as 0660
    "#);
}

#[test]
fn all_mistakes_are_reported_from_the_top() {
    let host = Host::with(
        "socket_mode = \"x\"\n[[root]]\npath = \"/etc\"\nwrong = 1\n[[rule]]\nexpire = \"7\"\n[[rule]]\nglob = \"/x\"\n",
    );
    refused!(host.set("LAPSED_GROUP", "no-such-group-here"), @r#"
    LAPSED_GROUP = "no-such-group-here" is an unknown group
      create it (groupadd), or name one that `getent group` lists
    HOST/etc/lapsed.toml:1: socket_mode = "x" is an invalid mode
      allowed: octal from 0000 to 0777, such as 0660
    HOST/etc/lapsed.toml:3: [[root]] 1: path = "/etc" is a system directory
      files in it would be removed; to watch it anyway: allow_unsafe = true in this [[root]]
    HOST/etc/lapsed.toml:4: [[root]] 1: unknown key "wrong"
      allowed: name, path, owner, source, orphans, prune_empty_dirs, only, optional, allow_unsafe, limit, alert
    HOST/etc/lapsed.toml:6: [[rule]] 1: expire = "7" is a number without a unit
      examples: 90s, 15m, 12h, 7d, 1h30m, never
    HOST/etc/lapsed.toml:7: [[rule]] 2: expire is missing
      such as expire = "7d", or expire = "never"
    HOST/etc/lapsed.toml:8: [[rule]] 2: glob = "/x" can never match: it begins with "/"
      patterns are matched with paths from the root; write "x"
    "#);
}

#[test]
fn limits() {
    let many = |table: &str| table.repeat(65_536);
    let host = Host::with(&format!("{ROOT}{}", many("[[rule]]\n")));
    refused!(host, @"HOST/etc/lapsed.toml:65538: 65536 rules, but the limit is 65535");
    let host = Host::with(&many("[[root]]\n"));
    refused!(host, @"HOST/etc/lapsed.toml:65536: 65536 roots, but the limit is 65535");
    let host = Host::with(&format!("{ROOT}{}", many("[[source]]\n")));
    refused!(host, @"HOST/etc/lapsed.toml:65537: 65536 sources, but the limit is 65534");
    let host = Host::with(&"#".repeat((16 << 20) + 1));
    refused!(host, @"HOST/etc/lapsed.toml: the file is longer than the limit of 16777216 bytes");
}

/// Every key once, with values that are all right.
const WHOLE: &str = r#"
base_dir = "."
state_dir = "st"
socket = "${S:-s}"
socket_mode = "0660"
dry_run = "${DRY:-false}"
[watch]
reconcile_every = "60s"
[breaker]
entries = 10
[[root]]
name = "a"
path = "a"
owner = "{job}/**"
source = "s"
orphans = "{uuid}/**"
[[rule]]
root = ["a"]
glob = ["*.tmp"]
expire = "1h"
unit = "dir"
skip_open = true
[[rule]]
job = ["failed"]
kind = "k"
source = "s"
since = "created_at"
expire = "1h"
unit = "job"
record = "mark"
[[rule]]
job = "none"
[[source]]
name = "s"
kind = "sqlite"
path = "s.db"
select = "SELECT *, '--' FROM jobs /* x"
mark = ["a", "b"]
statuses = { x = "failed", "y z" = "running" }
timezone = { created_at = "local" }
derived = "{stem}.x"
id_pattern = "(a|b)+"
"#;

proptest! {
    /// Whatever is cut out and put in: it is accepted, or told with a message; nothing falls over.
    #[test]
    fn no_file_makes_it_fall_over(
        cut in 0..WHOLE.len(),
        length in 0..40usize,
        put in prop_oneof![Just(String::new()), "[\\[\\]{}=\"$.,\n0-9a]{0,6}"],
    ) {
        let (before, rest) = WHOLE.split_at(cut);
        let host = Host::with(&format!("{before}{put}{}", &rest[length.min(rest.len())..]));
        if let Err(error) = host.load() {
            prop_assert!(error.count() > 0 && !error.to_string().is_empty());
        }
        let _ = endpoints(&host.overrides, &host.environment);
    }
}
