//! Help, usage and exit statuses.

use std::path::PathBuf;

use super::*;

#[test]
fn the_arguments_are_sound() {
    Cli::command().debug_assert();
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
    let status = |result| format!("{:?}", exit_status(result));
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
