//! Ways in which changes are noticed: notifications and polling.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use super::harness::{Cluster, Place, Watched};
use crate::core::jobs::{JobChange, Status};
use crate::sources::tests::reports::eventually;

#[test]
fn a_change_is_noticed_and_only_its_row_read() {
    let place = Place::telling();
    let mut options = place.options();
    // Nobody is to find it by asking.
    options.poll = Duration::from_hours(1);
    let watched = Watched::loaded(options);
    assert_eq!(watched.deaf(), None);
    let reads = watched.source.stats().reads;
    place
        .session
        .run("INSERT INTO jobs (id, status) VALUES ('c', 'pending')");
    watched.until("new", |table| table.row("c").is_some());
    place
        .session
        .run("UPDATE jobs SET status = 'completed' WHERE id = 'c'");
    watched.until("changed", |table| {
        table.row("c").unwrap().status == Status::Completed
    });
    assert_eq!(watched.source.stats().reads, reads);
    assert_eq!(watched.source.stats().jobs, 3);
    place.session.run("DELETE FROM jobs WHERE id = 'c'");
    watched.until("gone", |table| table.row("c").is_none());
    place
        .session
        .run("NOTIFY lapsed_eemt, 'nobody'; NOTIFY lapsed_eemt, '../../etc/passwd'");
    place.session.run("TRUNCATE jobs");
    watched.until("empty", |table| table.rows.is_empty());
    watched.until("counted", |table| {
        matches!(table.told.last(), Some(JobChange::Loaded { jobs: 0 }))
    });
}

#[test]
fn many_changes_at_once_are_noticed() {
    let place = Place::telling();
    let watched = Watched::loaded(place.options());
    place.session.run(
        "INSERT INTO jobs (id, status) SELECT 'n' || i, 'running' FROM generate_series(1, 30000) AS i",
    );
    watched.until("all in", |table| table.rows.len() == 30_002);
    place
        .session
        .run("UPDATE jobs SET status = 'failed' WHERE id IN ('n1', 'n17', 'n30000')");
    watched.until("changed", |table| {
        ["n1", "n17", "n30000"]
            .iter()
            .all(|id| table.row(id).unwrap().status == Status::Failed)
    });
}

#[test]
fn what_has_committed_is_known_where_it_says_so() {
    let place = Place::telling();
    let watched = Watched::loaded(place.options());
    eventually("current", || watched.source.is_current());
    for round in 0..200 {
        let id = format!("r{round}");
        place.session.run(&format!(
            "INSERT INTO jobs (id, status) VALUES ('{id}', 'running')"
        ));
        if watched.source.is_current() {
            assert!(watched.look(|table| table.row(&id).is_some()), "{id}");
        }
    }
    eventually("current", || watched.source.is_current());
    assert_eq!(watched.look(|table| table.rows.len()), 202);
}

#[test]
fn without_a_trigger_it_asks() {
    let place = Place::filled();
    let watched = Watched::loaded(place.options());
    let why = watched.deaf().unwrap();
    assert!(
        why.starts_with("no trigger of public.jobs notifies channel \"lapsed_eemt\"")
            && why.contains("lapsed source sql eemt | psql"),
        "{why}"
    );
    place.session.run(
        "INSERT INTO jobs (id, status) VALUES ('c', 'pending'); DELETE FROM jobs WHERE id = 'b'",
    );
    watched.until("asked", |table| table.ids() == ["a", "c"]);
    // Nobody else writes to this server for long enough some time.
    for round in 0..20 {
        let id = format!("r{round}");
        place.session.run(&format!(
            "INSERT INTO jobs (id, status) VALUES ('{id}', 'running')"
        ));
        if watched.source.is_current() {
            assert!(watched.look(|table| table.row(&id).is_some()), "{id}");
        }
    }
    eventually("current", || watched.source.is_current());
    assert_eq!(watched.look(|table| table.rows.len()), 22);
}

#[test]
fn a_trigger_that_is_switched_off_or_tells_half_is_none() {
    let place = Place::telling();
    place.session.run("ALTER TABLE jobs DISABLE TRIGGER tell");
    assert!(Watched::loaded(place.options()).deaf().is_some());
    place.session.run("ALTER TABLE jobs ENABLE TRIGGER tell");
    assert_eq!(Watched::loaded(place.options()).deaf(), None);
    let mut other = place.options();
    other.channel = "elsewhere".to_owned();
    assert!(Watched::loaded(other).deaf().is_some());
    let mut joined = place.options();
    joined.queries.select =
        "SELECT jobs.id, jobs.status, m.value FROM jobs LEFT JOIN metrics m ON m.job_id = jobs.id"
            .to_owned();
    let why = Watched::loaded(joined).deaf().unwrap();
    assert!(why.starts_with("no trigger of public.metrics"), "{why}");
}

#[test]
fn changes_are_asked_for_with_a_query_of_their_own() {
    let place = Place::filled();
    let mut options = place.options();
    options.queries.changed = Some(format!(
        "{}, updated_at AS changed_at FROM jobs WHERE updated_at >= :since;",
        options.queries.select.strip_suffix(" FROM jobs").unwrap()
    ));
    let watched = Watched::loaded(options);
    // A transaction that began before another one, and commits after it was read.
    let late = Cluster::shared().session(&place.name);
    late.run("BEGIN; INSERT INTO jobs (id, status) VALUES ('late', 'running')");
    place
        .session
        .run("INSERT INTO jobs (id, status) VALUES ('early', 'running')");
    watched.until("early", |table| table.row("early").is_some());
    late.run("COMMIT");
    watched.until("late", |table| table.row("late").is_some());
    assert!(watched.source.stats().reads_of_changes >= 1);
    place.session.run("DELETE FROM jobs WHERE id = 'late'");
    watched.until("gone", |table| table.row("late").is_none());
}

/// Passes everything on but notifications, as a pooler does that lends a connection for one
/// transaction only.
fn deaf_proxy(port: u16) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let own = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let mut server = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let (mut from_client, mut to_server) =
                (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from_client, &mut to_server);
                let _ = to_server.shutdown(std::net::Shutdown::Both);
            });
            std::thread::spawn(move || {
                // The answer to the question for TLS is one byte.
                let mut one = [0];
                if server.read_exact(&mut one).is_ok() && client.write_all(&one).is_ok() {
                    while let Some(message) = message(&mut server) {
                        if message[0] != b'A' && client.write_all(&message).is_err() {
                            break;
                        }
                    }
                }
                let _ = client.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    own
}

/// One message of the protocol: a letter, a length, and the rest.
fn message(server: &mut TcpStream) -> Option<Vec<u8>> {
    let mut message = vec![0; 5];
    server.read_exact(&mut message).ok()?;
    let length = u32::from_be_bytes(message[1..5].try_into().unwrap());
    message.resize(1 + length as usize, 0);
    server.read_exact(&mut message[5..]).ok()?;
    Some(message)
}

#[test]
fn notifications_that_are_swallowed_are_missed_and_asked_for() {
    let place = Place::telling();
    let port = deaf_proxy(Cluster::shared().port);
    let url = format!("postgresql://postgres@127.0.0.1:{port}/{}", place.name);
    let watched = Watched::loaded(super::harness::options(&url));
    let why = watched.deaf().unwrap();
    assert!(
        why.starts_with("a notification to ourselves does not arrive\n  a pooler"),
        "{why}"
    );
    place
        .session
        .run("INSERT INTO jobs (id, status) VALUES ('c', 'pending')");
    watched.until("asked", |table| table.row("c").is_some());
}
