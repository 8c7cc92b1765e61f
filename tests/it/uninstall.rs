//! The way back to the scripts of an older system.

use std::os::unix::fs::PermissionsExt as _;

use crate::common::{Place, errors};

#[test]
fn scripts_come_back_only_when_no_quarantine_holds_anything() {
    let place = Place::new();
    let config = place.config(
        "[[root]]\nname = \"jobs\"\npath = \"jobs\"\n[[rule]]\nname = \"old\"\nexpire = \"1h\"\n",
    );
    place.write("jobs/young");
    let script = place.write("app/backend/omr_cleanup.py");
    let original = std::fs::read(&script).unwrap();
    let app = place.path("app/backend").display().to_string();
    let init = [
        "init",
        "--preset",
        "omr",
        "--base-dir",
        &app,
        "--shims",
        &app,
        "--output",
        &place.path("other.toml").display().to_string(),
    ];
    place.said(&init);
    assert_ne!(std::fs::read(&script).unwrap(), original);
    let config = config.display().to_string();
    let uninstall = ["--config", &config, "uninstall", "--shims", &app];
    let refusal = |what: &str| {
        let output = place.run(&uninstall);
        let said = errors(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(what), "{said}");
        assert_ne!(std::fs::read(&script).unwrap(), original);
        said
    };

    // The daemon makes and locks the quarantine.
    let mut daemon = place.serve_again();
    let said = refusal(" uses it");
    assert!(said.contains("stop the daemon first"), "{said}");
    daemon.stop();

    let quarantine = place.path("jobs/.lapsed");
    let mode = quarantine.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let (displaced, cut_off) = (
        place.write("jobs/.lapsed/displaced-7-mine"),
        place.write("jobs/.lapsed/8"),
    );
    let said = refusal("1 displaced thing");
    assert!(said.contains("1 unfinished removal"), "{said}");
    assert!(said.contains(quarantine.to_str().unwrap()), "{said}");
    std::fs::remove_file(cut_off).unwrap();
    let said = refusal("1 displaced thing");
    assert!(!said.contains("unfinished"), "{said}");

    // Without a configuration it is not known where quarantines are.
    let unknown = ["--config", "/nowhere.toml", "uninstall", "--shims", &app];
    let output = place.run(&unknown);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        errors(&output).contains("--force restores"),
        "{}",
        errors(&output)
    );
    assert_ne!(std::fs::read(&script).unwrap(), original);

    std::fs::remove_file(displaced).unwrap();
    place.said(&uninstall);
    assert_eq!(std::fs::read(&script).unwrap(), original);
}

#[test]
fn a_user_may_leave_behind_what_is_in_a_quarantine() {
    let place = Place::new();
    let config = place.config("[[root]]\nname = \"jobs\"\npath = \"jobs\"\n");
    let displaced = place.write("jobs/.lapsed/displaced-7-mine");
    let app = place.make_dir("app").display().to_string();
    let config = config.display().to_string();
    let uninstall = ["--config", &config, "uninstall", "--shims", &app];
    assert_eq!(place.run(&uninstall).status.code(), Some(2));
    place.said(&[&uninstall[..], &["--force"]].concat());
    assert!(displaced.exists());
}
