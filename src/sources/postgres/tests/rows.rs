//! Meaning of rows, and readings of all of them.

use super::harness::{Cluster, Place, Watched};
use crate::core::jobs::{JobChange, JobLookup, JobRow, Status};
use crate::sources::context::SourceContext;
use crate::sources::postgres::PostgresDatabase;
use crate::sources::postgres::connection::ConnectionRole;
use crate::sources::postgres::plan::{self, PAGE};
use crate::sources::snapshot_diff::ScanStrategy;
use crate::sources::tests::reports::SOURCE;
use serde_json::json;
use std::sync::Arc;

fn row(watched: &Watched, id: &str) -> JobRow {
    match watched.source.fresh(id) {
        JobLookup::Row(row) => *row,
        other => panic!("{id}: {other:?}"),
    }
}

#[test]
fn every_type_is_read() {
    let place = Place::empty();
    place.session.run(
        "CREATE TYPE state AS ENUM ('completed', 'running');
         CREATE TABLE jobs (id uuid PRIMARY KEY, state state, kind varchar(9), t1 timestamptz, t2 timestamp, t3 date, t4 bigint, t5 text,
           paths text[], error text, a bool, b numeric, c float8, d jsonb, e bytea, f int[], g interval, h citext_or_text);
        "
        .replace("h citext_or_text", "h char(4)")
        .as_str(),
    );
    place.session.run(
        "SET timezone = 'Asia/Tokyo';
         INSERT INTO jobs VALUES ('4F2B0C9E-0000-4000-8000-00000000BEEF', 'completed', 'sol', '2026-07-01 12:00:00.0001Z', '2026-07-01 12:00:00',
           '2026-07-02', 1700000000, '2026-07-01T12:00:00+02:00', '{a b,NULL,\"c/d\"}', 'why', true, 2.50, 0.5, '{\"x\": [1]}', '\\x00ff', '{1,2}', '1 day', 'x')",
    );
    let mut options = place.options();
    options.queries.select = "SELECT id, state AS status, kind, t1 AS created_at, t2 AS completed_at, t3 AS last_activity, t4 AS expires_at, \
         t5 AS cleaned_at, paths AS files, error, a, b, c, d, e, f, g, h FROM jobs; -- end"
        .to_owned();
    options.queries.select = options.queries.select.replace("; -- end", " -- end");
    options.queries.timezones = [("completed_at".to_owned(), "Europe/Berlin".to_owned())].into();
    let watched = Watched::loaded(options);
    let row = row(&watched, "4f2b0c9e-0000-4000-8000-00000000beef");
    assert_eq!(row.status, Status::Completed);
    assert_eq!(row.kind.as_deref(), Some("sol"));
    assert_eq!(row.files, ["a b", "c/d"]);
    assert_eq!(row.error.as_deref(), Some("why"));
    assert_eq!(row.unreadable, None);
    let moments = [
        row.moments.created_at,
        row.moments.completed_at,
        row.moments.last_activity,
        row.moments.expires_at,
        row.moments.cleaned_at,
    ];
    assert_eq!(
        moments.map(|at| at.unwrap().to_string()),
        [
            "2026-07-01T12:00:00.001Z",
            "2026-07-01T10:00:00.000Z",
            "2026-07-02T00:00:00.000Z",
            "2023-11-14T22:13:20.000Z",
            "2026-07-01T10:00:00.000Z"
        ]
    );
    assert_eq!(
        serde_json::to_value(&row.attributes).unwrap(),
        json!({"a": true, "b": 2.5, "c": 0.5, "d": {"x": [1]}, "e": null, "f": [1, 2], "g": "1 day", "h": "x"})
    );
    assert!(watched.look(|table| table.row(&row.id).unwrap().decides_as(&row)));
}

#[test]
fn what_cannot_be_read_holds_its_job_only() {
    let place = Place::filled();
    place.session.run(
        "INSERT INTO jobs (id, status, completed_at) VALUES ('never', 'completed', 'infinity'), ('ever', 'completed', '-infinity');
         INSERT INTO jobs (id, status, files) VALUES ('list', 'completed', '[1]'), ('odd', 'stuck', NULL)",
    );
    let watched = Watched::loaded(place.options());
    watched.look(|table| {
        for (id, why) in [
            ("never", "column completed_at: \"infinity\""),
            ("ever", "column completed_at: \"-infinity\""),
            ("list", "column files: \"[1]\""),
        ] {
            assert_eq!(table.row(id).unwrap().unreadable.as_deref(), Some(why));
        }
        let odd = table.row("odd").unwrap();
        assert_eq!(odd.unknown_status.as_deref(), Some("stuck"));
        assert_eq!(table.row("a").unwrap().unreadable, None);
    });
}

