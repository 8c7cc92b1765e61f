//! Measures every budget of the design with the real binary, over its real socket, on a real file system.
//!
//! `cargo bench` prints one row for each budget: ours, the peer's figure from the same run, their ratio, the budget, and whether
//! it is met. `cargo bench -- --help` names the options. A budget that is not met is a finding, not a failure; the exit status
//! is 1 only when something is wrong: a file lost, an early removal, a daemon that died.
//!
//! `cargo test` runs the same rows with tiny counts, so that they cannot rot; nothing is judged on speed then.
//!
//! **Invariant:** no row depends on another one, and a run leaves nothing behind.
//! **Invariant:** what frees many inodes comes last, or the file system would tell of that in every row after it.

#![allow(
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::similar_names,
    clippy::naive_bytecount,
    reason = "a benchmark is the users' file system and clock, and its figures are rounded for people"
)]

mod bench;
mod daemon;
mod http;
mod machine;
mod options;
mod peers;
mod process;
mod pure_core;
mod reader;
mod report;
mod rows;
mod stats;
mod tree;
mod walk;

use std::process::ExitCode;

use bench::Bench;
use options::{Options, Wanted};

fn main() -> ExitCode {
    let wanted = match Options::from_command_line() {
        Ok(wanted) => wanted,
        Err(error) => {
            eprintln!("{error:#}");
            return ExitCode::from(2);
        }
    };
    let done = match wanted {
        Wanted::Help(text) => {
            println!("{text}");
            return ExitCode::SUCCESS;
        }
        Wanted::Nothing => return ExitCode::SUCCESS,
        Wanted::Reader(dir) => reader::run(&dir).map(|()| true),
        Wanted::Core(what) => pure_core::run(&what).map(|()| true),
        Wanted::Run(options) => measure(*options),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether nothing was wrong.
fn measure(options: Options) -> anyhow::Result<bool> {
    let mut bench = Bench::new(options)?;
    rows::measure(&mut bench);
    bench.finish()
}
