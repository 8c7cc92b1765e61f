//! Totals of the ledger's lines.

use super::line::{Line, LineUnit, Mark};
use crate::core::totals::{Sum, TotalKey, Totals};

impl Totals {
    /// Adds the removal of `line`; subtracts it if it was put back.
    pub fn add_line(&mut self, line: &Line) {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let (files, bytes) = (number(line.files), number(line.bytes));
        let units = i64::from(line.unit != LineUnit::EmptyDir);
        let sum = match line.result {
            // Further lines have only paths.
            Mark::Removed if line.part > 0 => return,
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
            Mark::Pinned | Mark::Extended | Mark::Unpinned => return,
        };
        let mut day = line.at.to_string();
        day.truncate(day.find('T').unwrap_or(day.len()));
        let key = TotalKey {
            day,
            root: line.root.clone(),
            rule: line.rule.clone(),
        };
        self.add(key, sum);
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::sample;
    use super::*;

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
        let found: Vec<_> = totals.0.into_iter().collect();
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
}
