//! storage: databases that are away, emptied, or made with other types, and every variable of its document.

use super::database::{BOTH, DAY, Database, HOUR, Kind, YEAR, ago, utc};
use super::site::Site;
use super::storage::{Storage, TABLES, borrowed, every_kind, of};
use crate::common::sources::{source, uuid, wait_for_source};
use crate::common::{wait_for, wait_or_tell};
use crate::postgres::Cluster;

#[test]
fn a_table_that_loses_its_rows_makes_no_orphans() {
    for kind in BOTH {
        let storage = Storage::new(kind);
        for number in 0..20 {
            storage.job(&uuid(number), "completed", Some(ago(DAY)));
        }
        let before = storage.site.tree();
        let daemon = storage.serve();
        storage.site.assert_all_stay(&daemon, &before);
        storage.db.run("DELETE FROM metrics; DELETE FROM jobs");
        daemon.wait_until_said("the source had 20 jobs, and suddenly has 0");
        storage.site.assert_all_stay(&daemon, &before);
        // Whoever knows that they are orphans says so.
        storage.site.said(&["breaker", "release"]);
        let gone: Vec<String> = (0..20).flat_map(|number| of(&uuid(number))).collect();
        storage
            .site
            .wait_until_gone(&daemon, &before, &borrowed(&gone));
    }
}

#[test]
fn a_database_that_is_away_holds_jobs_and_orphans_until_it_comes() {
    let mut storage = Storage::new(Kind::Sqlite);
    let (due, ids) = every_kind(&storage);
    let (before, tables) = (storage.site.tree(), storage.tables());
    let (db, aside) = (
        storage.db.path().to_path_buf(),
        storage.site.place.path("aside.db"),
    );
    storage.db.rows("PRAGMA journal_mode = DELETE");
    for end in ["", "-wal", "-shm", "-journal"] {
        storage.site.set_apart(&format!("aside.db{end}"));
    }
    std::fs::rename(&db, &aside).unwrap();
    let daemon = storage.site.serve();
    wait_for_source(&daemon, "storage", "down");
    storage.site.assert_all_stay(&daemon, &before);
    std::fs::rename(&aside, &db).unwrap();
    let left = storage
        .site
        .wait_until_gone(&daemon, &before, &borrowed(&due));
    storage.wait_until_forgotten(&daemon, &tables, &ids);
    // It goes for good: another one that is empty is not believed.
    std::fs::rename(&db, &aside).unwrap();
    wait_for_source(&daemon, "storage", "down");
    storage.files(&uuid(60));
    assert_ne!(storage.site.tree(), left);
    let left = storage.site.tree();
    storage.site.assert_all_stay(&daemon, &left);
    let empty = Database::open(&db, "DELETE");
    empty.run(TABLES);
    wait_for_source(&daemon, "storage", "ready");
    storage.site.assert_all_stay(&daemon, &left);
}

#[test]
fn a_server_that_is_down_at_the_start_and_goes_down_later_holds_until_it_is_back() {
    let cluster = Cluster::new();
    let mut site = Site::new("storage");
    let name = cluster.database();
    site.set("DATABASE_URL", &cluster.url(&name));
    let mut storage = Storage::with(site, Database::on(&cluster, &name));
    let (due, ids) = every_kind(&storage);
    let (before, tables) = (storage.site.tree(), storage.tables());
    cluster.stop();
    let daemon = storage.site.serve();
    wait_for_source(&daemon, "storage", "down");
    storage.site.assert_all_stay(&daemon, &before);
    cluster.start();
    storage.db = Database::on(&cluster, &name);
    let left = storage
        .site
        .wait_until_gone(&daemon, &before, &borrowed(&due));
    storage.wait_until_forgotten(&daemon, &tables, &ids);
    storage.site.assert_all_stay(&daemon, &left);
    wait_for_source(&daemon, "storage", "ready");
    // And again, while it has something to say.
    let id = uuid(70);
    storage.job(&id, "running", None);
    let tables = storage.tables();
    wait_for("it is read", || {
        let (status, _) = daemon.get(&format!("/v1/jobs/{id}?source=storage"));
        (status == 200).then_some(())
    });
    let before = storage.site.tree();
    cluster.stop();
    wait_for_source(&daemon, "storage", "down");
    storage.site.assert_all_stay(&daemon, &before);
    cluster.start();
    storage.db = Database::on(&cluster, &name);
    storage.db.run(&format!(
        "UPDATE jobs SET status = 'completed', completed_at = '{}' WHERE id = '{id}'",
        utc(ago(31 * DAY))
    ));
    storage
        .site
        .wait_until_gone(&daemon, &before, &borrowed(&of(&id)));
    storage.wait_until_forgotten(&daemon, &tables, &[id]);
}

