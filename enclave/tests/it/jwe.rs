//! What is encrypted to a workload's key, opened as other implementations of the protocol do.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, ECDH_P521, PrivateKey};
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kbs_types::{Response, TeePubKey};
use serde_json::{Value, json};
use tarn_enclave::jwe::{JweError, PLAINTEXT_BYTES_MAX, Recipient, WorkloadKey};
use tarn_enclave::{Reason, Secret};

fn reason(key: TeePubKey) -> Option<Reason> {
    Recipient::new(&key).err().map(|refusal| refusal.reason)
}

#[test]
fn a_workload_opens_what_is_for_it_and_nothing_else() {
    let (ours, theirs) = (WorkloadKey::generate().unwrap(), WorkloadKey::generate().unwrap());
    let recipient = Recipient::new(&ours.public().unwrap()).unwrap();
    assert_eq!(recipient.der(), ours.der().unwrap());
    let answer = recipient.encrypt(&Secret::new(b"key".to_vec())).unwrap();
    assert_eq!(ours.open(&answer).unwrap().expose(), b"key");
    assert_eq!(theirs.open(&answer).unwrap_err(), JweError::Crypto);
    for part in ["encrypted_key", "iv", "ciphertext", "tag"] {
        let mut text: Value = serde_json::to_value(&answer).unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(text[part].as_str().unwrap()).unwrap();
        bytes[0] ^= 1;
        text[part] = json!(URL_SAFE_NO_PAD.encode(bytes));
        let changed: Response = serde_json::from_value(text).unwrap();
        assert!(ours.open(&changed).is_err(), "{part}");
    }
    let mut changed = answer.clone();
    changed.protected.other_fields.insert("apu".to_owned(), json!("x"));
    assert!(ours.open(&changed).is_err(), "the header is authenticated");
}

#[test]
fn the_form_is_flattened_jwe() {
    let recipient = Recipient::new(&WorkloadKey::generate().unwrap().public().unwrap()).unwrap();
    let answer = serde_json::to_value(recipient.encrypt(&Secret::new(vec![1; 32])).unwrap()).unwrap();
    let mut names: Vec<_> = answer.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["ciphertext", "encrypted_key", "iv", "protected", "tag"]);
    let header = URL_SAFE_NO_PAD.decode(answer["protected"].as_str().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    assert_eq!((&header["alg"], &header["enc"]), (&json!("ECDH-ES+A256KW"), &json!("A256GCM")));
    assert_eq!((&header["epk"]["kty"], &header["epk"]["crv"]), (&json!("EC"), &json!("P-256")));
}

#[test]
fn public_keys_are_told_by_their_subject_public_key_info() {
    for (crv, algorithm) in [("P-256", &ECDH_P256), ("P-521", &ECDH_P521)] {
        let key = PrivateKey::generate(algorithm).unwrap().compute_public_key().unwrap();
        let (x, y) = key.as_ref()[1..].split_at(key.as_ref().len() / 2);
        let [x, y] = [x, y].map(|half| URL_SAFE_NO_PAD.encode(half));
        let jwk = TeePubKey::EC { crv: crv.to_owned(), alg: "ECDH-ES+A256KW".to_owned(), x, y };
        let recipient = Recipient::new(&jwk).unwrap();
        let der: PublicKeyX509Der<'_> = key.as_der().unwrap();
        assert_eq!(recipient.der(), der.as_ref(), "{crv}");
        assert!(recipient.encrypt(&Secret::new(vec![1])).is_ok());
    }
}

#[test]
fn rsa_oaep_is_spoken_as_well() {
    let private = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
    let der: PublicKeyX509Der<'_> = private.public_key().as_der().unwrap();
    let (_, info) = x509_parser::prelude::FromDer::from_der(der.as_ref())
        .map(|(rest, info): (_, x509_parser::x509::SubjectPublicKeyInfo<'_>)| (rest, info))
        .unwrap();
    let x509_parser::public_key::PublicKey::RSA(rsa) = info.parsed().unwrap() else { panic!("no RSA key") };
    let modulus = rsa.modulus.strip_prefix(&[0]).unwrap_or(rsa.modulus);
    let jwk = |alg: &str| TeePubKey::RSA {
        alg: alg.to_owned(),
        k_mod: URL_SAFE_NO_PAD.encode(modulus),
        k_exp: URL_SAFE_NO_PAD.encode(rsa.exponent),
    };
    let recipient = Recipient::new(&jwk("RSA-OAEP-256")).unwrap();
    assert_eq!(recipient.der(), der.as_ref());
    let answer = recipient.encrypt(&Secret::new(b"key".to_vec())).unwrap();
    let mut content_key = vec![0; 256];
    let key = OaepPrivateDecryptingKey::new(private).unwrap();
    let content_key = key.decrypt(&OAEP_SHA256_MGF1SHA256, &answer.encrypted_key, &mut content_key, None).unwrap();
    let aad = answer.protected.generate_aad().unwrap();
    let mut sealed = [answer.ciphertext, answer.tag].concat();
    let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, content_key).unwrap());
    let nonce = Nonce::try_assume_unique_for_key(&answer.iv).unwrap();
    assert_eq!(cipher.open_in_place(nonce, Aad::from(aad), &mut sealed).unwrap(), b"key");

    assert_eq!(reason(jwk("RSA1_5")), Some(Reason::AlgorithmNotAllowed));
    assert_eq!(reason(jwk("RSA-OAEP")), Some(Reason::AlgorithmNotAllowed));
}

#[test]
fn keys_that_are_none_are_refused() {
    let ec = |crv: &str, alg: &str, x: &str, y: &str| {
        reason(TeePubKey::EC { crv: crv.to_owned(), alg: alg.to_owned(), x: x.to_owned(), y: y.to_owned() })
    };
    let n = URL_SAFE_NO_PAD.encode([1; 32]);
    assert_eq!(ec("P-256", "ECDH-ES+A256KW", &n, &n), Some(Reason::MalformedDocument), "not on the curve");
    assert_eq!(ec("P-256", "ECDH-ES+A256KW", "", ""), Some(Reason::MalformedDocument));
    assert_eq!(ec("P-256", "ECDH-ES+A256KW", "?", &n), Some(Reason::MalformedDocument));
    assert_eq!(ec("P-384", "ECDH-ES+A256KW", &n, &n), Some(Reason::AlgorithmNotAllowed));
    assert_eq!(ec("P-256", "none", &n, &n), Some(Reason::AlgorithmNotAllowed));
    let rsa = |n: &[u8]| {
        let k_mod = URL_SAFE_NO_PAD.encode(n);
        reason(TeePubKey::RSA { alg: "RSA-OAEP-256".to_owned(), k_mod, k_exp: "AQAB".to_owned() })
    };
    assert!(rsa(&[0xff; 128]).is_some(), "1024 bits");
    assert!(rsa(&[]).is_some());
    assert!(rsa(&vec![0xff; 4096]).is_some(), "32768 bits");
    let akp = TeePubKey::AKP { alg: "ML-KEM-768+A192KW".to_owned(), public_key: String::new() };
    assert_eq!(reason(akp), Some(Reason::AlgorithmNotAllowed));
}

#[test]
fn what_is_encrypted_is_bounded() {
    let recipient = Recipient::new(&WorkloadKey::generate().unwrap().public().unwrap()).unwrap();
    let too_much = Secret::new(vec![0; PLAINTEXT_BYTES_MAX + 1]);
    assert_eq!(recipient.encrypt(&too_much).unwrap_err(), JweError::TooLarge(PLAINTEXT_BYTES_MAX + 1));
}
