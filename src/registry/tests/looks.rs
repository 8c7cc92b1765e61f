//! Looks at the registry without a daemon, or beside one.

use super::*;

#[test]
fn a_look_makes_nothing() {
    let dir = scratch();
    let look = Registry::open_to_read(dir.path()).unwrap();
    assert_eq!(look.pins().unwrap(), []);
    assert!(look.put_job("api", &row("one", Status::Failed)).is_err());
    assert_eq!(dir.path().read_dir().unwrap().count(), 0);
    let odd = dir.path().join("a b?#%é");
    std::fs::create_dir(&odd).unwrap();
    let registry = Registry::open(&odd).unwrap();
    registry
        .put_job("api", &row("one", Status::Failed))
        .unwrap();
    let names = || {
        let entries = odd
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        entries.collect::<std::collections::BTreeSet<_>>()
    };
    for is_open in [true, false] {
        let before = names();
        let look = Registry::open_to_read(&odd).unwrap();
        assert_eq!(look.jobs("api").unwrap().len(), 1, "open: {is_open}");
        drop(look);
        assert_eq!(names(), before, "open: {is_open}");
        if is_open {
            // The daemon's end: its log goes into the file.
            let last = Registry::open(&odd).unwrap();
            drop((last.jobs("api").unwrap(), last));
            drop(std::mem::replace(
                &mut *registry.connection.lock(),
                rusqlite::Connection::open_in_memory().unwrap(),
            ));
            assert!(!odd.join("registry.db-wal").exists());
        }
    }
}
