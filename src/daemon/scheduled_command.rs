//! Commands that a schedule runs, with their log, their output and their files.

use std::io::Write as _;
use std::sync::Arc;

use super::output_file::write_new_file;
use crate::adapter::{
    Adapter, Command, LiveLog, LogProgress, LogTarget, Logged, Params, Place, Rendered,
};
use crate::app::adapter::run_scheduled;
use crate::app::{AppError, Daemon};
use crate::core::run::RunCause;

/// A command of a schedule.
#[derive(Clone, Debug)]
pub(super) struct ScheduledCommand {
    /// Name of the schedule.
    pub schedule: String,
    /// Name of the command.
    pub command: String,
    /// Its parameters, as on its command line.
    pub params: Vec<(String, String)>,
    pub cause: RunCause,
}

impl ScheduledCommand {
    /// Runs it, and tells what fails.
    pub async fn run(&self, daemon: &Arc<Daemon>) {
        if let Err(error) = self.carry_out(daemon).await {
            let (schedule, command) = (&self.schedule, &self.command);
            tracing::error!("schedule \"{schedule}\": command \"{command}\": {error}");
        }
    }

    async fn carry_out(&self, daemon: &Arc<Daemon>) -> Result<(), AppError> {
        let adapter = daemon.adapter();
        let command = adapter.commands.get(&self.command).cloned();
        let command = command.ok_or_else(|| AppError::internal("it is not declared any more"))?;
        let given = self
            .params
            .iter()
            .map(|(name, value)| (Place::Flag, name.clone(), value.as_str().into()));
        let params = Params::read(&command.action.params, given);
        let params =
            params.map_err(|_| AppError::internal("its parameters are not known any more"))?;
        let failed = |error| AppError::internal(format!("{error}"));
        let log = {
            let (adapter, command) = (Arc::clone(&adapter), Arc::clone(&command));
            let target = command.log_to;
            let level = command.log_level;
            LiveLog::new(adapter, command, level, move |line| print(target, line))
        };
        let names = (self.schedule.as_str(), self.cause);
        let facts = run_scheduled(daemon, &adapter, &command, params, names, &log).await?;
        let rendered = log
            .end()
            .and_then(|told| render(&adapter, &command, &facts, &told));
        let rendered = rendered.map_err(failed)?;
        for line in &rendered.log {
            print(command.log_to, line);
        }
        if let Some(output) = rendered.output.filter(|output| !output.is_empty()) {
            // The daemon's standard output may be closed.
            let _ = writeln!(std::io::stdout(), "{output}");
        }
        let base_dir = std::path::Path::new(&facts.settings.base_dir);
        for file in &rendered.files {
            let dir = file.dir.as_ref();
            let dir = dir.map_or_else(|| base_dir.to_owned(), |dir| base_dir.join(dir));
            if let Err(error) = write_new_file(&dir, &file.name, &file.text) {
                tracing::error!("schedule \"{}\": {error:#}", self.schedule);
            }
        }
        Ok(())
    }
}

fn render(
    adapter: &Adapter,
    command: &Command,
    facts: &crate::adapter::Facts,
    told: &LogProgress,
) -> Result<Rendered, crate::adapter::TemplateError> {
    let is_json = command.text.is_none();
    let mut rendered = adapter.render(command, command.log_level, is_json, facts, told)?;
    // What only programs read is not for the daemon's output.
    rendered.output = rendered.output.filter(|_| !is_json);
    Ok(rendered)
}

fn print(target: LogTarget, line: &Logged) {
    // A closed output keeps no run from going on.
    let _ = match target {
        LogTarget::Stdout => writeln!(std::io::stdout(), "{}", line.text),
        LogTarget::Stderr => writeln!(std::io::stderr(), "{}", line.text),
    };
}
