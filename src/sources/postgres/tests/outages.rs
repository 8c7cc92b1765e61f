//! A server that goes and comes back, and one that does not let us in.

use crate::core::jobs::{JobLookup, Status};
use crate::core::policy::Record;
use crate::core::time::Timestamp;
use crate::sources::write_back::{WriteBack, WriteOutcome};

use super::harness::{Cluster, Place, SCHEMA, TRIGGER, Watched, options};

#[test]
fn a_server_that_is_down_is_read_when_it_is_back() {
    let cluster = Cluster::new();
    let session = cluster.session("postgres");
    session.run(SCHEMA);
    session.run(TRIGGER);
    drop(session);
    cluster.stop();
    let watched = Watched::start(options(&cluster.url("postgres")));
    let why = watched.down();
    let place = format!(
        "cannot read jobs from postgres at 127.0.0.1:{}/postgres as postgres: error connecting to server: ",
        cluster.port
    );
    assert!(
        why.starts_with(&place) && why.contains("\n  see that the server runs"),
        "{why}"
    );
    assert!(matches!(watched.source.fresh("a"), JobLookup::Unknown(_)));
    assert!(!watched.source.is_current());
    cluster.start();
    watched.up();
    for round in 0..3 {
        cluster.stop();
        watched.down();
        assert!(matches!(watched.source.fresh("a"), JobLookup::Unknown(_)));
        watched.look(|table| assert!(table.row("a").is_some()));
        cluster.start();
        let id = format!("while{round}");
        cluster.session("postgres").run(&format!(
            "INSERT INTO jobs (id, status) VALUES ('{id}', 'running')"
        ));
        watched.until("what happened meanwhile", |table| table.row(&id).is_some());
        watched.up();
        cluster.end_connections();
        cluster
            .session("postgres")
            .run("UPDATE jobs SET status = 'failed' WHERE id = 'a'");
        watched.until("changed", |table| {
            table.row("a").unwrap().status == Status::Failed
        });
        cluster
            .session("postgres")
            .run("UPDATE jobs SET status = 'completed' WHERE id = 'a'");
        watched.until("changed", |table| {
            table.row("a").unwrap().status == Status::Completed
        });
    }
}

#[test]
fn another_server_takes_over() {
    let primary = Cluster::new();
    primary.session("postgres").run(SCHEMA);
    primary.session("postgres").run(TRIGGER);
    let standby = primary.standby();
    let url = format!(
        "postgresql://postgres@127.0.0.1:{},127.0.0.1:{}/postgres?target_session_attrs=read-write",
        primary.port, standby.port
    );
    let mut both = options(&url);
    both.queries.mark = vec!["UPDATE jobs SET data_cleaned_at = :now WHERE id = :job".to_owned()];
    let watched = Watched::loaded(both.clone());
    let mut only_standby = options(&standby.url("postgres"));
    only_standby.queries.mark.clone_from(&both.queries.mark);
    let beside = Watched::loaded(only_standby);
    let why = beside.deaf().unwrap();
    assert!(
        why.starts_with("the server does not let us listen: cannot execute LISTEN during recovery"),
        "{why}"
    );
    assert!(!beside.source.is_current());
    let order = WriteBack {
        job: watched.look(|table| table.row("a").unwrap().clone()),
        action: Record::Mark,
        now: Timestamp::from_unix_ms(1_700_000_000_999),
        summary: String::new(),
    };
    let error = beside.source.write(&order).unwrap_err().to_string();
    assert!(
        error.contains("the server is a standby, which cannot be written"),
        "{error}"
    );
    primary
        .session("postgres")
        .run("INSERT INTO jobs (id, status) VALUES ('c', 'running')");
    watched.until("heard", |table| table.row("c").is_some());
    beside.until("followed", |table| table.row("c").is_some());
    primary.stop();
    watched.down();
    standby.session("postgres").value("SELECT pg_promote()");
    watched.up();
    standby
        .session("postgres")
        .run("UPDATE jobs SET status = 'failed' WHERE id = 'c'");
    watched.until("heard", |table| {
        table.row("c").unwrap().status == Status::Failed
    });
    assert_eq!(watched.source.write(&order).unwrap(), WriteOutcome::Done);
    drop(standby);
}

#[test]
fn permission_is_lost_and_given_back() {
    let place = Place::telling();
    let role = format!("reader_{}", place.name);
    place.session.run(&format!(
        "CREATE ROLE {role} LOGIN; GRANT SELECT ON jobs TO {role}"
    ));
    let url = Cluster::shared()
        .url(&place.name)
        .replace("postgres@", &format!("{role}@"));
    let watched = Watched::loaded(options(&url));
    assert_eq!(watched.deaf(), None);
    place.session.run(&format!(
        "REVOKE SELECT ON jobs FROM {role}; UPDATE jobs SET status = 'failed' WHERE id = 'a'"
    ));
    let why = watched.down();
    assert!(
        why.contains(&format!(
            ": permission denied for table jobs\n  GRANT SELECT ON jobs TO {role};"
        )),
        "{why}"
    );
    assert!(matches!(watched.source.fresh("a"), JobLookup::Unknown(_)));
    watched.look(|table| assert_eq!(table.row("a").unwrap().status, Status::Completed));
    place
        .session
        .run(&format!("GRANT SELECT ON jobs TO {role}"));
    watched.until("read", |table| {
        table.row("a").unwrap().status == Status::Failed
    });
    watched.up();
}

