//! HTTP/1.1 with as little work as can be: what the load generator takes is not there for the daemon.

use anyhow::{Context, bail};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The longest head of an answer or a request.
const HEAD_MAX: usize = 64 << 10;

/// A request's method.
#[derive(Clone, Copy, Debug)]
pub enum Method {
    Get,
    Post,
}

/// A message's first line, and its body.
#[derive(Debug)]
pub struct Message {
    pub first: String,
    pub body: Vec<u8>,
}

/// A connection that is kept.
pub struct Connection {
    stream: TcpStream,
}

impl Connection {
    /// **Errors**: nobody listens.
    pub fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self { stream })
    }

    /// One that was accepted.
    pub fn accepted(stream: TcpStream) -> Self {
        Self { stream }
    }

    /// Sends a request and waits for its answer. **Errors**: the connection's; an answer that is not understood.
    pub fn ask(&mut self, method: Method, path: &str, body: &[u8]) -> anyhow::Result<Message> {
        let method = match method {
            Method::Get => "GET",
            Method::Post => "POST",
        };
        let head = format!("{method} {path} HTTP/1.1\r\nHost: tarn\r\nContent-Length: {}\r\n\r\n", body.len());
        self.stream.write_all(head.as_bytes())?;
        self.stream.write_all(body)?;
        self.read()?.context("the daemon closed the connection")
    }

    /// Answers a request with `204`.
    pub fn thank(&mut self) -> anyhow::Result<()> {
        Ok(self.stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?)
    }

    /// The next message with a length; `None` at the end. **Errors**: one that is not understood.
    pub fn read(&mut self) -> anyhow::Result<Option<Message>> {
        let mut read = Vec::new();
        let mut piece = [0; 16 << 10];
        let end = loop {
            if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            match self.stream.read(&mut piece)? {
                0 if read.is_empty() => return Ok(None),
                0 => bail!("a message that ends early"),
                n => read.extend_from_slice(&piece[..n]),
            }
            anyhow::ensure!(read.len() <= HEAD_MAX, "a head without an end");
        };
        let head = String::from_utf8_lossy(&read[..end]).into_owned();
        let mut body = read.split_off(end + 4);
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        let missing = length.unwrap_or(0).saturating_sub(body.len());
        let had = body.len();
        body.resize(had + missing, 0);
        self.stream.read_exact(&mut body[had..])?;
        Ok(Some(Message { first: head.lines().next().unwrap_or_default().to_owned(), body }))
    }
}

impl Message {
    /// An answer's status; 0 where there is none.
    pub fn status(&self) -> u16 {
        self.first.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }
}
