//! Options and surroundings that commands share.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::{ArgAction, Args};
use tokio::net::UnixStream;

use super::client::{Client, ClientError, Endpoint, Server, Target};
use super::output::{Format, Output};
use super::paths;
use super::remote::RemoteOptions;
use crate::config::{Environment, Overrides, RootIds, RootPath, Settings};
use crate::daemon::{Baseline, offline};
use crate::types;

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Configuration file [default: lapsed.toml of user or host]
    #[arg(
        long,
        global = true,
        help_heading = "Common options",
        value_name = "FILE"
    )]
    pub(super) config: Option<PathBuf>,
    /// Socket of the daemon
    #[arg(
        long,
        global = true,
        help_heading = "Common options",
        value_name = "PATH"
    )]
    pub(super) socket: Option<PathBuf>,
    /// State directory of the daemon
    #[arg(
        long,
        global = true,
        help_heading = "Common options",
        value_name = "DIR"
    )]
    state_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(super) remote: RemoteOptions,
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

impl Common {
    /// The first option that names the daemon of this host.
    pub(super) fn local(&self) -> Option<&'static str> {
        let given = [
            ("--socket", self.socket.is_some()),
            ("--state-dir", self.state_dir.is_some()),
            ("--config", self.config.is_some()),
        ];
        let mut given = given.into_iter().filter(|(_, is_given)| *is_given);
        given.next().map(|(option, _)| option)
    }
}

/// Roots on the command line, for commands that can do without a daemon.
#[derive(Debug, Clone, Default, Args)]
pub struct WatchOptions {
    /// Watch PATH, with files lapsing after TTL (repeatable)
    #[arg(long, value_name = "PATH=TTL")]
    watch: Vec<String>,
    /// Resolve relative paths below DIR
    #[arg(long, value_name = "DIR")]
    base_dir: Option<PathBuf>,
    /// Allow /, home directories and the like as roots
    #[arg(long, alias = "allow-unsafe-root")]
    allow_unsafe_roots: bool,
    /// Paths of roots, from flags of a declared command.
    #[arg(skip)]
    roots: BTreeMap<String, RootPath>,
}

impl WatchOptions {
    /// Returns true if any is given.
    #[must_use]
    pub fn is_given(&self) -> bool {
        !self.watch.is_empty()
            || self.base_dir.is_some()
            || self.allow_unsafe_roots
            || !self.roots.is_empty()
    }

    /// Resolves relative paths below `base_dir`.
    pub fn set_base_dir(&mut self, base_dir: PathBuf) {
        self.base_dir = Some(base_dir);
    }

    /// Has the root `name` at another path.
    pub fn set_root(&mut self, name: String, path: RootPath) {
        self.roots.insert(name, path);
    }

    /// Refuses paths of roots that are others than those of the daemon behind `client`.
    async fn refuse_other_roots(&self, client: &mut Client) -> anyhow::Result<()> {
        if self.roots.is_empty() {
            return Ok(());
        }
        let settings: types::Settings = client.get(&Target::new("/v1/settings")).await?;
        for (name, wanted) in &self.roots {
            let root = settings.roots.iter().find(|root| root.name == *name);
            let theirs = root.and_then(|root| root.path.decode());
            let ours = std::fs::canonicalize(&wanted.path).ok();
            if ours.is_none() || ours != theirs {
                let theirs = theirs.unwrap_or_default();
                let RootPath { flag, path } = wanted;
                anyhow::bail!(
                    "{flag} {path:?}: a daemon runs, which has root {name:?} at {:?}\n  \
                     leave {flag} out, stop the daemon, or change the path in its configuration",
                    theirs.to_string_lossy()
                );
            }
        }
        Ok(())
    }

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

/// Entries of a list that a terminal gets unless the user asks for another number: a screen or two.
const TERMINAL_ENTRIES: u64 = 50;

/// Length of a list.
#[derive(Debug, Clone, Args)]
pub struct Limit {
    /// List at most N, 0 for all [default: 50 on a terminal]
    #[arg(id = "limit", long = "limit", short = 'n', value_name = "N")]
    number: Option<u64>,
}

impl Limit {
    /// Maximum number of entries; without one, all are listed. Programs and files get all.
    #[must_use]
    pub fn max(&self, output: &Output) -> Option<u64> {
        match self.number {
            Some(number) => Some(number).filter(|number| *number > 0),
            None => output.is_for_terminal().then_some(TERMINAL_ENTRIES),
        }
    }

