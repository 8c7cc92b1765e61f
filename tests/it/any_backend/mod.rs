//! The tests that depend on where events come from: they run on each backend (see `backends`).

mod crash;
mod holds;
mod hostile;
mod lapse;
mod moves;
mod names;
mod restart;
mod roots;
mod watching;
