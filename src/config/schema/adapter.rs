//! `[adapter]`, `[templates]`, `[[command]]` and `[[endpoint]]`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::queries::Zone;
use super::super::setting::{Table, Value, Values};
use super::super::value::{Code, HttpStatus, Name, Scalar};
use crate::adapter::{LogLevel, LogMoment, LogTarget, Operation, Place};
use crate::core::role::Role;

/// The surface of an older system: what its commands and its endpoints have in common. Commands
/// (`lapsed run NAME`) and endpoints map parameters to requests of /v1, and their results to the
/// output that the older system had, by templates (MiniJinja). They can do nothing that /v1 cannot
/// do.
///
/// Templates know `params`, `settings` (rules and roots by name), `run`, `report` and, where they
/// name them, `before`, `after` and `last`. Instants are numbers of seconds. In JSON each {{ value
/// }} is encoded, and a comma before a closing bracket is dropped. Templates are tried on invented
/// results when the file is read. Variables are not replaced in them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Adapter {
    /// Least role for all commands and endpoints: "viewer" or "operator". The role that an
    /// operation takes counts in any case.
    #[schemars(extend("default" = "viewer"), example = &"operator")]
    pub role: Value<Role>,
    /// Time zone of instants in answers, logs and names of files: "UTC", "local", or an IANA name.
    #[schemars(extend("default" = "local"), example = &"UTC")]
    pub timezone: Value<Zone>,
    /// Template of the body of an error at an endpoint. It knows `error.kind`, `error.message`,
    /// `error.hint`, `error.run` and `error.params` (`name`, `where`, `given`, `code`, `message`).
    /// Default: problem details, as in /v1.
    #[schemars(example = &r#"{"detail": {{ error.message }}}"#)]
    pub error: Value<Code>,
    pub status: Table<AdapterStatus>,
}

/// Status codes of HTTP for errors at endpoints, also written status = { invalid = 422 } in
/// [adapter]. Those for missing credentials and roles are always 401 and 403.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct AdapterStatus {
    /// A parameter cannot be taken.
    #[schemars(extend("default" = 400), example = 422)]
    pub invalid: Value<HttpStatus>,
    /// Another run is in progress.
    #[schemars(extend("default" = 409))]
    pub conflict: Value<HttpStatus>,
    /// The operation could not be carried out.
    #[schemars(extend("default" = 500))]
    pub failed: Value<HttpStatus>,
}

/// A command: lapsed run NAME.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Command {
    /// Name of the command, unique.
    #[schemars(extend("x-required" = true), example = &"cleanup")]
    pub name: Value<Name>,
    /// Description, for `lapsed run NAME --help`.
    #[schemars(example = &"Clean up data of old jobs")]
    pub help: Value<String>,
    /// Name of a command or an endpoint whose operation, request and parameters count, as far as
    /// they are not given here.
    #[schemars(example = &"cleanup")]
    pub r#use: Value<Name>,
    /// Operation: "clean", "stats", "status", "settings" or "history". Default: clean, or that of
    /// `use`.
    #[schemars(example = &"clean")]
    pub operation: Value<Operation>,
    /// Least role. Default: that of [adapter].
    #[schemars(example = &"operator")]
    pub role: Value<Role>,
    /// Template of the request, in JSON: for clean and stats the body of POST /v1/clean.
    #[schemars(example = &r#"{"dry_run": {{ params.dry_run }}}"#)]
    pub request: Value<Code>,
    /// Template of the output as text.
    #[schemars(example = &"removed {{ report.files }} files")]
    pub text: Value<Code>,
    /// Template of the output as JSON.
    #[schemars(example = &r#"{"removed": {{ report.files }}}"#)]
    pub json: Value<Code>,
    /// Template of each line of the log; it knows `at`, `level` and `text`. Default: the text
    /// alone.
    #[schemars(example = &"{{ level | upper }} - {{ text }}")]
    pub log_line: Value<Code>,
    /// Least level of lines in the log: "debug", "info", "warning" or "error"; case does not
    /// matter.
    #[schemars(extend("default" = "info"))]
    pub log_level: Value<LogLevel>,
    /// Place of the log: "stderr" or "stdout".
    #[schemars(extend("default" = "stderr"))]
    pub log_to: Value<LogTarget>,
    #[schemars(length(max = 200))]
    pub log: Vec<Table<CommandLog>>,
    pub exit: Table<Exit>,
    #[schemars(length(max = 16))]
    pub files: Vec<Table<CommandFile>>,
    #[schemars(extend("type" = ["array", "object"], "maxItems" = 100, "x-named" = true))]
    pub params: Vec<Table<Param>>,
}

/// A line of the command's log, also written log = [{ on = "end", text = "…" }].
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct CommandLog {
    /// Moment: "start", "query", "examined", "verdict", "planned", "job", "item", "problem",
    /// "warning" or "end". Templates know the thing by this name.
    ///
    /// A run that removes something tells its lines while it works: those of "query" and "planned"
    /// by a dry run before it, for which `report` is what goes; those of a job or an item as soon
    /// as that is gone. Lines of "problem", "warning" and "end" come at its end, and so do all but
    /// those of "start" in a dry run, and in one that releases the breaker.
    #[schemars(extend("x-required" = true), example = &"end")]
    pub on: Value<LogMoment>,
    /// Level: "debug", "info", "warning" or "error".
    #[schemars(extend("default" = "info"))]
    pub level: Value<LogLevel>,
    /// Condition: an expression. Default: always.
    #[schemars(example = &"run.dry_run")]
    pub when: Value<Code>,
    /// Template of the text.
    #[schemars(extend("x-required" = true), example = &"removed {{ report.files }} files")]
    pub text: Value<Code>,
}

