//! Targets over `tarn_attest::oci::registry`: what a registry answers, and Docker's configuration.
//!
//! Answers come over HTTP from this process. What would make the client ask another machine, a redirect or a realm, is given
//! to what reads it and not to the client.

use super::{RUNTIME, block_on, printable};
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::sync::{LazyLock, Mutex};
use tarn_attest::Digest;
use tarn_attest::admission::Reference;
use tarn_attest::oci::registry::challenge::{Challenge, bearer, token_url};
use tarn_attest::oci::registry::{Access, Credentials, Registry};
use tarn_attest::oci::{self, OciError};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// In what may be a secret of a configuration.
const MARK: &str = "nobody may see this";
const PASSWORD: &str = "only the registry may see it";
/// Questions for what is attached to one image: pages of referrers, a manifest for each of them, and three tags.
const QUESTIONS_MAX: usize = 3_000;

/// What takes the place of the input in an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Tag,
    Referrers,
    Manifest,
    Link,
    Error,
    Challenge,
}

/// What is answered now, and the paths that were asked for.
struct Now {
    place: Place,
    data: Vec<u8>,
    asked: Vec<String>,
}

static NOW: Mutex<Now> = Mutex::new(Now { place: Place::Tag, data: Vec::new(), asked: Vec::new() });

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let listener = block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let reference = Reference::read(&format!("{}/team/app:v1", listener.local_addr().unwrap())).unwrap();
    RUNTIME.spawn(axum::serve(listener, axum::Router::new().fallback(answer)).into_future());
    let credentials = Some(Credentials::new("me", PASSWORD));
    Registry::new(reference, Access { credentials, insecure_http: true, authorities: None }).unwrap()
});

/// Answers of a registry: manifests, lists of referrers, their next pages, challenges, tokens and errors.
pub fn answers(data: &[u8]) {
    challenges(data);
    match bearer("https://r.example/token", data) {
        Ok(header) => assert!(header.is_sensitive() && header.as_bytes().starts_with(b"Bearer ")),
        Err(error) => printable(&error),
    }
    LazyLock::force(&REGISTRY);
    // A realm may be anywhere.
    let is_bearer =
        text(data).to_str().is_ok_and(|text| matches!(Challenge::read(text), Some(Challenge::Bearer { .. })));
    for place in [Place::Tag, Place::Referrers, Place::Manifest, Place::Link, Place::Error, Place::Challenge] {
        if place == Place::Challenge && is_bearer {
            continue;
        }
        *NOW.lock().unwrap() = Now { place, data: data.to_vec(), asked: Vec::new() };
        let read = block_on(async {
            let image = oci::image(&*REGISTRY, None).await?;
            assert!(place != Place::Tag || image == Digest::sha256(data), "a tag is the digest of what it names");
            oci::attached(&*REGISTRY, &image).await
        });
        if let Err(error) = &read {
            printable(error);
            let told = format!("{error} {error:?}");
            assert!(!told.contains(PASSWORD), "{told}");
        }
        let asked = std::mem::take(&mut NOW.lock().unwrap().asked);
        assert!(asked.len() <= QUESTIONS_MAX, "{place:?}: {} questions", asked.len());
        assert!(asked.iter().all(|path| path.starts_with("/v2/team/app/")), "{place:?}: {asked:?}");
        let is_refused = read.is_err_and(|error| matches!(error, OciError::Registry(_) | OciError::TooMuch { .. }));
        assert!(is_refused || !matches!(place, Place::Error | Place::Challenge), "{place:?}");
    }
}

fn challenges(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Some(Challenge::Bearer { realm, service }) = Challenge::read(&text) else { return };
    match token_url(&realm, service.as_deref(), "team/app") {
        Ok(url) => {
            assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
            let scope = url.query_pairs().last().unwrap();
            assert_eq!((&*scope.0, &*scope.1), ("scope", "repository:team/app:pull"));
        }
        Err(error) => printable(&error),
    }
}

