//! The registry on a real disk: what is acknowledged stays, what is damaged is refused.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::core::jobs::{JobRow, Status};
use crate::core::pauses::{Pause, PausedRoot};
use crate::core::pins::{Pin, PinTarget};
use crate::core::policy::Record;
use crate::core::time::Timestamp;

mod deliveries;
mod for_ever;
mod looks;
mod outbox;
mod runs;

const NOW: Timestamp = Timestamp::from_unix_ms(1_700_000_000_000);

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn open(dir: &tempfile::TempDir) -> Registry {
    Registry::open(dir.path()).unwrap()
}

fn refusal(dir: &Path) -> String {
    let error = Registry::open(dir).unwrap_err();
    assert_eq!(
        Registry::open_to_read(dir).unwrap_err().to_string(),
        error.to_string(),
        "a look is refused for the same reason"
    );
    error.to_string()
}

fn row(id: &str, status: Status) -> JobRow {
    let mut row = JobRow::new(id, status);
    row.moments.created_at = Some(NOW);
    row.moments.completed_at = Some(NOW.plus_ms(1));
    row.files = vec!["a/ü".to_owned(), "/b\n".to_owned()];
    row.attributes = [("n".to_owned(), serde_json::json!([1, null, "x"]))].into();
    row.error = Some("it \"failed\"".to_owned());
    row
}

fn path_pin(path: &[u8]) -> PinTarget {
    use std::os::unix::ffi::OsStrExt;
    PinTarget::Path(PathBuf::from(std::ffi::OsStr::from_bytes(path)))
}

fn add(registry: &Registry, target: PinTarget) -> Pin {
    registry
        .add_pin(target, "ann", "for the audit", NOW, NOW.plus_ms(1000))
        .unwrap()
}

fn item(id: u64, source: &str) -> OutboxItem {
    OutboxItem {
        id,
        source: source.to_owned(),
        job: row(&format!("job-{id}"), Status::Completed),
        action: Record::Forget,
        at: NOW,
        summary: "2 files, 7 bytes".to_owned(),
    }
}

#[test]
fn all_of_it_is_there_after_a_restart() {
    let dir = scratch();
    let registry = open(&dir);
    let job = row("one", Status::Failed);
    registry.put_job("api", &job).unwrap();
    registry
        .put_job("other", &row("one", Status::Running))
        .unwrap();
    let odd = add(&registry, path_pin(b"/srv/\xff"));
    let of_job = add(
        &registry,
        PinTarget::Job {
            source: "api".into(),
            id: "one".into(),
        },
    );
    registry.prepare(&[item(7, "api"), item(8, "api")]).unwrap();
    registry.confirm(&[8]).unwrap();
    let seen = SourceSeen {
        jobs: 5,
        trip: Some("it is empty".into()),
        read_at: Some(Timestamp::from_unix_ms(7)),
    };
    registry.set_source_seen("api", &seen).unwrap();
    // As after `kill -9`: nobody closes anything.
    std::mem::forget(registry);

    let registry = open(&dir);
    assert_eq!(registry.jobs("api").unwrap(), std::slice::from_ref(&job));
    assert_eq!(registry.job("api", "one").unwrap(), Some(job.clone()));
    assert_eq!(registry.pins().unwrap(), [odd.clone(), of_job.clone()]);
    assert_eq!(registry.prepared().unwrap(), [7]);
    assert_eq!(registry.ready("api", NOW).unwrap(), [item(8, "api")]);
    assert_eq!(registry.source_seen("api").unwrap(), Some(seen));
    assert_eq!(registry.source_seen("other").unwrap(), None);
    drop(registry);
    let look = Registry::open_to_read(dir.path()).unwrap();
    assert_eq!(look.pins().unwrap(), [odd, of_job]);
    assert_eq!(look.jobs("api").unwrap(), [job]);
    assert_eq!(look.jobs("other").unwrap().len(), 1);
    assert!(look.put_job("api", &row("two", Status::Failed)).is_err());
}

