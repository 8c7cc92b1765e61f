//! HTTP client of the tests: requests as bytes, answers as they came. It also sends what is no request, and leaves off
//! in the middle of one.

#![allow(dead_code, reason = "each test program uses a part")]
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use super::machine::patience;

/// Request of one exchange.
#[derive(Clone)]
pub struct Request {
    head: String,
    body: Vec<u8>,
}

impl Request {
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            head: format!("{method} {target} HTTP/1.1\r\nhost: lapsed\r\n"),
            body: Vec::new(),
        }
    }

    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// The same for another host than that of the socket.
    pub fn host(mut self, host: &str) -> Self {
        self.head = self.head.replace("host: lapsed", &format!("host: {host}"));
        self
    }

    /// The same with a token.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.head.push_str(&[name, ": ", value, "\r\n"].concat());
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// As [`Request::body`], with the media type.
    pub fn json(self, body: &str) -> Self {
        self.header("content-type", "application/json").body(body)
    }

    /// The request, after whose answer the connection stays.
    pub fn to_bytes(&self) -> Vec<u8> {
        let length = format!("content-length: {}\r\n\r\n", self.body.len());
        [self.head.as_bytes(), length.as_bytes(), &self.body].concat()
    }

    /// The request, after whose answer the server closes the connection.
    pub fn to_last_bytes(&self) -> Vec<u8> {
        self.clone().header("connection", "close").to_bytes()
    }

    /// Sends it to `socket` on a connection of its own.
    #[track_caller]
    pub fn send(&self, socket: &Path) -> Answer {
        Answer::parse(&exchange(socket, &self.to_last_bytes()))
    }
}

/// Answer of one exchange.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// Status line and headers, in lower case.
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// Takes an answer that has come to its end.
    #[track_caller]
    pub fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|part| part == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(bytes)));
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let body = &bytes[end + 4..];
        let is_chunked = head.contains("transfer-encoding: chunked");
        Self {
            status: status.expect("a status"),
            body: if is_chunked {
                unchunk(body)
            } else {
                body.to_vec()
            },
            head,
        }
    }

    /// The value of a header, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body; `null` where there is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        if self.body.is_empty() {
            return Value::Null;
        }
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.text()))
    }

    /// Status and body.
    #[track_caller]
    pub fn pair(&self) -> (u16, Value) {
        (self.status, self.json())
    }

    /// The lines of the body.
    #[track_caller]
    pub fn lines(&self) -> Vec<Value> {
        let lines = self.body.split(|&byte| byte == b'\n');
        lines
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(line) = rest.windows(2).position(|part| part == b"\r\n") {
        let size = std::str::from_utf8(&rest[..line]).unwrap();
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        if size == 0 {
            break;
        }
        body.extend_from_slice(&rest[line + 2..line + 2 + size]);
        rest = &rest[line + 2 + size + 2..];
    }
    body
}

/// A connection to `socket` on which nothing waits for ever.
#[track_caller]
pub fn connect(socket: &Path) -> UnixStream {
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(patience())).unwrap();
    stream.set_write_timeout(Some(patience())).unwrap();
    stream
}

/// A connection on which `bytes` were sent, and then nothing.
#[track_caller]
pub fn stall_after(socket: &Path, bytes: &[u8]) -> UnixStream {
    let mut stream = connect(socket);
    match stream.write_all(bytes) {
        // Refused before all was said: the answer is there all the same.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        written => written.unwrap(),
    }
    stream
}

/// What comes on `stream` until the server ends the connection.
#[track_caller]
pub fn read_all(mut stream: impl Read) -> Vec<u8> {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        read => drop(read.unwrap()),
    }
    answer
}

/// What the server answers to `bytes` until it ends the connection.
#[track_caller]
pub fn exchange(socket: &Path, bytes: &[u8]) -> Vec<u8> {
    read_all(stall_after(socket, bytes))
}

/// As [`exchange`], with nothing to follow the bytes; as text.
#[track_caller]
pub fn raw(socket: &Path, bytes: &[u8]) -> String {
    let stream = stall_after(socket, bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    String::from_utf8_lossy(&read_all(stream)).into_owned()
}
