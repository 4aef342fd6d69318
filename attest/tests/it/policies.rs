//! The trust policy file: what is read, what is refused by which key, and documents verified by a policy of it.

use crate::world::{ARTIFACT, PAYLOAD_TYPE, SIGNED_AT, World, statement};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tarn_attest::policies::Part;
use tarn_attest::{Artifact, Policies, Reason};

/// Policies whose files are a world's key and root.
pub fn policies(world: &World, text: &str) -> Policies {
    read(world, text).unwrap_or_else(|e| panic!("{e}"))
}

fn read(world: &World, text: &str) -> Result<Policies, String> {
    let beside = |name: &str| match name {
        "build.pub" => Ok(world.pem().into_bytes()),
        "root.json" => Ok(world.root().to_string().into_bytes()),
        _ => Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
    };
    Policies::read(text.as_bytes(), beside).map_err(|e| e.to_string())
}

pub const KEYED: &str = "[[policy]]\nname = \"builds\"\nkey = \"build.pub\"\ntrusted_root = \"root.json\"\n";

fn signed_at() -> DateTime<Utc> {
    DateTime::from_timestamp(SIGNED_AT, 0).unwrap()
}

/// Why a document about the artifact fails by the only policy, a day after it was signed.
fn reason(policies: &Policies, document: &Value) -> Option<Reason> {
    let document = document.to_string();
    let now = signed_at() + TimeDelta::days(1);
    policies.only().unwrap().verify(Artifact::Bytes(ARTIFACT), document.as_bytes(), now).reason()
}

fn provenance(builder: &str) -> Vec<u8> {
    let predicate = json!({
        "buildDefinition": {"buildType": "https://forge.example/build", "externalParameters": {"release": true}},
        "runDetails": {"builder": {"id": builder}},
    });
    statement("https://slsa.dev/provenance/v1", &predicate).to_string().into_bytes()
}

#[test]
fn of_a_document_its_signer_and_what_the_policy_says_of_its_kind_is_checked() {
    let world = World::new();
    let asks = policies(
        &world,
        &format!("{KEYED}sbom = true\n[policy.provenance]\nbuilder = \"https://b\"\nparameters = {{release = true}}\n"),
    );
    assert_eq!(asks.only().unwrap().required().collect::<Vec<_>>(), [Part::Provenance, Part::Sbom]);
    let attested = |payload: &[u8]| world.attested(PAYLOAD_TYPE, payload);
    assert_eq!(reason(&asks, &world.message(ARTIFACT)), None);
    assert_eq!(reason(&asks, &attested(&provenance("https://b"))), None);
    assert_eq!(reason(&asks, &attested(&provenance("https://c"))), Some(Reason::BuilderMismatch));
    assert_eq!(reason(&asks, &world.envelope(PAYLOAD_TYPE, &provenance("https://b"))), None, "a bare envelope");
    assert_eq!(reason(&asks, &world.envelope(PAYLOAD_TYPE, &provenance("https://c"))), Some(Reason::BuilderMismatch));
    let other = World::new();
    assert_eq!(reason(&asks, &other.envelope(PAYLOAD_TYPE, &provenance("https://b"))), Some(Reason::SignatureInvalid));
    let sbom = statement("https://cyclonedx.org/bom", &json!({"bomFormat": "SPDX"})).to_string();
    assert_eq!(reason(&asks, &attested(sbom.as_bytes())), Some(Reason::PredicateMalformed));
    assert_eq!(reason(&policies(&world, KEYED), &attested(sbom.as_bytes())), None, "not asked for");
}

#[test]
fn a_policy_says_what_went_into_a_build_and_that_nothing_else_was_chosen() {
    let world = World::new();
    let commit = |digit: &str| digit.repeat(40);
    let predicate = json!({
        "buildDefinition": {
            "buildType": "https://forge.example/build", "externalParameters": {"release": true},
            "resolvedDependencies": [
                {"uri": "git+https://forge.example/o/r@refs/heads/main", "digest": {"gitCommit": commit("1")}},
                {"uri": "pkg:docker/base@1.2", "digest": {"sha256": "2".repeat(64)}},
            ],
        },
        "runDetails": {"builder": {"id": "https://b"}},
    });
    let statement = statement("https://slsa.dev/provenance/v1", &predicate).to_string();
    let document = world.attested(PAYLOAD_TYPE, statement.as_bytes());
    let reason = |asks: &str| {
        let asked = format!("{KEYED}[policy.provenance]\nparameters = {{release = true}}\n{asks}\n");
        reason(&policies(&world, &asked), &document)
    };
    let source = "git+https://forge.example/o/r@refs/heads/main";
    assert_eq!(reason(&format!("materials = [\"{source}\", \"pkg:docker/base@1.2 sha256:{}\"]", "2".repeat(64))), None);
    assert_eq!(reason(&format!("materials = [\"{source} gitCommit:{}\"]", commit("1"))), None);
    for wrong in [format!("{source} gitCommit:{}", commit("3")), "pkg:docker/base".into(), source.replace("main", "x")]
    {
        assert_eq!(reason(&format!("materials = [\"{wrong}\"]")), Some(Reason::MaterialMismatch), "{wrong}");
    }
    assert_eq!(reason("other_parameters = \"refused\""), None);
    let none_expected = format!("{KEYED}[policy.provenance]\nother_parameters = \"refused\"\n");
    assert_eq!(self::reason(&policies(&world, &none_expected), &document), Some(Reason::ParameterMismatch));
}

#[test]
fn a_bare_envelope_is_not_signed_by_an_identity() {
    let world = World::new();
    let text = "[[policy]]\nname = \"n\"\nidentity = \"me\"\nissuer = \"https://i\"\n";
    let envelope = world.envelope(PAYLOAD_TYPE, &provenance("https://b"));
    assert_eq!(reason(&policies(&world, text), &envelope), Some(Reason::SignerKindUnexpected));
}

