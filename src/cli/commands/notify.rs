//! `lapsed notify ls|retry|drop|test`: receivers of notifications.

use clap::{Args, Subcommand};

use crate::cli::client::Target;
use crate::cli::context::{Context, End};
use crate::cli::human;
use crate::cli::table::{Column, Fit, Table, Tone};
use crate::clock;
use crate::types::{
    Delivery, Notify, NotifyChanged, NotifyOrder, NotifyQuery, NotifyTested, Receiver,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List receivers, and what waits for them
    Ls(Ls),
    /// Deliver at once what waits or was given up
    Retry(Meant),
    /// Drop what waits or was given up
    Drop(Meant),
    /// Send a test to a receiver, and wait for its answer
    Test(Test),
}

#[derive(Debug, Args)]
struct Ls {
    /// Name of a receiver
    #[arg(value_name = "NAME")]
    receiver: Option<String>,
}

#[derive(Debug, Args)]
struct Meant {
    /// Name of a receiver
    #[arg(value_name = "NAME", required_unless_present = "all")]
    receiver: Option<String>,
    /// Numbers of notifications, as ls shows them
    #[arg(value_name = "NUMBER")]
    numbers: Vec<u64>,
    /// Mean all receivers
    #[arg(long, conflicts_with = "receiver")]
    all: bool,
    /// Mean only what was given up
    #[arg(long)]
    given_up: bool,
}

#[derive(Debug, Args)]
struct Test {
    /// Name of the receiver
    #[arg(value_name = "NAME")]
    receiver: String,
}

pub(super) async fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let mut client = context.connect().await?;
    let target = Target::new("/v1/notify");
    match &arguments.command {
        Command::Ls(ls) => {
            let query = NotifyQuery {
                receiver: ls.receiver.clone(),
            };
            let found: Notify = client.get(&target.query(&query)).await?;
            list(context, &found)?;
        }
        Command::Retry(meant) => {
            let changed = client.post(&target.below("retry"), &meant.order()).await?;
            show_changed(context, changed, "to be delivered now")?;
        }
        Command::Drop(meant) => {
            let changed = client.post(&target.below("drop"), &meant.order()).await?;
            show_changed(context, changed, "dropped")?;
        }
        Command::Test(test) => {
            let target = target.below("test").below(&test.receiver);
            let tested: NotifyTested = client.post(&target, &serde_json::json!({})).await?;
            return show_tested(context, &tested);
        }
    }
    Ok(End::Done)
}

impl Meant {
    fn order(&self) -> NotifyOrder {
        NotifyOrder {
            receiver: self.receiver.clone(),
            numbers: self.numbers.clone(),
            given_up: self.given_up,
        }
    }
}

fn show_changed(context: &mut Context, changed: NotifyChanged, what: &str) -> anyhow::Result<()> {
    if context.is_json() {
        return context.output.json(&changed);
    }
    let count = human::counted(changed.notifications, "notification", "notifications");
    context.output.line(&format!("{count} {what}"))
}

fn show_tested(context: &mut Context, tested: &NotifyTested) -> anyhow::Result<End> {
    let has_failed = tested
        .attempts
        .iter()
        .any(|attempt| attempt.error.is_some());
    if context.is_json() {
        context.output.json(tested)?;
    } else {
        for attempt in &tested.attempts {
            let took = human::span(attempt.took_ms);
            let result = attempt.error.as_ref().map_or_else(
                || format!("taken after {took}"),
                |error| format!("failed after {took}: {error}"),
            );
            let line = format!("{} by {}: {result}", attempt.receiver, attempt.channel);
            context.output.line(&human::safe(&line))?;
        }
    }
    Ok(if has_failed {
        End::WithErrors
    } else {
        End::Done
    })
}

fn list(context: &mut Context, found: &Notify) -> anyhow::Result<()> {
    if context.is_json() {
        return context.output.json(found);
    }
    if found.receivers.is_empty() {
        return context.output.line("there are no receivers");
    }
    let text = receivers(&found.receivers).render(context.output.screen);
    context.output.bytes(text.as_bytes())?;
    if !found.deliveries.is_empty() {
        context.output.line("")?;
        let text = deliveries(&found.deliveries).render(context.output.screen);
        context.output.bytes(text.as_bytes())?;
    }
    Ok(())
}

fn receivers(receivers: &[Receiver]) -> Table {
    let now = clock::now().wall;
    let mut table = Table::new(&[
        Column::text("RECEIVER", Fit::Stay),
        Column::text("BY", Fit::Stay),
        Column::text("TO", Fit::Yield(1)),
        Column::number("WAIT", Fit::Stay),
        Column::number("GIVEN UP", Fit::Stay),
        Column::text("LAST TAKEN", Fit::Yield(0)),
        Column::text("NEXT TRY", Fit::Yield(0)),
    ]);
    for receiver in receivers {
        let count = |number: u64| {
            let tone = if number > 0 { Tone::Warn } else { Tone::Plain };
            (human::count(number), tone)
        };
        let relative = |at: &Option<String>| human::relative_or(at.as_deref(), now, "–");
        let destination = receiver.destination.as_deref();
        table.row([
            (receiver.name.clone(), Tone::Plain),
            (receiver.channel.clone(), Tone::Plain),
            (
                destination.unwrap_or("not configured").to_owned(),
                Tone::Plain,
            ),
            count(receiver.waiting),
            count(receiver.given_up),
            (relative(&receiver.delivered_at), Tone::Plain),
            (relative(&receiver.next), Tone::Plain),
        ]);
    }
    table
}

fn deliveries(deliveries: &[Delivery]) -> Table {
    let now = clock::now().wall;
    let mut table = Table::new(&[
        Column::number("NUMBER", Fit::Stay),
        Column::text("RECEIVER", Fit::Stay),
        Column::text("WHEN", Fit::Stay),
        Column::text("TITLE", Fit::Yield(2)),
        Column::number("TRIES", Fit::Stay),
        Column::text("ERROR", Fit::Yield(1)),
    ]);
    for delivery in deliveries {
        let tone = if delivery.is_given_up {
            Tone::Dim
        } else {
            Tone::Plain
        };
        let error = delivery.error.as_deref().unwrap_or_default();
        let error = if delivery.is_given_up {
            format!("given up: {error}")
        } else {
            error.to_owned()
        };
        table.row([
            (delivery.number.to_string(), tone),
            (delivery.receiver.clone(), tone),
            (human::relative_or(Some(&delivery.at), now, ""), tone),
            (human::safe(&delivery.title), tone),
            (human::count(delivery.attempts), tone),
            (human::safe(&error), tone),
        ]);
    }
    table
}
