//! Writers that do not wait: whether something is lost, what the daemon costs, and what it costs the writer.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::{agree, paced};
use crate::bench::Bench;
use crate::daemon::Place;
use crate::reader::Reader;
use crate::report::Row;
use crate::stats::{rate, show, show_count, show_rate};

/// Files that a paced writer makes in a second.
const PACE: f64 = 5000.0;

/// A writer that does less than this part of what it should says nothing about the daemon.
const PACE_MIN: f64 = 0.9;

const RULE: &str = "[[rule]]\nname = \"old\"\nexpire = \"30d\"\n";

/// By turns beside the daemon and beside a bare reader; the other one has nothing to do then.
pub fn flat_out(bench: &mut Bench) -> anyhow::Result<Row> {
    let scale = bench.scale();
    let place = Place::new(bench.place("flat-out")?, RULE)?;
    let aside = bench.place("flat-out-aside")?;
    let (daemon, _) = place.start_ready()?;
    let mut client = daemon.client()?;
    let (mut ours, mut peer, mut caught_up, mut cpu) =
        (Duration::MAX, Duration::MAX, Duration::ZERO, Duration::ZERO);
    let mut ratios = Vec::new();
    let mut reader_cpu = Duration::ZERO;
    let mut reader_lost = 0;
    let mut reader_events = 0;
    for round in 0..scale.rounds {
        let top = aside.join(format!("r{round}"));
        paced::make_dirs(&top)?;
        let reader = Reader::start(&top)?;
        let beside_reader = create(&top, scale.flat_out)?;
        let counted = reader.finish()?;
        reader_cpu = counted.cpu;
        reader_lost += counted.overflows;
        reader_events = counted.events;

        let top = place.root().join(format!("r{round}"));
        paced::make_dirs(&top)?;
        client.sync()?;
        let before = daemon.seen();
        let beside_daemon = create(&top, scale.flat_out)?;
        let begun = Instant::now();
        client.sync()?;
        caught_up = caught_up.max(begun.elapsed());
        cpu = daemon.did_since(&before).cpu;
        ratios.push(beside_reader.as_secs_f64() / beside_daemon.as_secs_f64());
        ours = ours.min(beside_daemon);
        peer = peer.min(beside_reader);
    }
    let known = agree::check(bench, "flat out", &daemon, &place.root())?;
    let overflows = daemon.client()?.get("/v1/status")?["watches"]["overflows"].clone();
    daemon.stop()?;
    let ratio = peer.as_secs_f64() / ours.as_secs_f64();
    let ratios: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
    Ok(Row::new("flat-out", format!("{} files created flat out", show_count(scale.flat_out)))
        .ours(format!("writer {}", show_rate(scale.flat_out, ours)))
        .peer(format!("beside a bare reader {}", show_rate(scale.flat_out, peer)))
        .ratio(ratio)
        .budget("≥ 0.9, nothing lost", ratio >= 0.9)
        .note(format!(
            "{} rounds by turns, their ratios {}; {known} files compared with a walk. Known {} after the last at most; overflows of the kernel's queue: \
             ours {overflows}, the bare reader's {reader_lost} (it counted {reader_events} events in the last round). CPU in that round: daemon {:.2} s, reader {:.2} s",
            scale.rounds,
            ratios.join(", "),
            show(caught_up),
            cpu.as_secs_f64(),
            reader_cpu.as_secs_f64()
        ))
        .figure("writer_per_s", rate(scale.flat_out, ours))
        .figure("beside_reader_per_s", rate(scale.flat_out, peer))
        .figure("caught_up_s", caught_up.as_secs_f64())
        .figure("cpu_s", cpu.as_secs_f64()))
}

pub fn paced(bench: &mut Bench) -> anyhow::Result<Row> {
    let span = bench.scale().paced;
    let place = Place::new(bench.place("paced")?, RULE)?;
    let aside = bench.place("paced-aside")?;
    let top = place.root().join("top");
    paced::make_dirs(&top)?;
    paced::make_dirs(&aside)?;
    let (daemon, _) = place.start_ready()?;
    daemon.client()?.sync()?;
    let before = daemon.seen();
    let done = create_paced(&top, span)?;
    // The daemon lets go of a connection that was silent for as long as that took.
    let mut client = daemon.client()?;
    client.sync()?;
    let cpu = daemon.did_since(&before).cpu;
    let threads = daemon.seen().cpu_by_thread();
    let known = agree::check(bench, "paced", &daemon, &place.root())?;
    let overflows = client.get("/v1/status")?["watches"]["overflows"].clone();
    daemon.stop()?;
    let reader = Reader::start(&aside)?;
    let beside_reader = create_paced(&aside, span)?;
    let counted = reader.finish()?;
    let share = cpu.as_secs_f64() / done.wall.as_secs_f64();
    let peer = counted.cpu.as_secs_f64() / beside_reader.wall.as_secs_f64();
    Ok(Row::new("paced", "5 k files/s, paced")
        .ours(format!("{:.1} % of a core", share * 100.0))
        .peer(format!("bare reader {:.1} %", peer * 100.0))
        .ratio(share / peer.max(1e-6))
        .budget("≤ 10 %, nothing lost", share <= 0.1)
        .not_judged_if(done.rate() < PACE * PACE_MIN, "the writer was too slow")
        .note(format!(
            "{:.0} files/s for {:.1} s; {:.1} µs of CPU a file; {known} files compared with a walk; overflows {overflows}. {threads}. recorded: notify 6 %",
            done.rate(),
            done.wall.as_secs_f64(),
            cpu.as_secs_f64() * 1e6 / done.count as f64
        ))
        .figure("share", share)
        .figure("reader_share", peer)
        .figure("files_per_s", done.rate()))
}

/// Creates files as fast as it goes.
fn create(top: &Path, files: u64) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    for number in 0..files {
        std::fs::write(paced::path(top, number), b"")?;
    }
    Ok(begun.elapsed())
}

fn create_paced(top: &Path, span: Duration) -> anyhow::Result<paced::Done> {
    paced::run(PACE, span, &AtomicBool::new(false), |number| {
        Ok(std::fs::write(paced::path(top, number), b"paced")?)
    })
}