/// What the registry answers: sound, but for the input in its place.
async fn answer(uri: Uri) -> Response {
    let mut now = NOW.lock().unwrap();
    now.asked.push(uri.to_string());
    let (place, data) = (now.place, now.data.clone());
    let list = |manifests: Value| json!({"schemaVersion": 2, "manifests": manifests}).to_string();
    let index = |extra: Option<(HeaderName, HeaderValue)>, body: Vec<u8>| {
        let mut answer = ([(header::CONTENT_TYPE, INDEX)], body).into_response();
        answer.headers_mut().extend(extra);
        answer
    };
    let kind = uri.path().trim_start_matches("/v2/team/app/").split('/').next().unwrap_or_default();
    let is_first = uri.query().is_none();
    match (kind, place) {
        (_, Place::Error) => {
            let statuses = [301, 400, 401, 403, 405, 500];
            let status = statuses[data.len() % statuses.len()];
            let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"r\"")];
            (StatusCode::from_u16(status).unwrap(), challenge, data).into_response()
        }
        (_, Place::Challenge) => (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, text(&data))]).into_response(),
        ("manifests", Place::Tag) => data.into_response(),
        ("manifests", Place::Manifest) if uri.path().ends_with(&Digest::sha256(&data).to_string()) => {
            data.into_response()
        }
        ("manifests", _) if uri.path().ends_with("/v1") => list(json!([])).into_response(),
        ("referrers", Place::Referrers) => index(None, data),
        ("referrers", Place::Link) if is_first => {
            index(Some((header::LINK, text(&data))), list(json!([])).into_bytes())
        }
        ("referrers", Place::Manifest) => {
            let listed = json!([{"digest": Digest::sha256(&data).to_string(), "size": data.len()}]);
            index(None, list(listed).into_bytes())
        }
        ("blobs", _) => data.into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// As much of the input as a header can hold.
fn text(data: &[u8]) -> HeaderValue {
    let bytes: Vec<u8> = data.iter().copied().filter(|byte| matches!(byte, b' '..=b'~' | 0x80..)).take(4_000).collect();
    HeaderValue::from_bytes(&bytes).unwrap()
}

/// Docker's configuration: nothing that may be a secret is in a message, nor shown with the user.
pub fn docker_config(data: &[u8]) {
    let config = serde_json::from_slice::<Value>(data);
    // A fuzzer learns what its inputs are compared with, and puts it where it may be seen.
    if config.as_ref().is_ok_and(|config| config.to_string().contains(MARK)) {
        return;
    }
    of_docker(data);
    if let Ok(mut config) = config {
        mark(&mut config);
        of_docker(config.to_string().as_bytes());
    }
}

fn of_docker(config: &[u8]) {
    for registry in ["r.example", "docker.io", "r.example:5000"] {
        let told = match Credentials::of_docker(config, registry) {
            Ok(credentials) => {
                assert!(credentials.as_ref().is_none_or(|credentials| !credentials.user.is_empty()));
                format!("{credentials:?}")
            }
            Err(error) => {
                printable(&error);
                format!("{error} {error:?}")
            }
        };
        assert!(!told.contains(MARK), "{told}");
    }
}

/// Marks what may be a secret: all but names of programs and users.
fn mark(config: &mut Value) {
    match config {
        Value::Object(members) => {
            let open = |name: &str| matches!(name, "credsStore" | "credHelpers" | "username");
            members.iter_mut().filter(|(name, _)| !open(name)).for_each(|(_, value)| mark(value));
        }
        Value::Array(items) => items.iter_mut().for_each(mark),
        Value::String(text) => match STANDARD.decode(&*text) {
            Ok(pair) if pair.contains(&b':') => *text = STANDARD.encode([&pair, MARK.as_bytes()].concat()),
            _ => text.push_str(MARK),
        },
        _ => {}
    }
}
