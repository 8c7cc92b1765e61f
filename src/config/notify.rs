//! Receivers of notifications: `[[notify]]` tables.
//!
//! **Invariant:** no message has an address, a header or a secret in it.

mod mail;

use std::collections::{BTreeMap, BTreeSet};

use hyper::header::{HeaderName, HeaderValue};

use super::error::{Refusal, allowed};
use super::reader::Reader;
use super::schedules::{Known, zone_of};
use super::schema;
use super::setting::{Table, Value, Values};
use crate::core::recurrence::Recurrence;
use crate::notifications::{Channel, Format, Heartbeat, Kind, Receiver, Secret, Webhook};
use crate::remote::Url;

/// Kinds of a receiver that names none.
const USUAL: [Kind; 5] = [
    Kind::Error,
    Kind::Breaker,
    Kind::Source,
    Kind::Root,
    Kind::Space,
];

/// Time of what lapses soon, without a digest.
const EVERY_DAY: &str = "0 8 * * *";

/// Further headers of a webhook.
const HEADERS_MAX: usize = 20;

/// Receivers, and warnings about those that are off.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub receivers: Vec<Receiver>,
    pub notes: Vec<String>,
}

/// Reads and checks all receivers. `roots` are the names of the roots.
pub(super) fn read(
    reader: &mut Reader,
    tables: &[Table<schema::Notify>],
    roots: &[&str],
    rules: &Known<'_>,
) -> Found {
    let (mut found, mut taken) = (Found::default(), BTreeMap::new());
    for table in tables {
        let Some((text, name)) = table.name.both() else {
            continue;
        };
        let location = reader.location(text);
        if let Some(other) = taken.insert(name.0.clone(), location) {
            let refusal = Refusal::new(format!("is taken by the receiver at {other}"));
            reader.note(text.refuse(refusal.hint("give it another name")));
        }
        let problems = reader.count();
        let webhook = webhook(reader, &table.webhook);
        let mail = mail::read(reader, &table.mail);
        let rules_of = known_names(
            reader,
            &table.rules,
            &rules.rules,
            "rule",
            rules.is_complete,
        );
        let roots_of = known_names(reader, &table.roots, roots, "root", true);
        let heartbeat = heartbeat(reader, &table.heartbeat);
        let has_way = table.webhook.url.is_present() || !table.mail.given.is_empty();
        let has_times = table.digest.is_present() || table.before.is_present();
        let has_heartbeat = !table.heartbeat.given.is_empty();
        if !has_way && (!has_heartbeat || has_times || table.on.is_present()) {
            let problem = table.problem("has no way to it");
            let hint = "write webhook = { url = \"https://…\" }, or mail = { to = \"…\", from = \"…\", server = \"…\" }";
            reader.note(problem.hint(hint));
        }
        let usual: &[Kind] = if has_times || has_heartbeat {
            &[]
        } else {
            &USUAL
        };
        let kinds = table.on.all().map_or_else(
            || usual.iter().copied().collect(),
            |all| all.into_iter().map(|(_, kind)| *kind).collect(),
        );
        let (Some(&severity), Some(give_up)) = (table.severity.get(), table.give_up.get()) else {
            continue;
        };
        if reader.count() > problems || table.enabled.get() != Some(&true) {
            continue;
        }
        let channels = webhook.map(Channel::Webhook).into_iter();
        let channels: Vec<_> = channels.chain(mail.map(Channel::Mail)).collect();
        if channels.is_empty() && heartbeat.is_none() {
            found.notes.push(format!(
                "the receiver \"{}\" of [[notify]] is off, because its address is empty",
                name.0
            ));
            continue;
        }
        found.receivers.push(Receiver {
            name: name.0.clone(),
            kinds,
            roots: roots_of,
            rules: rules_of,
            severity,
            give_up: give_up.0,
            channels,
            times: times(table),
            has_digest: table.digest.get().is_some_and(|times| times.0.is_some()),
            before: table.before.get().map(|before| before.0),
            heartbeat,
        });
    }
    found
}

