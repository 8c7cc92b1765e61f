//! Help, usage and exit statuses.

use std::path::PathBuf;

use super::*;

#[test]
fn the_arguments_are_sound() {
    Cli::command().debug_assert();
}

/// Names in `command`, and in those below it, whose short help is longer than a line of a list.
fn long_helps(command: &clap::Command, long: &mut Vec<String>) {
    const COLUMNS_MAX: usize = 60;
    let about = command.get_about().map(ToString::to_string);
    let helps = command.get_arguments().filter_map(clap::Arg::get_help);
    let texts = about.into_iter().chain(helps.map(ToString::to_string));
    let is_long = |text: &String| text.chars().count() > COLUMNS_MAX;
    let found = texts.filter(is_long);
    long.extend(found.map(|text| format!("{}: {text}", command.get_name())));
    for below in command.get_subcommands() {
        long_helps(below, long);
    }
}

#[test]
fn every_help_fits_a_line() {
    let mut all = Cli::command();
    all.build();
    let mut long = Vec::new();
    // The program itself has a sentence.
    for command in all.get_subcommands() {
        long_helps(command, &mut long);
    }
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn common_options_stand_before_and_after_the_command() {
    for line in [
        "lapsed --json --socket /x ls",
        "lapsed ls --json --socket /x",
    ] {
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        assert!(cli.common.json, "{line}");
        assert_eq!(cli.common.socket, Some(PathBuf::from("/x")), "{line}");
    }
}

#[test]
fn bad_usage_ends_with_2_and_help_with_0() {
    let code = |line: &str| format!("{:?}", run(line.split(' ').map(Into::into)));
    let expected = |code: u8| format!("{:?}", ExitCode::from(code));
    assert_eq!(code("lapsed nonsense"), expected(2));
    assert_eq!(code("lapsed plan --within soon"), expected(2));
    assert_eq!(code("lapsed clean --retention x"), expected(2));
    assert_eq!(code("lapsed --version"), expected(0));
}

#[test]
fn endings_become_exit_statuses() {
    let status = |result| format!("{:?}", exit_status(result, Format::Text));
    assert_eq!(
        status(Err(ReaderGone.into())),
        format!("{:?}", ExitCode::SUCCESS)
    );
    assert_eq!(
        status(Err(anyhow::anyhow!("no daemon"))),
        format!("{:?}", ExitCode::from(2))
    );
    assert_eq!(
        status(Ok(ExitCode::from(1))),
        format!("{:?}", ExitCode::from(1))
    );
}
