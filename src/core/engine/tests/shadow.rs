//! An engine that removes nothing, and reports what it would remove and what others remove.

use super::records::{WORKING, loaded, two_readings};
use super::*;
use crate::core::shadow::{ShadowSubject, ShadowThing};

fn shadow(rules: Vec<Rule>) -> Place {
    Place::with_policy(policy(rules), BTreeMap::new(), Mode::DryRun)
}

fn name_of(thing: &ShadowThing) -> String {
    match &thing.subject {
        ShadowSubject::File(_, path) => path.to_string(),
        ShadowSubject::Dir(_, path) => format!("{path}/"),
        ShadowSubject::Record(job) => format!("record {}", job.id),
    }
}

impl Place {
    /// Things that would have been removed, and things that are gone, since the last asking.
    fn reported(&mut self) -> (Vec<String>, Vec<String>) {
        let (mut would, mut gone) = (Vec::new(), Vec::new());
        for event in std::mem::take(&mut self.shadow) {
            match event {
                ShadowEvent::WouldRemove(_, things) => would.extend(things.iter().map(name_of)),
                ShadowEvent::Gone(_, things) => gone.extend(things.iter().map(name_of)),
                ShadowEvent::Appeared(_) | ShadowEvent::Complete(..) => {}
            }
        }
        assert_eq!(self.claims, [], "nothing is given to the reaper");
        (would, gone)
    }

    fn gone(&mut self, root: RootId, at: &str) {
        let (dir, name) = path(at)
            .split()
            .map(|(dir, name)| (dir, name.to_vec()))
            .unwrap();
        self.step(Input::Observed(vec![Observed::Looks {
            root,
            dir,
            facts: facts(Kind::Dir, u64::from(root.0) + 1, self.now),
            names: vec![(name.into(), None)],
        }]));
    }
}

#[test]
fn a_file_is_reported_once_for_each_life_and_never_claimed() {
    let mut place = shadow(vec![rule("old")]);
    place.file(OTHER, "a");
    place.pass_until(HOUR - 1);
    assert_eq!(place.reported(), (vec![], vec![]));
    place.pass_until(HOUR);
    assert_eq!(place.reported(), (vec!["a".to_owned()], vec![]));
    assert_eq!(place.hold(OTHER, "a"), ["dry-run"]);
    place.pass_until(3 * HOUR);
    assert_eq!(place.reported(), (vec![], vec![]));
    place.file(OTHER, "a");
    place.pass_until(4 * HOUR);
    assert_eq!(
        place.reported(),
        (vec!["a".to_owned()], vec![]),
        "written again"
    );
    place.gone(OTHER, "a");
    assert_eq!(place.reported(), (vec![], vec!["a".to_owned()]));
}

#[test]
fn what_others_remove_early_is_reported_with_the_deadline_that_it_had() {
    let mut place = shadow(vec![rule("old")]);
    place.file(OTHER, "a");
    place.gone(OTHER, "a");
    let deadline = place.shadow.iter().find_map(|event| match event {
        ShadowEvent::Gone(_, things) => things[0].deadline,
        ShadowEvent::WouldRemove(..) | ShadowEvent::Appeared(_) | ShadowEvent::Complete(..) => None,
    });
    assert_eq!(deadline, Some(at(HOUR).wall));
}

#[test]
fn a_lost_root_is_no_removal_by_others() {
    let mut place = shadow(vec![rule("old")]);
    place.file(OTHER, "a");
    place.step(Input::Observed(vec![Observed::RootLost {
        root: OTHER,
        why: "unmounted".to_owned(),
        absence: Absence::Doubtful,
    }]));
    assert_eq!(place.reported(), (vec![], vec![]));
}

#[test]
fn all_that_a_job_owns_is_reported_with_its_record_which_stays() {
    let forget = Rule {
        record: Record::Forget,
        ..job_rule()
    };
    let mut place = shadow(vec![forget]);
    place.file(RESULTS, &format!("{A}/x"));
    place.loaded(vec![completed(A, 0)]);
    place.pass_until(HOUR);
    let (would, _) = place.reported();
    assert!(would.contains(&format!("record {A}")), "{would:?}");
    assert!(would.contains(&format!("{A}/x")), "{would:?}");
    assert_eq!(place.recorded, [0; 0], "no record is ordered");
    place.report(vec![JobChange::Gone(vec![A.to_owned()])]);
    assert_eq!(place.reported().1, [format!("record {A}")]);
}

#[test]
fn a_directory_that_gets_another_name_is_no_removal() {
    let mut place = shadow(vec![rule("old")]);
    place.file(OTHER, "d/a");
    place.shadow.clear();
    place.step(Input::Observed(vec![Observed::Moved {
        root: OTHER,
        from: path("d"),
        to: path("e"),
    }]));
    let (mut gone, mut appeared) = (Vec::new(), Vec::new());
    for event in &place.shadow {
        match event {
            ShadowEvent::Gone(_, things) => gone.extend(things.iter().map(|thing| thing.content)),
            ShadowEvent::Appeared(contents) => appeared.extend(contents.iter().copied().map(Some)),
            ShadowEvent::WouldRemove(..) | ShadowEvent::Complete(..) => {}
        }
    }
    assert_eq!(gone.len(), 2, "the file and its directory");
    assert!(gone.iter().all(|content| appeared.contains(content)));
}

#[test]
fn a_row_is_reported_after_what_would_go_because_of_it() {
    let mut place = two_readings(&Schedule::AtDeadline, Mode::DryRun);
    place.report_of(WORKING, loaded(completed(A, 0)));
    place.loaded(vec![completed(A, 0)]);
    place.pass_until(HOUR + 120_000);
    let (would, _) = place.reported();
    let at = |name: &str| would.iter().position(|one| one == name).unwrap();
    assert!(at(&format!("{A}/scratch")) < at(&format!("record {A}")));
}
