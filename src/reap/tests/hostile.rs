//! Pieces of jobs that neighbours change meanwhile.

use super::world::{UPLOADS, job_rule, row};
use super::*;
use crate::core::jobs::Status;
use crate::core::policy::Record;

const PIECES: [(RootId, &str); 2] = [(ROOT, "out/j1"), (UPLOADS, "in.tif")];

fn bench() -> Bench {
    let bench = Bench::jobs(vec![Rule {
        record: Record::Forget,
        ..job_rule()
    }]);
    bench.world.has(row("j1", Status::Completed));
    bench.world.gives(ROOT, "out", "j1");
    bench.world.gives(UPLOADS, "in.tif", "j1");
    bench.write("out/j1/a", "a");
    bench.write("../uploads/in.tif", "in");
    bench.write("../elsewhere/j1/a", "precious");
    bench
}

#[track_caller]
fn assert_nothing_went(bench: &Bench, outcome: &Outcome) {
    assert!(
        matches!(outcome, Outcome::Changed { .. } | Outcome::Held(_)),
        "{outcome:?}"
    );
    assert_eq!(bench.read("../elsewhere/j1/a"), "precious");
    assert_eq!(bench.read("../uploads/in.tif"), "in");
    assert!(bench.world.noted.lock().is_empty(), "nor does its record");
    bench.assert_untouched();
}

#[test]
fn a_piece_that_became_a_symlink_is_not_followed() {
    let mut bench = bench();
    let claim = bench.job_claim("j1", &PIECES);
    std::fs::rename(bench.path("out/j1"), bench.path("out/was")).unwrap();
    std::os::unix::fs::symlink(bench.base.join("elsewhere/j1"), bench.path("out/j1")).unwrap();
    let outcome = bench.reap(std::slice::from_ref(&claim)).remove(0);
    assert!(matches!(outcome, Outcome::Changed { .. }));
    assert_nothing_went(&bench, &outcome);
    // Or the directory above it: it is not gone, and its record is not forgotten.
    std::fs::rename(bench.path("out"), bench.path("out-was")).unwrap();
    std::os::unix::fs::symlink(bench.base.join("elsewhere"), bench.path("out")).unwrap();
    let outcome = bench.reap(&[claim]).remove(0);
    assert_nothing_went(&bench, &outcome);
    assert_eq!(bench.read("out-was/was/a"), "a");
}

#[test]
fn a_directory_that_was_swapped_is_another_one() {
    let mut bench = bench();
    let claim = bench.job_claim("j1", &PIECES);
    std::fs::rename(bench.path("out/j1"), bench.path("out/was")).unwrap();
    bench.write("out/j1/a", "new");
    let outcome = bench.reap(std::slice::from_ref(&claim)).remove(0);
    assert_nothing_went(&bench, &outcome);
    assert_eq!(bench.read("out/j1/a"), "new");
    // While it is moved: what is taken then is not what was seen.
    std::fs::remove_dir_all(bench.path("out/j1")).unwrap();
    std::fs::rename(bench.path("out/was"), bench.path("out/j1")).unwrap();
    bench.before_move = Arc::new(|path| {
        std::fs::rename(path, path.with_file_name("was")).unwrap();
        std::fs::create_dir(path).unwrap();
        std::fs::write(path.join("a"), "new").unwrap();
    });
    bench.reaper = None;
    let outcome = bench.reap(&[claim]).remove(0);
    assert_nothing_went(&bench, &outcome);
    assert_eq!(bench.read("out/j1/a") + &bench.read("out/was/a"), "newa");
}

#[test]
fn a_piece_that_is_carried_out_of_its_root_takes_all_along() {
    let mut bench = bench();
    let (from, to) = (bench.path("out"), bench.base.join("carried"));
    let again = to.clone();
    bench.before_move = Arc::new(move |_| std::fs::rename(&from, &again).unwrap());
    let outcome = bench.reap_job("j1", &PIECES);
    assert_nothing_went(&bench, &outcome);
    assert_eq!(std::fs::read(to.join("j1/a")).unwrap(), b"a");
}

#[test]
fn names_that_share_a_file_go_together_and_others_keep_it() {
    let mut bench = bench();
    let others = bench.base.join("elsewhere/link");
    std::fs::hard_link(bench.path("../uploads/in.tif"), &others).unwrap();
    // The input lies in the job's directory as well, under a name that shares the file.
    std::fs::hard_link(&others, bench.path("out/j1/in.tif")).unwrap();
    bench.world.gives(UPLOADS, "b.tif", "j1");
    std::fs::hard_link(&others, bench.path("../uploads/b.tif")).unwrap();
    let pieces = [&[(UPLOADS, "b.tif")][..], &PIECES].concat();
    assert_eq!(removed(&bench.reap_job("j1", &pieces)).files, 4);
    assert_eq!(std::fs::read(others).unwrap(), b"in");
    assert!(!bench.path("out/j1").exists() && !bench.path("../uploads/b.tif").exists());
    assert_eq!(bench.quarantined(), Vec::<String>::new());
}

