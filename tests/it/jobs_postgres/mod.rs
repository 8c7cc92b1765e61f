//! Jobs of PostgreSQL databases, on the real binary with real servers: they go down, fail over, take away rights and columns, and
//! keep what they hear to themselves.

mod cleans;
mod hanging;
mod lives;
mod outages;
mod refused;
mod trigger;
mod world;
