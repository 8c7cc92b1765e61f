//! State directory and socket: the settings on which daemon and client must agree.
//!
//! **Invariant:** daemon and client find the same socket from the same command line, environment
//! and file.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::discovery::{self, Origin};
use super::document::{Section, Source};
use super::environment::Environment;
use super::error::{ConfigError, Problem, Refusal};
use super::reader::{Reader, Reported, Text};
use super::resolve::tidy;
use super::schema::{BASE_DIR, Key, SOCKET, STATE_DIR};
use super::settings::Overrides;

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
    let top = match (source, &tree) {
        (Some(source), Some(tree)) => Section::top(source, tree),
        _ => Section::absent(""),
    };
    let mut reader = Reader::new(environment);
    let places = bases(&mut reader, overrides, &top, source)
        .and_then(|bases| places(&mut reader, overrides, &top, &bases, NoHomePolicy::UseHost));
    let places = match places {
        Ok(places) => places,
        Err(Reported) => return Err(reader.into_error()),
    };

    let explicit = overrides.state_dir.is_some()
        || overrides.socket.is_some()
        || [STATE_DIR, SOCKET]
            .iter()
            .any(|key| is_set(environment, &top, key));
    let private = matches!(found, Some((_, Origin::Named | Origin::Own)));
    if !explicit && !private && !places.socket.exists() && environment.system_socket.exists() {
        return Ok((
            environment.system_state_dir.clone(),
            environment.system_socket.clone(),
        ));
    }
    Ok((places.state_dir, places.socket))
}

/// Finds the base directories of relative paths.
pub(super) fn bases(
    reader: &mut Reader,
    overrides: &Overrides,
    top: &Section,
    source: Option<&Source>,
) -> Result<Bases, Reported> {
    let here = reader.environment.current_dir.clone();
    let given = match &overrides.base_dir {
        Some(path) => Some((argument("--base-dir", path), path.clone())),
        None => reader
            .variable(&BASE_DIR)?
            .map(|text| (text.clone(), PathBuf::from(text.value))),
    };
    if let Some((text, path)) = given {
        let base = text.path_below(&path, here.as_deref());
        let base = Some(base.map_err(|problem| reader.fail(problem))?);
        return Ok(Bases {
            typed: base.clone(),
            file: base,
        });
    }
    let beside = source.and_then(|source| source.path().parent());
    let file = if top.has(BASE_DIR.name) {
        let text = reader.text(top, &BASE_DIR).ok_or(Reported)?;
        let base = text.path_below(Path::new(&text.value), beside);
        Some(base.map_err(|problem| reader.fail(problem))?)
    } else {
        beside.map(tidy).or_else(|| here.clone())
    };
    Ok(Bases { typed: here, file })
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
    overrides: &Overrides,
    top: &Section,
    bases: &Bases,
    no_home: NoHomePolicy,
) -> Result<Places, Reported> {
    let typed = (overrides.state_dir.as_deref(), "--state-dir");
    let dir = given(reader, typed, &STATE_DIR, top, bases);
    let typed = (overrides.socket.as_deref(), "--socket");
    let socket = given(reader, typed, &SOCKET, top, bases);
    let environment = reader.environment;
    let (state_dir, usual) = if let Some((_, dir)) = dir? {
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
    let (text, socket) = socket?.unwrap_or_else(|| {
        let socket = usual.unwrap_or_else(|| state_dir.join(SOCKET_NAME));
        (argument("socket", &socket), socket)
    });
    let checked = check_form(&text.value).and_then(|()| check_length(&socket));
    reader.take(&text, checked).ok_or(Reported)?;
    Ok(Places { state_dir, socket })
}

/// Path that the command line, a variable or the file gives.
fn given(
    reader: &mut Reader,
    (typed, argument_name): (Option<&Path>, &str),
    key: &Key,
    top: &Section,
    bases: &Bases,
) -> Result<Option<(Text, PathBuf)>, Reported> {
    let (text, path, base) = if let Some(path) = typed {
        (
            argument(argument_name, path),
            path.to_path_buf(),
            &bases.typed,
        )
    } else if let Some(text) = reader.setting(top, key)? {
        let path = PathBuf::from(&text.value);
        (text, path, &bases.file)
    } else {
        return Ok(None);
    };
    match text.path_below(&path, base.as_deref()) {
        Ok(path) => Ok(Some((text, path))),
        Err(problem) => Err(reader.fail(problem)),
    }
}

fn argument(name: &str, path: &Path) -> Text {
    Text::argument(name, &path.to_string_lossy())
}

fn is_set(environment: &Environment, top: &Section, key: &Key) -> bool {
    let variable = key.variable.and_then(|name| environment.set(name));
    variable.is_some() || top.has(key.name)
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

/// Refuses a network address: it would name a file in the working directory.
fn check_form(socket: &str) -> Result<(), Refusal> {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let names_port = socket
        .rsplit_once(':')
        .is_some_and(|(_, port)| is_port(port));
    if socket.contains('/') || !names_port {
        return Ok(());
    }
    let refusal = Refusal::new("is an address of a network, where lapsed listens on a Unix socket");
    Err(refusal.hint(format!(
        "name a path, such as /run/lapsed/lapsed.sock; or ./{socket} for a socket of that name"
    )))
}

fn check_length(socket: &Path) -> Result<(), Refusal> {
    let bytes = socket.as_os_str().as_bytes().len();
    if bytes <= SOCKET_BYTES_MAX {
        return Ok(());
    }
    Err(Refusal::new(format!(
        "leads to a path of {bytes} bytes, where a Unix socket may have at most {SOCKET_BYTES_MAX}"
    ))
    .hint("name a shorter one, such as --socket /run/lapsed/lapsed.sock (LAPSED_SOCKET, socket)"))
}
