//! Defaults and examples of all keys.

use std::collections::BTreeMap;

use super::super::schema::{Key, Nested, Section, TOP};
use super::*;

/// A valid configuration in which `key` of `section` has `value`.
fn with_key(section: &str, key: &Key, value: &str) -> String {
    let is_of = |kind: &str| key.kinds.iter().any(|of| of == kind);
    let of_server = is_of("postgres") && (!is_of("sqlite") || key.name == "url");
    let source = if of_server {
        vec![("url", "\"postgresql://h/d\"")]
    } else {
        vec![("kind", "\"sqlite\""), ("path", "\"jobs.db\"")]
    };
    let statements = [
        ("name", "\"app\""),
        ("select", "\"SELECT id FROM jobs\""),
        ("mark", "\"UPDATE jobs SET x = 1 WHERE id = :job\""),
    ];
    let mut tables = vec![
        ("source", [source, statements.to_vec()].concat()),
        (
            "root",
            vec![
                ("path", "\"x\""),
                ("name", "\"results\""),
                ("owner", "\"{job}/**\""),
            ],
        ),
        ("root", vec![("path", "\"y\""), ("name", "\"uploads\"")]),
        ("rule", vec![("expire", "\"1d\""), ("name", "\"old\"")]),
        ("variables", vec![("file", "\".env\"")]),
        ("schedule", vec![("name", "\"n\""), ("at", "\"0 2 * * *\"")]),
    ];
    match key.name.as_str() {
        "record" => tables[3].1.push(("unit", "\"job\"")),
        "per" => tables[3].1.push(("keep_last", "3")),
        _ => {}
    }
    // Every root has an owner template then.
    if key.name == "per" {
        tables.remove(2);
    }
    let mut text = match section {
        "" => format!("{} = {value}\n", key.name),
        "source" | "root" | "rule" | "variables" | "schedule" => {
            let mut found = tables.iter_mut();
            let (_, keys) = found.find(|(name, _)| *name == section).unwrap();
            let other = if key.name == "every" { "at" } else { "" };
            keys.retain(|(name, _)| *name != key.name && *name != other);
            keys.push((&key.name, value));
            if key.name == "params" {
                keys.push(("command", "\"cleanup\""));
            }
            String::new()
        }
        "http.tls" => {
            let other = if key.name == "key" { "cert" } else { "key" };
            format!("[{section}]\n{} = {value}\n{other} = \"x.pem\"\n", key.name)
        }
        "http.jwt" if !["secret", "key"].contains(&&*key.name) => {
            let secret = "secret = \"${JWT_SECRET}\"";
            format!("[{section}]\n{secret}\n{} = {value}\n", key.name)
        }
        "root.limit" | "rule.limit" | "root.alert" => String::new(),
        section if section.starts_with("notify") => String::new(),
        section if section.starts_with("command") || section.starts_with("endpoint") => {
            String::new()
        }
        section => format!("[{section}]\n{} = {value}\n", key.name),
    };
    for (name, keys) in tables {
        let lines = keys.iter().map(|(key, value)| format!("{key} = {value}\n"));
        text.extend([format!("[[{name}]]\n"), lines.collect()]);
    }
    text + &with_key_of_limit(section, key, value)
        + &with_key_of_adapter(section, key, value)
        + &with_key_of_notify(section, key, value)
}

/// A receiver in which `key` has `value`, with the keys that it needs.
fn with_key_of_notify(section: &str, key: &Key, value: &str) -> String {
    let Some(way) = section.strip_prefix("notify") else {
        return String::new();
    };
    let mut keys = BTreeMap::from([
        ("name".to_owned(), "\"ops\"".to_owned()),
        (
            "webhook.url".to_owned(),
            "\"https://example.com\"".to_owned(),
        ),
    ]);
    if key.name == "template" {
        keys.insert("webhook.format".to_owned(), "\"template\"".to_owned());
    }
    if way == ".mail" {
        for (name, value) in [
            ("to", "x@example.com"),
            ("from", "y@example.com"),
            ("server", "z"),
        ] {
            keys.insert(format!("mail.{name}"), format!("{value:?}"));
        }
        keys.insert("mail.user".to_owned(), "\"me\"".to_owned());
    }
    if way == ".heartbeat" {
        let url = "\"https://example.com\"".to_owned();
        keys.insert("heartbeat.url".to_owned(), url);
    }
    if value == "\"template\"" {
        keys.insert("webhook.template".to_owned(), "\"x\"".to_owned());
    }
    let name = [way.trim_start_matches('.'), &*key.name].join(".");
    keys.insert(name.trim_start_matches('.').to_owned(), value.to_owned());
    let lines = keys.iter().map(|(key, value)| format!("{key} = {value}\n"));
    format!("[[notify]]\n{}", lines.collect::<String>())
}

