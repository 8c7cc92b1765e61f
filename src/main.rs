//! The `lapsed` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    lapsed::cli::app::run(std::env::args_os())
}
