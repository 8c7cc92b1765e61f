//! Roots, rules and sources of jobs in plain words.
//!
//! **Invariant:** what a sentence says is what the policy does: it is made of the parsed values,
//! not of the user's text.

use std::fmt::Write as _;

use crate::cli::human;
use crate::config::{SourceKind, SourceSettings};
use crate::core::claim::Unit;
use crate::core::policy::{
    Amount, Disposal, Globs, Grouping, JobFilter, Limit, NamedSchedule, Order, Per, Policy, Record,
    Root, Rule, Schedule, ScheduleAction, Since, SkipOpen, Source,
};
use crate::sources::{DatabaseOptions, Queries};

/// A root in one sentence.
pub(super) fn root(policy: &Policy, root: &Root, may_be_created: bool) -> String {
    let presence = match (root.path.is_dir(), may_be_created) {
        (true, _) => "",
        (false, _) if root.optional => ", which is not there yet, and counts as empty until it is",
        (false, true) => ", which will be created",
        (false, false) => ", which is not there yet and is waited for",
    };
    let prune = if root.prune_empty_dirs {
        "; directories that a removal empties go, too"
    } else {
        ""
    };
    let mut text = format!(
        "root \"{}\": {}{presence}{prune}",
        root.name,
        root.path.display()
    );
    if let Some(source) = root.source.and_then(|id| policy.sources.get(&id)) {
        let _ = write!(text, "; jobs of source \"{}\" own its files", source.name);
        let _ = match &root.owner {
            Some(owner) => write!(text, ": \"{owner}\", and those that they claim"),
            None => write!(text, " that they claim"),
        };
    }
    if let Some(orphans) = &root.orphans {
        let _ = write!(text, "; \"{orphans}\" may belong to nobody");
    }
    if let Some(limit) = &root.limit {
        let _ = write!(text, "; {}", limited(limit));
    }
    text
}

/// A source in one sentence.
pub(super) fn source(source: &Source, asked: &SourceSettings) -> String {
    let mut text = format!("source \"{}\": ", source.name);
    match &asked.kind {
        SourceKind::Api => text.push_str("programs tell of their jobs"),
        SourceKind::Database(database) => {
            match database {
                DatabaseOptions::Sqlite(sqlite) => {
                    let path = sqlite.path.display();
                    let _ = write!(text, "jobs in the SQLite database {path}");
                }
                DatabaseOptions::Postgres(postgres) => {
                    let _ = write!(
                        text,
                        "jobs of {}; changes are notified on channel \"{}\", or asked for every {}",
                        postgres.place(),
                        postgres.channel,
                        humantime::format_duration(postgres.poll)
                    );
                }
            }
            describe_queries(&mut text, database.queries());
        }
    }
    if let Some(pattern) = &source.id_pattern {
        let pattern = pattern.as_str();
        let inner = pattern
            .strip_prefix(r"\A(?:")
            .and_then(|rest| rest.strip_suffix(r")\z"));
        let _ = write!(
            text,
            "; only what \"{}\" matches is an id",
            inner.unwrap_or(pattern)
        );
    }
    if source.claims {
        let _ = write!(
            text,
            "; they may claim files, by bare names those in {}",
            source
                .files_root
                .as_ref()
                .unwrap_or(&source.base_dir)
                .display()
        );
        for (prefix, target) in &source.path_map {
            let (prefix, target) = (prefix.display(), target.display());
            let _ = write!(text, "; {prefix} in them is {target}");
        }
        for derived in &source.derived {
            let _ = write!(text, ", and \"{}\" beside each", derived.pattern);
        }
    }
    text
}

fn describe_queries(text: &mut String, queries: &Queries) {
    if let Some(status) = queries.constant_status {
        let _ = write!(text, "; where it tells no status, they count as {status}");
    }
    let words = queries.statuses.iter();
    let words: Vec<_> = words
        .map(|(word, status)| format!("\"{word}\" means {status}"))
        .collect();
    if !words.is_empty() {
        let _ = write!(text, "; {}", words.join(", "));
    }
    let zones = queries.timezones.iter();
    let zones: Vec<_> = zones
        .map(|(column, zone)| format!("{column} {zone}"))
        .collect();
    if !zones.is_empty() {
        let _ = write!(
            text,
            "; timestamps without a zone: {}, others UTC",
            zones.join(", ")
        );
    }
    text.push_str(match (queries.mark.is_empty(), queries.forget.is_empty()) {
        (true, true) => "",
        (false, true) => "; their records can be marked",
        (true, false) => "; their records can be removed",
        (false, false) => "; their records can be marked and removed",
    });
}

