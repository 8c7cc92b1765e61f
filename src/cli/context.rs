//! Options and surroundings that commands share.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::client::Client;
use super::output::{Format, Output};
use crate::config::{Environment, Overrides, RootIds, Settings};

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// The configuration [default: the user's or the host's lapsed.toml]
    #[arg(
        long,
        global = true,
        help_heading = "Common options",
        value_name = "FILE"
    )]
    pub(super) config: Option<PathBuf>,
    /// The daemon's socket
    #[arg(
        long,
        global = true,
        help_heading = "Common options",
        value_name = "PATH"
    )]
    pub(super) socket: Option<PathBuf>,
    /// Where the daemon keeps its state
    #[arg(
        long,
        global = true,
        help_heading = "Common options",
        value_name = "DIR"
    )]
    state_dir: Option<PathBuf>,
    /// Print one JSON object; lists are one object per line
    #[arg(long, global = true, help_heading = "Common options")]
    pub(super) json: bool,
    /// Log more (repeatable)
    #[arg(short, long, global = true, help_heading = "Common options", action = ArgAction::Count)]
    pub(super) verbose: u8,
    /// Log less (repeatable)
    #[arg(short, long, global = true, help_heading = "Common options", action = ArgAction::Count)]
    pub(super) quiet: u8,
}

/// What to watch, for commands that can do without a daemon.
#[derive(Debug, Clone, Default, Args)]
pub struct Watching {
    /// Watch PATH, and let its files lapse TTL after they were last touched (repeatable)
    #[arg(long, value_name = "PATH=TTL")]
    watch: Vec<String>,
    /// What relative paths are below
    #[arg(long, value_name = "DIR")]
    base_dir: Option<PathBuf>,
    /// Take /, home directories and the like as roots, too
    #[arg(long, alias = "allow-unsafe-root")]
    allow_unsafe_roots: bool,
}

impl Watching {
    /// Refuses these options beside a daemon, which goes by its own configuration.
    ///
    /// # Errors
    /// When one of them is given.
    pub fn refuse_beside_daemon(&self) -> anyhow::Result<()> {
        let given = [
            ("--watch", !self.watch.is_empty()),
            ("--base-dir", self.base_dir.is_some()),
            ("--allow-unsafe-roots", self.allow_unsafe_roots),
        ];
        match given.into_iter().find(|(_, is_given)| *is_given) {
            None => Ok(()),
            Some((option, _)) => anyhow::bail!(
                "{option} means nothing here: a daemon answers, by its own configuration\n  \
                 leave {option} out, or name another socket with --socket to do without the daemon"
            ),
        }
    }
}

/// How a command ended that could run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// All is done.
    Done,
    /// Some of it failed, and was said.
    WithErrors,
    /// Nothing could be done, and it was said why.
    Failed,
    /// The user interrupted it, and it was said what was done.
    Interrupted,
}

/// What every command gets.
pub struct Context {
    /// Where it prints.
    pub output: Output,
    /// What the process was started with.
    pub environment: Environment,
    pub(super) common: Common,
}

impl Context {
    /// What the command line says to the configuration.
    #[must_use]
    pub fn overrides(&self, watching: &Watching) -> Overrides {
        Overrides {
            config: self.common.config.clone(),
            watch: watching.watch.clone(),
            state_dir: self.common.state_dir.clone(),
            socket: self.common.socket.clone(),
            base_dir: watching.base_dir.clone(),
            allow_unsafe_roots: watching.allow_unsafe_roots,
            ..Overrides::default()
        }
    }

    /// Where the daemon listens.
    ///
    /// # Errors
    /// The configuration's mistakes that keep this from being known.
    pub fn socket(&self, watching: &Watching) -> anyhow::Result<PathBuf> {
        let overrides = self.overrides(watching);
        let (_, socket) = crate::config::endpoints(&overrides, &self.environment)?;
        Ok(socket)
    }

    /// The whole configuration.
    ///
    /// # Errors
    /// Its mistakes.
    pub fn settings(&self, watching: &Watching) -> anyhow::Result<Settings> {
        let overrides = self.overrides(watching);
        let mut ids = RootIds::default();
        Ok(crate::config::load(
            &overrides,
            &self.environment,
            &mut ids,
        )?)
    }

    /// Connects to the daemon.
    ///
    /// # Errors
    /// The configuration's, or the client's.
    pub async fn connect(&self) -> anyhow::Result<Client> {
        Ok(Client::connect(&self.socket(&Watching::default())?).await?)
    }

    /// Whether to print for programs.
    #[must_use]
    pub fn is_json(&self) -> bool {
        match self.output.format {
            Format::Json => true,
            Format::Text => false,
        }
    }
}

/// Runs `question`, which waits for a daemon.
///
/// # Errors
/// Those of `question`, and that of a system without a free descriptor.
pub fn block_on<T>(question: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(question)
}
