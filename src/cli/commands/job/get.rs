//! `lapsed job get ID`: what its source tells of a job now.

use clap::Args;

use super::Which;
use crate::cli::client::Target;
use crate::cli::context::{Context, End, WatchOptions};
use crate::cli::human;
use crate::clock;
use crate::core::jobs::Status;
use crate::core::time::Timestamp;
use crate::daemon::Baseline;
use crate::types::{Claim, Job, PendingRecord};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    which: Which,
}

pub(super) async fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let target = Target::new("/v1/jobs")
        .below(&arguments.which.id)
        .query(&arguments.which.query());
    let mut client = context
        .connect_to_read(&WatchOptions::default(), Baseline::Saved)
        .await?;
    let job: Job = client.get(&target).await?;
    show(context, &job)?;
    Ok(End::Done)
}

/// Prints a job.
pub(super) fn show(context: &mut Context, job: &Job) -> anyhow::Result<()> {
    if context.is_json() {
        return context.output.json(job);
    }
    for line in lines(job) {
        context.output.line(&line)?;
    }
    Ok(())
}

fn lines(job: &Job) -> Vec<String> {
    let now = clock::now().wall;
    let Job { line, .. } = job;
    let mut lines = vec![format!(
        "job {} of source {}: {}",
        human::safe(&line.id),
        human::safe(line.source.as_deref().unwrap_or("-")),
        line.status.map_or("unknown", Status::as_str),
    )];
    let mut tell = |name: &str, value: Option<String>| {
        lines.extend(value.map(|value| format!("{name:<14} {value}")));
    };
    tell("forgotten", forgotten(job, now));
    tell("kind", line.kind.as_deref().map(human::safe));
    for (name, at) in [
        ("created_at", &line.created_at),
        ("completed_at", &line.completed_at),
        ("last_activity", &line.last_activity),
        ("expires_at", &line.expires_at),
        ("cleaned_at", &line.cleaned_at),
    ] {
        tell(
            name,
            at.as_ref()
                .map(|at| format!("{at} ({})", human::relative_or(Some(at), now, ""))),
        );
    }
    tell("error", job.error.as_deref().map(human::one_line));
    for (key, value) in &job.attributes {
        tell(&human::safe(key), Some(human::safe(&value.to_string())));
    }
    for claim in &job.claims {
        tell("file", Some(claimed(claim)));
    }
    tell(
        "record",
        job.record.as_ref().map(|record| pending(record, now)),
    );
    if let Some(word) = &job.unknown_status {
        lines.push(format!(
            "its source says \"{}\", which nobody has said the meaning of: it counts as running",
            human::safe(word)
        ));
    }
    if let Some(value) = &job.unreadable {
        lines.push(format!(
            "nothing of it goes, since a value cannot be read: {}",
            human::one_line(value)
        ));
    }
    lines
}

/// Describes a record that waits to be written to the job's row, and why it does.
pub(in crate::cli::commands) fn pending(record: &PendingRecord, now: Timestamp) -> String {
    let since = human::relative_or(Some(&record.since), now, "");
    let action = record.action.as_str();
    let refused = match record.attempts {
        0 => "is still to be written".to_owned(),
        1 => "was refused once".to_owned(),
        times => format!("was refused {} times", human::count(times)),
    };
    let why = record.error.as_deref().map(human::one_line);
    let why = why.map_or_else(String::new, |why| format!(": {why}"));
    format!("{action} {refused}; its files went {since}{why}")
}

/// Describes the removal of a job whose row was deleted later.
fn forgotten(job: &Job, now: Timestamp) -> Option<String> {
    let at = job.forgotten_at.as_deref().filter(|_| job.forgotten)?;
    let when = human::relative_or(Some(at), now, "");
    let removed = job.removal.as_ref().map_or_else(String::new, |removal| {
        format!(
            "; {} ({}) removed at {} by rule {}, ledger line {}",
            human::files(removal.files),
            human::size(removal.bytes),
            removal.at,
            human::safe(&removal.rule),
            removal.ledger_id
        )
    });
    Some(format!(
        "{at} ({when}): its source has deleted its row{removed}"
    ))
}

fn claimed(claim: &Claim) -> String {
    let file = human::safe(&claim.file);
    match (&claim.path, &claim.why) {
        (Some(path), None) => format!("{file} ({})", human::safe(&path.path)),
        (_, Some(why)) => format!("{file} ({}: {})", claim.state, human::one_line(why)),
        (None, None) => file,
    }
}