/// A rule in one sentence.
pub(super) fn rule(policy: &Policy, rule: &Rule) -> String {
    let what = match rule.unit {
        Unit::File => format!("files{}", of_whom(policy, rule)),
        Unit::Dir => format!("top-level directories as a whole{}", of_whom(policy, rule)),
        Unit::Job => format!("all that a {} owns", jobs(policy, rule, "job")),
    };
    let mut text = format!("rule \"{}\": {what}", rule.name);
    let _ = match &rule.roots {
        None => write!(text, " in every root"),
        Some(roots) => {
            let names: Vec<String> = roots
                .iter()
                .filter_map(|id| policy.roots.get(id))
                .map(|root| format!("\"{}\"", root.name))
                .collect();
            write!(text, " in {}", names.join(", "))
        }
    };
    if let Some(glob) = &rule.glob {
        let _ = write!(text, " that match {}", patterns(glob));
    }
    if let Some(exclude) = &rule.exclude {
        let _ = write!(text, ", except {} (left to later rules)", patterns(exclude));
    }
    let since = match (rule.since, rule.unit) {
        (Since::Newest, Unit::File) => "they were last touched in any way",
        (Since::Newest, Unit::Dir) => "anything in them was last touched in any way",
        (Since::Newest, Unit::Job) => "anything of it was last touched in any way",
        (Since::Mtime, _) | (Since::NewestMtime, Unit::File) => {
            "their content last changed (mtime)"
        }
        (Since::NewestMtime, Unit::Dir) => "anything in them last changed its content (mtime)",
        (Since::NewestMtime, Unit::Job) => "anything of it last changed its content (mtime)",
        (Since::Ctime, _) => "content, name or attributes last changed (ctime)",
        (Since::Btime, _) => "they were born (btime)",
        (Since::CreatedAt, _) => "the job was made (created_at)",
        (Since::CompletedAt, _) => "the job ended (completed_at)",
        (Since::LastActivity, _) => "somebody last did something with the job (last_activity)",
        (Since::ExpiresAt, _) => "the job says itself that it is over (expires_at)",
    };
    let (are_kept, lapse) = match rule.unit {
        Unit::File | Unit::Dir => ("are kept", "lapse"),
        Unit::Job => ("is kept", "lapses"),
    };
    let _ = match rule.expire_ms {
        None => write!(text, " {are_kept} for ever"),
        Some(0) => write!(text, " {lapse} as soon as {since}"),
        Some(ms) => {
            let ttl = human::duration(ms.unsigned_abs());
            write!(text, " {lapse} {ttl} after {since}")
        }
    };
    if let Some(keep) = &rule.keep {
        let _ = write!(text, "; {} stay for ever", patterns(keep));
    }
    if let Some(last) = &rule.keep_last {
        let group = match &last.per {
            Grouping::Rule => "all of them".to_owned(),
            Grouping::Dir => "each directory".to_owned(),
            Grouping::Template(template) => format!("each \"{template}\""),
        };
        let _ = write!(text, "; the newest {} of {group} stay", last.count);
    }
    if let Some(limit) = &rule.limit {
        let _ = write!(text, "; {}", limited(limit));
    }
    match rule.disposal {
        Disposal::Delete => {}
        Disposal::Trash { undo_ms } => {
            let window = human::duration(undo_ms.unsigned_abs());
            let _ = write!(text, "; they stay in the trash for {window}");
        }
    }
    text.push_str(match rule.record {
        Record::Keep => "",
        Record::Mark => "; then the job's record is marked at its source",
        Record::Forget => "; then the job's record is removed at its source",
    });
    match &rule.schedule {
        Schedule::AtDeadline => {}
        Schedule::Manual => text.push_str("; only when asked, through `lapsed clean`"),
        Schedule::Named => {
            let _ = write!(
                text,
                "; only when asked by its name, through `lapsed clean --rule {:?}`",
                rule.name
            );
        }
        Schedule::At(times) => {
            let _ = write!(text, "; only at its schedule, \"{times}\"");
        }
    }
    text.push_str(match rule.skip_open {
        SkipOpen::Always => "; open files wait",
        SkipOpen::IfKnown => "; open files wait where that can be known",
        SkipOpen::Never => "; open files go, too",
    });
    text
}

