//! Claims that are refused: what they may mean stays, and so does the job's record.

use super::*;

const C: &str = "cccccccc-0000-4000-8000-000000000003";

fn orphan_rules() -> Vec<Rule> {
    vec![Rule {
        jobs: JobFilter::Nobody,
        ..rule("orphans")
    }]
}

fn claiming(row: JobRow, files: &[&str]) -> JobRow {
    JobRow {
        files: files.iter().map(|&file| file.to_owned()).collect(),
        ..row
    }
}

/// Ways to spell a claim of the upload of `A` that are refused.
fn spellings() -> [String; 5] {
    [
        format!("/data/uploads/{A}_x"),
        format!("/srv/uploads/../uploads/{A}_x"),
        format!("..//{A}_x/./"),
        format!("C:\\data\\uploads\\{A}_x"),
        format!("{}/{A}_x", "long/".repeat(1000)),
    ]
}

#[test]
fn a_refused_claim_of_a_running_job_holds_every_orphan_of_its_source() {
    for file in spellings() {
        let mut place = Place::new(orphan_rules());
        place.file(UPLOADS, &format!("{A}_x"));
        place.file(RESULTS, &format!("{C}/x"));
        place.loaded(vec![claiming(running(B), &[&file])]);
        place.pass_until(100 * HOUR);
        assert_eq!(place.claimed(), [""; 0], "{file}");
        for (root, path) in [(UPLOADS, format!("{A}_x")), (RESULTS, format!("{C}/x"))] {
            assert_eq!(place.hold(root, &path), ["claim-refused"], "{file}");
        }
        let held = place.engine.status(place.now).held;
        let refused = held.iter().find(|held| held.hold.code() == "claim-refused");
        assert_eq!(refused.map(|held| held.count), Some(2), "{file}");
        // The job ends: only what bears the claim's name may still be meant.
        place.report(vec![JobChange::Rows(vec![claiming(
            completed(B, 0),
            &[&file],
        )])]);
        assert_eq!(place.reap(), [format!("results/{C}/x")], "{file}");
        // The claim is mended: it means another file.
        place.report(vec![JobChange::Rows(vec![completed(B, 0)])]);
        assert_eq!(place.claimed(), [format!("uploads/{A}_x")], "{file}");
    }
}

#[test]
fn a_refused_claim_holds_derived_names_and_what_lies_in_a_directory_of_its_name() {
    let mut place = Place::new(orphan_rules());
    let held = [
        (UPLOADS, format!("{A}_x.wav")),
        (UPLOADS, format!("{A}_x_processed.mp3")),
        (RESULTS, format!("{C}/a/b")),
    ];
    for (root, path) in &held {
        place.file(*root, path);
    }
    place.file(UPLOADS, &format!("{A}_y.wav"));
    let files = [&*format!("/data/{A}_x.wav"), &*format!("/data/{C}/")];
    place.loaded(vec![claiming(completed(B, 0), &files)]);
    place.pass_until(100 * HOUR);
    assert_eq!(place.claimed(), [format!("uploads/{A}_y.wav")]);
    for (root, path) in &held {
        assert_eq!(place.hold(*root, path), ["claim-refused"], "{path}");
    }
}

#[test]
fn an_orphan_directory_stays_while_a_refused_claim_may_mean_a_file_in_it() {
    let mut place = Place::new(vec![Rule {
        unit: Unit::Dir,
        ..orphan_rules().remove(0)
    }]);
    place.file(RESULTS, &format!("{A}/a/out.tif"));
    place.file(RESULTS, &format!("{C}/other.tif"));
    place.loaded(vec![claiming(completed(B, 0), &["/data/out.tif"])]);
    place.pass_until(100 * HOUR);
    assert_eq!(place.claimed(), [format!("results/{C}")]);
    assert_eq!(place.hold(RESULTS, A), ["claim-refused"]);
}

#[test]
fn a_claim_that_names_nothing_may_mean_anything_also_when_its_job_has_ended() {
    let unread = JobRow {
        has_unread_files: true,
        ..completed(B, 0)
    };
    for row in [
        unread,
        claiming(completed(B, 0), &["/data/a\0b"]),
        claiming(completed(B, 0), &["/data/x/.."]),
    ] {
        let mut place = Place::new(orphan_rules());
        place.file(UPLOADS, &format!("{A}_x"));
        place.loaded(vec![row]);
        place.pass_until(100 * HOUR);
        assert_eq!(place.claimed(), [""; 0]);
        place.report(vec![
            JobChange::Gone(vec![B.to_owned()]),
            JobChange::Loaded { jobs: 1 },
        ]);
        assert_eq!(place.claimed(), [format!("uploads/{A}_x")]);
    }
}

