//! Sockets that systemd opens: `config/lapsed.socket`.

use std::os::unix::net::UnixListener;
use std::process::Command;

use super::{addresses, assert_well};
use crate::common::{Daemon, Place};

const UNIT: &str = include_str!("../../../config/lapsed.socket");

/// Opens sockets as systemd does, and becomes the daemon: the path of a Unix socket and an address of
/// TCP, then the command.
const SYSTEMD: &str = r#"
import fcntl, os, socket, sys
path, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
unix = socket.socket(socket.AF_UNIX)
unix.bind(path)
tcp = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
tcp.bind((host, port))
for one in [unix, tcp]:
    one.listen()

held = [fcntl.fcntl(one, fcntl.F_DUPFD, 10) for one in [unix, tcp]]
for place, one in enumerate(held):
    os.dup2(one, 3 + place)
os.environ["LISTEN_FDS"] = "2"
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[4], sys.argv[4:])
"#;

fn command(place: &Place, host: &str) -> Command {
    let lapsed = place.lapsed();
    let watch = format!("{}=1h", place.make_dir("root").display());
    let mut command = Command::new("/usr/bin/python3");
    for (name, value) in lapsed.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
        .args(["-c", SYSTEMD])
        .arg(place.socket())
        .args([host, "0"])
        .arg(lapsed.get_program())
        .args(["serve", "--watch", &watch, "--http", "127.0.0.1:0"])
        .current_dir(place.dir.path());
    command
}

#[test]
fn sockets_of_systemd_are_served_and_left_to_it() {
    for host in ["127.0.0.1", "::1"] {
        let place = Place::new();
        let mut daemon = Daemon::start(command(&place, host), place.socket());
        daemon.wait_until_up();
        let all = addresses(&daemon);
        assert_eq!(
            all.len(),
            2,
            "that of the command line, and that of systemd: {all:?}"
        );
        for address in all {
            assert_well(&daemon, address);
        }
        assert!(
            !daemon.said().contains("where clients look"),
            "{}",
            daemon.said()
        );
        assert!(daemon.stop().success());
        assert!(place.socket().exists(), "systemd goes on to listen on it");
        assert!(UnixListener::bind(place.socket()).is_err());
    }
}

#[test]
fn a_socket_of_systemd_for_other_hosts_needs_tls_or_a_word() {
    let place = Place::new();
    let output = command(&place, "0.0.0.0").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("can be reached from other hosts"), "{said}");
}

#[test]
fn the_unit_opens_the_socket_that_clients_look_for() {
    let usual = lapsed::config::Environment::new().system_socket;
    let line = format!("\nListenStream={}\n", usual.display());
    assert!(UNIT.contains(&line), "{UNIT}");
    // The directory of the service, which is removed with it otherwise.
    let service = include_str!("../../../config/lapsed.service");
    assert!(service.contains("\nRuntimeDirectoryPreserve=yes\n"));
}
