//! A server on port 0, an intake that collects or refuses, and a client.

use axum::Router;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::Value;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tarn_connectors::access::{Access, Grant, token_digest};
use tarn_connectors::body::BodyLimits;
use tarn_connectors::intake::{Delivery, Intake, Refused};
use tarn_connectors::listen::Listener;
use tarn_connectors::source::push::Push;
use tarn_ingest::source::Sources;
use tokio_util::sync::CancellationToken;

/// What an intake took, and what it says to the next deliveries.
#[derive(Clone, Default)]
pub struct Taken {
    pub deliveries: Arc<Mutex<Vec<Delivery>>>,
    pub refuse: Arc<Mutex<Option<Refused>>>,
}

impl Taken {
    pub fn intake(&self) -> Intake {
        let taken = self.clone();
        Intake::new(move |delivery| {
            let answer = match taken.refuse.lock().unwrap().clone() {
                Some(refused) => Err(refused),
                None => {
                    taken.deliveries.lock().unwrap().push(delivery);
                    Ok(())
                }
            };
            Box::pin(async move { answer })
        })
    }

    pub fn refuse(&self, refused: impl Into<Option<Refused>>) {
        *self.refuse.lock().unwrap() = refused.into();
    }

    /// The JSON and the original of every record so far.
    pub fn records(&self) -> Vec<(String, String)> {
        let deliveries = self.deliveries.lock().unwrap();
        let blocks = deliveries.iter().map(|delivery| &delivery.block);
        blocks.flat_map(|b| b.records.iter().map(|r| (b.json(r).to_owned(), b.original(r).to_owned()))).collect()
    }

    pub fn json(&self) -> Vec<Value> {
        self.records().iter().map(|(json, _)| serde_json::from_str(json).unwrap()).collect()
    }

    pub fn originals(&self) -> Vec<String> {
        self.records().into_iter().map(|(_, original)| original).collect()
    }

    pub fn dead(&self) -> usize {
        self.deliveries.lock().unwrap().iter().map(|delivery| delivery.block.dead.len()).sum()
    }

    /// Waits until there are so many records and dead letters.
    pub async fn until(&self, count: usize) {
        for _ in 0..500 {
            if self.records().len() + self.dead() >= count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} of {count} records came", self.records().len() + self.dead());
    }
}

pub fn overloaded() -> Refused {
    Refused::Overloaded { retry_after: Duration::from_secs(7) }
}

/// A grant for every source, one for one, and one for none.
pub fn grants() -> Access {
    let grant = |name: &str, ingest: &[&str]| Grant {
        name: name.into(),
        token_sha256: Some(token_digest(name)),
        ingest: ingest.iter().map(|s| (*s).to_owned()).collect(),
        ..Grant::default()
    };
    Access::new(vec![grant("all", &["*"]), grant("trail", &["aws_cloudtrail"]), grant("none", &[])]).unwrap()
}

pub fn push(taken: &Taken, access: Access) -> Push {
    let limits = BodyLimits { wire_bytes_max: 1 << 20, bytes_max: 4 << 20, timeout: Duration::from_secs(2) };
    Push { intake: taken.intake(), access, limits, sources: Arc::new(Sources::builtin().unwrap()) }
}

pub async fn serve(app: Router) -> String {
    let listener = Listener::bind(([127, 0, 0, 1], 0).into(), None, false).await.unwrap();
    let url = format!("http://{}", listener.address);
    tokio::spawn(listener.serve(app, 64, CancellationToken::new(), Duration::from_secs(1)));
    url
}

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

pub async fn send(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers): (StatusCode, _) = (response.status(), response.headers().clone());
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Answer { status: status.as_u16(), headers, body }
}

pub async fn post(url: &str, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> Answer {
    let mut request = reqwest::Client::new().post(url).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(request).await
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}
