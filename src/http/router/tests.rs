//! The routes over a real engine and index; the watchers' observations are told by hand, and
//! nothing is removed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use client::Clients;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use super::*;
use crate::app::access::tokens::Tokens;
use crate::app::access::{Access, Authorizer, OperatorGroup, Origin, Peer};
use crate::app::daemon::{AskSource, Parts};
use crate::app::events::Events;
use crate::app::link::EngineLink;
use crate::clock;
use crate::common::http::{Answer, Request};
use crate::core::claim::Unit;
use crate::core::clock_guard::ClockGuard;
use crate::core::effect::Effect;
use crate::core::engine::{Engine, Input, Setup};
use crate::core::facts::{Facts, FileKey, Kind, RootId};
use crate::core::jobs::{JobLookup, JobRow, SourceId, Status};
use crate::core::observed::{Coverage, Discovery, Name, Observed, PassCost};
use crate::core::path::RelPath;
use crate::core::policy::{Globs, Policy, Root, Rule, Schedule, Since, SkipOpen, Source};
use crate::core::report::{Breaker, Mode};
use crate::core::template::Template;
use crate::core::time::{FileTime, Timestamp};
use crate::ledger::{Ledger, Options};
use crate::notifications::Notifications;
use crate::registry::Registry;
use crate::types;

mod access;
mod client;
mod document;
mod engine;
mod explain;
mod jobs;
mod orders;
mod pause;
mod pins;
mod trash;

const ROOT: RootId = RootId(0);
/// Jobs are told here.
const API: SourceId = SourceId(0);
/// Jobs are told elsewhere; "seven" is there, and "other" too.
const DB: SourceId = SourceId(1);
const HOUR_MS: i64 = 3_600_000;
const ME: Peer = peer(990);
/// Member of the operators' group.
const MEMBER: Peer = peer(991);
const STRANGER: Peer = peer(3_999_999_001);

const fn peer(id: u32) -> Peer {
    Peer {
        uid: id,
        gid: id,
        groups: Vec::new(),
    }
}

/// I am the daemon's user.
fn users() -> Authorizer {
    Authorizer {
        daemon_uid: ME.uid,
        group: Some(OperatorGroup {
            name: "cleaners".to_owned(),
            gid: MEMBER.gid,
        }),
    }
}

/// Connection over TCP from `address` to this host.
fn tcp(address: &str) -> Origin {
    Origin::Tcp {
        address: format!("{address}:40000").parse().unwrap(),
        local: "127.0.0.1:7343".parse().unwrap(),
    }
}

struct World {
    clients: Clients,
    daemon: Arc<Daemon>,
    stop: watch::Sender<bool>,
    now: Timestamp,
    dir: tempfile::TempDir,
}

pub(crate) fn rule(name: &str, unit: Unit, glob: Option<&str>, expire_ms: i64) -> Rule {
    Rule {
        name: name.to_owned(),
        roots: None,
        glob: glob.map(|glob| Globs::compile(&[glob]).unwrap()),
        exclude: None,
        keep: None,
        since: Since::Newest,
        expire_ms: Some(expire_ms),
        keep_last: None,
        unit,
        limit: None,
        skip_open: SkipOpen::Never,
        disposal: crate::core::policy::Disposal::Delete,
        schedule: Schedule::AtDeadline,
        jobs: crate::core::policy::JobFilter::Anyone,
        kinds: None,
        sources: None,
        record: crate::core::policy::Record::Keep,
    }
}