#[test]
fn a_signature_is_as_fresh_as_the_policy_asks() {
    let world = World::new();
    let policies = policies(&world, &format!("{KEYED}max_age_days = 30\n"));
    let after = |bundle: &Value, age: TimeDelta| {
        let bundle = bundle.to_string();
        policies.only().unwrap().verify(Artifact::Bytes(ARTIFACT), bundle.as_bytes(), signed_at() + age).reason()
    };
    let bundle = world.message(ARTIFACT);
    assert_eq!(after(&bundle, TimeDelta::days(30)), None);
    assert_eq!(after(&bundle, TimeDelta::days(30) + TimeDelta::seconds(1)), Some(Reason::SignatureStale));
    assert_eq!(after(&bundle, TimeDelta::seconds(-1)), Some(Reason::SignatureStale));
    // Nobody vouches for a time of a bare envelope's.
    let envelope = world.envelope(PAYLOAD_TYPE, &provenance("https://b"));
    assert_eq!(after(&envelope, TimeDelta::days(1)), Some(Reason::SignatureStale));
}

#[test]
fn the_first_policy_for_an_image_is_its_policy() {
    let of = |images: &str| format!("[[policy]]\nname = \"{images}\"\nimages = [\"{images}\"]\nkey = \"build.pub\"\n");
    let text = ["r.example:5000/ml/*", "r.example:5000/**", "r.example/*.x"].map(of).concat();
    let policies = policies(&World::new(), &text);
    let name = |reference: &str| policies.of_image(reference).map(|p| p.name.as_str());
    assert_eq!(name("r.example:5000/ml/scorer:1.4@sha256:00"), Some("r.example:5000/ml/*"));
    assert_eq!(name("r.example:5000/ml/scorer"), Some("r.example:5000/ml/*"));
    assert_eq!(name("r.example:5000/ml/a/b:1"), Some("r.example:5000/**"));
    assert_eq!(name("r.example/a.x:tag"), Some("r.example/*.x"));
    assert_eq!(name("r.example/a_x"), None);
    assert_eq!(name("evil.r.example:5000/ml/scorer"), None);
}

#[test]
fn what_is_wrong_is_named_by_its_key() {
    let world = World::new();
    for (text, expected) in [
        ("", "missing field `policy`"),
        ("policy = []", "policy: expected 1 to 256 policies, got 0"),
        ("[[policy]]\nname = \"a\"\nkeys = \"k\"", "unknown field `keys`"),
        ("[[policy]]\nname = 1", "name = 1"),
        ("[[policy]]\nname = \"\"\nkey = \"build.pub\"", "policy[0].name: "),
        (
            "[[policy]]\nname = \"a\"",
            "policy[0].identity: expected one of identity, identity_pattern and key, got none",
        ),
        ("[[policy]]\nname = \"a\"\nkey = \"build.pub\"\nidentity = \"i\"", "policy[0].identity: "),
        ("[[policy]]\nname = \"a\"\nidentity = \"i\"", "policy[0].issuer: an identity needs one"),
        ("[[policy]]\nname = \"a\"\nidentity = \"\"\nissuer = \"i\"", "policy[0].identity: the identity is empty"),
        ("[[policy]]\nname = \"a\"\nidentity_pattern = \"a)|(b\"\nissuer = \"i\"", "policy[0].identity_pattern: "),
        ("[[policy]]\nname = \"a\"\nkey = \"build.pub\"\nissuer = \"i\"", "policy[0].issuer: a key has no issuer"),
        ("[[policy]]\nname = \"a\"\nkey = \"other.pub\"", "policy[0].key: other.pub: "),
        ("[[policy]]\nname = \"a\"\nkey = \"root.json\"", "policy[0].key: no public key"),
        ("[[policy]]\nname = \"a\"\nkey = \"build.pub\"\ntrusted_root = \"build.pub\"", "policy[0].trusted_root: "),
        ("[[policy]]\nname = \"a\"\nkey = \"build.pub\"\nmax_age_days = 0", "policy[0].max_age_days: expected 1 to"),
        (
            "[[policy]]\nname = \"a\"\nkey = \"build.pub\"\nimages = [\"r/a:1\"]",
            "policy[0].images: expected a name without",
        ),
    ] {
        let error = read(&world, text).err().unwrap();
        assert!(error.contains(expected), "{text}\n{error}");
    }
    for (text, expected) in [
        ("[policy.provenance]\ncommit = \"00\"", "policy[0].provenance.commit: "),
        ("[policy.provenance]\nsource = \"here\"", "policy[0].provenance.source: "),
        ("[policy.provenance.parameters]\na = [1]", "policy[0].provenance.parameters.a: "),
        (
            "[policy.provenance]\nmaterials = [\"git+https://f\", \"pkg:a sha256:00\"]",
            "policy[0].provenance.materials[1]: ",
        ),
        ("[policy.provenance]\nmaterials = [\" sha256:00\"]", "policy[0].provenance.materials[0]: "),
        ("[policy.provenance]\nother_parameters = \"some\"", "expected `allowed` or `refused`"),
        ("[policy.summary]\nlevels = []", "missing field `verifier`"),
        ("[policy.summary]\nverifier = \"\"", "policy[0].summary.verifier: "),
        ("[[policy]]\nname = \"builds\"\nkey = \"build.pub\"", "policy[1].name: \"builds\" is there twice"),
    ] {
        let error = read(&world, &format!("{KEYED}{text}")).err().unwrap();
        assert!(error.contains(expected), "{text}\n{error}");
    }
}
