//! The manual page of the configuration file, `lapsed.toml(5)`.

use roff::{Inline, Roff, bold, roman};

use super::super::schema::{Key, Nested, Section, TOP};

/// Renders the manual page: every key with its reference text, its default or an example, and its
/// variable.
#[must_use]
pub fn manual_page() -> String {
    let mut page = Roff::new();
    page.control("TH", ["LAPSED.TOML", "5"]);
    page.control("SH", ["NAME"]);
    page.text([roman("lapsed.toml - configuration of lapsed")]);
    page.control("SH", ["DESCRIPTION"]);
    paragraphs(&mut page, &TOP.text);
    page.control("SH", ["SERVICE"]);
    keys(&mut page, &TOP);
    page.to_roff()
}

/// The keys of a section, and then its tables.
fn keys(page: &mut Roff, section: &Section) {
    for key in section.keys.iter().filter(|key| key.nested.is_none()) {
        page.control("TP", []);
        page.text([bold(key.name.as_str())]);
        page.text(inlines(&key.text.replace('\n', " ")));
        page.control("br", []);
        page.text(inlines(&facts(key)));
    }
    for key in &section.keys {
        let (heading, nested) = match &key.nested {
            None => continue,
            Some(Nested::Table(nested)) => (format!("[{}]", nested.name), nested),
            Some(Nested::Tables(nested, _)) => (format!("[[{}]]", nested.name), nested),
        };
        page.control("SH", [heading.as_str()]);
        paragraphs(page, &nested.text);
        keys(page, nested);
    }
}

/// Default or example of a key, its variable, and the kinds that it is for.
fn facts(key: &Key) -> String {
    let mut facts = vec![match &key.default {
        Some(_) => format!("Default: `{}`.", key.usual),
        None => format!("Example: `{} = {}`.", key.name, key.example),
    }];
    if key.is_required {
        facts.insert(0, "Required.".to_owned());
    }
    if let Some(variable) = &key.variable {
        facts.push(format!("Variable: `{variable}`."));
    }
    if !key.kinds.is_empty() {
        facts.push(format!("Only for kind = {}.", key.kinds.join(" or ")));
    }
    facts.join(" ")
}

fn paragraphs(page: &mut Roff, text: &str) {
    for paragraph in text.split("\n\n") {
        page.control("PP", []);
        page.text(inlines(&paragraph.replace('\n', " ")));
    }
}

/// Text with what stands between backquotes in bold.
fn inlines(text: &str) -> Vec<Inline> {
    let parts = text.split('`').zip([roman, bold].into_iter().cycle());
    parts.map(|(part, style)| style(part)).collect()
}
