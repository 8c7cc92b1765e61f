//! A server that takes what it is sent and never answers again.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::world::{COMPLETED, World};
use crate::common::sources::{source, tell_of, wait_for_source};
use crate::common::{wait_for, wait_or_tell};
use crate::postgres::Cluster;

/// What a proxy watches for, and whether it has seen it.
struct Trap {
    statement: &'static [u8],
    is_sprung: AtomicBool,
}

/// A proxy before the server at `port` that hangs, all connections at once, as soon as a client sends the statement.
fn hanging_proxy(port: u16, trap: &Arc<Trap>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let own = listener.local_addr().unwrap().port();
    let trap = Arc::clone(trap);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let Ok(client) = client else { return };
            let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else {
                return;
            };
            let (from_client, from_server) = (client.try_clone(), server.try_clone());
            let (there, back) = (Arc::clone(&trap), Arc::clone(&trap));
            std::thread::spawn(move || pass(from_client.unwrap(), server, &there, true));
            std::thread::spawn(move || pass(from_server.unwrap(), client, &back, false));
        }
    });
    own
}

/// Passes on what `from` sends until the trap is sprung, and swallows it afterwards.
fn pass(mut from: TcpStream, mut to: TcpStream, trap: &Trap, springs: bool) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length) = from.read(&mut buffer) {
        if length == 0 {
            break;
        }
        let sent = &buffer[..length];
        let statement = trap.statement;
        if springs && sent.windows(statement.len()).any(|part| part == statement) {
            trap.is_sprung.store(true, Ordering::SeqCst);
        }
        if trap.is_sprung.load(Ordering::SeqCst) {
            continue;
        }
        if to.write_all(sent).is_err() {
            break;
        }
    }
    if !trap.is_sprung.load(Ordering::SeqCst) {
        let _ = to.shutdown(Shutdown::Both);
    }
}

#[test]
fn a_server_that_hangs_while_a_record_is_written_keeps_nobody_from_ending() {
    let mut world = World::new();
    let direct = world.url.clone();
    let trap = Arc::new(Trap {
        statement: b"SET cleaned_at",
        is_sprung: AtomicBool::new(false),
    });
    let port = hanging_proxy(Cluster::shared().port, &trap);
    world.url = direct.replace(
        &format!(":{}/", Cluster::shared().port),
        &format!(":{port}/"),
    );
    let mut daemon = world.serve(COMPLETED);
    world.write("results/one/file");
    world.insert("one", "completed");
    world.wait_until_gone(&daemon, "results/one");
    wait_or_tell(
        "the record hangs",
        || trap.is_sprung.load(Ordering::SeqCst).then_some(()),
        || tell_of(&daemon),
    );
    assert!(daemon.stop().success());
    let said = daemon.said();
    let (_, after) = said.split_once("ending").unwrap();
    assert!(
        !after.contains("does not answer"),
        "nothing is waited for that the end could cut off: {after}"
    );

    // What was not written is written later.
    world.url = direct;
    world.configure(COMPLETED);
    let daemon = world.serve_again();
    wait_for_source(&daemon, "eemt", "ready");
    world.wait_until_row(&daemon, "SELECT marks::text FROM jobs", "1");
    wait_or_tell(
        "nothing waits",
        || (source(&daemon, "eemt")["waiting_records"] == 0).then_some(()),
        || tell_of(&daemon),
    );
}

#[test]
fn a_clean_without_a_daemon_ends_although_the_server_hangs() {
    let mut world = World::new();
    let direct = world.url.clone();
    let trap = Arc::new(Trap {
        statement: b"SET cleaned_at",
        is_sprung: AtomicBool::new(false),
    });
    let port = hanging_proxy(Cluster::shared().port, &trap);
    world.url = direct.replace(
        &format!(":{}/", Cluster::shared().port),
        &format!(":{port}/"),
    );
    world.configure(COMPLETED);
    for job in ["one", "two", "three"] {
        world.write(&format!("results/{job}/file"));
        world.insert(job, "completed");
    }
    let output = world
        .place
        .run(&["clean", "--config", &world.config_path()]);
    assert_eq!(output.status.code(), Some(1), "records wait: {output:?}");
    assert!(trap.is_sprung.load(Ordering::SeqCst));
    assert!(!world.place.path("results/one").exists());

    world.url = direct;
    world.configure(COMPLETED);
    let marked = "SELECT sum(marks)::text FROM jobs";
    // The server keeps the row of the transaction that was cut off locked until it gives that up.
    wait_for("later runs write them", || {
        world
            .place
            .run(&["clean", "--config", &world.config_path()]);
        (world.db.value(marked).as_deref() == Some("3")).then_some(())
    });
}
