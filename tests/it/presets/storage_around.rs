//! storage: the Celery task of its document, its `.env`, the variables of the field, and a database that is away.

use std::path::Path;

use serde_json::Value;

use super::database::{Database, Kind};
use super::document::Shell;
use super::site::Site;
use super::storage::{Storage, borrowed};
use super::storage_document::{ORPHAN, State, answer, assert_says, lay, of, rounded, world};
use crate::common::{errors, wait_for};
use crate::postgres::Cluster;

/// An application whose worker and whose beat share a directory instead of a broker.
const CELERY_APP: &str = r"from celery import Celery

celery_app = Celery('workers', broker='filesystem://', backend='file://@DIR@/results', include=['workers.tasks.cleanup'])
ways = ['data_folder_in', 'data_folder_out', 'processed_folder', 'control_folder']
celery_app.conf.broker_transport_options = {way: '@DIR@/queue' for way in ways}
celery_app.conf.beat_schedule = {'clean': {'task': 'workers.tasks.cleanup.run_cleanup', 'schedule': 1.0}}
celery_app.conf.beat_schedule_filename = '@DIR@/beat'
";

/// Result of the first task that a worker carries out while the document's line runs.
fn first_result(shell: &Shell<'_>, dir: &Path, line: &str) -> Value {
    let results = dir.join("results");
    std::fs::create_dir_all(&results).unwrap();
    std::fs::create_dir_all(dir.join("queue")).unwrap();
    let worker = shell.start(&format!(
        "PYTHONDONTWRITEBYTECODE=1 exec {}",
        line.replace(" beat", " worker --pool solo --without-mingle")
    ));
    let beat = shell.start(&format!("PYTHONDONTWRITEBYTECODE=1 exec {line}"));
    let tasks = || {
        let files = std::fs::read_dir(&results).unwrap();
        let texts = files.filter_map(|file| std::fs::read(file.unwrap().path()).ok());
        let done = texts.filter_map(|text| serde_json::from_slice::<Value>(&text).ok());
        done.filter(|task| task["date_done"].is_string())
    };
    let first = wait_for("a worker has carried out a task", || {
        tasks().min_by_key(|task| task["date_done"].as_str().unwrap().to_owned())
    });
    drop((beat, worker));
    std::fs::remove_dir_all(dir).unwrap();
    assert_eq!(first["status"], "SUCCESS", "{first}");
    first["result"].clone()
}

#[test]
fn the_task_of_the_document_works() {
    let storage = world(Kind::Sqlite);
    let mut shell = Shell::install(&storage.site, "storage");
    shell.add_celery();
    let dir = storage.site.place.path("celery");
    let app = CELERY_APP.replace("@DIR@", dir.to_str().unwrap());
    std::fs::write(storage.site.write("workers/celery_app.py"), app).unwrap();
    let before = State::of(&storage);
    let line = "celery -A workers.celery_app:celery_app beat";
    shell.export("CLEANUP_ENABLED", "false");
    assert_eq!(first_result(&shell, &dir, line), Value::Null);
    before.assert_gone(&storage, &[], false);
    shell.export("CLEANUP_ENABLED", "true");
    let done = rounded(first_result(&shell, &dir, line));
    before.assert_gone(&storage, &[1, 2, 4, 5], true);
    let mut expected = answer(&storage, false, [2, 2, 1, 1]);
    expected.as_object_mut().unwrap().remove("dry_run");
    assert_eq!(done, expected);
}

#[test]
fn without_celery_the_task_is_a_function() {
    let storage = world(Kind::Sqlite);
    let shell = Shell::install(&storage.site, "storage");
    let before = State::of(&storage);
    let said = shell.python(
        "import json\nfrom workers.tasks.cleanup import run_cleanup\nprint(json.dumps(run_cleanup()))\n",
    );
    before.assert_gone(&storage, &[1, 2, 4, 5], true);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["failed_jobs"], 2, "{said}");
    // What fails is told.
    std::fs::rename(storage.db.path(), storage.site.path("data/aside")).unwrap();
    let said = shell.python(
        "from workers.tasks.cleanup import run_cleanup\ntry:\n    run_cleanup()\nexcept RuntimeError as error:\n    print(error)\n",
    );
    assert!(said.contains("storage"), "{said}");
}

