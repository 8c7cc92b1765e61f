//! Values of the declarations of an adapter.

use super::super::error::Refusal;
use super::super::schema::{OutputWord, TypeWord};
use super::super::setting::{Choice, Setting, choice};
use super::without_nul;
use crate::adapter::{LogLevel, LogMoment, LogTarget, Operation, Place};

/// Source of a template, or an expression: variables are not replaced in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::config) struct Code(pub String);

/// Boolean, number or text, as it is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::config) struct Scalar(pub String);

/// Status code of HTTP for an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) struct HttpStatus(pub u16);

impl Setting for Code {
    const IS_RAW: bool = true;

    fn parse(text: &str) -> Result<Self, Refusal> {
        without_nul(text).map(|()| Self(text.to_owned()))
    }
}

impl Setting for Scalar {
    const TYPES: &'static [&'static str] = &["boolean", "integer", "number", "string"];

    fn parse(text: &str) -> Result<Self, Refusal> {
        Ok(Self(text.to_owned()))
    }
}

impl Setting for HttpStatus {
    const TYPES: &'static [&'static str] = u64::TYPES;

    fn parse(text: &str) -> Result<Self, Refusal> {
        match text.trim().parse() {
            Ok(status) if (400..600).contains(&status) => Ok(Self(status)),
            Ok(_) | Err(_) => {
                Err(Refusal::new("is no status of an error").hint("allowed: 400 to 599"))
            }
        }
    }
}

impl Setting for u8 {
    const TYPES: &'static [&'static str] = u64::TYPES;

    fn parse(text: &str) -> Result<Self, Refusal> {
        let found = text.trim().parse();
        found.map_err(|_| Refusal::new("is no exit status").hint("allowed: 0 to 255"))
    }
}

impl Setting for f64 {
    const TYPES: &'static [&'static str] = &["integer", "number", "string"];

    fn parse(text: &str) -> Result<Self, Refusal> {
        let found = text
            .trim()
            .parse()
            .ok()
            .filter(|number: &Self| number.is_finite());
        found.ok_or_else(|| Refusal::new("is not a number"))
    }
}

impl Setting for LogLevel {
    /// The words of Python; case does not matter.
    fn parse(text: &str) -> Result<Self, Refusal> {
        let words = [
            ("debug", Self::Debug),
            ("info", Self::Info),
            ("warning", Self::Warning),
            ("error", Self::Error),
            ("critical", Self::Error),
        ];
        choice(&words, &text.to_ascii_lowercase())
    }
}

impl Choice for LogMoment {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("start", Self::Start),
        ("query", Self::Query),
        ("examined", Self::Examined),
        ("verdict", Self::Verdict),
        ("planned", Self::Planned),
        ("job", Self::Job),
        ("item", Self::Item),
        ("problem", Self::Problem),
        ("warning", Self::Warning),
        ("end", Self::End),
    ];
}

impl Choice for LogTarget {
    const WORDS: &'static [(&'static str, Self)] =
        &[("stderr", Self::Stderr), ("stdout", Self::Stdout)];
}

impl Choice for Operation {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("clean", Self::Clean),
        ("stats", Self::Stats),
        ("status", Self::Status),
        ("settings", Self::Settings),
        ("history", Self::History),
    ];
}

impl Choice for Place {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("flag", Self::Flag),
        ("query", Self::Query),
        ("body", Self::Body),
    ];
}

impl Choice for OutputWord {
    const WORDS: &'static [(&'static str, Self)] = &[("json", Self::Json), ("text", Self::Text)];
}

impl Choice for TypeWord {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("bool", Self::Bool),
        ("flag", Self::Flag),
        ("integer", Self::Integer),
        ("number", Self::Number),
        ("string", Self::String),
        ("enum", Self::Enum),
        ("path", Self::Path),
    ];
}
