//! Warnings and refusals of `check`, and its lines on a terminal.

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use super::{CONFIG, checked, database, insert, prepared};
use crate::common::commands::said;
use crate::common::terminal::Terminal;
use crate::common::trees::write;
use crate::common::{Place, errors};

#[test]
fn likely_mistakes_are_warned_of() {
    let place = prepared();
    let rest = "[[root]]\npath = \"lost\"\n[[rule]]\nname = \"none such\"\nroot = \"cache\"\nglob = \"*.none\"\nexpire = \"1d\"\n";
    place.make_dir("lost");
    place.config(&[CONFIG, rest].concat());
    let db = database(&place);
    db.execute("DELETE FROM jobs", []).unwrap();
    insert(&db, "other", "completed", Some("2001-01-01T00:00:00Z"));
    assert_eq!(
        checked(&place, &[])["warnings"],
        json!([
            "root \"results\": none of the 6 jobs that the paths name (such as \"done\") is known to source \"eemt\": is it the right one, \
             and owner = \"{job}/**\"?",
            "no rule is for root \"lost\": all of it is kept for ever",
            "rule \"results of successful jobs\" matches no file at present",
            "rule \"none such\" matches no file at present",
        ])
    );
    // Without a look only what the configuration alone shows.
    let quick = checked(&place, &["--quick"]);
    assert_eq!(quick["warnings"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&quick["rules"][0]["now"], &quick["roots"][0]["files"]),
        (&Value::Null, &Value::Null)
    );
}

#[test]
fn what_the_daemon_was_told_and_cannot_be_read_is_said() {
    let place = prepared();
    write(&place.path("state/registry.db"), 5000);
    let told = checked(&place, &[]);
    assert!(
        told["unread"].as_str().unwrap().contains("registry.db"),
        "{told:#}"
    );
    assert_eq!(told["rules"][0]["now"]["files"], 3);
}

#[test]
fn lines_fit_a_terminal_and_names_cannot_command_it() {
    let place = prepared();
    let odd = place.path("results/older/\u{1b}[31m and \u{202e} a rather long name with blanks, for nobody to read.tif");
    write(&odd, 1);
    for columns in [40, 80] {
        let mut command = place.lapsed();
        command.args(["check", "--config", "lapsed.toml"]);
        let (status, shown) = Terminal::start(command, columns).end();
        assert!(status.success(), "{shown}");
        assert!(shown.contains("would lapse"), "{shown}");
        assert!(
            shown.chars().all(|c| c == '\n' || !c.is_control()),
            "{shown:?}"
        );
        for line in shown.lines() {
            let is_one_word = !line.trim().trim_start_matches("- ").contains(' ');
            assert!(
                line.width() <= columns.into() || is_one_word,
                "{columns}: {line}"
            );
        }
    }
}

#[test]
fn a_wrong_configuration_is_refused_as_ever() {
    let place = Place::new();
    place.config("[[root]]\npath = \"x\"\n[[rule]]\nexpire = \"soon\"\n");
    let output = place.run(&["check", "--config", "lapsed.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(errors(&output).contains("lapsed.toml:4"), "{output:?}");
}

#[test]
fn the_settings_in_force_are_shown_with_their_origins() {
    let place = Place::new();
    let config = place.config(
        "[breaker]\nentries = \"${MANY:-7}\"\n[[source]]\nname = \"app\"\nselect = \"SELECT id FROM jobs\"\n\
         url = \"postgresql://me:hunter2@db.example.org/app\"\n[[root]]\npath = \"data\"\n[[rule]]\n\
         job = [\"completed\", \"failed\"]\nexpire = \"1d\"\n",
    );
    let config = config.to_str().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = place.lapsed();
        command.args(arguments).args(["--config", config]);
        let output = command.env("LAPSED_DRY_RUN", "yes").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let shown = run(&["config", "show", "--allow-unsafe-roots"]);
    let lines: Vec<&str> = shown.lines().collect();
    for line in [
        "socket_mode = \"0660\"  # default".to_owned(),
        "dry_run = \"yes\"  # LAPSED_DRY_RUN".to_owned(),
        "allow_unsafe_roots = true  # --allow-unsafe-roots".to_owned(),
        format!("entries = 7  # {config}:2"),
        "share = 0.5  # default".to_owned(),
        format!("# url is hidden  # {config}:6"),
        format!("job = [\"completed\", \"failed\"]  # {config}:10"),
        "since = \"newest\"  # default".to_owned(),
    ] {
        assert!(lines.contains(&&*line), "{line}\n{shown}");
    }
    assert!(!shown.contains("hunter2"), "{shown}");
    // Without the origins it is a configuration, but for secrets.
    let shown = shown.replace("# url is hidden", "url = \"postgresql://h/d\"");
    let other = place.path("shown.toml");
    std::fs::write(&other, shown).unwrap();
    said(
        &place,
        &["check", "--quick", "--config", other.to_str().unwrap()],
    );

    let all: Value = serde_json::from_str(&run(&["config", "show", "--json"])).unwrap();
    assert_eq!(
        all["dry_run"],
        json!({"value": "\"yes\"", "origin": "LAPSED_DRY_RUN"})
    );
    assert_eq!(all["source"][0]["url"]["value"], Value::Null);
    assert_eq!(all["rule"][0]["unit"]["origin"], "default");
    assert_eq!(run(&["config", "path"]).trim_end(), config);
    let schema = include_str!("../../../config/lapsed.schema.json");
    assert_eq!(run(&["config", "schema"]), schema);
}
