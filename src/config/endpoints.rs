//! State directory and socket: the settings on which daemon and client must agree.
//!
//! **Invariant:** daemon and client find the same socket from the same command line, environment
//! and file.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::DeTable;

use super::discovery::{self, Origin as FileOrigin};
use super::document::Source;
use super::environment::Environment;
use super::error::{ConfigError, Problem, Refusal};
use super::reader::{Reader, Reported};
use super::resolve::tidy;
use super::schema::Top;
use super::setting::{Origin, Text, Value};
use super::settings::Overrides;
use super::variable_files;
use super::variables::Memory;

/// `sockaddr_un.sun_path` has 108 bytes, the last of which is NUL (unix(7)).
const SOCKET_BYTES_MAX: usize = 107;
const SOCKET_NAME: &str = "lapsed.sock";

/// Base directories of relative paths; `None` if it would be the current directory, and that does
/// not exist.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Bases {
    /// For the command line.
    pub typed: Option<PathBuf>,
    /// For the file and variables.
    pub file: Option<PathBuf>,
}

/// Paths of the daemon's own files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Places {
    /// The state directory.
    pub state_dir: PathBuf,
    /// The socket.
    pub socket: PathBuf,
}

/// Finds the state directory and the socket, for clients. Mistakes elsewhere in the configuration
/// do not matter here.
///
/// A user without a daemon of their own gets the host's paths. This requires that no setting names
/// a socket or state directory, that the configuration is neither named nor the user's own, and
/// that the host's socket exists while the user's does not. A user without a home also gets the
/// host's paths.
///
/// # Errors
/// If a named file cannot be read, or if the base directory, the state directory or the socket is
/// invalid.
pub fn endpoints(
    overrides: &Overrides,
    environment: &Environment,
) -> Result<(PathBuf, PathBuf), ConfigError> {
    let found = discovery::optional(overrides, environment)?;
    let tree = found
        .as_ref()
        .map(|(source, _)| source.parse_what_is_sound());
    let source = found.as_ref().map(|(source, _)| source);
    // Mistakes in files of variables matter where their values are missing.
    let mut first = Reader::new(environment, source, overrides);
    read_variables(&mut first, tree.as_ref(), source, &Memory::default());
    let mut reader = Reader::new(environment, source, overrides);
    reader.variables = first.variables;
    let top = reader.read(tree.as_ref(), Some(&["base_dir", "state_dir", "socket"]));
    let places = bases(&mut reader, &top, source)
        .and_then(|bases| places(&mut reader, &top, &bases, NoHomePolicy::UseHost));
    let places = match places {
        Ok(places) => places,
        Err(Reported) => return Err(reader.into_error()),
    };

    let explicit = top.state_dir.is_present() || top.socket.is_present();
    let private = matches!(found, Some((_, FileOrigin::Named | FileOrigin::Own)));
    if !explicit && !private && !places.socket.exists() && environment.system_socket.exists() {
        return Ok((
            environment.system_state_dir.clone(),
            environment.system_socket.clone(),
        ));
    }
    Ok((places.state_dir, places.socket))
}

/// Reads the files of variables, to which everything else in the file may refer.
pub(super) fn read_variables(
    reader: &mut Reader,
    tree: Option<&Spanned<DeTable>>,
    source: Option<&Source>,
    memory: &Memory,
) {
    let top = reader.read(tree, Some(&["base_dir", "variables"]));
    // The mistake in base_dir was reported.
    if let Ok(bases) = bases(reader, &top, source) {
        let base = bases.file.as_deref();
        reader.variables = variable_files::read(reader, &top.variables, base, memory);
    }
}

/// Finds the base directories of relative paths.
pub(super) fn bases(
    reader: &mut Reader,
    top: &Top,
    source: Option<&Source>,
) -> Result<Bases, Reported> {
    let here = reader.environment.current_dir.clone();
    let beside = source.and_then(|source| source.path().parent());
    let is_of_file = top
        .base_dir
        .text()
        .is_some_and(|text| text.line().is_some());
    let base = if is_of_file { beside } else { here.as_deref() };
    let given = reader.path_below(&top.base_dir, base)?;
    if given.is_some() && !is_of_file {
        return Ok(Bases {
            typed: given.clone(),
            file: given,
        });
    }
    Ok(Bases {
        file: given.or_else(|| beside.map(tidy)).or_else(|| here.clone()),
        typed: here,
    })
}

