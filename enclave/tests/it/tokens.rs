//! Tokens of Azure's and Google's form as an attacker would have them, of issuers made for tests.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tarn_enclave::Reason;
use tarn_enclave::evidence::token::{HardwareKeys, Issuer, KeysError, Service, SimulatedKeys, TOKEN_BYTES_MAX, Tokens};
use tarn_enclave::evidence::{Assurance, Expected, Verification};
use tarn_enclave::simulated::TokenIssuer;

const NOW: i64 = 1_790_000_000;
const NONCE: [u8; 48] = [9; 48];
const MAA: &str = "https://tarn.weu.attest.azure.net";
const GOOGLE: &str = "https://confidentialcomputing.googleapis.com";

fn expected(nonce: &[u8]) -> Expected<'_> {
    let now = DateTime::<Utc>::from_timestamp(NOW, 0).unwrap();
    Expected {
        nonce: Some(nonce),
        public_key: None,
        now,
        age_max: TimeDelta::minutes(5),
        skew_max: TimeDelta::minutes(1),
    }
}

/// A guest's token of a virtual machine on AMD SEV-SNP.
pub fn azure() -> Value {
    json!({
        "iss": MAA, "iat": NOW - 5, "nbf": NOW - 5, "exp": NOW + 3600, "x-ms-ver": "1.0",
        "x-ms-attestation-type": "azurevm", "x-ms-azurevm-vmid": "vm-1", "x-ms-azurevm-kerneldebug-enabled": false,
        "x-ms-isolation-tee": {
            "x-ms-attestation-type": "sevsnpvm", "x-ms-compliance-status": "azure-compliant-cvm",
            "x-ms-sevsnpvm-is-debuggable": false, "x-ms-sevsnpvm-launchmeasurement": "ab".repeat(48),
            "x-ms-sevsnpvm-reportdata": "cd".repeat(64),
        },
        "x-ms-runtime": {"client-payload": {"nonce": STANDARD.encode(NONCE)}},
    })
}

pub fn google() -> Value {
    json!({
        "iss": GOOGLE, "aud": "https://broker.example", "iat": NOW - 5, "nbf": NOW - 5, "exp": NOW + 3600,
        "sub": "https://www.googleapis.com/compute/v1/projects/p/zones/z/instances/1",
        "eat_nonce": ["another-nonce", URL_SAFE_NO_PAD.encode(NONCE)], "secboot": true, "hwmodel": "GCP_INTEL_TDX",
        "swname": "CONFIDENTIAL_SPACE", "swversion": ["250101"], "dbgstat": "disabled-since-boot",
        "google_service_accounts": ["scorer@p.iam.gserviceaccount.com"],
        "submods": {
            "confidential_space": {"support_attributes": ["LATEST", "STABLE", "USABLE"]},
            "container": {"image_digest": format!("sha256:{}", "0a".repeat(32)), "image_reference": "registry.example/scorer"},
        },
    })
}

struct Bench {
    issuer: TokenIssuer,
    tokens: Tokens,
    good: Value,
}

impl Bench {
    fn new(service: Service) -> Self {
        let issuer = TokenIssuer::generate("1").unwrap();
        let (good, iss, audience) = match service {
            Service::AzureMaa => (azure(), MAA, None),
            Service::ConfidentialSpace => (google(), GOOGLE, Some("https://broker.example".to_owned())),
        };
        let tokens = Tokens::simulated(service, issuer.keys().unwrap(), Issuer { issuer: iss.to_owned(), audience });
        Self { issuer, tokens, good }
    }

    fn verify(&self, claims: &Value) -> Verification {
        self.tokens.verify(&self.issuer.token(claims).unwrap(), &expected(&NONCE))
    }

    /// The verdict on claims of which one was set, by its JSON pointer; `None` takes it out.
    fn with(&self, pointer: &str, value: Option<Value>) -> Option<Reason> {
        let mut claims = self.good.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let object = claims.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match value {
            Some(value) => drop(object.insert(name.to_owned(), value)),
            None => drop(object.remove(name).unwrap()),
        }
        reason(&self.verify(&claims))
    }

    fn token(&self, token: &str) -> Option<Reason> {
        reason(&self.tokens.verify(token, &expected(&NONCE)))
    }

    fn header(&self, header: &Value) -> Option<Reason> {
        self.token(&self.issuer.sign(header, self.good.to_string().as_bytes()).unwrap())
    }
}

