//! A client on one kept-alive connection, small enough to cost nothing beside the daemon.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

/// A daemon that does not answer within this time never will.
const PATIENCE: Duration = Duration::from_mins(2);

/// A connection.
pub struct Client {
    socket: PathBuf,
    stream: BufReader<UnixStream>,
    line: String,
}

impl Client {
    pub fn connect(socket: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            socket: socket.to_path_buf(),
            stream: connect(socket)?,
            line: String::new(),
        })
    }

    pub fn get(&mut self, target: &str) -> anyhow::Result<Value> {
        let body = self.ask("GET", target)?;
        serde_json::from_slice(&body).with_context(|| format!("{target} answers no JSON"))
    }

    /// The body of the answer, unread.
    pub fn ask(&mut self, method: &str, target: &str) -> anyhow::Result<Vec<u8>> {
        let mut body = Vec::new();
        self.exchange(method, target, "application/json", |part| {
            body.extend_from_slice(part);
        })?;
        Ok(body)
    }

    /// Everything that happened before is in the index.
    pub fn sync(&mut self) -> anyhow::Result<()> {
        self.ask("POST", "/v1/sync").map(drop)
    }

    /// Gives the body to `sink` as it comes; it must be an answer of lines.
    pub fn lines(&mut self, target: &str, sink: impl FnMut(&[u8])) -> anyhow::Result<()> {
        self.exchange("GET", target, "application/x-ndjson", sink)
    }

    fn exchange(
        &mut self,
        method: &str,
        target: &str,
        accept: &str,
        mut sink: impl FnMut(&[u8]),
    ) -> anyhow::Result<()> {
        let request = format!(
            "{method} {target} HTTP/1.1\r\nhost: lapsed\r\naccept: {accept}\r\ncontent-length: 0\r\n\r\n"
        );
        let status = if let Ok(status) = self.begin(&request) {
            status
        } else {
            // The daemon ends connections on which nothing is asked for ten seconds.
            self.stream = connect(&self.socket)?;
            self.begin(&request)?
        };
        let (mut length, mut is_chunked) = (0, false);
        loop {
            let line = self.read_line()?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            } else if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            } else if line.starts_with("transfer-encoding:") {
                is_chunked = line.contains("chunked");
            }
        }
        let mut refusal = Vec::new();
        let mut take = |part: &[u8]| {
            if status == "200" {
                sink(part);
            } else {
                refusal.extend_from_slice(part);
            }
        };
        if is_chunked {
            loop {
                let size = usize::from_str_radix(self.read_line()?, 16)?;
                self.read_body(size, &mut take)?;
                ensure!(self.read_line()?.is_empty(), "a chunk does not end");
                if size == 0 {
                    break;
                }
            }
        } else {
            self.read_body(length, &mut take)?;
        }
        if status != "200" {
            bail!(
                "{method} {target}: {status} {}",
                String::from_utf8_lossy(&refusal)
            );
        }
        Ok(())
    }

    /// Sends a request, and reads the status of its answer.
    fn begin(&mut self, request: &str) -> anyhow::Result<String> {
        self.stream.get_mut().write_all(request.as_bytes())?;
        let line = self.read_line()?;
        Ok(line.split(' ').nth(1).unwrap_or_default().to_owned())
    }

    fn read_body(&mut self, mut left: usize, take: &mut impl FnMut(&[u8])) -> anyhow::Result<()> {
        while left > 0 {
            let buffer = self.stream.fill_buf()?;
            ensure!(!buffer.is_empty(), "the daemon ended the connection");
            let size = buffer.len().min(left);
            take(&buffer[..size]);
            self.stream.consume(size);
            left -= size;
        }
        Ok(())
    }

    fn read_line(&mut self) -> anyhow::Result<&str> {
        self.line.clear();
        self.stream.read_line(&mut self.line)?;
        ensure!(self.line.ends_with('\n'), "the daemon ended the connection");
        Ok(self.line.trim_end())
    }
}

fn connect(socket: &Path) -> anyhow::Result<BufReader<UnixStream>> {
    let stream = UnixStream::connect(socket).context("the daemon takes no connection")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(BufReader::with_capacity(64 * 1024, stream))
}

/// A client that asks once.
pub fn get_once(socket: &Path, target: &str) -> anyhow::Result<Value> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(
        format!("GET {target} HTTP/1.1\r\nhost: lapsed\r\nconnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer
        .windows(4)
        .position(|part| part == b"\r\n\r\n")
        .context("no answer")?;
    Ok(serde_json::from_slice(&answer[end + 4..])?)
}
