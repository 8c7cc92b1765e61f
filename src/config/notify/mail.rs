//! `[notify.mail]`: mails by an SMTP server.

use std::net::IpAddr;

use super::super::error::Refusal;
use super::super::reader::Reader;
use super::super::schema;
use super::super::setting::{Table, Text};
use crate::notifications::{Encryption, Mail, Secret, check_mailbox};

/// Addresses of one receiver: a list on a mail server is for more.
const TO_MAX: usize = 50;

/// Returns true if the table is there, and no address in it.
pub(super) fn is_off(table: &Table<schema::Mail>) -> bool {
    let texts = table.to.all().unwrap_or_default();
    table.to.is_present() && texts.iter().all(|(_, text)| text.trim().is_empty())
}

/// The mails of `table`; `None` if it is not there or off, or something was reported.
pub(super) fn read(reader: &mut Reader, table: &Table<schema::Mail>) -> Option<Mail> {
    if table.given.is_empty() || is_off(table) {
        return None;
    }
    let mut to = Vec::new();
    for (text, addresses) in table.to.all().unwrap_or_default() {
        for address in addresses
            .split(',')
            .map(str::trim)
            .filter(|one| !one.is_empty())
        {
            check(reader, text, address);
            to.push(address.to_owned());
        }
    }
    if let Some(text) = table.to.text().filter(|_| to.len() > TO_MAX) {
        let why = format!(
            "is one of {} addresses, but the limit is {TO_MAX}",
            to.len()
        );
        reader.note(text.refuse(Refusal::new(why)));
    }
    for (key, is_present) in [
        ("to", table.to.is_present()),
        ("from", table.from.is_present()),
        ("server", table.server.is_present()),
    ] {
        if !is_present {
            reader.note(table.problem(&format!("has no {key}")));
        }
    }
    let encryption = *table.encryption.get()?;
    let (text, from) = table.from.both()?;
    check(reader, text, from);
    let (text, server) = table.server.both()?;
    let (server, port) = server_of(reader, text, server, encryption)?;
    let filled = |value: Option<&String>| value.filter(|value| !value.is_empty()).cloned();
    let user = filled(table.user.get());
    let password = filled(table.password.get());
    if let Some(text) = table.password.text().filter(|_| password.is_some())
        && encryption == Encryption::None
        && !is_this_host(&server)
    {
        let refusal = Refusal::new("would be sent without encryption");
        reader.note(text.refuse(refusal.hint("set encryption = \"starttls\" or \"tls\"")));
    }
    if let Some(text) = table
        .password
        .text()
        .filter(|_| user.is_none() && password.is_some())
    {
        reader.note(text.refuse(Refusal::new("needs user beside it")));
    }
    Some(Mail {
        to,
        from: from.clone(),
        server,
        port,
        encryption,
        credentials: user.map(|user| (user, Secret(password.unwrap_or_default()))),
        gather: table.gather.get()?.0,
    })
}

fn check(reader: &mut Reader, text: &Text, address: &str) {
    if let Err(why) = check_mailbox(address) {
        let refusal = Refusal::new(format!("is an invalid address: {why}"));
        reader.note(text.refuse(refusal.hint("such as ops@example.com or Ann <ann@example.com>")));
    }
}

/// Host and port of a server.
fn server_of(
    reader: &mut Reader,
    text: &Text,
    server: &str,
    encryption: Encryption,
) -> Option<(String, u16)> {
    let usual = match encryption {
        Encryption::StartTls => 587,
        Encryption::Tls => 465,
        Encryption::None => 25,
    };
    let server = server.trim();
    let is_address = server.parse::<IpAddr>().is_ok();
    let (host, port) = match server.rsplit_once(':').filter(|_| !is_address) {
        Some((host, port)) => (host, port.parse().ok()),
        None => (server, Some(usual)),
    };
    let host = host.trim_matches(['[', ']']);
    let is_valid = !host.is_empty() && !host.contains(['/', '@', ' ']);
    let Some(port) = port.filter(|_| is_valid) else {
        let refusal = Refusal::new("is not the name of a server and a port");
        let hint = "such as mail.example.com or mail.example.com:587";
        reader.note(text.refuse(refusal.hint(hint)));
        return None;
    };
    Some((host.to_owned(), port))
}

fn is_this_host(server: &str) -> bool {
    server == "localhost"
        || server
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}