/// A limit in which `key` has `value`, with the keys that it needs.
fn with_key_of_limit(section: &str, key: &Key, value: &str) -> String {
    if section == "root.alert" {
        return format!("[root.alert]\n{} = {value}\n", key.name);
    }
    if !["root.limit", "rule.limit"].contains(&section) {
        return String::new();
    }
    let mut keys = BTreeMap::from([("max_files", "7")]);
    match &*key.name {
        "down_to" => drop(keys.insert("max_size", "\"1TiB\"")),
        "keep_at_least" => drop(keys.insert("min_free", "\"1GiB\"")),
        "min_free" | "min_free_inodes" => drop(keys.insert("keep_at_least", "1")),
        _ => {}
    }
    keys.insert(&key.name, value);
    let lines = keys.iter().map(|(key, value)| format!("{key} = {value}\n"));
    format!("[{section}]\n{}", lines.collect::<String>())
}

/// A command, and one more command or endpoint in which `key` has `value`.
fn with_key_of_adapter(section: &str, key: &Key, value: &str) -> String {
    let (table, nested) = section.split_once('.').unwrap_or((section, ""));
    let base = if key.name == "name" {
        "base"
    } else {
        "cleanup"
    };
    let mut keys = BTreeMap::from([("use", format!("{base:?}"))]);
    match table {
        "command" => keys.insert("name", "\"it\"".to_owned()),
        "endpoint" => {
            keys.insert("answer", "'{}'".to_owned());
            keys.insert("route", "\"POST /it\"".to_owned())
        }
        "schedule" if ["command", "params"].contains(&&*key.name) => {
            keys.insert("name", "\"it\"".to_owned())
        }
        _ => return String::new(),
    };
    let mut of_nested = match nested {
        "log" => BTreeMap::from([("on", "\"end\""), ("text", "\"x\"")]),
        "files" => BTreeMap::from([("name", "\"x\"")]),
        "params" => BTreeMap::from([
            ("name", "\"dry_run\""),
            ("type", "\"bool\""),
            ("default", "true"),
        ]),
        _ => BTreeMap::new(),
    };
    let (table, is_of_schedule) = match table {
        "schedule" => ("command", true),
        table => (table, false),
    };
    if is_of_schedule {
        // The key stands in the schedule.
    } else if nested.is_empty() {
        keys.insert(&key.name, value.to_owned());
    } else {
        of_nested.insert(&key.name, value);
    }
    let lines = |keys: &BTreeMap<&str, String>| -> String {
        let lines = keys
            .iter()
            .map(|(key, value)| [key, " = ", value, "\n"].concat());
        lines.collect()
    };
    let of_nested = of_nested.into_iter();
    let of_nested = of_nested
        .map(|(key, value)| (key, value.to_owned()))
        .collect();
    let heading = match nested {
        "" => String::new(),
        "exit" => format!("[{section}]\n"),
        _ => format!("[[{section}]]\n"),
    };
    format!(
        "[[command]]\nname = {base:?}\nrequest = '{{\"dry_run\": {{{{ params.dry_run }}}}}}'\n\
         [command.params]\ndry_run = {{ type = \"bool\", default = true }}\n\
         [[{table}]]\n{}{heading}{}",
        lines(&keys),
        lines(&of_nested),
    )
}

#[test]
fn every_default_and_every_example_is_valid() {
    fn check(section: &Section) {
        for key in &section.keys {
            match &key.nested {
                Some(Nested::Table(nested) | Nested::Tables(nested, _)) => check(nested),
                // Not every host has the group.
                None if key.name == "group" => {}
                None => {
                    for value in [&key.example, &key.usual] {
                        let text = with_key(&section.name, key, value);
                        let host = Host::with(&text).with_jwt_keys();
                        let host = host.user(rustix::process::geteuid().as_raw());
                        fs::write(host.path("data/.env"), "A=1\n").unwrap();
                        if let Err(error) = host.load() {
                            panic!("{text}{error}");
                        }
                    }
                }
            }
        }
    }
    check(&TOP);
}
