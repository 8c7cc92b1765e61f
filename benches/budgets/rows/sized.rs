//! The rows that depend on the size of the tree.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::fs::CWD;

use super::session::{DAY_MS, LIFE_DAYS, Session};
use crate::bench::Bench;
use crate::daemon::wait_for;
use crate::http::Client;
use crate::report::Row;
use crate::stats::{Samples, ms, show, show_ms};
use crate::tree::{self, now_ms};
use crate::{peers, process, pure_core, walk};

/// Where a budget is said for a million files.
const MILLION: f64 = 1e6;

const TOO_SMALL: &str = "a small tree";

/// How often the deadline may come too early; each time it is given twice as long.
const TRIES: u64 = 4;

/// Bytes a file of the index alone, of the process after its load, and of the process after churn.
const INDEX_BYTES_MAX: f64 = 45.0;
const LOADED_BYTES_MAX: f64 = 80.0;
const CHURNED_BYTES_MAX: f64 = 90.0;

/// What of a tree gets a new name before memory is measured once more: one file in so many, in turns.
const CHURN: u64 = 5;

pub fn crawl(bench: &Bench, session: &Session) -> Row {
    let ratio = session.crawl.as_secs_f64() / session.bare.as_secs_f64();
    Row::new("crawl", session.title("first crawl, warm"))
        .ours(format!("{}, CPU {:.2} s", show(session.crawl), session.crawl_cpu.as_secs_f64()))
        .peer(format!("bare loop {}; find {}", show(session.bare), show(session.find.wall)))
        .ratio(ratio)
        .budget("≤ 1.3 × bare loop", ratio <= 1.3)
        .not_judged_if(session.tree.files < bench.scale().judged_files_min, TOO_SMALL)
        .note(format!(
            "from the start of the process to the end of the crawl, {} watches included; to find: {:.2}. \
             recorded: watchman 6.3 CPU s a million",
            session.tree.dirs(),
            session.crawl.as_secs_f64() / session.find.wall.as_secs_f64()
        ))
        .figure("ours_s", session.crawl.as_secs_f64())
        .figure("cpu_s", session.crawl_cpu.as_secs_f64())
        .figure("bare_s", session.bare.as_secs_f64())
        .figure("find_s", session.find.wall.as_secs_f64())
}

pub fn lookup(bench: &mut Bench, session: &Session) -> anyhow::Result<Row> {
    let mut client = session.daemon.client()?;
    let (mut plain, mut behind) = (Vec::new(), Vec::new());
    for sample in 0..bench.scale().samples as u64 {
        let number = sample.wrapping_mul(7_919_993) % session.tree.files;
        let target = format!("/v1/explain?path={}", session.path(number));
        let begun = Instant::now();
        let answer = client.ask("GET", &target)?;
        plain.push(ms(begun.elapsed()));
        let begun = Instant::now();
        client.sync()?;
        client.ask("GET", &target)?;
        behind.push(ms(begun.elapsed()));
        let is_known = answer.windows(14).any(|part| part == b"\"found\":\"file\"");
        ensure!(
            is_known,
            "the file at {target} is not known: {}",
            String::from_utf8_lossy(&answer)
        );
    }
    let (plain, behind) = (Samples::new(plain), Samples::new(behind));
    Ok(Row::new(
        "lookup",
        session.title("lookup on the socket / with barrier"),
    )
    .ours(format!(
        "p50 {} / {}",
        show_ms(plain.p50()),
        show_ms(behind.p50())
    ))
    .peer("watchman 0.085 / 0.225 ms (recorded)")
    .budget(
        "≤ 0.1 / 0.25 ms",
        plain.p50() <= 0.1 && behind.p50() <= 0.25,
    )
    .note(format!(
        "explain; the barrier is a request of its own before it. p99 {} / {}",
        show_ms(plain.p99()),
        show_ms(behind.p99())
    ))
    .figure("p50_ms", plain.p50())
    .figure("p99_ms", plain.p99())
    .figure("barrier_p50_ms", behind.p50())
    .figure("barrier_p99_ms", behind.p99()))
}

