//! Composed files say what was meant.

use std::os::unix::ffi::OsStrExt;

use proptest::prelude::*;

use super::super::presets::{ALL, with_base_dir};
use super::super::text::{for_shell, quote_literal};
use super::*;

fn environment() -> Environment {
    Environment {
        current_dir: Some("/here".into()),
        ..Environment::new()
    }
}

fn loaded(text: &str, environment: &Environment) -> Settings {
    load_text(
        Path::new("/etc/lapsed.toml"),
        text,
        &Overrides::default(),
        environment,
    )
    .unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn every_preset_is_sound_and_says_what_it_is_for_and_what_its_paths_are_below() {
    for preset in &*ALL {
        let hints = judge(
            Path::new("/srv/app/lapsed.toml"),
            preset.text,
            &environment(),
        );
        let mistakes = hints.err().map(|error| error.to_string());
        assert_eq!(mistakes, None, "{}", preset.name);
        let first = preset.text.lines().next().unwrap_or_default();
        let head = format!("# {}: ", preset.name);
        assert!(first.starts_with(&head), "{}: {first}", preset.name);
        assert!(!preset.description().is_empty() && !preset.description().contains('#'));
        let bases = preset
            .text
            .lines()
            .filter(|line| line.starts_with("base_dir = "));
        assert_eq!(bases.count(), 1, "{}", preset.name);
    }
}

#[test]
fn a_base_directory_is_put_in_and_all_else_stays() {
    let preset = "# x: y\nbase_dir = \"${X_DIR:-.}\"   # where\n[[root]]\npath = \"${X_UP:-up}\"\n";
    let edited = with_base_dir(preset, Path::new("/srv/my app")).unwrap();
    assert_eq!(
        edited,
        preset.replace("\"${X_DIR:-.}\"", "\"${X_DIR:-/srv/my app}\"")
    );
    let plain = with_base_dir("base_dir = '.' # where", Path::new("/srv")).unwrap();
    assert_eq!(plain, "base_dir = \"/srv\" # where");
    let braces = with_base_dir(preset, Path::new("/a}b")).unwrap();
    assert!(
        braces.contains("base_dir = \"/a}b\"   # where\n"),
        "{braces}"
    );
    let odd = Path::new(std::ffi::OsStr::from_bytes(b"/\xff"));
    assert!(with_base_dir(preset, odd).is_err());
}

#[test]
fn a_variable_still_goes_before_the_base_directory() {
    let preset = "base_dir = \"${X_DIR:-.}\"\n[[root]]\npath = \"up\"\n";
    let edited = with_base_dir(preset, Path::new("/srv")).unwrap();
    assert_eq!(loaded(&edited, &environment()).base_dir, Path::new("/srv"));
    let mut environment = environment();
    environment.vars.insert("X_DIR".into(), "/other".into());
    assert_eq!(loaded(&edited, &environment).base_dir, Path::new("/other"));
}

#[test]
fn directories_that_are_named_become_roots_and_rules_with_what_else_there_is() {
    let keep = tempfile::tempdir().unwrap();
    let dir = keep.path().canonicalize().unwrap();
    let odd = dir.join("a \"$HOME\" = {x}");
    for dir in [&odd, &dir.join("b")] {
        std::fs::create_dir(dir).unwrap();
    }
    let mut environment = environment();
    environment.current_dir = Some(dir.clone());
    // The daemon reads it, and says so.
    environment
        .vars
        .insert("LAPSED_DRY_RUN".into(), "perhaps".into());
    let watch = [format!("{}=1h30m", odd.display()), "b=never".to_owned()];
    let text = draft::of(&watch, false, &environment).unwrap();
    environment.vars.clear();
    let settings = loaded(&text, &environment);
    let paths: Vec<_> = settings
        .policy
        .roots
        .values()
        .map(|root| &*root.path)
        .collect();
    assert_eq!(paths, [&*odd, &*dir.join("b")]);
    let rules = &settings.policy.rules;
    assert_eq!(rules[0].expire_ms, Some(5_400_000));
    assert_eq!(rules[1].expire_ms, None);
    assert_eq!(rules[1].roots.as_ref().map(Vec::len), Some(1));
    assert!(
        text.contains("\n#glob = ") && text.contains("lapsed init --all"),
        "{text}"
    );
    assert_eq!(text.matches("#glob = ").count(), 1, "explained once");
}

#[test]
fn what_is_commented_out_can_be_put_in() {
    let keep = tempfile::tempdir().unwrap();
    let dir = keep.path().canonicalize().unwrap();
    let watch = [format!("{}=7d", dir.display())];
    let text = draft::of(&watch, true, &environment()).unwrap();
    assert!(text.contains("\nallow_unsafe = true\n"), "{text}");
    let settings: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with('#') && !line.starts_with("# ") && *line != "#")
        .collect();
    assert!(settings.len() > 5, "{settings:?}");
    for line in settings {
        loaded(&text.replace(line, &line[1..]), &environment());
    }
}

