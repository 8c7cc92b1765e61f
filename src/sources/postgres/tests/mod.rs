//! A real server, written by other sessions while it is read.

mod harness;
mod notifications;
mod outages;
mod rows;
mod tls;
mod writes;
