//! How soon a new file is in the index.

use std::time::{Duration, Instant};

use super::session::Session;
use crate::bench::Bench;
use crate::report::Row;
use crate::stats::{Samples, ms, show_ms};

/// Between two files: each is an event of its own.
const GAP: Duration = Duration::from_millis(2);

/// A file that is not seen by then is lost.
const PATIENCE: Duration = Duration::from_secs(30);

pub fn measure(bench: &mut Bench, session: &Session) -> anyhow::Result<Row> {
    let mut client = session.daemon.client()?;
    let samples = bench.scale().samples as u64;
    let (mut alone, mut behind) = (Vec::new(), Vec::new());
    for sample in 0..samples {
        let dir = session
            .root()
            .join(session.tree.dir(sample % session.tree.dirs()));
        let path = dir.join(format!("seen-{sample}"));
        let target = format!("/v1/explain?path={}", path.display());
        let begun = Instant::now();
        std::fs::write(&path, b"seen")?;
        while !is_known(&client.ask("GET", &target)?) {
            anyhow::ensure!(
                begun.elapsed() < PATIENCE,
                "{} is never seen",
                path.display()
            );
        }
        alone.push(ms(begun.elapsed()));
        std::fs::remove_file(&path)?;

        let path = dir.join(format!("synced-{sample}"));
        let target = format!("/v1/explain?path={}", path.display());
        let begun = Instant::now();
        std::fs::write(&path, b"seen")?;
        client.sync()?;
        behind.push(ms(begun.elapsed()));
        if !is_known(&client.ask("GET", &target)?) {
            bench.wrong(format!(
                "{} is not in the index behind a barrier",
                path.display()
            ));
        }
        std::fs::remove_file(&path)?;
        std::thread::sleep(GAP);
    }
    let (alone, behind) = (Samples::new(alone), Samples::new(behind));
    Ok(Row::new("visible", session.title("event → visible in the index"))
        .ours(format!("p50 {}, p99 {}", show_ms(alone.p50()), show_ms(alone.p99())))
        .peer("watchman 20.9 / 32.3 ms (recorded)")
        .budget("p50 ≤ 1 ms, p99 ≤ 10 ms", alone.p50() <= 1.0 && alone.p99() <= 10.0)
        .note(format!(
            "from before the file is created until an answer has it; with a barrier, until the barrier is through: p50 {}, p99 {}",
            show_ms(behind.p50()),
            show_ms(behind.p99())
        ))
        .figure("p50_ms", alone.p50())
        .figure("p99_ms", alone.p99())
        .figure("barrier_p50_ms", behind.p50())
        .figure("barrier_p99_ms", behind.p99()))
}

fn is_known(answer: &[u8]) -> bool {
    const KNOWN: &[u8] = b"\"found\":\"file\"";
    answer.windows(KNOWN.len()).any(|part| part == KNOWN)
}
