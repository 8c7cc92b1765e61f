//! Files of variables: `[[variables]]`.
//!
//! - `dotenv`: `.env` files
//! - `nested`: YAML and JSON files
//! - `trust`: files that no other user can change
//!
//! **Invariant:** a file, or a name that the configuration uses, that has disappeared since the
//! last load is a mistake, whatever default there is: a default must not replace a lost value while
//! the daemon runs.

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;

use super::error::{Problem, Refusal, quoted};
use super::reader::Reader;
use super::resolve::reason;
use super::schema;
use super::setting::Table;
use super::variables::{Content, Memory, Syntax, Variables, shortened};

mod dotenv;
mod nested;
mod trust;

/// Longest file, in bytes: people write them.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads the files in `tables`, which are below `base`. Mistakes are reported.
pub(super) fn read<'a>(
    reader: &mut Reader<'a>,
    tables: &[Table<schema::Variables>],
    base: Option<&Path>,
    memory: &Memory,
) -> Variables<'a> {
    let mut variables = Variables::of_process(reader.environment);
    for table in tables {
        let Ok(Some(path)) = reader.path_below(&table.file, base) else {
            continue;
        };
        let is_optional = table.optional.get().is_some_and(|&optional| optional);
        let mut content = Content {
            syntax: syntax_of(&path),
            is_any_case: table.case.get() == Some(&schema::NameCase::Any),
            values: None,
            names: Vec::new(),
            path,
        };
        let uid = reader.environment.uid;
        let filled = fill(&mut content, uid, &mut variables.notes);
        let checked = filled.and_then(|()| {
            let was_there = memory.files.contains(&content.path);
            if content.values.is_some() || (is_optional && !was_there) {
                return Ok(());
            }
            Err(if was_there {
                Refusal::new("was there when the configuration was read before, and is gone")
                    .hint("put it back, or restart the daemon to go without it")
            } else {
                Refusal::new("does not exist").hint("create it, or write optional = true")
            })
        });
        if let (Err(refusal), Some(text)) = (checked, table.file.text()) {
            reader.note(text.refuse(refusal));
        }
        variables.files.push(content);
    }
    variables
}

/// Reports names that were in files before and are gone.
pub(super) fn check_lost_names(reader: &mut Reader, memory: &Memory) {
    let lost = memory.names.intersection(&reader.referred);
    let lost = lost.filter(|name| reader.variables.get(name).is_none());
    let problems: Vec<_> = lost
        .map(|name| {
            Problem::of_process(format!(
                "variable {name} was in a file of variables when the configuration was read before, and is gone"
            ))
            .hint("put it back, or restart the daemon to go without it")
        })
        .collect();
    for problem in problems {
        reader.note(problem);
    }
}

fn syntax_of(path: &Path) -> Syntax {
    match path.extension().and_then(OsStr::to_str) {
        Some("yaml" | "yml" | "json") => Syntax::Nested,
        Some(_) | None => Syntax::Dotenv,
    }
}

/// Reads a file, if it is there.
fn fill(content: &mut Content, uid: u32, notes: &mut Vec<String>) -> Result<(), Refusal> {
    let Some(file) = trust::open(&content.path, uid)? else {
        return Ok(());
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Refusal::new(format!("cannot be read: {}", reason(&error))))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let reason = format!("is longer than the limit of {FILE_BYTES_MAX} bytes");
        return Err(Refusal::new(reason));
    }
    let text = String::from_utf8(bytes).map_err(|_| Refusal::new("is not UTF-8"))?;
    match content.syntax {
        Syntax::Nested => content.fill(nested::parse(&text)?),
        Syntax::Dotenv => {
            let parsed = dotenv::parse(&text);
            if !parsed.bad_lines.is_empty() {
                let lines = shortened(parsed.bad_lines.iter().map(usize::to_string));
                let path = quoted(&content.path);
                notes.push(format!("{path}: not understood, and skipped: line {lines}"));
            }
            content.fill(parsed.values);
        }
    }
    Ok(())
}
