//! Two hundred clients at a time that misbehave at random: no key goes where the policy forbids, and each attempt is
//! recorded once.

use crate::world::{FORBIDDEN, KEY, WEIGHTS, World, fetch, post};
use axum::http::StatusCode;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use tarn_enclave::broker::Activity;
use tarn_enclave::simulated::NsmRequest;
use tower::ServiceExt as _;

/// What happened, as the clients saw it.
#[derive(Default)]
struct Seen {
    /// Requests that are attempts and were waited for.
    attempts: AtomicUsize,
    /// Attempts of clients that hung up.
    hung_up: AtomicUsize,
    /// Keys that arrived and opened.
    keys: AtomicUsize,
    /// Refusals for want of a record.
    unrecorded: AtomicUsize,
}

#[derive(Clone, Copy, Debug)]
enum Mischief {
    None,
    WrongImage,
    NoEvidence,
    Debug,
    Stale,
    OtherNonce,
    OtherKey,
    Tampered,
    Garbage,
    Twice,
    ForbiddenKey,
    NotAttested,
    StolenAnswer,
    HangUp,
}

const ALL: &[Mischief] = &[
    Mischief::None,
    Mischief::None,
    Mischief::None,
    Mischief::WrongImage,
    Mischief::NoEvidence,
    Mischief::Debug,
    Mischief::Stale,
    Mischief::OtherNonce,
    Mischief::OtherKey,
    Mischief::Tampered,
    Mischief::Garbage,
    Mischief::Twice,
    Mischief::ForbiddenKey,
    Mischief::NotAttested,
    Mischief::StolenAnswer,
    Mischief::HangUp,
];

fn request(world: &World, client: &crate::world::Client, mischief: Mischief) -> NsmRequest {
    let mut request = world.request(client);
    match mischief {
        Mischief::WrongImage => request.pcrs[0].1 = vec![0xb0; 48],
        Mischief::NoEvidence => request.pcrs[0].1 = vec![0xee; 48],
        Mischief::Debug => request.pcrs.iter_mut().for_each(|(_, value)| value.fill(0)),
        Mischief::Stale => request.timestamp -= chrono::TimeDelta::minutes(7),
        Mischief::OtherNonce => request.nonce = Some(vec![5; 48]),
        Mischief::OtherKey => request.public_key = Some(vec![5; 91]),
        _ => {}
    }
    request
}

async fn one(world: Arc<World>, seen: Arc<Seen>, seed: u64) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for _ in 0..3 {
        let mischief = *ALL.choose(&mut random).unwrap();
        let client = world.client().await;
        let mut body = world.attestation(&client, &request(&world, &client, mischief));
        if matches!(mischief, Mischief::Tampered) {
            let document = body["tee-evidence"]["primary_evidence"]["document"].as_str().unwrap().to_owned();
            let at = random.random_range(0..document.len() - 4);
            let other = if document.as_bytes()[at] == b'A' { "B" } else { "A" };
            let changed = format!("{}{other}{}", &document[..at], &document[at + 1..]);
            body["tee-evidence"]["primary_evidence"]["document"] = json!(changed);
        }
        let text = match mischief {
            Mischief::Garbage => (0..random.random_range(0..400)).map(|_| random.random_range(' '..'~')).collect(),
            _ => body.to_string(),
        };
        if !matches!(mischief, Mischief::NotAttested) {
            attest(&world, &seen, &client.cookie, &text).await;
        }
        if matches!(mischief, Mischief::Twice) {
            assert_ne!(attest(&world, &seen, &client.cookie, &text).await, StatusCode::OK);
        }
        if matches!(mischief, Mischief::HangUp) {
            hang_up(&world, &seen, &client.cookie).await;
            continue;
        }
        let name = if matches!(mischief, Mischief::ForbiddenKey) { FORBIDDEN } else { WEIGHTS };
        seen.attempts.fetch_add(1, Ordering::SeqCst);
        let reply = world.resource(&client, name).await;
        if reply.status == StatusCode::OK {
            assert!(
                matches!(mischief, Mischief::None | Mischief::Twice | Mischief::StolenAnswer),
                "{mischief:?} got a key"
            );
            let opener = if matches!(mischief, Mischief::StolenAnswer) { world.client().await } else { client };
            let answer = serde_json::from_value(reply.body).unwrap();
            match opener.workload.open(&answer) {
                Ok(key) => assert_eq!(key.expose(), KEY),
                Err(_) => assert!(matches!(mischief, Mischief::StolenAnswer)),
            }
            seen.keys.fetch_add(1, Ordering::SeqCst);
        } else if reply.refusal().0 == "ledger-failed" {
            seen.unrecorded.fetch_add(1, Ordering::SeqCst);
        }
    }
}

