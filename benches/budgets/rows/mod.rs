//! The rows of the design's table, in its order.

mod agree;
mod flood;
mod lateness;
mod limits;
mod paced;
mod quiet;
mod removal;
mod session;
mod sized;
mod visible;

use super::bench::Bench;
use super::report::Row;

/// Every row's key, in the order of the table.
pub const KEYS: [&str; 24] = [
    "lateness-idle",
    "lateness-load",
    "visible",
    "memory",
    "crawl",
    "restart",
    "lookup",
    "plan",
    "list",
    "expire",
    "remove-units",
    "remove-job",
    "remove-dirs",
    "remove-files",
    "remove-files-unleased",
    "remove-files-1",
    "remove-files-10k",
    "remove-one",
    "idle",
    "flat-out",
    "paced",
    "limit-decision",
    "limit-held",
    "10M",
];

/// So many files have a row of their own.
const HUGE: u64 = 10_000_000;

pub fn measure(bench: &mut Bench) {
    bench.row("lateness-idle", lateness::idle);
    bench.row("lateness-load", lateness::under_load);
    let sizes = bench.sizes();
    for files in &sizes {
        session::measure(bench, *files, sizes.last() == Some(files));
    }
    bench.row("flat-out", flood::flat_out);
    bench.row("paced", flood::paced);
    bench.row("limit-decision", limits::decision);
    bench.row("limit-held", limits::held);
    removal::measure(bench);
    if !sizes.contains(&HUGE) {
        bench.row("10M", |_| {
            Ok(Row::new("10M", "10 M files")
                .ours("–")
                .budget("≤ 0.9 GB, ready ≤ 5 s", false)
                .not_judged("on request: --files 10M"))
        });
    }
}
