//! A real server, written by other sessions while it is read.

mod harness;
mod hears;
mod outages;
mod rows;
mod tls;
mod writes;
