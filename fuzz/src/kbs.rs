//! Requests of the key broker's protocol: the input is the body of `auth` and of `attest`, and a resource's name. No key goes
//! out, no answer is an error of the server's own, and each attempt leaves one record.

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use tarn_enclave::broker::{Attempt, Broker, Limits, NoProvenance, Parts, Recorder, RecorderError, router};
use tarn_enclave::keys::{Fetched, KeyName, KeyStore, StoreError, StoreKind};
use tarn_enclave::policy::{Mode, Policies};
use tarn_enclave::verifiers::Verifiers;
use tower::ServiceExt as _;

struct Keys;

#[async_trait]
impl KeyStore for Keys {
    async fn key(&self, _: &KeyName) -> Result<Fetched, StoreError> {
        Err(StoreError::NotFound)
    }

    fn kind(&self) -> StoreKind {
        StoreKind::Local
    }
}

#[derive(Default)]
struct Count(AtomicUsize);

#[async_trait]
impl Recorder for Count {
    async fn record(&self, attempt: &Attempt) -> Result<(), RecorderError> {
        attempt.to_canonical()?;
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

static RUNTIME: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap());
/// A second an input, so that sessions end.
static SECONDS: AtomicI64 = AtomicI64::new(1_790_000_000);
static BROKER: LazyLock<(Router, Arc<Count>)> = LazyLock::new(broker);

fn broker() -> (Router, Arc<Count>) {
    let count = Arc::new(Count::default());
    let parts = Parts {
        verifiers: Verifiers { sample: true, ..Verifiers::default() },
        policies: Policies::new("permit (principal, action, resource);", Mode::Trial).unwrap(),
        keys: Arc::new(Keys),
        provenance: Arc::new(NoProvenance),
        recorder: Arc::clone(&count) as _,
        clock: Arc::new(|| chrono::DateTime::from_timestamp(SECONDS.load(Ordering::SeqCst), 0).unwrap()),
        limits: Limits::default(),
    };
    (router(Arc::new(Broker::new(parts).unwrap())), count)
}

/// The body of `auth` and of `attest`, and the name of a resource.
pub fn messages(data: &[u8]) {
    RUNTIME.block_on(async {
        let (router, count) = &*BROKER;
        let before = count.0.load(Ordering::SeqCst);
        SECONDS.fetch_add(1, Ordering::SeqCst);
        let send = async |request: Request<Body>| router.clone().oneshot(request).await.unwrap();
        let auth = |body: Vec<u8>| Request::post("/kbs/v0/auth").body(Body::from(body)).unwrap();
        assert!(!send(auth(data.to_vec())).await.status().is_server_error());
        let good = br#"{"version":"0.4.0","tee":"sample","extra-params":""}"#.to_vec();
        let opened = send(auth(good)).await;
        let cookie = opened.headers()[header::SET_COOKIE].clone();
        let attest =
            Request::post("/kbs/v0/attest").header(header::COOKIE, cookie).body(Body::from(data.to_vec())).unwrap();
        let answer = send(attest).await;
        assert!(!answer.status().is_success() && !answer.status().is_server_error(), "no input knows the challenge");
        assert_eq!(count.0.load(Ordering::SeqCst), before + 1);
        let name: String = String::from_utf8_lossy(data).chars().filter(char::is_ascii_graphic).take(200).collect();
        if let Ok(request) = Request::get(format!("/kbs/v0/resource/a/b/{name}")).body(Body::empty()) {
            assert!(!send(request).await.status().is_success());
        }
    });
}
