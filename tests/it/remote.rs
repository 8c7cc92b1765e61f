//! Commands whose daemon is behind a URL.

mod failures;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use crate::common::{Daemon, Place, errors, wait_for};
use crate::tcp::addresses;
use crate::tcp::tls::write_pair;

const CONFIG: &str = r#"
[http]
listen = "127.0.0.1:0"
tls = { cert = "cert.pem", key = "key.pem" }

[[root]]
name = "data"
path = "data"

[[root]]
name = "results"
path = "results"
owner = "{job}/**"

[[rule]]
name = "asked"
root = "data"
glob = "*.tmp"
expire = "0s"
schedule = "manual"
undo = "1d"

[[rule]]
name = "month"
root = "data"
expire = "30d"

[[notify]]
name = "nobody"
webhook = { url = "http://127.0.0.1:1/" }
"#;

/// A daemon with TLS, and tokens of each role in files.
pub struct Remote {
    pub place: Place,
    daemon: Daemon,
    address: SocketAddr,
}

impl Remote {
    pub fn start() -> Self {
        let place = Place::new();
        write_pair(&place, "localhost", "");
        for name in ["a.tmp", "b.tmp", "c.log", "d \u{202e}.log"] {
            place.write(&format!("data/{name}"));
        }
        place.write("results/one/out");
        place.config(CONFIG);
        let daemon = place.serve_again();
        let address = addresses(&daemon)[0];
        for role in ["viewer", "operator", "admin"] {
            let said = place.said(&["token", "new", "--role", role, "--name", role]);
            let token = said.lines().last().unwrap();
            write_secret(&place.path(role), &format!("\n{token}\n"));
        }
        Self {
            place,
            daemon,
            address,
        }
    }

    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// The command of another host: it knows nothing of the daemon's files.
    pub fn command(&self, role: &str, arguments: &[&str]) -> Command {
        let mut command = self.place.lapsed();
        command
            .env_remove("LAPSED_SOCKET")
            .env_remove("LAPSED_STATE_DIR")
            .env("HOME", self.place.make_dir("elsewhere"))
            .current_dir("/")
            .args(["--url", &self.url(), "--token-file"])
            .arg(self.place.path(role))
            .arg("--ca-file")
            .arg(self.place.path("cert.pem"))
            .args(arguments);
        command
    }

    fn run(&self, role: &str, arguments: &[&str]) -> Output {
        self.command(role, arguments).output().unwrap()
    }