/// A limit: `at most 1 GiB and 10 files, else the oldest go first`.
pub(super) fn limited(limit: &Limit) -> String {
    let amount = |amount: Amount, number: &dyn Fn(u64) -> String| match amount {
        Amount::Number(least) => number(least),
        Amount::Share(share) => format!("{} %", (share * 100.0).round()),
    };
    let bounds = [
        limit
            .max_size
            .map(|most| format!("at most {}", human::size(most))),
        limit
            .max_files
            .map(|most| format!("at most {}", human::files(most))),
        limit
            .min_free
            .map(|least| format!("{} of the file system free", amount(least, &human::size))),
        limit
            .min_free_inodes
            .map(|least| format!("{} of its inodes free", amount(least, &human::count))),
    ];
    let bounds: Vec<String> = bounds.into_iter().flatten().collect();
    let of = match limit.per {
        Per::All => "",
        Per::Owner => " for each owner",
    };
    let order = match limit.order {
        Order::Oldest => "oldest",
        Order::Largest => "largest",
    };
    let age = match limit.min_age_ms {
        0 => String::new(),
        ms => format!(", from an age of {} on", human::duration(ms.unsigned_abs())),
    };
    format!(
        "{}{of}, else the {order} go first{age}",
        bounds.join(" and ")
    )
}

/// A schedule: its work, and its times.
pub(super) fn schedule(policy: &Policy, schedule: &NamedSchedule) -> String {
    let what = match &schedule.action {
        ScheduleAction::Command { name, .. } => format!("what command \"{name}\" asks for"),
        ScheduleAction::Clean(None) => {
            "what is due under all rules that need not be named".to_owned()
        }
        ScheduleAction::Clean(Some(rules)) if rules.is_empty() => {
            "nothing: its rules are switched off".to_owned()
        }
        ScheduleAction::Clean(Some(rules)) => {
            let names = rules
                .iter()
                .map(|&id| format!("\"{}\"", policy.rule(id).name));
            let names: Vec<_> = names.collect();
            format!("what is due under rule {}", names.join(" and "))
        }
    };
    let mut times = Vec::new();
    if let Some(recurrence) = &schedule.times {
        let zone = recurrence
            .zone()
            .map_or_else(String::new, |zone| format!(" ({zone})"));
        let delay = match schedule.jitter_ms {
            0 => String::new(),
            ms => format!(", up to {} later", human::duration(ms.unsigned_abs())),
        };
        times.push(format!("at \"{recurrence}\"{zone}{delay}"));
    }
    if schedule.on_start {
        times.push("when the daemon starts".to_owned());
    }
    let missed = match (&schedule.times, schedule.catch_up) {
        (None, _) => "",
        (Some(_), true) => "; times at which no daemon runs are made up for once, at its start",
        (Some(_), false) => "; times at which no daemon runs are skipped",
    };
    format!(
        "schedule \"{}\": removes {what}, {}{missed}",
        schedule.name,
        times.join(" and ")
    )
}

/// Owners of the files that a rule is for: " of completed or failed jobs"; empty for all.
fn of_whom(policy: &Policy, rule: &Rule) -> String {
    match &rule.jobs {
        JobFilter::Nobody => " that belong to nobody".to_owned(),
        JobFilter::Anyone if rule.kinds.is_none() && rule.sources.is_none() => String::new(),
        JobFilter::Anyone | JobFilter::Standing(_) => {
            format!(" of {}", jobs(policy, rule, "jobs"))
        }
    }
}

/// `completed or failed jobs of kind "a" or "b" of source "c"`, with `word` for the jobs.
fn jobs(policy: &Policy, rule: &Rule, word: &str) -> String {
    let mut text = match &rule.jobs {
        JobFilter::Anyone | JobFilter::Nobody => word.to_owned(),
        JobFilter::Standing(statuses) => {
            let words: Vec<_> = statuses.iter().map(|status| status.as_str()).collect();
            format!("{} {word}", words.join(" or "))
        }
    };
    if let Some(kinds) = &rule.kinds {
        let kinds: Vec<_> = kinds.iter().map(|kind| format!("\"{kind}\"")).collect();
        let _ = write!(text, " of kind {}", kinds.join(" or "));
    }
    if let Some(sources) = &rule.sources {
        let known = sources.iter().filter_map(|id| policy.sources.get(id));
        let names: Vec<_> = known.map(|source| format!("\"{}\"", source.name)).collect();
        let _ = write!(text, " of source {}", names.join(" or "));
    }
    text
}

fn patterns(globs: &Globs) -> String {
    let patterns: Vec<String> = globs.patterns().map(|glob| format!("\"{glob}\"")).collect();
    patterns.join(", ")
}