/// Policy for a process without usual places: `HOME` is unset, and no setting names a state
/// directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NoHomePolicy {
    /// For a daemon, which needs a state directory: report a problem.
    Refuse,
    /// For a client, which can only mean the host's daemon: use the host's paths.
    UseHost,
}

/// Finds the state directory and the socket.
pub(super) fn places(
    reader: &mut Reader,
    top: &Top,
    bases: &Bases,
    no_home: NoHomePolicy,
) -> Result<Places, Reported> {
    let dir = given(reader, &top.state_dir, bases);
    let socket = given(reader, &top.socket, bases);
    let environment = reader.environment;
    let (state_dir, usual) = if let Some(dir) = dir? {
        (dir, None)
    } else {
        let own = usual_state_dir(environment).map(|dir| {
            let socket = usual_socket(environment, &dir);
            (dir, socket)
        });
        let (dir, socket) = match (own, no_home) {
            (Some(own), _) => own,
            (None, NoHomePolicy::UseHost) => (
                environment.system_state_dir.clone(),
                environment.system_socket.clone(),
            ),
            (None, NoHomePolicy::Refuse) => return Err(reader.fail(nowhere())),
        };
        (dir, Some(socket))
    };
    let usual = || usual.unwrap_or_else(|| state_dir.join(SOCKET_NAME));
    let socket = socket?.unwrap_or_else(usual);
    let checked = check_length(&socket).map_err(|refusal| match top.socket.text() {
        Some(text) => text.refuse(refusal),
        None => Text::argument("socket", &socket.to_string_lossy()).refuse(refusal),
    });
    reader.take(checked).ok_or(Reported)?;
    Ok(Places { state_dir, socket })
}

/// Path that the command line, a variable or the file gives.
fn given<T: AsRef<Path>>(
    reader: &mut Reader,
    value: &Value<T>,
    bases: &Bases,
) -> Result<Option<PathBuf>, Reported> {
    let base = match value.text().map(|text| &text.origin) {
        Some(Origin::Argument(_)) => &bases.typed,
        Some(Origin::Default | Origin::Variable(_) | Origin::Line(_)) | None => &bases.file,
    };
    reader.path_below(value, base.as_deref())
}

fn usual_state_dir(environment: &Environment) -> Option<PathBuf> {
    if environment.uid == 0 {
        return Some(environment.system_state_dir.clone());
    }
    match environment.directory("XDG_STATE_HOME") {
        Some(dir) => Some(dir.join("lapsed")),
        None => Some(environment.directory("HOME")?.join(".local/state/lapsed")),
    }
}

fn usual_socket(environment: &Environment, state_dir: &Path) -> PathBuf {
    if environment.uid == 0 {
        return environment.system_socket.clone();
    }
    environment
        .directory("XDG_RUNTIME_DIR")
        .unwrap_or(state_dir)
        .join(SOCKET_NAME)
}

fn nowhere() -> Problem {
    Problem::of_process(
        "no state directory: neither XDG_STATE_HOME nor HOME holds an absolute path",
    )
    .hint("name one with --state-dir DIR or LAPSED_STATE_DIR")
}

fn check_length(socket: &Path) -> Result<(), Refusal> {
    let bytes = socket.as_os_str().as_bytes().len();
    if bytes <= SOCKET_BYTES_MAX {
        return Ok(());
    }
    Err(Refusal::new(format!(
        "results in a path of {bytes} bytes, but a Unix socket may have at most {SOCKET_BYTES_MAX}"
    ))
    .hint("name a shorter one, such as --socket /run/lapsed/lapsed.sock (LAPSED_SOCKET, socket)"))
}
