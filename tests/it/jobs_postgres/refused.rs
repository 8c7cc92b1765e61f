//! Rows that name their files in a way that cannot be understood.

use super::world::{COMPLETED, NOBODYS, World};
use crate::common::sources::{tell_of, wait_for_source};
use crate::common::wait_or_tell;

#[test]
fn what_a_container_calls_its_files_is_held_until_path_map_says_what_it_means() {
    let world = World::new();
    world.configure(&[COMPLETED, NOBODYS].concat());
    for name in ["live.wav", "over.wav", "orphan.wav"] {
        world.write(&format!("uploads/{name}"));
    }
    world.db.run(
        "INSERT INTO jobs (id, status, completed_at, files) VALUES \
         ('live', 'running', NULL, '{/data/uploads/live.wav}'), \
         ('over', 'completed', now() - interval '2 hours', '{/data/uploads/over.wav}')",
    );
    let daemon = world.serve_again();
    wait_for_source(&daemon, "eemt", "ready");
    wait_or_tell(
        "all three are held",
        || (daemon.files("?hold=claim-refused").len() == 3).then_some(()),
        || tell_of(&daemon),
    );
    let marks = "SELECT marks::text FROM jobs WHERE id = 'over'";
    assert_eq!(world.db.value(marks).as_deref(), Some("0"));
    drop(daemon);

    let config = std::fs::read_to_string(world.config_path()).unwrap();
    let mended = "files_root = \"uploads\"\npath_map = { \"/data/\" = \".\" }";
    world
        .place
        .config(&config.replace("files_root = \"uploads\"", mended));
    let daemon = world.serve_again();
    for name in ["over.wav", "orphan.wav"] {
        world.wait_until_gone(&daemon, &format!("uploads/{name}"));
    }
    world.wait_until_row(&daemon, marks, "1");
    assert!(world.place.path("uploads/live.wav").exists());
}