#[test]
fn only_its_owner_can_read_it() {
    let dir = scratch();
    let registry = open(&dir);
    registry
        .put_job("api", &row("one", Status::Failed))
        .unwrap();
    for file in ["registry.db", "registry.db-wal", "registry.db-shm"] {
        let mode = dir
            .path()
            .join(file)
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    drop(registry);
    let path = dir.path().join("registry.db");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    drop(open(&dir));
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_is_damaged_is_refused_and_left_as_it_is() {
    let sound = scratch();
    let registry = open(&sound);
    for number in 0..200 {
        let id = format!("job-{number:04}");
        registry.put_job("api", &row(&id, Status::Failed)).unwrap();
    }
    drop(registry);
    let sound = std::fs::read(sound.path().join("registry.db")).unwrap();
    let cut = &sound[..sound.len() / 2];
    let mut scribbled = sound.clone();
    let middle = sound.len() / 2;
    scribbled[middle..middle + 4096].fill(0xa5);
    for (bytes, words) in [
        (&b""[..], "it is empty"),
        (b"this is no database, but it is long enough to have been one, one might think, and yet it is not ........", "no database"),
        (cut, ""),
        (&scribbled, ""),
    ] {
        let dir = scratch();
        let path = dir.path().join("registry.db");
        std::fs::write(&path, bytes).unwrap();
        let told = refusal(dir.path());
        assert!(told.contains("is damaged: ") && told.contains(words), "{told}");
        assert!(told.contains("it holds the pins"), "{told}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "left as it is");
    }
    let dir = scratch();
    std::fs::create_dir(dir.path().join("registry.db")).unwrap();
    assert!(refusal(dir.path()).contains("it is no file"));
}

#[test]
fn other_versions_and_other_programs_are_refused() {
    for (pragma, words) in [
        (
            "user_version = 99",
            "newer version of lapsed (format 99, this version knows up to ",
        ),
        ("user_version = 0", "format 0"),
        ("application_id = 7", "another program's database"),
    ] {
        let dir = scratch();
        let registry = open(&dir);
        registry
            .connection
            .lock()
            .execute_batch(&format!("PRAGMA {pragma}"))
            .unwrap();
        drop(registry);
        let told = refusal(dir.path());
        assert!(
            told.contains(words) && told.contains("it holds the pins"),
            "{told}"
        );
    }
}

#[test]
fn an_older_file_gets_the_tables_that_it_lacks_once_it_is_written() {
    let dir = scratch();
    let registry = open(&dir);
    registry
        .put_job("api", &row("one", Status::Failed))
        .unwrap();
    // As version 1 left it.
    registry
        .connection
        .lock()
        .execute_batch(
            "DROP TABLE forgotten; DROP TABLE total; DROP TABLE counted; DROP TABLE source_read;
             DROP TABLE machine_run; DROP TABLE token; DROP TABLE run; DROP TABLE schedule; DROP TABLE pause; DROP TABLE delivery; DROP TABLE receiver; DROP TABLE notify_position; DROP TABLE sample;
             DROP TABLE cleaned; DROP TABLE forgotten_total; PRAGMA user_version = 1;",
        )
        .unwrap();
    drop(registry);
    let before = std::fs::read(dir.path().join("registry.db")).unwrap();
    let seen = Registry::open_to_read(dir.path()).unwrap();
    assert_eq!(seen.jobs("api").unwrap().len(), 1);
    assert_eq!(seen.forgotten(None, "one").unwrap(), []);
    assert_eq!(seen.runs(None, 10).unwrap(), []);
    assert_eq!(seen.pauses().unwrap(), []);
    drop(seen);
    let after = std::fs::read(dir.path().join("registry.db")).unwrap();
    assert!(before == after, "a look changes nothing");
    for _ in 0..2 {
        let registry = open(&dir);
        assert_eq!(registry.jobs("api").unwrap().len(), 1);
        assert_eq!(registry.forgotten(None, "one").unwrap(), []);
    }
}

#[test]
fn a_pause_is_kept_until_it_is_ended_and_not_ended_with_an_earlier_one() {
    let dir = scratch();
    let pause = |name: Option<&str>, until| Pause {
        root: name.map(|name| PausedRoot {
            name: name.to_owned(),
            path: PathBuf::from(OsStr::from_bytes(b"/srv/\xff")),
        }),
        who: "ann".to_owned(),
        why: "x".to_owned(),
        since: Timestamp::from_unix_ms(5),
        until: Timestamp::from_unix_ms(until),
    };
    let (all, first, second) = (pause(None, 7), pause(Some("a"), 8), pause(Some("a"), 9));
    let registry = open(&dir);
    registry
        .change_pauses(&[all.clone(), first.clone()], &[])
        .unwrap();
    registry
        .change_pauses(std::slice::from_ref(&second), &[])
        .unwrap();
    registry
        .change_pauses(&[], std::slice::from_ref(&first))
        .unwrap();
    drop(registry);
    let registry = open(&dir);
    assert_eq!(registry.pauses().unwrap(), [all.clone(), second.clone()]);
    registry.change_pauses(&[], &[all, second]).unwrap();
    assert_eq!(registry.pauses().unwrap(), []);
}

#[test]
fn a_file_that_is_gone_while_its_last_writes_are_not_is_refused() {
    let dir = scratch();
    let registry = open(&dir);
    registry
        .put_job("api", &row("one", Status::Failed))
        .unwrap();
    std::mem::forget(registry);
    #[expect(clippy::disallowed_methods, reason = "somebody moves it away")]
    std::fs::remove_file(dir.path().join("registry.db")).unwrap();
    assert!(refusal(dir.path()).contains("registry.db-wal"));
}

#[test]
fn a_start_that_was_cut_off_is_begun_anew() {
    let dir = scratch();
    std::fs::write(dir.path().join("registry.db.new"), b"half").unwrap();
    let registry = open(&dir);
    assert_eq!(registry.pins().unwrap(), []);
    assert!(!dir.path().join("registry.db.new").exists());
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    // Not even root can write there.
    let error = Registry::open(Path::new("/proc/self")).unwrap_err();
    assert!(matches!(error, RegistryError::Refused { .. }), "{error}");
    let told = error.to_string();
    assert!(
        told.starts_with("cannot make the registry \"/proc/self/registry.db\": "),
        "{told}"
    );
    let missing = scratch().path().join("gone");
    assert!(Registry::open(&missing).is_err());
}

#[test]
fn a_full_disk_fails_the_write_and_nothing_else() {
    let dir = scratch();
    let registry = open(&dir);
    registry
        .put_job("api", &row("one", Status::Running))
        .unwrap();
    let limit = |pages: u32| {
        registry
            .connection
            .lock()
            .pragma_update(None, "max_page_count", pages)
    };
    let pages: u32 = registry
        .connection
        .lock()
        .pragma_query_value(None, "page_count", |row| row.get(0))
        .unwrap();
    let _ = limit(pages);
    let mut large = row("one", Status::Completed);
    large.error = Some("x".repeat(100_000));
    let error = registry.put_job("api", &large).unwrap_err();
    assert!(matches!(error, RegistryError::Full { .. }), "{error}");
    assert!(
        error.to_string().contains("no space left on device"),
        "{error}"
    );
    let items: Vec<OutboxItem> = (1..1000).map(|id| item(id, "api")).collect();
    assert!(registry.prepare(&items).is_err());
    assert_eq!(registry.prepared().unwrap(), [0; 0], "all or none");
    assert_eq!(
        registry.job("api", "one").unwrap(),
        Some(row("one", Status::Running))
    );
    let _ = limit(u32::MAX / 2);
    registry.put_job("api", &large).unwrap();
    assert_eq!(registry.job("api", "one").unwrap(), Some(large));
}

#[test]
fn a_number_is_given_to_one_pin_only() {
    let dir = scratch();
    let registry = open(&dir);
    let first = add(&registry, path_pin(b"/srv/a"));
    let second = add(&registry, path_pin(b"/srv/a"));
    assert_eq!((first.id, second.id), (1, 2));
    assert_eq!(registry.remove_pin(2).unwrap(), Some(second.clone()));
    assert_eq!(registry.remove_pin(2).unwrap(), None);
    drop(registry);
    let registry = open(&dir);
    assert_eq!(add(&registry, path_pin(b"/srv/b")).id, 3);
    registry.put_pin(&second).unwrap();
    assert_eq!(registry.pins().unwrap()[1], second, "back under its number");
}

#[test]
fn pins_are_extended_and_forgotten_once_they_ended() {
    let dir = scratch();
    let registry = open(&dir);
    let pin = add(&registry, path_pin(b"/srv/a"));
    let later = NOW.plus_ms(9000);
    let extended = registry.extend_pin(pin.id, later).unwrap().unwrap();
    assert_eq!(
        extended,
        Pin {
            until: later,
            ..pin
        }
    );
    assert_eq!(registry.extend_pin(99, later).unwrap(), None);
    assert_eq!(registry.forget_ended_pins(later).unwrap(), [0; 0]);
    assert_eq!(registry.forget_ended_pins(later.plus_ms(1)).unwrap(), [1]);
    assert_eq!(registry.pins().unwrap(), []);
}

#[test]
fn jobs_are_put_changed_and_removed() {
    let dir = scratch();
    let registry = open(&dir);
    let running = row("one", Status::Running);
    registry.put_job("api", &running).unwrap();
    registry.put_job("api", &running).unwrap();
    let change = registry
        .change_job("api", "one", |before| {
            let mut row = before?;
            row.status = Status::Completed;
            Some(row)
        })
        .unwrap();
    assert_eq!(change.before, Some(running));
    assert_eq!(change.after, Some(row("one", Status::Completed)));
    assert_eq!(registry.jobs("api").unwrap().len(), 1);
    assert!(registry.remove_job("api", "one").unwrap());
    assert!(!registry.remove_job("api", "one").unwrap());
    assert_eq!(registry.job("api", "one").unwrap(), None);
}

#[test]
fn threads_lose_nothing_of_one_another() {
    const THREADS: usize = 8;
    const EACH: usize = 25;
    let dir = scratch();
    let registry = Arc::new(open(&dir));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let registry = Arc::clone(&registry);
            scope.spawn(move || {
                for number in 0..EACH {
                    let id = format!("{thread}-{number}");
                    registry.put_job("api", &row(&id, Status::Running)).unwrap();
                    add(&registry, path_pin(id.as_bytes()));
                    // All of them count the same job up.
                    registry
                        .change_job("api", "count", |before| {
                            let mut row = before.unwrap_or(JobRow::new("count", Status::Running));
                            row.files.push(id);
                            Some(row)
                        })
                        .unwrap();
                }
            });
        }
    });
    drop(registry);
    let registry = open(&dir);
    assert_eq!(registry.jobs("api").unwrap().len(), THREADS * EACH + 1);
    let counted = registry.job("api", "count").unwrap().unwrap();
    assert_eq!(counted.files.len(), THREADS * EACH);
    let mut ids: Vec<u64> = registry.pins().unwrap().iter().map(|pin| pin.id).collect();
    ids.dedup();
    assert_eq!(ids, (1..=(THREADS * EACH) as u64).collect::<Vec<_>>());
}
