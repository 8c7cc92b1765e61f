//! Totals of the ledger's lines.

use super::line::{Line, LineUnit, Mark};
use crate::core::time::Timestamp;
use crate::core::totals::{CleanedKey, Sum, TotalKey, Totals};

impl Totals {
    /// Adds the removal of `line`; subtracts it if it was put back. What is moved to the trash
    /// counts when it is deleted there.
    pub fn add_line(&mut self, line: &Line) {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let (files, bytes) = (number(line.files), number(line.bytes));
        let units = i64::from(line.unit != LineUnit::EmptyDir);
        let sum = match line.result {
            // Further lines have only paths.
            Mark::Removed | Mark::Purged if line.part > 0 => return,
            Mark::Removed => Sum {
                units,
                files,
                bytes,
                displaced: 0,
            },
            Mark::PutBack => Sum {
                units: -units,
                files: -files,
                bytes: -bytes,
                displaced: 0,
            },
            Mark::Displaced => Sum {
                displaced: files,
                ..Sum::default()
            },
            Mark::Purged => Sum {
                units: if line.trash.is_some_and(|trash| trash.share) {
                    0
                } else {
                    units
                },
                files,
                bytes,
                displaced: 0,
            },
            // What is in the trash is neither gone nor free.
            Mark::Trashed
            | Mark::Restored
            | Mark::Pinned
            | Mark::Extended
            | Mark::Unpinned
            | Mark::Paused
            | Mark::Resumed => return,
        };
        let key = TotalKey {
            day: line.at.day(),
            root: line.root.clone(),
            rule: line.rule.clone(),
        };
        if line.unit == LineUnit::Job && sum.units != 0 {
            let job = line.job.as_ref();
            let ended = job.and_then(|job| job.row.moments.completed_at);
            let of_job = CleanedKey {
                removal: key.clone(),
                source: job.map_or_else(String::new, |job| job.source.clone()),
                ended: ended.map_or_else(String::new, Timestamp::day),
            };
            self.add_cleaned(of_job, sum.units);
        }
        self.add(key, sum);
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::{LineJob, sample};
    use super::*;
    use crate::core::jobs::{JobRow, Status};

    #[test]
    fn each_removal_is_summed_up_once_under_its_day() {
        let mut totals = Totals::default();
        let tomorrow = sample(1).at.plus_ms(86_400_000);
        for line in [
            sample(1),
            sample(2),
            Line {
                part: 1,
                files: 0,
                bytes: 0,
                ..sample(2)
            },
            Line {
                unit: LineUnit::EmptyDir,
                files: 0,
                bytes: 0,
                ..sample(3)
            },
            Line {
                result: Mark::PutBack,
                ..sample(4)
            },
            Line {
                result: Mark::Displaced,
                files: 7,
                bytes: 0,
                ..sample(5)
            },
            Line {
                result: Mark::Pinned,
                ..sample(6)
            },
            Line {
                at: tomorrow,
                files: 5,
                ..sample(7)
            },
        ] {
            totals.add_line(&line);
        }
        let found: Vec<_> = totals.sums.into_iter().collect();
        let key = |day: &str| TotalKey {
            day: day.to_owned(),
            root: "results".to_owned(),
            rule: "old".to_owned(),
        };
        let sum = |units, files, bytes, displaced| Sum {
            units,
            files,
            bytes,
            displaced,
        };
        assert_eq!(
            found,
            [
                (key("2023-11-14"), sum(1, 1, 42, 7)),
                (key("2023-11-15"), sum(1, 5, 42, 0)),
            ]
        );
    }

    #[test]
    fn cleaned_jobs_are_counted_under_the_day_on_which_they_ended() {
        let ended = sample(1).at.plus_ms(-2 * 86_400_000);
        let mut row = JobRow::new("one", Status::Completed);
        row.moments.completed_at = Some(ended);
        let cleaned = Line {
            unit: LineUnit::Job,
            job: Some(LineJob {
                source: "app".to_owned(),
                record: "keep".to_owned(),
                row,
                files_left_out: 0,
            }),
            ..sample(1)
        };
        let unknown = Line {
            job: None,
            ..cleaned.clone()
        };
        let mut totals = Totals::default();
        for line in [
            cleaned.clone(),
            cleaned.clone(),
            Line {
                part: 1,
                ..cleaned.clone()
            },
            Line {
                result: Mark::PutBack,
                ..cleaned.clone()
            },
            Line {
                result: Mark::Displaced,
                ..cleaned.clone()
            },
            Line {
                unit: LineUnit::File,
                ..cleaned
            },
            unknown,
        ] {
            totals.add_line(&line);
        }
        let key = |source: &str, ended: &str| CleanedKey {
            removal: TotalKey {
                day: "2023-11-14".to_owned(),
                root: "results".to_owned(),
                rule: "old".to_owned(),
            },
            source: source.to_owned(),
            ended: ended.to_owned(),
        };
        let found: Vec<_> = totals.cleaned.into_iter().collect();
        assert_eq!(found, [(key("", ""), 1), (key("app", "2023-11-12"), 1)]);
    }
}
