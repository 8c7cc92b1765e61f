//! Lists of files, as one JSON object or line by line.
//!
//! **Invariant:** a list of any length takes a bounded amount of memory, and gives way to others
//! after every few pages of the index.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

use super::daemon::Daemon;
use super::entry::EntryWriter;
use super::select::{First, Order, Place};
use super::sync::sync_roots;
use super::view::{Filter, View};
use crate::app::error::AppError;
use crate::core::index::Page;
use crate::types::FilesQuery;

/// Entries in an answer when nobody says.
const LIMIT: u64 = 1000;

/// Entries in one JSON object at most: some 2 MB. Who wants more takes lines, or follows the
/// cursor.
const LIMIT_MAX: u64 = 10_000;

/// Entries that are sorted at once when lines are wanted in order: some 15 MB. A longer list takes
/// several passes.
const SORTED_AT_ONCE: usize = 65_536;

/// Others come to their turn after so many pages (at most 256 entries each): about half a
/// millisecond.
const PAGES_AT_ONCE: usize = 16;

/// Lines are sent in pieces of about so many bytes: less would cost system calls, more would only
/// wait.
const CHUNK_BYTES: usize = 64 * 1024;

/// Form of a list.
pub enum Listing {
    /// One JSON object.
    Object(Vec<u8>),
    /// Lines of JSON, in pieces.
    Lines(Lines),
}

/// Lines of JSON, in pieces.
pub type Lines = BoxStream<'static, Vec<u8>>;

/// Checks `limit` against the maximum of one JSON object; lines have none.
///
/// # Errors
/// If it is zero, or too large.
pub(crate) fn check_limit(limit: Option<u64>, wants_lines: bool) -> Result<(), AppError> {
    if limit == Some(0) || (!wants_lines && limit.is_some_and(|limit| limit > LIMIT_MAX)) {
        let found = limit.unwrap_or_default().to_string();
        let error = AppError::invalid_parameter("limit", &found);
        return Err(error.hint(format!(
            "give a number from 1 to {LIMIT_MAX}, or accept application/x-ndjson for a list of any length"
        )));
    }
    Ok(())
}

/// Lists the files that `query` asks for.
///
/// # Errors
/// If a name is unknown, or a barrier was asked for and cannot be passed.
pub async fn list(
    daemon: &Daemon,
    query: &FilesQuery,
    wants_lines: bool,
) -> Result<Listing, AppError> {
    let order = Order::new(query);
    let after = query.cursor.as_deref().map(|cursor| order.place(cursor));
    let after = after.transpose()?;
    check_limit(query.limit, wants_lines)?;
    if query.sync {
        sync_roots(daemon).await?;
    }
    let (holds, now) = daemon
        .link()
        .ask(|engine, now| (engine.holds(now), now.wall))
        .await?;
    let filter = Filter::new(query, &daemon.policy(), now)?;
    let view = View::new(daemon, holds, now, filter);
    check_job(daemon, &view).await?;
    if !wants_lines {
        let limit = usize::try_from(query.limit.unwrap_or(LIMIT)).unwrap_or(usize::MAX);
        return Ok(Listing::Object(
            one_object(&view, order, after, limit).await,
        ));
    }
    let left = query.limit.unwrap_or(u64::MAX);
    let is_ordered = query.sort.is_some() || query.order.is_some() || after.is_some();
    Ok(Listing::Lines(if is_ordered {
        sorted_lines(view, order, after, left)
    } else {
        lines(view, left)
    }))
}

