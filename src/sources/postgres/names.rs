//! Named parameters: `:job` in a statement of the user → `$1` for the server.
//!
//! Strings, quoted names, dollar-quoted bodies and comments are left alone, as the lexical rules of
//! chapter 4.1 of the manual delimit them; so are casts (`::text`) and slices (`[1:2]`).
//!
//! **Invariant:** each occurrence gets a number of its own, so that the server may find another
//! type for it at each place.

use std::fmt::Write;

/// A statement for the server, and the names that its parameters had, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Numbered {
    pub(super) sql: String,
    pub(super) names: Vec<String>,
}

/// Rewrites `sql`.
pub(super) fn number(sql: &str) -> Numbered {
    let mut out = String::with_capacity(sql.len());
    let mut names = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let is_after_word = out.ends_with(is_part);
        let skipped = match first {
            '\'' => quoted(rest, '\'', is_escaping(&out)),
            '"' => quoted(rest, '"', Escapes::Doubled),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => comment(rest),
            '$' if !is_after_word => dollars(rest),
            ':' if rest.starts_with("::") => 2,
            ':' => {
                let name: String = rest[1..].chars().take_while(|&c| is_part(c)).collect();
                let is_name = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
                // A word or a number before it: a slice of an array.
                if is_name && !is_after_word {
                    rest = &rest[1 + name.len()..];
                    names.push(name);
                    let _ = write!(out, "${}", names.len());
                    continue;
                }
                1
            }
            other => other.len_utf8(),
        };
        out.push_str(&rest[..skipped]);
        rest = &rest[skipped..];
    }
    Numbered { sql: out, names }
}

fn is_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Way in which a quote is written within quotes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    Doubled,
    /// Or behind a backslash.
    Backslash,
}

/// Returns whether a string that begins behind `before` is one with escapes: `E'…'`.
fn is_escaping(before: &str) -> Escapes {
    let mut back = before.chars().rev();
    let is_e = matches!(back.next(), Some('e' | 'E'));
    if is_e && !back.next().is_some_and(is_part) {
        Escapes::Backslash
    } else {
        Escapes::Doubled
    }
}

/// The length of what stands in quotes; one that is doubled ends one string and begins another.
fn quoted(text: &str, quote: char, escapes: Escapes) -> usize {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == '\\' && escapes == Escapes::Backslash {
            chars.next();
        } else if c == quote {
            if text[at + 1..].starts_with(quote) {
                chars.next();
            } else {
                return at + 1;
            }
        }
    }
    text.len()
}

/// The length of a comment, with those within it.
fn comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// The length of `$tag$…$tag$`; of a `$` that begins none, 1.
fn dollars(text: &str) -> usize {
    let Some(end) = text[1..].find('$') else {
        return 1;
    };
    let tag = &text[..end + 2];
    let name = &tag[1..tag.len() - 1];
    if !name.chars().all(is_part) || name.starts_with(|c: char| c.is_ascii_digit()) {
        return 1;
    }
    match text[tag.len()..].find(tag) {
        Some(close) => tag.len() + close + tag.len(),
        None => text.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_numbers() {
        for (sql, expected, names) in [
            (
                "UPDATE jobs SET a = :now WHERE id = :job",
                "UPDATE jobs SET a = $1 WHERE id = $2",
                "now job",
            ),
            ("(:job,:job)", "($1,$2)", "job job"),
            (":a::text||:b", "$1::text||$2", "a b"),
            ("x::timestamptz", "x::timestamptz", ""),
            ("a[1:2] , b[x:y]", "a[1:2] , b[x:y]", ""),
            ("':job' \":job\" :job", "':job' \":job\" $1", "job"),
            ("'it''s :job' = :job", "'it''s :job' = $1", "job"),
            ("E'\\':job' || :job", "E'\\':job' || $1", "job"),
            ("e'\\\\' || :job", "e'\\\\' || $1", "job"),
            ("'\\' || :job", "'\\' || $1", "job"),
            ("name'\\' || :job", "name'\\' || $1", "job"),
            ("$$ :job $$ :job", "$$ :job $$ $1", "job"),
            ("$t$ :job $$ $t$ :job", "$t$ :job $$ $t$ $1", "job"),
            ("a$b$ :job", "a$b$ $1", "job"),
            ("-- :job\n:job", "-- :job\n$1", "job"),
            (
                "/* /* :job */ :job */ :job",
                "/* /* :job */ :job */ $1",
                "job",
            ),
            ("'open :job", "'open :job", ""),
            (": job := 1", ": job := 1", ""),
            (":größe", "$1", "größe"),
        ] {
            let numbered = number(sql);
            assert_eq!(numbered.sql, expected, "{sql}");
            assert_eq!(numbered.names.join(" "), names, "{sql}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_lost(sql in "[ab:'\"$/*\\\\E\n-]{0,40}") {
            let Numbered { sql: mut text, names } = number(&sql);
            for (at, name) in names.iter().enumerate().rev() {
                text = text.replacen(&format!("${}", at + 1), &format!(":{name}"), 1);
            }
            proptest::prop_assert_eq!(text, sql);
        }
    }
}
