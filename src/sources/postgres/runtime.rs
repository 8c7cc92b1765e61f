//! Thread that drives the connections of all PostgreSQL sources.
//!
//! The client of PostgreSQL is asynchronous: its sockets are served here, while those who ask wait
//! on their own threads.

use std::io;

use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};

/// Returns the runtime of all connections, which lives as long as the process.
///
/// # Errors
/// When the system gives out no thread.
pub(super) fn handle() -> io::Result<Handle> {
    static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);
    let mut place = RUNTIME.lock();
    let runtime = match &mut *place {
        Some(runtime) => runtime,
        none => none.insert(
            Builder::new_multi_thread()
                .worker_threads(1)
                .thread_name("jobs-postgres")
                .enable_all()
                .build()?,
        ),
    };
    Ok(runtime.handle().clone())
}
