//! The trash of a root without a daemon, its registry and its ledger.

use super::*;
use crate::common::wait_or_tell;

#[test]
fn a_root_alone_is_enough_to_list_and_restore() {
    let (place, mut daemon) = begin("file", "1h");
    let ids = ["a", "b/c", "d"].map(|name| trashed(&place, &daemon, &format!("data/{name}")));
    let root = place.path("data");
    let root = root.to_str().unwrap();
    // While a daemon has the root, it restores.
    let output = place.run(&["trash", "restore", "--root", root, "--all"]);
    let told = crate::common::errors(&output);
    assert_eq!(output.status.code(), Some(2));
    assert!(told.contains("lapsed undo"), "{told}");
    daemon.stop();
    std::fs::rename(place.path("state"), place.path("lost")).unwrap();

    let listed = place.said(&["trash", "ls", "--root", root]);
    assert!(
        ["data/a", "data/b/c", "data/d"]
            .iter()
            .all(|name| listed.contains(name)),
        "{listed}"
    );
    place.said(&["trash", "restore", "--root", root, &ids[0].to_string()]);
    assert!(place.exists("data/a") && !place.exists("data/d"));
    place.said(&["trash", "empty", "--root", root, &ids[2].to_string()]);
    place.said(&["trash", "restore", "--root", root, "--all"]);
    assert!(place.exists("data/b/c") && !place.exists("data/d"));

    // Nothing of it lapses again at once: the daemon finds what was restored, and pins it.
    let daemon = place.serve_again();
    wait_or_tell(
        "both are pinned",
        || {
            let (_, pins) = daemon.get("/v1/pins");
            (pins["pins"].as_array().unwrap().len() == 2).then_some(())
        },
        || daemon.get("/v1/pins").1.to_string(),
    );
    daemon.sync();
    assert!(place.exists("data/a") && place.exists("data/b/c"));
}
