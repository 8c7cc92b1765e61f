//! Requests to the daemon, one after the other, and their answers.
//!
//! **Invariant:** a connection that breaks is an answer; the next request makes another one.

use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use hyper::Method;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::messages::{Answer, Request};
use crate::cli::client::{Client, ClientError, Endpoint, Target};
use crate::types::{Bytes, ExplainQuery, Pin, PinOrder, Runs, RunsQuery};

/// Requests that may wait: the model asks each question once, and people press keys.
const WAITING_MAX: usize = 64;

/// Time for an answer, a new connection included.
const ANSWER_TIME: Duration = Duration::from_secs(15);

/// Runs that are shown.
const RUNS: u64 = 5;

/// Requests under way.
pub(super) struct Feed {
    requests: mpsc::Sender<Request>,
    answers: mpsc::Receiver<Answer>,
}

impl Feed {
    /// Sends requests to `endpoint`, over `client` as long as that lasts.
    pub(super) fn start(endpoint: Endpoint, client: Client) -> Self {
        let (requests, mut waiting) = mpsc::channel::<Request>(WAITING_MAX);
        let (tell, answers) = mpsc::channel(WAITING_MAX);
        tokio::spawn(async move {
            let mut client = Some(client);
            while let Some(request) = waiting.recv().await {
                let answer = answer(&endpoint, &mut client, request).await;
                if tell.send(answer).await.is_err() {
                    break;
                }
            }
        });
        Self { requests, answers }
    }

    /// Sends `request`. One that finds no room is dropped: the model asks again.
    pub(super) fn ask(&self, request: Request) {
        let _ = self.requests.try_send(request);
    }

    /// Returns the next answer; `None` after a defect.
    pub(super) async fn next(&mut self) -> Option<Answer> {
        self.answers.recv().await
    }
}

async fn answer(endpoint: &Endpoint, client: &mut Option<Client>, request: Request) -> Answer {
    let kind = request.kind();
    let answer = timeout(ANSWER_TIME, carry_out(endpoint, client, request)).await;
    let error = match answer {
        Ok(Ok(answer)) => return answer,
        Ok(Err(ClientError::Refused(problem))) => return Answer::Refused(kind, problem),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!(
            "{endpoint} does not answer within {} s",
            ANSWER_TIME.as_secs()
        ),
    };
    *client = None;
    Answer::Lost(error)
}

async fn carry_out(
    endpoint: &Endpoint,
    place: &mut Option<Client>,
    request: Request,
) -> Result<Answer, ClientError> {
    // The daemon closes a connection on which nothing was asked for a while.
    let usable = place.take().filter(|client| !client.is_closed());
    let mut client = match usable {
        Some(client) => client,
        None => Client::connect(endpoint).await?,
    };
    let asked = Instant::now();
    let answer = match request {
        Request::Status => Answer::Status(client.get(&Target::new("/v1/status")).await?),
        Request::Runs => {
            let query = RunsQuery {
                limit: Some(RUNS),
                ..RunsQuery::default()
            };
            let runs: Runs = client.get(&Target::new("/v1/runs").query(&query)).await?;
            Answer::Runs(runs.runs)
        }
        Request::Files { number, query } => {
            let files = client.get(&Target::new("/v1/files").query(&*query)).await?;
            Answer::Files {
                number,
                files,
                took: asked.elapsed(),
            }
        }
        Request::Explain(path) => {
            let path = path.decode().unwrap_or_default();
            let query = ExplainQuery {
                path: Some(Bytes(path.into_os_string().into_vec())),
                path_b64: None,
            };
            let target = Target::new("/v1/explain").query(&query);
            Answer::Explained(client.get(&target).await?)
        }
        Request::Pin { path, lasting } => {
            let is_text = path.path_b64.is_none();
            let order = PinOrder {
                path: is_text.then_some(path.path),
                path_b64: path.path_b64,
                lasting: Some(lasting),
                why: Some("lapsed top".to_owned()),
                ..PinOrder::default()
            };
            Answer::Pinned(client.post(&Target::new("/v1/pins"), &order).await?)
        }
        Request::Unpin(id) => {
            let target = Target::new("/v1/pins").below(&id.to_string());
            let pin: Pin = client.order(Method::DELETE, &target, None::<&()>).await?;
            Answer::Unpinned(pin.id)
        }
    };
    *place = Some(client);
    Ok(answer)
}