pub fn plan(bench: &mut Bench, session: &Session) -> anyhow::Result<Row> {
    let mut client = session.daemon.client()?;
    let mut samples = Vec::new();
    for _ in 0..bench.scale().samples {
        let begun = Instant::now();
        client.ask("GET", "/v1/plan?within=24h")?;
        samples.push(ms(begun.elapsed()));
    }
    let samples = Samples::new(samples);
    let minutes = (LIFE_DAYS - 1) * 24 * 60;
    let find = peers::find(
        &session.root(),
        &["-type", "f", "-mmin", &format!("+{minutes}")],
    )?;
    check_plan(bench, session, &client.get("/v1/plan?within=24h")?)?;
    let ratio = samples.p50() / ms(find.wall);
    Ok(Row::new("plan", session.title("how much lapses within 24 h?"))
        .ours(format!("p50 {}", show_ms(samples.p50())))
        .peer(format!("find -mmin {}", show(find.wall)))
        .ratio(ratio)
        .budget("≤ 1 ms", samples.p50() <= 1.0)
        .note(format!("p99 {}; exact to the millisecond, with 24 hours one by one. recorded: watchman 93 ms", show_ms(samples.p99())))
        .figure("p50_ms", samples.p50())
        .figure("p99_ms", samples.p99())
        .figure("find_ms", ms(find.wall)))
}

/// Counts what lapses until the plan's end, from the files themselves.
fn check_plan(
    bench: &mut Bench,
    session: &Session,
    plan: &serde_json::Value,
) -> anyhow::Result<()> {
    let until = plan["until"].as_str().context("a plan without end")?;
    let until = until.parse::<jiff::Timestamp>()?.as_millisecond();
    let counts = walk::walk(&session.root(), |count: &mut u64, found| {
        *count += u64::from(found.mtime_ms + LIFE_DAYS * DAY_MS <= until);
    })?;
    let truth: u64 = counts.into_iter().sum();
    if plan["files"].as_u64() != Some(truth) {
        bench.wrong(format!(
            "the plan says that {} files lapse; {truth} do",
            plan["files"]
        ));
    }
    Ok(())
}

pub fn list(bench: &mut Bench, session: &Session) -> anyhow::Result<Row> {
    let mut client = session.daemon.client()?;
    let (mut best, mut lines, mut bytes) = (Duration::MAX, 0, 0);
    let before = session.daemon.seen();
    for _ in 0..bench.scale().rounds {
        (lines, bytes) = (0_u64, 0_usize);
        let begun = Instant::now();
        client.lines("/v1/files", |part| {
            lines += part.iter().filter(|byte| **byte == b'\n').count() as u64;
            bytes += part.len();
        })?;
        best = best.min(begun.elapsed());
    }
    let did = session.daemon.did_since(&before);
    let cpu = did.cpu.as_secs_f64() / bench.scale().rounds as f64;
    ensure!(lines == session.tree.files, "the list has {lines} lines");
    let budget = 0.8 * session.tree.files as f64 / MILLION;
    let ratio = best.as_secs_f64() / session.find.wall.as_secs_f64();
    Ok(Row::new("list", session.title("list all"))
        .ours(show(best))
        .peer(format!("find -printf {}", show(session.find.wall)))
        .ratio(ratio)
        .budget(format!("≤ {} (0.8 s a million)", show_ms(budget * 1000.0)), best.as_secs_f64() <= budget)
        .not_judged_if(session.tree.files < bench.scale().judged_files_min, TOO_SMALL)
        .note(format!(
            "{:.1} MB of lines with rules and deadlines, {cpu:.2} s of CPU a list. recorded: watchman 0.80 s",
            bytes as f64 / 1e6
        ))
        .figure("ours_s", best.as_secs_f64())
        .figure("cpu_s", cpu)
        .figure("find_s", session.find.wall.as_secs_f64()))
}