#[test]
fn ids_and_statuses_may_have_types_of_their_own() {
    let mut site = Site::new("storage");
    let db = Database::new(Kind::Postgres, &mut site, "");
    db.run(
        "CREATE TYPE jobstatus AS ENUM ('pending', 'running', 'completed', 'failed'); \
         CREATE TABLE jobs (id UUID PRIMARY KEY, status jobstatus NOT NULL, file_path VARCHAR(500), completed_at TIMESTAMPTZ, \
         error_message TEXT); \
         CREATE TABLE metrics (id SERIAL PRIMARY KEY, job_id UUID NOT NULL REFERENCES jobs (id) ON DELETE RESTRICT, \
         name TEXT, value DOUBLE PRECISION)",
    );
    let (old, young, busy) = (uuid(1), uuid(2), uuid(3));
    for (id, status, completed) in [
        (&old, "completed", "now() - interval '31 days'"),
        (&young, "completed", "now() - interval '29 days'"),
        (&busy, "running", "NULL"),
    ] {
        site.aged(&format!("data/outputs/{id}/result.json"), YEAR);
        db.run(&format!(
            "INSERT INTO jobs VALUES('{id}', '{status}', NULL, {completed}, NULL); \
             INSERT INTO metrics(job_id, name) VALUES('{id}', 'seconds')"
        ));
    }
    let before = site.tree();
    let daemon = site.serve();
    let left = site.wait_until_gone(&daemon, &before, &[&of(&old)[0]]);
    wait_or_tell(
        "the row goes",
        || {
            let ids = db.texts("SELECT id FROM jobs ORDER BY id");
            let metrics = db.texts("SELECT job_id FROM metrics ORDER BY job_id");
            (ids == [young.as_str(), &busy] && metrics == ids).then_some(())
        },
        || source(&daemon, "storage").to_string(),
    );
    site.assert_all_stay(&daemon, &left);
}

#[test]
fn the_retentions_are_taken_from_the_environment_and_zero_is_zero() {
    let cases = [
        ("RETENTION_COMPLETED_DAYS", "0", vec![1, 2]),
        ("RETENTION_COMPLETED_DAYS", "1", vec![2]),
        ("RETENTION_COMPLETED_DAYS", "60", vec![]),
        ("RETENTION_FAILED_DAYS", "0", vec![3, 4]),
        ("RETENTION_FAILED_DAYS", "1", vec![4]),
        ("RETENTION_FAILED_DAYS", "14", vec![]),
    ];
    for (variable, value, due) in cases {
        let mut storage = Storage::new(Kind::Sqlite);
        storage.site.set(variable, value);
        for (number, status, age) in [
            (1, "completed", HOUR),
            (2, "completed", 2 * DAY),
            (3, "failed", HOUR),
            (4, "failed", 2 * DAY),
            (5, "running", YEAR),
        ] {
            storage.job(&uuid(number), status, Some(ago(age)));
        }
        let (before, tables) = (storage.site.tree(), storage.tables());
        let ids: Vec<String> = due.into_iter().map(uuid).collect();
        let gone: Vec<String> = ids.iter().flat_map(|id| of(id)).collect();
        let daemon = storage.serve();
        let left = storage
            .site
            .wait_until_gone(&daemon, &before, &borrowed(&gone));
        storage.wait_until_forgotten(&daemon, &tables, &ids);
        storage.site.assert_all_stay(&daemon, &left);
    }
}