    #[track_caller]
    fn said(&self, arguments: &[&str]) -> String {
        let output = self.run("admin", arguments);
        let said = errors(&output);
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What the command says that cannot be carried out.
    #[track_caller]
    fn refused(&self, role: &str, arguments: &[&str]) -> String {
        refused(self.command(role, arguments))
    }

    pub fn token(&self, role: &str) -> String {
        let text = fs::read_to_string(self.place.path(role)).unwrap();
        text.trim().to_owned()
    }
}

fn write_secret(path: &PathBuf, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[track_caller]
fn refused(mut command: Command) -> String {
    let output = command.output().unwrap();
    let said = errors(&output);
    assert_eq!(output.status.code(), Some(2), "{command:?}: {said}");
    assert!(output.stdout.is_empty(), "{command:?}");
    said
}

/// Figures differ with the instant of the question.
fn without_figures(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    let mut plain = String::new();
    for c in text.chars() {
        match c {
            '0'..='9' if plain.ends_with('#') => {}
            '0'..='9' => plain.push('#'),
            c => plain.push(c),
        }
    }
    plain
}

/// Commands that only ask.
const QUESTIONS: [&[&str]; 19] = [
    &["status"],
    &["ls", "--sort", "path"],
    &["ls", "--sort", "path", "-n", "2"],
    &["plan", "--within", "60d"],
    &["stats"],
    &["stats", "--by", "day"],
    &["history"],
    &["history", "--runs"],
    &["clean", "--dry-run"],
    &["job", "ls"],
    &["job", "get", "one"],
    &["pin", "ls"],
    &["source", "ls"],
    &["breaker", "show"],
    &["trash", "ls"],
    &["displaced", "ls"],
    &["notify", "ls"],
    &["token", "ls"],
    &["sync"],
];

/// Commands about this host.
const LOCAL: [&[&str]; 13] = [
    &["serve"],
    &["init"],
    &["check"],
    &["config", "show"],
    &["run"],
    &["takeover"],
    &["adapter", "ls"],
    &["backup", "there"],
    &["install", "--run", "x", "--at", "@daily", "--unit", "x"],
    &["uninstall", "--unit", "x"],
    &["source", "sql"],
    &["trash", "restore", "--all", "--root", "/"],
    &["serve", "--http", "127.0.0.1:0"],
];

#[test]
fn questions_have_the_same_answers_as_over_the_socket() {
    let remote = Remote::start();
    remote.said(&["job", "put", "one", "--status", "running"]);
    remote.said(&["clean", "--path", "a.tmp", "--yes"]);
    remote.said(&["pin", "add", "--job", "one", "--for", "9d", "--why", "x"]);
    wait_for("the removal is told", || {
        remote.said(&["history"]).contains("a.tmp").then_some(())
    });
    let path = remote.place.path("data/c.log").display().to_string();
    let explain: [&[&str]; 3] = [
        &["explain", &path],
        &["history", "--path", &path],
        &["trash", "ls", "--path", &path],
    ];
    for arguments in QUESTIONS.into_iter().chain(explain) {
        let arguments = [&["--json"], arguments].concat();
        let expected = remote.place.run(&arguments);
        assert!(expected.status.success(), "{arguments:?}");
        for role in ["admin", "viewer"] {
            if role == "viewer" && arguments.contains(&"token") {
                continue;
            }
            let answer = remote.run(role, &arguments);
            let said = errors(&answer);
            assert!(answer.status.success(), "{role}: {arguments:?}: {said}");
            assert_eq!(said, "", "{arguments:?}");
            assert_eq!(
                without_figures(&answer),
                without_figures(&expected),
                "{arguments:?}"
            );
        }
        let text = remote.said(&arguments[1..]);
        assert!(
            arguments.contains(&"sync") || !text.is_empty(),
            "{arguments:?}"
        );
    }
}

#[test]
fn orders_are_carried_out_there() {
    let remote = Remote::start();
    let path = |name: &str| remote.place.path(name).display().to_string();
    remote.said(&["job", "put", "one", "--status", "running"]);
    let report = remote.said(&["--json", "clean", "--path", "a.tmp", "--yes"]);
    assert!(report.contains("\"files\":1"), "{report}");
    remote.place.wait_until_gone(&remote.daemon, "data/a.tmp");
    let history = || remote.place.said(&["--json", "history"]);
    wait_for("the ledger names the token", || {
        history()
            .contains(r#""by":{"token":"admin"}"#)
            .then_some(())
    });
    let back = remote.said(&["undo", "--path", &path("data/a.tmp")]);
    assert!(back.contains("1 file"), "{back}");
    assert!(remote.place.exists("data/a.tmp"));
    remote.said(&[
        "pin",
        "add",
        &path("data/c.log"),
        "--for",
        "9d",
        "--why",
        "x",
    ]);
    remote.said(&["pin", "extend", "2", "--for", "1d"]);
    let pins = remote.place.said(&["pin", "ls"]);
    assert!(pins.contains("c.log"), "{pins}");
    remote.said(&["pin", "rm", &path("data/c.log")]);
    let pins = remote.place.said(&["pin", "ls"]);
    assert!(!pins.contains("c.log"), "{pins}");
    remote.said(&["pause", "--for", "1h", "--why", "x"]);
    assert!(remote.place.said(&["status"]).contains("paused"));
    remote.said(&["resume"]);
    assert!(!remote.place.said(&["status"]).contains("paused"));
    remote.said(&["clean", "--path", "b.tmp", "--yes"]);
    remote.said(&["trash", "empty", "--yes"]);
    assert!(
        remote
            .place
            .said(&["trash", "ls"])
            .contains("nothing is in the trash")
    );
    remote.said(&["job", "rm", "one"]);
    assert!(remote.place.said(&["job", "ls"]).contains("no jobs match"));
    remote.said(&["breaker", "release", "--yes"]);
    remote.said(&["reload"]);
    remote.said(&["notify", "retry", "--all"]);
    remote.said(&["notify", "drop", "--all"]);
    let test = remote.run("admin", &["notify", "test", "nobody"]);
    assert_eq!(test.status.code(), Some(1), "{}", errors(&test));
    let token = remote.said(&["token", "new", "--role", "viewer", "--name", "new"]);
    assert!(token.lines().last().unwrap().starts_with("lapsed_"));
    remote.said(&["token", "revoke", "new"]);
    let said = remote.refused("admin", &["shadow"]);
    assert!(said.contains("--shadow"), "{said}");
    // What is not there is refused with the daemon's words.
    let said = remote.refused("admin", &["displaced", "rm", "x", "--yes"]);
    assert!(said.contains("nothing displaced has the name"), "{said}");
    let to = path("data");
    let said = remote.refused("admin", &["displaced", "restore", "x", "--to", &to]);
    assert!(said.contains("nothing displaced has the name"), "{said}");
}

#[test]
fn events_are_followed() {
    let remote = Remote::start();
    let mut command = remote.command("viewer", &["--json", "events"]);
    let mut follower = command
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let out = std::io::BufReader::new(follower.stdout.take().unwrap());
    let lines = std::thread::spawn(move || {
        let mut lines = std::io::BufRead::lines(out).map_while(Result::ok);
        lines.any(|line| line.contains("a.tmp"))
    });
    // It may begin to follow only now: what happens again is told again.
    wait_for("an event is told", || {
        remote.place.write("data/a.tmp");
        remote.said(&["clean", "--path", "a.tmp", "--yes"]);
        lines.is_finished().then_some(())
    });
    follower.kill().unwrap();
    follower.wait().unwrap();
    assert!(lines.join().unwrap());
}

#[test]
fn a_command_is_for_a_url_or_for_this_host() {
    let place = Place::new();
    let mut all = Vec::new();
    commands(&place, &[], &mut all);
    let orders: String = include_str!("remote.rs").split_whitespace().collect();
    for command in all {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let is_asked = QUESTIONS
            .iter()
            .any(|question| question.starts_with(&words));
        let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
        let is_tried = is_asked || orders.contains(&format!("&[{}", quoted.join(",")));
        let is_local = LOCAL.iter().any(|local| local[0] == words[0]);
        // `top` needs a terminal, and has tests of its own.
        assert!(
            is_tried || is_local || words == ["top"] || words == ["events"],
            "{words:?}"
        );
    }
    for arguments in LOCAL {
        let mut command = place.lapsed();
        command
            .args(arguments)
            .args(["--url", "https://localhost:1"]);
        let said = refused(command);
        assert!(said.contains("--url means nothing here"), "{said}");
        assert!(said.contains("is about this host"), "{said}");
    }
    // A variable is for the commands that it means something for.
    let mut command = place.lapsed();
    command.env("LAPSED_URL", "https://localhost:1");
    assert!(command.args(["config", "path"]).output().is_ok());
}

fn commands(place: &Place, command: &[String], all: &mut Vec<Vec<String>>) {
    let output = place.lapsed().args(command).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = lines.take_while(|line| !line.is_empty());
    let names = names.filter_map(|line| line.split_whitespace().next());
    let below: Vec<_> = names.filter(|name| *name != "help").collect();
    if below.is_empty() {
        all.push(command.to_vec());
    }
    for name in below {
        commands(place, &[command, &[name.to_owned()]].concat(), all);
    }
}
