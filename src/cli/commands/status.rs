//! `lapsed status`: how the daemon is, and what it watches.

use clap::Args;

use super::breaker;
use super::job;
use super::limit;
use super::pause::describe;
use crate::cli::client::Target;
use crate::cli::context::{Context, End, WatchOptions};
use crate::cli::human;
use crate::cli::table::{Column, Fit, Table, Tone};
use crate::clock;
use crate::core::time::Timestamp;
use crate::daemon::Baseline;
use crate::types::{
    HealthState, HttpListener, Mode, Receiver, RootPhase, SourceKind, SourceState, Status, Tally,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Exit with 1 unless the daemon is ready and holds nothing
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    watching: WatchOptions,
}

pub(super) async fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let mut client = context
        .connect_to_read(&arguments.watching, Baseline::Saved)
        .await?;
    let status: Status = client.get(&Target::new("/v1/status")).await?;
    let end = if arguments.check && status.health != HealthState::Ready {
        End::WithErrors
    } else {
        End::Done
    };
    if context.is_json() {
        context.output.json(&status)?;
        return Ok(end);
    }
    let now = clock::now().wall;
    for line in summary(&status, now) {
        context.output.line(&line)?;
    }
    if !status.roots.is_empty() {
        let table = roots(&status).render(context.output.screen);
        context.output.line("")?;
        context.output.bytes(table.as_bytes())?;
    }
    let warnings = warnings(&status, now);
    for line in comparisons(&status).iter().chain(&warnings) {
        context.output.line(line)?;
    }
    Ok(end)
}

/// `lapsed 0.1.0, ready, pid 42, live, up 3 d`.
fn headline(status: &Status) -> String {
    let version = &status.version;
    let mode = match status.mode {
        Mode::Live => "live",
        Mode::DryRun => "dry run: nothing is removed",
        Mode::Shadow => "shadow: nothing is removed, `lapsed shadow` compares",
        Mode::OnRequest => return format!("lapsed {version}, no daemon runs: nothing is removed"),
    };
    format!(
        "lapsed {version}, {}, pid {}, {mode}, up {}",
        status.health,
        status.pid,
        human::span(status.uptime_s.max(1).saturating_mul(1000)),
    )
}

pub(super) fn summary(status: &Status, now: Timestamp) -> Vec<String> {
    let mut lines = vec![headline(status)];
    lines.push(format!(
        "index    {} ({}) in {}",
        human::files(status.entries),
        human::size(status.bytes),
        human::counted(status.roots.len() as u64, "root", "roots"),
    ));
    lines.push(format!("config   {}", configuration(status, now)));
    let pauses = status.pauses.iter();
    lines.extend(pauses.map(|pause| format!("paused   {}", describe(pause, now))));
    lines.extend(
        status
            .limits
            .iter()
            .map(|of| format!("limit    {}", limit::describe(of))),
    );
    lines.extend(backlog(status, now));
    lines.push(match &status.next {
        None if !status.has_deadlines => "next     nothing has a deadline".to_owned(),
        None if status.due.files > 0 => "next     nothing after what is due".to_owned(),
        None => "next     nothing by itself".to_owned(),
        Some(next) => {
            let when = human::relative_or(Some(&next.deadline), now, "");
            let path = next
                .path
                .as_ref()
                .map_or("a job", |path| path.path.as_str());
            format!("next     {when}  {}", human::safe(path))
        }
    });
    if status.health != HealthState::Offline {
        lines.push(removals(status));
    }
    let jobs: Vec<String> = status
        .jobs
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(status, count)| format!("{} {status}", human::count(*count)))
        .collect();
    if !jobs.is_empty() {
        lines.push(format!("jobs     {}", jobs.join(", ")));
    }
    for source in &status.sources {
        if source.kind == SourceKind::Api && source.jobs == 0 && source.state == SourceState::Ready
        {
            continue;
        }
        let records = match source.waiting_records {
            0 => String::new(),
            waiting => format!(
                ", {} to be written",
                human::counted(waiting, "record", "records")
            ),
        };
        let by = match &source.by {
            Some(by) => format!(", changes by {by}"),
            None => String::new(),
        };
        lines.push(format!(
            "source   {} ({}): {}, {}{by}{records}",
            human::safe(&source.name),
            source.kind,
            source.state,
            human::counted(source.jobs, "job", "jobs"),
        ));
    }
    lines.extend(status.receivers.iter().map(|of| receiver(of, now)));
    if status.pins > 0 {
        lines.push(format!(
            "pins     {}",
            human::counted(status.pins, "pin holds", "pins hold")
        ));
    }
    lines.extend(status.http.iter().map(listener));
    if status.health != HealthState::Offline {
        lines.extend(machinery(status, now));
    }
    lines
}

