//! Files that are there, and those that are not.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::super::file::{FileError, create, refuse_to_replace, replace};
use super::*;

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_new_file_comes_with_its_directories_and_never_over_another() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b/lapsed.toml");
    refuse_to_replace(&path).unwrap();
    create(&path, "one").unwrap();
    assert_eq!(mode(&path) & 0o600, 0o600);
    for refused in [create(&path, "two"), refuse_to_replace(&path)] {
        let error = refused.unwrap_err();
        assert!(matches!(error, FileError::Taken(_)), "{error}");
        assert!(error.to_string().contains("--force"), "{error}");
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
    // A link to nowhere is something, too.
    let link = dir.path().join("link");
    symlink("nowhere", &link).unwrap();
    assert!(refuse_to_replace(&link).is_err() && create(&link, "x").is_err());
}

#[test]
fn a_replaced_file_is_kept_and_its_mode_and_links_stay() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap().join("lapsed.toml");
    assert_eq!(replace(&path, "one").unwrap(), None);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    let kept = replace(&path, "two").unwrap().unwrap();
    assert_eq!(kept, path.with_file_name("lapsed.toml~"));
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "one");
    let link = path.with_file_name("link");
    symlink("lapsed.toml", &link).unwrap();
    assert_eq!(replace(&link, "three").unwrap(), Some(kept.clone()));
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "two");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "three");
    assert_eq!(mode(&path), 0o600);
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert_eq!(names(dir.path()), ["lapsed.toml", "lapsed.toml~", "link"]);
}

#[test]
fn what_cannot_be_replaced_stays_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lapsed.toml");
    std::fs::write(&path, "one").unwrap();
    std::fs::create_dir(path.with_file_name("lapsed.toml~")).unwrap();
    let error = replace(&path, "two").unwrap_err().to_string();
    assert!(
        error.contains("lapsed.toml~") && error.contains("--output"),
        "{error}"
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
    assert_eq!(names(dir.path()), ["lapsed.toml", "lapsed.toml~"]);
    let below_a_file = path.join("x/lapsed.toml");
    let error = create(&below_a_file, "x").unwrap_err().to_string();
    assert!(
        error.contains(": not a directory\n") || error.contains(": file exists\n"),
        "{error}"
    );
}
