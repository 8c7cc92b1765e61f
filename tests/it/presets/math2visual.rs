//! math2visual: drawings and unconfirmed icons by age, and rows of idle tutor sessions.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::time::Duration;

use serde_json::Value;

use super::database::{DAY, Database, HOUR, Kind, YEAR, ago, ms, utc};
use super::site::{Site, age_tree, written_at};
use crate::common::sources::{source, uuid, wait_for_source};
use crate::common::trees::now_ms;
use crate::common::{Daemon, wait_for, wait_or_tell};
use crate::postgres::Cluster;

const MINUTE: Duration = Duration::from_mins(1);
const DRAWINGS: &str = "drawings";
const ICONS: &str = "unconfirmed icons";

/// The backend directory with files of every kind; what of it is due.
pub fn lay(site: &Site) -> Vec<String> {
    let output = |name: String| format!("storage/output/{name}");
    let icon = |name: &str| format!("storage/temp_svgs/{name}");
    let due = vec![
        output(format!("formal_{}.svg", uuid(1))),
        output(format!("intuitive_{}.svg", uuid(1))),
        output(format!("formal_{}.svg", uuid(2).to_uppercase())),
        icon("icon.svg"),
        icon("another icon.svg"),
    ];
    for name in &due[..3] {
        site.aged(name, 25 * HOUR);
    }
    for name in &due[3..] {
        site.aged(name, 61 * MINUTE);
    }
    site.aged(&output(format!("formal_{}.svg", uuid(3))), 23 * HOUR);
    site.aged(&icon("young.svg"), 59 * MINUTE);
    for name in [
        // Archives, by all kinds of timestamps.
        output(format!("formal_20240120_020001_{}.svg", uuid(1))),
        output(format!("intuitive_20240120_020001_{}.svg", uuid(1))),
        output(format!("formal_1705716001_{}.svg", uuid(1))),
        output(format!("formal_2024-01-20-02-00_{}.svg", uuid(1))),
        // What the pattern of the old script takes, too.
        output("formal_a-b-c-d-e.svg".to_owned()),
        output("formal_my-own-drawing-of-mine.svg".to_owned()),
        output(format!("formal_{}.svg.bak", uuid(1))),
        output(format!("formal_{}.png", uuid(1))),
        output(format!("formal_{}x.svg", uuid(1))),
        output(format!("informal_{}.svg", uuid(1))),
        output(format!("{}.svg", uuid(1))),
        output(".gitkeep".to_owned()),
        output(format!("deep/formal_{}.svg", uuid(1))),
        icon(".gitkeep"),
        icon(".hidden.svg"),
        icon("icon.png"),
        icon("icon.svg.txt"),
        icon("deep/icon.svg"),
        "storage/datasets/icon.svg".to_owned(),
        format!("storage/formal_{}.svg", uuid(1)),
        "app/utils/cleanup.py".to_owned(),
    ] {
        site.aged(&name, YEAR);
    }
    for (dir, name) in [
        ("output", format!("formal_{}.svg", uuid(9))),
        ("temp_svgs", "link.svg".to_owned()),
    ] {
        symlink(
            site.place.path("outside/passwd"),
            site.path(&format!("storage/{dir}/{name}")),
        )
        .unwrap();
    }
    due
}