/// One file in a thousand comes to its deadline, each in another directory, all at once.
pub fn expire(bench: &mut Bench, session: &Session) -> anyhow::Result<Row> {
    let mut client = session.daemon.client()?;
    let mut margin = bench.scale().margin;
    let prepared = (0..TRIES).find_map(|turn| {
        let prepared = prepare(session, &mut client, turn, margin);
        margin *= 2;
        prepared.transpose()
    });
    let Due {
        chosen,
        deadline,
        removed_before,
        find,
    } = prepared.context("the deadline always came before everything was ready")??;
    let count = chosen.len() as u64;
    let before = session.daemon.seen();
    wait_for("one file in a thousand goes", || {
        let gone = chosen
            .iter()
            .all(|path| !std::path::Path::new(path).exists());
        Ok((gone && crate::daemon::is_settled(&session.root())).then_some(()))
    })?;
    let wall_ms = now_ms() - deadline;
    let did = session.daemon.did_since(&before);
    let status = wait_for("the index forgets them", || {
        let status = client.get("/v1/status")?;
        Ok((removed(&status) >= removed_before + count).then_some(status))
    })?;
    if removed(&status) != removed_before + count {
        bench.wrong(format!(
            "{} files went, {count} were due",
            removed(&status) - removed_before
        ));
    }
    let budget = 0.1 * session.tree.files as f64 / MILLION;
    let cpu = did.cpu.as_secs_f64();
    let ratio = cpu / find.cpu.as_secs_f64().max(0.001);
    Ok(Row::new("expire", session.title("0.1 % expire: CPU"))
        .ours(format!("{:.1} ms", cpu * 1000.0))
        .peer(format!("find -mmin {:.0} ms", find.cpu.as_secs_f64() * 1000.0))
        .ratio(ratio)
        .budget(format!("≤ {:.0} ms (0.1 s a million)", budget * 1000.0), cpu <= budget)
        .not_judged_if(session.tree.files < bench.scale().judged_files_min, TOO_SMALL)
        .note(format!(
            "{count} files in as many directories, {:.0} µs of CPU each; all gone and recorded {wall_ms} ms after the deadline. \
             find only looks, it removes nothing. recorded: find 1.85 s, systemd-tmpfiles 1.56 s a million",
            cpu * 1e6 / count as f64
        ))
        .figure("cpu_s", cpu)
        .figure("find_cpu_s", find.cpu.as_secs_f64()))
}

/// What is about to go.
struct Due {
    chosen: Vec<String>,
    deadline: i64,
    removed_before: u64,
    find: peers::Took,
}

/// Gives one file in a thousand a deadline after `margin`; nothing when that had passed before the peer was through.
fn prepare(
    session: &Session,
    client: &mut Client,
    turn: u64,
    margin: Duration,
) -> anyhow::Result<Option<Due>> {
    let count = (session.tree.files / 1000).max(1);
    let removed_before = removed(&client.get("/v1/status")?);
    let deadline = now_ms() + margin.as_millis() as i64;
    let chosen: Vec<String> = (0..count)
        .map(|number| session.path(number * 1000 + turn))
        .collect();
    for path in &chosen {
        tree::set_time(CWD, path.as_str(), deadline - LIFE_DAYS * DAY_MS)?;
    }
    client.sync()?;
    let minutes = (LIFE_DAYS - 1) * 24 * 60;
    let old = format!("+{minutes}");
    let find = peers::find(&session.root(), &["-type", "f", "-mmin", &old])?;
    if now_ms() < deadline {
        return Ok(Some(Due {
            chosen,
            deadline,
            removed_before,
            find,
        }));
    }
    wait_for("what came too early is gone", || {
        Ok((removed(&client.get("/v1/status")?) >= removed_before + count).then_some(()))
    })?;
    Ok(None)
}

fn removed(status: &serde_json::Value) -> u64 {
    status["removed"]["files"].as_u64().unwrap_or(0)
}

