//! Who asks, what they are told, and what is asked again.

use super::served::{Asked, Served, endless};
use super::{delivery, read};
use crate::world::World;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use tarn_attest::oci::OciError;
use tarn_attest::oci::registry::{Access, Credentials, RegistryError};

/// `me:hush` in base64.
const ME: &str = "Basic bWU6aHVzaA==";

fn me() -> Access {
    Access { credentials: Some(Credentials::new("me", "hush")), ..Access::default() }
}

fn challenge(with: &str) -> Response {
    let body = json!({"errors": [{"code": "UNAUTHORIZED"}]}).to_string();
    (StatusCode::UNAUTHORIZED, [("www-authenticate", with)], body).into_response()
}

/// One that wants a token of itself, and gives the `n`-th one that is asked for as `token-n`. Tokens are good if this says so.
async fn tokens(is_good: impl Fn(&str) -> bool + Send + Sync + 'static) -> Served {
    let address: Arc<OnceLock<String>> = Arc::default();
    let realm = address.clone();
    let served = Served::but(&delivery(&World::new()), move |asked: &Asked| {
        if asked.path.starts_with("/token") {
            let is_known = asked.header("authorization") == Some(ME);
            let answer = json!({"token": format!("token-{}", asked.before)}).to_string();
            return Some(if is_known { answer.into_response() } else { challenge("Basic") });
        }
        let token = asked.header("authorization").and_then(|header| header.strip_prefix("Bearer "));
        let with = format!("Bearer realm=\"{}/token\",service=\"registry\"", realm.get().unwrap());
        (!token.is_some_and(&is_good)).then(|| challenge(&with))
    })
    .await;
    address.set(format!("http://{}", served.address)).unwrap();
    served
}

#[tokio::test]
async fn a_token_is_had_once_with_the_credentials_and_is_all_that_the_registry_sees() {
    let served = tokens(|token| token == "token-0").await;
    assert_eq!(read(&served.registry(me())).await.unwrap().len(), 4);
    let asked = served.asked();
    let (of_token, others): (Vec<_>, Vec<_>) = asked.iter().partition(|asked| asked.path.starts_with("/token"));
    assert_eq!(of_token.len(), 1);
    assert_eq!(of_token[0].path, "/token?service=registry&scope=repository%3Ateam%2Fapp%3Apull");
    let told: Vec<_> = others.iter().map(|asked| asked.header("authorization")).collect();
    assert_eq!(told[0], None);
    assert!(told[1..].iter().all(|told| *told == Some("Bearer token-0")), "{told:?}");
}

#[tokio::test]
async fn a_token_that_is_no_longer_good_is_had_anew_and_not_for_ever() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let once = move |token: &str| {
        let first = count.fetch_add(usize::from(token == "token-0"), std::sync::atomic::Ordering::Relaxed) < 3;
        token == "token-1" || (token == "token-0" && first)
    };
    let served = tokens(once).await;
    assert_eq!(read(&served.registry(me())).await.unwrap().len(), 4);
    assert_eq!(served.asked().iter().filter(|asked| asked.path.starts_with("/token")).count(), 2);
    // Never good: two questions and one token.
    let served = tokens(|_| false).await;
    let error = read(&served.registry(me())).await.unwrap_err();
    let OciError::Registry(RegistryError::Refused { user, code, .. }) = &error else { panic!("{error}") };
    assert_eq!((user.as_deref(), code.as_deref()), (Some("me"), Some("UNAUTHORIZED")));
    assert_eq!(served.asked().len(), 3);
}

#[tokio::test]
async fn who_is_not_known_is_told_so_and_no_message_has_the_password() {
    let served = tokens(|_| true).await;
    for (credentials, who) in
        [(None, "without credentials"), (Some(Credentials::new("me", "wrong-hush")), "the user \"me\"")]
    {
        let error = read(&served.registry(Access { credentials, ..Access::default() })).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains(who) && text.contains("401"), "{text}");
        assert!(!text.contains("hush") && !text.contains("Basic d2"), "{text}");
    }
    // Basic alone.
    let basic = || async {
        let answer =
            |asked: &Asked| (asked.header("authorization") != Some(ME)).then(|| challenge("Basic realm=\"r\""));
        Served::but(&delivery(&World::new()), answer).await
    };
    assert_eq!(read(&basic().await.registry(me())).await.unwrap().len(), 4);
    let error = read(&basic().await.registry(Access::default())).await.unwrap_err();
    assert!(matches!(error, OciError::Registry(RegistryError::Refused { user: None, .. })), "{error}");
}

#[tokio::test]
async fn credentials_go_to_no_realm_by_plain_http_but_of_this_machine() {
    for (with, expected) in [
        ("Bearer realm=\"http://token.example/\"", "expected an https address"),
        ("Bearer realm=\"ftp://127.0.0.1/\"", "expected an https address"),
        ("Bearer realm=\"https://a:b@token.example/\"", "expected an https address"),
        ("Bearer realm=\"token\"", "expected an https address"),
        ("Negotiate", "expected a Bearer or Basic challenge"),
        ("", "expected a Bearer or Basic challenge"),
    ] {
        let served = Served::new(move |_| challenge(with)).await;
        let error = read(&served.registry(me())).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{with}: {error}");
        assert_eq!(served.asked().len(), 1, "{with}");
    }
}

#[tokio::test]
async fn a_token_without_end_or_none_is_refused() {
    for (answer, expected) in [("endless", "more than"), ("{}", "expected a token"), ("<html>", "expected a token")] {
        let address: Arc<OnceLock<String>> = Arc::default();
        let realm = address.clone();
        let served = Served::new(move |asked| match (asked.path.starts_with("/token"), answer) {
            (true, "endless") => endless(StatusCode::OK),
            (true, _) => answer.into_response(),
            (false, _) => challenge(&format!("Bearer realm=\"{}/token\"", realm.get().unwrap())),
        })
        .await;
        address.set(format!("http://{}", served.address)).unwrap();
        let error = read(&served.registry(me())).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{answer}: {error}");
    }
}

#[tokio::test]
async fn a_busy_registry_is_asked_again_and_not_for_ever() {
    let busy = |times: usize| {
        move |asked: &Asked| (asked.before < times).then(|| StatusCode::SERVICE_UNAVAILABLE.into_response())
    };
    let served = Served::but(&delivery(&World::new()), busy(2)).await;
    let began = Instant::now();
    let name = "v1";
    tarn_attest::oci::image(&served.registry(Access::default()), Some(name)).await.unwrap();
    assert!(began.elapsed().as_millis() >= 750, "a pause, and a longer one");
    let served = Served::but(&delivery(&World::new()), busy(usize::MAX)).await;
    let error = read(&served.registry(Access::default())).await.unwrap_err();
    assert!(matches!(&error, OciError::Registry(RegistryError::Status { status, .. }) if *status == 503), "{error}");
    assert_eq!(served.asked().len(), 3);
    // One that wants to be left alone for long is.
    let served = Served::new(|_| (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "3600")]).into_response()).await;
    let began = Instant::now();
    assert!(read(&served.registry(Access::default())).await.is_err());
    assert!(served.asked().len() == 1 && began.elapsed().as_secs() < 5);
    // What is no passing trouble is not asked again.
    let served = Served::new(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response()).await;
    assert!(read(&served.registry(Access::default())).await.is_err());
    assert_eq!(served.asked().len(), 1);
}