/// Instants of digests, and of what lapses soon.
fn times(table: &schema::Notify) -> Option<Recurrence> {
    let digest = table.digest.get().and_then(|times| times.0.clone());
    let daily = || EVERY_DAY.parse().ok().filter(|_| table.before.is_present());
    let times = digest.or_else(daily)?;
    Some(match table.timezone.get().and_then(zone_of) {
        Some(zone) => times.in_zone(zone),
        None => times,
    })
}

/// The heartbeat of `table`; `None` if it has no address, or something was reported.
fn heartbeat(reader: &mut Reader, table: &Table<schema::Heartbeat>) -> Option<Heartbeat> {
    if !table.given.is_empty() && !table.url.is_present() {
        reader.note(table.problem("has no url"));
    }
    Some(Heartbeat {
        url: url(reader, &table.url)?,
        every: table.every.get().map(|every| every.0),
    })
}

/// The address in `value`; `None` if it is empty, or something was reported.
fn url(reader: &mut Reader, value: &Value<String>) -> Option<Url> {
    let (text, url) = value.both()?;
    if url.trim().is_empty() {
        return None;
    }
    let parsed = Url::parse(url).map_err(|why| {
        let hint = "give the address of a server, without user and password; headers = { Authorization = \"…\" } has these";
        text.refuse(Refusal::new(why).hint(hint))
    });
    reader.take(parsed)
}

/// Names in `values`, which must be among `known` if that is all; `None`: the key is absent.
fn known_names(
    reader: &mut Reader,
    values: &Values<String>,
    known: &[&str],
    noun: &str,
    is_complete: bool,
) -> Option<BTreeSet<String>> {
    if !values.is_present() {
        return None;
    }
    let names = values.all().unwrap_or_default();
    for (text, name) in &names {
        if is_complete && !known.contains(&name.as_str()) {
            let refusal = Refusal::new(format!("is an unknown {noun}"));
            let hint = allowed(known.iter().copied(), name);
            reader.note(text.refuse(refusal.hint(hint)));
        }
    }
    Some(names.into_iter().map(|(_, name)| name.clone()).collect())
}

/// The webhook of `table`; `None` if it has no address, or something was reported.
fn webhook(reader: &mut Reader, table: &Table<schema::Webhook>) -> Option<Webhook> {
    let headers = headers(reader, table);
    let format = format(reader, table);
    let url = url(reader, &table.url)?;
    let secret = table
        .secret
        .get()
        .filter(|secret| !secret.trim().is_empty());
    Some(Webhook {
        url,
        format: format?,
        secret: secret.map(|secret| Secret(secret.clone())),
        headers,
    })
}

fn headers(reader: &mut Reader, table: &Table<schema::Webhook>) -> Vec<(String, Secret)> {
    let mut headers = Vec::new();
    for (name, text, value) in table.headers.iter() {
        let is_valid =
            HeaderName::try_from(name).is_ok() && HeaderValue::try_from(value.as_str()).is_ok();
        if !is_valid || headers.len() >= HEADERS_MAX {
            let why = format!("is an invalid header, or one of more than {HEADERS_MAX}");
            reader.note(text.refuse(Refusal::new(why)));
        }
        headers.push((name.to_owned(), Secret(value.clone())));
    }
    headers
}

fn format(reader: &mut Reader, table: &Table<schema::Webhook>) -> Option<Format> {
    let format = match (table.format.get()?, table.template.both()) {
        (schema::Format::CloudEvents, None) => Format::CloudEvents,
        (schema::Format::Slack, None) => Format::Slack,
        (schema::Format::Template, Some((text, template))) => {
            let format = Format::Template {
                source: template.0.clone(),
                content_type: table.content_type.get()?.clone(),
            };
            if let Err(why) = format.check() {
                reader.note(text.refuse(Refusal::new(format!("is an invalid template: {why}"))));
            }
            format
        }
        (schema::Format::Template, None) => {
            let problem = table.problem("has no template");
            reader.note(problem.hint("write template = \'{\"text\": {{ title }}}\'"));
            return None;
        }
        (_, Some((text, _))) => {
            let refusal = Refusal::new("is for format = \"template\" only");
            reader.note(text.refuse(refusal));
            return None;
        }
    };
    Some(format)
}
