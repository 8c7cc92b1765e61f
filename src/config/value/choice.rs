//! Values that are one of a few words.

use super::super::error::{Refusal, allowed};
use super::super::schema::{Format, Kind, NameCase, Then};
use super::super::setting::{Choice, Setting, choice};
use super::super::settings::{Backend, LogFormat, LogLevel};
use super::{Anonymous, Metrics, Served, flag_word};
use crate::core::claim::Unit;
use crate::core::jobs::Status;
use crate::core::policy::{Order, Per, Record, Schedule, Since, SkipOpen};
use crate::core::recurrence::RecurrenceError;
use crate::core::role::Role;
use crate::notifications::{self, Encryption, Severity};
use jsonwebtoken::Algorithm;

const SCHEDULES: &str = "allowed: manual; named; five fields (minute, hour, day, month, day of the week) such as \"0 3 * * *\"; @hourly, @daily, \
     @weekly, @monthly, @yearly; or such as \"every 6h\"";

impl Setting for LogLevel {
    /// The words of Rust and of Python; case does not matter.
    fn parse(text: &str) -> Result<Self, Refusal> {
        let words = [
            ("error", Self::Error),
            ("critical", Self::Error),
            ("warn", Self::Warn),
            ("warning", Self::Warn),
            ("info", Self::Info),
            ("debug", Self::Debug),
            ("trace", Self::Trace),
        ];
        choice(&words, &text.to_ascii_lowercase())
    }
}

impl Choice for Backend {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("inotify", Self::Inotify),
        ("notify", Self::Notify),
        ("poll", Self::Poll),
    ];
}

impl Choice for LogFormat {
    const WORDS: &'static [(&'static str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}

impl Choice for notifications::Kind {
    /// Kinds that a receiver can want.
    const WORDS: &'static [(&'static str, Self)] = &[
        ("error", Self::Error),
        ("breaker", Self::Breaker),
        ("source", Self::Source),
        ("root", Self::Root),
        ("space", Self::Space),
        ("run", Self::Run),
        ("pause", Self::Pause),
        ("lapsed", Self::Lapsed),
    ];
}

impl Choice for Severity {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("info", Self::Info),
        ("warning", Self::Warning),
        ("error", Self::Error),
    ];
}

impl Choice for Encryption {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("starttls", Self::StartTls),
        ("tls", Self::Tls),
        ("none", Self::None),
    ];
}

impl Choice for Format {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("cloudevents", Self::CloudEvents),
        ("slack", Self::Slack),
        ("template", Self::Template),
    ];
}

impl Choice for Anonymous {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("none", Self(None)),
        ("viewer", Self(Some(Role::Viewer))),
        ("operator", Self(Some(Role::Operator))),
    ];
}

impl Choice for Metrics {
    const WORDS: &'static [(&'static str, Self)] = &[("viewer", Self(false)), ("open", Self(true))];
}

impl Choice for Served {
    const WORDS: &'static [(&'static str, Self)] =
        &[("all", Self(false)), ("adapters", Self(true))];
}

impl Choice for Order {
    const WORDS: &'static [(&'static str, Self)] =
        &[("oldest", Self::Oldest), ("largest", Self::Largest)];
}

impl Choice for Per {
    const WORDS: &'static [(&'static str, Self)] = &[("all", Self::All), ("owner", Self::Owner)];
}

impl Choice for Role {
    /// Roles that a JWT can have.
    const WORDS: &'static [(&'static str, Self)] =
        &[("viewer", Self::Viewer), ("operator", Self::Operator)];
}

impl Choice for Algorithm {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("HS256", Self::HS256),
        ("HS384", Self::HS384),
        ("HS512", Self::HS512),
        ("RS256", Self::RS256),
        ("RS384", Self::RS384),
        ("RS512", Self::RS512),
        ("PS256", Self::PS256),
        ("PS384", Self::PS384),
        ("PS512", Self::PS512),
        ("ES256", Self::ES256),
        ("ES384", Self::ES384),
        ("EdDSA", Self::EdDSA),
    ];
}

impl Choice for Kind {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("api", Self::Api),
        ("sqlite", Self::Sqlite),
        ("postgres", Self::Postgres),
    ];
}

impl Choice for NameCase {
    const WORDS: &'static [(&'static str, Self)] = &[("exact", Self::Exact), ("any", Self::Any)];
}

impl Choice for Then {
    const WORDS: &'static [(&'static str, Self)] =
        &[("delete", Self::Delete), ("trash", Self::Trash)];
}

impl Choice for Unit {
    const WORDS: &'static [(&'static str, Self)] =
        &[("file", Self::File), ("dir", Self::Dir), ("job", Self::Job)];
}

impl Choice for Record {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("keep", Self::Keep),
        ("mark", Self::Mark),
        ("forget", Self::Forget),
    ];
}

impl Choice for Since {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("newest", Self::Newest),
        ("mtime", Self::Mtime),
        ("newest_mtime", Self::NewestMtime),
        ("ctime", Self::Ctime),
        ("btime", Self::Btime),
        ("created_at", Self::CreatedAt),
        ("completed_at", Self::CompletedAt),
        ("last_activity", Self::LastActivity),
        ("expires_at", Self::ExpiresAt),
    ];
}

impl Setting for Status {
    fn words() -> Vec<&'static str> {
        Self::ALL.map(Self::as_str).to_vec()
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        let word = text.trim();
        Self::of_word(word)
            .ok_or_else(|| Refusal::new("is an unknown status").hint(allowed(Self::words(), word)))
    }
}

impl Setting for Schedule {
    fn parse(text: &str) -> Result<Self, Refusal> {
        match text.trim() {
            "" => return Ok(Self::AtDeadline),
            "manual" => return Ok(Self::Manual),
            "named" => return Ok(Self::Named),
            _ => {}
        }
        text.parse()
            .map(Self::At)
            .map_err(|error: RecurrenceError| Refusal::new(error.to_string()).hint(SCHEDULES))
    }
}

impl Setting for SkipOpen {
    const TYPES: &'static [&'static str] = &["boolean", "string"];

    fn parse(text: &str) -> Result<Self, Refusal> {
        match flag_word(text) {
            Some(true) => Ok(Self::Always),
            Some(false) => Ok(Self::Never),
            None if text.trim() == "if-known" => Ok(Self::IfKnown),
            None => Err(Refusal::new("is an unknown value")
                .hint(allowed(["true", "false", "if-known"], text))),
        }
    }
}
