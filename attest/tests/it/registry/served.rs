//! A registry that is made for a test: it answers what the test says.

use crate::oci::Delivery;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tarn_attest::Digest;
use tarn_attest::admission::Reference;
use tarn_attest::oci::registry::{Access, Registry};

pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A question.
#[derive(Clone)]
pub struct Asked {
    /// Its path and query.
    pub path: String,
    pub headers: HeaderMap,
    /// How often the same was asked before.
    pub before: usize,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

type Answer = Arc<dyn Fn(&Asked) -> Response + Send + Sync>;

/// A registry on this machine.
#[derive(Clone)]
pub struct Served {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    answer: Answer,
}

impl Served {
    pub async fn new(answer: impl Fn(&Asked) -> Response + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let served = Self { address: listener.local_addr().unwrap(), asked: Arc::default(), answer: Arc::new(answer) };
        let router = axum::Router::new().fallback(Self::answer).with_state(served.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        served
    }

    /// One that has a delivery, but answers otherwise where this does.
    pub async fn but(
        delivery: &Delivery,
        otherwise: impl Fn(&Asked) -> Option<Response> + Send + Sync + 'static,
    ) -> Self {
        let content = Content::of(delivery);
        Self::new(move |asked| otherwise(asked).unwrap_or_else(|| content.answer(&asked.path))).await
    }

    async fn answer(State(served): State<Self>, request: Request) -> Response {
        let path = request.uri().path_and_query().unwrap().to_string();
        let mut asked = served.asked.lock().unwrap();
        let before = asked.iter().filter(|before| before.path == path).count();
        asked.push(Asked { path, headers: request.headers().clone(), before });
        (served.answer)(asked.last().unwrap())
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub fn reference(&self, rest: &str) -> Reference {
        Reference::read(&format!("{}/team/app{rest}", self.address)).unwrap()
    }

    pub fn registry(&self, access: Access) -> Registry {
        Registry::new(self.reference(":v1"), Access { insecure_http: true, ..access }).unwrap()
    }
}

/// What a delivery holds, as a registry has it.
struct Content {
    blobs: HashMap<String, Vec<u8>>,
    tags: HashMap<String, String>,
    image: Digest,
}

impl Content {
    fn of(delivery: &Delivery) -> Self {
        let blobs = std::fs::read_dir(delivery.folder.path().join("blobs/sha256")).unwrap().map(|entry| {
            let entry = entry.unwrap();
            (format!("sha256:{}", entry.file_name().to_str().unwrap()), std::fs::read(entry.path()).unwrap())
        });
        Self { blobs: blobs.collect(), tags: tags(delivery), image: delivery.image.clone() }
    }

    fn answer(&self, path: &str) -> Response {
        let (kind, name) = path.trim_start_matches("/v2/team/app/").split_once('/').unwrap_or_default();
        let digest = self.tags.get(name).map_or(name, String::as_str);
        match (kind, self.blobs.get(digest)) {
            ("referrers", _) => ([("content-type", INDEX)], self.referrers(name).to_string()).into_response(),
            ("manifests", Some(bytes)) => ([("docker-content-digest", digest)], bytes.clone()).into_response(),
            ("blobs", Some(bytes)) if name == digest => bytes.clone().into_response(),
            _ => (StatusCode::NOT_FOUND, json!({"errors": [{"code": "MANIFEST_UNKNOWN"}]}).to_string()).into_response(),
        }
    }

    fn referrers(&self, image: &str) -> Value {
        let refers = |(digest, bytes): (&String, &Vec<u8>)| {
            let manifest: Value = serde_json::from_slice(bytes).ok()?;
            (manifest["subject"]["digest"] == image).then(|| json!({"digest": digest, "size": bytes.len()}))
        };
        assert_eq!(image, self.image.to_string());
        json!({"schemaVersion": 2, "manifests": self.blobs.iter().filter_map(refers).collect::<Vec<_>>()})
    }
}

/// The tags of a delivery, and the digests that have them.
pub fn tags(delivery: &Delivery) -> HashMap<String, String> {
    let tag = |descriptor: &Value| {
        let name = descriptor["annotations"]["org.opencontainers.image.ref.name"].as_str()?;
        let tag = name.rsplit(':').next().unwrap().to_owned();
        Some((tag, descriptor["digest"].as_str().unwrap().to_owned()))
    };
    delivery.listed.iter().filter_map(tag).collect()
}

/// An answer that does not end.
pub fn endless(status: StatusCode) -> Response {
    let part = axum::body::Bytes::from(vec![b' '; 64 << 10]);
    let body = Body::from_stream(futures::stream::repeat_with(move || Ok::<_, std::io::Error>(part.clone())));
    (status, body).into_response()
}