/// `notify   ops by webhook: 3 wait, the first from 2 h ago, next attempt in 9 min: …`.
fn receiver(receiver: &Receiver, now: Timestamp) -> String {
    let waiting = match receiver.waiting {
        0 => "nothing waits".to_owned(),
        waiting => {
            let since = human::relative_or(receiver.since.as_deref(), now, "");
            let next = human::relative_or(receiver.next.as_deref(), now, "never");
            let error = receiver.error.as_deref().unwrap_or("no attempt has ended");
            let waiting = human::count(waiting);
            format!("{waiting} wait, the first from {since}, next attempt {next}: {error}")
        }
    };
    let lost = [
        (receiver.given_up, "given up"),
        (receiver.left_out, "left out"),
    ];
    let lost = lost.iter().filter(|(count, _)| *count > 0);
    let lost = lost.map(|(count, what)| format!("; {} {what}", human::count(*count)));
    let (name, lost) = (&receiver.name, lost.collect::<String>());
    human::safe(&format!(
        "notify   {name} by {}: {waiting}{lost}",
        receiver.channel
    ))
}

/// `http     127.0.0.1:7343, TLS until 2027-01-01T00:00:00.000Z`.
fn listener(listener: &HttpListener) -> String {
    let tls = match &listener.tls {
        None => "plain".to_owned(),
        Some(tls) => {
            let end = tls.not_after.as_deref();
            end.map_or_else(|| "TLS".to_owned(), |end| format!("TLS until {end}"))
        }
    };
    format!("http     {}, {tls}", human::safe(&listener.address))
}

/// `removed  2 files (3 B) since the start`, with the lateness.
fn removals(status: &Status) -> String {
    let late = &status.lateness;
    let lateness = if late.count == 0 {
        String::new()
    } else {
        format!(
            "; late by {} ms in the middle, {} ms at p99, {} ms at most",
            late.p50_ms, late.p99_ms, late.max_ms
        )
    };
    format!(
        "removed  {} ({}) since the start{lateness}",
        human::files(status.removed.files),
        human::size(status.removed.bytes),
    )
}

/// Watches and cache of the daemon.
fn machinery(status: &Status, now: Timestamp) -> [String; 2] {
    let watches = &status.watches;
    let limit = watches.limit.map_or_else(String::new, |limit| {
        format!(" of {} allowed", human::count(limit))
    });
    let watches = format!(
        "watches  {}{limit} ({})",
        human::counted(watches.count, "directory", "directories"),
        watches.backend
    );
    let saved = human::relative_or(status.cache.saved_at.as_deref(), now, "not yet");
    let cache = format!(
        "cache    {}, saved {saved}",
        human::size(status.cache.size_bytes)
    );
    [watches, cache]
}

/// `/etc/lapsed/lapsed.toml, read 3 h ago`.
fn configuration(status: &Status, now: Timestamp) -> String {
    let known = &status.configuration;
    let file = known.file.as_deref();
    let file = file.map_or_else(|| "the command line".to_owned(), human::safe);
    let since = human::relative_or(Some(&known.since), now, "");
    format!("{file}, read {since}")
}

/// Due files that are being removed, with rate and end, and those that wait.
fn backlog(status: &Status, now: Timestamp) -> Vec<String> {
    let told = |tally: Tally| {
        let size = human::size(tally.bytes);
        format!("{} ({size})", human::files(tally.files))
    };
    let mut lines = Vec::new();
    let due = &status.due;
    if due.files > 0 {
        let all = told(Tally {
            files: due.files,
            bytes: due.bytes,
        });
        let rate = if due.per_second > 0.0 {
            format!("; {:.0} a second", due.per_second.max(1.0))
        } else {
            String::new()
        };
        let ends = due.ends.as_deref().and_then(human::instant);
        let left = ends.map_or_else(String::new, |ends| {
            let left = ends.ms_since(now).max(1000).unsigned_abs();
            format!(", about {} left", human::span(left))
        });
        lines.push(format!("due      {all}{rate}{left}"));
    }
    for schedule in status.schedules.iter().filter(|schedule| schedule.enabled) {
        let next = schedule.next.as_deref().and_then(human::instant);
        let next = next.map_or_else(
            || "when the daemon starts".to_owned(),
            |next| format!("next at {}", human::clock_time(next, now)),
        );
        lines.push(format!("schedule {}: {next}", schedule.name));
    }
    let waits = &status.waits;
    if waits.scheduled.files > 0 {
        let next = waits.next.as_deref().and_then(human::instant);
        let next = next.map_or_else(String::new, |next| {
            format!(" for {}", human::clock_time(next, now))
        });
        lines.push(format!("waiting  {}{next}", told(waits.scheduled)));
    }
    if waits.asked.files > 0 {
        let asked = told(waits.asked);
        lines.push(format!("waiting  {asked} to be asked for: lapsed clean"));
    }
    if waits.named.files > 0 {
        let named = told(waits.named);
        lines.push(format!(
            "waiting  {named} to be asked for by rule: lapsed clean --rule NAME"
        ));
    }
    lines
}

