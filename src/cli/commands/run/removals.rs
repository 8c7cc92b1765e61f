//! Removals of a daemon, as it tells them.

use tokio::task::JoinHandle;

use crate::adapter::{OnRemoved, RemovedThing};
use crate::cli::client::{Client, Endpoint, Target};
use crate::types::{Event, EventLine, EventsQuery, JsonPath};

/// Has `on_removed` learn of what the daemon at `endpoint` removes from now on; `None`: it does not
/// tell.
pub(super) async fn follow(
    endpoint: &Endpoint,
    mut on_removed: OnRemoved,
) -> Option<JoinHandle<()>> {
    let client = Client::connect(endpoint).await.ok()?;
    let target = Target::new("/v1/events").query(&EventsQuery::default());
    let mut lines = client.lines(&target, "text/event-stream").await.ok()?;
    Some(tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next().await {
            let data = line.strip_prefix(b"data: ");
            let event = data.and_then(|data| serde_json::from_slice(data).ok());
            event.and_then(removed_thing).map(&mut on_removed);
        }
    }))
}

/// The thing that is gone by an event.
fn removed_thing(line: EventLine) -> Option<RemovedThing> {
    let Event::Lapsed {
        rule, job, source, ..
    } = line.event
    else {
        return None;
    };
    if let (Some(id), Some(source)) = (job, source) {
        return Some(RemovedThing::Job { source, id, rule });
    }
    let path = JsonPath {
        path: line.path?,
        path_b64: line.path_b64,
    };
    Some(RemovedThing::Path(path.decode()?))
}