#[test]
fn hostile_ids_are_only_values() {
    let place = Place::filled();
    let long = "x".repeat(10_000);
    let ids = [
        "it's",
        "a\"b",
        "../../etc/passwd",
        "$1",
        ":job",
        "'); DROP TABLE jobs; --",
        "\\",
        "line\nbreak",
        "größe \u{1f600}",
        long.as_str(),
    ];
    for id in ids {
        // The index takes no more than some thousand bytes, uncompressed.
        let quoted = id.replace('\'', "''");
        place.session.run(&format!(
            "INSERT INTO jobs (id, status, files) VALUES ('{quoted}', 'completed', '{quoted}')"
        ));
    }
    let watched = Watched::loaded(place.options());
    for id in ids {
        assert_eq!(row(&watched, id).id, id);
        let known = watched.look(|table| table.row(id).unwrap().files.clone());
        assert_eq!(known, [id]);
    }
    for id in ["", "nobody", "nul\0byte", "IT'S"] {
        assert_eq!(watched.source.fresh(id), JobLookup::Gone, "{id}");
    }
}

#[test]
fn an_id_of_another_form_is_no_row_and_another_spelling_is_not_none() {
    let place = Place::empty();
    place
        .session
        .run("CREATE TABLE jobs (id bigint PRIMARY KEY, status text); INSERT INTO jobs VALUES (7, 'completed'), (70, 'running')");
    let mut options = place.options();
    options.queries.select = "SELECT id, status FROM jobs".to_owned();
    let watched = Watched::loaded(options);
    assert_eq!(row(&watched, "7").status, Status::Completed);
    for id in ["x", "7.0", "99999999999999999999", "../7", ""] {
        assert_eq!(watched.source.fresh(id), JobLookup::Gone, "{id}");
    }
    // The same number to the server: a file that is called so is not nobody's.
    for id in ["07", " 7"] {
        let fresh = watched.source.fresh(id);
        assert!(
            matches!(&fresh, JobLookup::Unknown(why) if why.starts_with("it has that job as \"7\"")),
            "{id}: {fresh:?}"
        );
    }
    assert_eq!(watched.source.fresh("08"), JobLookup::Gone);
    // A query that stumbles over a row tells of no id at all.
    place.session.run(
        "CREATE FUNCTION strict(bigint) RETURNS text LANGUAGE sql AS $$ SELECT CASE WHEN $1 = 70 THEN ('x' || $1)::int::text ELSE 'completed' END $$",
    );
    let mut options = place.options();
    options.queries.select = "SELECT id, strict(id) AS status FROM jobs".to_owned();
    let broken = Watched::start(options);
    assert!(
        broken.down().contains("select: invalid input syntax"),
        "{}",
        broken.down()
    );
    assert!(matches!(broken.source.fresh("70"), JobLookup::Unknown(_)));
}

#[test]
fn a_database_without_an_encoding_is_read() {
    let name = format!("ascii_{}", std::process::id());
    let cluster = Cluster::shared();
    cluster.session("postgres").run(&format!(
        "CREATE DATABASE {name} ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
    ));
    let session = cluster.session(&name);
    session.run(
        "CREATE TABLE jobs (id text PRIMARY KEY, status text, files text);
         SET client_encoding = 'SQL_ASCII';
         INSERT INTO jobs VALUES ('good', 'completed', 'gr\u{f6}\u{df}e'), (E'bad\\377', 'completed', NULL), ('files', 'completed', E'\\377')",
    );
    session.run("INSERT INTO jobs SELECT 'z' || i || E'\\376', 'running', NULL FROM generate_series(10000, 19999) AS i");
    let mut options = super::harness::options(&cluster.url(&name));
    options.queries.select = "SELECT id, status, files FROM jobs".to_owned();
    session.run("ANALYZE jobs");
    let watched = Watched::loaded(options);
    assert_eq!(watched.look(|table| table.rows.len()), 3);
    // Nobody can name the others: they may own any file.
    let unnamed = watched.look(|table| table.row(JobRow::UNNAMED).cloned());
    assert!(unnamed.unwrap().has_unread_files);
    assert_eq!(row(&watched, "good").files, ["gr\u{f6}\u{df}e"]);
    assert!(row(&watched, "files").unreadable.is_some());
}

#[test]
fn a_latin_database_is_read() {
    let name = format!("latin_{}", std::process::id());
    let cluster = Cluster::shared();
    cluster.session("postgres").run(&format!(
        "CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
    ));
    let session = cluster.session(&name);
    session.run(super::harness::SCHEMA);
    session.run("INSERT INTO jobs (id, status) VALUES ('größe', 'completed')");
    let watched = Watched::loaded(super::harness::options(&cluster.url(&name)));
    assert_eq!(row(&watched, "größe").id, "größe");
    // What the database cannot even spell is not in it.
    assert_eq!(watched.source.fresh("\u{1f600}"), JobLookup::Gone);
}