    /// Tells the user that the list ended at the default limit, and how to see more.
    ///
    /// # Errors
    /// Those of `output`.
    pub fn print_cut(&self, output: &mut Output) -> anyhow::Result<()> {
        match self.number {
            Some(_) => Ok(()),
            None => output.line(&format!(
                "the first {TERMINAL_ENTRIES}; -n N lists more, -n 0 all"
            )),
        }
    }
}

/// Consent to something that cannot be undone.
#[derive(Debug, Clone, Args)]
pub struct Consent {
    /// Do not ask for confirmation
    #[arg(long, short = 'y')]
    yes: bool,
}

impl Consent {
    /// Returns true if `--yes` is given, or nobody is at a terminal to be asked: scripts go on.
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.yes || !(io::stdin().is_terminal() && io::stderr().is_terminal())
    }

    /// Asks for consent. Everything but `y` and `yes` refuses.
    ///
    /// # Errors
    /// If the terminal cannot be read or written.
    pub fn ask(question: &str) -> anyhow::Result<bool> {
        eprint!("{question} [y/N] ");
        let mut answer = String::new();
        io::stdin()
            .read_line(&mut answer)
            .context("cannot read the answer; give --yes")?;
        let is_given = ["y", "yes"].contains(&answer.trim().to_lowercase().as_str());
        if !is_given {
            eprintln!("nothing was done");
        }
        Ok(is_given)
    }
}

/// Outcome of a command that could run.
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
    /// A declared command ends so.
    Status(u8),
}

/// Surroundings of a command.
pub struct Context {
    /// Standard output.
    pub output: Output,
    /// Environment of the process.
    pub environment: Environment,
    pub(super) common: Common,
    /// Daemon that a URL names.
    pub(super) server: Option<Arc<Server>>,
}

impl Context {
    /// Returns the settings of the command line.
    #[must_use]
    pub fn overrides(&self, watching: &WatchOptions) -> Overrides {
        Overrides {
            config: self.common.config.clone(),
            watch: watching.watch.clone(),
            state_dir: self.common.state_dir.clone(),
            socket: self.common.socket.clone(),
            base_dir: watching.base_dir.clone(),
            roots: watching.roots.clone(),
            allow_unsafe_roots: watching.allow_unsafe_roots,
            ..Overrides::default()
        }
    }

    /// Returns the path of the daemon's socket.
    ///
    /// # Errors
    /// The configuration's mistakes that keep this from being known.
    pub fn socket(&self, watching: &WatchOptions) -> anyhow::Result<PathBuf> {
        let overrides = self.overrides(watching);
        let (_, socket) = crate::config::endpoints(&overrides, &self.environment)?;
        Ok(socket)
    }

    /// The whole configuration.
    ///
    /// # Errors
    /// Its mistakes.
    pub fn settings(&self, watching: &WatchOptions) -> anyhow::Result<Settings> {
        let overrides = self.overrides(watching);
        let mut ids = RootIds::default();
        Ok(crate::config::load(
            &overrides,
            &self.environment,
            &mut ids,
        )?)
    }

    /// Returns the way to the daemon.
    ///
    /// # Errors
    /// The configuration's mistakes that keep this from being known.
    pub fn endpoint(&self, watching: &WatchOptions) -> anyhow::Result<Endpoint> {
        Ok(match &self.server {
            Some(server) => Endpoint::Server(Arc::clone(server)),
            None => Endpoint::Socket(self.socket(watching)?),
        })
    }

