//! One run: its options, its rows, and what was wrong.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::json;

use super::machine;
use super::options::{Options, Scale};
use super::report::{self, Row};
use super::rows::KEYS;

/// A run.
pub struct Bench {
    options: Options,
    /// One in each directory of the options. Removed at the end.
    dirs: Vec<tempfile::TempDir>,
    rows: Vec<Row>,
    wrong: Vec<String>,
}

impl Bench {
    pub fn new(options: Options) -> anyhow::Result<Self> {
        let make = |dir: &PathBuf| {
            let mut builder = tempfile::Builder::new();
            let made = builder.prefix("lapsed-bench-").tempdir_in(dir);
            made.with_context(|| format!("cannot make a directory in {}", dir.display()))
        };
        let dirs = options.dirs.iter().map(make).collect::<Result<_, _>>()?;
        Ok(Self {
            options,
            dirs,
            rows: Vec::new(),
            wrong: Vec::new(),
        })
    }

    pub fn scale(&self) -> Scale {
        self.options.scale
    }

    pub fn sizes(&self) -> Vec<u64> {
        self.options.files.clone()
    }

    pub fn dir(&self) -> &Path {
        self.dirs[0].path()
    }

    /// One directory on each file system on which removals are measured.
    pub fn removal_dirs(&self) -> Vec<PathBuf> {
        let mut seen = std::collections::BTreeSet::new();
        let dirs = self.dirs.iter().map(|dir| dir.path().to_path_buf());
        dirs.filter(|dir| {
            seen.insert(
                std::fs::metadata(dir)
                    .map(|of| std::os::unix::fs::MetadataExt::dev(&of))
                    .ok(),
            )
        })
        .collect()
    }

    /// A new directory for one row.
    pub fn place(&self, name: &str) -> anyhow::Result<PathBuf> {
        let place = self.dir().canonicalize()?.join(name);
        std::fs::create_dir_all(&place)?;
        Ok(place)
    }

    pub fn wants(&self, key: &str) -> bool {
        let only = &self.options.only;
        only.is_empty() || only.iter().any(|word| key.contains(word.as_str()))
    }

    /// Something that must never be: the run fails.
    pub fn wrong(&mut self, what: impl Into<String>) {
        let what = what.into();
        eprintln!("WRONG: {what}");
        self.wrong.push(what);
    }

    /// Measures the row `key`, when it is wanted; one that cannot be measured is wrong.
    pub fn row(&mut self, key: &str, measure: impl FnOnce(&mut Self) -> anyhow::Result<Row>) {
        if !self.wants(key) {
            return;
        }
        match measure(self) {
            Ok(row) => self.push(row),
            Err(error) => self.wrong(format!("{key}: {error:#}")),
        }
    }

    fn push(&mut self, row: Row) {
        let row = if self.scale().is_judged {
            row
        } else {
            row.not_judged("smoke")
        };
        for name in row.figures_missing() {
            self.wrong.push(format!("{}: no figure {name}", row.key));
        }
        eprintln!("{}", row.line());
        self.rows.push(row);
    }

    /// Prints everything; whether nothing was wrong.
    pub fn finish(mut self) -> anyhow::Result<bool> {
        self.check_that_all_was_measured();
        self.rows
            .sort_by_key(|row| KEYS.iter().position(|key| *key == row.key));
        let facts = machine::facts(self.dir());
        if self.scale().is_judged {
            println!("{facts}\n{}", report::show(&self.rows));
            let missed = self.rows.iter().filter(|row| row.is_not_met()).count();
            println!("budgets: {} rows, {missed} not met", self.rows.len());
        } else if self.wrong.is_empty() {
            println!("budgets: {} rows, all measured", self.rows.len());
        }
        for wrong in &self.wrong {
            println!("WRONG: {wrong}");
        }
        if let Some(path) = &self.options.json {
            let rows: Vec<_> = self.rows.iter().map(Row::to_json).collect();
            let all = json!({ "machine": facts, "rows": rows, "wrong": self.wrong });
            let file =
                File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
            serde_json::to_writer_pretty(file, &all)?;
        }
        Ok(self.wrong.is_empty())
    }

    fn check_that_all_was_measured(&mut self) {
        for key in KEYS {
            let is_there = self
                .rows
                .iter()
                .any(|row| row.key == key && (row.has_figures() || key == "10M"));
            if self.wants(key) && !is_there {
                self.wrong.push(format!("{key}: nothing was measured"));
            }
        }
    }
}
