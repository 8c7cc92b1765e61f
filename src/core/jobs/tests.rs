//! The table of jobs against a naive one, and what a million jobs cost.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use proptest::prelude::*;

use super::table::{Jobs, RowDiff};
use super::{JobKey, JobRow, JobTimestamps, Owner, SourceId, Status};
use crate::core::facts::RootId;
use crate::core::policy::{Policy, Root, Source};
use crate::core::template::Template;
use crate::core::time::Timestamp;

const DB: SourceId = SourceId(0);
const ROOT: RootId = RootId(0);

fn policy() -> Policy {
    let root = Root {
        name: "root".to_owned(),
        path: PathBuf::from("/srv/root"),
        owner: Some(Template::parse("{job}_{name}").unwrap()),
        source: Some(DB),
        orphans: None,
        limit: None,
        prune_empty_dirs: false,
        alert: crate::core::policy::Alert::default(),
        only: None,
        optional: false,
        nested: Vec::new(),
    };
    let source = Source {
        name: "db".to_owned(),
        id_pattern: None,
        files_root: Some(PathBuf::from("/srv/root")),
        base_dir: PathBuf::from("/srv"),
        path_map: Vec::new(),
        links: Vec::new(),
        derived: Vec::new(),
        claims: true,
        required: true,
        is_listed: true,
        same_rows: Vec::new(),
        is_told: false,
    };
    Policy {
        roots: BTreeMap::from([(ROOT, root)]),
        rules: Vec::new(),
        sources: BTreeMap::from([(DB, source)]),
        databases: BTreeSet::new(),
        ..Policy::default()
    }
}

#[derive(Clone, Debug)]
enum Deed {
    Put(u8, usize, Vec<u8>),
    Remove(u8),
}

fn deed() -> impl Strategy<Value = Deed> {
    let files = proptest::collection::vec(0..6u8, 0..3);
    prop_oneof![
        3 => (0..12u8, 0..5usize, files).prop_map(|(id, status, files)| Deed::Put(id, status, files)),
        1 => (0..12u8).prop_map(Deed::Remove),
    ]
}

fn row(id: u8, status: usize, files: &[u8]) -> JobRow {
    JobRow {
        files: files.iter().map(|file| format!("file{file}")).collect(),
        ..JobRow::new(format!("job{id}"), Status::ALL[status])
    }
}

proptest! {
    #[test]
    fn the_table_says_what_a_map_of_rows_says(deeds in proptest::collection::vec(deed(), 0..60)) {
        let (policy, jobs) = (policy(), Jobs::default());
        let mut model: BTreeMap<String, JobRow> = BTreeMap::new();
        for deed in deeds {
            match deed {
                Deed::Put(id, status, files) => {
                    let row = row(id, status, &files);
                    let changed = model.get(&row.id) != Some(&row);
                    prop_assert_eq!(jobs.put(&policy, DB, &row).changed, changed);
                    model.insert(row.id.clone(), row);
                }
                Deed::Remove(id) => {
                    let id = format!("job{id}");
                    let removed = jobs.remove(&policy, DB, &id).is_some();
                    prop_assert_eq!(removed, model.remove(&id).is_some());
                }
            }
            prop_assert_eq!(jobs.count(DB), model.len() as u64);
        }
        for row in model.values() {
            let key = JobKey { source: DB, id: row.id.clone() };
            prop_assert_eq!(jobs.job(&key).unwrap().status, row.status);
            prop_assert!(matches!(jobs.known(DB, row), RowDiff::Same(_)));
        }
        let ids: Vec<String> = jobs.list(DB, None, 100).into_iter().map(|job| job.key.id).collect();
        prop_assert_eq!(&ids, &model.keys().cloned().collect::<Vec<_>>());
        if let Some(first) = ids.first() {
            prop_assert_eq!(jobs.list(DB, Some(first), 100).len(), ids.len() - 1);
        }
        let (unticked, more) = jobs.unticked(DB, 0, 1000, &|_| false);
        prop_assert_eq!((unticked.len(), more), (model.len(), None));
        for status in Status::ALL {
            let count = model.values().filter(|row| row.status == status).count() as u64;
            prop_assert_eq!(jobs.counts(DB)[status as usize], count);
        }
        for file in 0..6u8 {
            let name = format!("file{file}");
            let owner = jobs.owner(&policy, ROOT, name.as_bytes());
            let mut found: Vec<String> = owner.jobs().iter().map(|job| job.key.id.clone()).collect();
            found.sort();
            let claim = |row: &&JobRow| row.files.contains(&name);
            let wanted: Vec<String> = model.values().filter(claim).map(|row| row.id.clone()).collect();
            prop_assert_eq!(found, wanted);
            let below = jobs.owner(&policy, ROOT, format!("{name}/deep/x").as_bytes());
            prop_assert_eq!(below.jobs().len(), owner.jobs().len());
        }
    }
}

