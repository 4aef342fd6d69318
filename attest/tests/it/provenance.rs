//! Provenance and summaries against expectations, in bundles that are genuine.

use crate::cases::{Case, folder};
use crate::world::{ARTIFACT, PAYLOAD_TYPE, World, statement};
use chrono::{TimeDelta, TimeZone, Utc};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tarn_attest::evidence::provenance::{Expectations, ExpectedMaterial, OtherParameters, Source};
use tarn_attest::evidence::{Predicate, PredicateError, Provenance, vsa};
use tarn_attest::policy::Expectation;
use tarn_attest::{Artifact, Reason, Request, RequestedSigner};

pub const V1: &str = "https://slsa.dev/provenance/v1";
const V02: &str = "https://slsa.dev/provenance/v0.2";
const VSA: &str = "https://slsa.dev/verification_summary/v1";
const COMMIT: &str = "0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33";
const BUILDER: &str = "https://builder.example/.github/workflows/build.yml@refs/tags/v2";

pub fn v1() -> Value {
    json!({
        "buildDefinition": {
            "buildType": "https://actions.github.io/buildtypes/workflow/v1",
            "externalParameters": {
                "workflow": {"ref": "refs/heads/main", "repository": "https://github.com/o/r", "path": ".github/workflows/b.yml"},
                "inputs": {"level": 3, "a.b": "c"},
            },
            "internalParameters": {"github": {"event_name": "push"}},
            "resolvedDependencies": [
                {"uri": "git+https://github.com/o/other@refs/heads/main", "digest": {"gitCommit": "1".repeat(40)}},
                {"uri": "git+https://github.com/o/r@refs/heads/main", "digest": {"gitCommit": COMMIT}},
            ],
        },
        "runDetails": {"builder": {"id": BUILDER}, "metadata": {"invocationId": "https://github.com/o/r/actions/runs/1"}},
    })
}

pub fn v02() -> Value {
    json!({
        "builder": {"id": BUILDER},
        "buildType": "https://example.com/build",
        "invocation": {
            "configSource": {"uri": "git+https://github.com/o/r@refs/heads/main", "digest": {"sha1": COMMIT}, "entryPoint": "b.yml"},
            "parameters": {"level": 3},
        },
        "metadata": {"buildInvocationId": "1", "completeness": {"parameters": true}},
        "materials": [{"uri": "git+https://github.com/o/r@refs/heads/main", "digest": {"sha1": COMMIT}}],
    })
}

/// Why a genuine statement does not meet an expectation.
fn reason(predicate_type: &str, predicate: &Value, expectation: Expectation) -> Option<Reason> {
    let world = World::new();
    let payload = statement(predicate_type, predicate).to_string();
    let bundle = world.attested(PAYLOAD_TYPE, payload.as_bytes()).to_string();
    let (root, pem) = (world.root().to_string(), world.pem());
    let request = Request {
        artifact: Artifact::Bytes(ARTIFACT),
        bundle: bundle.as_bytes(),
        signer: RequestedSigner::Key(pem.as_bytes()),
        expectation: Some(expectation),
        trusted_root: Some(root.as_bytes()),
    };
    let verification = request.verify();
    // What was signed is genuine, whatever it says.
    assert!(verification.record().signature.is_some(), "{:#?}", verification.record());
    assert_eq!(verification.verified().is_some(), verification.reason().is_none());
    verification.reason()
}

fn provenance(predicate_type: &str, predicate: &Value, expected: Expectations) -> Option<Reason> {
    reason(predicate_type, predicate, Expectation::Provenance(expected))
}

fn source(text: &str, commit: Option<&str>) -> Option<Source> {
    let commit = commit.map(|c| format!("gitCommit:{c}").parse().unwrap());
    Some(Source { commit, ..text.parse().unwrap() })
}

#[test]
fn both_versions_are_read_as_one_type() {
    let one = Provenance::v1(v1().to_string().as_bytes()).unwrap();
    let old = Provenance::v0_2(v02().to_string().as_bytes()).unwrap();
    for (provenance, entry_point) in [(&one, ".github/workflows/b.yml"), (&old, "b.yml")] {
        assert_eq!(provenance.builder, BUILDER);
        let source = provenance.source.as_ref().unwrap();
        assert_eq!(source.to_string(), format!("github.com/o/r@refs/heads/main at gitCommit:{COMMIT}"));
        assert_eq!(provenance.entry_point.as_deref(), Some(entry_point));
        assert!(provenance.invocation.is_some());
    }
    assert_eq!(one.parameters["inputs.level"], "3");
    assert_eq!(one.parameters[r"inputs.a\.b"], "c");
    assert_eq!(old.parameters, BTreeMap::from([("level".to_owned(), "3".to_owned())]));
}

