//! A client that follows the daemon's events.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::http::{Request, stall_after};
use super::wait_for;

/// One event as it came.
#[derive(Clone, Debug)]
pub struct Heard {
    pub id: Option<u64>,
    pub event: String,
    pub data: Value,
}

/// Follows `/v1/events` on a thread of its own.
pub struct Follows {
    heard: Arc<Mutex<Vec<Heard>>>,
    ended: Arc<Mutex<bool>>,
    stream: UnixStream,
}

impl Follows {
    /// Begins, and returns when the daemon has said that everything from now on will be heard.
    #[track_caller]
    pub fn begin(socket: &Path, query: &str, last_id: Option<u64>) -> Self {
        let mut request = Request::get(&format!("/v1/events{query}"));
        request = request.header("accept", "text/event-stream");
        if let Some(id) = last_id {
            request = request.header("last-event-id", &id.to_string());
        }
        let stream = stall_after(socket, &request.to_bytes());
        // Events may be as far apart as they like.
        stream.set_read_timeout(None).unwrap();
        let this = Self {
            heard: Arc::default(),
            ended: Arc::default(),
            stream: stream.try_clone().unwrap(),
        };
        let (heard, ended) = (Arc::clone(&this.heard), Arc::clone(&this.ended));
        let begun = Arc::new(Mutex::new(false));
        let flag = Arc::clone(&begun);
        std::thread::spawn(move || {
            let (mut id, mut event) = (None, String::new());
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if line == ": following" {
                    *flag.lock().unwrap() = true;
                } else if let Some(text) = line.strip_prefix("id: ") {
                    id = text.parse().ok();
                } else if let Some(text) = line.strip_prefix("event: ") {
                    text.clone_into(&mut event);
                } else if let Some(text) = line.strip_prefix("data: ") {
                    heard.lock().unwrap().push(Heard {
                        id: id.take(),
                        event: std::mem::take(&mut event),
                        data: serde_json::from_str(text).unwrap(),
                    });
                }
            }
            *ended.lock().unwrap() = true;
        });
        wait_for("the events begin", || begun.lock().unwrap().then_some(()));
        this
    }

    /// Everything so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// The first event that `is` names, when it comes.
    #[track_caller]
    pub fn wait(&self, what: &str, is: impl Fn(&Heard) -> bool) -> Heard {
        wait_for(
            &format!("an event: {what}; heard {:?}", self.heard()),
            || self.heard().into_iter().find(|heard| is(heard)),
        )
    }

    /// Whether the daemon has ended the stream.
    pub fn has_ended(&self) -> bool {
        *self.ended.lock().unwrap()
    }
}

impl Drop for Follows {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}
