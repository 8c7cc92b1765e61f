//! Values as other languages spell them: strings of TOML, words of a shell.

/// `text` as a string of TOML, as it is: variables in it stay variables.
pub(super) fn quote(text: &str) -> String {
    // JSON's strings are TOML's, but for this one character, which TOML wants spelled out.
    serde_json::Value::from(text)
        .to_string()
        .replace('\u{7f}', "\\u007F")
}

/// `text` as a string of TOML that names no variables.
pub(super) fn quote_literal(text: &str) -> String {
    quote(&text.replace('$', "$$"))
}

/// `word` as a word of a POSIX shell.
pub(in crate::cli::commands) fn for_shell(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,:@%^=".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
