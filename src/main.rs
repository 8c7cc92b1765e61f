//! The `lapsed` command.

fn main() {}
