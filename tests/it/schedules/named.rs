//! Rules that a request has to name, and rules that are switched off.

use serde_json::json;

use super::{all_exist, make_files, none_exists, said_of};
use crate::common::{Place, errors, lines};

/// Two roots: everything in "archives" goes only by name, everything in "old" when asked.
fn config_of(more: &str) -> String {
    let rule = |name: &str, more: &str| {
        format!(
            "[[root]]\npath = \"{name}\"\n[[rule]]\nname = \"{name}\"\nroot = \"{name}\"\nexpire = \"0s\"\n{more}\n"
        )
    };
    [rule("archives", more), rule("old", "schedule = \"manual\"")].concat()
}

#[test]
fn a_named_rule_goes_only_when_a_request_names_it() {
    let place = Place::new();
    let archives = make_files(&place.make_dir("archives"), 2);
    let old = make_files(&place.make_dir("old"), 2);
    let config = place.config(&config_of("schedule = \"named\""));
    let arguments = ["--config", config.to_str().unwrap()];
    let checked = place.run(&["check", arguments[0], arguments[1]]);
    let checked = lines(&checked).join("\n");
    assert!(checked.contains("only when asked by its name"), "{checked}");
    // Without a daemon.
    let cleaned = place.run(&["clean", arguments[0], arguments[1]]);
    assert_eq!(cleaned.status.code(), Some(0), "{}", errors(&cleaned));
    assert_eq!(none_exists(&old), Some(()));
    assert!(all_exist(&archives));
    let old = make_files(&place.path("old"), 2);

    let daemon = place.serve_ready(&arguments);
    let said = said_of(&daemon, &archives[0]);
    assert!(said.contains("only when a clean names its rule"), "{said}");
    let (_, status) = daemon.get("/v1/status");
    assert_eq!(status["waits"]["named"]["files"], 2, "{status:#}");
    assert_eq!(status["waits"]["asked"]["files"], 2);
    let (_, plan) = daemon.get("/v1/plan");
    assert_eq!(
        (
            &plan["groups"][0]["schedule"],
            &plan["groups"][0]["waits"]["files"]
        ),
        (&json!("named"), &json!(2))
    );
    // Neither by a root, nor by another lifetime, nor by the start.
    for order in [
        json!({"dry_run": false}),
        json!({"dry_run": false, "roots": ["archives"]}),
        json!({"dry_run": false, "retention": {"archives": "0s"}}),
    ] {
        let (status, report) = daemon.post("/v1/clean", &order.to_string());
        assert_eq!(status, 200, "{report}");
        assert!(all_exist(&archives), "{order}: {report}");
    }
    assert_eq!(none_exists(&old), Some(()));
    let cleaned = place.run(&["clean", "--rule", "archives"]);
    assert_eq!(cleaned.status.code(), Some(0), "{}", errors(&cleaned));
    assert_eq!(none_exists(&archives), Some(()));
}

#[test]
fn the_clean_of_the_start_leaves_named_rules_alone() {
    let place = Place::new();
    let archives = make_files(&place.make_dir("archives"), 2);
    let old = make_files(&place.make_dir("old"), 2);
    let text = format!(
        "clean_at_start = true\n{}",
        config_of("schedule = \"named\"")
    );
    let config = place.config(&text);
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    daemon.wait_until_said("clean at start: 2 removed");
    assert_eq!(none_exists(&old), Some(()));
    assert!(all_exist(&archives));
}

#[test]
fn a_rule_that_is_switched_off_matches_nothing_and_is_told() {
    let place = Place::new();
    let archives = make_files(&place.make_dir("archives"), 2);
    place.make_dir("old");
    let config = place.config(&config_of("enabled = \"${ARCHIVES:-no}\""));
    let arguments = ["--config", config.to_str().unwrap()];
    let checked = place.run(&["check", arguments[0], arguments[1]]);
    let checked = lines(&checked).join("\n");
    assert!(
        checked.contains("rule \"archives\" is switched off"),
        "{checked}"
    );
    let shown = place.run(&["config", "show", arguments[0], arguments[1]]);
    let shown = lines(&shown).join("\n");
    assert!(shown.contains("enabled = \"no\""), "{shown}");
    let daemon = place.serve_ready(&arguments);
    assert!(said_of(&daemon, &archives[0]).contains("kept for ever"));
    let (_, settings) = daemon.get("/v1/settings");
    let rules = settings["rules"].as_array().unwrap();
    let last = &rules[rules.len() - 1];
    assert_eq!(
        (&last["name"], &last["enabled"]),
        (&json!("archives"), &json!(false))
    );
    let (status, refused) = daemon.post(
        "/v1/clean",
        &json!({"dry_run": false, "rules": ["archives"]}).to_string(),
    );
    assert_eq!(status, 400);
    assert!(refused.to_string().contains("switched off"), "{refused}");
    assert!(all_exist(&archives));
}
