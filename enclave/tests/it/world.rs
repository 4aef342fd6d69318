//! A broker with everything around it that tests need: software that attests, a ledger that can fail, a clock that is set.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use http_body_util::BodyExt as _;
use kbs_types::{Challenge, Response};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tarn_enclave::Secret;
use tarn_enclave::broker::{Attempt, Broker, Limits, Parts, Passed, Provenance, Recorder, RecorderError, router};
use tarn_enclave::client::Workload;
use tarn_enclave::evidence::Platform;
use tarn_enclave::evidence::nitro::Nitro;
use tarn_enclave::evidence::token::{Issuer, Service, Tokens};
use tarn_enclave::keys::local::LocalStore;
use tarn_enclave::policy::{Mode, Policies};
use tarn_enclave::simulated::{NsmRequest, SimulatedAuthority, SoftwareNsm, TokenIssuer};
use tarn_enclave::verifiers::Verifiers;
use tarn_schema_ocsf::validate::{Severity, validate};
use tower::ServiceExt as _;

pub const START: i64 = 1_790_000_000;
pub const WEIGHTS: &str = "models/scorer/weights";
pub const FORBIDDEN: &str = "models/scorer/forbidden";
pub const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

/// Each byte of the digest of an image that no evidence is known of.
pub const UNKNOWN: u8 = 0xee;

/// The digest of the image that may have the key.
pub fn good_image() -> Vec<u8> {
    vec![0xa1; 48]
}

pub fn policies(mode: Mode) -> Policies {
    let text = format!(
        r#"
        permit (principal, action == Action::"release", resource == Key::"{WEIGHTS}");
        permit (principal, action == Action::"release", resource == Key::"models/scorer/absent");
        @reason("Measurement Mismatch")
        forbid (principal, action, resource) unless {{ context.measurements.containsAny(["PCR0={}", "PCR0={}"]) }};
        @reason("Evidence Missing")
        forbid (principal, action, resource) unless {{ context.evidence.contains("provenance") }};
        "#,
        hex::encode(good_image()),
        hex::encode([UNKNOWN; 48]),
    );
    Policies::new(&text, mode).unwrap()
}

/// Keeps records, and fails at those whose number is asked for.
#[derive(Default)]
pub struct Ledger {
    pub kept: Mutex<Vec<Attempt>>,
    tried: AtomicUsize,
    done: AtomicUsize,
    /// Every so many-th record fails; 0 for none.
    pub fail_every: AtomicUsize,
}

#[async_trait::async_trait]
impl Recorder for Ledger {
    async fn record(&self, attempt: &Attempt) -> Result<(), RecorderError> {
        let mut found = validate(&attempt.to_ocsf());
        // Recommended attributes are there where there is anything to say.
        found.retain(|violation| violation.severity == Severity::Error);
        assert!(found.is_empty(), "no valid record of OCSF: {found:?}");
        let number = self.tried.fetch_add(1, Ordering::SeqCst) + 1;
        tokio::task::yield_now().await;
        let every = self.fail_every.load(Ordering::SeqCst);
        let failed = every != 0 && number.is_multiple_of(every);
        if !failed {
            self.kept.lock().unwrap().push(attempt.clone());
        }
        self.done.fetch_add(1, Ordering::SeqCst);
        if failed { Err(RecorderError("the disk is full".to_owned())) } else { Ok(()) }
    }
}

impl Ledger {
    /// Records that were kept or failed.
    pub fn tried(&self) -> usize {
        self.done.load(Ordering::SeqCst)
    }

    pub fn last(&self) -> Attempt {
        self.kept.lock().unwrap().last().unwrap().clone()
    }

    pub fn len(&self) -> usize {
        self.kept.lock().unwrap().len()
    }
}

/// What passed for the good image, and for one other that only its measurement keeps out.
struct Lake;

#[async_trait::async_trait]
impl Provenance for Lake {
    async fn passed(&self, digest: &str) -> Result<Vec<Passed>, String> {
        let unknown = format!("sha384:{}", "ee".repeat(48));
        let broken = format!("sha384:{}", "dd".repeat(48));
        if digest == broken {
            return Err("the lake is away".to_owned());
        }
        let passed = Passed { kind: "provenance".to_owned(), uid: "ev-1".to_owned() };
        Ok(if digest == unknown { Vec::new() } else { vec![passed] })
    }
}

pub struct World {
    pub router: Router,
    pub ledger: Arc<Ledger>,
    pub nsm: SoftwareNsm,
    pub google: TokenIssuer,
    seconds: Arc<AtomicI64>,
    _folder: tempfile::TempDir,
}

impl World {
    pub fn new() -> Self {
        Self::with(Mode::Trial, Limits::default())
    }

