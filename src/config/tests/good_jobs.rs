//! Sources of jobs, and rules that ask them: what is accepted, and what it means.

use std::collections::BTreeMap;

use crate::core::claim::Unit;
use crate::core::facts::RootId;
use crate::core::jobs::{SourceId, Status};
use crate::core::policy::{Derived, JobFilter, Record, Since, Source};

use super::*;
use crate::sources::{DatabaseOptions, Queries, SqliteOptions, TlsMode, TlsRoots};

const SQLITE: &str = "kind = \"sqlite\"\npath = \"jobs.db\"\nselect = \"SELECT id FROM jobs\"\n";

fn sqlite(found: &Settings, id: u16) -> &SqliteOptions {
    match &found.sources[&SourceId(id)].kind {
        SourceKind::Database(DatabaseOptions::Sqlite(sqlite)) => sqlite,
        other => panic!("{other:?}"),
    }
}

fn policy_of(found: &Settings, id: u16) -> &Source {
    &found.policy.sources[&SourceId(id)]
}

fn names(found: &Settings) -> Vec<(u16, &str)> {
    assert!(found.sources.keys().eq(found.policy.sources.keys()));
    let sources = found.sources.iter();
    sources
        .map(|(id, source)| {
            assert_eq!(source.name, found.policy.sources[id].name);
            (id.0, &*source.name)
        })
        .collect()
}

#[test]
fn everything_that_can_be_said_of_a_source() {
    let host = Host::with(
        r#"
[[root]]
path = "results"
owner = "{job}/**"
orphans = "{uuid}/**"

[[source]]
name = "eemt"
kind = "sqlite"
path = "${DB:-jobs.db}"
select = "SELECT id, ${NAMES} FROM jobs WHERE a = '$$'"
changed = "SELECT id, changed_at FROM jobs WHERE changed_at >= :since"
mark = "UPDATE jobs SET cleaned = :now WHERE id = :job"
forget = ["DELETE FROM metrics WHERE job_id = :job", "DELETE FROM jobs WHERE id = :job"]
statuses = { done = "completed", ERROR = "${BAD}", "in work" = "running" }
timezone = { created_at = "UTC", completed_at = "local", expires_at = "Europe/Berlin" }
files_root = "link/uploads"
path_map = { "/data" = "link", "/data//in/" = "${IN}", "files/." = "/srv/files" }
derived = ["{stem}_processed.mp3", "{name}.json"]
id_pattern = 'job-\d{8}|x'
add_columns = { "jobs.cleaned" = "VARCHAR(40)" }
"#,
    )
    .set("NAMES", "dem_filename AS files")
    .set("BAD", "failed")
    .set("IN", "incoming");
    std::os::unix::fs::symlink(host.path("etc"), host.path("data/link")).unwrap();
    let found = host.good();
    assert_eq!(names(&found), [(0, "eemt"), (1, "api")]);
    let wanted = SqliteOptions {
        path: host.path("data/jobs.db"),
        add_columns: BTreeMap::from([(("jobs".into(), "cleaned".into()), "VARCHAR(40)".into())]),
        queries: Queries {
            select: "SELECT id, dem_filename AS files FROM jobs WHERE a = '$'".into(),
            changed: Some("SELECT id, changed_at FROM jobs WHERE changed_at >= :since".into()),
            mark: vec!["UPDATE jobs SET cleaned = :now WHERE id = :job".into()],
            forget: vec![
                "DELETE FROM metrics WHERE job_id = :job".into(),
                "DELETE FROM jobs WHERE id = :job".into(),
            ],
            constant_status: None,
            statuses: BTreeMap::from([
                ("done".into(), Status::Completed),
                ("ERROR".into(), Status::Failed),
                ("in work".into(), Status::Running),
            ]),
            timezones: BTreeMap::from([
                ("created_at".into(), "UTC".into()),
                ("completed_at".into(), "local".into()),
                ("expires_at".into(), "Europe/Berlin".into()),
            ]),
        },
    };
    assert_eq!(sqlite(&found, 0), &wanted);
    assert_eq!(found.sources[&SourceId(1)].kind, SourceKind::Api);
    let source = policy_of(&found, 0);
    assert_eq!(source.base_dir, host.path("data"));
    assert_eq!(
        source.files_root,
        Some(host.path("etc/uploads")),
        "resolved"
    );
    let derived = ["{stem}_processed.mp3", "{name}.json"].map(|pattern| Derived {
        pattern: pattern.to_owned(),
    });
    assert_eq!(source.derived, derived);
    let map = [
        ("/data/in", host.path("data/incoming")),
        ("/data", host.path("etc")),
        ("files", "/srv/files".into()),
    ];
    let map = map.map(|(prefix, target)| (prefix.into(), target));
    assert_eq!(source.path_map, map, "the longest first, resolved");
    assert!(source.links.is_empty());
    assert!(source.claims);
    assert!(source.is_id("job-20250101") && source.is_id("x"));
    for no in ["", "job-20250101\n", "x\n", "xx", "job-2025010", " x"] {
        assert!(!source.is_id(no), "{no:?}");
    }
    let root = &found.policy.roots[&RootId(0)];
    assert_eq!(root.source, Some(SourceId(0)), "the only one of the file");
    let orphans = root.orphans.as_ref().unwrap();
    assert_eq!(orphans.as_str(), "{uuid}/**");
}

