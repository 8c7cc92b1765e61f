//! `lapsed pin PATH|--job ID --for 7d --why "…"`: has something stay for a while.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{ArgGroup, Args};

use super::app::{Context, End};
use super::client::Target;
use super::explain::absolute;
use super::human;
use crate::clock;
use crate::core::time::Timestamp;
use crate::types::JsonPath;
use crate::types::{Moment, Pin, PinOrder};

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").args(["path", "job"]).required(true))]
pub(super) struct Arguments {
    /// A file or directory beneath a root, with all that is or comes to be below it
    path: Option<PathBuf>,
    /// All that this job owns
    #[arg(long, value_name = "ID")]
    job: Option<String>,
    /// The job's source, where several know the id
    #[arg(long, value_name = "NAME", requires = "job")]
    source: Option<String>,
    #[command(flatten)]
    time: Time,
    /// Why: whoever looks at it later will ask
    #[arg(long, value_name = "TEXT")]
    why: String,
}

/// When a pin ends.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Time {
    /// How long, from now on
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, allow_hyphen_values = true)]
    lasting: Option<String>,
    /// Until when
    #[arg(long, value_name = "WHEN", value_parser = Moment::parse, allow_hyphen_values = true)]
    until: Option<Moment>,
}

impl Time {
    /// For the API: how long, and until when.
    pub(super) fn parts(&self) -> (Option<String>, Option<Moment>) {
        (self.lasting.clone(), self.until)
    }
}

fn duration(text: &str) -> Result<String, String> {
    let lasting = crate::core::span::parse(text).ok();
    lasting
        .filter(|lasting| !lasting.is_zero())
        .map(|_| text.to_owned())
        .ok_or_else(|| "give a duration such as 90s, 15m, 12h, 7d or 1h30m".to_owned())
}

pub(super) async fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let (lasting, until) = arguments.time.parts();
    let mut order = PinOrder {
        job: arguments.job.clone(),
        source: arguments.source.clone(),
        lasting,
        until,
        why: Some(arguments.why.clone()),
        ..PinOrder::default()
    };
    if let Some(path) = &arguments.path {
        let JsonPath { path, path_b64 } = json_path(context, path)?;
        // The text of a path that is not UTF-8 is another path's.
        order.path = path_b64.is_none().then_some(path);
        order.path_b64 = path_b64;
    }
    let mut client = context.connect().await?;
    let pin: Pin = client.post(&Target::new("/v1/pins"), &order).await?;
    show(context, &pin, "pinned")?;
    Ok(End::Done)
}

/// The absolute path that `path` is, as the daemon knows it.
pub(super) fn json_path(context: &Context, path: &std::path::Path) -> anyhow::Result<JsonPath> {
    anyhow::ensure!(
        !path.as_os_str().as_bytes().is_empty(),
        "an empty path names nothing"
    );
    let path = absolute(path, context.environment.current_dir.as_deref())
        .context("the current directory is gone; give an absolute path")?;
    Ok(JsonPath::new(&path))
}

/// Prints what became of a pin.
pub(super) fn show(context: &mut Context, pin: &Pin, what: &str) -> anyhow::Result<()> {
    if context.is_json() {
        return context.output.json(pin);
    }
    context.output.line(&format!(
        "pin {}: {what} {} {}",
        pin.id,
        target(pin),
        until(pin, clock::now().wall)
    ))
}

/// What it holds, for people.
pub(super) fn target(pin: &Pin) -> String {
    match (&pin.path, &pin.job) {
        (Some(path), _) => human::safe(&path.path),
        (None, job) => format!(
            "job {} of source {}",
            human::safe(job.as_deref().unwrap_or("?")),
            human::safe(pin.source.as_deref().unwrap_or("?"))
        ),
    }
}

fn until(pin: &Pin, now: Timestamp) -> String {
    format!(
        "until {} ({})",
        pin.until,
        human::relative_or(Some(&pin.until), now, "")
    )
}