#[test]
fn a_hundred_thousand_are_read_in_pages() {
    let place = Place::filled();
    place.session.run(
        "INSERT INTO jobs (id, status, kind) SELECT md5(i::text), 'completed', 'k' FROM generate_series(1, 100000) AS i; ANALYZE jobs",
    );
    let watched = Watched::loaded(place.options());
    assert_eq!(watched.look(|table| table.rows.len()), 100_002);
    let many = |news: &&JobChange| matches!(news, JobChange::Rows(rows) if rows.len() == 1000);
    assert_eq!(
        watched.look(|table| table.told.iter().filter(many).count()),
        100
    );
    // A reading that is owed and has to rest is waited for asleep.
    place.session.run("NOTIFY lapsed_eemt");
    watched.until("stale", |table| {
        table.told.last() == Some(&JobChange::Stale)
    });
    let turns = watched.source.stats().turns;
    for _ in 0..100 {
        place
            .session
            .run("SELECT count(*) FROM generate_series(1, 10000)");
    }
    assert!(watched.source.stats().turns < turns + 20);
    // Most of them go, and one changes.
    place
        .session
        .run("DELETE FROM jobs WHERE kind = 'k' AND id > '1'; UPDATE jobs SET status = 'failed' WHERE id = 'a'");
    let left = place.session.value("SELECT count(*) FROM jobs").unwrap();
    let left: usize = left.parse().unwrap();
    watched.until("read again", |table| {
        table.rows.len() == left
            && table
                .row("a")
                .is_none_or(|row| row.status == Status::Failed)
    });
}

#[test]
fn pages_need_an_index_and_one_order() {
    let place = Place::filled();
    place.session.run(
        "INSERT INTO jobs (id, status) SELECT 'j' || i, 'completed' FROM generate_series(1, 20000) AS i;
         CREATE COLLATION lax (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
         CREATE TABLE lax (id text COLLATE lax PRIMARY KEY, status text);
         INSERT INTO lax SELECT 'j' || i, 'completed' FROM generate_series(1, 20000) AS i;
         CREATE TABLE numbers (id int PRIMARY KEY, status text); INSERT INTO numbers SELECT i, 'failed' FROM generate_series(1, 20000) AS i;
         CREATE VIEW seen AS SELECT id, status FROM jobs WHERE status <> 'hidden'; ANALYZE",
    );
    for (select, strategy) in [
        ("SELECT id, status FROM jobs", ScanStrategy::Paged),
        ("SELECT id, status FROM numbers", ScanStrategy::Paged),
        ("SELECT id, status FROM seen", ScanStrategy::Paged),
        ("SELECT id, status FROM lax", ScanStrategy::SinglePass),
        (
            "SELECT upper(id) AS id, status FROM jobs",
            ScanStrategy::SinglePass,
        ),
        (
            "SELECT kind AS id, max(status) AS status FROM jobs GROUP BY kind",
            ScanStrategy::SinglePass,
        ),
        (
            "SELECT id, status FROM jobs UNION ALL SELECT id::text, status FROM numbers",
            ScanStrategy::SinglePass,
        ),
    ] {
        let mut options = place.options();
        select.clone_into(&mut options.queries.select);
        let context = SourceContext::new(SOURCE, "eemt", &options.queries).unwrap();
        let database = PostgresDatabase::new(&options, Arc::new(context));
        let connected = database.connect_with_shape(ConnectionRole::Reads, None);
        let (link, shape) = connected.unwrap();
        let plan = plan::plan(&link, &shape).unwrap();
        assert_eq!(plan.strategy, strategy, "{select}");
        assert!(!plan.relations.is_empty());
    }
    // Whatever order people gave to the ids, none is missed at the end of a page.
    for select in [
        "SELECT id, status FROM lax",
        "SELECT id, status FROM numbers",
    ] {
        let mut options = place.options();
        select.clone_into(&mut options.queries.select);
        let watched = Watched::loaded(options);
        assert_eq!(watched.look(|table| table.rows.len()), 20_000, "{select}");
    }
    assert_eq!(20_000 % PAGE, 0);
}

#[test]
fn no_transaction_is_held_open() {
    let place = Place::telling();
    let watched = Watched::loaded(place.options());
    place
        .session
        .run("UPDATE jobs SET status = 'failed' WHERE id = 'a'");
    watched.until("heard", |table| {
        table.row("a").unwrap().status == Status::Failed
    });
    let _ = row(&watched, "a");
    let held = place.session.value(
        "SELECT count(*)::text FROM pg_stat_activity WHERE application_name = 'lapsed' AND datname = current_database() \
         AND (state LIKE 'idle in transaction%' OR xact_start IS NOT NULL OR backend_xmin IS NOT NULL)",
    );
    assert_eq!(held.as_deref(), Some("0"));
    let connections = place.session.value(
        "SELECT count(*)::text FROM pg_stat_activity WHERE application_name = 'lapsed' AND datname = current_database()",
    );
    assert_eq!(connections.as_deref(), Some("2"));
}
