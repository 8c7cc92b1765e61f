//! The dashboard of a real daemon in a real browser: `dashboard/*.mjs` click, this file has what they click on.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::trees::{set_age, write, write_old};
use crate::common::watchdog::sign_of_life;
use crate::common::{Daemon, Place, wait_or_tell, wait_within, walk};
use crate::notify::receiver::HttpReceiver;
use crate::tcp::addresses;
use crate::tcp::clients::{Nginx, free_address, snippet};

const HOUR: Duration = Duration::from_hours(1);

/// Time for a whole script: some ten times what it takes on an idle machine.
const SCRIPT: Duration = Duration::from_mins(4);

/// Roots and rules with something in every panel: what waits to be asked for, what lapses in hours, a limit, a breaker that
/// has tripped, a hold, jobs, a source that cannot be read, a receiver that fails.
const WORLD: &str = r#"
    [breaker]
    entries = 20
    [[root]]
    name = "data"
    path = "data"
    [[root]]
    name = "burst"
    path = "burst"
    [[root]]
    name = "jobs"
    path = "jobs"
    owner = "{job}/**"
    source = "api"
    [[source]]
    name = "api"
    kind = "api"
    [[source]]
    name = "shop"
    kind = "sqlite"
    path = "missing.db"
    select = "SELECT id, status FROM jobs"
    required = false
    [[rule]]
    name = "old"
    root = "data"
    glob = "**/*.old"
    since = "mtime"
    expire = "1h"
    schedule = "manual"
    then = "trash"
    undo = "24h"
    [[rule]]
    name = "soon"
    root = "data"
    glob = "**/*.tmp"
    since = "mtime"
    expire = "1h"
    [[rule]]
    name = "later"
    root = "data"
    glob = "**/*.log"
    since = "mtime"
    expire = "10h"
    limit = { max_files = 100 }
    [[rule]]
    name = "burst"
    root = "burst"
    since = "mtime"
    expire = "1d"
"#;

/// A daemon with [`WORLD`], and what stands in it.
struct World {
    place: Place,
    daemon: Option<Daemon>,
    address: SocketAddr,
    receiver: HttpReceiver,
    anonymous: &'static str,
}

impl World {
    fn new(anonymous: &'static str) -> Self {
        let place = Place::new();
        for name in ["a", "b", "c"] {
            aged(&place, &format!("data/{name}.old"), 4 * HOUR, 1000);
        }
        for name in ["1", "2", "3"] {
            aged(&place, &format!("data/deep/{name}.log"), HOUR, 2048);
        }
        for number in 0..30 {
            aged(&place, &format!("burst/{number}"), 48 * HOUR, 10);
        }
        for job in ["6", "7"] {
            place.write(&format!("jobs/{job}/out"));
        }
        let receiver = HttpReceiver::new();
        receiver.answer(500);
        let notify = format!(
            "[[notify]]\nname = \"ops\"\non = [\"run\"]\nwebhook.url = \"{}\"\n",
            receiver.url()
        );
        place.config(&[WORLD, &notify].concat());
        let mut world = Self {
            receiver,
            ..Self::of(place, free_address(), anonymous)
        };
        world.serve();
        let path = world.place.path("data/kept.tmp");
        let pin = json!({"path": path, "for": "5h", "why": "the board wants it"});
        let (status, answer) = world.daemon().post("/v1/pins", &pin.to_string());
        assert_eq!(status, 201, "{answer}");
        aged(&world.place, "data/kept.tmp", 3 * HOUR, 512);
        for job in ["6", "7"] {
            let put = ["job", "put", job, "--status", "running"];
            world.place.said(&put);
        }
        world.daemon().sync();
        world
    }

    /// A daemon that does not run yet.
    fn of(place: Place, address: SocketAddr, anonymous: &'static str) -> Self {
        Self {
            place,
            daemon: None,
            address,
            receiver: HttpReceiver::new(),
            anonymous,
        }
    }

    fn serve(&mut self) {
        let mut command = self.place.lapsed();
        command
            .args(["serve", "--config", &self.place.config_path()])
            .args(["--http", &self.address.to_string()])
            .env("LAPSED_HTTP_ANONYMOUS", self.anonymous);
        let daemon = Daemon::start(command, self.place.socket());
        daemon.wait_until_up();
        daemon.wait_until_ready();
        assert_eq!(addresses(&daemon), [self.address]);
        self.daemon = Some(daemon);
    }

    fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().unwrap()
    }

    fn token(&self, role: &str) -> String {
        let said = self
            .place
            .said(&["token", "new", "--role", role, "--name", role]);
        said.lines().last().unwrap().to_owned()
    }

    /// Starts the script `name`, which is told `more` of this world.
    fn script(&self, name: &str, more: &Value) -> Script {
        let mut facts = json!({
            "url": format!("http://{}", self.address),
            "modules": modules(),
            "home": self.place.path("browser"),
            "data": self.place.path("data"),
            "jobs": self.place.path("jobs"),
            "burst": self.place.path("burst"),
        });
        let more = more.as_object().into_iter().flatten();
        facts
            .as_object_mut()
            .unwrap()
            .extend(more.map(|(key, value)| (key.clone(), value.clone())));
        Script::start(name, &facts)
    }
}

fn aged(place: &Place, name: &str, age: Duration, bytes: usize) {
    let path = place.path(name);
    write(&path, bytes);
    set_age(&path, age).unwrap();
}

/// Modules of node: beside `playwright-core`, which is a link in a folder of PATH.
fn modules() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|dir| dir.join("playwright-core"))
        .find_map(|program| program.canonicalize().ok());
    let program = found.expect("playwright-core; tests/run installs it");
    program.ancestors().nth(2).unwrap().to_owned()
}

/// A script that runs, and its lines.
struct Script {
    name: String,
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    said: String,
}

impl Script {
    fn start(name: &str, facts: &Value) -> Self {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/dashboard");
        let mut child = Command::new("node")
            .arg(format!("{folder}/{name}.mjs"))
            .arg(facts.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("node; tests/run installs it");
        let (sender, lines) = mpsc::channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self {
            name: name.to_owned(),
            input: child.stdin.take().unwrap(),
            child,
            lines,
            said: String::new(),
        }
    }

    /// Waits until it says `wanted`, which is the last thing of a script that found nothing wrong, or a question.
    #[track_caller]
    fn wait_until_said(&mut self, wanted: &str) {
        let (name, said, lines) = (&self.name, &mut self.said, &self.lines);
        let mut has_ended = false;
        wait_within(
            SCRIPT,
            &format!("{name}.mjs says {wanted:?}"),
            || match lines.try_recv() {
                Ok(line) => {
                    said.push_str(&line);
                    said.push('\n');
                    (line == wanted).then_some(())
                }
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Disconnected) => {
                    has_ended = true;
                    Some(())
                }
            },
            String::new,
        );
        assert!(!has_ended, "{name}.mjs ended without {wanted:?}:\n{said}");
    }

    /// Answers a question.
    fn answer(&mut self) {
        sign_of_life();
        writeln!(self.input, "done").unwrap();
    }