#[test]
fn what_a_source_does_not_say() {
    let text =
        format!("[[source]]\nname = \"a\"\n{SQLITE}timezone = \"local\"\nstatus = \"completed\"\n");
    let found = Host::with(&format!("{text}[[root]]\npath = \"x\"\n")).good();
    let queries = &sqlite(&found, 0).queries;
    assert_eq!(queries.constant_status, Some(Status::Completed));
    let columns = [
        "cleaned_at",
        "completed_at",
        "created_at",
        "expires_at",
        "last_activity",
        "started_at",
    ];
    assert!(queries.timezones.keys().eq(columns));
    assert!(queries.timezones.values().all(|zone| zone == "local"));
    assert!(queries.changed.is_none() && queries.mark.is_empty() && queries.forget.is_empty());
    let source = policy_of(&found, 0);
    assert!(!source.claims && source.derived.is_empty() && source.files_root.is_none());
    assert!(source.is_id("a\n") && !source.is_id(""));
    let root = &found.policy.roots[&RootId(0)];
    assert_eq!((root.source, root.orphans.is_some()), (None, false));
}

#[test]
fn a_source_of_kind_api_is_always_there() {
    let root = "[[root]]\npath = \"x\"\nowner = \"{job}/**\"\n";
    let found = Host::with(root).good();
    assert_eq!(names(&found), [(0, "api")]);
    assert_eq!(found.policy.roots[&RootId(0)].source, Some(SourceId(0)));
    assert!(policy_of(&found, 0).claims);
    let text = "[[source]]\nname = \"jobs\"\nkind = \"api\"\nid_pattern = \"[a-z]+\"\nderived = \"{name}.x\"\nfiles_root = \"/srv\"\n";
    let found = Host::with(&format!("{root}{text}")).good();
    assert_eq!(names(&found), [(0, "jobs")], "no other beside it");
    assert!(!policy_of(&found, 0).is_id("A"));
    assert_eq!(names(&Host::new().watch(&["x=1s"]).good()), [(0, "api")]);
}

#[test]
fn a_root_behind_a_link_is_known_by_both_of_its_paths() {
    let text = format!("[[root]]\npath = \"link/files\"\n[[source]]\nname = \"a\"\n{SQLITE}");
    let host = Host::with(&text);
    std::os::unix::fs::symlink(host.path("etc"), host.path("data/link")).unwrap();
    let link = (host.path("data/link/files"), host.path("etc/files"));
    assert_eq!(policy_of(&host.good(), 0).links, [link]);
}

#[test]
fn a_root_names_its_source() {
    let two =
        format!("[[source]]\nname = \"a\"\n{SQLITE}[[source]]\nname = \"b\"\nkind = \"api\"\n");
    let text = r#"
[[root]]
path = "x"
owner = "{job}/**"
source = "${S}"
[[root]]
path = "y"
source = "a"
orphans = "{digits}.dat"
[[root]]
path = "z"
"#;
    let found = Host::with(&format!("{two}{text}")).set("S", "b").good();
    let roots: Vec<_> = found
        .policy
        .roots
        .values()
        .map(|root| root.source)
        .collect();
    assert_eq!(roots, [Some(SourceId(1)), Some(SourceId(0)), None]);
    // A root may name the source that is always there.
    let text = "[[root]]\npath = \"x\"\nowner = \"{job}/**\"\nsource = \"api\"\n";
    let found = Host::with(&format!("{text}[[source]]\nname = \"a\"\n{SQLITE}")).good();
    assert_eq!(found.policy.roots[&RootId(0)].source, Some(SourceId(1)));
}