fn policy() -> Policy {
    let root = Root {
        name: "data".to_owned(),
        path: PathBuf::from("/srv/data"),
        owner: Some(Template::parse("{job}/**").unwrap()),
        limit: None,
        prune_empty_dirs: false,
        alert: crate::core::policy::Alert::default(),
        optional: false,
        source: None,
        orphans: None,
        only: None,
        nested: Vec::new(),
    };
    let source = |name: &str, pattern: Option<&str>| Source {
        name: name.to_owned(),
        id_pattern: pattern.map(|pattern| regex::Regex::new(pattern).unwrap()),
        files_root: None,
        base_dir: PathBuf::from("/srv"),
        path_map: Vec::new(),
        links: Vec::new(),
        derived: Vec::new(),
        claims: true,
        required: true,
        is_listed: true,
        same_rows: Vec::new(),
        is_told: name == "api",
    };
    let ids = "[a-z0-9 /-]+";
    Policy {
        sources: [(API, source("api", Some(ids))), (DB, source("db", None))].into(),
        roots: [(ROOT, root)].into(),
        rules: vec![
            rule("old temporaries", Unit::File, Some("**/*.tmp"), HOUR_MS),
            rule("whole jobs", Unit::Dir, Some("job-*"), 5 * HOUR_MS),
        ],
        ..Policy::default()
    }
}

/// As `service` does it for sources of kind api; the other one has two jobs.
fn ask_source(registry: &Arc<Registry>) -> Arc<AskSource> {
    let registry = Arc::clone(registry);
    Arc::new(move |key| {
        let row = match key.source {
            API => registry.job("api", &key.id).unwrap(),
            _ => ["seven", "other"]
                .contains(&&*key.id)
                .then(|| JobRow::new(&*key.id, Status::Running)),
        };
        row.map_or(JobLookup::Gone, |row| JobLookup::Row(Box::new(row)))
    })
}

fn facts(kind: Kind, ino: u64, size: u64, at: Timestamp) -> Facts {
    let time = FileTime::from(at);
    Facts {
        kind,
        key: FileKey { dev: 1, ino },
        nlink: 1,
        size,
        blocks: 8,
        mtime: time,
        ctime: time,
        btime: None,
    }
}

fn listing(
    dir: &str,
    ino: u64,
    files: Vec<(Name, Facts)>,
    dirs: Vec<(Name, Facts)>,
    at: Timestamp,
) -> Observed {
    Observed::Listing {
        root: ROOT,
        dir: RelPath::parse(dir.as_bytes()).unwrap(),
        facts: facts(Kind::Dir, ino, 0, at),
        files,
        dirs,
        discovery: Discovery::Crawl,
        coverage: Coverage::Watched,
    }
}

/// Two hours ago: a.tmp (due), keep.dat (no rule), a name that is not UTF-8; half an hour ago:
/// job-7 with two files.
fn crawl(now: Timestamp) -> Vec<Observed> {
    let old = now.plus_ms(-2 * HOUR_MS);
    let young = now.plus_ms(-HOUR_MS / 2);
    let file = |name: &[u8], ino, size, at| (Name::from(name), facts(Kind::File, ino, size, at));
    let job = (Name::from(&b"job-7"[..]), facts(Kind::Dir, 20, 0, young));
    vec![
        Observed::RootFound {
            root: ROOT,
            key: FileKey { dev: 1, ino: 1 },
        },
        listing(
            "",
            1,
            vec![
                file(b"a.tmp", 2, 100, old),
                file(b"keep.dat", 3, 5_000, old),
                file(b"\xff\"odd", 4, 1, young),
                file(b"b.tmp", 5, 70, young),
            ],
            vec![job],
            old,
        ),
        listing(
            "job-7",
            20,
            vec![file(b"out", 21, 3, young), file(b"x.tmp", 22, 4, young)],
            vec![],
            young,
        ),
    ]
}

impl World {
    /// A daemon whose root is read, and that removes nothing.
    async fn new() -> Self {
        Self::with(Mode::DryRun).await
    }

