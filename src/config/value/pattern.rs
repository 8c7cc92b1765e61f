//! Values that are patterns: templates, names of derived files, regular expressions.

use regex::Regex;

use super::super::error::Refusal;
use super::super::setting::Setting;
use crate::core::policy::Derived;
use crate::core::template::Template;

impl Setting for Template {
    fn parse(text: &str) -> Result<Self, Refusal> {
        Self::parse(text).map_err(|error| {
            let reason = format!("is an invalid template: byte {}: {}", error.at, error.fault);
            let refusal = Refusal::new(reason);
            // The second line lists the allowed values.
            match error.to_string().split_once('\n') {
                Some((_, allowed)) => refusal.hint(allowed),
                None => refusal,
            }
        })
    }
}

impl Setting for Derived {
    /// Text with one `{stem}` or `{name}`.
    fn parse(text: &str) -> Result<Self, Refusal> {
        const ALLOWED: &str =
            "allowed: text with one {stem} or {name}, such as \"{stem}_processed.mp3\"";
        let refuse = |reason: &str| Err(Refusal::new(reason).hint(ALLOWED));
        let places = text.matches("{stem}").count() + text.matches("{name}").count();
        let rest = text.replace("{stem}", "").replace("{name}", "");
        if text.contains('/') {
            return refuse("contains \"/\": it must be the name of a file beside the claimed one");
        }
        if rest.contains(['{', '}']) {
            return refuse("has braces around something else than stem or name");
        }
        match places {
            0 => refuse("has neither {stem} nor {name} in it, and would be the same for all files"),
            1 => Ok(Self {
                pattern: text.to_owned(),
            }),
            _ => refuse("has more than one {stem} or {name} in it"),
        }
    }
}

impl Setting for Regex {
    /// A regular expression, anchored at both ends of an id, whatever flags it sets: a trailing
    /// newline never matches.
    fn parse(text: &str) -> Result<Self, Refusal> {
        if text.is_empty() {
            return Err(Refusal::new("is empty, but must be a regular expression"));
        }
        // First on its own: `a)(b` would be valid within a group.
        Self::new(text).map_err(|error| refuse_pattern(&error))?;
        Self::new(&format!(r"\A(?:{text})\z")).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => refuse_pattern(&error),
            // With the flag (?x), the text after a `#` is a comment.
            _ => Refusal::new("cannot be matched with whole ids: it ends in a comment")
                .hint("leave the comment out"),
        })
    }
}

fn refuse_pattern(error: &regex::Error) -> Refusal {
    if let regex::Error::CompiledTooBig(limit) = error {
        let reason = format!("takes more than the limit of {limit} bytes when it is compiled");
        return Refusal::new(reason).hint("write smaller numbers of repetitions");
    }
    // The report also draws the mistake; its last line is the reason.
    let report = error.to_string();
    let reason = report.lines().last().unwrap_or_default();
    let reason = reason.strip_prefix("error: ").unwrap_or(reason);
    Refusal::new(format!("is an invalid regular expression: {reason}"))
        .hint("such as 'job-\\d{8}-\\d{6}'; it is matched with whole ids, so that neither \"^\" nor \"$\" is needed")
}