    pub fn with(mode: Mode, limits: Limits) -> Self {
        let start = DateTime::from_timestamp(START, 0).unwrap();
        let authority = SimulatedAuthority::generate(start).unwrap();
        let nsm = authority.nsm("i-1-enc1", start - TimeDelta::hours(1)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (store, wrapping) = (folder.path().join("keys.json"), folder.path().join("wrapping.key"));
        LocalStore::create_wrapping_key(&wrapping).unwrap();
        let mut keys = LocalStore::open(&store, &wrapping).unwrap();
        for name in [WEIGHTS, FORBIDDEN] {
            keys.add(&name.parse().unwrap(), &Secret::new(KEY.to_vec())).unwrap();
        }
        let seconds = Arc::new(AtomicI64::new(START));
        let clock = Arc::clone(&seconds);
        let ledger = Arc::new(Ledger::default());
        let google = TokenIssuer::generate("google").unwrap();
        let issuer = Issuer { issuer: "https://google.example".to_owned(), audience: Some("broker".to_owned()) };
        let tokens = Tokens::simulated(Service::ConfidentialSpace, google.keys().unwrap(), issuer);
        let nitro = Some(Nitro::simulated(authority.root()));
        let verifiers = Verifiers { nitro, tokens: vec![tokens], sample: true };
        let broker = Broker::new(Parts {
            verifiers,
            policies: policies(mode),
            keys: Arc::new(keys),
            provenance: Arc::new(Lake),
            recorder: Arc::clone(&ledger) as _,
            clock: Arc::new(move || DateTime::from_timestamp(clock.load(Ordering::SeqCst), 0).unwrap()),
            limits,
        });
        Self { router: router(Arc::new(broker.unwrap())), ledger, nsm, google, seconds, _folder: folder }
    }

    pub fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.seconds.load(Ordering::SeqCst), 0).unwrap()
    }

    pub fn pass(&self, seconds: i64) {
        self.seconds.fetch_add(seconds, Ordering::SeqCst);
    }

    /// A request's status, cookie and JSON.
    pub async fn call(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let cookie = response.headers().get(header::SET_COOKIE).map(|value| value.to_str().unwrap().to_owned());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        Reply { status, cookie, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }
    }

    pub async fn client(&self) -> Client {
        self.client_of(Platform::Nitro).await
    }

    /// A workload with a session.
    pub async fn client_of(&self, platform: Platform) -> Client {
        let reply = self.call(post("/kbs/v0/auth", None, Workload::request(platform).to_string())).await;
        assert_eq!(reply.status, StatusCode::OK, "{:?}", reply.body);
        let cookie = reply.cookie.unwrap().split(';').next().unwrap().to_owned();
        Client { workload: Workload::new().unwrap(), cookie, challenge: serde_json::from_value(reply.body).unwrap() }
    }

    /// Evidence that passes, for a client.
    pub fn request(&self, client: &Client) -> NsmRequest {
        let bind = client.workload.to_bind(&client.challenge).unwrap();
        NsmRequest {
            timestamp: self.now(),
            pcrs: vec![(0, good_image()), (1, vec![2; 48]), (2, vec![3; 48])],
            nonce: Some(bind.report_data),
            public_key: Some(bind.public_key),
            user_data: None,
        }
    }

    pub fn attestation(&self, client: &Client, request: &NsmRequest) -> Value {
        let evidence = json!({"document": STANDARD.encode(self.nsm.document(request).unwrap())});
        serde_json::to_value(client.workload.attestation(&client.challenge, evidence).unwrap()).unwrap()
    }

    pub async fn attest(&self, client: &Client, request: &NsmRequest) -> Reply {
        let body = self.attestation(client, request);
        self.call(post("/kbs/v0/attest", Some(&client.cookie), body.to_string())).await
    }

    /// A client that has attested.
    pub async fn attested(&self) -> Client {
        let client = self.client().await;
        let reply = self.attest(&client, &self.request(&client)).await;
        assert_eq!(reply.status, StatusCode::OK, "{:?}", reply.body);
        client
    }

    pub async fn resource(&self, client: &Client, name: &str) -> Reply {
        self.call(fetch(name, Some(&client.cookie))).await
    }
}

pub struct Client {
    pub workload: Workload,
    pub cookie: String,
    pub challenge: Challenge,
}

impl Client {
    pub fn open(&self, reply: &Reply) -> Vec<u8> {
        let answer: Response = serde_json::from_value(reply.body.clone()).unwrap();
        self.workload.open(&answer).unwrap().expose().to_vec()
    }
}

#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub cookie: Option<String>,
    pub body: Value,
}

impl Reply {
    /// The reason's name, and the status.
    pub fn refusal(&self) -> (&str, u16) {
        let kind = self.body["type"].as_str().unwrap_or_else(|| panic!("{self:?}"));
        (kind.strip_prefix("urn:tarn:key-release:").unwrap(), self.status.as_u16())
    }
}

pub fn post(path: &str, cookie: Option<&str>, body: impl Into<Body>) -> Request<Body> {
    let mut request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
    if let Some(cookie) = cookie {
        request = request.header(header::COOKIE, cookie);
    }
    request.body(body.into()).unwrap()
}

pub fn fetch(name: &str, cookie: Option<&str>) -> Request<Body> {
    let mut request = Request::get(format!("/kbs/v0/resource/{name}"));
    if let Some(cookie) = cookie {
        request = request.header(header::COOKIE, cookie);
    }
    request.body(Body::empty()).unwrap()
}
