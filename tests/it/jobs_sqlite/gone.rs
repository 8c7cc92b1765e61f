//! A row says that its job's files are gone only when they are: from the quarantine, and from the disk.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::world::{COMPLETED, World};
use crate::common::errors;
use crate::common::evidence::quarantine;
use crate::common::immutable::Immutable;
use crate::common::wait_for;

#[test]
fn a_row_is_marked_only_when_all_files_of_its_job_are_gone() {
    let world = World::new();
    let mut daemon = world.serve(COMPLETED);
    world.write("results/old/file");
    let stuck = world.write("results/old/sub/stuck");
    let stuck = Immutable::set(&world.place.path(""), &stuck);
    daemon.sync();
    world.insert("old", "completed", Some(7200));
    world.wait_until_gone(&daemon, "results/old");
    daemon.wait_until_said("cannot be finished yet; it is tried again");
    world.canary(&daemon, "first");
    world.wait_until_marked(&daemon, "first");
    assert_eq!(world.marks("old"), 0, "a file of it is in the quarantine");

    daemon.kill();
    daemon = world.serve_again();
    daemon.wait_until_said("cannot be finished yet; it is tried again");
    world.canary(&daemon, "second");
    world.wait_until_marked(&daemon, "second");
    assert_eq!(world.marks("old"), 0, "it still is");
    stuck.lift();
    world.wait_until_marked(&daemon, "old");
    assert_eq!(quarantine(&world.place.path("results")), [""; 0]);
    assert_eq!(world.lines_of("old").len(), 1);
}

/// A file system in a file, mounted; unmounted when it is dropped.
struct Disk {
    at: PathBuf,
}

impl Disk {
    /// Mounts the image at `at`. Left alone, it writes what it was told to its image after five minutes.
    fn mount(image: &Path, at: &Path) -> Self {
        run(Command::new("mount")
            .args(["-o", "loop,commit=300"])
            .args([image, at]));
        Self {
            at: at.to_path_buf(),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        wait_for("the disk is not busy", || {
            let output = Command::new("umount").arg(&self.at).output().unwrap();
            output.status.success().then_some(())
        });
    }
}

#[track_caller]
fn run(command: &mut Command) {
    const NEEDS: &str = "this test needs root, loop devices (in a container: --privileged) and mkfs.ext4 (Debian: e2fsprogs)";
    match command.output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => panic!("{NEEDS}: {command:?}: {}", errors(&output)),
        Err(error) => panic!("{NEEDS}: {command:?}: {error}"),
    }
}

#[test]
fn a_power_failure_brings_back_no_file_whose_row_is_marked() {
    let world = World::new();
    let (image, copy) = (world.place.path("disk.img"), world.place.path("copy.img"));
    std::fs::File::create(&image)
        .unwrap()
        .set_len(16 << 20)
        .unwrap();
    run(Command::new("mkfs.ext4").arg("-q").arg(&image));
    let results = world.place.path("results");
    let disk = Disk::mount(&image, &results);
    let daemon = world.serve(COMPLETED);
    for file in 0..20 {
        world.write(&format!("results/old/{file}"));
    }
    daemon.sync();
    // What the machine would find after a power failure: so far, all of it.
    run(Command::new("sync").arg("-f").arg(&results));
    world.insert("old", "completed", Some(7200));
    world.wait_until_marked(&daemon, "old");
    std::fs::copy(&image, &copy).unwrap();
    let after = world.place.make_dir("after");
    let disk_after = Disk::mount(&copy, &after);
    assert!(
        !after.join("old").exists(),
        "files are back, and their row is marked"
    );
    assert_eq!(quarantine(&after), [""; 0]);
    drop(disk_after);
    drop(daemon);
    drop(disk);
}
