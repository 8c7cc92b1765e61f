//! `[[rule]]`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::keep_last::KeepCount;
use super::super::rule_jobs::JobWord;
use super::super::setting::{Table, Value, Values};
use super::super::value::{Expire, Name, Undo};
use super::Limit;
use crate::core::claim::Unit;
use crate::core::policy::{Grouping, Record, Schedule, Since, SkipOpen};

/// A rule: which files lapse, and when. The first rule that matches a file decides.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Rule {
    /// Name of the rule, unique; not "none". Default: "rule 1" and so on.
    #[schemars(example = &"old results")]
    pub name: Value<Name>,
    /// Use the rule. If false, the rule matches no file, as if it were absent.
    #[schemars(extend("default" = true), example = false)]
    pub enabled: Value<bool>,
    /// Names of the roots to which the rule applies, one or a list. Default: all.
    #[schemars(example = &["results", "uploads"])]
    pub root: Values<String>,
    /// Patterns of paths from the root, one or a list. "*" does not cross "/", "**/*.tmp" matches
    /// at any depth, "{a,b}" is either, "{uuid}" is 36 characters such as
    /// 0f8fad5b-d9cb-469f-a165-70867728950e, "{digits}" is one digit or more. With unit = "dir",
    /// patterns of the names of top-level directories. Default: everything.
    #[schemars(example = &"**/*.tmp")]
    pub glob: Values<String>,
    /// Patterns of paths to leave to later rules, with everything below them.
    #[schemars(example = &["inbox"])]
    pub exclude: Values<String>,
    /// Patterns of paths to keep forever, with everything below them.
    #[schemars(example = &["**/*.log"])]
    pub keep: Values<String>,
    /// Status of the owning jobs: "completed", "failed", "cancelled", or a list of these; or "none"
    /// for orphans. Files of unfinished jobs are never removed. Default: any file.
    #[schemars(example = &["completed", "failed"])]
    pub job: Values<JobWord>,
    /// Kinds of the owning jobs, one or a list. Default: any.
    #[schemars(example = &"thumbnails")]
    pub kind: Values<Name>,
    /// Names of the sources of the owning jobs, one or a list. Default: any.
    #[schemars(example = &"app")]
    pub source: Values<String>,
    /// Timestamp from which the lifetime counts: "newest" (the latest of mtime, ctime, birth and
    /// arrival; for a directory or a job, of all its files), "newest_mtime" (the latest mtime of
    /// all its files), "mtime", "ctime" or "btime" of the file or directory; or a timestamp of the
    /// owning job: "created_at", "completed_at", "last_activity", "expires_at". With unit = "job":
    /// "newest", "newest_mtime", or a timestamp of the job.
    #[schemars(extend("default" = "newest"))]
    pub since: Value<Since>,
    /// Lifetime, or "never". Required, except with job = "none", where it is 24h by default. Use
    /// "0s" with since = "expires_at".
    #[schemars(example = &"7d")]
    pub expire: Value<Expire>,
    /// Number of newest files, or directories with unit = "dir", to keep of each group (see per)
    /// whatever their age, from 1 to 1000. Newer is by since, then by the path. What is not among
    /// them lapses when expire says.
    #[schemars(example = 3)]
    pub keep_last: Value<KeepCount>,
    /// Groups of keep_last in each root: "dir" (all in one directory), or a template of paths from
    /// the root such as "{name}-20*.tar.gz" or "{name}/**". Paths are one group if its placeholders
    /// ({name}, {stem}, {job}, {uuid}, {digits}) stand for the same; "*" and "**" stand for what
    /// differs, and each placeholder takes as little as lets the rest match. Paths that it does not
    /// match are one group. Default: all that the rule takes is one group.
    #[schemars(example = &"dir")]
    pub per: Value<Grouping>,
    /// Unit that lapses as a whole: "file", "dir" (a top-level directory of the root), or "job"
    /// (all files that a job owns).
    #[schemars(extend("default" = "file"))]
    pub unit: Value<Unit>,
    /// Fate of the job's record at its source when all its files are gone: "keep", or, with unit =
    /// "job", "mark" or "forget". The sources of the rule need such statements; those of kind "api"
    /// have them.
    #[schemars(extend("default" = "keep"), example = &"mark")]
    pub record: Value<Record>,
    /// Fate of what lapses: "delete", or "trash" (it stays in the root's directory .lapsed, out of
    /// the application's sight, and can be brought back until the time of undo has passed).
    /// Default: "trash" if undo is set, here or for all rules, else "delete".
    #[schemars(example = &"trash")]
    pub then: Value<Then>,
    /// Time for which what lapses stays in the trash, from 1s to 365d; 0s: none. Without effect if
    /// then is "delete". Default: 24h with then = "trash", else that of all rules.
    #[schemars(example = &"7d")]
    pub undo: Value<Undo>,
    /// Hold open files: true, false, or "if-known" (hold a file only if it is known to be open).
    #[schemars(extend("default" = true))]
    pub skip_open: Value<SkipOpen>,
    /// Times at which due files are removed, in local time (TZ). "manual": only by `lapsed clean`.
    /// "named": only by a clean that names the rule (`lapsed clean --rule NAME`). Five fields as in
    /// cron (minute, hour, day, month, day of the week), "@hourly", "@daily", "@weekly",
    /// "@monthly", "@yearly", or an interval such as "every 6h" (at least 1m; from midnight if it
    /// divides a day, else from the daemon's start). Times at which no daemon runs are skipped, and
    /// held files wait for the next time. Default, and "": at the deadline.
    #[schemars(example = &"0 3 * * *")]
    pub schedule: Value<Schedule>,
    // Subtables come last.
    pub limit: Table<Limit>,
}

/// Fate of files that lapse.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) enum Then {
    Delete,
    Trash,
}
