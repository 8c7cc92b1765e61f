//! The watcher on real trees: what it reports, applied to a plain map, must be what an independent walk finds.
#![expect(
    clippy::disallowed_methods,
    reason = "the tests play the neighbours that change the trees"
)]

mod barriers;
mod churn;
mod harness;
mod limits;
mod mounts;
mod overflow;
mod roots;
mod tree_changes;