    async fn with(mode: Mode) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger"), Options::default()).unwrap();
        let now = clock::now();
        let policy = Arc::new(policy());
        let setup = Setup {
            policy: Arc::clone(&policy),
            breaker: Breaker::default(),
            mode,
            guard: ClockGuard::new(now, None),
            memory: None,
            jobs: Arc::default(),
            pins: Arc::default(),
            pauses: Arc::default(),
            trash: Arc::default(),
            sources: std::collections::BTreeMap::new(),
            recording: std::collections::BTreeSet::new(),
        };
        let engine = Engine::new(setup, now);
        let registry = Arc::new(Registry::open(dir.path()).unwrap());
        let index = Arc::clone(engine.index());
        let (inputs, received) = mpsc::channel(8);
        let barrier = inputs.clone();
        let link = EngineLink::new(inputs, move |token| {
            let barrier = barrier.clone();
            tokio::spawn(async move { barrier.send(Input::Synced(token)).await });
        });
        let events = Arc::new(Events::new(now.wall));
        let parts = Parts {
            trash: Box::new(trash::NoTrash),
            shadow: None,
            is_shadow: false,
            index,
            jobs: Arc::clone(engine.jobs()),
            pins: Arc::clone(engine.pins()),
            pauses: Arc::clone(engine.pauses()),
            policy,
            settings: types::Settings::default(),
            adapter: Arc::default(),
            link: link.clone(),
            ledger: Arc::new(ledger),
            ask_source: ask_source(&registry),
            notifications: Arc::new(Notifications::new(Arc::clone(&registry), None)),
            registry,
            sources: Box::new(|| {
                let name = "api".to_owned();
                vec![types::Source {
                    name,
                    ..types::Source::default()
                }]
            }),
            catch_up: Box::new(|_| Box::pin(async {})),
            is_api: Box::new(|source| source == API),
            events: Arc::clone(&events),
            watches: Box::new(engine::watches),
            space: Box::new(|_| Box::pin(async { BTreeMap::new() })),
            cache: Box::new(types::Cache::default),
            ports: Box::new(Vec::new),
            access: Access::new(users(), Tokens::default()),
            started: now.wall,
        };
        tokio::spawn(engine::own(engine, received, link, events));
        let daemon = Arc::new(Daemon::new(parts));
        let (stop, stopped) = watch::channel(false);
        let world = Self {
            clients: Clients::of(router(Arc::clone(&daemon)), stopped),
            daemon,
            stop,
            now: now.wall,
            dir,
        };
        world.observe(crawl(now.wall)).await;
        let began = clock::now().boot;
        let reconciled = Observed::Reconciled {
            root: ROOT,
            began,
            cost: PassCost::default(),
        };
        world.observe(vec![reconciled]).await;
        world
    }

    async fn observe(&self, seen: Vec<Observed>) {
        let link = self.daemon.link();
        link.send(Input::Observed(seen)).await.unwrap();
        link.sync().await.unwrap();
    }

    async fn send(&self, origin: impl Into<Origin>, request: &Request) -> Answer {
        let answer = self.clients.send(origin, request).await;
        let media = answer.header("content-type");
        let is_problem = media == Some("application/problem+json");
        assert_eq!(is_problem, answer.status >= 400);
        answer
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.send(STRANGER, &Request::get(path)).await.pair()
    }

    async fn post(&self, peer: Peer, path: &str, body: &str) -> (u16, Value) {
        let request = Request::new("POST", path).json(body);
        self.send(peer, &request).await.pair()
    }

    /// Answer to my order with `method`.
    async fn order(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let request = Request::new(method, path).json(body);
        self.send(ME, &request).await.pair()
    }

    async fn lines(&self, path: &str) -> Vec<Value> {
        let request = Request::get(path).header("accept", "application/x-ndjson");
        let answer = self.send(STRANGER, &request).await;
        assert_eq!(answer.status, 200);
        answer.lines()
    }

    /// The names that a list has, in order.
    async fn names(&self, query: &str) -> Vec<String> {
        let (status, files) = self.get(&format!("/v1/files{query}")).await;
        assert_eq!(status, 200, "{files}");
        names(files["files"].as_array().unwrap())
    }
}

