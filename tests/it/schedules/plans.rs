//! Plans, lists and the status of what waits.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{config_of, make_files};
use crate::common::{Place, lines, wait_for};

/// Of three that have to be asked for, five due ones and a young one under a daily schedule, and one that goes by itself.
#[track_caller]
fn assert_plan_of_what_waits(plan: &Value) {
    assert_eq!(plan["files"], 7, "{plan:#}");
    assert_eq!(plan["waits"]["files"], 3);
    let groups = plan["groups"].as_array().unwrap();
    let of = |name: &str| groups.iter().find(|group| group["rule"] == name).unwrap();
    let asked = of("asked");
    assert_eq!(
        (&asked["files"], &asked["waits"]["files"]),
        (&json!(0), &json!(3))
    );
    assert_eq!(
        (&asked["schedule"], &asked["next"]),
        (&json!("manual"), &Value::Null)
    );
    let daily = of("daily");
    // The young one may be due at the second midnight from now, too.
    assert_eq!(
        (&daily["waits"]["files"], &daily["overdue"]["files"]),
        (&json!(0), &json!(0))
    );
    assert!(daily["next"].is_string(), "{daily}");
    let hours = plan["hours"].as_array().unwrap();
    let total: u64 = hours
        .iter()
        .map(|hour| hour["files"].as_u64().unwrap())
        .sum();
    assert_eq!(total, 7, "the hours are those of the groups");
    let at_midnight: Vec<_> = hours
        .iter()
        .filter(|hour| hour["files"].as_u64() >= Some(5))
        .collect();
    assert_eq!(
        at_midnight.len(),
        1,
        "what is due goes at the next midnight: {hours:?}"
    );
    assert!(at_midnight[0]["from"].as_str() <= daily["next"].as_str());
}

#[test]
fn plans_lists_and_the_status_know_what_waits() {
    let place = Place::new();
    let rule = |name: &str, schedule: &str| {
        format!(
            "[[root]]\npath = \"{name}\"\n[[rule]]\nname = \"{name}\"\nroot = \"{name}\"\nsince = \"mtime\"\nexpire = \"1d\"\n{schedule}\n"
        )
    };
    let old = SystemTime::now() - Duration::from_hours(48);
    for (name, count) in [("asked", 3), ("daily", 5), ("usual", 1)] {
        let dir = place.make_dir(name);
        for number in 0..count {
            let file = std::fs::File::create(dir.join(number.to_string())).unwrap();
            file.set_modified(old).unwrap();
        }
    }
    std::fs::write(place.path("daily/young"), b"x").unwrap();
    std::fs::File::options()
        .write(true)
        .open(place.path("usual/0"))
        .unwrap()
        .set_modified(SystemTime::now())
        .unwrap();
    let config = place.config(
        &[
            rule("asked", "schedule = \"manual\""),
            rule("daily", "schedule = \"@daily\""),
            rule("usual", ""),
        ]
        .concat(),
    );
    let config = config.to_str().unwrap();
    // The same without a daemon.
    let alone = place.run(&["plan", "--json", "--within", "49h", "--config", config]);
    assert_plan_of_what_waits(&serde_json::from_slice(&alone.stdout).unwrap());
    let daemon = place.serve_ready(&["--config", config]);
    assert_plan_of_what_waits(&daemon.get("/v1/plan?within=49h").1);

    let told = lines(&place.run(&["plan", "--within", "1m"])).join("\n");
    assert!(
        told.contains("3 files (0 B) wait to be asked: lapsed clean"),
        "{told}"
    );
    assert!(told.contains("when asked"), "{told}");

    let files = daemon.files("");
    let of = |name: &str| &files[&place.path(name)];
    assert_eq!(
        (&of("asked/0")["lapses_at"], &of("asked/0")["reason"]),
        (&Value::Null, &json!("asked"))
    );
    assert_eq!(of("daily/0")["reason"], "schedule");
    assert!(of("daily/0")["lapses_at"].as_str() > of("daily/0")["deadline"].as_str());
    assert_eq!(
        of("daily/0")["lapses_at"],
        daemon.get("/v1/plan").1["groups"][1]["next"]
    );
    assert_eq!(of("usual/0")["lapses_at"], of("usual/0")["deadline"]);
    let listed = lines(&place.run(&["ls", "--root", "asked"])).join("\n");
    assert!(
        listed.contains("when asked") && !listed.contains("ago  asked"),
        "{listed}"
    );
    let listed = lines(&place.run(&["ls", "--root", "daily"])).join("\n");
    assert!(listed.contains("  00:00"), "{listed}");
    let (_, why) = daemon.get(&format!(
        "/v1/explain?path={}",
        place.path("daily/0").display()
    ));
    assert_eq!(why["lapses_at"], of("daily/0")["lapses_at"], "{why:#}");

    let (_, status) = daemon.get("/v1/status");
    assert_eq!(status["due"]["files"], 0, "{status:#}");
    assert_eq!(status["waits"]["asked"]["files"], 3);
    assert_eq!(status["waits"]["scheduled"]["files"], 5);
    assert_eq!(status["waits"]["next"], of("daily/0")["lapses_at"]);
    let told = lines(&place.run(&["status"])).join("\n");
    assert!(told.contains("waiting  5 files (0 B) for 00:00"), "{told}");
    assert!(
        told.contains("waiting  3 files (0 B) to be asked for: lapsed clean"),
        "{told}"
    );
    assert!(
        told.contains(&format!("config   {config}, read ")),
        "{told}"
    );
}

#[test]
fn the_status_knows_what_is_due_and_held_and_a_reload_that_failed() {
    let place = Place::new();
    let data = place.make_dir("data");
    make_files(&data, 30);
    let config = place.config(&config_of("[breaker]\nentries = 10\n", ""));
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    let (_, status) = daemon.get("/v1/status");
    assert_eq!(
        (&status["health"], &status["due"]["files"]),
        (&json!("holding"), &json!(30)),
        "{status:#}"
    );
    assert_eq!(
        status["due"]["ends"],
        Value::Null,
        "nothing goes while all of it is held"
    );
    let told = place.run(&["status"]);
    let text = lines(&told).join("\n");
    assert!(text.contains("due      30 files (30 B)\n"), "{text}");
    assert!(
        text.contains("next     nothing after what is due"),
        "{text}"
    );
    assert_eq!(told.status.code(), Some(0));
    assert_eq!(place.run(&["status", "--check"]).status.code(), Some(1));

    place.config("[[root]]\npath = 7\n");
    daemon.wait_until_said("cannot reload");
    let (_, status) = daemon.get("/v1/status");
    let failed = &status["configuration"]["failed"];
    assert!(
        failed["error"].as_str().unwrap().contains("lapsed.toml:2"),
        "{failed}"
    );
    let text = lines(&place.run(&["status"])).join("\n");
    assert!(text.contains("config: the last reload failed"), "{text}");
    place.config(&config_of("[breaker]\nentries = 1000\n", ""));
    wait_for("the reload that succeeds is noted", || {
        daemon.get("/v1/status").1["configuration"]["failed"]
            .is_null()
            .then_some(())
    });
    assert_eq!(place.run(&["breaker", "release"]).status.code(), Some(0));
    wait_for("all of it goes", || {
        (daemon.get("/v1/status").1["due"]["files"] == 0).then_some(())
    });
    let text = lines(&place.run(&["status"])).join("\n");
    assert!(text.contains("next     nothing has a deadline"), "{text}");
    assert!(daemon.get("/v1/status").1["due"]["per_second"].as_f64() > Some(0.0));
    assert_eq!(place.run(&["status", "--check"]).status.code(), Some(0));
}
