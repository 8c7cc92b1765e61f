//! `lapsed top`: a dashboard at a terminal.
//!
//! ```text
//! keys, ticks, answers → model → requests → feed → daemon
//!                          ↓
//!                         view
//! ```
//!
//! - `model`: state, and what follows from an event; `messages`: events and requests; `keys`: what
//!   keys mean; `query`: the filter; `rate`: removals of the last minute
//! - `overview`: lines about the daemon; `texts`: about a file; `line`: parts of both; `view`: the
//!   drawing
//! - `feed`: requests and their answers; `screen`: the terminal
//!
//! **Invariant:** the terminal is as it was before, however this ends.
//! **Invariant:** what comes from the daemon reaches the terminal without control characters.

use std::io::{IsTerminal, stdin, stdout};
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use crate::cli::client::{Endpoint, Target};
use crate::cli::context::{Context, End, WatchOptions};
use crate::clock;
use crate::types::Status;

mod feed;
mod keys;
mod line;
mod messages;
mod model;
mod overview;
mod query;
mod rate;
mod screen;
#[cfg(test)]
mod tests;
mod texts;
mod view;

use feed::Feed;
use messages::Event;
use model::Model;
use screen::{Input, Screen};
use view::Theme;

/// Interval of the clock on the screen, and of the look at what is to be asked.
const TICK: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Show only files that match; as typed after /
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
}

pub(super) async fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let is_terminal = stdin().is_terminal() && stdout().is_terminal();
    anyhow::ensure!(
        is_terminal
            && !context.is_json()
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb"),
        "lapsed top needs a terminal\n  \
         `lapsed status` and `lapsed ls` print the same for files and programs"
    );
    let endpoint = context.endpoint(&WatchOptions::default())?;
    let theme = Theme::new(context.output.screen.color);
    // What is wrong with the way to the daemon is told before the screen is taken.
    let mut client = context.connect().await?;
    let status: Box<Status> = client.get(&Target::new("/v1/status")).await?;
    let place = match &endpoint {
        Endpoint::Socket(path) => path.display().to_string(),
        Endpoint::Server(_) => endpoint.to_string(),
    };
    let mut model = Model::new(place, &arguments.filter, clock::now().wall);
    model.is_remote = context.is_remote();
    model.take_status(status);
    let mut feed = Feed::start(endpoint, client);
    let mut screen = Screen::enter()?;
    let ended = follow(&mut screen, &mut model, &mut feed, theme).await;
    drop(screen);
    ended
}

/// Shows the model until it is over.
async fn follow(
    screen: &mut Screen,
    model: &mut Model,
    feed: &mut Feed,
    theme: Theme,
) -> anyhow::Result<End> {
    let mut inputs = screen::inputs();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut signals = Vec::new();
    for kind in [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
        SignalKind::quit(),
    ] {
        signals.push(signal(kind)?);
    }
    loop {
        let event = tokio::select! {
            input = inputs.recv() => match input {
                Some(Input::Key(key)) => Event::Key(key),
                Some(Input::Resized) => Event::Resized,
                // The terminal is gone.
                None => return Ok(End::Done),
            },
            answer = feed.next() => match answer {
                Some(answer) => Event::Answer(answer),
                None => anyhow::bail!("lapsed top has stopped asking: a defect"),
            },
            _ = ticks.tick() => Event::Tick,
            () = any(&mut signals) => return Ok(End::Interrupted),
        };
        for request in model.update(event, clock::now().wall) {
            feed.ask(request);
        }
        if model.is_over() {
            return Ok(End::Done);
        }
        if model.wants_suspension() {
            screen.suspend()?;
        }
        let shown = screen.draw(|frame| view::draw(frame, model, theme))?;
        model.on_drawn(shown);
    }
}

/// Waits for one of `signals`.
async fn any(signals: &mut [tokio::signal::unix::Signal]) {
    let waits = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
    futures_util::future::select_all(waits).await;
}
