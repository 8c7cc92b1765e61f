//! Things that are swapped in under the name of what lapses.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{
    SEED, exchange, newest_of, rename_if_free, spin, wait_until, wait_until_through, write_guarded,
};
use crate::common::Place;
use crate::common::evidence::{
    Marks, Seed, assert_never_early, census, contents, ledger, quarantine,
};

/// One name, and what comes into its place in the instant in which it lapses.
struct Swap {
    name: PathBuf,
    intruder: PathBuf,
    second: Option<PathBuf>,
    how: How,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// `rename` over the name.
    Over,
    /// Both change places; then a second one tries to take the name while the first is out.
    Exchanged,
}

impl Swap {
    fn carry_out(&self) {
        match self.how {
            How::Over => fs::rename(&self.intruder, &self.name).unwrap(),
            How::Exchanged => {
                if exchange(&self.intruder, &self.name).is_err() {
                    rename_if_free(&self.intruder, &self.name).unwrap();
                }
            }
        }
        let begun = Instant::now();
        while let Some(second) = &self.second
            && begun.elapsed() < Duration::from_millis(3)
            && rename_if_free(second, &self.name).is_err()
        {}
    }
}

#[test]
fn what_is_swapped_in_while_its_name_lapses_survives() {
    const TTL_MS: i64 = 300;
    let seed = Seed::from_env(SEED);
    let place = Place::new();
    let (root, staging) = (place.make_dir("root"), place.make_dir("staging"));
    let outside = place.make_dir("outside");
    for number in 0..8 {
        fs::write(outside.join(number.to_string()), "outside").unwrap();
    }
    let before = census(&outside);
    let daemon = place.serve_ready(&["--watch", &format!("{}={TTL_MS}ms", root.display())]);
    let (mut guards, mut links) = (Vec::new(), 0);
    for round in 0..14 {
        let dir = root.join(format!("r{round}"));
        fs::create_dir(&dir).unwrap();
        let mut swaps: Vec<Swap> = (0..48)
            .map(|number| {
                let id = format!("{round}-{number}");
                let intruder = staging.join(&id);
                let mut guard = |path: &Path, content: String| {
                    write_guarded(path, &content);
                    guards.push(content);
                };
                let mut second = None;
                match number % 4 {
                    0 => guard(&intruder, format!("guard {id}")),
                    1 => {
                        guard(&intruder, format!("guard {id}"));
                        let path = staging.join(format!("{id}-second"));
                        guard(&path, format!("guard {id} second"));
                        second = Some(path);
                    }
                    2 => {
                        let target = outside.join((number % 8).to_string());
                        symlink(target, &intruder).unwrap();
                        links += 1;
                    }
                    _ => {
                        fs::create_dir(&intruder).unwrap();
                        guard(&intruder.join("inside"), format!("guard {id}"));
                    }
                }
                Swap {
                    name: dir.join(number.to_string()),
                    intruder,
                    second,
                    how: if number % 2 == 0 {
                        How::Over
                    } else {
                        How::Exchanged
                    },
                }
            })
            .collect();
        for swap in &swaps {
            fs::write(&swap.name, "old").unwrap();
        }
        let due = newest_of(&swaps[swaps.len() - 1].name) + TTL_MS;
        let mut rng = seed.rng(round);
        rng.shuffle(&mut swaps);
        std::thread::scope(|scope| {
            for (half, thread) in swaps.chunks(24).zip(0..) {
                let mut rng = seed.rng(1000 + round * 2 + thread);
                scope.spawn(move || {
                    wait_until(due - rng.i64(0..4));
                    for swap in half {
                        spin(rng.u64(0..400));
                        swap.carry_out();
                    }
                });
            }
        });
    }
    wait_until_through(&daemon, &root);

    assert_eq!(census(&outside), before, "something outside was touched");
    let mut found = contents(&root);
    found.extend(contents(&staging));
    found.retain(|content| content.starts_with("guard"));
    found.sort();
    guards.sort();
    assert_eq!(found, guards, "young files are missing, or there twice");
    let is_link = |(_, marks): &(PathBuf, Marks)| marks.link.is_some();
    let left = census(&root).into_iter().filter(is_link).count();
    assert_eq!(left, links, "links are nothing that lapses");
    let displaced = quarantine(&root).len();
    let told = ledger(&place)
        .iter()
        .filter(|line| line["result"] == "displaced")
        .count();
    assert_eq!(told, displaced, "what is displaced is in the ledger");
    assert_eq!(
        daemon.said().matches("displaced: it could not").count(),
        displaced
    );
    assert_never_early(&place, |_| TTL_MS);
}