#[test]
fn what_hangs_on_the_environment_is_a_hint_and_what_is_wrong_is_refused() {
    let path = Path::new("/etc/lapsed.toml");
    let unset = "[[root]]\npath = \"${NO_SUCH_VARIABLE}\"\n";
    let (_, hints) = judge(path, unset, &environment()).unwrap();
    assert!(hints[0].contains("NO_SUCH_VARIABLE"), "{hints:?}");
    let mut odd = environment();
    odd.vars.insert("LAPSED_DRY_RUN".into(), "perhaps".into());
    let (_, hints) = judge(path, "[[root]]\npath = \"/srv/x\"\n", &odd).unwrap();
    assert!(hints[0].contains("LAPSED_DRY_RUN"), "{hints:?}");
    let (_, absent) = judge(path, "[[root]]\npath = \"/no/such\"\n", &environment()).unwrap();
    assert_eq!(
        absent,
        ["root \"such\": \"/no/such\" is not there yet and is waited for"]
    );
    let wrong = judge(path, "[[root]]\npath = \"/\"\n", &environment())
        .err()
        .unwrap();
    assert!(wrong.to_string().contains("allow_unsafe"), "{wrong}");
}

#[test]
fn a_preset_says_where_its_files_are_looked_for_when_that_is_in_doubt() {
    let omr = Wanted::Preset(presets::named("omr").unwrap(), None);
    let place = |path: &str| Place::File(path.into());
    let hints = |wanted: &Wanted, path: &str, environment: &Environment| {
        compose((wanted, false), &place(path), false, environment)
            .map(|sound| sound.hints.join("\n"))
    };
    let at_home = hints(&omr, "/srv/app/x.toml", &environment()).unwrap();
    assert!(
        at_home.contains("lies below \"/srv/app\"; --base-dir DIR"),
        "{at_home}"
    );
    let refused = hints(&omr, "/etc/lapsed/lapsed.toml", &environment()).unwrap_err();
    assert!(
        refused.to_string().contains("say where: --base-dir DIR"),
        "{refused}"
    );
    let below = Wanted::Preset(presets::named("omr").unwrap(), Some("up".into()));
    let plain = hints(&below, "/etc/x.toml", &environment()).unwrap();
    assert!(!plain.contains("--base-dir"), "{plain}");
    let mut other = environment();
    other
        .vars
        .insert("LAPSED_BASE_DIR".into(), "/srv/other".into());
    let other = hints(&below, "/etc/x.toml", &other).unwrap();
    assert!(
        other.contains("\"/srv/other\", which goes before --base-dir"),
        "{other}"
    );
}

proptest! {
    #[test]
    fn any_directory_survives(dir in "/(\\PC|[\\t\"'\\\\$\\{\\}\u{7f}\u{1}]){0,12}") {
        let preset = "base_dir = \"${X_DIR:-.}\"\n[[root]]\npath = \"/srv/up\"\n";
        let tidy: PathBuf = Path::new(&dir).components().collect();
        let edited = with_base_dir(preset, &tidy).unwrap();
        // What names a directory has no "..", which would be looked up.
        prop_assume!(!dir.contains(".."));
        prop_assert_eq!(loaded(&edited, &environment()).base_dir, tidy);
    }

    #[test]
    fn any_text_is_quoted(text in "(\\PC|[\\t\\n\"'\\\\$\u{7f}\u{1}]){0,12}") {
        let toml = format!("x = {}", quote_literal(&text));
        let table: toml::Table = toml.parse().unwrap();
        let value = table["x"].as_str().unwrap().to_owned();
        prop_assert_eq!(value.replace("$$", "$"), text);
    }

    #[test]
    fn a_shell_reads_the_word_that_was_meant(word in "[a-z' \"$\\\\*~/.]{0,8}") {
        let line = format!("printf %s {}", for_shell(&word));
        let output = std::process::Command::new("sh").arg("-c").arg(line).output().unwrap();
        prop_assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
    }
}