fn names(files: &[Value]) -> Vec<String> {
    let name = |file: &Value| {
        let path = file["path"].as_str().unwrap();
        path.strip_prefix("/srv/data/").unwrap().to_owned()
    };
    files.iter().map(name).collect()
}

#[tokio::test]
async fn an_entry_says_what_it_is_and_when_it_lapses() {
    let world = World::new().await;
    let (status, list) = world.get("/v1/files?glob=*.tmp&sort=age").await;
    assert_eq!(status, 200);
    let old = world.now.plus_ms(-2 * HOUR_MS);
    let due = old.plus_ms(HOUR_MS).to_string();
    let expected = json!({
        "path": "/srv/data/a.tmp", "root": "data", "size": 100, "mtime": old.to_string(), "job": null, "source": null, "status": null,
        "rule": "old temporaries", "deadline": due, "lapses_at": due, "reason": "deadline", "hold": "dry-run", "pin": null,
    });
    assert_eq!(list["files"][0], expected);
    assert_eq!(list["cursor"], Value::Null);
    // A file in a top-level directory that lapses as a whole has the directory's deadline.
    let (_, list) = world.get("/v1/files?rule=whole%20jobs").await;
    let young = world.now.plus_ms(-HOUR_MS / 2);
    assert_eq!(list["files"][0]["path"], "/srv/data/job-7/out");
    assert_eq!(list["files"][0]["job"], "job-7");
    assert_eq!(
        list["files"][0]["deadline"],
        young.plus_ms(5 * HOUR_MS).to_string()
    );
    // A name that is not UTF-8.
    let (_, list) = world.get("/v1/files?min_size=1&glob=*odd").await;
    assert_eq!(list["files"][0]["path"], "/srv/data/\u{fffd}\"odd");
    assert_eq!(list["files"][0]["path_b64"], "L3Nydi9kYXRhL/8ib2Rk");
}

#[tokio::test]
async fn filters_and_orders() {
    let world = World::new().await;
    assert_eq!(
        world.names("?rule=none&sort=size").await,
        ["keep.dat", "\u{fffd}\"odd"]
    );
    assert_eq!(world.names("?older_than=1h").await, ["a.tmp", "keep.dat"]);
    assert_eq!(world.names("?hold=dry-run&sync=true").await, ["a.tmp"]);
    assert_eq!(world.names("?hold=open").await, [""; 0]);
    assert_eq!(
        world.names("?expiring_within=45m&sort=deadline").await,
        ["a.tmp", "b.tmp", "job-7/x.tmp"]
    );
    assert_eq!(
        world.names("?job=job-7").await,
        ["job-7/out", "job-7/x.tmp"]
    );
    assert_eq!(world.names("?root=data&min_size=1k").await, ["keep.dat"]);
    assert_eq!(
        world.names("?sort=deadline&order=desc&limit=1").await,
        ["job-7/out"]
    );
}

#[tokio::test]
async fn pages_and_lines_tell_the_same() {
    let world = World::new().await;
    let mut all = Vec::new();
    let mut query = "?limit=2&sort=size".to_owned();
    loop {
        let (_, page) = world.get(&format!("/v1/files{query}")).await;
        all.extend(page["files"].as_array().unwrap().iter().cloned());
        let Some(cursor) = page["cursor"].as_str() else {
            break;
        };
        query = format!("?limit=2&sort=size&cursor={cursor}");
    }
    assert_eq!(all.len(), 6);
    assert_eq!(world.lines("/v1/files?sort=size").await, all);
    let mut unordered = world.lines("/v1/files").await;
    unordered.sort_by_key(|file| std::cmp::Reverse(file["size"].as_u64()));
    assert_eq!(unordered, all);
    assert_eq!(world.lines("/v1/files?limit=4").await.len(), 4);
    assert_eq!(world.lines("/v1/files?sort=age&limit=3").await.len(), 3);
}
