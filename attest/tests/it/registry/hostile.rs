//! What registries, and who is between, try.

use super::served::{Asked, INDEX, Served, endless};
use super::{delivery, read};
use crate::oci::{BUNDLE, Delivery};
use crate::world::World;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use std::sync::{Arc, Mutex};
use tarn_attest::Digest;
use tarn_attest::admission::Reference;
use tarn_attest::oci::registry::{Access, Credentials, Registry, RegistryError};
use tarn_attest::oci::{OciError, attached};

async fn refused(
    delivery: &Delivery,
    otherwise: impl Fn(&Asked) -> Option<Response> + Send + Sync + 'static,
) -> OciError {
    let served = Served::but(delivery, otherwise).await;
    read(&served.registry(Access::default())).await.unwrap_err()
}

#[tokio::test]
async fn content_that_is_not_what_its_digest_says_is_refused() {
    let delivery = delivery(&World::new());
    let another = json!({"schemaVersion": 2, "layers": []}).to_string();
    let paths = {
        let served = Served::but(&delivery, |_| None).await;
        read(&served.registry(Access::default())).await.unwrap();
        served.asked().into_iter().map(|asked| asked.path).filter(|path| path.contains("/sha256:"))
    };
    let mut changed = 0;
    for path in paths.filter(|path| !path.contains("/referrers/")) {
        let another = another.clone();
        let of = path.clone();
        let error = refused(&delivery, move |asked| (asked.path == of).then(|| another.clone().into_response())).await;
        assert!(matches!(error, OciError::Changed { .. } | OciError::Size { .. }), "{path}: {error}");
        changed += 1;
    }
    assert_eq!(changed, 9, "the image, four manifests and four documents");
    // Under a tag as well, where the registry itself says another digest than the content has.
    let digest = Digest::sha256(b"another").to_string();
    let error = refused(&delivery, move |asked| {
        let headers = [("docker-content-digest", digest.as_str())];
        asked.path.ends_with("/manifests/v1").then(|| (headers, another.clone()).into_response())
    })
    .await;
    assert!(matches!(error, OciError::Changed { .. }), "{error}");
}

#[tokio::test]
async fn what_has_no_end_is_not_read_to_it() {
    let delivery = delivery(&World::new());
    for (part, status) in [
        ("/manifests/v1", StatusCode::OK),
        ("/manifests/sha256:", StatusCode::OK),
        ("/referrers/", StatusCode::OK),
        ("/blobs/", StatusCode::OK),
        ("/manifests/v1", StatusCode::BAD_REQUEST),
    ] {
        let error = refused(&delivery, move |asked| {
            let mut answer = asked.path.contains(part).then(|| endless(status))?;
            answer.headers_mut().insert("content-type", INDEX.parse().unwrap());
            Some(answer)
        })
        .await;
        assert!(matches!(error, OciError::TooMuch { unit: "bytes", .. }), "{part}: {error}");
    }
    // A size is enough to refuse it by.
    let error = refused(&delivery, |asked| {
        let part = axum::body::Body::from_stream(futures::stream::pending::<Result<String, std::io::Error>>());
        asked.path.ends_with("/v1").then(|| ([("content-length", "4194305")], part).into_response())
    })
    .await;
    assert!(matches!(error, OciError::TooMuch { max: 4_194_304, .. }), "{error}");
}

