//! Certificates and their ten minutes: a genuine certificate and signature of the public instance, with an entry for
//! them in a log made here, so that the time of signing is ours to choose.

use crate::cases::Case;
use crate::world::{Log, hashedrekord, unb64};
use serde_json::Value;
use sigstore_verify::types::DerCertificate;
use tarn_attest::sigstore::SignedBy;
use tarn_attest::{Check, Outcome, Reason};

/// The case, with an entry that says that its signature was made so many seconds after the certificate's start.
fn signed_after(case: &Case, seconds: i64) -> Case {
    let record = case.verify().into_parts().0;
    let SignedBy::Certificate(certificate) = record.signature.unwrap().signed_by else { panic!("a certificate") };
    let log = Log::new("log.example");
    let mut root: Value = serde_json::from_str(sigstore_verify::trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT).unwrap();
    root["tlogs"].as_array_mut().unwrap().push(log.trusted());
    let tampered = case.tampered(|bundle| {
        let der = unb64(&bundle["verificationMaterial"]["certificate"]["rawBytes"]);
        let signature = unb64(&bundle["messageSignature"]["signature"]);
        let body = hashedrekord(&case.artifact, &signature, &DerCertificate::new(der).to_pem());
        let at = certificate.not_before.timestamp() + seconds;
        bundle["verificationMaterial"]["tlogEntries"][0] = log.entry("hashedrekord", "0.0.1", &body, at);
    });
    Case { trusted_root: Some(root.to_string().into_bytes()), ..tampered }
}

#[test]
fn a_signature_counts_within_the_certificates_time() {
    let Some(case) = Case::named("happy-path-v0.3") else { return };
    for (seconds, reason) in [
        (-1, Some(Reason::CertificateNotYetValid)),
        (0, None),
        (600, None),
        (601, Some(Reason::CertificateExpired)),
        (365 * 86_400, Some(Reason::CertificateExpired)),
    ] {
        let verification = signed_after(&case, seconds).verify();
        assert_eq!(verification.reason(), reason, "{seconds}: {:#?}", verification.record());
        let step = verification.record().steps.iter().find(|s| s.check == Check::CertificateChain).unwrap();
        assert_eq!(step.outcome == Outcome::Passed, reason.is_none(), "{seconds}");
    }
}

#[test]
fn a_signature_from_the_future() {
    let Some(case) = Case::named("happy-path-v0.3") else { return };
    let verification = signed_after(&case, 300 * 365 * 86_400).verify();
    assert_eq!(verification.reason(), Some(Reason::IntegratedTimeInvalid), "{:#?}", verification.record());
}

#[test]
fn a_timestamp_from_outside_the_certificates_time() {
    let Some(case) = Case::named("rekor2-timestamp-with-incorrect-time_fail") else { return };
    let stamp = "/verificationMaterial/timestampVerificationData/rfc3161Timestamps/0/signedTimestamp";
    let readable = case.tampered(|bundle| {
        let stamp = bundle.pointer_mut(stamp).unwrap();
        *stamp = stamp.as_str().unwrap().replace('\n', "").into();
    });
    let verification = readable.verify();
    assert_eq!(verification.reason(), Some(Reason::CertificateExpired), "{:#?}", verification.record());
}

#[test]
fn a_timestamp_of_another_signature_and_of_another_authority() {
    let (Some(case), Some(other)) =
        (Case::named("rekor2-happy-path"), Case::named("rekor2-timestamp-without-embedded-cert"))
    else {
        return;
    };
    let stamps = other.json()["verificationMaterial"]["timestampVerificationData"].clone();
    let swapped = case.tampered(|b| b["verificationMaterial"]["timestampVerificationData"] = stamps);
    assert_eq!(swapped.verify().reason(), Some(Reason::TimestampInvalid));

    let mut root: Value = serde_json::from_slice(case.trusted_root.as_ref().unwrap()).unwrap();
    root["timestampAuthorities"][0]["validFor"]["end"] = "2021-01-01T00:00:00Z".into();
    root["timestampAuthorities"][0]["validFor"]["start"] = "2020-01-01T00:00:00Z".into();
    let late = Case { trusted_root: Some(root.to_string().into_bytes()), ..case.clone() };
    assert_eq!(late.verify().reason(), Some(Reason::TimestampOutsideAuthority));

    root["timestampAuthorities"] = serde_json::json!([]);
    let none = Case { trusted_root: Some(root.to_string().into_bytes()), ..case };
    assert_eq!(none.verify().reason(), Some(Reason::TimestampInvalid));
}

#[test]
fn authorities_and_certificate_logs_that_are_not_trusted() {
    let Some(case) = Case::named("happy-path-v0.3") else { return };
    let root: Value = serde_json::from_str(sigstore_verify::trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT).unwrap();
    let by = |change: &dyn Fn(&mut Value)| {
        let mut root = root.clone();
        change(&mut root);
        Case { trusted_root: Some(root.to_string().into_bytes()), ..case.clone() }.verify().reason()
    };
    assert_eq!(by(&|_| ()), None);
    assert_eq!(by(&|root| root["certificateAuthorities"] = serde_json::json!([])), Some(Reason::AuthorityNotValid));
    let end = |list: &mut Value| {
        for authority in list.as_array_mut().unwrap() {
            authority["validFor"]["end"] = "2021-12-31T00:00:00Z".into();
            authority["validFor"]["start"] = "2021-01-01T00:00:00Z".into();
        }
    };
    assert_eq!(by(&|root| end(&mut root["certificateAuthorities"])), Some(Reason::AuthorityNotValid));
    // Of two authorities the one that issued is gone.
    let first = by(&|root| {
        root["certificateAuthorities"].as_array_mut().unwrap().truncate(1);
        root["certificateAuthorities"][0]["validFor"] = serde_json::json!({"start": "2021-01-01T00:00:00Z"});
    });
    assert_eq!(first, Some(Reason::CertificateUntrusted));
    assert_eq!(by(&|root| root["tlogs"] = serde_json::json!([])), Some(Reason::InclusionPromiseInvalid));
    let certificate_logs = by(&|root| {
        for log in root["ctlogs"].as_array_mut().unwrap() {
            log["publicKey"]["validFor"] =
                serde_json::json!({"start": "2021-01-01T00:00:00Z", "end": "2021-12-31T00:00:00Z"});
        }
    });
    assert_eq!(certificate_logs, Some(Reason::SctInvalid));
}