/// Refuses a job that no source has and that owns no entry: most likely its id is misspelled.
async fn check_job(daemon: &Daemon, view: &View) -> Result<(), AppError> {
    let Some(job) = view.job() else { return Ok(()) };
    if std::str::from_utf8(job).is_ok_and(|id| daemon.has_job(id)) {
        return Ok(());
    }
    for some in view.pages().chunks(PAGES_AT_ONCE) {
        if some.iter().any(|page| view.has_job(page, job)) {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
    let job = String::from_utf8_lossy(job);
    let detail = format!("no source has a job \"{job}\", and no file is of one");
    Err(AppError::not_found(detail).hint("`lapsed job ls` lists the jobs that are known"))
}

/// The first entries behind `after`.
async fn select(view: &View, pages: &[Arc<Page>], first: First) -> First {
    let mut first = first;
    let mut writer = EntryWriter::default();
    for some in pages.chunks(PAGES_AT_ONCE) {
        for page in some {
            view.show(page, |dir, name, values| {
                first.offer(dir.as_bytes(), name, values, |to| {
                    writer.push(to, dir, name, values);
                });
                true
            });
        }
        tokio::task::yield_now().await;
    }
    first
}

async fn one_object(view: &View, order: Order, after: Option<Place>, limit: usize) -> Vec<u8> {
    let first = First::new(order, after, limit);
    let (picked, has_more) = select(view, &view.pages(), first).await.finish();
    let cursor = picked.last().filter(|_| has_more);
    let cursor = cursor.map(|last| order.cursor(&last.place));
    let mut body = b"{\"files\":[".to_vec();
    for (place, picked) in picked.iter().enumerate() {
        if place > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&picked.json);
    }
    body.extend_from_slice(b"],\"cursor\":");
    match cursor {
        // URL-safe base64 needs no escape.
        Some(cursor) => body.extend_from_slice(format!("\"{cursor}\"}}").as_bytes()),
        None => body.extend_from_slice(b"null}"),
    }
    body
}

/// Entries as they come, page by page.
fn lines(view: View, left: u64) -> Lines {
    struct Walk {
        view: View,
        writer: EntryWriter,
        pages: std::vec::IntoIter<Arc<Page>>,
        left: u64,
    }
    let pages = view.pages().into_iter();
    let walk = Walk {
        view,
        writer: EntryWriter::default(),
        pages,
        left,
    };
    let chunks = stream::unfold(walk, |mut walk| async move {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 2);
        let mut seen = 0;
        while walk.left > 0
            && chunk.len() < CHUNK_BYTES
            && let Some(page) = walk.pages.next()
        {
            let (writer, left) = (&mut walk.writer, &mut walk.left);
            walk.view.show(&page, |dir, name, values| {
                writer.push(&mut chunk, dir, name, values);
                chunk.push(b'\n');
                *left -= 1;
                *left > 0
            });
            seen += 1;
            if seen % PAGES_AT_ONCE == 0 {
                tokio::task::yield_now().await;
            }
        }
        (!chunk.is_empty()).then_some((chunk, walk))
    });
    chunks.boxed()
}

/// Entries in order, a bounded number of them sorted at once.
fn sorted_lines(view: View, order: Order, after: Option<Place>, left: u64) -> Lines {
    struct Walk {
        view: View,
        pages: Vec<Arc<Page>>,
        after: Option<Place>,
        left: u64,
    }
    let pages = view.pages();
    let walk = Walk {
        view,
        pages,
        after,
        left,
    };
    let chunks = stream::unfold(Some(walk), move |walk| async move {
        let mut walk = walk.filter(|walk| walk.left > 0)?;
        let limit = usize::try_from(walk.left)
            .unwrap_or(usize::MAX)
            .min(SORTED_AT_ONCE);
        let first = First::new(order, walk.after.take(), limit);
        let (picked, has_more) = select(&walk.view, &walk.pages, first).await.finish();
        walk.left -= picked.len() as u64;
        let mut chunk = Vec::with_capacity(picked.iter().map(|picked| picked.json.len() + 1).sum());
        for picked in &picked {
            chunk.extend_from_slice(&picked.json);
            chunk.push(b'\n');
        }
        walk.after = picked.into_iter().next_back().map(|last| last.place);
        Some((chunk, has_more.then_some(walk)))
    });
    chunks.boxed()
}