#[test]
fn a_rule_for_all_files_spares_what_a_refused_claim_may_mean() {
    let mut place = Place::new(vec![rule("everything")]);
    place.file(UPLOADS, "dem.tif");
    place.file(UPLOADS, "other.tif");
    place.loaded(vec![claiming(running(A), &["/data/dem.tif"])]);
    place.pass_until(100 * HOUR);
    assert_eq!(place.claimed(), ["uploads/other.tif"]);
}

#[test]
fn a_job_with_a_refused_claim_keeps_its_record_and_its_files() {
    for record in [Record::Mark, Record::Forget] {
        let mut place = Place::new(vec![Rule {
            record,
            ..job_rule()
        }]);
        place.file(RESULTS, &format!("{A}/x"));
        place.loaded(vec![
            claiming(completed(A, 0), &["/data/dem.tif"]),
            claiming(completed(B, 0), &["in.tif"]),
        ]);
        place.pass_until(100 * HOUR);
        let held: Vec<_> = place
            .claims
            .iter()
            .map(|claim| &claim.owners[0].id)
            .collect();
        assert_eq!(held, [B], "files first, then the row");
        place.reap();
        let status = place.engine.status(place.now);
        let held = status
            .held
            .iter()
            .find(|held| held.hold.code() == "claim-refused");
        let why = held.unwrap().hold.to_string();
        for word in [A, "\"/data/dem.tif\"", "\"db\"", "path_map", "files_root"] {
            assert!(why.contains(word), "{why}");
        }
        place.report(vec![JobChange::Rows(vec![completed(A, 0)])]);
        assert_eq!(place.claimed(), [format!("results/{A}")]);
    }
}

#[test]
fn what_is_refused_is_counted_with_an_example_that_lives() {
    let mut place = Place::new(orphan_rules());
    place.loaded(vec![
        claiming(completed(A, 0), &["/data/a", "/data/b", "in.tif"]),
        claiming(running(B), &["/data/c"]),
    ]);
    let policy = place.engine.policy();
    let refused = place.engine.jobs().refused_claims(&policy, DB).unwrap();
    assert_eq!((refused.claims, refused.jobs), (3, 2));
    assert_eq!(
        (&*refused.example.job.id, &*refused.example.file),
        (B, "/data/c")
    );
    for id in [A, B] {
        place.report(vec![JobChange::Gone(vec![id.to_owned()])]);
    }
    assert_eq!(place.engine.jobs().refused_claims(&policy, DB), None);
}

#[test]
fn what_rows_without_an_id_name_is_owned_by_a_job_that_never_ends() {
    let mut place = Place::new(orphan_rules());
    for path in [format!("{A}_x"), format!("{A}_y")] {
        place.file(UPLOADS, &path);
    }
    let unnamed = |files: &[&str]| claiming(running(JobRow::UNNAMED), files);
    place.loaded(vec![running(B), unnamed(&[&format!("/srv/uploads/{A}_x")])]);
    place.pass_until(100 * HOUR);
    assert_eq!(place.reap(), [format!("uploads/{A}_y")]);
    assert_eq!(place.engine.jobs().count(DB), 1);
    assert_eq!(place.engine.jobs().counts(DB).iter().sum::<u64>(), 1);
    let listed = place.engine.jobs().list(DB, None, 10);
    assert_eq!(listed.len(), 1);
    // An id that cannot be read may be that of any directory.
    let any = JobRow {
        has_unread_files: true,
        ..unnamed(&[])
    };
    place.report(vec![JobChange::Rows(vec![any])]);
    place.pass_until(200 * HOUR);
    assert_eq!(place.claimed(), [""; 0]);
    assert_eq!(place.hold(UPLOADS, &format!("{A}_x")), ["claim-refused"]);
    place.report(vec![JobChange::Gone(vec![JobRow::UNNAMED.to_owned()])]);
    place.report(vec![JobChange::Loaded { jobs: 1 }]);
    place.pass_until(300 * HOUR);
    assert_eq!(place.reap(), [format!("uploads/{A}_x")]);
}
