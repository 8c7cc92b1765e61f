//! Options of a daemon behind a URL.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};
use clap::Args;

use super::client::{Server, Token};
use crate::config::Environment;

/// Options of every command that may ask a daemon behind a URL.
#[derive(Debug, Clone, Default, Args)]
#[expect(clippy::doc_markdown, reason = "help is shown as it is written")]
pub struct RemoteOptions {
    /// URL of a daemon, instead of its socket [env: LAPSED_URL]
    #[arg(
        long,
        global = true,
        help_heading = "Common options",
        value_name = "URL"
    )]
    url: Option<String>,
    /// File of the token for URL [env: LAPSED_TOKEN_FILE]
    #[arg(
        long,
        global = true,
        help_heading = "Common options",
        value_name = "FILE"
    )]
    token_file: Option<PathBuf>,
    /// Only certificates to trust [env: LAPSED_CA_FILE]
    #[arg(
        long,
        global = true,
        help_heading = "Common options",
        value_name = "FILE"
    )]
    ca_file: Option<PathBuf>,
}

impl RemoteOptions {
    /// Refuses these options for a command that is about this host.
    ///
    /// # Errors
    /// When one of them is given.
    pub(super) fn refuse(&self, command: &str) -> anyhow::Result<()> {
        match self.first() {
            None => Ok(()),
            Some(option) => bail!(
                "{option} means nothing here: lapsed {command} is about this host\n  \
                 run it on the host that it is meant for, without {option}"
            ),
        }
    }

    fn first(&self) -> Option<&'static str> {
        let given = [
            ("--url", self.url.is_some()),
            ("--token-file", self.token_file.is_some()),
            ("--ca-file", self.ca_file.is_some()),
        ];
        let mut given = given.into_iter().filter(|(_, is_given)| *is_given);
        given.next().map(|(option, _)| option)
    }

    /// The daemon behind the URL, if one is given. `local`: an option that names the daemon of this
    /// host.
    ///
    /// # Errors
    /// If both are given, or the server of [`Server::new`] cannot be had.
    pub(super) fn server(
        &self,
        environment: &Environment,
        local: Option<&str>,
    ) -> anyhow::Result<Option<Server>> {
        if let (Some(option), Some(ours)) = (local, self.first()) {
            bail!("{ours} and {option} name two daemons\n  leave out the one that is not meant");
        }
        let variable = environment.set("LAPSED_URL").filter(|_| local.is_none());
        let url = match (&self.url, variable) {
            (Some(url), _) => url.clone(),
            (None, Some(url)) => url.to_string_lossy().into_owned(),
            (None, None) => {
                ensure!(
                    self.first().is_none(),
                    "{} means nothing without a URL\n  give --url or LAPSED_URL",
                    self.first().unwrap_or_default()
                );
                return Ok(None);
            }
        };
        let file = |given: &Option<PathBuf>, name| {
            given
                .clone()
                .or_else(|| environment.set(name).map(PathBuf::from))
        };
        let ca_file = file(&self.ca_file, "LAPSED_CA_FILE");
        let token_file = file(&self.token_file, "LAPSED_TOKEN_FILE");
        let token = token(token_file.as_deref(), environment.set("LAPSED_TOKEN"))?;
        Server::new(&url, token, ca_file.as_deref()).map(Some)
    }
}

/// A file goes before the variable, which programs that this one starts can read.
fn token(file: Option<&Path>, variable: Option<&OsStr>) -> anyhow::Result<Option<Token>> {
    match (file, variable) {
        (Some(file), _) => Token::of_file(file).map(Some),
        (None, Some(token)) => Token::of_variable("LAPSED_TOKEN", token.as_bytes()).map(Some),
        (None, None) => Ok(None),
    }
}
