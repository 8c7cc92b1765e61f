//! A configuration for directories that are named, each with a time to live.
//!
//! **Invariant:** what is said of a setting is what the annotated default says of it: it is taken
//! from there.

use super::text::quote_literal;
use crate::config::{ANNOTATED_DEFAULT, Environment, Overrides, RootIds, load};
use crate::core::policy::{Root, Rule};

/// Headings of the settings of the service, of roots and of rules in the annotated default.
const SERVICE: &str = "";
const ROOT: &str = "[[root]]";
const RULE: &str = "[[rule]]";

const HEAD: &str = "\
# lapsed: what is watched, and when it lapses. Made by `lapsed init`.
#
# What stands behind a # is a setting as it could be; without it the default holds. `lapsed init --all` prints all there are.
# What this will do, in plain words and with examples: lapsed check --config FILE. An edit is put in force while the daemon runs.
";

/// Settings of the service that people want first.
const OF_SERVICE: [&str; 1] = ["dry_run"];
/// Those of a root.
const OF_ROOT: [&str; 1] = ["prune_empty_dirs"];
/// Those of a rule.
const OF_RULE: [&str; 5] = ["glob", "exclude", "since", "unit", "schedule"];

/// The configuration that watches what `watch` names: `PATH=TTL` each.
///
/// # Errors
/// What `lapsed serve --watch` would refuse.
pub(super) fn of(
    watch: &[String],
    allow_unsafe_roots: bool,
    environment: &Environment,
) -> anyhow::Result<String> {
    let overrides = Overrides {
        watch: watch.to_vec(),
        allow_unsafe_roots,
        ..Overrides::default()
    };
    // The variables of the service are for the daemon, which reads them again.
    let mut environment = environment.clone();
    let is_own = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("LAPSED_");
    environment.vars.retain(|name, _| !is_own(name));
    let settings = load(&overrides, &environment, &mut RootIds::default())?;
    let policy = &settings.policy;
    let mut text = HEAD.to_owned();
    text.push_str(&excerpts(SERVICE, &OF_SERVICE));
    let mut more = excerpts(ROOT, &OF_ROOT);
    for root in policy.roots.values() {
        text.push_str(&root_table(root, allow_unsafe_roots)?);
        text.push_str(&std::mem::take(&mut more));
    }
    let mut more = excerpts(RULE, &OF_RULE);
    for (rule, argument) in policy.rules.iter().zip(watch) {
        let mut roots = rule.roots.iter().flatten();
        let root = roots.find_map(|id| policy.roots.get(id));
        let ttl = argument.rsplit_once('=').map_or("", |(_, ttl)| ttl.trim());
        text.push_str(&rule_table(rule, root, ttl));
        text.push_str(&std::mem::take(&mut more));
    }
    Ok(text)
}

fn root_table(root: &Root, allow_unsafe: bool) -> anyhow::Result<String> {
    let Some(path) = root.path.to_str() else {
        anyhow::bail!(
            "{:?} is not UTF-8, which a configuration has to be\n  give another path that leads there",
            root.path.to_string_lossy()
        );
    };
    let (name, path) = (quote_literal(&root.name), quote_literal(path));
    let allow_unsafe = if allow_unsafe {
        "allow_unsafe = true\n"
    } else {
        ""
    };
    Ok(format!(
        "\n{ROOT}\nname = {name}\npath = {path}\n{allow_unsafe}"
    ))
}

fn rule_table(rule: &Rule, root: Option<&Root>, ttl: &str) -> String {
    let root = root.map_or_else(String::new, |root| {
        format!("root = {}\n", quote_literal(&root.name))
    });
    format!(
        "\n{RULE}\nname = {}\n{root}# How long a file lives after it was last touched in any way; or \"never\".\nexpire = {}\n",
        quote_literal(&rule.name),
        quote_literal(ttl)
    )
}

/// Texts of the annotated default about `keys` of a section, each after a blank line.
fn excerpts(section: &str, keys: &[&str]) -> String {
    let mut text = String::new();
    for found in keys.iter().filter_map(|key| excerpt(section, key)) {
        text.extend(["\n", &found, "\n"]);
    }
    text
}

/// The comment above `#KEY = …` behind the line `section`, and the settings that it explains.
fn excerpt(section: &str, key: &str) -> Option<String> {
    let lines: Vec<&str> = ANNOTATED_DEFAULT.lines().collect();
    let start = lines
        .iter()
        .position(|line| section.is_empty() || *line == section)?;
    let wanted = format!("#{key} = ");
    let found = lines[start..]
        .iter()
        .position(|line| line.starts_with(&wanted))?
        + start;
    let head = lines[..found]
        .iter()
        .rposition(|line| !line.starts_with("# "))?
        + 1;
    // Settings that are explained together stand together.
    let rest = lines[found..]
        .iter()
        .take_while(|line| line.starts_with('#'));
    let end = found + rest.count();
    Some(lines[head..end].join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_excerpt_is_there_with_what_explains_it() {
        for (section, keys) in [
            (SERVICE, &OF_SERVICE[..]),
            (ROOT, &OF_ROOT),
            (RULE, &OF_RULE),
        ] {
            for key in keys {
                let text = excerpt(section, key).unwrap_or_else(|| panic!("{section} {key}"));
                assert!(text.lines().count() > 1, "{text}");
                assert!(text.lines().all(|line| line.starts_with('#')), "{text}");
            }
        }
        assert_eq!(excerpt(RULE, "nonsense"), None);
    }
}