fn borrowed(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

pub struct Tutor {
    pub site: Site,
    pub db: Database,
}

impl Tutor {
    /// `last_activity` is of this type.
    pub fn new(kind: Kind, last_activity: &str) -> Self {
        let mut site = Site::new("math2visual");
        let db = Database::new(kind, &mut site, "tutor.db");
        if kind == Kind::Sqlite {
            site.set("DATABASE_URL", "sqlite:///tutor.db");
        }
        Self::with(site, db, last_activity)
    }

    fn with(site: Site, db: Database, last_activity: &str) -> Self {
        db.run(&format!(
            "CREATE TABLE tutor_sessions (session_id VARCHAR(255) PRIMARY KEY, data TEXT, last_activity {last_activity} NOT NULL)"
        ));
        Self { site, db }
    }

    /// A session that was last used at an instant. `zone` is what follows the time.
    pub fn session(&self, id: &str, used: i64, zone: &str) {
        self.db.run(&format!(
            "INSERT INTO tutor_sessions VALUES('{}', '{{}}', '{}{zone}')",
            id.replace('\'', "''"),
            utc(used)
        ));
    }

    fn serve(&self) -> Daemon {
        let daemon = self.site.serve();
        wait_for_source(&daemon, "tutor", "ready");
        daemon
    }

    pub fn rows(&self) -> Vec<Value> {
        self.db.rows(
            "SELECT session_id AS id, data, CAST(last_activity AS VARCHAR(60)) AS used FROM tutor_sessions ORDER BY session_id",
        )
    }

    #[track_caller]
    fn wait_for_rows(&self, daemon: &Daemon, rows: &[Value]) {
        wait_or_tell(
            "the rows of idle sessions go, and no others",
            || (self.rows() == rows).then_some(()),
            || format!("{:#?}\n{}", self.rows(), source(daemon, "tutor")),
        );
    }
}

/// `rows` without those of `ids`.
fn without(rows: &[Value], ids: &[&str]) -> Vec<Value> {
    let is_left = |row: &&Value| !ids.contains(&row["id"].as_str().unwrap());
    rows.iter().filter(is_left).cloned().collect()
}

/// The types that the column has in the field, and how a time in UTC is written there.
const TYPES: [(Kind, &str, &str); 3] = [
    (Kind::Sqlite, "TIMESTAMP", ""),
    (Kind::Postgres, "TIMESTAMP", ""),
    (Kind::Postgres, "TIMESTAMPTZ", "+00"),
];

#[test]
fn files_and_rows_go_as_the_document_says() {
    for (kind, last_activity, zone) in TYPES {
        let tutor = Tutor::new(kind, last_activity);
        let due = lay(&tutor.site);
        for (id, idle) in [
            ("idle", 121 * MINUTE),
            ("ancient", YEAR),
            ("../x", DAY),
            ("..", DAY),
            ("output", DAY),
            ("line\n", DAY),
            ("x' OR '1'='1", DAY),
            ("used", 119 * MINUTE),
            ("new", Duration::ZERO),
            ("line", MINUTE),
        ] {
            tutor.session(id, ago(idle), zone);
        }
        // Of a clock that is ahead.
        tutor.session("tomorrow", now_ms() + ms(DAY), zone);
        let (before, rows) = (tutor.site.tree(), tutor.rows());
        let daemon = tutor.serve();
        let left = tutor
            .site
            .wait_until_gone(&daemon, &before, &borrowed(&due));
        let gone = [
            "idle",
            "ancient",
            "../x",
            "..",
            "output",
            "line\n",
            "x' OR '1'='1",
        ];
        tutor.wait_for_rows(&daemon, &without(&rows, &gone));
        tutor.site.assert_all_stay(&daemon, &left);
        tutor.wait_for_rows(&daemon, &without(&rows, &gone));
        tutor.site.line_about(&daemon, &due[0], DRAWINGS);
        tutor.site.line_about(&daemon, &due[3], ICONS);
        tutor.site.assert_never_early();
    }
}

#[test]
fn each_goes_at_its_deadline() {
    for (kind, last_activity, zone) in TYPES {
        let tutor = Tutor::new(kind, last_activity);
        let site = &tutor.site;
        lay(site);
        let daemon = tutor.serve();
        let at = now_ms() + 3000;
        let drawing = format!("storage/output/intuitive_{}.svg", uuid(20));
        let icon = "storage/temp_svgs/soon.svg";
        site.write(&drawing);
        site.write(icon);
        written_at(&site.path(&drawing), at - ms(DAY));
        written_at(&site.path(icon), at - ms(HOUR));
        tutor.session("soon", at - ms(2 * HOUR), zone);
        tutor.session("touched", at - ms(2 * HOUR), zone);
        // Used in the last moment.
        tutor.db.run(&format!(
            "UPDATE tutor_sessions SET last_activity = '{}{zone}' WHERE session_id = 'touched'",
            utc(at)
        ));
        let rows = tutor.rows();
        site.wait_for_deadline(&daemon, &drawing, DRAWINGS, at);
        site.wait_for_deadline(&daemon, icon, ICONS, at);
        tutor.wait_for_rows(&daemon, &without(&rows, &["soon"]));
        assert!(now_ms() >= at);
        site.assert_never_early();
    }
}

#[test]
fn names_that_are_not_text_are_names_as_well() {
    let tutor = Tutor::new(Kind::Sqlite, "TIMESTAMP");
    tutor.site.make_dir("storage/output");
    tutor.site.make_dir("storage/temp_svgs");
    for name in [
        &b"storage/temp_svgs/caf\xe9.svg"[..],
        b"storage/temp_svgs/caf\xe9.svg\xff",
        b"storage/output/formal_\xe9.svg",
    ] {
        let path = tutor.site.path("").join(OsStr::from_bytes(name));
        std::fs::write(&path, b"x").unwrap();
        age_tree(&path, YEAR);
    }
    let before = tutor.site.tree();
    let daemon = tutor.serve();
    let gone = ["storage/temp_svgs/caf\\xe9.svg"];
    let left = tutor.site.wait_until_gone(&daemon, &before, &gone);
    tutor.site.assert_all_stay(&daemon, &left);
}

#[test]
fn a_session_that_is_used_in_the_last_moment_stays() {
    for (kind, last_activity, zone) in TYPES {
        let tutor = Tutor::new(kind, last_activity);
        let daemon = tutor.serve();
        let at = now_ms() + 3000;
        for number in 0..20 {
            tutor.session(&format!("s{number:02}"), at - ms(2 * HOUR), zone);
        }
        let wanted: Vec<String> = (0..20).step_by(2).map(|n| format!("s{n:02}")).collect();
        // Again and again up to the last moment, and beyond it.
        wait_for("the time passes", || {
            for id in &wanted {
                tutor.db.run(&format!(
                    "UPDATE tutor_sessions SET last_activity = '{}{zone}' WHERE session_id = '{id}'",
                    utc(now_ms())
                ));
            }
            (now_ms() > at + 200).then_some(())
        });
        wait_or_tell(
            "the others go",
            || {
                let ids = tutor
                    .db
                    .texts("SELECT session_id FROM tutor_sessions ORDER BY session_id");
                (ids == wanted).then_some(())
            },
            || format!("{:#?}\n{}", tutor.rows(), source(&daemon, "tutor")),
        );
    }
}

#[test]
fn without_a_database_files_go_all_the_same_and_rows_follow() {
    let cluster = Cluster::new();
    let mut site = Site::new("math2visual");
    let name = cluster.database();
    site.set("DATABASE_URL", &cluster.url(&name));
    let mut tutor = Tutor::with(site, Database::on(&cluster, &name), "TIMESTAMP");
    let due = lay(&tutor.site);
    tutor.session("idle", ago(DAY), "");
    tutor.session("used", ago(MINUTE), "");
    let (before, rows) = (tutor.site.tree(), tutor.rows());
    cluster.stop();
    let daemon = tutor.site.serve();
    let left = tutor
        .site
        .wait_until_gone(&daemon, &before, &borrowed(&due));
    let why = wait_for_source(&daemon, "tutor", "down");
    assert!(!why.is_empty());
    let status = tutor.site.said(&["status"]);
    assert!(status.contains("source tutor: down: "), "{status}");
    tutor.site.assert_all_stay(&daemon, &left);
    cluster.start();
    tutor.db = Database::on(&cluster, &name);
    tutor.wait_for_rows(&daemon, &without(&rows, &["idle"]));
    wait_for_source(&daemon, "tutor", "ready");
    // It goes down again: files still go.
    cluster.stop();
    wait_for_source(&daemon, "tutor", "down");
    let later = "storage/temp_svgs/later.svg";
    let before = tutor.site.tree();
    tutor.site.aged(later, YEAR);
    wait_for("the file goes", || {
        (!tutor.site.exists(later)).then_some(())
    });
    assert_eq!(tutor.site.tree(), before);
    cluster.start();
    tutor.db = Database::on(&cluster, &name);
    wait_for_source(&daemon, "tutor", "ready");
    tutor.session("late", ago(DAY), "");
    tutor.wait_for_rows(&daemon, &without(&rows, &["idle"]));
}

#[test]
fn the_ages_are_taken_from_the_environment_with_fractions() {
    let drawings = [
        (
            format!("storage/output/formal_{}.svg", uuid(1)),
            10 * MINUTE,
        ),
        (
            format!("storage/output/formal_{}.svg", uuid(2)),
            50 * MINUTE,
        ),
        (format!("storage/output/formal_{}.svg", uuid(3)), 3 * HOUR),
    ];
    let icons = [
        ("storage/temp_svgs/a.svg".to_owned(), 10 * MINUTE),
        ("storage/temp_svgs/b.svg".to_owned(), 50 * MINUTE),
        ("storage/temp_svgs/c.svg".to_owned(), 3 * HOUR),
    ];
    for (variable, value, files, gone) in [
        ("AGE_HOURS", "0", &drawings, 3),
        ("AGE_HOURS", "0.5", &drawings, 2),
        ("AGE_HOURS", "1", &drawings, 1),
        ("AGE_HOURS", "6", &drawings, 0),
        ("TEMP_SVG_AGE_HOURS", "0", &icons, 3),
        ("TEMP_SVG_AGE_HOURS", "0.5", &icons, 2),
        ("TEMP_SVG_AGE_HOURS", "2", &icons, 1),
        ("TEMP_SVG_AGE_HOURS", "3.25", &icons, 0),
    ] {
        let mut tutor = Tutor::new(Kind::Sqlite, "TIMESTAMP");
        tutor.site.set(variable, value);
        tutor.site.make_dir("storage/output");
        tutor.site.make_dir("storage/temp_svgs");
        for (name, age) in files {
            tutor.site.aged(name, *age);
        }
        let before = tutor.site.tree();
        let daemon = tutor.serve();
        let gone: Vec<&str> = files[3 - gone..]
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        let left = tutor.site.wait_until_gone(&daemon, &before, &gone);
        tutor.site.assert_all_stay(&daemon, &left);
    }
}

#[test]
fn sessions_that_are_research_data_are_kept_for_ever() {
    for (variable, value, gone) in [
        ("VITE_ENABLE_ANALYTICS", "true", &[][..]),
        ("VITE_ENABLE_ANALYTICS", "True", &[]),
        ("VITE_ENABLE_ANALYTICS", "1", &[]),
        ("VITE_ENABLE_ANALYTICS", "false", &["ancient", "idle"]),
        ("VITE_ENABLE_ANALYTICS", "", &["ancient", "idle"]),
        ("TUTOR_SESSION_EXPIRATION_HOURS", "4", &["ancient"]),
        (
            "TUTOR_SESSION_EXPIRATION_HOURS",
            "0.5",
            &["ancient", "idle", "used"],
        ),
    ] {
        let mut tutor = Tutor::new(Kind::Sqlite, "TIMESTAMP");
        tutor.site.set(variable, value);
        let icon = "storage/temp_svgs/icon.svg";
        tutor.site.aged(icon, YEAR);
        tutor.site.aged("storage/temp_svgs/.hidden.svg", YEAR);
        for (id, idle) in [("ancient", YEAR), ("idle", 3 * HOUR), ("used", HOUR)] {
            tutor.session(id, ago(idle), "");
        }
        let (before, rows) = (tutor.site.tree(), tutor.rows());
        let daemon = tutor.serve();
        let left = tutor.site.wait_until_gone(&daemon, &before, &[icon]);
        tutor.wait_for_rows(&daemon, &without(&rows, gone));
        tutor.site.assert_all_stay(&daemon, &left);
        tutor.wait_for_rows(&daemon, &without(&rows, gone));
    }
}

#[test]
fn archives_are_a_choice() {
    let mut tutor = Tutor::new(Kind::Sqlite, "TIMESTAMP");
    let mut due = lay(&tutor.site);
    tutor.site.set("INCLUDE_ARCHIVES", "true");
    for stamp in ["20240120_020001", "1705716001", "2024-01-20-02-00"] {
        due.push(format!("storage/output/formal_{stamp}_{}.svg", uuid(1)));
    }
    due.push(format!(
        "storage/output/intuitive_20240120_020001_{}.svg",
        uuid(1)
    ));
    let before = tutor.site.tree();
    let daemon = tutor.serve();
    let left = tutor
        .site
        .wait_until_gone(&daemon, &before, &borrowed(&due));
    tutor.site.assert_all_stay(&daemon, &left);
}
