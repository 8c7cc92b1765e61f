//! The top level of the file.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::setting::{Table, Value, Words};
use super::super::settings::{LogFormat, LogLevel};
use super::super::value::{Code, Group, Permissions, SocketPath, Undo};
use super::{
    Adapter, Breaker, Command, Endpoint, Http, Ledger, Notify, Reap, Root, Rule, Schedule, Source,
    Store, Variables, Watch,
};

/// Configuration of lapsed: every setting, with its default or an example.
///
/// Strings may contain variables of the process and of the files that [[variables]] names:
/// "${NAME}" is its value and must be set, "${NAME:-default}" gives a default for a variable that
/// is unset or empty, "${NAME:+text}" is the text if the variable is set and not empty,
/// "${NAME?then:else}" is one of two texts by a boolean (unset or empty: the second), "$$" is a
/// dollar. Defaults and texts may hold variables. A number or a boolean may be such a string, too:
/// entries = "${MANY:-1000}". Booleans: true, yes, on, 1; false, no, off, 0.
///
/// Settings of the service (all except those of sources, roots and rules) can be overridden by the
/// variable that is named below them, and some by the command line, which has the last word. An
/// empty variable counts as unset.
///
/// Durations: 90s, 15m, 12h, 7d, 1h30m, 0.5h. Sizes: 16MiB, 1GiB, 500MB, or a number of bytes.
/// Relative paths in the file and in variables are below base_dir, those of the command line are
/// below the current directory. --base-dir and LAPSED_BASE_DIR apply to both.
///
/// An invalid file is refused at start and on reload; after a failed reload, the running
/// configuration stays in force. Run `lapsed check --config FILE` before you use a file.
/// Presets are complete examples; `lapsed init --list` names them.
///
/// The file is the one that --config or LAPSED_CONFIG names, else ~/.config/lapsed/lapsed.toml
/// (XDG_CONFIG_HOME; not for root), else /etc/lapsed/lapsed.toml. With --watch and without
/// --config, no file is read.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Top {
    /// Base directory of relative paths. Default: the directory of this file.
    #[schemars(extend("x-process" = true), example = &".")]
    pub base_dir: Value<PathBuf>,
    /// Directory of the daemon's own files. Default: /var/lib/lapsed for root, else
    /// $XDG_STATE_HOME/lapsed or ~/.local/state/lapsed.
    #[schemars(example = &"/var/lib/lapsed")]
    pub state_dir: Value<PathBuf>,
    /// Unix socket of the daemon, at most 107 bytes long; [http] adds TCP. Default: lapsed.sock in
    /// state_dir if that is set, else /run/lapsed/lapsed.sock for root, else
    /// $XDG_RUNTIME_DIR/lapsed.sock.
    #[schemars(example = &"/run/lapsed/lapsed.sock")]
    pub socket: Value<SocketPath>,
    /// Permission bits of the socket. A user who can connect may query.
    #[schemars(extend("default" = "0660"))]
    pub socket_mode: Value<Permissions>,
    /// Group of the operators, who may clean, pin and write API jobs. Only root and the daemon's
    /// own user may release breakers. Default: none.
    #[schemars(example = &"staff")]
    pub group: Value<Group>,
    /// Watch, count and report, but remove nothing.
    #[schemars(extend("default" = false), example = true)]
    pub dry_run: Value<bool>,
    /// Remove nothing, but record what would be removed, and what others remove: `lapsed shadow`
    /// compares the two.
    #[schemars(extend("default" = false), example = true)]
    pub shadow: Value<bool>,
    /// Log level: "error" (or "critical"), "warn" (or "warning"), "info", "debug", "trace"; case
    /// does not matter. -v, -q and LAPSED_LOG override it.
    #[schemars(extend("default" = "info"))]
    pub log_level: Value<LogLevel>,
    /// Form of the log: "text", or "json" for one object per line. The journal gets fields in any
    /// case.
    #[schemars(extend("default" = "text"), example = &"json")]
    pub log_format: Value<LogFormat>,
    /// Remove due files automatically. If false, every rule acts as if it had schedule = "manual".
    #[schemars(extend("default" = true), example = false)]
    pub automatic: Value<bool>,
    /// Undo window of rules without undo and then, from 1s to 365d: what lapses can be restored
    /// until it ends. 0s: what lapses is deleted.
    #[schemars(extend("default" = "0s"), example = &"24h")]
    pub undo: Value<Undo>,
    /// Remove what is due once when the daemon starts, whatever the schedules of the rules. This
    /// waits until all roots and sources have been read, and the breaker applies.
    #[schemars(extend("default" = false), example = true)]
    pub clean_at_start: Value<bool>,
    /// Allow every root that is refused by default: /, home directories, system directories, the
    /// state directory. Prefer allow_unsafe in one [[root]].
    #[schemars(extend("default" = false, "x-process" = true), example = true)]
    pub allow_unsafe_roots: Value<bool>,
    /// Templates that others include: { name = "…" }, also written [templates] and name = '''…'''.
    #[schemars(example = serde_json::json!({ "totals": "{{ report.files }}" }))]
    pub templates: Words<Code>,
    #[schemars(length(max = 16))]
    pub variables: Vec<Table<Variables>>,
    pub http: Table<Http>,
    pub watch: Table<Watch>,
    pub breaker: Table<Breaker>,
    pub reap: Table<Reap>,
    pub ledger: Table<Ledger>,
    pub store: Table<Store>,
    // One less than roots and rules: the source "api" may be added.
    #[schemars(length(max = 65534))]
    pub source: Vec<Table<Source>>,
    #[schemars(length(max = 65535))]
    pub root: Vec<Table<Root>>,
    #[schemars(length(max = 65535))]
    pub rule: Vec<Table<Rule>>,
    #[schemars(length(max = 1000))]
    pub schedule: Vec<Table<Schedule>>,
    #[schemars(length(max = 100))]
    pub notify: Vec<Table<Notify>>,
    pub adapter: Table<Adapter>,
    #[schemars(length(max = 1000))]
    pub command: Vec<Table<Command>>,
    #[schemars(length(max = 1000))]
    pub endpoint: Vec<Table<Endpoint>>,
}
