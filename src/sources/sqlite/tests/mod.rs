//! Real databases, written by another process while they are read.

mod checks;
mod harness;
mod idle;
mod loads;
mod missing_columns;
mod moments;
mod outages;
mod polled;
mod rows;
mod scale;
mod unnamed;
mod writes;
