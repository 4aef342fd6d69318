//! A receiver of HTTP requests that does what a script says: answers, says nothing, or hangs up.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What is done with one request.
#[derive(Clone, Debug)]
pub enum Step {
    /// Answers with a status, and headers.
    Answer(u16, &'static str),
    /// Reads and says nothing.
    Hang,
    /// Closes after half of an answer's head.
    Break,
    /// Closes before anything is read.
    Refuse,
}

/// A request that came in.
#[derive(Clone, Debug)]
pub struct Request {
    pub at: Instant,
    pub head: String,
    pub body: String,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let line = self.head.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}:")))?;
        Some(line.split_once(':')?.1.trim())
    }
}

/// The receiver. After its script it answers 204.
#[derive(Clone)]
pub struct Receiver {
    pub address: SocketAddr,
    script: Arc<Mutex<VecDeque<Step>>>,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Receiver {
    pub async fn start(script: impl IntoIterator<Item = Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(Mutex::new(script.into_iter().collect()));
        let receiver = Self { address, script, requests: Arc::default() };
        let serving = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                tokio::spawn(async move { serving.serve(stream).await });
            }
        });
        receiver
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Waits until so many requests came in.
    pub async fn wait(&self, count: usize) -> Vec<Request> {
        for _ in 0..2_000 {
            if self.requests().len() >= count {
                return self.requests();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} requests of {count} came", self.requests().len());
    }

    async fn serve(&self, mut stream: TcpStream) {
        let step = self.script.lock().unwrap().pop_front().unwrap_or(Step::Answer(204, ""));
        if matches!(step, Step::Refuse) {
            return;
        }
        let Some(request) = read(&mut stream).await else { return };
        self.requests.lock().unwrap().push(request);
        match step {
            Step::Answer(status, headers) => {
                let answer =
                    format!("HTTP/1.1 {status} X\r\n{headers}connection: close\r\ncontent-length: 4\r\n\r\nsaid");
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
            Step::Hang => tokio::time::sleep(Duration::from_secs(60)).await,
            Step::Break => drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-le").await),
            Step::Refuse => {}
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    loop {
        let mut part = [0; 8192];
        let count = stream.read(&mut part).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let request = Request { at: Instant::now(), head: head.to_owned(), body: body.to_owned() };
        let length: usize = request.header("content-length")?.parse().ok()?;
        if request.body.len() >= length {
            return Some(request);
        }
    }
}
