//! The dashboard of a real daemon in a real browser: `dashboard/*.mjs` click, this file has what they click on.

mod picture;
mod script;

use std::net::SocketAddr;
use std::time::Duration;

use script::{Script, modules};
use serde_json::{Value, json};

use crate::common::trees::{set_age, write, write_old};
use crate::common::{Daemon, Place, wait_or_tell, walk};
use crate::notify::receiver::HttpReceiver;
use crate::tcp::addresses;
use crate::tcp::clients::{Nginx, free_address, snippet};

const HOUR: Duration = Duration::from_hours(1);

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
fn a_run_is_seen_live_and_cancelled() {
    // Enough for a run that a person overtakes.
    const MANY: usize = 20_000;
    let place = Place::new();
    let root = place.make_dir("data");
    for number in 0..MANY {
        std::fs::write(root.join(format!("{number:05}")), "x").unwrap();
    }
    place.config(
        "breaker.entries = 100000\n[[root]]\npath = \"data\"\n[[rule]]\nname = \"old\"\n\
         since = \"mtime\"\nexpire = \"0s\"\nschedule = \"manual\"\n",
    );
    let mut world = World::of(place, free_address(), "operator");
    world.serve();
    world.script("runs", &json!({"files": MANY})).finish();
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