#[test]
fn without_cleanup_enabled_everything_waits_to_be_asked() {
    for kind in BOTH {
        let mut storage = Storage::new(kind);
        let (due, ids) = every_kind(&storage);
        let (before, tables) = (storage.site.tree(), storage.tables());
        storage.site.set("CLEANUP_ENABLED", "false");
        let daemon = storage.serve();
        let report = storage.site.clean(&["--dry-run"]);
        assert_eq!(report["dry_run"], true);
        assert!(report["files"].as_u64().unwrap() > 6, "{report}");
        let orphans: Vec<String> = due
            .iter()
            .filter(|name| name.contains(&uuid(50)) || name.contains(&uuid(51)))
            .cloned()
            .collect();
        assert_eq!(storage.site.tree(), before);
        let left = storage.site.clean_until_gone(
            &daemon,
            &["--orphans-only"],
            (&before, &borrowed(&orphans)),
        );
        storage.wait_until_forgotten(&daemon, &tables, &[]);
        let rest: Vec<String> = due
            .into_iter()
            .filter(|name| !orphans.contains(name))
            .collect();
        let left = storage
            .site
            .clean_until_gone(&daemon, &[], (&left, &borrowed(&rest)));
        storage.wait_until_forgotten(&daemon, &tables, &ids);
        storage.site.assert_all_stay(&daemon, &left);
    }
}

#[test]
fn with_an_interval_everything_goes_in_runs() {
    let mut storage = Storage::new(Kind::Sqlite);
    storage.site.set("CLEANUP_INTERVAL_HOURS", "6");
    let (due, ids) = every_kind(&storage);
    let told = storage.site.said(&["check"]);
    assert_eq!(told.matches("only when asked").count(), 4, "{told}");
    assert!(told.contains("at \"every 6h\""), "{told}");
    let (before, tables) = (storage.site.tree(), storage.tables());
    let daemon = storage.serve();
    let (_, settings) = daemon.get("/v1/settings");
    assert!(settings["schedules"][0]["next"].is_string(), "{settings}");
    // What comes and is known tells that what was due had its chance; a person need not wait for the run.
    storage.site.write("data/models/new.bin");
    daemon.sync();
    let mut now = storage.site.tree();
    assert!(now.0.remove("app/data/models/new.bin").is_some());
    assert_eq!(now, before);
    let before = storage.site.tree();
    storage
        .site
        .clean_until_gone(&daemon, &[], (&before, &borrowed(&due)));
    storage.wait_until_forgotten(&daemon, &tables, &ids);
}

#[test]
fn the_database_is_where_its_variable_says() {
    for slashes in ["relative", "absolute"] {
        let mut site = Site::new("storage");
        let elsewhere = site.path("state/jobs.sqlite");
        let url = match slashes {
            "relative" => "sqlite:///state/jobs.sqlite".to_owned(),
            _ => format!("sqlite:///{}", elsewhere.display()),
        };
        site.set("DATABASE_URL", &url);
        site.set_apart("app/state/jobs.sqlite");
        let storage = Storage::with(site, Database::open(&elsewhere, "WAL"));
        storage.job(&uuid(1), "completed", Some(ago(31 * DAY)));
        storage.job(&uuid(2), "running", None);
        let (before, tables) = (storage.site.tree(), storage.tables());
        let daemon = storage.serve();
        let left = storage
            .site
            .wait_until_gone(&daemon, &before, &borrowed(&of(&uuid(1))));
        storage.wait_until_forgotten(&daemon, &tables, &[uuid(1)]);
        storage.site.assert_all_stay(&daemon, &left);
    }
}

/// As some libraries keep UUIDs where a database has no type for them; files have the dashes.
#[test]
fn files_of_jobs_whose_ids_are_written_without_dashes_are_not_nobodys() {
    let storage = Storage::new(Kind::Sqlite);
    let bare = |number| uuid(number).replace('-', "");
    for number in 1..4 {
        storage.files(&uuid(number));
        storage.row(&bare(number), "running", None, None);
    }
    let orphan = uuid(9);
    storage.files(&orphan);
    let before = storage.site.tree();
    let daemon = storage.serve();
    let left = storage
        .site
        .wait_until_gone(&daemon, &before, &borrowed(&of(&orphan)));
    storage.site.assert_all_stay(&daemon, &left);
    let (_, told) = daemon.get(&format!(
        "/v1/explain?path={}",
        storage.site.path(&of(&uuid(1))[1]).display()
    ));
    assert!(told.to_string().contains(&bare(1)), "{told}");
}
