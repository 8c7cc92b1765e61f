//! `config/monitoring`: alerts and a board, held against a real scrape.

use std::collections::BTreeSet;
use std::path::PathBuf;

use regex::Regex;
use serde_json::Value;

use super::{Scrape, busy, promtool};

fn shipped(name: &str) -> PathBuf {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/config/monitoring");
    PathBuf::from(dir).join(name)
}

#[test]
fn each_alert_fires_when_it_should() {
    let rules = shipped("alerts.yml");
    promtool(&["check", "rules", rules.to_str().unwrap()], "");
    let tests = shipped("alerts_test.yml");
    promtool(&["test", "rules", tests.to_str().unwrap()], "");
    // None is forgotten.
    let rules = std::fs::read_to_string(rules).unwrap();
    let tests = std::fs::read_to_string(tests).unwrap();
    let names = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    let names: Vec<_> = names.collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        assert!(
            tests.contains(&format!("\"{name}\"")),
            "{name} is not tested"
        );
    }
    for key in ["severity: ", "summary: ", "description: ", "runbook: "] {
        assert_eq!(
            rules.matches(&format!(" {key}")).count(),
            rules.matches("- alert: ").count(),
            "{key}"
        );
    }
}

/// Returns all texts under the key `expr`.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            let expression = members.get("expr").and_then(Value::as_str);
            found.extend(expression.map(str::to_owned));
            members.values().for_each(|value| expressions(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| expressions(value, found)),
        _ => {}
    }
}

#[test]
fn alerts_and_board_ask_for_metrics_that_there_are() {
    let (_place, daemon, _held) = busy();
    let scrape = Scrape::of(&daemon);
    let types = scrape
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    let families: BTreeSet<&str> = types.filter_map(|line| line.split(' ').next()).collect();

    let board = std::fs::read_to_string(shipped("grafana.json")).unwrap();
    let board: Value = serde_json::from_str(&board).unwrap();
    let alerts = std::fs::read_to_string(shipped("alerts.yml")).unwrap();
    let alerts = alerts
        .lines()
        .filter_map(|line| line.trim().strip_prefix("expr: "));
    let mut asked: Vec<String> = alerts.map(str::to_owned).collect();
    expressions(&board, &mut asked);
    assert!(asked.len() > 40, "{asked:?}");

    let name = Regex::new(r"\b(lapsed|process)_[a-z_]+").unwrap();
    let part = Regex::new("_(bucket|sum|count)$").unwrap();
    for expression in &asked {
        for found in name.find_iter(expression) {
            let found = found.as_str();
            let family = part.replace(found, "");
            let is_known = families.contains(found) || families.contains(&*family);
            assert!(is_known, "no {found}, which {expression} asks for");
        }
    }
    // The board runs against any data source.
    let panels = board["panels"].as_array().unwrap();
    for panel in panels {
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel}");
    }
}
