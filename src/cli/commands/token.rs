//! `lapsed token new|ls|revoke`: tokens of HTTP clients.

use clap::{Args, Subcommand};
use hyper::Method;

use crate::cli::client::Target;
use crate::cli::context::{Context, End};
use crate::cli::human;
use crate::cli::table::{Column, Fit, Table, Tone};
use crate::clock;
use crate::core::role::Role;
use crate::types::{NewToken, Token, TokenOrder, Tokens};

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a token, and print it once
    New(New),
    /// List tokens
    Ls,
    /// Revoke tokens, at once
    Revoke(Revoke),
}

#[derive(Debug, Args)]
struct New {
    /// Role: a viewer asks, an operator acts, an admin manages
    #[arg(long, value_name = "ROLE", value_parser = role())]
    role: Role,
    /// Name, as the history will show it
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Time after which it is refused, such as 90d
    #[arg(long, value_name = "DURATION")]
    expires: Option<String>,
}

#[derive(Debug, Args)]
struct Revoke {
    /// Ids or names of tokens
    #[arg(value_name = "ID|NAME", required = true)]
    tokens: Vec<String>,
}

/// Parser of roles, which lists them.
fn role() -> impl clap::builder::TypedValueParser<Value = Role> {
    use clap::builder::{PossibleValuesParser, TypedValueParser as _};
    PossibleValuesParser::new(<Role as strum::VariantNames>::VARIANTS)
        .map(|name| name.parse().expect("invariant: it is one of the names"))
}

pub(super) async fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let mut client = context.connect().await?;
    let tokens = Target::new("/v1/tokens");
    match &arguments.command {
        Command::New(new) => {
            let order = TokenOrder {
                role: new.role,
                name: new.name.clone(),
                expires: new.expires.clone(),
            };
            let made: NewToken = client.post(&tokens, &order).await?;
            show_new(context, &made)?;
        }
        Command::Ls => {
            let tokens: Tokens = client.get(&tokens).await?;
            list(context, &tokens.tokens)?;
        }
        Command::Revoke(revoke) => {
            for token in &revoke.tokens {
                let target = tokens.clone().below(token);
                let token: Token = client.order(Method::DELETE, &target, None::<&()>).await?;
                show_revoked(context, &token)?;
            }
        }
    }
    Ok(End::Done)
}

/// Prints a token; it stands alone on the last line, so that a script can take it.
fn show_new(context: &mut Context, new: &NewToken) -> anyhow::Result<()> {
    if context.is_json() {
        return context.output.json(new);
    }
    let now = clock::now().wall;
    let ends = new.made.expires_at.as_deref();
    let ends = ends.map_or_else(
        || "it does not expire".to_owned(),
        |at| format!("it expires {}", human::relative_or(Some(at), now, "")),
    );
    context.output.line(&format!(
        "token {}: {} may act as {}; {ends}\nsend it as \"Authorization: Bearer TOKEN\"; it is not shown again:",
        new.made.id,
        new.made.name,
        new.made.role.with_article(),
    ))?;
    context.output.line(&new.token)
}

fn show_revoked(context: &mut Context, token: &Token) -> anyhow::Result<()> {
    if context.is_json() {
        return context.output.json(token);
    }
    let line = format!("token {}: {} is revoked", token.id, token.name);
    context.output.line(&line)
}

fn list(context: &mut Context, tokens: &[Token]) -> anyhow::Result<()> {
    if context.is_json() {
        return tokens
            .iter()
            .try_for_each(|token| context.output.json(token));
    }
    if tokens.is_empty() {
        return context.output.line("there are no tokens");
    }
    let now = clock::now().wall;
    let mut table = Table::new(&[
        Column::text("TOKEN", Fit::Stay),
        Column::text("NAME", Fit::Yield(1)),
        Column::text("ROLE", Fit::Stay),
        Column::text("EXPIRES", Fit::Stay),
        Column::text("MADE", Fit::Yield(0)),
        Column::text("BY", Fit::Yield(2)),
    ]);
    for token in tokens {
        let (expires, tone) = if token.is_expired {
            ("expired".to_owned(), Tone::Dim)
        } else {
            let at = token.expires_at.as_deref();
            (human::relative_or(at, now, "never"), Tone::Plain)
        };
        table.row([
            (token.id.clone(), Tone::Plain),
            (token.name.clone(), Tone::Plain),
            (token.role.as_str().to_owned(), Tone::Plain),
            (expires, tone),
            (
                human::relative_or(Some(&token.created_at), now, ""),
                Tone::Dim,
            ),
            (token.created_by.clone(), Tone::Plain),
        ]);
    }
    let text = table.render(context.output.screen);
    context.output.bytes(text.as_bytes())
}
