//! Words: names of items, comments, and the first lines of documentation.

use crate::sources::{assert_none, sources};

/// Parts whose words are those of the house: plain English, and names of the trade.
const WORDED: [&str; 15] = [
    "app", "cache", "cli", "clock", "config", "core", "daemon", "fs", "http", "ledger", "reap",
    "registry", "sources", "types", "watch",
];

/// Widest comment: rustfmt does not wrap them.
const COMMENT_COLUMNS_MAX: usize = 100;

/// First words of documentation that asks instead of telling.
const QUESTIONS: [&str; 10] = [
    "What", "Whether", "Who", "Whose", "Whom", "How", "Where", "When", "Why", "Which",
];

/// Words that no name of an item may have: inventions that a search engine does not find, and
/// agents without a name.
const BANNED: [&str; 18] = [
    "lain", "heed", "mind", "hear", "told", "heard", "nobody", "somebody", "anybody", "whoever",
    "greeting", "recalled", "doomed", "ear", "bell", "unasked", "homeless", "noted",
];

/// Names of systems that presets are for: the code knows of none.
const SYSTEMS: [&str; 5] = ["omr", "eemt", "math2visual", "\"audio\"", "\"storage\""];

/// The words that a name is made of, in lower case: `take_up`, `TakeUp` and `TAKE_UP` have two.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        if c == '_' || (c.is_uppercase() && was_lower) {
            words.push(String::new());
        }
        was_lower = c.is_lowercase() || c.is_ascii_digit();
        if let Some(word) = words.last_mut().filter(|_| c != '_') {
            word.extend(c.to_lowercase());
        }
    }
    words
}

/// The names of items that a line of code declares.
fn declared(line: &str) -> Vec<&str> {
    const KINDS: [&str; 8] = [
        "fn", "struct", "enum", "trait", "mod", "const", "static", "type",
    ];
    let words: Vec<&str> = line
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .collect();
    let pairs = words.windows(2).filter(|pair| KINDS.contains(&pair[0]));
    pairs.map(|pair| pair[1]).collect()
}

#[test]
fn comments_fit_on_a_page() {
    let mut wrong = Vec::new();
    for source in sources() {
        let lines = (1..).zip(source.text.lines());
        for (number, line) in lines.filter(|_| WORDED.contains(&source.part())) {
            let is_wide = line.chars().count() > COMMENT_COLUMNS_MAX;
            if is_wide && line.trim_start().starts_with("//") {
                wrong.push(format!("{}:{number}", source.name));
            }
        }
    }
    let what = format!("comments of more than {COMMENT_COLUMNS_MAX} columns");
    assert_none(&what, &wrong);
}

#[test]
fn documentation_tells_and_does_not_ask() {
    let mut wrong = Vec::new();
    for source in sources() {
        let mut before = "";
        let lines = (1..).zip(source.text.lines());
        for (number, line) in lines.filter(|_| WORDED.contains(&source.part())) {
            let line = line.trim_start();
            let doc = ["/// ", "//! "]
                .iter()
                .find_map(|begin| line.strip_prefix(begin));
            let is_first = !before.starts_with("///") && !before.starts_with("//!");
            let asks = |doc: &str| {
                let first = doc.split(|c: char| !c.is_alphabetic()).next();
                first.is_some_and(|word| QUESTIONS.contains(&word))
            };
            if is_first && doc.is_some_and(asks) {
                wrong.push(format!("{}:{number}", source.name));
            }
            before = line;
        }
    }
    assert_none(
        "begin with a noun, or with a verb in the third person",
        &wrong,
    );
}

#[test]
fn names_are_words_of_the_trade() {
    let mut wrong = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| WORDED.contains(&source.part()))
    {
        for (number, line) in source.code(true) {
            for name in declared(line) {
                let words = words_of(name);
                if words.iter().any(|word| BANNED.contains(&word.as_str())) {
                    wrong.push(format!("{}:{number} declares {name}", source.name));
                }
            }
        }
    }
    assert_none("say it as the field does", &wrong);
}

#[test]
fn no_system_that_a_preset_is_for_is_named() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (number, line) in source.code(false) {
            if SYSTEMS.iter().any(|name| line.contains(name)) {
                wrong.push(format!("{}:{number}", source.name));
            }
        }
    }
    assert_none("names a system: it belongs to config/presets", &wrong);
}

#[test]
fn names_are_split_into_words() {
    assert_eq!(words_of("TakeUp2Pages"), ["take", "up2", "pages"]);
    assert_eq!(words_of("TOLD_MAX"), ["told", "max"]);
    assert_eq!(declared("pub(super) fn told(of: Told) {"), ["told"]);
    assert_eq!(declared("impl Iterator for Told {"), [""; 0]);
}