/// Results and cost of comparing each root with what had been saved.
fn comparisons(status: &Status) -> Vec<String> {
    let roots = status.roots.iter();
    let roots = roots.filter(|_| status.health != HealthState::Offline);
    let compared = roots.filter_map(|root| {
        let found = root.reconciliation.as_ref().filter(|found| found.restored)?;
        let first = &found.first;
        Some(format!(
            "{}: compared with what was saved in {} ms: {} of {} read; {} found, {} gone, {} changed",
            human::safe(&root.name),
            human::count(first.took_ms),
            human::count(first.listed),
            human::counted(first.listed + first.skipped, "directory", "directories"),
            human::files(found.found),
            human::count(found.gone),
            human::count(found.changed),
        ))
    });
    compared.collect()
}

pub(super) fn roots(status: &Status) -> Table {
    let mut table = Table::new(&[
        Column::text("ROOT", Fit::Stay),
        Column::text("STATE", Fit::Stay),
        Column::number("FILES", Fit::Stay),
        Column::number("SIZE", Fit::Yield(1)),
        Column::number("DIRS", Fit::Yield(0)),
        Column::text("PATH", Fit::Path),
    ]);
    for root in &status.roots {
        let (state, tone) = match (&root.breaker, root.phase) {
            (Some(_), _) => ("breaker tripped", Tone::Warn),
            (None, RootPhase::Ready) => ("ready", Tone::Plain),
            (None, phase) => (phase.as_str(), Tone::Warn),
        };
        table.row([
            (root.name.as_str(), Tone::Plain),
            (state, tone),
            (&human::count(root.entries), Tone::Plain),
            (&human::size(root.bytes), Tone::Plain),
            (&human::count(root.dirs), Tone::Plain),
            (&root.path.path, Tone::Plain),
        ]);
    }
    table
}

/// Conditions that a person may want to look at.
pub(super) fn warnings(status: &Status, now: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    for root in &status.roots {
        if let Some(why) = &root.why {
            lines.push(format!(
                "root {}: {}",
                human::safe(&root.name),
                human::safe(why)
            ));
        }
    }
    lines.extend(breaker::lines(&status.breaker, now));
    // All ports have the same TLS.
    let tls = status
        .http
        .iter()
        .find_map(|listener| listener.tls.as_ref());
    let tls = tls.iter().flat_map(|tls| &tls.warnings);
    lines.extend(tls.map(|warning| human::one_line(warning)));
    for held in &status.holds {
        let example = held.example.as_ref().map_or_else(String::new, |path| {
            format!(" (such as {})", human::safe(path))
        });
        lines.push(format!(
            "held: {} × {}: {}{example}",
            human::count(held.count),
            held.code,
            human::one_line(&held.why)
        ));
    }
    for source in &status.sources {
        let name = human::safe(&source.name);
        if let Some(why) = &source.why {
            let why = human::one_line(why);
            lines.push(format!("source {name}: {}: {why}", source.state));
        }
        if let Some(why) = &source.by_why {
            let why = human::one_line(why);
            lines.push(format!("source {name}: changes are asked for: {why}"));
        }
        if let Some(refused) = &source.refused_claims {
            lines.push(format!("source {name}: {refused}"));
        }
        if let Some(error) = &source.last_error {
            lines.push(format!(
                "source {name}: {} to be written back: {}",
                human::counted(source.waiting_records, "record waits", "records wait"),
                human::one_line(error)
            ));
        }
        for record in &source.refused {
            let (job, told) = (human::safe(&record.job), job::pending(record, now));
            lines.push(format!("source {name}: job {job}: {told}"));
        }
        let unlisted = source.refused_records - source.refused.len() as u64;
        if unlisted > 0 {
            let more = human::counted(unlisted, "record was refused", "records were refused");
            lines.push(format!("source {name}: {more} besides"));
        }
    }
    if let Some(failed) = &status.configuration.failed {
        lines.push(format!(
            "config: the last reload failed {}: {}",
            human::relative_or(Some(&failed.at), now, ""),
            human::one_line(&failed.error)
        ));
    }
    if status.watches.missing > 0 {
        lines.push(format!(
            "watches: {} more are needed than the system allows; those directories are looked over on a timer\n  raise fs.inotify.max_user_watches",
            human::count(status.watches.missing)
        ));
    }
    if let Some(why) = &status.cache.why {
        lines.push(format!(
            "cache: nothing is removed: {}",
            human::one_line(why)
        ));
    }
    if let Some(aside) = &status.cache.set_aside {
        lines.push(format!(
            "cache: a damaged one was moved to {} ({})",
            human::safe(&aside.path.path),
            human::safe(&aside.why)
        ));
    }
    if !lines.is_empty() {
        lines.insert(0, String::new());
    }
    lines
}
