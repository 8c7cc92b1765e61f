//! Databases of whose changes no event tells.

use std::os::unix::fs::PermissionsExt;

use super::harness::{Place, Watched};
use crate::sources::stats::ChangeDetection;

/// Gives up the right to read whatever one likes, for this thread and those that it starts.
fn obey_modes() {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    let mut sets = capabilities(None).unwrap();
    let all = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
    sets.effective.remove(all);
    sets.permitted.remove(all);
    set_capabilities(None, sets).unwrap();
}

#[test]
fn a_database_whose_directory_cannot_be_watched_is_asked_from_time_to_time() {
    let test = || {
        obey_modes();
        let (place, mut writer) = Place::filled("delete");
        // It may be searched and written to, not read: the file can be opened, and no watch is
        // given out.
        let dir = place.dir.path().to_path_buf();
        let set = |mode| {
            std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        set(0o300);
        let watched = Watched::loaded(place.options());
        assert!(matches!(
            watched.source.stats().detection,
            Some(ChangeDetection::Polling { .. })
        ));
        writer.run("INSERT INTO jobs (id, status) VALUES ('late', 'running')");
        watched.until("the change is heard of", |table| table.loads() > 1);
        // When it can be watched again, it is.
        set(0o700);
        let is_watched = |_: &_| watched.source.stats().detection.is_none();
        watched.until("it is watched", is_watched);
    };
    std::thread::spawn(test).join().unwrap();
}
