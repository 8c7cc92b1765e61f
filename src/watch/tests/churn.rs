//! Seeded churn: whatever happens, the model ends as what a walk finds.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::harness::Bench;

/// A small generator, so that a seed is all that a failure needs to be repeated (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) >> 16).unwrap() % below
    }

    /// A path of up to four components of few names, so that they meet.
    fn path(&mut self, bench: &Bench) -> PathBuf {
        let roots = ["root", "root", "other", "outside"];
        let mut path = bench.path(roots[self.roll(roots.len())]);
        for _ in 0..=self.roll(4) {
            path.push(["a", "b", "c", "d", "e"][self.roll(5)]);
        }
        path
    }
}

/// One deed; most of them are refused, for want of what they need.
fn deed(dice: &mut Dice, bench: &Bench) {
    let (a, b) = (dice.path(bench), dice.path(bench));
    let quarantined = bench.path(&format!("root/.lapsed/{}", dice.roll(5)));
    let _ = match dice.roll(15) {
        0..3 => write(&a, dice.roll(100)),
        3..5 => fs::create_dir_all(&a).and_then(|()| write(&a.join("f"), 1)),
        5 => fs::remove_file(&a),
        6 => fs::remove_dir_all(&a),
        7..10 => fs::rename(&a, &b),
        10 => fs::hard_link(&a, &b),
        11 | 12 => fs::rename(&a, &quarantined),
        13 => fs::rename(&quarantined, &b),
        _ => std::os::unix::fs::symlink(&a, &b),
    };
}

/// Writes a file. One with several names gives this one up first: the kernel tells of a change only
/// under the name that it was made through.
fn write(path: &Path, bytes: usize) -> std::io::Result<()> {
    if fs::metadata(path).is_ok_and(|meta| meta.nlink() > 1) {
        fs::remove_file(path)?;
    }
    fs::write(path, vec![b'x'; bytes])
}

fn churn(seed: u64, deeds: usize, rounds: usize) {
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let mut bench = Bench::watching(&["root", "other"]);
    fs::create_dir(bench.path("outside")).unwrap();
    fs::create_dir(bench.path("root/.lapsed")).unwrap();
    for _ in 0..rounds {
        for _ in 0..deeds {
            deed(&mut dice, &bench);
        }
        bench.assert_agrees(0, "root");
        bench.assert_agrees(1, "other");
    }
}

#[test]
fn short_rounds_of_churn_agree_with_a_walk() {
    for seed in 0..20 {
        churn(seed, 10, 30);
    }
}

#[test]
fn long_rounds_of_churn_agree_with_a_walk() {
    for seed in 100..106 {
        churn(seed, 3000, 2);
    }
}