#[test]
fn a_hard_link_that_is_opened_through_another_name_brings_all_back() {
    let mut bench = bench();
    let other = bench.base.join("elsewhere/link");
    std::fs::hard_link(bench.path("../uploads/in.tif"), &other).unwrap();
    let open = std::fs::File::open(&other).unwrap();
    let outcome = bench.reap_job("j1", &PIECES);
    assert!(matches!(held(&outcome), Hold::Open { .. }));
    assert_nothing_went(&bench, &outcome);
    drop(open);
}

#[test]
fn pieces_that_no_engine_names_hold() {
    let mut bench = bench();
    let sound = bench.job_claim("j1", &PIECES);
    let with = |piece: Piece| Claim {
        pieces: vec![piece, sound.pieces[1].clone()],
        due: clock::now().wall,
        ..sound.clone()
    };
    bench.start();
    bench.world.gives(ROOT, ".lapsed", "j1");
    std::fs::create_dir_all(bench.path(".lapsed")).unwrap();
    let set_mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(bench.path(".lapsed"), set_mode).unwrap();
    bench.write(".lapsed/displaced-1-x", "x");
    let strange = [
        Piece {
            path: RelPath::root(),
            key: bench.place().key,
            ..sound.pieces[0].clone()
        },
        bench.piece(ROOT, ".lapsed"),
        bench.piece(ROOT, ".lapsed/displaced-1-x"),
        // A file that is said to be a directory.
        Piece {
            is_dir: true,
            ..bench.piece(ROOT, "out/j1/a")
        },
        Piece {
            is_dir: false,
            ..sound.pieces[0].clone()
        },
        // A root that nobody knows.
        Piece {
            root: RootId(77),
            ..sound.pieces[0].clone()
        },
    ];
    for piece in strange {
        let claim = with(piece);
        let outcome = bench.reap(&[claim]).remove(0);
        assert!(
            matches!(outcome, Outcome::Changed { .. } | Outcome::Held(_)),
            "{outcome:?}"
        );
        assert_eq!(
            bench.read("out/j1/a") + &bench.read("../uploads/in.tif"),
            "ain"
        );
    }
    assert_eq!(bench.quarantined(), ["displaced-1-x"]);
    assert_eq!(bench.lines(), []);
}

#[test]
fn a_piece_in_or_around_another_root_or_our_own_directory_holds() {
    let mut bench = bench();
    bench.write("out/j1/inner/file", "1");
    for nested in ["out/j1/inner", "out"] {
        let nested = (RelPath::parse(nested.as_bytes()).unwrap(), UPLOADS);
        let root = bench.policy.roots.get_mut(&ROOT).unwrap();
        root.nested = vec![nested];
        let outcome = bench.reap_job("j1", &PIECES);
        assert!(matches!(held(&outcome), Hold::RootInside { root } if root == "uploads"));
        assert_nothing_went(&bench, &outcome);
    }
    bench.policy.roots.get_mut(&ROOT).unwrap().nested.clear();
    bench.reaper = None;
    bench.ledger = None;
    std::fs::rename(bench.base.join("state"), bench.path("out/state")).unwrap();
    std::os::unix::fs::symlink(bench.path("out/state"), bench.base.join("state")).unwrap();
    bench.write("out/state/deep/file", "ours");
    for inside in ["out", "out/state/deep", "out/state/deep/file", "out/state"] {
        let outcome = bench.reap_job("j1", &[(ROOT, inside)]);
        let path = "out/state".to_owned();
        assert_eq!(*held(&outcome), Hold::StateInside { path }, "{inside}");
    }
    assert_eq!(bench.read("out/state/deep/file"), "ours");
}

#[test]
fn a_piece_that_is_named_twice_or_lies_in_another_goes_once() {
    let mut bench = bench();
    let pieces = [
        PIECES[1],
        (ROOT, "out/j1/a"),
        PIECES[0],
        PIECES[0],
        PIECES[1],
    ];
    let outcome = bench.reap_job("j1", &pieces);
    assert_eq!(
        (removed(&outcome).files, removed(&outcome).partial),
        (2, false)
    );
    assert_eq!(bench.lines()[0].paths.len(), 2);
    assert_eq!(bench.quarantined(), Vec::<String>::new());
}