#[test]
fn jobs_cost_tens_of_bytes_each() {
    let (policy, jobs) = (policy(), Jobs::default());
    let count = 100_000u64;
    for at in 0..count {
        let mut row = JobRow::new(
            format!("{at:08x}-1111-4222-8333-{:012x}", at * 77),
            Status::Completed,
        );
        row.kind = Some("sfm".to_owned());
        row.moments = JobTimestamps {
            created_at: Some(Timestamp::from_unix_ms(1_700_000_000_000)),
            completed_at: Some(Timestamp::from_unix_ms(1_700_000_360_000)),
            ..JobTimestamps::default()
        };
        jobs.put(&policy, DB, &row);
    }
    let each = jobs.memory(DB) as u64 / count;
    assert!(each < 80, "{each} bytes a job");
    let id = format!("{:08x}-1111-4222-8333-{:012x}", 5, 5 * 77);
    let owner = jobs.owner(&policy, ROOT, format!("{id}_name").as_bytes());
    let Owner::Jobs(found) = owner else {
        panic!("{owner:?}");
    };
    assert_eq!(
        (&*found[0].key.id, found[0].kind.as_deref()),
        (&*id, Some("sfm"))
    );
}

#[test]
fn prefixes_of_claims_are_translated_at_the_borders_of_components() {
    let mut policy = policy();
    let source = policy.sources.get_mut(&DB).unwrap();
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(PathBuf, PathBuf)> {
        pairs.iter().map(|(a, b)| (a.into(), b.into())).collect()
    };
    source.path_map = pairs(&[
        ("/data/in", "/srv/root/incoming"),
        ("/data", "/srv/root"),
        ("files", "/srv/root/f"),
    ]);
    source.links = pairs(&[("/app/link", "/srv/root")]);
    let jobs = Jobs::default();
    let resolved = |file: &str| {
        let files = [file.to_owned()];
        let mut found = jobs.resolve_claims(&policy, DB, &files);
        found.remove(0).1
    };
    for (file, path) in [
        ("/data/x", "/srv/root/x"),
        ("//data/./in//x", "/srv/root/incoming/x"),
        ("/data/inner/x", "/srv/root/inner/x"),
        ("files/x", "/srv/root/f/x"),
        ("./files/x", "/srv/root/f/x"),
        ("/app/link/x", "/srv/root/x"),
        ("root/x", "/srv/root/x"),
        ("x", "/srv/root/x"),
    ] {
        assert_eq!(resolved(file), Ok(PathBuf::from(path)), "{file}");
    }
    for refused in [
        "/database/x",
        "/data/../etc/x",
        "/data",
        "/app/linked/x",
        "/srv/files/x",
    ] {
        assert!(resolved(refused).is_err(), "{refused}");
    }
}

#[test]
fn any_number_of_jobs_may_claim_one_file_and_one_job_any_number_of_files() {
    let (policy, jobs) = (policy(), Jobs::default());
    let count = 20_000u32;
    let id = |at: u32| format!("job{at}");
    for at in 0..count {
        let row = JobRow {
            files: vec!["same".to_owned(), "same".to_owned(), format!("own{at}")],
            ..JobRow::new(id(at), Status::Running)
        };
        jobs.put(&policy, DB, &row);
    }
    let owners = |path: &str| jobs.owner(&policy, ROOT, path.as_bytes()).jobs().len();
    assert_eq!((owners("same"), owners("own7")), (count as usize, 1));
    for at in 1..count {
        jobs.remove(&policy, DB, &id(at));
    }
    assert_eq!((owners("same"), owners("own7")), (1, 0));
    let files = |from: u32| (from..from + 10_000).map(|no| format!("of{no}")).collect();
    let mut row = JobRow {
        files: files(0),
        ..JobRow::new("many", Status::Running)
    };
    jobs.put(&policy, DB, &row);
    row.files = files(1);
    let change = jobs.put(&policy, DB, &row);
    assert_eq!(change.unclaimed.len(), 1);
    assert_eq!((owners("of0"), owners("of1"), owners("of10000")), (0, 1, 1));
}
