//! Long lists: a table in parts for people, lines of JSON for programs.
//!
//! **Invariant:** a list of any length takes a bounded amount of memory.

use serde::de::DeserializeOwned;

use super::context::Limit;
use super::output::{Format, Output};
use super::table::Table;

/// Rows in a part of a table: its columns are as wide as these rows need, and printing never waits
/// for more.
const ROWS_AT_ONCE: usize = 2000;

/// A list that is printed as it arrives.
#[derive(Debug)]
pub struct List {
    table: Table,
    /// Entries that may still be printed; without it, all.
    left: Option<u64>,
    is_empty: bool,
    is_cut: bool,
}

impl List {
    /// An empty list of at most `max` entries.
    #[must_use]
    pub fn new(table: Table, max: Option<u64>) -> Self {
        Self {
            table,
            left: max,
            is_empty: true,
            is_cut: false,
        }
    }

    /// Adds an entry, given as JSON; `row` makes it a row of the table. Returns false if the list
    /// is full.
    ///
    /// # Errors
    /// If `line` is no entry, or those of `output`.
    pub fn push<T: DeserializeOwned>(
        &mut self,
        output: &mut Output,
        line: &[u8],
        row: impl FnOnce(&mut Table, &T),
    ) -> anyhow::Result<bool> {
        if self.left == Some(0) {
            self.is_cut = true;
            return Ok(false);
        }
        self.left = self.left.map(|left| left - 1);
        self.is_empty = false;
        match output.format {
            Format::Json => {
                output.bytes(line)?;
                output.bytes(b"\n")?;
            }
            Format::Text => {
                row(&mut self.table, &serde_json::from_slice(line)?);
                if self.table.len() == ROWS_AT_ONCE {
                    self.print(output)?;
                }
            }
        }
        Ok(true)
    }

    /// Prints the rest; `none` if there was no entry.
    ///
    /// # Errors
    /// Those of `output`.
    pub fn finish(mut self, output: &mut Output, limit: &Limit, none: &str) -> anyhow::Result<()> {
        if output.format == Format::Json {
            return Ok(());
        }
        if self.is_empty {
            return output.line(none);
        }
        self.print(output)?;
        if self.is_cut {
            limit.print_cut(output)?;
        }
        Ok(())
    }

    fn print(&mut self, output: &mut Output) -> anyhow::Result<()> {
        if !self.table.is_empty() {
            output.bytes(self.table.render(output.screen).as_bytes())?;
            self.table.go_on();
        }
        Ok(())
    }
}
