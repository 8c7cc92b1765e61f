//! A daemon with nothing to do.

use std::time::Duration;

use super::session::Session;
use crate::bench::Bench;
use crate::daemon::wait_for;
use crate::report::Row;

/// What the last answers and removals left to do is done by then.
const SETTLED: Duration = Duration::from_secs(2);

/// CPU that rounds to 0.00 s.
const CPU_MAX: f64 = 0.005;

/// Wake-ups of the cache's threads in a second.
const CACHE_WAKES_PER_S_MAX: f64 = 8.0;

pub fn idle(bench: &mut Bench, session: &Session) -> anyhow::Result<Row> {
    let mut client = session.daemon.client()?;
    client.sync()?;
    wait_for("everything is saved", || {
        let cache = &client.get("/v1/status")?["cache"];
        let saved = cache["pending"] == 0 && cache["unstamped"] == 0;
        Ok(saved.then_some(()))
    })?;
    let span = bench.scale().idle;
    std::thread::sleep(SETTLED.min(span));
    let before = session.daemon.seen();
    std::thread::sleep(span);
    let after = session.daemon.seen();
    let did = before.until(&after);
    let seconds = span.as_secs_f64();
    let cache_wakes = did.cache_wakes as f64 / seconds;
    let cpu = did.cpu.as_secs_f64();
    let is_quiet = did.wakes == 0 && did.write_bytes == 0 && did.write_calls == 0;
    Ok(Row::new("idle", format!("{} for {seconds} s", session.title("idle")))
        .ours(format!("{} wake-ups, {cpu:.3} CPU s", did.wakes))
        .peer("watchman 0.00 s (recorded)")
        .budget("no wake-up, 0.00 CPU s, no fsync", is_quiet && cpu < CPU_MAX && cache_wakes <= CACHE_WAKES_PER_S_MAX)
        .note(format!(
            "written: {} calls, {} bytes, and who does not wake does not sync either; woken: {}. Threads of the cache: {cache_wakes:.1} \
             wake-ups/s (budget 7/s)",
            did.write_calls,
            did.write_bytes,
            Some(after.woken_since(&before))
                .filter(|woken| !woken.is_empty())
                .unwrap_or_else(|| "nobody".to_owned())
        ))
        .figure("wakes", did.wakes as f64)
        .figure("cache_wakes_per_s", cache_wakes)
        .figure("cpu_s", cpu)
        .figure("write_bytes", did.write_bytes as f64))
}
