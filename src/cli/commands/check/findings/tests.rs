//! Sentences about one, about several, and about none.

use super::*;
use crate::core::jobs::{JobKey, SourceId};
use crate::core::policy::{JobFilter, Record, Since, SkipOpen};

fn rule(unit: Unit, schedule: Schedule) -> Rule {
    Rule {
        name: "r".to_owned(),
        roots: None,
        glob: None,
        exclude: None,
        keep: None,
        since: Since::Newest,
        expire_ms: Some(1),
        keep_last: None,
        unit,
        limit: None,
        skip_open: SkipOpen::Always,
        disposal: crate::core::policy::Disposal::Delete,
        schedule,
        jobs: JobFilter::Anyone,
        kinds: None,
        sources: None,
        record: Record::Keep,
    }
}

fn found(files: u64, held: u64, jobs: u64) -> RuleFindings {
    RuleFindings {
        now: Tally {
            files,
            bytes: files,
        },
        held,
        jobs: (0..jobs)
            .map(|id| JobKey {
                source: SourceId(0),
                id: id.to_string(),
            })
            .collect(),
        ..RuleFindings::default()
    }
}

#[test]
fn what_is_due_agrees_with_its_number() {
    for (unit, schedule, (files, held, jobs), wanted) in [
        (
            Unit::File,
            Schedule::AtDeadline,
            (1, 0, 0),
            "1 file (1 B) would lapse now:",
        ),
        (
            Unit::Dir,
            Schedule::AtDeadline,
            (1, 0, 0),
            "1 file (1 B) would lapse now, such as:",
        ),
        (
            Unit::Job,
            Schedule::AtDeadline,
            (9, 0, 2),
            "9 files (9 B) of 2 jobs would lapse now, such as:",
        ),
        (
            Unit::Job,
            Schedule::AtDeadline,
            (1, 1, 1),
            "1 file (1 B) of 1 job is due, but stays for now (see above why):",
        ),
        (
            Unit::File,
            Schedule::AtDeadline,
            (9, 9, 0),
            "9 files (9 B) are due, but all of them stay for now (see above why), such as:",
        ),
        (
            Unit::File,
            Schedule::AtDeadline,
            (9, 2, 0),
            "9 files (9 B) would lapse now, but 2 of them stay for now (see above why), such as:",
        ),
        (
            Unit::File,
            Schedule::Manual,
            (1, 0, 0),
            "1 file (1 B) is due, and would go when asked:",
        ),
        (
            Unit::File,
            Schedule::Manual,
            (2, 1, 0),
            "2 files (2 B) are due, and would go when asked, but 1 of them stays for now (see above why), such as:",
        ),
    ] {
        assert_eq!(
            due(
                &rule(unit, schedule),
                &found(files, held, jobs),
                Timestamp::MIN
            ),
            wanted
        );
    }
}

#[test]
fn sources_tell_of_their_jobs() {
    let told = |jobs, running| {
        let lines = of_source(&SourceFindings {
            phase: SourcePhase::Ready,
            trip: None,
            jobs,
            running,
            refused: None,
        });
        lines.into_iter().map(|(_, text)| text).collect::<String>()
    };
    assert_eq!(told(0, 0), "it has no jobs now");
    assert_eq!(told(1, 0), "it has 1 job, which has ended");
    assert_eq!(told(1, 1), "it has 1 job, which has not ended");
    assert_eq!(told(5, 0), "it has 5 jobs, all of which have ended");
    assert_eq!(told(5, 5), "it has 5 jobs, none of which has ended");
    assert_eq!(told(5, 1), "it has 5 jobs; 1 has not ended");
    assert_eq!(told(5000, 2), "it has 5,000 jobs; 2 have not ended");
}

#[test]
fn every_reason_to_stay_is_one_line() {
    let at = Timestamp::from_unix_ms(0);
    let running = || Hold::Running { job: "a\nb".into() };
    let pinned = Hold::Pinned {
        pin: 1,
        who: "ann".into(),
        why: "x\u{1b}".into(),
        until: at,
    };
    let down = Hold::SourceDown {
        source: "s".into(),
        why: "gone\n  mend it".into(),
    };
    for (hold, files, wanted) in [
        (
            running(),
            1,
            "1 file belongs to job \"a; b\", which has not ended, and stays until then",
        ),
        (
            running(),
            2,
            "2 files belong to jobs that have not ended, such as \"a; b\", and stay until then",
        ),
        (down, 1, "1 file waits until source \"s\" can tell whose"),
        (
            Hold::NoTimestamp,
            2,
            "2 files lack the timestamp that the rule counts from, and wait for it",
        ),
        (
            pinned,
            1,
            "1 file that would be due waits, pinned: pin 1 of ann until 1970-01-01T00:00:00.000Z: x\\u{1b}; `lapsed pin rm 1` ends it",
        ),
    ] {
        assert_eq!(of_hold(&Held { hold, files }), Some(finding(wanted)));
    }
    let breaker = Held {
        hold: Hold::Breaker,
        files: 9,
    };
    assert_eq!(of_hold(&breaker), None, "told apart");
}
