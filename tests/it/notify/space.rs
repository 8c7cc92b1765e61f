//! Disk use that crosses a threshold, on a real file system.

use std::io::Write as _;

use super::*;
use crate::common::trees::Mounted;

#[test]
fn a_threshold_is_told_once_also_over_a_restart_and_when_it_is_over() {
    let place = Place::new();
    let volume = place.make_dir("volume");
    let _mounted = Mounted::ext4(&place.path("image"), "24M", &volume);
    place.make_dir("volume/data");
    let receiver = HttpReceiver::new();
    let config = format!(
        "[[root]]\npath = \"volume/data\"\nalert = {{ free_below = \"4MiB\", size_above = \"1MiB\" }}\n\
         [[rule]]\nexpire = \"never\"\n[[notify]]\nname = \"ops\"\non = \"space\"\nwebhook.url = \"{}\"\n",
        receiver.url()
    );
    let mut daemon = configured(&place, &config);
    let free = || {
        let space = rustix::fs::statvfs(&volume).unwrap();
        space.f_bavail * space.f_frsize
    };
    let others = volume.join("others");
    let mut neighbour = std::fs::File::create(&others).unwrap();
    while free() >= 7 << 19 {
        neighbour.write_all(&vec![1; 1 << 16]).unwrap();
        neighbour.sync_all().unwrap();
    }
    let low = receiver.wait_for_title("its file system has");
    assert!(
        low.title().contains("free, less than 4.0 MiB"),
        "{}",
        low.title()
    );
    let event = low.json();
    assert_eq!(event["data"]["severity"], "warning");
    assert_eq!(event["data"]["details"]["alert"], "free-below");
    let large = volume.join("data/large");
    std::fs::write(&large, vec![1; 3 << 19]).unwrap();
    receiver.wait_for_title("root \"data\": its size is 1.5 MiB, more than 1.0 MiB");

    let said = daemon.said();
    assert!(
        said.contains("WARN root \"data\": its size is 1.5 MiB"),
        "{said}"
    );
    daemon.stop();
    let _daemon = place.serve_again();
    std::fs::remove_file(&large).unwrap();
    receiver.wait_for_title("its size is 0 B, not too much for size_above = 1.0 MiB");
    std::fs::remove_file(&others).unwrap();
    drop(neighbour);
    let over = receiver.wait_for_title("enough for free_below = 4.0 MiB");
    assert_eq!(over.json()["data"]["severity"], "info");
    let titles: Vec<_> = receiver
        .taken()
        .iter()
        .map(receiver::Received::title)
        .collect();
    assert_eq!(titles.len(), 4, "{titles:?}");
}
