//! The filter: words of a person → parameters of `GET /v1/files`.

use crate::cli::commands::job;
use crate::types::{Bytes, FilesQuery};

/// Words that a filter knows.
pub(super) const WORDS: &str = "root: rule: job: hold: status: within: older: size: pinned orphan";

/// Returns the parameters that `text` stands for: `rule:old size:10M summary`.
///
/// # Errors
/// Description of the first word that is wrong.
pub(super) fn parse(text: &str) -> Result<FilesQuery, String> {
    let mut query = FilesQuery::default();
    let mut rest = Vec::new();
    for word in text.split_whitespace() {
        let (key, value) = word.split_once(':').unwrap_or((word, ""));
        let wrong = || format!("{word}: cannot be understood");
        match key {
            "pinned" if value.is_empty() => query.pinned = true,
            "orphan" if value.is_empty() => query.orphan = true,
            _ if value.is_empty() || value.starts_with('/') => rest.push(word),
            "root" => query.root = Some(value.to_owned()),
            "rule" => query.rule = Some(value.to_owned()),
            "job" => query.job = Some(Bytes(value.as_bytes().to_vec())),
            "hold" => query.hold = Some(value.to_owned()),
            "status" => query.status = Some(job::status(value).map_err(|_| wrong())?),
            "within" => query.expiring_within = Some(value.parse().map_err(|_| wrong())?),
            "older" => query.older_than = Some(value.parse().map_err(|_| wrong())?),
            "size" => query.min_size = Some(value.parse().map_err(|_| wrong())?),
            _ => rest.push(word),
        }
    }
    if !rest.is_empty() {
        query.glob = Some(glob(&rest.join(" ")));
    }
    Ok(query)
}

/// The glob of paths that have `text` in them; `text` itself where it is a glob.
fn glob(text: &str) -> String {
    if text.contains(['*', '?', '{', '[']) {
        return text.to_owned();
    }
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ',' | '}' | ']' | '!' => plain.extend(['[', c, ']']),
            // It has no other spelling.
            '\\' => plain.push('?'),
            c => plain.push(c),
        }
    }
    let plain = plain.trim_matches('/');
    format!("{{**/*{plain}*,**/*{plain}*/**}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_parameters_and_the_rest_is_in_the_path() {
        let query = parse(" rule:old  size:10M pinned a b ").unwrap();
        assert_eq!(query.rule.as_deref(), Some("old"));
        assert!(query.pinned && query.min_size.is_some());
        assert_eq!(query.glob.as_deref(), Some("{**/*a b*,**/*a b*/**}"));
        assert_eq!(parse("").unwrap(), FilesQuery::default());
        assert_eq!(parse("**/*.log").unwrap().glob.as_deref(), Some("**/*.log"));
        assert_eq!(
            parse("a,b!").unwrap().glob.as_deref(),
            Some("{**/*a[,]b[!]*,**/*a[,]b[!]*/**}")
        );
        for wrong in ["size:much", "within:soon", "status:done"] {
            assert!(parse(wrong).unwrap_err().starts_with(wrong), "{wrong}");
        }
        // What only looks like a word is text.
        assert!(parse("http:x").unwrap().glob.is_some());
    }
}