async fn attest(world: &World, seen: &Seen, cookie: &str, body: &str) -> StatusCode {
    seen.attempts.fetch_add(1, Ordering::SeqCst);
    let reply = world.call(post("/kbs/v0/attest", Some(cookie), body.to_owned())).await;
    reply.status
}

/// Asks, and goes when the request has been looked at once.
async fn hang_up(world: &World, seen: &Seen, cookie: &str) {
    seen.hung_up.fetch_add(1, Ordering::SeqCst);
    let mut call = pin!(world.router.clone().oneshot(fetch(WEIGHTS, Some(cookie))));
    poll_fn(|context| {
        let _ = call.as_mut().poll(context);
        Poll::Ready(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_key_goes_where_it_must_not_and_every_attempt_is_recorded_once() {
    let (world, seen) = (Arc::new(World::new()), Arc::new(Seen::default()));
    world.ledger.fail_every.store(13, Ordering::SeqCst);
    let clients: Vec<_> = (0..200).map(|seed| tokio::spawn(one(Arc::clone(&world), Arc::clone(&seen), seed))).collect();
    for client in clients {
        client.await.unwrap();
    }
    let (attempts, hung_up) = (seen.attempts.load(Ordering::SeqCst), seen.hung_up.load(Ordering::SeqCst));
    // Whoever hung up may still be being decided: those are the only ones that nobody waits for.
    while world.ledger.tried() < attempts + hung_up {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.ledger.tried(), attempts + hung_up);

    let kept = world.ledger.kept.lock().unwrap();
    let failed = (attempts + hung_up) / 13;
    assert_eq!(kept.len(), attempts + hung_up - failed, "all but those that the ledger refused");
    let uids: HashSet<_> = kept.iter().map(|attempt| attempt.uid.as_str()).collect();
    assert_eq!(uids.len(), kept.len(), "none twice");

    let releases: Vec<_> = kept.iter().filter(|attempt| attempt.activity == Activity::Release).collect();
    let keys = seen.keys.load(Ordering::SeqCst);
    assert!((keys..=keys + hung_up).contains(&releases.len()), "{keys} keys, {} releases", releases.len());
    assert!(keys > 20 && seen.unrecorded.load(Ordering::SeqCst) > 0, "{keys} keys: the run tries little");
    for release in releases {
        let record = release.to_ocsf();
        assert_eq!(record["key_release_info"]["key_uid"], WEIGHTS);
        assert_eq!(record["artifact"]["uid"], format!("sha384:{}", "a1".repeat(48)));
        assert_eq!(record["tee_evidence"]["is_debug"], false);
        assert_eq!(record["key_release_info"]["recipient_fingerprint"], record["tee_evidence"]["fingerprint"]);
    }
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    kept.iter().for_each(|attempt| *reasons.entry(attempt.reason().caption()).or_default() += 1);
    println!("{attempts} attempts, {hung_up} hung up, {keys} keys: {reasons:?}");
    for expected in
        ["Debug Mode", "Document Expired", "Key Not Bound", "Measurement Mismatch", "Evidence Missing", "Policy Denied"]
    {
        assert!(reasons.contains_key(expected), "{expected} was never met: {reasons:?}");
    }
    let _: Value = kept[0].to_ocsf();
}