#[tokio::test]
async fn more_referrers_than_are_looked_at_are_refused_on_one_page_or_many() {
    let delivery = delivery(&World::new());
    let list = |count: usize| {
        let one = json!({"digest": Digest::sha256(b"x"), "size": 1});
        json!({"schemaVersion": 2, "manifests": vec![one; count]}).to_string()
    };
    for (each, unit) in [(1025, "manifests"), (100, "manifests"), (0, "pages")] {
        let page = list(each);
        let error = refused(&delivery, move |asked| {
            let (path, number) = asked.path.split_once("?n=").unwrap_or((&asked.path, "0"));
            let next = format!("<{path}?n={}>; rel=\"next\"", number.parse::<usize>().unwrap() + 1);
            let headers = [("content-type", INDEX), ("link", next.as_str())];
            path.contains("/referrers/").then(|| (headers, page.clone()).into_response())
        })
        .await;
        assert!(matches!(&error, OciError::TooMuch { unit: of, .. } if *of == unit), "{each}: {error}");
    }
    // A page elsewhere would be told who asks.
    for next in ["http://127.0.0.1:1/v2/team/app/referrers/x", "//elsewhere.example/", "/v2/other/app/", "http://["] {
        let error = refused(&delivery, move |asked| {
            let link = format!("<{next}>; rel=\"next\"");
            let headers = [("content-type", INDEX), ("link", link.as_str())];
            asked
                .path
                .contains("/referrers/")
                .then(|| (headers, r#"{"schemaVersion":2,"manifests":[]}"#).into_response())
        })
        .await;
        assert!(matches!(error, OciError::Registry(RegistryError::Page { .. })), "{next}: {error}");
    }
}

#[tokio::test]
async fn more_documents_or_bytes_than_are_held_are_refused_before_they_are_fetched() {
    for (count, size, unit) in [(257, 1, "documents"), (5, 64_u64 << 20, "bytes")] {
        let mut delivery = Delivery::new();
        let layer = json!({"mediaType": BUNDLE, "digest": Digest::sha256(b"x"), "size": size});
        let layers = vec![layer; count];
        let manifest = json!({"schemaVersion": 2, "layers": layers, "subject": delivery.subject()});
        let manifest = delivery.manifest(&manifest);
        delivery.listed.push(manifest);
        let served = Served::but(&delivery, |_| None).await;
        let error = attached(&served.registry(Access::default()), &delivery.image).await.unwrap_err();
        assert!(matches!(&error, OciError::TooMuch { unit: of, .. } if *of == unit), "{error}");
        assert!(served.asked().iter().all(|asked| !asked.path.contains("/blobs/")));
    }
}

#[tokio::test]
async fn redirects_end_and_lead_to_nothing_that_is_less_safe() {
    let delivery = delivery(&World::new());
    let to = |location: &str| (StatusCode::TEMPORARY_REDIRECT, [("location", location)]).into_response();
    let error = refused(&delivery, move |asked| {
        let further = format!("{}/further", asked.path);
        asked.path.contains("/manifests/v1").then(|| to(&further))
    })
    .await;
    assert!(error.to_string().contains("more than 5 redirects"), "{error}");
    for location in ["http://elsewhere.example/", "http://169.254.169.254/latest/meta-data", "file:///etc/passwd"] {
        let error = refused(&delivery, move |asked| asked.path.contains("/blobs/").then(|| to(location))).await;
        // A location that is no address of the web is an answer like any other.
        let text = error.to_string();
        assert!(text.contains("something else than HTTPS") || text.contains("307"), "{location}: {text}");
    }
    // Where blobs are kept elsewhere, who asks is not told there.
    let content = super::served::Served::but(&delivery, |_| None).await;
    let elsewhere = format!("http://localhost:{}", content.address.port());
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let told = seen.clone();
    let served = Served::but(&delivery, move |asked| {
        let Some(authorization) = asked.header("authorization") else {
            return Some((StatusCode::UNAUTHORIZED, [("www-authenticate", "Basic")]).into_response());
        };
        told.lock().unwrap().push(authorization.to_owned());
        asked.path.contains("/blobs/").then(|| to(&format!("{elsewhere}{}", asked.path)))
    })
    .await;
    let credentials = Some(Credentials::new("me", "hush"));
    let registry = served.registry(Access { credentials, ..Access::default() });
    assert_eq!(read(&registry).await.unwrap().len(), 4);
    assert!(!seen.lock().unwrap().is_empty());
    let asked = content.asked();
    assert_eq!(asked.len(), 4);
    assert!(asked.iter().all(|asked| asked.header("authorization").is_none()));
}

#[tokio::test]
async fn what_is_no_manifest_is_named() {
    let delivery = delivery(&World::new());
    for (answer, expected) in [
        ("<html>", "is not as expected"),
        (r#"{"schemaVersion":1,"layers":[]}"#, "expected the schema version 2"),
        (r#"{"schemaVersion":2,"layers":[],"manifests":[]}"#, "both layers and manifests"),
    ] {
        let digest = Digest::sha256(answer.as_bytes()).to_string();
        let path = format!("/v2/team/app/manifests/{digest}");
        let error = refused(&delivery, move |asked| {
            (asked.path.ends_with("/v1") || asked.path == path).then(|| answer.into_response())
        })
        .await
        .to_string();
        assert!(error.contains(expected) && error.contains(&digest), "{error}");
    }
}

#[tokio::test]
async fn plain_http_is_for_this_machine_alone() {
    let access = || Access { insecure_http: true, ..Access::default() };
    for (name, is_here) in [
        ("127.0.0.1:5000/app", true),
        ("127.8.9.10/app", true),
        ("localhost:5000/app", true),
        ("[::1]:5000/app", true),
        ("registry.example/app", false),
        ("10.0.0.1:5000/app", false),
        ("localhost.example/app", false),
        ("app", false),
    ] {
        let made = Registry::new(Reference::read(name).unwrap(), access());
        assert_eq!(made.is_ok(), is_here, "{name}");
        assert!(is_here || matches!(made, Err(RegistryError::Insecure(_))), "{name}");
    }
    // Nobody listens, or nobody who speaks TLS.
    let served = Served::new(|_| StatusCode::OK.into_response()).await;
    let registry = Registry::new(served.reference(":v1"), Access::default()).unwrap();
    let error = read(&registry).await.unwrap_err();
    assert!(matches!(error, OciError::Registry(RegistryError::Unreached { .. })), "{error}");
    let authorities = Some(b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n".to_vec());
    let made = Registry::new(served.reference(""), Access { authorities, ..Access::default() });
    assert!(matches!(made, Err(RegistryError::Client(_))));
}