fn reason(verification: &Verification) -> Option<Reason> {
    assert_eq!(verification.attested().is_ok(), verification.refusal().is_none());
    verification.refusal().map(|refusal| refusal.reason)
}

fn both() -> [Bench; 2] {
    [Bench::new(Service::AzureMaa), Bench::new(Service::ConfidentialSpace)]
}

#[test]
fn good_tokens_pass_and_say_that_they_are_simulated() {
    let [azure, google] = both();
    let attested = azure.verify(&azure.good).attested().unwrap();
    let claims = attested.claims();
    assert_eq!((claims.assurance, claims.hw_model.as_deref()), (Assurance::Simulated, Some("sevsnpvm")));
    assert_eq!(
        (claims.nonce.as_deref(), claims.measurements[0].name.as_str()),
        (Some(&NONCE[..]), "launchmeasurement")
    );

    let verification = google.verify(&google.good);
    let names: Vec<_> = verification.steps().iter().map(|step| step.name).collect();
    assert_eq!(
        names,
        ["document", "key", "signature", "issuer", "audience", "age", "platform", "debug", "nonce"],
        "{:?}",
        verification.refusal()
    );
    let attested = verification.attested().unwrap();
    let claims = attested.claims();
    assert_eq!(claims.image_digest.as_deref(), Some(format!("sha256:{}", "0a".repeat(32)).as_str()));
    assert_eq!(claims.identity.as_deref(), Some("scorer@p.iam.gserviceaccount.com"));
}

#[test]
fn what_the_times_say_counts() {
    for bench in both() {
        assert_eq!(bench.with("/exp", Some(json!(NOW))), Some(Reason::DocumentExpired));
        assert_eq!(bench.with("/exp", Some(json!(NOW + 1))), None);
        assert_eq!(bench.with("/nbf", Some(json!(NOW + 61))), Some(Reason::DocumentNotYetValid));
        assert_eq!(bench.with("/nbf", Some(json!(NOW + 60))), None);
        assert_eq!(bench.with("/iat", Some(json!(NOW + 61))), Some(Reason::DocumentNotYetValid));
        assert_eq!(
            bench.with("/iat", Some(json!(NOW - 301))),
            Some(Reason::DocumentExpired),
            "valid by exp, and stale"
        );
        for wrong in [None, Some(json!("soon")), Some(json!(1e300)), Some(json!(-1e300)), Some(Value::Null)] {
            assert_eq!(bench.with("/exp", wrong), Some(Reason::MalformedDocument));
        }
        assert_eq!(bench.with("/iat", None), Some(Reason::MalformedDocument));
    }
}

#[test]
fn another_issuer_and_another_audience_are_refused() {
    for bench in both() {
        for wrong in [Some(json!("https://evil.example")), Some(json!(format!("{MAA}.evil.example"))), None] {
            assert_eq!(bench.with("/iss", wrong), Some(Reason::IssuerMismatch));
        }
    }
    let google = Bench::new(Service::ConfidentialSpace);
    for wrong in [Some(json!("https://sts.googleapis.com")), Some(json!(["a", "b"])), Some(json!(1)), None] {
        assert_eq!(google.with("/aud", wrong), Some(Reason::AudienceMismatch));
    }
    assert_eq!(google.with("/aud", Some(json!(["a", "https://broker.example"]))), None);
}

#[test]
fn the_algorithm_is_the_keys_and_not_the_tokens() {
    for bench in both() {
        let kid = "tarn-simulated-1";
        for algorithm in ["none", "None", "HS256", "HS512", "RS384", "PS256", "ES256", "EdDSA", "", "RS256 "] {
            let reason = bench.header(&json!({"alg": algorithm, "kid": kid}));
            assert_eq!(reason, Some(Reason::AlgorithmNotAllowed), "{algorithm:?}");
        }
        assert_eq!(bench.header(&json!({"kid": kid})), Some(Reason::MalformedDocument));
        // HS256 with the public key as the secret, and nothing signed at all.
        let head = URL_SAFE_NO_PAD.encode(json!({"alg": "HS256", "kid": kid}).to_string());
        let message = format!("{head}.{}", URL_SAFE_NO_PAD.encode(bench.good.to_string()));
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, bench.issuer.jwks().as_bytes());
        let tag = URL_SAFE_NO_PAD.encode(aws_lc_rs::hmac::sign(&key, message.as_bytes()));
        assert_eq!(bench.token(&format!("{message}.{tag}")), Some(Reason::AlgorithmNotAllowed));
        assert_eq!(bench.token(&format!("{message}.")), Some(Reason::AlgorithmNotAllowed));
    }
}