#[test]
fn a_source_keeps_its_id_over_reloads() {
    let mut ids = RootIds::default();
    let table = |name: &str| format!("[[source]]\nname = \"{name}\"\n{SQLITE}");
    let mut load = |sources: &[&str]| {
        let tables: String = sources.iter().map(|name| table(name)).collect();
        let host = Host::with(&format!("{tables}[[root]]\npath = \"x\"\n"));
        let found = load(&host.overrides, &host.environment, &mut ids).unwrap();
        let names = names(&found);
        let names = names.into_iter().map(|(id, name)| (id, name.to_owned()));
        names.collect::<Vec<_>>()
    };
    let named = |list: &[(u16, &str)]| -> Vec<(u16, String)> {
        let list = list.iter();
        list.map(|&(id, name)| (id, name.to_owned())).collect()
    };
    assert_eq!(load(&["a", "b"]), named(&[(0, "a"), (1, "b"), (2, "api")]));
    assert_eq!(load(&["c", "b"]), named(&[(1, "b"), (2, "api"), (3, "c")]));
    assert_eq!(load(&["a"]), named(&[(0, "a"), (2, "api")]));
}

#[test]
fn what_rules_say_of_jobs() {
    let host = Host::with(
        r#"
[[source]]
name = "db"
kind = "sqlite"
path = "jobs.db"
select = "SELECT * FROM jobs"
mark = "UPDATE jobs SET cleaned = 1 WHERE id = :job"
[[source]]
name = "told"
kind = "api"
[[root]]
path = "results"
owner = "{job}/**"
source = "db"
orphans = "{uuid}/**"
[[root]]
path = "other"

[[rule]]
name = "whole"
job = ["failed", "completed", "failed"]
kind = ["b", "${KIND}"]
source = ["told", "db"]
since = "completed_at"
expire = "0s"
unit = "job"
glob = "*/out/**"
record = "mark"
[[rule]]
name = "one"
job = "cancelled"
kind = "a"
source = "told"
expire = "1d"
record = "keep"
[[rule]]
name = "orphans"
root = "results"
job = "none"
[[rule]]
name = "other orphans"
job = ["none"]
since = "mtime"
unit = "dir"
expire = "3d"
[[rule]]
name = "by activity"
root = ["results", "other"]
since = "last_activity"
expire = "2h"
[[rule]]
name = "told away"
source = "told"
unit = "job"
expire = "2h"
record = "forget"
[[rule]]
name = "of the root"
root = "results"
unit = "job"
since = "expires_at"
expire = "0s"
record = "mark"
"#,
    )
    .set("KIND", "a");
    let found = host.good();
    let rule = |name| found.policy.rule(found.policy.rule_named(name).unwrap());
    let whole = rule("whole");
    let both = JobFilter::Standing(vec![Status::Completed, Status::Failed]);
    assert_eq!(whole.jobs, both);
    assert_eq!(whole.kinds, Some(vec!["a".into(), "b".into()]));
    assert_eq!(whole.sources, Some(vec![SourceId(0), SourceId(1)]));
    assert_eq!(
        (whole.since, whole.expire_ms),
        (Since::CompletedAt, Some(0))
    );
    assert_eq!((whole.unit, whole.record), (Unit::Job, Record::Mark));
    assert!(whole.glob.as_ref().unwrap().matches(b"j/out/a"));
    let one = rule("one");
    assert_eq!(one.jobs, JobFilter::Standing(vec![Status::Cancelled]));
    assert_eq!(one.sources, Some(vec![SourceId(1)]));
    assert_eq!((one.unit, one.record), (Unit::File, Record::Keep));
    let orphans = rule("orphans");
    assert_eq!(orphans.jobs, JobFilter::Nobody);
    assert_eq!(orphans.expire_ms, Some(86_400_000), "a day");
    assert_eq!(rule("other orphans").expire_ms, Some(259_200_000));
    let activity = rule("by activity");
    assert_eq!(
        (&activity.jobs, activity.since),
        (&JobFilter::Anyone, Since::LastActivity)
    );
    assert_eq!((&activity.kinds, &activity.sources), (&None, &None));
    assert_eq!(rule("told away").record, Record::Forget);
    assert_eq!(rule("of the root").since, Since::ExpiresAt);
}