/// Exit status of the command, also written exit = { errors = 1, failed = 2 }.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Exit {
    /// Done, with problems in the report.
    #[schemars(extend("default" = 1))]
    pub errors: Value<u8>,
    /// Could not run.
    #[schemars(extend("default" = 2))]
    pub failed: Value<u8>,
}

/// A file that whoever runs the command writes: a new one, never through a link.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct CommandFile {
    /// Template of its name, which is one component of a path.
    #[schemars(extend("x-required" = true), example = &"summary_{{ run.finished | strftime(\"%Y%m%d\") }}.json")]
    pub name: Value<Code>,
    /// Its directory; "base_dir" is that of the run.
    #[schemars(extend("default" = "base_dir"), example = &"/var/log/cleanup")]
    pub dir: Value<PathBuf>,
    /// Its content: the output "json" or "text" of the command.
    #[schemars(extend("default" = "json"))]
    pub output: Value<OutputWord>,
    /// Write it in dry runs, too.
    #[schemars(extend("default" = false), example = true)]
    pub dry_run: Value<bool>,
}

/// Output of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) enum OutputWord {
    Json,
    Text,
}

/// A parameter, written [command.params] or [endpoint.params] and NAME = { type = "…" }: a flag of
/// the command (--some-name), a query parameter, or a member of the body. One that is not given is
/// none.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Param {
    /// Its name: the key of the table.
    #[schemars(example = &"dry_run")]
    pub name: Value<Name>,
    /// Type: "bool", "integer", "number", "string", "enum", "path" or "flag".
    #[schemars(extend("x-required" = true), example = &"bool")]
    pub r#type: Value<TypeWord>,
    /// Value where none is given. Default: none; false for a flag.
    #[schemars(example = &"false")]
    pub default: Value<Scalar>,
    /// Least value of a number.
    #[schemars(example = 0)]
    pub min: Value<f64>,
    /// Greatest value of a number.
    #[schemars(example = 36500)]
    pub max: Value<f64>,
    /// Words of an enum, one or a list.
    #[schemars(example = &["fast", "thorough"])]
    pub values: Values<String>,
    /// Description, for --help and the API's document.
    #[schemars(example = &"days to keep jobs")]
    pub help: Value<String>,
    /// Short flag: one letter.
    #[schemars(example = &"v")]
    pub short: Value<String>,
    /// Places: "flag", "query", "body", one or a list. Default: all.
    #[schemars(example = &["flag"])]
    pub r#in: Values<Place>,
    /// Operation that is carried out instead, where it is given.
    #[schemars(example = &"stats")]
    pub operation: Value<Operation>,
    /// Output that the command has where it is given: "json".
    #[schemars(example = &"json")]
    pub output: Value<OutputWord>,
    /// Least level of the log where it is given.
    #[schemars(example = &"debug")]
    pub level: Value<LogLevel>,
    /// Key of the configuration that its value is for, in this run: "base_dir", or
    /// "root.NAME.path" for the path of a root without orphans. Only a flag can give it. Beside a
    /// daemon a run is refused, unless the root's path is the daemon's.
    #[schemars(example = &"base_dir")]
    pub setting: Value<String>,
}

/// Type of a parameter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) enum TypeWord {
    Bool,
    Flag,
    Integer,
    Number,
    String,
    Enum,
    Path,
}

/// An endpoint of HTTP, on every listener. It takes operation, request and parameters of the
/// command that `use` names.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Endpoint {
    /// Method and path. Not below /v1, /metrics, /docs, /dashboard and /openapi.json. A slash at
    /// the end makes no difference. GET takes a clean only with a literal "dry_run": true.
    #[schemars(extend("x-required" = true), example = &"POST /api/cleanup")]
    pub route: Value<String>,
    /// Name, unique, for the `use` of others. Default: none.
    #[schemars(example = &"all")]
    pub name: Value<Name>,
    /// Description, for the API's document.
    #[schemars(example = &"Clean up data of old jobs")]
    pub help: Value<String>,
    /// As of a command.
    #[schemars(example = &"cleanup")]
    pub r#use: Value<Name>,
    /// As of a command.
    #[schemars(example = &"clean")]
    pub operation: Value<Operation>,
    /// As of a command.
    #[schemars(example = &"operator")]
    pub role: Value<Role>,
    /// As of a command.
    #[schemars(example = &r#"{"dry_run": {{ params.dry_run }}}"#)]
    pub request: Value<Code>,
    /// Template of the answer, in JSON. Default: that of the endpoint, or the json of the command,
    /// that it uses. Text, log and files are for whoever runs a command, and not taken.
    #[schemars(example = &r#"{"removed": {{ report.files }}}"#)]
    pub answer: Value<Code>,
    #[schemars(extend("type" = ["array", "object"], "maxItems" = 100, "x-named" = true))]
    pub params: Vec<Table<Param>>,
}