#[test]
fn keys_come_from_the_given_set_and_never_from_the_token() {
    for bench in both() {
        let other = TokenIssuer::generate("2").unwrap();
        assert_eq!(bench.token(&other.token(&bench.good).unwrap()), Some(Reason::KeyUnknown));
        // Another key under the known name, with its own key brought along.
        let jwk: Value = serde_json::from_str(&other.jwks()).unwrap();
        let header =
            json!({"alg": "RS256", "kid": "tarn-simulated-1", "jwk": jwk["keys"][0], "jku": "https://evil.example"});
        let token = other.sign(&header, bench.good.to_string().as_bytes()).unwrap();
        assert_eq!(bench.token(&token), Some(Reason::SignatureInvalid));
        assert_eq!(bench.header(&json!({"alg": "RS256"})), Some(Reason::KeyUnknown));
        let crit = json!({"alg": "RS256", "kid": "tarn-simulated-1", "crit": ["x"], "x": 1});
        assert_eq!(bench.header(&crit), Some(Reason::UnsupportedFormat));
    }
}

#[test]
fn a_rotated_key_set_takes_the_new_key_and_no_more_the_old_one() {
    let (old, new) = (TokenIssuer::generate("old").unwrap(), TokenIssuer::generate("new").unwrap());
    let issuer = || Issuer { issuer: MAA.to_owned(), audience: None };
    let verdict = |keys: SimulatedKeys, by: &TokenIssuer| {
        let tokens = Tokens::simulated(Service::AzureMaa, keys, issuer());
        reason(&tokens.verify(&by.token(&azure()).unwrap(), &expected(&NONCE)))
    };
    let merged = |sets: [&TokenIssuer; 2]| {
        let keys = sets.map(|set| serde_json::from_str::<Value>(&set.jwks()).unwrap()["keys"][0].clone());
        SimulatedKeys::from_jwks(json!({"keys": keys}).to_string().as_bytes()).unwrap()
    };
    assert_eq!(verdict(old.keys().unwrap(), &old), None);
    assert_eq!(verdict(merged([&old, &new]), &old), None);
    assert_eq!(verdict(merged([&old, &new]), &new), None);
    assert_eq!(verdict(new.keys().unwrap(), &old), Some(Reason::KeyUnknown));
    assert_eq!(verdict(new.keys().unwrap(), &new), None);
}

#[test]
fn a_changed_token_is_refused() {
    for bench in both() {
        let token = bench.issuer.token(&bench.good).unwrap();
        let parts: Vec<_> = token.split('.').collect();
        let mut claims = bench.good.clone();
        claims["exp"] = json!(NOW + 7200);
        let changed = URL_SAFE_NO_PAD.encode(claims.to_string());
        assert_eq!(bench.token(&[parts[0], &changed, parts[2]].join(".")), Some(Reason::SignatureInvalid));
        for at in (0..token.len()).step_by(7) {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert!(bench.token(&String::from_utf8(bytes).unwrap()).is_some(), "byte {at}");
        }
    }
}

#[test]
fn what_is_no_token_is_refused() {
    for bench in both() {
        let token = bench.issuer.token(&bench.good).unwrap();
        let parts: Vec<_> = token.split('.').collect();
        let malformed = Some(Reason::MalformedDocument);
        for wrong in ["", ".", "..", "a.b", "a.b.c", &parts[..2].join("."), &format!("{token}.x"), &format!(" {token}")]
        {
            assert_eq!(bench.token(wrong), malformed, "{wrong:?}");
        }
        let payload = |payload: &str| {
            bench.token(
                &bench.issuer.sign(&json!({"alg": "RS256", "kid": "tarn-simulated-1"}), payload.as_bytes()).unwrap(),
            )
        };
        assert_eq!(payload("[]"), malformed);
        assert_eq!(payload("{"), malformed);
        let good = bench.good.to_string();
        assert_eq!(payload(&format!("{good} 1")), malformed);
        let twice = good.replacen('{', &format!("{{\"exp\":{},", NOW + 9), 1);
        assert_eq!(payload(&twice), malformed, "a key twice");
        let twice = good.replacen("{\"x-ms-att", "{\"n\":1,\"n\":1,\"x-ms-att", 1);
        assert_eq!(payload(&twice.replacen("\"container\":{", "\"container\":{\"n\":1,\"n\":1,", 1)), malformed);
    }
}

