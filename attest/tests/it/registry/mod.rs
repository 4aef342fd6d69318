//! Images of registries: of one that is made here, behaves or does not, and of Docker's own.

mod asking;
mod docker;
mod hostile;
mod served;

use crate::oci::{BUNDLE, Delivery, ENVELOPE, SAID, SIGNATURE, logged};
use crate::world::{PAYLOAD_TYPE, World};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde_json::json;
use served::{INDEX, Served};
use tarn_attest::oci::registry::Access;
use tarn_attest::oci::{Attached, Content, Found, Layout, OciError, Repository, attached, image};

/// An image with all that is attached to one: a bundle, a signature, an attestation, and a bill of materials.
fn delivery(world: &World) -> Delivery {
    let mut delivery = Delivery::new();
    let said = delivery.statement(SAID, &json!({}));
    delivery.refer(world.attested(PAYLOAD_TYPE, &said).to_string(), BUNDLE);
    let payload = delivery.payload().to_string();
    delivery.tag(".sig", &payload, SIGNATURE, logged(world, payload.as_bytes()));
    delivery.tag(".att", world.envelope(PAYLOAD_TYPE, &said).to_string(), ENVELOPE, json!({}));
    let bill = r#"{"bomFormat":"CycloneDX","specVersion":"1.5"}"#;
    delivery.tag(".sbom", bill, "application/vnd.cyclonedx+json", json!({}));
    delivery
}

/// What is attached to the image `v1`; that it can be waited for on any thread.
async fn read(repository: &dyn Repository) -> Result<Vec<Attached>, OciError> {
    fn sent<F: Future + Send>(future: F) -> F {
        future
    }
    let image = sent(image(repository, Some("v1"))).await?;
    sent(attached(repository, &image)).await
}

/// What is compared of documents; the content by its bytes.
fn facts(documents: &[Attached]) -> Vec<(String, String, Found, Option<Vec<u8>>)> {
    let fact = |document: &Attached| {
        let bytes = document.document().map(std::borrow::Cow::into_owned);
        (document.manifest.to_string(), document.digest.to_string(), document.found, bytes)
    };
    documents.iter().map(fact).collect()
}

#[tokio::test]
async fn a_registry_gives_the_documents_that_a_layout_gives() {
    let world = World::new();
    let delivery = delivery(&world);
    let layout: Layout = delivery.open().unwrap();
    let expected = facts(&read(&layout).await.unwrap());
    assert_eq!(expected.len(), 4);
    let served = Served::but(&delivery, |_| None).await;
    let documents = read(&served.registry(Access::default())).await.unwrap();
    assert_eq!(facts(&documents), expected);
    assert!(matches!(documents[0].content, Content::Bundle(_)));
    // By digest the image is the same, and a tag beside it is not looked at.
    for rest in [format!("@{}", delivery.image), format!(":other@{}", delivery.image)] {
        let reference = served.reference(&rest);
        let access = Access { insecure_http: true, ..Access::default() };
        let registry = tarn_attest::oci::registry::Registry::new(reference, access).unwrap();
        assert_eq!(image(&registry, None).await.unwrap(), delivery.image);
    }
    for absent in ["v2", "a/../b", "%2e%2e", ""] {
        let error = image(&served.registry(Access::default()), Some(absent)).await.unwrap_err();
        assert!(matches!(error, OciError::Absent(_)), "{absent}: {error}");
    }
}

#[tokio::test]
async fn without_a_list_of_referrers_the_tag_has_it() {
    let world = World::new();
    let mut delivery = delivery(&world);
    let expected = facts(&read(&delivery.open().unwrap()).await.unwrap());
    let without = |asked: &served::Asked| {
        let refused = asked.path.contains("/referrers/").then_some(StatusCode::NOT_FOUND);
        refused.map(|status| status.into_response())
    };
    // No list at all: cosign's tags are left.
    let served = Served::but(&delivery, without).await;
    assert_eq!(facts(&read(&served.registry(Access::default())).await.unwrap()), expected[1..]);
    let referrer = delivery.listed[1].clone();
    let list = delivery.manifest(&json!({"schemaVersion": 2, "manifests": [referrer]}));
    delivery.list(list, &format!("sha256-{}", delivery.image.to_hex()));
    let served = Served::but(&delivery, without).await;
    assert_eq!(facts(&read(&served.registry(Access::default())).await.unwrap()), expected);
    // A page for people is no list either.
    let page = |asked: &served::Asked| {
        asked.path.contains("/referrers/").then(|| ([("content-type", "text/html")], "<html>").into_response())
    };
    let served = Served::but(&delivery, page).await;
    assert_eq!(facts(&read(&served.registry(Access::default())).await.unwrap()), expected);
}

#[tokio::test]
async fn a_list_of_several_pages_is_read_to_its_end() {
    let world = World::new();
    let mut delivery = delivery(&world);
    let said = delivery.statement(SAID, &json!({"another": 1}));
    delivery.refer(world.attested(PAYLOAD_TYPE, &said).to_string(), BUNDLE);
    let (first, second) = (delivery.listed[1].clone(), delivery.listed[5].clone());
    let served = Served::but(&delivery, move |asked| {
        let list = |manifest| json!({"schemaVersion": 2, "manifests": [manifest]}).to_string();
        let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
        match (path.contains("/referrers/"), query) {
            (true, "") => {
                let link = format!("<{path}?last=1>; rel=\"next\"");
                let headers = [("content-type", INDEX), ("link", link.as_str())];
                Some((headers, list(first.clone())).into_response())
            }
            (true, "last=1") => Some(([("content-type", INDEX)], list(second.clone())).into_response()),
            _ => None,
        }
    })
    .await;
    let documents = read(&served.registry(Access::default())).await.unwrap();
    let referrers = documents.iter().filter(|document| document.found == Found::Referrer).count();
    assert_eq!((referrers, documents.len()), (2, 5));
}