    #[track_caller]
    fn finish(mut self) {
        self.wait_until_said("agreed");
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // It closes its browser when nobody asks it any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn every_panel_shows_what_is_so() {
    let world = World::new("viewer");
    let files = ["data", "burst", "jobs"].map(|root| walk(&world.place.path(root)).len());
    world.script("panels", &json!({"files": files})).finish();
}

#[test]
fn each_role_does_what_it_may_and_no_more() {
    let world = World::new("none");
    let tokens = ["viewer", "operator", "admin"].map(|role| (role.to_owned(), world.token(role)));
    let tokens: serde_json::Map<_, _> = tokens
        .into_iter()
        .map(|(role, token)| (role, token.into()))
        .collect();
    let mut script = world.script("roles", &json!({"tokens": tokens}));
    script.wait_until_said("revoke");
    world.place.said(&["token", "revoke", "viewer"]);
    script.answer();
    script.finish();
    assert!(
        walk(&world.place.path("burst")).is_empty(),
        "the breaker was released"
    );
    wait_or_tell(
        "the test arrived",
        || {
            world
                .receiver
                .received()
                .iter()
                .any(|one| one.body.contains("test"))
                .then_some(())
        },
        || format!("{:?}", world.receiver.received()),
    );
}

#[test]
fn names_that_others_make_do_nothing() {
    use std::os::unix::ffi::OsStrExt;
    let world = World::new("operator");
    let names: [&[u8]; 8] = [
        b"<img src=x onerror=alert(1)>.old",
        b"<td><script>alert(2)<script>.old",
        "\u{202e}gpj.exe.old".as_bytes(),
        "\u{5e9}\u{5dc}\u{5d5}\u{5dd}.old".as_bytes(),
        b"line\nbreak\t.old",
        b"=HYPERLINK(\"x\").old",
        b"\xff\xfe[*].old",
        b"\"' onmouseover=alert(3) x=.old",
    ];
    let folder = world.place.path("data/%3Cb%3E");
    std::fs::create_dir_all(&folder).unwrap();
    for name in names {
        let path = folder.join(std::ffi::OsStr::from_bytes(name));
        write_old(&path, 10);
    }
    world.daemon().sync();
    world
        .script("hostile", &json!({"count": names.len()}))
        .finish();
    assert!(
        walk(&folder).is_empty(),
        "each was named exactly: {:?}",
        walk(&folder)
    );
}

#[test]
fn everybody_can_use_it() {
    let world = World::new("operator");
    world.script("accessible", &json!({})).finish();
}

#[test]
fn a_daemon_that_goes_away_is_told_and_comes_back() {
    let mut world = World::new("viewer");
    let mut script = world.script("outage", &json!({}));
    script.wait_until_said("stop");
    world.daemon.take().unwrap().stop();
    script.answer();
    script.wait_until_said("start");
    aged(&world.place, "data/4.log", HOUR, 2048);
    world.serve();
    script.answer();
    script.finish();
}

#[test]
fn it_works_behind_a_proxy_and_below_a_path() {
    let world = World::new("none");
    let front = free_address();
    let _nginx = Nginx::start(&world.place, front, &snippet("nginx.conf", world.address));
    let url = format!("http://{front}/lapsed");
    let facts = json!({"url": url, "token": world.token("operator")});
    world.script("proxied", &facts).finish();
}

/// Roots of an application, for the picture.
const PICTURED: &str = r#"
    [[root]]
    name = "uploads"
    path = "uploads"
    [[root]]
    name = "results"
    path = "results"
    owner = "{job}/**"
    source = "api"
    [[source]]
    name = "api"
    kind = "api"
    [[rule]]
    name = "uploads"
    root = "uploads"
    since = "mtime"
    expire = "2d"
    limit = { max_files = 500 }
    [[rule]]
    name = "results of completed jobs"
    root = "results"
    job = ["completed"]
    since = "mtime"
    expire = "30d"
"#;

#[test]
fn the_picture_of_the_readme_is_made() {
    let place = Place::new();
    for number in 0..360_u64 {
        let noise = (number * 2_654_435_761) % 4096;
        let size = 1_000_000 + noise * 9_000;
        let (name, age) = if number < 240 {
            let minutes = 60 * (number % 40) + noise % 240;
            (
                format!("uploads/{}/video-{number}.mp4", number % 12),
                Duration::from_mins(minutes),
            )
        } else {
            let hours = 24 * (number % 28) + noise % 20;
            (
                format!("results/{}/report-{number}.pdf", number % 8),
                Duration::from_hours(hours),
            )
        };
        let path = place.path(&name);
        write(&path, 0);
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_len(size).unwrap();
        set_age(&path, age).unwrap();
    }
    let port = free_address();
    place.config(PICTURED);
    let mut world = World::of(place, port, "operator");
    world.serve();
    for job in 0..8 {
        let put = ["job", "put", &job.to_string(), "--status", "completed"];
        world.place.said(&put);
    }
    let picture = world.place.path("dashboard.png");
    world
        .script(
            "picture",
            &json!({"picture": picture, "dir": world.place.path("")}),
        )
        .finish();
    let bytes = std::fs::read(&picture).unwrap();
    assert!(bytes.len() < 150_000, "{} bytes", bytes.len());
    if std::env::var_os("LAPSED_UPDATE_PICTURE").is_some() {
        let place = concat!(env!("CARGO_MANIFEST_DIR"), "/config/dashboard.png");
        std::fs::write(place, bytes).unwrap();
    }
}
