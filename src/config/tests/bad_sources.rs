//! Sources of jobs that are refused, with the whole message.

use super::*;

const ROOT: &str = "[[root]]\npath = \"x\"\n";
const SQLITE: &str = "kind = \"sqlite\"\npath = \"jobs.db\"\nselect = \"SELECT id FROM jobs\"\n";

fn with(text: &str) -> Host {
    Host::with(&format!("[[source]]\n{text}\n{ROOT}"))
}

/// A sound source of kind sqlite called "s", with `text` on line 6.
fn with_sqlite(text: &str) -> Host {
    with(&format!("name = \"s\"\n{SQLITE}{text}"))
}

#[test]
fn what_must_be_there() {
    refused!(with(""), @r#"
    HOST/etc/lapsed.toml:1: [[source]] 1: kind is missing
      such as kind = "sqlite"
    HOST/etc/lapsed.toml:1: [[source]] 1: name is missing
      such as name = "app"
    "#);
    refused!(with("name = \"s\"\nkind = \"sqlite\""), @r#"
    HOST/etc/lapsed.toml:1: [[source]] "s": path is missing
      such as path = "jobs.db"
    HOST/etc/lapsed.toml:1: [[source]] "s": select is missing
      such as select = "SELECT id, status FROM jobs"
    "#);
    refused!(with("name = \"s\"\nkind = \"mysql\"\nselect = 1\npath = 1"), @r#"
    HOST/etc/lapsed.toml:3: [[source]] "s": kind = "mysql" is an unknown value
      allowed: api, sqlite, postgres
    HOST/etc/lapsed.toml:4: [[source]] "s": select = 1 is a number, but must be a string
      such as select = "SELECT id, status FROM jobs"
    HOST/etc/lapsed.toml:5: [[source]] "s": path = 1 is a number, but must be a string
      such as path = "jobs.db"
    "#);
    refused!(with_sqlite("color = \"red\""), @r#"
    HOST/etc/lapsed.toml:6: [[source]] "s": unknown key "color"
      allowed: name, kind, path, url, host, port, user, password, dbname, select, changed, status, statuses, timezone, add_columns, mark, forget, channel, poll, statement_timeout, required, listed, files_root, path_map, derived, id_pattern
    "#);
    refused!(Host::with(&format!("source = 5\n{ROOT}")), @r#"
    HOST/etc/lapsed.toml:1: source = 5 is not a list of tables
      write [[source]], and its keys on the lines below it
    "#);
    refused!(Host::with(&format!("[source]\nname = \"a\"\n{ROOT}")), @r#"
    HOST/etc/lapsed.toml:1: source = {…} is not a list of tables
      write [[source]] with two brackets: there may be several
    "#);
}

#[test]
fn names() {
    refused!(with(&format!("name = \"none\"\n{SQLITE}")), @r#"
    HOST/etc/lapsed.toml:2: [[source]] 1: name = "none" is reserved for orphans
      give it another name
    "#);
    refused!(with(&format!("name = \"api\"\n{SQLITE}")), @r#"
    HOST/etc/lapsed.toml:2: [[source]] 1: name = "api" is reserved for the source to which programs report jobs
      give it another name, or write kind = "api"
    "#);
    refused!(with(&format!("name = \"a\\nb\"\n{SQLITE}")), @r#"HOST/etc/lapsed.toml:2: [[source]] 1: name = "a\nb" contains a control character"#);
    refused!(with_sqlite(&format!("[[source]]\nname = \"s\"\n{SQLITE}")), @r#"
    HOST/etc/lapsed.toml:7: [[source]] 2: name = "s" is taken by the source at HOST/etc/lapsed.toml:2
      give it another name
    "#);
}

#[test]
fn addresses() {
    let select = "select = \"SELECT id, status FROM jobs\"";
    refused!(with(&format!("name = \"s\"\nkind = \"postgres\"\n{select}")), @r#"
    HOST/etc/lapsed.toml:1: [[source]] "s": url is missing, and DATABASE_URL is not set
      such as url = "postgresql://lapsed@db.example.org/app", or set DATABASE_URL
    "#);
    refused!(with(&format!("name = \"s\"\nkind = \"postgres\"\n{select}")).set("DATABASE_URL", "mysql://u:hunter2@h/d"), @r#"
    HOST/etc/lapsed.toml:1: [[source]] "s": DATABASE_URL is the address of an unsupported kind of database
      such as postgresql://user:password@host:5432/database, or sqlite:///jobs.db
    "#);
    refused!(with(&format!("name = \"s\"\nurl = \"postgresql://u:hunter2@h:x/d\"\n{select}")), @r#"
    HOST/etc/lapsed.toml:3: [[source]] "s": url has an unreadable option port
      such as postgresql://user:password@host:5432/database; special characters of a password as %40
    "#);
    refused!(with(&format!("name = \"s\"\nurl = \"${{SECRET}}\"\n{select}")).set("SECRET", "hunter2"), @r#"
    HOST/etc/lapsed.toml:3: [[source]] "s": url is an invalid database address
      such as postgresql://user:password@host:5432/database, or sqlite:///jobs.db
    "#);
    refused!(with(&format!("name = \"s\"\nkind = \"sqlite\"\nurl = \"postgresql://h/d\"\n{select}")), @r#"
    HOST/etc/lapsed.toml:4: [[source]] "s": url is the address of a postgres database
      omit kind, or write kind = "postgres"
    "#);
    refused!(with(&format!("name = \"s\"\nurl = \"sqlite:///x.db\"\npath = \"x.db\"\n{select}")), @r#"
    HOST/etc/lapsed.toml:3: [[source]] "s": url says the same as path
      leave out one of them
    "#);
    refused!(with(&format!("name = \"s\"\nurl = \"postgresql://h/d\"\npath = \"x\"\npoll = \"10ms\"\nchannel = \"\"\nstatement_timeout = 5\n{select}")), @r#"
    HOST/etc/lapsed.toml:4: [[source]] "s": path has no effect with kind = "postgres": a server has no file
      allowed: name, kind, url, host, port, user, password, dbname, select, changed, status, statuses, timezone, mark, forget, channel, poll, statement_timeout, required, listed, files_root, path_map, derived, id_pattern
    HOST/etc/lapsed.toml:5: [[source]] "s": poll = "10ms" is shorter than the limit of 1s
    HOST/etc/lapsed.toml:6: [[source]] "s": channel = "" is empty, but must be a name
    HOST/etc/lapsed.toml:7: [[source]] "s": statement_timeout = 5 is a number, but must be a string
      such as statement_timeout = "30s"
    "#);
    refused!(with_sqlite("channel = \"x\""), @r#"
    HOST/etc/lapsed.toml:6: [[source]] "s": channel has no effect with kind = "sqlite": its file is watched
      allowed: name, kind, path, url, select, changed, status, statuses, timezone, add_columns, mark, forget, required, listed, files_root, path_map, derived, id_pattern; did you mean "changed"?
    "#);
}

#[test]
fn what_says_nothing_for_an_api() {
    refused!(with("name = \"s\"\nkind = \"api\"\npath = \"x\"\nselect = \"x\"\nmark = \"x\"\nstatuses = { a = \"failed\" }\ntimezone = \"UTC\""), @r#"
    HOST/etc/lapsed.toml:4: [[source]] "s": path has no effect with kind = "api": programs report these jobs
      allowed: name, kind, files_root, path_map, derived, id_pattern
    HOST/etc/lapsed.toml:5: [[source]] "s": select has no effect with kind = "api": programs report these jobs
      allowed: name, kind, files_root, path_map, derived, id_pattern
    HOST/etc/lapsed.toml:6: [[source]] "s": mark = "x" does not name the job: it would change every row
      such as … WHERE id = :job
    HOST/etc/lapsed.toml:6: [[source]] "s": mark has no effect with kind = "api": programs report these jobs
      allowed: name, kind, files_root, path_map, derived, id_pattern
    HOST/etc/lapsed.toml:7: [[source]] "s": statuses has no effect with kind = "api": programs report these jobs
      allowed: name, kind, files_root, path_map, derived, id_pattern
    HOST/etc/lapsed.toml:8: [[source]] "s": timezone has no effect with kind = "api": programs report these jobs
      allowed: name, kind, files_root, path_map, derived, id_pattern
    "#);
}

#[test]
fn statements() {
    refused!(with("name = \"s\"\nkind = \"sqlite\"\npath = \"\"\nselect = \" \"\nchanged = 5\nmark = []\nforget = [\"x\", \"\"]"), @r#"
    HOST/etc/lapsed.toml:4: [[source]] "s": path = "" is empty, but must be a path
    HOST/etc/lapsed.toml:5: [[source]] "s": select = " " is empty, but must be a statement of SQL
    HOST/etc/lapsed.toml:6: [[source]] "s": changed = 5 is a number, but must be a string
      such as changed = "SELECT id, status, changed_at FROM jobs WHERE changed_at >= :since"
    HOST/etc/lapsed.toml:7: [[source]] "s": mark = [] is an empty list
      omit mark, or write such as mark = "UPDATE jobs SET cleaned_at = :now WHERE id = :job"
    HOST/etc/lapsed.toml:8: [[source]] "s": forget = "" is empty, but must be a statement of SQL
    HOST/etc/lapsed.toml:8: [[source]] "s": forget = "x" does not name the job: it would change every row
      such as … WHERE id = :job
    "#);
    refused!(with("name = \"s\"\nkind = \"sqlite\"\npath = \"~/x\"\nselect = \"${NONE}\""), @r#"
    HOST/etc/lapsed.toml:4: [[source]] "s": path = "~/x" begins with "~", which only a shell understands
      write ${HOME} in the file, $HOME on the command line, or ./~ if that is its name
    HOST/etc/lapsed.toml:5: [[source]] "s": select = "${NONE}" names variable NONE, which is not set
      set it, or give a default: ${NONE:-default}
    "#);
}

#[test]
fn statuses() {
    refused!(with_sqlite("status = \"done\""), @r#"
    HOST/etc/lapsed.toml:6: [[source]] "s": status = "done" is an unknown status
      allowed: pending, running, completed, failed, cancelled
    "#);
    refused!(with_sqlite("statuses = { done = \"complete\", \"in work\" = \"busy\", x = 5 }"), @r#"
    HOST/etc/lapsed.toml:6: [[source]] "s": statuses."in work" = "busy" is an unknown status
      allowed: pending, running, completed, failed, cancelled
    HOST/etc/lapsed.toml:6: [[source]] "s": statuses.done = "complete" is an unknown status
      allowed: pending, running, completed, failed, cancelled; did you mean "completed"?
    HOST/etc/lapsed.toml:6: [[source]] "s": statuses.x = 5 is a number, but must be a string
      such as statuses = { done = "completed" }
    "#);
    refused!(with_sqlite("statuses = \"completed\""), @r#"
    HOST/etc/lapsed.toml:6: [[source]] "s": statuses = "completed" is a string, but must be a table of strings
      such as statuses = { done = "completed" }
    "#);
    refused!(with_sqlite("statuses = 5"), @r#"
    HOST/etc/lapsed.toml:6: [[source]] "s": statuses = 5 is a number, but must be a table of strings
      such as statuses = { done = "completed" }
    "#);
    refused!(with_sqlite("statuses = {}"), @r#"
    HOST/etc/lapsed.toml:6: [[source]] "s": statuses = {} is an empty table
      omit statuses, or write such as statuses = { done = "completed" }
    "#);
    refused!(with_sqlite("status = \"failed\"\nstatuses = { a = \"failed\" }"), @r#"
    HOST/etc/lapsed.toml:7: [[source]] "s": statuses has no effect beside status, which applies to every job
      leave out one of them
    "#);
    refused!(with_sqlite("statuses.a = \"${WORD}\"").set("WORD", "odd"), @r#"
    HOST/etc/lapsed.toml:6: [[source]] "s": statuses.a = "odd" (from "${WORD}") is an unknown status
      allowed: pending, running, completed, failed, cancelled
    "#);
}

#[test]
fn timezones() {
    refused!(with_sqlite("timezone = \"Europe/Atlantis\""), @r#"
    HOST/etc/lapsed.toml:6: [[source]] "s": timezone = "Europe/Atlantis" is an unknown time zone
      allowed: UTC, local, or an IANA name such as Europe/Berlin
    "#);
    refused!(with_sqlite("timezone = { created = \"UTC\", completed_at = \"+01:00\" }"), @r#"
    HOST/etc/lapsed.toml:6: [[source]] "s": timezone.completed_at = "+01:00" is an unknown time zone
      allowed: UTC, local, or an IANA name such as Europe/Berlin
    HOST/etc/lapsed.toml:6: [[source]] "s": timezone.created = "UTC" is for "created", which is not a timestamp column
      allowed: created_at, started_at, completed_at, last_activity, expires_at, cleaned_at
    "#);
    refused!(with_sqlite("timezone = [\"UTC\"]"), @r#"
    HOST/etc/lapsed.toml:6: [[source]] "s": timezone = […] is a list, but must be a string or a table of strings
      such as timezone = { completed_at = "local" }
    "#);
}

#[test]
fn claims() {
    refused!(with_sqlite("files_root = \"no/../x\"\nderived = [\"{stem}/x\", \"x\", \"{stem}{name}\", \"{stem}_{job}\", \"\"]"), @r#"
    HOST/etc/lapsed.toml:6: [[source]] "s": files_root = "no/../x" has ".." behind "HOST/data/no", which does not exist
      write the path without ".."
    HOST/etc/lapsed.toml:7: [[source]] "s": derived = "" has neither {stem} nor {name} in it, and would be the same for all files
      allowed: text with one {stem} or {name}, such as "{stem}_processed.mp3"
    HOST/etc/lapsed.toml:7: [[source]] "s": derived = "x" has neither {stem} nor {name} in it, and would be the same for all files
      allowed: text with one {stem} or {name}, such as "{stem}_processed.mp3"
    HOST/etc/lapsed.toml:7: [[source]] "s": derived = "{stem}/x" contains "/": it must be the name of a file beside the claimed one
      allowed: text with one {stem} or {name}, such as "{stem}_processed.mp3"
    HOST/etc/lapsed.toml:7: [[source]] "s": derived = "{stem}_{job}" has braces around something else than stem or name
      allowed: text with one {stem} or {name}, such as "{stem}_processed.mp3"
    HOST/etc/lapsed.toml:7: [[source]] "s": derived = "{stem}{name}" has more than one {stem} or {name} in it
      allowed: text with one {stem} or {name}, such as "{stem}_processed.mp3"
    "#);
}

#[test]
fn patterns_of_ids() {
    refused!(with_sqlite("id_pattern = \"a[\""), @r#"
    HOST/etc/lapsed.toml:6: [[source]] "s": id_pattern = "a[" is an invalid regular expression: unclosed character class
      such as 'job-\d{8}-\d{6}'; it is matched with whole ids, so that neither "^" nor "$" is needed
    "#);
    refused!(with_sqlite("id_pattern = \"a)(b\""), @r#"
    HOST/etc/lapsed.toml:6: [[source]] "s": id_pattern = "a)(b" is an invalid regular expression: unopened group
      such as 'job-\d{8}-\d{6}'; it is matched with whole ids, so that neither "^" nor "$" is needed
    "#);
    refused!(with_sqlite("id_pattern = \"\""), @r#"HOST/etc/lapsed.toml:6: [[source]] "s": id_pattern = "" is empty, but must be a regular expression"#);
    refused!(with_sqlite("id_pattern = \"(a{1000}){1000}\""), @r#"
    HOST/etc/lapsed.toml:6: [[source]] "s": id_pattern = "(a{1000}){1000}" takes more than the limit of 10485760 bytes when it is compiled
      write smaller numbers of repetitions
    "#);
    refused!(with_sqlite("id_pattern = \"^a$\""), @r#"
    HOST/etc/lapsed.toml:6: [[source]] "s": id_pattern = "^a$" has a "$" that names no variable
      write ${NAME} for a variable, ${NAME:-default} for one with a default, ${NAME:+text} for text where it is set, ${NAME?then:else} for one of two texts, $$ for a dollar
    "#);
    refused!(with_sqlite("id_pattern = \"(?x)a # b\""), @r#"
    HOST/etc/lapsed.toml:6: [[source]] "s": id_pattern = "(?x)a # b" cannot be matched with whole ids: it ends in a comment
      leave the comment out
    "#);
}

#[test]
fn translations_of_prefixes() {
    let map = r#"path_map = { "" = "data", "/a/../b" = "data", "/c" = "", "/d" = "data", "/d/." = "data" }"#;
    refused!(with_sqlite(map), @r#"
    HOST/etc/lapsed.toml:6: [[source]] "s": path_map."" = "data" is for "", which is not the beginning of a path without ".."
      such as { "/data" = "data" }
    HOST/etc/lapsed.toml:6: [[source]] "s": path_map."/a/../b" = "data" is for "/a/../b", which is not the beginning of a path without ".."
      such as { "/data" = "data" }
    HOST/etc/lapsed.toml:6: [[source]] "s": path_map."/c" = "" is empty, but must be a path
    HOST/etc/lapsed.toml:6: [[source]] "s": path_map."/d/." = "data" is for "/d", which has a translation already
      leave out one of them
    "#);
}

#[test]
fn sources_of_roots() {
    refused!(with_sqlite("[[root]]\npath = \"a\"\nsource = \"sx\"\nowner = \"{job}/**\""), @r#"
    HOST/etc/lapsed.toml:8: [[root]] 1: source = "sx" is an unknown source
      allowed: s, api; did you mean "s"?
    "#);
    refused!(with_sqlite("[[source]]\nname = \"t\"\nkind = \"api\"\n[[root]]\npath = \"a\"\nowner = \"{job}/**\""), @r#"
    HOST/etc/lapsed.toml:9: [[root]] 1: has an owner, but no source
      add source = "…"; sources: s, t
    "#);
    refused!(with_sqlite("[[root]]\npath = \"a\"\norphans = \"{uuid}/**\""), @r#"
    HOST/etc/lapsed.toml:6: [[root]] 1: has orphans, but no source
      add source = "…", or owner = "{job}/**"
    "#);
    refused!(with_sqlite("[[root]]\npath = \"a\"\nsource = \"s\"\norphans = \"{uid}/**\""), @r#"
    HOST/etc/lapsed.toml:9: [[root]] 1: orphans = "{uid}/**" is an invalid template: byte 0: unknown class {uid}
      allowed are text, "*" within a segment, "**" as a segment, and {job}, {name}, {stem}, {uuid}, {digits}
    "#);
    refused!(with_sqlite("[[root]]\npath = \"a\"\nsource = [\"s\"]\norphans = \"*\""), @r#"
    HOST/etc/lapsed.toml:8: [[root]] 1: source = […] is a list, but must be a string
      such as source = "app"
    "#);
}

#[test]
fn one_mistake_is_reported_once() {
    // The root's source is the one whose name is refused: not unknown, too.
    refused!(with(&format!("name = \"${{NONE}}\"\n{SQLITE}[[root]]\npath = \"a\"\nsource = \"s\"\n[[rule]]\nroot = \"a\"\nsource = \"s\"\nsince = \"created_at\"\nexpire = \"1d\"")), @r#"
    HOST/etc/lapsed.toml:2: [[source]] 1: name = "${NONE}" names variable NONE, which is not set
      set it, or give a default: ${NONE:-default}
    "#);
    // Whether it has statements cannot be known.
    refused!(with("name = \"s\"\nkind = \"sqlite\"\nselect = \"x\"\n[[rule]]\nunit = \"job\"\nrecord = \"mark\"\nexpire = \"1d\""), @r#"
    HOST/etc/lapsed.toml:1: [[source]] "s": path is missing
      such as path = "jobs.db"
    "#);
}

#[test]
fn ceilings_for_orphans() {
    let text = "[breaker]\norphan_entries = -1\norphan_bytes = \"some\"\norphan_share = 2";
    refused!(Host::with(&format!("{text}\n{ROOT}")), @r#"
    HOST/etc/lapsed.toml:2: [breaker]: orphan_entries = -1 is not a whole number
      allowed: 0 and up, such as 1000
    HOST/etc/lapsed.toml:3: [breaker]: orphan_bytes = "some" is an invalid size
      examples: 16MiB, 1GiB, 500MB, or a number of bytes; or none
    HOST/etc/lapsed.toml:4: [breaker]: orphan_share = 2 is an invalid share
      allowed: 0 to 1, such as 0.5
    "#);
    let host = Host::with(ROOT).set("LAPSED_BREAKER_ORPHAN_BYTES", "2EiB");
    refused!(host, @r#"
    LAPSED_BREAKER_ORPHAN_BYTES = "2EiB" is an invalid size
      examples: 16MiB, 1GiB, 500MB, or a number of bytes; or none
    "#);
    let host = Host::with(ROOT).set("LAPSED_BREAKER_ORPHAN_BYTES", "none");
    assert_eq!(host.good().breaker.orphan_bytes, None);
}