#[test]
fn without_its_database_a_run_says_so_and_removes_nothing() {
    let storage = world(Kind::Sqlite);
    let shell = Shell::install(&storage.site, "storage");
    std::fs::rename(storage.db.path(), storage.site.path("data/aside")).unwrap();
    let before = storage.site.tree();
    for line in [
        "python bin/cleanup_storage.py --dry-run",
        "python bin/cleanup_storage.py",
    ] {
        let output = shell.run_in("", line);
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &errors(&output);
        assert!(
            matches!(output.status.code(), Some(1 | 2)),
            "{line}: {said}"
        );
        assert!(said.contains("source storage"), "{line}: {said}");
        storage.site.assert_same(&before);
    }
    for (line, code) in [
        ("python bin/cleanup_storage.py --failed-days soon", 2),
        ("python bin/cleanup_storage.py --failed-days -1", 2),
        ("python bin/cleanup_storage.py --no-such-flag", 2),
        ("python bin/cleanup_storage.py --help", 0),
    ] {
        let output = shell.run_in("", line);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{line}: {}",
            errors(&output)
        );
    }
    storage.site.assert_same(&before);
}

#[test]
fn the_variables_of_the_field_say_where_everything_is() {
    let cluster = Cluster::shared();
    let mut site = Site::new("storage");
    let name = cluster.database();
    let (address, _) = cluster
        .url(&name)
        .rsplit_once('/')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    let (_, port) = address.rsplit_once(':').unwrap();
    for (variable, value) in [
        ("POSTGRES_HOST", "127.0.0.1"),
        ("POSTGRES_PORT", port),
        ("POSTGRES_USER", "postgres"),
        ("POSTGRES_PASSWORD", "p@ss/w%rd: "),
        ("POSTGRES_DB", &name),
        ("UPLOAD_DIR", "srv/in"),
        ("OUTPUT_DIR", "srv/out"),
    ] {
        site.set(variable, value);
    }
    let storage = Storage::with(site, Database::on(cluster, &name));
    lay(&storage);
    let app = storage.site.path("");
    std::fs::create_dir(app.join("srv")).unwrap();
    // The rows go on calling them as the application in its container does.
    for (from, to) in [("data/uploads", "srv/in"), ("data/outputs", "srv/out")] {
        std::fs::rename(app.join(from), app.join(to)).unwrap();
    }
    let shell = Shell::install(&storage.site, "storage");
    let (before, rows) = (storage.site.tree(), storage.db.texts("SELECT id FROM jobs"));
    shell.line("python bin/cleanup_storage.py");
    let gone = of(&[1, 2, 4, 5, ORPHAN]).into_iter();
    let gone: Vec<String> = gone
        .map(|name| {
            name.replace("data/uploads", "srv/in")
                .replace("data/outputs", "srv/out")
        })
        .collect();
    let difference = before
        .but(&borrowed(&gone))
        .difference(&storage.site.tree());
    assert!(difference.is_empty(), "{difference}");
    assert_eq!(
        storage.db.texts("SELECT id FROM jobs").len(),
        rows.len() - 4
    );
}

#[test]
fn a_configuration_that_only_tells_tells_what_would_go() {
    let storage = world(Kind::Sqlite);
    let mut shell = Shell::install(&storage.site, "storage");
    shell.export("LAPSED_DRY_RUN", "true");
    let before = State::of(&storage);
    let said = shell.line("python bin/cleanup_storage.py");
    assert_says(
        &said,
        &[
            "Storage clean-up (dry run: nothing is removed)",
            "completed jobs: 2 (kept 30 days)",
            "would free: 15.00 MB",
        ],
    );
    before.assert_gone(&storage, &[], false);
}

#[test]
fn the_env_file_of_the_document_counts_in_any_case() {
    let storage = world(Kind::Sqlite);
    let shell = Shell::install(&storage.site, "storage");
    let text = "# Enable/disable automatic cleanup\ncleanup_enabled=true\n\n# How often to run cleanup (in hours)\n\
                CLEANUP_INTERVAL_HOURS=24  # Daily\n\n# Retention policies\nRETENTION_COMPLETED_DAYS=60   # Keep completed jobs 60 days\n\
                Retention_Failed_Days=14        # Keep failed jobs 14 days\n";
    std::fs::write(storage.site.path(".env"), text).unwrap();
    storage.site.said(&["takeover", "--yes"]);
    let told = storage.site.said(&["check"]);
    assert_eq!(told.matches("only when asked").count(), 4, "{told}");
    assert!(told.contains("at \"every 24h\""), "{told}");
    let before = State::of(&storage);
    let said = shell.line("python bin/cleanup_storage.py");
    assert_says(
        &said,
        &[
            "completed jobs: 1 (kept 60 days)",
            "failed jobs: 1 (kept 14 days)",
        ],
    );
    before.assert_gone(&storage, &[2, 5], true);
}
