//! Tables of strings: the user's words and their meanings.
//!
//! **Invariant:** words are taken as they are written; only their meanings may name variables.

use super::document::Section;
use super::error::Refusal;
use super::reader::{Reader, Text, empty};
use super::schema::{Accept, Key};

impl Reader<'_> {
    /// Reads `key` in `section`, a table of strings: each word with its text. Invalid ones are
    /// reported and left out.
    pub(super) fn words<'d>(&mut self, section: &Section<'d>, key: &Key) -> Vec<(&'d str, Text)> {
        let Some(value) = section.value(key.name) else {
            return Vec::new();
        };
        let Some(table) = value.get_ref().as_table() else {
            if let Some(text) = self.scalar(section, key.name, key, value) {
                let reason = format!("is a string, where {} should be", key.accept.as_str());
                let hint = format!("such as {} = {}", key.name, key.example);
                self.note(text.refuse(Refusal::new(reason).hint(hint)));
            }
            return Vec::new();
        };
        if table.is_empty() {
            self.note(empty(section, key, value, "{} is an empty table"));
        }
        let member = Key {
            accept: Accept::Text,
            ..*key
        };
        let texts = table.iter().map(|(word, value)| {
            let word: &str = word.get_ref();
            let written = format!("{}.{}", key.name, bare_or_quoted(word));
            Some((word, self.scalar(section, &written, &member, value)?))
        });
        texts.flatten().collect()
    }
}

/// Formats a key as TOML does.
fn bare_or_quoted(word: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !word.is_empty() && word.chars().all(is_bare) {
        word.to_owned()
    } else {
        format!("{word:?}")
    }
}