#[test]
fn servers_by_the_parts_of_their_address() {
    let host = Host::with(
        "[[source]]\nname = \"app\"\nkind = \"postgres\"\nurl = \"${URL:-}\"\nhost = \"${DB_HOST:-db}\"\nport = \"${DB_PORT:-5433}\"\n\
         user = \"me\"\npassword = \"${DB_PASSWORD:-}\"\ndbname = \"app\"\ntimezone = \"${ZONE:-local}\"\n\
         select = \"SELECT id, status FROM jobs\"\n[[root]]\npath = \"x\"\n",
    )
    .set("DB_PASSWORD", "p@/%:$ ")
    .set("DATABASE_URL", "postgres://other@other/other");
    let postgres = |found: &Settings| match &found.sources[&SourceId(0)].kind {
        SourceKind::Database(DatabaseOptions::Postgres(postgres)) => (**postgres).clone(),
        other => panic!("{other:?}"),
    };
    let found = postgres(&host.good());
    assert_eq!(
        found.server.get_hosts(),
        [tokio_postgres::config::Host::Tcp("db".into())]
    );
    assert_eq!(found.server.get_ports(), [5433]);
    assert_eq!(found.server.get_user(), Some("me"));
    assert_eq!(found.server.get_password(), Some(&b"p@/%:$ "[..]));
    assert_eq!(found.server.get_dbname(), Some("app"));
    assert!(found.queries.timezones.values().all(|zone| zone == "local"));
    let host = host
        .set("URL", "postgresql://h/d")
        .set("ZONE", "America/Phoenix");
    let found = postgres(&host.good());
    assert_eq!(
        found.server.get_hosts(),
        [tokio_postgres::config::Host::Tcp("h".into())]
    );
    assert_eq!(
        (found.server.get_dbname(), found.server.get_user()),
        (Some("d"), Some("me"))
    );
    assert!(
        found
            .queries
            .timezones
            .values()
            .all(|zone| zone == "America/Phoenix")
    );
}

#[test]
fn empty_parts_of_an_address_may_stand_beside_a_file() {
    let text = |password: &str| {
        format!(
            "[[source]]\nname = \"app\"\nurl = \"sqlite:///jobs.db\"\nhost = \"\"\nport = \"${{DB_PORT:-}}\"\nuser = \"\"\n\
             password = \"{password}\"\ndbname = \"\"\nselect = \"SELECT id, status FROM jobs\"\n[[root]]\npath = \"x\"\n"
        )
    };
    let found = Host::with(&text("")).good();
    assert!(matches!(
        found.sources[&SourceId(0)].kind,
        SourceKind::Database(DatabaseOptions::Sqlite(_))
    ));
    assert!(Host::with(&text("x")).load().is_err());
    assert!(Host::with(&text("")).set("DB_PORT", "5432").load().is_err());
}

#[test]
fn servers_by_their_address() {
    let select = "select = \"SELECT id, status FROM jobs\"\n";
    let host = Host::with(&format!(
        "[[source]]\nname = \"My app\"\nurl = \"postgresql+asyncpg://u:${{PASSWORD}}@h/d?sslmode=verify-full&sslrootcert=ca.pem\"\n{select}\
         [[source]]\nname = \"t\"\nkind = \"postgres\"\nchannel = \"c\"\npoll = \"2s\"\nstatement_timeout = \"1m\"\n{select}\
         [[source]]\nname = \"f\"\nurl = \"sqlite:///jobs.db\"\n{select}[[root]]\npath = \"x\"\n"
    ))
    .set("PASSWORD", "hunter2")
    .set("DATABASE_URL", "postgres://me@other:1234/base");
    let found = host.good();
    let postgres = |id: u16| match &found.sources[&SourceId(id)].kind {
        SourceKind::Database(DatabaseOptions::Postgres(postgres)) => postgres,
        other => panic!("{other:?}"),
    };
    let first = postgres(0);
    assert_eq!(first.server.get_password(), Some(&b"hunter2"[..]));
    assert_eq!(first.channel, "lapsed_my_app");
    assert_eq!(
        (first.poll.as_secs(), first.statement_timeout.as_secs()),
        (10, 30)
    );
    assert_eq!(first.tls.mode, TlsMode::VerifyFull);
    assert!(matches!(&first.tls.roots, TlsRoots::File(path) if path.is_absolute()));
    assert!(!format!("{first:?}").contains("hunter2"));
    let other = postgres(1);
    assert_eq!(other.server.get_ports(), [1234]);
    assert_eq!(
        (
            other.channel.as_str(),
            other.poll.as_secs(),
            other.statement_timeout.as_secs()
        ),
        ("c", 2, 60)
    );
    assert!(sqlite(&found, 2).path.ends_with("jobs.db"));
}