#[test]
fn expectations_hold_and_fail_by_name() {
    let met = || Expectations {
        builder: Some(BUILDER.into()),
        source: source("https://github.com/o/r.git@refs/heads/main", Some(COMMIT)),
        materials: vec![ExpectedMaterial { uri: "git+https://github.com/o/r@refs/heads/main".into(), digest: None }],
        ..Expectations::default()
    };
    type Change = fn(&mut Expectations);
    let cases: &[(Change, Option<Reason>)] = &[
        (|_| (), None),
        (|e| e.builder = Some("https://builder.example/.github/workflows/build.yml".into()), None),
        (
            |e| e.builder = Some("https://builder.example/.github/workflows/build.yml@refs/tags/v1".into()),
            Some(Reason::BuilderMismatch),
        ),
        (|e| e.builder = Some("https://builder.example/.github/workflows/b".into()), Some(Reason::BuilderMismatch)),
        (|e| e.build_type = Some("https://example.com/other".into()), Some(Reason::BuildTypeMismatch)),
        (|e| e.source = source("git+https://GitHub.com/o/r", None), None),
        (|e| e.source = source("https://github.com/o/r2", None), Some(Reason::SourceMismatch)),
        (|e| e.source = source("https://github.com/o/r@refs/heads/dev", None), Some(Reason::SourceMismatch)),
        (
            |e| e.source = source("https://github.com/o/r", Some(&COMMIT.replace('0', "1"))),
            Some(Reason::SourceMismatch),
        ),
        (|e| e.entry_point = Some("other.yml".into()), Some(Reason::EntryPointMismatch)),
        (|e| drop(e.parameters.insert("absent".into(), "1".into())), Some(Reason::ParameterMismatch)),
        (|e| e.other_parameters = OtherParameters::Refused, Some(Reason::ParameterMismatch)),
        (|e| e.materials[0].uri.push('x'), Some(Reason::MaterialMismatch)),
        (
            |e| e.materials[0].digest = Some(format!("gitCommit:{}", "2".repeat(40)).parse().unwrap()),
            Some(Reason::MaterialMismatch),
        ),
    ];
    for (i, (change, expected)) in cases.iter().enumerate() {
        let mut expectations = met();
        change(&mut expectations);
        assert_eq!(provenance(V1, &v1(), expectations.clone()), *expected, "v1, case {i}");
        assert_eq!(provenance(V02, &v02(), expectations), *expected, "v0.2, case {i}");
    }
    let exact = |value: &str| Expectations {
        parameters: BTreeMap::from([("level".into(), value.into())]),
        other_parameters: OtherParameters::Refused,
        ..Expectations::default()
    };
    assert_eq!(provenance(V02, &v02(), exact("3")), None);
    assert_eq!(provenance(V02, &v02(), exact("4")), Some(Reason::ParameterMismatch));
}

#[test]
fn a_source_of_an_unknown_kind_of_build_is_not_guessed() {
    let mut other = v1();
    other["buildDefinition"]["buildType"] = "https://evil.example/build".into();
    let expected = Expectations { source: source("https://github.com/o/r", None), ..Expectations::default() };
    assert_eq!(provenance(V1, &other, expected), Some(Reason::SourceUnknown));
}

#[test]
fn one_predicate_in_the_place_of_another() {
    let any = || Expectation::Provenance(Expectations::default());
    let summary = summary("PASSED");
    assert_eq!(reason(VSA, &summary, any()), Some(Reason::PredicateTypeUnexpected));
    assert_eq!(reason("https://example.com/said", &v1(), any()), Some(Reason::PredicateTypeUnexpected));
    // The type of one, and the body of another.
    assert_eq!(reason(V1, &v02(), any()), Some(Reason::PredicateMalformed));
    assert_eq!(reason(V02, &v1(), any()), Some(Reason::PredicateMalformed));
    assert_eq!(reason(V1, &summary, any()), Some(Reason::PredicateMalformed));
    assert_eq!(reason(V1, &json!({}), any()), Some(Reason::PredicateMalformed));
    assert_eq!(reason(V1, &v1(), Expectation::Sbom), Some(Reason::PredicateTypeUnexpected));
    assert_eq!(reason("https://cyclonedx.org/bom", &v1(), Expectation::Sbom), Some(Reason::PredicateMalformed));
    assert_eq!(reason(V1, &v1(), Expectation::PredicateType(V1.into())), None);
    assert_eq!(reason(V1, &v1(), Expectation::PredicateType(V02.into())), Some(Reason::PredicateTypeUnexpected));
}

#[test]
fn provenance_that_is_asked_for_and_is_not_there() {
    let Some(case) = Case::named("managed-key-and-trusted-root") else { return };
    let request = Request {
        artifact: Artifact::Bytes(&case.artifact),
        bundle: &case.bundle,
        signer: case.signer(),
        expectation: Some(Expectation::Provenance(Expectations::default())),
        trusted_root: case.trusted_root.as_deref(),
    };
    assert_eq!(request.verify().reason(), Some(Reason::StatementMissing));
}

