//! Help, usage and exit statuses.

use super::*;

fn help_of(command: &[&str]) -> String {
    let mut all = Cli::command().term_width(100);
    all.build();
    let mut found = &mut all;
    for name in command {
        found = found.find_subcommand_mut(name).unwrap();
    }
    found.render_help().to_string()
}

#[test]
fn the_arguments_are_sound() {
    Cli::command().debug_assert();
}

#[test]
fn the_help_of_the_program() {
    insta::assert_snapshot!(help_of(&[]), @r"
    Lets temporary files live exactly as long as they should

    Usage: lapsed [OPTIONS] <COMMAND>

    Commands:
      serve    Watch, and let lapse what is due: the daemon, in the foreground
      init     Write an annotated configuration, from a preset or a few questions
      check    Validate the configuration, and say in plain words what it will do
      config   Print the schema of the configuration, its values, or its path
      status   How the daemon is, and what it watches
      ls       List files, with when they lapse
      explain  Why a file lapses when it does, or does not
      job      Tell of jobs, and ask about them
      pin      Have a path, or all that a job owns, stay for a while
      pins     What is pinned, by whom, why and until when
      extend   Have a pin end at another time
      unpin    Let go what a pin holds
      plan     What will lapse, and when
      clean    Remove now what is due
      stats    Files, bytes and lateness, by root and rule
      history  What was removed, newest first
      events   Follow what happens
      sync     Wait until everything that happened so far is known
      breaker  What the backlog breaker holds; `release` lets it go
      trigger  Print the trigger that has a PostgreSQL database tell of changes, ready for psql
      help     Print this message or the help of the given subcommand(s)

    Options:
      -h, --help     Print help
      -V, --version  Print version

    Common options:
          --config <FILE>    The configuration [default: the user's or the host's lapsed.toml]
          --socket <PATH>    The daemon's socket
          --state-dir <DIR>  Where the daemon keeps its state
          --json             Print one JSON object; lists are one object per line
      -v, --verbose...       Log more (repeatable)
      -q, --quiet...         Log less (repeatable)

    Exit status: 0 done, 1 done with errors, 2 could not run, 130 interrupted.
    Durations: 90s, 15m, 12h, 7d, 1h30m. Sizes: 1000, 10kB, 10M, 1.5GiB.
    ");
}

#[test]
fn the_help_of_serve() {
    insta::assert_snapshot!(help_of(&["serve"]), @r"
    Watch, and let lapse what is due: the daemon, in the foreground

    Usage: lapsed serve [OPTIONS]

    Options:
          --watch <PATH=TTL>    Watch PATH, and let its files lapse TTL after they were last touched
                                (repeatable)
          --base-dir <DIR>      What relative paths are below
          --allow-unsafe-roots  Take /, home directories and the like as roots, too
          --dry-run             Watch, count and tell, but remove nothing
      -h, --help                Print help

    Common options:
          --config <FILE>    The configuration [default: the user's or the host's lapsed.toml]
          --socket <PATH>    The daemon's socket
          --state-dir <DIR>  Where the daemon keeps its state
          --json             Print one JSON object; lists are one object per line
      -v, --verbose...       Log more (repeatable)
      -q, --quiet...         Log less (repeatable)
    ");
}

#[test]
fn the_help_of_ls() {
    insta::assert_snapshot!(help_of(&["ls"]), @r"
    List files, with when they lapse

    Usage: lapsed ls [OPTIONS]

    Options:
          --root <NAME>                 Only files of this root
          --job <JOB>                   Only files that this job owns
          --status <WORD>               Only files of jobs that stand like this
          --orphan                      Only files that nobody owns where somebody should
          --pinned                      Only files that a pin holds
          --rule <NAME>                 Only files under this rule; `none`: those that no rule matches
          --glob <GLOB>                 Only files whose path beneath the root matches
          --hold <CODE>                 Only files that are held so, such as `open`
          --expiring-within <DURATION>  Only files that lapse within this time
          --older-than <DURATION>       Only files whose content last changed longer ago
          --min-size <SIZE>             Only files of this size or more
          --sort <SORT>                 In which order [default: as they come] [possible values: age,
                                        size, deadline, path]
          --reverse                     The other way round
      -n, --limit <LIMIT>               So many at most
          --sync                        First wait until everything that happened so far is known
      -h, --help                        Print help (see more with '--help')

    Common options:
          --config <FILE>    The configuration [default: the user's or the host's lapsed.toml]
          --socket <PATH>    The daemon's socket
          --state-dir <DIR>  Where the daemon keeps its state
          --json             Print one JSON object; lists are one object per line
      -v, --verbose...       Log more (repeatable)
      -q, --quiet...         Log less (repeatable)
    ");
}

#[test]
fn the_help_of_clean() {
    insta::assert_snapshot!(help_of(&["clean"]), @r"
    Remove now what is due

    Usage: lapsed clean [OPTIONS]

    Options:
      -n, --dry-run               Only tell what would go
          --root <NAME>           Only in this root (repeatable)
          --rule <NAME>           Only by this rule (repeatable)
          --job <JOB>             Only what this job owns (repeatable)
          --orphans-only          Only what nobody owns
          --retention <RULE=TTL>  Another time to live than the rule's, this once (repeatable)
          --release               Release the breaker of these roots first, and go on
          --all                   List everything, however long
          --watch <PATH=TTL>      Watch PATH, and let its files lapse TTL after they were last touched
                                  (repeatable)
          --base-dir <DIR>        What relative paths are below
          --allow-unsafe-roots    Take /, home directories and the like as roots, too
      -h, --help                  Print help

    Common options:
          --config <FILE>    The configuration [default: the user's or the host's lapsed.toml]
          --socket <PATH>    The daemon's socket
          --state-dir <DIR>  Where the daemon keeps its state
          --json             Print one JSON object; lists are one object per line
      -v, --verbose...       Log more (repeatable)
      -q, --quiet...         Log less (repeatable)
    ");
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