#[test]
fn bounds_hold() {
    for bench in both() {
        let limit = Some(Reason::LimitExceeded);
        assert_eq!(bench.token(&"a".repeat(TOKEN_BYTES_MAX + 1)), limit);
        let deep = serde_json::from_str(&format!("{}{}", "[".repeat(17), "]".repeat(17))).unwrap();
        assert_eq!(bench.with("/x", Some(deep)), limit);
        assert_eq!(bench.with("/iss", Some(json!("i".repeat(3000)))), limit);
        let head = URL_SAFE_NO_PAD.encode("{\"a\":".repeat(9000));
        assert_eq!(bench.token(&format!("{head}.e30.")), limit);
    }
    let google = Bench::new(Service::ConfidentialSpace);
    assert_eq!(google.with("/eat_nonce", Some(json!(vec!["n"; 7]))), Some(Reason::LimitExceeded));
}

#[test]
fn another_challenge_is_refused() {
    let [azure, google] = both();
    let mismatch = Some(Reason::NonceMismatch);
    assert_eq!(azure.with("/x-ms-runtime/client-payload/nonce", Some(json!(STANDARD.encode([1; 48])))), mismatch);
    assert_eq!(azure.with("/x-ms-runtime", None), mismatch, "the report data is of another key");
    // The service echoes whatever nonce it is asked with: it binds nothing.
    let mut echoed = azure.good.clone();
    echoed["nonce"] = json!(STANDARD.encode(NONCE));
    echoed["x-ms-runtime"]["client-payload"]["nonce"] = json!(STANDARD.encode([1; 48]));
    assert_eq!(reason(&azure.verify(&echoed)), mismatch);
    assert_eq!(azure.with("/x-ms-runtime/client-payload/nonce", Some(json!("!"))), Some(Reason::MalformedDocument));
    assert_eq!(google.with("/eat_nonce", Some(json!(URL_SAFE_NO_PAD.encode(NONCE)))), None);
    assert_eq!(google.with("/eat_nonce", Some(json!(["other"]))), mismatch);
    assert_eq!(google.with("/eat_nonce", None), mismatch);
    assert_eq!(google.with("/eat_nonce", Some(json!([1]))), Some(Reason::MalformedDocument));
}

#[test]
fn report_data_of_the_hardware_is_a_challenge() {
    let azure = Bench::new(Service::AzureMaa);
    let report = |kind: Value, data: &str| {
        let mut claims = json!({"iss": MAA, "iat": NOW, "exp": NOW + 60});
        for (name, value) in kind.as_object().unwrap() {
            claims[name] = if value == "DATA" { json!(data) } else { value.clone() };
        }
        reason(&azure.verify(&claims))
    };
    let filled = format!("{}{}", hex::encode(NONCE), "00".repeat(16));
    let kinds = [
        json!({"x-ms-attestation-type": "sevsnpvm", "x-ms-compliance-status": "azure-compliant-uvm",
            "x-ms-sevsnpvm-is-debuggable": false, "x-ms-sevsnpvm-reportdata": "DATA"}),
        json!({"x-ms-attestation-type": "tdxvm", "x-ms-compliance-status": "azure-compliant-cvm",
            "tdx_td_attributes_debug": false, "tdx_report_data": "DATA"}),
        json!({"x-ms-attestation-type": "sgx", "x-ms-sgx-is-debuggable": false, "x-ms-sgx-report-data": "DATA"}),
    ];
    for kind in kinds {
        assert_eq!(report(kind.clone(), &filled), None, "{kind}");
        assert_eq!(report(kind.clone(), &filled.replace("00", "01")), Some(Reason::NonceMismatch));
        assert_eq!(report(kind.clone(), "xyz"), Some(Reason::MalformedDocument));
    }
}

