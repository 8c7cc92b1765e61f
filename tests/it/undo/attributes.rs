//! What comes back is what went.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, SystemTime};

use super::*;

/// A tree with everything that a file system has.
fn furnish(dir: &Path) {
    for sub in ["a/b/empty", "c"] {
        std::fs::create_dir_all(dir.join(sub)).unwrap();
    }
    for (name, bytes) in [("a/one", 5000), ("a/b/two", 1), ("c/none", 0)] {
        write(&dir.join(name), bytes);
    }
    std::fs::hard_link(dir.join("a/one"), dir.join("c/other name of one")).unwrap();
    symlink("../a/one", dir.join("c/link")).unwrap();
    symlink("nowhere", dir.join("a/broken")).unwrap();
    for (name, mode) in [("a/one", 0o640), ("c/none", 0o400), ("a/b", 0o2750)] {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(dir.join(name), mode).unwrap();
    }
    let old = SystemTime::now() - Duration::from_hours(10_000);
    for name in ["a/one", "c/none", "a/b"] {
        std::fs::File::open(dir.join(name))
            .unwrap()
            .set_modified(old)
            .unwrap();
    }
}

/// Sets an attribute, where the file system has any. Returns whether it has.
fn set_attribute(path: &Path) -> bool {
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(path, "user.lapsed.test", b"kept", flags).is_ok()
}

#[test]
fn a_directory_comes_back_with_all_that_it_had() {
    let place = Place::new();
    place.make_dir("data");
    place.config(&config("dir", "1h"));
    furnish(&place.path("away/dir"));
    let has_attributes = set_attribute(&place.path("away/dir/a/one"));
    let before = content(&place.path("away/dir"));
    let daemon = place.serve_again();
    std::fs::rename(place.path("away/dir"), place.path("data/dir")).unwrap();
    in_trash(&place, &daemon, "data/dir");
    assert!(!place.exists("data/dir"));
    // The application sees nothing of it.
    assert_eq!(daemon.files(""), std::collections::BTreeMap::new());

    let (code, undone) = undo(&place, &["--last"]);
    assert_eq!((code, &undone["things"]), (Some(0), &json!(1)), "{undone}");
    assert_eq!(undone["restored"][0]["path"], json!(place.path("data/dir")));
    assert_eq!(content(&place.path("data/dir")), before);
    if has_attributes {
        let mut value = [0; 16];
        let path = place.path("data/dir/a/one");
        let length = rustix::fs::getxattr(path, "user.lapsed.test", &mut value).unwrap();
        assert_eq!(&value[..length], b"kept");
    }
    assert_eq!((trash(&daemon), kept(&place)), (vec![], vec![]));

    // It is as due as it was, and pinned.
    daemon.sync();
    let why = place.said(&["explain", "data/dir/a/one"]);
    assert!(why.contains("pin 1 holds it until "), "{why}");
    let told = place.said(&["history"]);
    assert!(
        told.contains("(moved to the trash)") && told.contains("(brought back)"),
        "{told}"
    );
    let (_, stats) = daemon.get("/v1/stats");
    assert_eq!(stats["totals"], json!([]), "nothing was freed");
}

#[test]
fn directories_that_went_with_it_are_made_again_as_they_were() {
    let (place, mut daemon) = begin("file", "1h");
    daemon.stop();
    let text = config("file", "1h").replace(
        "path = \"data\"\n",
        "path = \"data\"\nprune_empty_dirs = true\n",
    );
    place.config(&text);
    for (dir, mode) in [("data/a/b", 0o2750), ("data/a", 0o711)] {
        place.make_dir(dir);
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(place.path(dir), mode).unwrap();
    }
    let daemon = place.serve_again();
    trashed(&place, &daemon, "data/a/b/file");
    place.wait_until_gone(&daemon, "data/a");
    let (code, undone) = undo(&place, &["--path", "data/a"]);
    assert_eq!(code, Some(0), "{undone}");
    let mode = |dir: &str| place.path(dir).metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("data/a"), mode("data/a/b")), (0o711, 0o2750));
    assert!(place.exists("data/a/b/file"));
}
