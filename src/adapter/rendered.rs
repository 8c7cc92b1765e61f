//! All that a command shows in the end.

use std::path::PathBuf;

use super::context::Facts;
use super::declaration::{Adapter, Command};
use super::log::Logged;
use super::log_line::LogLevel;
use super::progress::LogProgress;
use super::templates::{Template, TemplateError};

/// All that a command shows in the end.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rendered {
    /// Lines of its log.
    pub log: Vec<Logged>,
    /// Its output; `None`: it has none in this form.
    pub output: Option<String>,
    /// Files that it writes.
    pub files: Vec<RenderedFile>,
}

/// A file that a command writes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RenderedFile {
    /// Its directory; `None`: the base directory.
    pub dir: Option<PathBuf>,
    /// Its name.
    pub name: String,
    /// Its content.
    pub text: String,
}

impl Adapter {
    /// Renders all that `command` shows of `facts`: its log from `level` on but what was `told`,
    /// its output as JSON or text, and its files.
    ///
    /// # Errors
    /// If a template fails.
    pub fn render(
        &self,
        command: &Command,
        level: LogLevel,
        is_json: bool,
        facts: &Facts,
        told: &LogProgress,
    ) -> Result<Rendered, TemplateError> {
        let of = |is_json: bool| {
            let template = if is_json {
                &command.json
            } else {
                &command.text
            };
            let output = |template: &Template| self.output(template, is_json, facts);
            template.as_ref().map(output).transpose()
        };
        let mut files = Vec::new();
        for file in &command.files {
            if facts.is_dry_run && !file.in_dry_runs {
                continue;
            }
            if let Some(text) = of(file.is_json)? {
                let name = self.file_name(&file.name, facts)?;
                let dir = file.dir.clone();
                files.push(RenderedFile { dir, name, text });
            }
        }
        Ok(Rendered {
            log: self.log_of_run(command, level, facts, told)?,
            output: of(is_json)?,
            files,
        })
    }
}
