//! Questions, answers that cannot be, and an end of the answers.

use super::super::questions::{Asker, Unanswered};
use super::*;

/// A place with directories, and what is asked in it.
struct Room {
    _keep: tempfile::TempDir,
    dir: PathBuf,
    environment: Environment,
}

impl Room {
    fn new() -> Self {
        let keep = tempfile::tempdir().unwrap();
        let dir = keep.path().canonicalize().unwrap();
        for name in ["scratch", "cache"] {
            std::fs::create_dir(dir.join(name)).unwrap();
        }
        std::fs::write(dir.join("file"), b"").unwrap();
        let environment = Environment {
            current_dir: Some(dir.clone()),
            vars: [("HOME".into(), dir.clone().into_os_string())].into(),
            ..Environment::new()
        };
        Self {
            _keep: keep,
            dir,
            environment,
        }
    }

    fn usual(&self) -> PathBuf {
        self.dir.join("etc/lapsed.toml")
    }

    /// Result of `answers`, and the output.
    fn asked(&self, answers: &str) -> (Result<(Wanted, Option<PathBuf>), Unanswered>, String) {
        let mut said = Vec::new();
        let mut asker = Asker {
            input: answers.as_bytes(),
            output: &mut said,
            environment: &self.environment,
            width: None,
        };
        let result = asker.all(None, Some(&self.usual()), false);
        (result, String::from_utf8(said).unwrap())
    }

    fn watched(&self, name: &str, ttl: &str) -> String {
        format!("{}={ttl}", self.dir.join(name).display())
    }
}

#[test]
fn a_preset_is_chosen_by_number_or_name_and_return_takes_the_rest() {
    let room = Room::new();
    for (answer, name) in [("1", "audio"), ("5", "storage"), ("eemt", "eemt")] {
        let (result, said) = room.asked(&format!("{answer}\n\n\n"));
        let (wanted, file) = result.unwrap();
        assert_eq!(
            wanted,
            Wanted::Preset(presets::named(name).unwrap(), Some(room.dir.clone()))
        );
        assert_eq!(file, Some(room.usual()));
        for preset in &*presets::ALL {
            assert!(said.contains(preset.description()), "{said}");
        }
    }
}

#[test]
fn directories_are_asked_for_until_there_are_no_more() {
    let room = Room::new();
    let (result, _) = room.asked("\nscratch\n\n~/cache\n1h30m\n\nother.toml\n");
    let (wanted, file) = result.unwrap();
    assert_eq!(
        wanted,
        Wanted::Watch(vec![
            room.watched("scratch", "7d"),
            room.watched("cache", "1h30m")
        ])
    );
    assert_eq!(file, Some(room.dir.join("other.toml")));
}

#[test]
fn an_answer_that_cannot_be_is_said_and_asked_again() {
    let room = Room::new();
    let answers = "9\nnonsense\n0\n\nmissing\nfile\n/\nscratch\nsoon\n-1d\n1d\nscratch\ncache\n2d\n\nfile\n.\nnew.toml\n";
    let (result, said) = room.asked(answers);
    let (wanted, file) = result.unwrap();
    assert_eq!(
        wanted,
        Wanted::Watch(vec![
            room.watched("scratch", "1d"),
            room.watched("cache", "2d")
        ])
    );
    assert_eq!(file, Some(room.dir.join("new.toml")));
    for told in [
        "give a number from 0 to 5",
        "there is no such directory",
        "that is no directory",
        "files in it would be removed",
        "has the TTL \"soon\"",
        "is the same directory as that of root",
        "there is a file already",
        "that is a directory: give a file",
    ] {
        assert!(said.contains(told), "{told}:\n{said}");
    }
    assert_eq!(said.matches("Number [0]: ").count(), 3, "{said}");
}

#[test]
fn an_end_of_the_answers_ends_at_every_question() {
    let room = Room::new();
    let answers = ["1\n", "\n", "\n"];
    for count in 0..answers.len() {
        let (result, _) = room.asked(&answers[..count].concat());
        assert!(matches!(result, Err(Unanswered::Ended)), "{count}");
    }
    let (result, _) = room.asked(&answers.concat());
    assert!(result.is_ok());
}

#[test]
fn what_was_given_is_not_asked_for() {
    let room = Room::new();
    let mut said = Vec::new();
    let mut asker = Asker {
        input: &b"0\n2\n"[..],
        output: &mut said,
        environment: &room.environment,
        width: Some(40),
    };
    let base = Path::new("scratch");
    let (wanted, file) = asker.all(Some(base), None, false).unwrap();
    let eemt = presets::named("eemt").unwrap();
    assert_eq!(wanted, Wanted::Preset(eemt, Some(room.dir.join("scratch"))));
    assert_eq!(file, None);
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("give a number from 1 to 5"), "{said}");
    let mut presets = said.lines().filter(|line| line.starts_with("  "));
    assert!(presets.all(|line| line.chars().count() <= 40), "{said}");
}