#[test]
fn sources_are_read_as_people_write_them() {
    for text in [
        "https://github.com/o/r",
        "git+https://github.com/o/r.git",
        "github.com/o/r",
        "https://GITHUB.com/o/r/",
        "ssh://git@github.com/o/r.git",
    ] {
        let source: Source = text.parse().unwrap();
        assert_eq!((source.repository.as_str(), source.reference), ("github.com/o/r", None), "{text}");
    }
    let source: Source = "git+https://github.com/o/r@refs/tags/v1".parse().unwrap();
    assert_eq!(source.reference.as_deref(), Some("refs/tags/v1"));
    for text in ["", "github.com", "https://", "https:///o/r", "@refs/heads/main"] {
        assert!(text.parse::<Source>().is_err(), "{text}");
    }
}

#[test]
fn parameters_are_bounded_in_number_and_path() {
    let with = |parameters: Value| {
        let mut predicate = v02();
        predicate["invocation"]["parameters"] = parameters;
        Provenance::v0_2(predicate.to_string().as_bytes())
    };
    assert_eq!(with(json!(vec![1; 10_000])).unwrap().parameters.len(), 10_000);
    assert!(matches!(with(json!(vec![1; 20_000])), Err(PredicateError::Value(_))));
    assert!(with(json!({"x".repeat(1000): [1, 2]})).is_ok());
    assert!(matches!(with(json!({"x".repeat(2000): [1, 2]})), Err(PredicateError::Value(_))));
}

/// Provenance that other projects made: in the bundles of the conformance cases.
#[test]
fn provenance_of_others_is_read() {
    let Some(folder) = folder() else { return };
    let mut read = 0;
    for name in ["intoto-with-custom-trust-root", "dsse-mismatch-envelope_fail", "rekor2-dsse-mismatch-envelope_fail"] {
        let bundle = Case::read(&folder.join(name)).json();
        let payload = crate::world::unb64(&bundle["dsseEnvelope"]["payload"]);
        let statement: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(statement["predicateType"], V1);
        let provenance = Provenance::v1(statement["predicate"].to_string().as_bytes()).unwrap();
        assert!(provenance.builder.starts_with("https://"), "{name}: {}", provenance.builder);
        read += 1;
    }
    assert_eq!(read, 3);
    let case = Case::read(&folder.join("intoto-with-custom-trust-root"));
    let verification = case.verify();
    let statement = verification.verified().unwrap().get().statement.clone().unwrap();
    assert!(matches!(statement.predicate().unwrap(), Predicate::Provenance(_)));
}

pub fn summary(result: &str) -> Value {
    json!({
        "verifier": {"id": "https://verifier.example"}, "timeVerified": "2026-01-01T00:00:00Z",
        "resourceUri": "pkg:oci/app", "policy": {"uri": "https://policy.example"},
        "verificationResult": result, "verifiedLevels": ["SLSA_BUILD_LEVEL_2", "OWN_CHECK"], "slsaVersion": "1.0",
    })
}

#[test]
fn summaries_are_held_to_verifier_resource_result_level_and_age() {
    let met = || vsa::Expectations {
        verifier: "https://verifier.example".into(),
        resource_uri: Some("pkg:oci/app".into()),
        levels: vec!["SLSA_BUILD_LEVEL_2".into(), "SLSA_BUILD_LEVEL_1".into(), "OWN_CHECK".into()],
        fresh: Some(vsa::Fresh {
            now: Utc.with_ymd_and_hms(2026, 1, 2, 0, 0, 0).unwrap(),
            age_max: TimeDelta::days(1),
        }),
    };
    let check = |result: &str, change: &dyn Fn(&mut vsa::Expectations)| {
        let mut expected = met();
        change(&mut expected);
        reason(VSA, &summary(result), Expectation::Summary(expected))
    };
    let now =
        |seconds: i64| move |e: &mut vsa::Expectations| e.fresh.as_mut().unwrap().now += TimeDelta::seconds(seconds);
    assert_eq!(check("PASSED", &|_| ()), None);
    assert_eq!(check("FAILED", &|_| ()), Some(Reason::SummaryFailed));
    assert_eq!(check("passed", &|_| ()), Some(Reason::PredicateMalformed));
    assert_eq!(check("PASSED", &|e| e.verifier.push('x')), Some(Reason::VerifierMismatch));
    assert_eq!(check("PASSED", &|e| e.resource_uri = Some("pkg:oci/other".into())), Some(Reason::ResourceMismatch));
    for level in ["SLSA_BUILD_LEVEL_3", "SLSA_SOURCE_LEVEL_1", "OTHER_CHECK", "SLSA_BUILD_LEVEL_"] {
        assert_eq!(check("PASSED", &|e| e.levels.push(level.into())), Some(Reason::LevelMissing), "{level}");
    }
    assert_eq!(check("PASSED", &now(1)), Some(Reason::SummaryStale));
    assert_eq!(check("PASSED", &now(-86_401)), Some(Reason::SummaryStale), "from the future");
    assert_eq!(check("PASSED", &now(-86_400)), None);
}