#[test]
fn debugging_and_other_hardware_are_refused() {
    let [azure, google] = both();
    let (debug, platform) = (Some(Reason::DebugMode), Some(Reason::PlatformNotAllowed));
    for value in [Some(json!(true)), Some(json!("false")), None] {
        assert_eq!(azure.with("/x-ms-isolation-tee/x-ms-sevsnpvm-is-debuggable", value), debug);
    }
    assert_eq!(azure.with("/x-ms-azurevm-kerneldebug-enabled", Some(json!(true))), debug);
    for value in [Some(json!("not-compliant")), None] {
        assert_eq!(azure.with("/x-ms-isolation-tee/x-ms-compliance-status", value), platform);
    }
    assert_eq!(azure.with("/x-ms-isolation-tee/x-ms-attestation-type", Some(json!("trustedlaunch"))), platform);
    assert_eq!(azure.with("/x-ms-isolation-tee", None), platform, "no hardware behind it");
    for value in [Some(json!("enabled")), Some(json!("")), None] {
        assert_eq!(google.with("/dbgstat", value), debug);
    }
    for value in [Some(json!("GCP_SHIELDED_VM")), None] {
        assert_eq!(google.with("/hwmodel", value), platform);
    }
    assert_eq!(google.with("/swname", Some(json!("GCE"))), platform);
    assert_eq!(google.with("/secboot", Some(json!(false))), platform);
    let missing = Some(Reason::MeasurementMissing);
    assert_eq!(google.with("/submods/container/image_digest", None), missing);
    assert_eq!(google.with("/submods/container/image_digest", Some(json!("latest"))), missing);
}

#[test]
fn simulated_keys_are_none_of_hardware() {
    let issuer = TokenIssuer::generate("x").unwrap();
    let refused = HardwareKeys::from_jwks(issuer.jwks().as_bytes()).err();
    assert_eq!(refused, Some(KeysError::Simulated("tarn-simulated-x".to_owned())));
    let renamed = issuer.jwks().replace("tarn-simulated-x", "real");
    assert!(HardwareKeys::from_jwks(renamed.as_bytes()).is_ok(), "the name is what tells");
    assert!(SimulatedKeys::from_jwks(renamed.as_bytes()).is_err());
}

#[test]
fn key_sets_with_a_defect_are_refused() {
    let issuer = TokenIssuer::generate("x").unwrap();
    let jwk: Value = serde_json::from_str::<Value>(&issuer.jwks()).unwrap()["keys"][0].clone();
    let read = |keys: Value| SimulatedKeys::from_jwks(json!({"keys": keys}).to_string().as_bytes()).err();
    let with = |name: &str, value: Value| {
        let mut jwk = jwk.clone();
        jwk[name] = value;
        read(json!([jwk]))
    };
    assert_eq!(read(json!([jwk, jwk])), Some(KeysError::Duplicate("tarn-simulated-x".to_owned())));
    assert_eq!(read(json!([])), Some(KeysError::Empty));
    assert!(matches!(read(json!(vec![1; 65])), Some(KeysError::TooMany(65))));
    assert!(matches!(read(json!([1])), Some(KeysError::Form(_))));
    assert!(matches!(SimulatedKeys::from_jwks(b"{}").err(), Some(KeysError::Form(_))));
    assert_eq!(with("use", json!("enc")), Some(KeysError::Empty));
    assert_eq!(with("alg", json!("HS256")), Some(KeysError::Empty), "a public key is no secret");
    assert_eq!(with("alg", json!("ES256")), Some(KeysError::Empty));
    assert_eq!(with("kty", json!("oct")), Some(KeysError::Empty));
    assert_eq!(with("n", json!("AQAB")), Some(KeysError::Empty), "short");
    assert_eq!(with("n", json!("!")), Some(KeysError::Empty));
    assert_eq!(with("kid", Value::Null), Some(KeysError::Empty));
    assert_eq!(with("alg", json!("PS256")), None);
}

#[test]
fn a_sample_answers_the_challenge_and_is_simulated() {
    use tarn_enclave::evidence::sample;
    let verify = |evidence: Value| sample::verify(&evidence, &expected(&NONCE));
    let good = verify(json!({"svn": "1", "report_data": STANDARD.encode(NONCE)})).attested().unwrap();
    assert_eq!(good.claims().assurance, Assurance::Simulated);
    assert_eq!(reason(&verify(json!({"svn": "1", "report_data": STANDARD.encode([1])}))), Some(Reason::NonceMismatch));
    assert_eq!(reason(&verify(json!({"svn": "1"}))), Some(Reason::NonceMismatch));
    for wrong in [json!({}), json!([]), json!({"svn": 1}), json!({"svn": "1", "report_data": "!"})] {
        assert_eq!(reason(&verify(wrong)), Some(Reason::MalformedDocument));
    }
}
