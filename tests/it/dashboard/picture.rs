//! The picture of the README.

use std::time::Duration;

use serde_json::json;

use super::World;
use crate::common::Place;
use crate::common::trees::{set_age, write};
use crate::tcp::clients::free_address;

/// Roots of an application, for the picture.
const PICTURED: &str = r#"
    [[root]]
    name = "uploads"
    path = "uploads"
    [[root]]
    name = "results"
    path = "results"
    owner = "{job}/**"
    source = "api"
    [[source]]
    name = "api"
    kind = "api"
    [[rule]]
    name = "uploads"
    root = "uploads"
    since = "mtime"
    expire = "2d"
    limit = { max_files = 500 }
    [[rule]]
    name = "results of completed jobs"
    root = "results"
    job = ["completed"]
    since = "mtime"
    expire = "30d"
"#;

#[test]
fn the_picture_of_the_readme_is_made() {
    let place = Place::new();
    for number in 0..360_u64 {
        let noise = (number * 2_654_435_761) % 4096;
        let size = 1_000_000 + noise * 9_000;
        let (name, age) = if number < 240 {
            let minutes = 60 * (number % 40) + noise % 240;
            (
                format!("uploads/{}/video-{number}.mp4", number % 12),
                Duration::from_mins(minutes),
            )
        } else {
            let hours = 24 * (number % 28) + noise % 20;
            (
                format!("results/{}/report-{number}.pdf", number % 8),
                Duration::from_hours(hours),
            )
        };
        let path = place.path(&name);
        write(&path, 0);
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_len(size).unwrap();
        set_age(&path, age).unwrap();
    }
    let port = free_address();
    place.config(PICTURED);
    let mut world = World::of(place, port, "operator");
    world.serve();
    for job in 0..8 {
        let put = ["job", "put", &job.to_string(), "--status", "completed"];
        world.place.said(&put);
    }
    let picture = world.place.path("dashboard.png");
    world
        .script(
            "picture",
            &json!({"picture": picture, "dir": world.place.path("")}),
        )
        .finish();
    let bytes = std::fs::read(&picture).unwrap();
    assert!(bytes.len() < 150_000, "{} bytes", bytes.len());
    if std::env::var_os("LAPSED_UPDATE_PICTURE").is_some() {
        let place = concat!(env!("CARGO_MANIFEST_DIR"), "/config/dashboard.png");
        std::fs::write(place, bytes).unwrap();
    }
}