#[test]
fn a_column_is_dropped_and_comes_back() {
    for select in [super::harness::SELECT, "SELECT *, id AS own FROM jobs"] {
        let place = Place::telling();
        let mut options = place.options();
        select.clone_into(&mut options.queries.select);
        let watched = Watched::loaded(options);
        place
            .session
            .run("ALTER TABLE jobs RENAME COLUMN status TO state; UPDATE jobs SET kind = 'new'");
        let why = watched.down();
        assert!(
            why.contains("column") && why.contains("table jobs has id, state, kind, "),
            "{why}"
        );
        assert!(matches!(watched.source.fresh("a"), JobLookup::Unknown(_)));
        watched.look(|table| assert_eq!(table.row("a").unwrap().kind, None));
        place.session.run("ALTER TABLE jobs DROP COLUMN state, ADD COLUMN status text; UPDATE jobs SET status = 'failed'");
        watched.up();
        watched.look(|table| assert_eq!(table.row("a").unwrap().kind.as_deref(), Some("new")));
    }
}

#[test]
fn a_column_of_another_type_is_read_as_that() {
    let place = Place::telling();
    let watched = Watched::loaded(place.options());
    place.session.run(
        "ALTER TABLE jobs ALTER COLUMN completed_at TYPE text USING '2026-03-01T00:00:00Z', DROP COLUMN kind, ADD COLUMN kind int DEFAULT 7;
         UPDATE jobs SET status = 'failed'",
    );
    watched.until("read", |table| {
        table.row("a").is_some_and(|row| {
            row.kind.as_deref() == Some("7")
                && row.moments.completed_at.map(Timestamp::unix_ms) == Some(1_772_323_200_000)
        })
    });
}

#[test]
fn a_lock_that_lasts_is_reported() {
    let place = Place::telling();
    let mut options = place.options();
    options.statement_timeout = std::time::Duration::from_secs(1);
    let watched = Watched::loaded(options);
    let other = Cluster::shared().session(&place.name);
    other.run("BEGIN; LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE; NOTIFY lapsed_eemt, 'a'");
    let JobLookup::Unknown(why) = watched.source.fresh("a") else {
        panic!("it was read");
    };
    assert!(
        why.contains("timeout") || why.contains("does not answer"),
        "{why}"
    );
    // What is notified within a transaction is heard at its end; another session notifies now.
    place.session.run("NOTIFY lapsed_eemt, 'a'");
    let why = watched.down();
    assert!(
        why.contains("timeout\n  see what locks the tables"),
        "{why}"
    );
    other.run("UPDATE jobs SET status = 'failed' WHERE id = 'a'; COMMIT");
    watched.until("read", |table| {
        table.row("a").unwrap().status == Status::Failed
    });
    watched.up();
}

#[test]
fn a_refused_login_is_reported_without_the_password() {
    let place = Place::filled();
    let port = Cluster::shared().port;
    let right = format!(
        "postgresql://guarded:s3cret%25%2F%C3%A9@127.0.0.1:{port}/{}",
        place.name
    );
    let watched = Watched::loaded(options(&right));
    assert!(!format!("{:?}", watched.source).contains("s3cret"));
    let wrong = format!(
        "postgresql://guarded:hunter2@127.0.0.1:{port}/{}",
        place.name
    );
    let why = Watched::start(options(&wrong)).down();
    assert!(
        why.contains("password authentication failed for user \"guarded\"\n  see the user")
            && !why.contains("hunter2"),
        "{why}"
    );
    let none = format!("postgresql://guarded@127.0.0.1:{port}/{}", place.name);
    let why = Watched::start(options(&none)).down();
    assert!(why.contains("password missing"), "{why}");
    let why = Watched::start(options(&Cluster::shared().url("nowhere"))).down();
    assert!(
        why.contains("database \"nowhere\" does not exist\n  see the name"),
        "{why}"
    );
}

#[test]
fn a_socket_of_the_host_will_do() {
    let place = Place::filled();
    let mut server = tokio_postgres::Config::new();
    server
        .host_path(Cluster::shared().socket_dir())
        .port(Cluster::shared().port)
        .user("postgres")
        .dbname(&place.name);
    let mut options = place.options();
    options.server = server;
    let watched = Watched::loaded(options);
    assert_eq!(watched.look(|table| table.rows.len()), 2);
}
