//! `lapsed undo`: restores what was removed, while its undo window lasts.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use crate::cli::client::Target;
use crate::cli::context::{Context, End};
use crate::cli::human;
use crate::clock;
use crate::types::{JsonPath, Since, UndoOrder, Undone};

/// Restored paths that are printed one by one.
const SHOWN_MAX: usize = 20;

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true))]
pub(in crate::cli) struct Arguments {
    /// Numbers of removals, as `lapsed trash ls` shows them
    #[arg(value_name = "ID", group = "what")]
    ids: Vec<u64>,
    /// Restore all that this run removed
    #[arg(long, value_name = "NUMBER", group = "what")]
    run: Option<u64>,
    /// Restore all that was removed of this job
    #[arg(long, value_name = "ID", group = "what")]
    job: Option<String>,
    /// Restore what was at this path or below it
    #[arg(long, group = "what")]
    path: Option<PathBuf>,
    /// Restore all that was removed since then, such as 1h
    #[arg(long, value_name = "WHEN", group = "what")]
    since: Option<Since>,
    /// Restore the last removal, or all that its run removed
    #[arg(long, group = "what")]
    last: bool,
    /// Restore beside names that are taken by now
    #[arg(long)]
    beside: bool,
    /// Pin what comes back for this long [default: 7d]
    #[arg(long = "for", value_name = "DURATION")]
    lasting: Option<String>,
    /// Only show what would come back
    #[arg(long, short = 'n')]
    dry_run: bool,
}

impl Arguments {
    fn order(&self, context: &Context) -> anyhow::Result<UndoOrder> {
        let path = self.path.as_deref();
        let path = path.map(|path| context.path_of_daemon(path));
        let path = path.transpose()?.map(|path| JsonPath::new(&path));
        let is_text = |path: &JsonPath| path.path_b64.is_none();
        Ok(UndoOrder {
            ids: self.ids.clone(),
            run: self.run,
            job: self.job.clone(),
            path: path.clone().filter(is_text).map(|path| path.path),
            path_b64: path.and_then(|path| path.path_b64),
            since: self.since,
            last: self.last,
            beside: self.beside,
            lasting: self.lasting.clone(),
            dry_run: self.dry_run,
        })
    }
}

pub(super) async fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let order = arguments.order(context)?;
    let mut client = context.connect().await?;
    let undone: Undone = client.post(&Target::new("/v1/undo"), &order).await?;
    show(context, &undone)
}

/// Prints what came back and what did not.
pub(super) fn show(context: &mut Context, undone: &Undone) -> anyhow::Result<End> {
    let end = if undone.left.is_empty() {
        End::Done
    } else {
        End::WithErrors
    };
    if context.is_json() {
        context.output.json(undone)?;
        return Ok(end);
    }
    for restored in undone.restored.iter().take(SHOWN_MAX) {
        context.output.line(&human::safe(&restored.path.path))?;
    }
    let shown = undone.restored.len().min(SHOWN_MAX) as u64;
    let further = undone.restored.len() as u64 + undone.restored_left_out - shown;
    if further > 0 {
        context
            .output
            .line(&format!("and {} more", human::count(further)))?;
    }
    let verb = if undone.dry_run {
        "would be restored"
    } else {
        "restored"
    };
    let pinned = undone.pinned_until.as_deref().and_then(human::instant);
    let pinned = pinned.map_or_else(String::new, |until| {
        let until = human::by_the_clock(until, clock::now().wall);
        format!("; pinned until {until}")
    });
    context.output.line(&format!(
        "{verb}: {}, {}{pinned}",
        human::files(undone.files),
        human::size(undone.bytes)
    ))?;
    for left in &undone.left {
        eprintln!("left in the trash: {}: {}", left.id, human::safe(&left.why));
    }
    Ok(end)
}