    /// Returns true if a URL names the daemon: no file of this host is meant.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        self.server.is_some()
    }

    /// Returns `path` as the daemon knows it.
    ///
    /// # Errors
    /// If it is relative, and the current directory is gone or on another host than the daemon.
    pub fn path_of_daemon(&self, path: &Path) -> anyhow::Result<PathBuf> {
        if self.is_remote() {
            anyhow::ensure!(
                path.is_absolute(),
                "\"{}\" is relative, and the daemon is behind a URL\n  \
                 give the absolute path that it has there",
                path.display()
            );
            return Ok(paths::plain(path));
        }
        paths::absolute(path, self.environment.current_dir.as_deref())
            .context("the current directory is gone; give an absolute path")
    }

    /// Connects to the daemon.
    ///
    /// # Errors
    /// The configuration's, or the client's.
    pub async fn connect(&self) -> anyhow::Result<Client> {
        Ok(Client::connect(&self.endpoint(&WatchOptions::default())?).await?)
    }

    /// Connects to the daemon to have it act. The inner error says that none runs on this host.
    ///
    /// # Errors
    /// The configuration's, or the client's.
    pub async fn connect_to_act(
        &self,
        watching: &WatchOptions,
    ) -> anyhow::Result<Result<Client, ClientError>> {
        if self.is_remote() {
            watching.refuse_beside_daemon()?;
        }
        match Client::connect(&self.endpoint(watching)?).await {
            Err(error) if error.is_absence() => Ok(Err(error)),
            connected => {
                let mut client = connected?;
                watching.refuse_beside_daemon()?;
                watching.refuse_other_roots(&mut client).await?;
                Ok(Ok(client))
            }
        }
    }

    /// Connects to the daemon to ask questions. Where none runs on this host, what `baseline` says
    /// is read once, and the same questions are answered from that.
    ///
    /// # Errors
    /// The configuration's, the client's, or those of the reading.
    pub async fn connect_to_read(
        &self,
        watching: &WatchOptions,
        baseline: Baseline,
    ) -> anyhow::Result<Client> {
        let absence = match self.connect_to_act(watching).await? {
            Ok(client) => return Ok(client),
            Err(absence) => absence,
        };
        let settings = match (self.settings_without_daemon(watching, &absence), baseline) {
            (Err(mistakes), Baseline::Records | Baseline::Jobs) => {
                self.settings_for_records().ok_or(mistakes)?
            }
            (settings, _) => settings?,
        };
        if self.common.quiet == 0 {
            let absence = absence.to_string();
            let absence = absence.lines().next().unwrap_or_default();
            eprintln!("note: {absence}: the answer is read from its state and the roots");
        }
        let daemon = tokio::task::spawn_blocking(move || offline(settings, baseline)).await??;
        let (ours, theirs) = UnixStream::pair().context("cannot make a socket")?;
        tokio::spawn(crate::http::listener::unix::answer(theirs, daemon));
        Ok(Client::over(Box::new(ours), self.endpoint(watching)?).await?)
    }

    /// Settings without a root, if there is a state directory: it has all records.
    fn settings_for_records(&self) -> Option<Settings> {
        let overrides = self.overrides(&WatchOptions::default());
        let (state_dir, socket) = crate::config::endpoints(&overrides, &self.environment).ok()?;
        let is_there = state_dir.is_dir();
        let load = || crate::config::load_for_records(state_dir, socket, &self.environment).ok();
        is_there.then(load).flatten()
    }

    /// The whole configuration, where no daemon could be asked because of `absence`.
    ///
    /// # Errors
    /// Its mistakes, behind the reason why it is needed at all.
    pub fn settings_without_daemon(
        &self,
        watching: &WatchOptions,
        absence: &ClientError,
    ) -> anyhow::Result<Settings> {
        self.settings(watching).map_err(|mistakes| {
            anyhow::anyhow!("{absence}\nand to do without a daemon:\n{mistakes:#}")
        })
    }

    /// Directory and socket of the daemon that the command line names, each with its option.
    pub fn places(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let common = &self.common;
        let given = [
            ("--state-dir", &common.state_dir),
            ("--socket", &common.socket),
        ];
        given
            .into_iter()
            .filter_map(|(option, path)| Some((option, path.as_deref()?)))
    }

    /// Leaves out notes about how an answer was found.
    pub fn hush(&mut self) {
        self.common.quiet = self.common.quiet.max(1);
    }

    /// Returns true if programs read the output.
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
