//! Fifty clients at a broker that is killed under them: what a client was told of is in the ledger once, and in the table
//! once when the broker has been started again.

use super::place::Place;
use crate::command::{tarn, text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{TimeDelta, Utc};
use kbs_types::{Challenge, Response};
use object_store::path::Path as StorePath;
use reqwest::{Client, RequestBuilder, StatusCode, header};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tarn_attest::ledger::{LAKE_PREFIX, records_after};
use tarn_enclave::broker::protocol::DECISION;
use tarn_enclave::client::Workload;
use tarn_enclave::evidence::Platform;
use tarn_enclave::simulated::{NsmRequest, SimulatedAuthority, SoftwareNsm};
use tarn_lake::{Lake, StoreOptions};

const CLIENTS: usize = 50;
/// Answers after which the broker is killed.
const ANSWERS: usize = 260;

/// What the clients were told: the uid of each decision, and whether a key came with it.
#[derive(Default)]
struct Told(Mutex<BTreeMap<String, bool>>);

impl Told {
    fn note(&self, answer: &reqwest::Response, with_key: bool) {
        let uid = answer.headers()[DECISION].to_str().unwrap().to_owned();
        assert_eq!(self.0.lock().unwrap().insert(uid, with_key), None, "a decision is told once");
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// Attests and asks for keys again and again, each third time as another image, until the broker is gone.
async fn client(number: usize, url: String, nsm: Arc<SoftwareNsm>, pcr0: Vec<u8>, told: Arc<Told>) {
    let client = Client::new();
    for round in number.. {
        let pcr0 = if round % 3 == 0 { vec![0xb0; 48] } else { pcr0.clone() };
        if session(&client, &url, &nsm, pcr0, &told).await.is_err() {
            return;
        }
    }
}

/// **Errors**: no answer, or not all of it.
async fn session(client: &Client, url: &str, nsm: &SoftwareNsm, pcr0: Vec<u8>, told: &Told) -> reqwest::Result<()> {
    let workload = Workload::new().unwrap();
    let opened = client.post(format!("{url}/kbs/v0/auth")).json(&Workload::request(Platform::Nitro)).send().await?;
    let cookie = opened.headers()[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    let challenge: Challenge = opened.json().await?;
    let bind = workload.to_bind(&challenge).unwrap();
    let document = nsm.document(&NsmRequest {
        timestamp: Utc::now(),
        pcrs: vec![(0, pcr0.clone()), (1, vec![1; 48]), (2, vec![2; 48])],
        nonce: Some(bind.report_data),
        public_key: Some(bind.public_key),
        user_data: None,
    });
    let evidence = json!({"document": STANDARD.encode(document.unwrap())});
    let attestation = workload.attestation(&challenge, evidence).unwrap();
    let with_cookie = |request: RequestBuilder| request.header(header::COOKIE, &cookie);
    let attested = with_cookie(client.post(format!("{url}/kbs/v0/attest"))).json(&attestation).send().await?;
    // A machine that is too slow for the broker's deadlines opens nothing, and is asked again.
    if attested.status() == StatusCode::SERVICE_UNAVAILABLE {
        return Ok(());
    }
    assert_eq!(attested.status(), StatusCode::OK);
    told.note(&attested, false);
    let asked = client.get(format!("{url}/kbs/v0/resource/models/scorer/weights"));
    let answer = with_cookie(asked).send().await?;
    if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
        return Ok(());
    }
    let is_released = answer.status() == StatusCode::OK;
    assert_eq!(is_released, pcr0[0] != 0xb0, "{}", answer.status());
    told.note(&answer, is_released);
    if is_released {
        assert_eq!(workload.open(&answer.json::<Response>().await?).unwrap().expose().len(), 32);
    }
    Ok(())
}

/// How often each uid is a leaf, with the activity of its record.
async fn leaves(place: &Place) -> BTreeMap<String, (usize, String)> {
    let lake = Lake::open(text(&place.path("lake")), &StoreOptions::default()).await.unwrap();
    let mut leaves: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let mut size = 0;
    while let Some(records) = records_after(lake.store(), &StorePath::from(LAKE_PREFIX), size).await.unwrap() {
        size += records.len() as u64;
        for logged in records {
            let record: Value = serde_json::from_slice(&logged.record).unwrap();
            let activity = record["activity_name"].as_str().unwrap().to_owned();
            leaves.entry(logged.uid).or_insert((0, activity)).0 += 1;
        }
    }
    leaves
}

/// How often each uid is a row of `key_release`.
fn rows(place: &Place) -> BTreeMap<String, u64> {
    let sql = "SELECT metadata.uid AS uid, count(*) AS n FROM key_release GROUP BY 1";
    let run = tarn(&["sql", "--lake", text(&place.path("lake")), "--format", "ndjson", sql]);
    // Before the first row there is no table.
    let rows = if run.code == 0 { run.rows() } else { Vec::new() };
    rows.iter().map(|row| (row["uid"].as_str().unwrap().to_owned(), row["n"].as_u64().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_clients_were_told_outlives_a_kill_once() {
    let place = Place::new();
    let authority = std::fs::read_to_string(place.path("authority.txt")).unwrap();
    let authority = SimulatedAuthority::from_text(&authority).unwrap();
    let nsm = Arc::new(authority.nsm("crowd", Utc::now() - TimeDelta::minutes(1)).unwrap());
    let measured = tarn(&["enclave", "measure"]).ok().stdout;
    let pcr0 = hex::decode(measured.trim().strip_prefix("PCR0=").unwrap()).unwrap();
    let told = Arc::new(Told::default());
    let broker = place.broker(&["--trial"]);
    let one = |number| tokio::spawn(client(number, broker.url.clone(), nsm.clone(), pcr0.clone(), told.clone()));
    let clients: Vec<_> = (0..CLIENTS).map(one).collect();
    let end = Instant::now() + Duration::from_secs(120);
    while told.count() < ANSWERS {
        assert!(Instant::now() < end, "{} answers", told.count());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    broker.kill();
    for client in clients {
        client.await.unwrap();
    }
    let told = told.0.lock().unwrap().clone();
    let leaves = leaves(&place).await;
    let with_key = told.values().filter(|with_key| **with_key).count();
    assert!(with_key > 20 && with_key < told.len() / 2, "{with_key} keys of {} answers", told.len());
    for (uid, with_key) in &told {
        let (times, activity) = &leaves[uid];
        assert_eq!((*times, activity == "Release"), (1, *with_key), "{uid}");
    }

    let again = place.broker(&["--trial"]);
    let end = Instant::now() + Duration::from_secs(120);
    let expected: BTreeMap<String, u64> = leaves.iter().map(|(uid, (times, _))| (uid.clone(), *times as u64)).collect();
    loop {
        let rows = rows(&place);
        assert!(rows.values().all(|n| *n == 1), "{rows:?}");
        if rows == expected {
            break;
        }
        assert!(Instant::now() < end, "{} of {} rows", rows.len(), expected.len());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    drop(again);
    let audit = place.audit();
    assert_eq!((&audit[0]["result"], audit[0]["leaves"].as_u64()), (&json!("whole"), Some(leaves.len() as u64)));
}