/// Memory after load and after churn: every fifth file gets a new name, again and again, until all have one.
pub fn memory(bench: &mut Bench, session: &Session) -> anyhow::Result<Row> {
    let tree = session.tree;
    let mut client = session.daemon.client()?;
    for turn in 0..CHURN {
        for number in (turn..tree.files).step_by(CHURN as usize) {
            // What expired is not there any more.
            let old = session.root().join(tree.file(number));
            let new = old.with_file_name(tree::name(tree.files + number));
            if let Err(error) = std::fs::rename(&old, new) {
                ensure!(
                    error.kind() == std::io::ErrorKind::NotFound,
                    "{}: {error}",
                    old.display()
                );
            }
        }
        client.sync()?;
    }
    let status = client.get("/v1/status")?;
    let files = status["entries"].as_u64().unwrap_or(0);
    let pid = session.daemon.pid();
    let resident = process::resident(pid);
    let of =
        |bytes: u64, files: u64| bytes.saturating_sub(session.resident_empty) as f64 / files as f64;
    let loaded = of(session.resident_loaded, tree.files);
    let churned = of(resident, files);
    let index = pure_core::index_bytes(tree.files)? as f64 / tree.files as f64;
    let is_met =
        index <= INDEX_BYTES_MAX && loaded <= LOADED_BYTES_MAX && churned <= CHURNED_BYTES_MAX;
    Ok(Row::new("memory", session.title("memory a file"))
        .ours(format!("{loaded:.0} B, churned {churned:.0} B"))
        .peer("watchman 284 B (recorded)")
        .budget("index ≤ 45 B; all ≤ 80 B, churned ≤ 90 B", is_met)
        .not_judged_if(tree.files < bench.scale().judged_files_min, TOO_SMALL)
        .note(format!(
            "index alone {index:.1} B a file with {} files a directory. Resident: empty {:.1} MB, loaded {:.1} MB, \
             after churn {:.1} MB, at most {:.1} MB. Overflows in the churn: {}",
            tree::PER_DIR,
            session.resident_empty as f64 / 1e6,
            session.resident_loaded as f64 / 1e6,
            resident as f64 / 1e6,
            process::resident_peak(pid) as f64 / 1e6,
            status["watches"]["overflows"]
        ))
        .figure("index", index)
        .figure("process_loaded", loaded)
        .figure("process_churned", churned))
}

/// Ends the daemon and starts it again on the same state; gives the time until it knows everything.
pub fn restart(
    bench: &mut Bench,
    mut session: Session,
) -> anyhow::Result<(Session, Row, Duration)> {
    let files = walk::count(&session.root())?;
    session.daemon.client()?.sync()?;
    let stopped = session.daemon.stop()?;
    session.daemon = session.place.start()?;
    let answers = session.daemon.wait_until_it_answers()?;
    let knows = session
        .daemon
        .wait_until(|status, _| status["entries"].as_u64() >= Some(files))?;
    let reconciled = session
        .daemon
        .wait_until(|status, _| status["roots"][0]["phase"] == "ready")?;
    let status = session.daemon.client()?.get("/v1/status")?;
    if status["entries"].as_u64() != Some(files) {
        bench.wrong(format!(
            "after the restart {} files are known, {files} are there",
            status["entries"]
        ));
    }
    let ratio = knows.as_secs_f64() / session.crawl.as_secs_f64();
    let mut row = Row::new("restart", session.title("restart to ready"))
        .ours(format!("{}, compared {}", show(knows), show(reconciled)))
        .peer(format!("our first crawl {}", show(session.crawl)))
        .ratio(ratio)
        .budget("≤ 0.5 s", knows <= Duration::from_millis(500))
        .not_judged_if(session.tree.files < bench.scale().judged_files_min, TOO_SMALL)
        .note(format!(
            "answers after {}; knows all files after {}; has compared them after {}; it took {} to stop. recorded: watchman 6.6 s",
            show(answers),
            show(knows),
            show(reconciled),
            show(stopped)
        ))
        .figure("answers_s", answers.as_secs_f64())
        .figure("knows_s", knows.as_secs_f64())
        .figure("compared_s", reconciled.as_secs_f64());
    if let Some(part) = status.get("reconciliation") {
        row = row.note(format!("reconciliation: {part}"));
    }
    Ok((session, row, knows))
}
