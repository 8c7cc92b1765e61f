//! The systemd unit: the real binary runs with what it allows, and no less of it is allowed than the configuration can ask for.

use std::os::unix::fs::MetadataExt;
use std::process::Command;

use crate::common::sources::wait_for_source;
use crate::common::{Daemon, Place, errors};
use crate::postgres::Cluster;
use nix::unistd::{Gid, Group, getegid, geteuid};

const UNIT: &str = include_str!("../../config/lapsed.service");

/// The words of all values of a key, in order.
fn words(key: &str) -> Vec<&'static str> {
    let settings = UNIT.lines().filter_map(|line| line.split_once('='));
    let values = settings.filter(|(name, _)| *name == key);
    values
        .flat_map(|(_, value)| value.split_whitespace())
        .collect()
}

#[track_caller]
fn assert_has(key: &str, wanted: &[&str]) {
    let words = words(key);
    for word in wanted {
        assert!(words.contains(word), "{key}={words:?} lacks {word}");
    }
}

/// The daemon's command line as the unit has it, of a process that has no more rights than the unit gives.
fn command(place: &Place) -> Command {
    let lapsed = place.lapsed();
    let start = words("ExecStart");
    assert_eq!(start[0], "/usr/bin/lapsed");
    let mut command = if geteuid().is_root() {
        let mut bounding = "-all".to_owned();
        for name in words("CapabilityBoundingSet") {
            bounding += ",+";
            bounding += &name.trim_start_matches("CAP_").to_lowercase();
        }
        let mut command = Command::new("setpriv");
        command
            .args(["--no-new-privs", "--clear-groups"])
            .arg(format!("--bounding-set={bounding}"))
            .arg("--inh-caps=-all")
            .arg(lapsed.get_program());
        command
    } else {
        Command::new(lapsed.get_program())
    };
    for (name, value) in lapsed.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.current_dir(place.dir.path()).args(&start[1..]);
    command
}

/// A group that the socket can be given to: where the test is root, one that its process does not have.
fn group() -> Group {
    let wanted = if geteuid().is_root() {
        let ids = (1..60_000).map(Gid::from_raw);
        let mut others = ids.filter(|&gid| gid != getegid());
        others.find_map(|gid| Group::from_gid(gid).unwrap())
    } else {
        Group::from_gid(getegid()).unwrap()
    };
    wanted.expect("a group in /etc/group")
}

#[test]
fn a_server_by_address_and_by_name_and_a_group_work_with_what_the_unit_allows() {
    let cluster = Cluster::new();
    let database = cluster.database();
    cluster
        .session(&database)
        .run("CREATE TABLE jobs (id text PRIMARY KEY, status text)");
    let place = Place::new();
    place.make_dir("data");
    let source = |name: &str, url: &str| {
        format!(
            "[[source]]\nname = \"{name}\"\nurl = \"{url}\"\npoll = \"1s\"\n\
             select = \"SELECT id, status FROM jobs\"\n"
        )
    };
    let group = group();
    let config = place.config(
        &[
            format!("group = \"{}\"\n", group.name),
            source("address", &cluster.url(&database)),
            source("name", "${DATABASE_URL}"),
            "[[root]]\npath = \"data\"\n[[rule]]\nexpire = \"1h\"\n".to_owned(),
        ]
        .concat(),
    );
    // As a line of the file that the unit names.
    let url = cluster.url(&database).replace("127.0.0.1", "localhost");
    let mut command = command(&place);
    command
        .env("LAPSED_CONFIG", &config)
        .env("DATABASE_URL", &url);
    let daemon = Daemon::start(command, place.socket());
    daemon.wait_until_up();
    daemon.wait_until_ready();
    for name in ["address", "name"] {
        wait_for_source(&daemon, name, "ready");
    }
    let socket = place.socket().metadata().unwrap();
    assert_eq!(socket.gid(), group.gid.as_raw());
    assert_eq!(socket.mode() & 0o777, 0o660);

    assert_has("CapabilityBoundingSet", &["CAP_CHOWN", "CAP_LEASE"]);
    // A socket for each kind of server, and the look-up of its name.
    assert_has(
        "RestrictAddressFamilies",
        &["AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"],
    );
    assert_has("EnvironmentFile", &["-/etc/lapsed/env"]);
    // What the daemon tells the service manager: that it is ready, reloads, lives, and ends.
    assert_has("Type", &["notify"]);
    assert_has("NotifyAccess", &["main"]);
    assert_has("WatchdogSec", &["2min"]);
    // It has systemd answer openat2(2) with "no such system call".
    assert_eq!(words("RestrictSUIDSGID"), [""; 0]);
}

#[test]
fn what_no_restart_mends_is_not_restarted() {
    let place = Place::new();
    let config = place.config("[[root]]\npath = \"no\"\nexpires = \"7d\"\n");
    let mut command = command(&place);
    let refused = command.env("LAPSED_CONFIG", &config).output().unwrap();
    let status = refused.status.code().unwrap().to_string();
    assert!(errors(&refused).contains("unknown key"), "{refused:?}");
    assert_has("RestartPreventExitStatus", &[&status]);
}

#[test]
fn a_group_that_the_socket_cannot_be_given_to_is_refused_with_what_would_mend_it() {
    if !geteuid().is_root() {
        // Who is not root has none of these rights anyway, and group 0 is none of its groups.
        let place = Place::new();
        return refuses(&place, place.lapsed(), "root");
    }
    let place = Place::new();
    let lapsed = place.lapsed();
    let mut command = Command::new("setpriv");
    command
        .args(["--clear-groups", "--bounding-set=-all", "--inh-caps=-all"])
        .arg(lapsed.get_program())
        .envs(
            lapsed
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .current_dir(place.dir.path());
    refuses(&place, command, &group().name);
}

#[track_caller]
fn refuses(place: &Place, mut command: Command, group: &str) {
    place.make_dir("data");
    let config = place.config(&format!(
        "group = \"{group}\"\n[[root]]\npath = \"data\"\n[[rule]]\nexpire = \"1h\"\n"
    ));
    command.args(["serve", "--config"]).arg(config);
    let refused = command.output().unwrap();
    let said = errors(&refused);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("CAP_CHOWN"), "{said}");
    assert!(!place.socket().exists(), "a dead socket stayed");
}

#[test]
fn a_process_with_the_group_may_act_whatever_the_group_database_says() {
    let place = Place::new();
    place.make_dir("data");
    let group = group();
    let config = place.config(&format!(
        "group = \"{}\"\nsocket_mode = \"0666\"\n[[root]]\npath = \"data\"\n[[rule]]\nexpire = \"1h\"\n",
        group.name
    ));
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    let clean = |groups: &[u32]| {
        if !geteuid().is_root() {
            // One's own group at least, which needs no database either.
            return place.run(&["clean"]);
        }
        // As systemd's SupplementaryGroups= or `docker run --group-add` would have it: a user of no such group.
        let socket = place.socket();
        let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=3999999001", "--regid=3999999001"])
            .arg(format!("--groups={}", groups.join(",")))
            .arg(env!("CARGO_BIN_EXE_lapsed"))
            .args(["--socket", socket.to_str().unwrap(), "clean"])
            .current_dir("/");
        command.output().unwrap()
    };
    std::fs::set_permissions(
        place.dir.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let cleaned = clean(&[3_999_999_001, group.gid.as_raw()]);
    assert!(cleaned.status.success(), "{cleaned:?}");
    if geteuid().is_root() {
        let refused = clean(&[3_999_999_001]);
        assert!(
            errors(&refused).contains("is not an operator"),
            "{refused:?}"
        );
    }
    drop(daemon);
}
