//! Choice of the configuration file.
//!
//! **Invariant:** a named file is read, or its error is returned; only the usual places may lack
//! one.

use std::io;
use std::path::{Path, PathBuf};

use super::document::{Source, Unread};
use super::environment::Environment;
use super::error::{ConfigError, Problem, quoted};
use super::resolve::reason;
use super::schema::CONFIG_VARIABLE;
use super::setting::{Setting, Text};
use super::settings::Overrides;

/// Origin of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// Named by `--config` or its variable.
    Named,
    /// The user's own, in the usual place.
    Own,
    /// The host's, in the usual place.
    System,
}

/// Returns the file for a caller that requires a configuration: `None` with `--watch` alone.
pub(super) fn required(
    overrides: &Overrides,
    environment: &Environment,
) -> Result<Option<Source>, ConfigError> {
    if let Some(path) = named(overrides, environment)? {
        return read(&path).map(Some);
    }
    if !overrides.watch.is_empty() {
        return Ok(None);
    }
    let usual = usual(environment);
    for (_, path) in &usual {
        if let Some(source) = read_if_there(path)? {
            return Ok(Some(source));
        }
    }
    let places: Vec<_> = usual.iter().map(|(_, path)| quoted(path)).collect();
    Err(Problem::of_process(format!(
        "no configuration: there is no {}",
        places.join(" and no ")
    ))
    .hint(
        "name a file with --config FILE or LAPSED_CONFIG, or watch a directory without one: --watch ./scratch=10s",
    )
    .into())
}

/// Returns the file for a caller that can do without one. A file in a usual place that cannot be
/// read counts as absent: a host may hide its configuration from users who may query its daemon.
pub(super) fn optional(
    overrides: &Overrides,
    environment: &Environment,
) -> Result<Option<(Source, Origin)>, ConfigError> {
    if let Some(path) = named(overrides, environment)? {
        return read(&path).map(|source| Some((source, Origin::Named)));
    }
    if !overrides.watch.is_empty() {
        return Ok(None);
    }
    let found = usual(environment)
        .into_iter()
        .find_map(|(origin, path)| Some((Source::read(&path).ok()?, origin)));
    Ok(found)
}

/// Path at which a new file will be found: the named one, else the first usual place.
///
/// # Errors
/// If the named path is invalid, or is relative while the current directory does not exist.
pub fn place_for_new(
    overrides: &Overrides,
    environment: &Environment,
) -> Result<PathBuf, ConfigError> {
    if let Some(path) = named(overrides, environment)? {
        return Ok(path);
    }
    let first = usual(environment).into_iter().next();
    Ok(first.map_or_else(|| environment.system_file.clone(), |(_, path)| path))
}

fn named(overrides: &Overrides, environment: &Environment) -> Result<Option<PathBuf>, Problem> {
    let (text, path) = match (&overrides.config, environment.set(CONFIG_VARIABLE)) {
        (Some(path), _) => {
            let text = Text::argument("--config", &path.to_string_lossy());
            (text, path.as_path())
        }
        // With `--watch`, the variable is ignored: the same command works alike everywhere.
        (None, Some(path)) if overrides.watch.is_empty() => {
            let text = Text::variable(CONFIG_VARIABLE, &path.to_string_lossy());
            (text, Path::new(path))
        }
        (None, _) => return Ok(None),
    };
    PathBuf::parse(text.as_str()).map_err(|refusal| text.refuse(refusal))?;
    text.path_below(path, environment.current_dir.as_deref())
        .map(Some)
}

/// Usual places, in the order in which they are tried.
fn usual(environment: &Environment) -> Vec<(Origin, PathBuf)> {
    let own = (environment.uid != 0)
        .then(|| {
            environment
                .directory("XDG_CONFIG_HOME")
                .map(Path::to_path_buf)
                .or_else(|| Some(environment.directory("HOME")?.join(".config")))
        })
        .flatten()
        .map(|dir| (Origin::Own, dir.join("lapsed/lapsed.toml")));
    own.into_iter()
        .chain([(Origin::System, environment.system_file.clone())])
        .collect()
}

fn read(path: &Path) -> Result<Source, ConfigError> {
    Source::read(path).map_err(|unread| match unread {
        Unread::Io(error) => cannot_read(path, &error),
        Unread::Refused(error) => error,
    })
}

fn read_if_there(path: &Path) -> Result<Option<Source>, ConfigError> {
    match Source::read(path) {
        Ok(source) => Ok(Some(source)),
        Err(Unread::Io(error)) if is_absence(&error) => Ok(None),
        Err(Unread::Io(error)) => Err(cannot_read(path, &error)),
        Err(Unread::Refused(error)) => Err(error),
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn cannot_read(path: &Path, error: &io::Error) -> ConfigError {
    Problem::of_process(format!(
        "cannot read configuration {}: {}",
        quoted(path),
        reason(error)
    ))
    .into()
}
