//! Commands and endpoints, as they are declared.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::log_line::{LogLevel, LogLine};
use super::operation::Operation;
use super::params::Param;
use super::templates::{Template, Templates};
use crate::core::role::Role;

/// The surface of an older system.
#[derive(Clone, Debug)]
pub struct Adapter {
    /// Commands by name.
    pub commands: BTreeMap<String, Arc<Command>>,
    /// Endpoints.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// Form of errors.
    pub error: ErrorForm,
    /// Zone of instants.
    pub zone: TimeZone,
    /// All templates.
    pub templates: Arc<Templates>,
}

impl Default for Adapter {
    fn default() -> Self {
        let zone = TimeZone::UTC;
        Self {
            commands: BTreeMap::new(),
            endpoints: Vec::new(),
            error: ErrorForm::default(),
            templates: Arc::new(Templates::new(&zone)),
            zone,
        }
    }
}

impl Adapter {
    /// Endpoints at `path`, which may end with a slash; one for each method.
    pub fn at<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a Arc<Endpoint>> {
        let path = path.strip_suffix('/').unwrap_or(path);
        self.endpoints
            .iter()
            .filter(move |endpoint| endpoint.path == path)
    }
}

/// Form of errors at endpoints.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ErrorForm {
    /// The body; `None`: that of `/v1`.
    pub body: Option<Template>,
    /// Status codes of HTTP.
    pub status: ErrorStatus,
}

/// Status codes of HTTP for kinds of failures; `None`: that of `/v1`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ErrorStatus {
    /// A parameter cannot be taken.
    pub invalid: Option<u16>,
    /// Another run is in progress, or the configuration changed.
    pub conflict: Option<u16>,
    /// It could not be carried out.
    pub failed: Option<u16>,
}

/// What a command or an endpoint does.
#[derive(Clone, PartialEq, Debug)]
pub struct Action {
    /// Operation.
    pub operation: Operation,
    /// Least role.
    pub role: Role,
    /// Request of the operation, in JSON.
    pub request: Option<Template>,
    /// Parameters, by name.
    pub params: Vec<Param>,
    /// Names that templates may use for its parts: `settings.rules[…]`, and the like.
    pub needs: std::collections::BTreeSet<super::Need>,
}

/// A command: `lapsed run NAME …`.
#[derive(Clone, PartialEq, Debug)]
pub struct Command {
    /// Its name.
    pub name: String,
    /// Words for people.
    pub help: String,
    /// What it does.
    pub action: Action,
    /// Its output as text.
    pub text: Option<Template>,
    /// Its output as JSON.
    pub json: Option<Template>,
    /// Lines of its log.
    pub log: Vec<LogLine>,
    /// Form of a line of its log; `None`: the text alone.
    pub log_line: Option<Template>,
    /// Least level of lines in its log.
    pub log_level: LogLevel,
    /// Place of its log.
    pub log_to: LogTarget,
    /// Exit status.
    pub exit: ExitStatus,
    /// Files that it writes.
    pub files: Vec<OutputFile>,
}

/// Place of a command's log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogTarget {
    /// Standard error.
    #[default]
    Stderr,
    /// Standard output.
    Stdout,
}

/// Exit status of a command; 0 if all went well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExitStatus {
    /// Done, with problems in the report.
    pub errors: u8,
    /// It could not run.
    pub failed: u8,
}

/// A file that whoever runs the command writes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutputFile {
    /// Its name, one component.
    pub name: Template,
    /// Its directory; `None`: the base directory of the run.
    pub dir: Option<PathBuf>,
    /// Its content is JSON.
    pub is_json: bool,
    /// A dry run writes it, too.
    pub in_dry_runs: bool,
}

/// Method of HTTP.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, strum::EnumString, strum::IntoStaticStr, strum::VariantNames,
)]
#[strum(serialize_all = "UPPERCASE")]
pub enum Method {
    /// Asks.
    Get,
    /// Acts.
    Post,
    /// Acts.
    Put,
    /// Acts.
    Delete,
}

/// An endpoint.
#[derive(Clone, PartialEq, Debug)]
pub struct Endpoint {
    /// Its name, in the document; unique.
    pub name: String,
    /// Method.
    pub method: Method,
    /// Path, without a slash at the end.
    pub path: String,
    /// Words for people.
    pub help: String,
    /// What it does.
    pub action: Action,
    /// The answer, in JSON.
    pub answer: Template,
    /// An answer, made from an invented result.
    pub example: String,
}
