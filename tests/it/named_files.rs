//! A file that an option names, and that is not there: the message has both, whatever the command.

use crate::command::{tarn, text};

/// Stands for a file that is not there.
const ABSENT: &str = "ABSENT";

#[test]
fn an_option_is_named_with_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| text(&folder.path().join(name)).to_owned();
    std::fs::create_dir(path("folder")).unwrap();
    std::fs::write(path("file"), "{}").unwrap();
    let lake = path("lake");
    let key = tarn(&["evidence", "key", "new", &path("key"), "--name", "example.com/evidence"]).ok().stdout;
    tarn(&["ingest", "--lake", &lake, &path("file")]).ok();
    let seal = ["enclave", "seal", &path("file"), "--key", "a/b/c", "--out", &path("sealed")];
    tarn(&[&seal[..], &["--store", &path("keys.json"), "--wrapping-key", &path("wrapping.key")]].concat()).ok();
    let (absent, digest) = (path("absent"), format!("sha256:{}", "0".repeat(64)));
    for line in [
        "attest verify DIGEST --bundle FILE --key ABSENT",
        "attest verify DIGEST --bundle ABSENT --identity me --issuer it",
        "attest verify DIGEST --bundle FILE --identity me --issuer it --trusted-root ABSENT",
        "attest verify DIGEST --bundle FILE --policies ABSENT",
        "attest verify --image registry.example/a --identity me --issuer it --registry-ca ABSENT",
        "attest verify --layout ABSENT --identity me --issuer it",
        "attest ingest FILE --lake LAKE --policies ABSENT",
        "attest admission --layout FOLDER --policies ABSENT",
        "attest conformance verify-bundle DIGEST --bundle ABSENT --key FILE",
        "attest conformance verify-bundle DIGEST --bundle FILE --key ABSENT",
        "attest conformance verify-bundle DIGEST --bundle FILE --key FILE --trusted-root ABSENT",
        "evidence verify FILE --key ABSENT",
        "evidence verify FILE --key PUBLIC --witness ABSENT",
        "evidence audit --lake LAKE --key ABSENT",
        "evidence audit --lake LAKE --key PUBLIC --known ABSENT",
        "evidence reverify --lake LAKE --policies ABSENT",
        "evidence reverify --lake LAKE --trusted-root ABSENT",
        "evidence disagreements --lake LAKE --record --ledger-key ABSENT",
        "enclave unseal SEALED --broker http://127.0.0.1:1 --out OUT --authority ABSENT",
        "hunt --lake LAKE --rules ABSENT",
        "hunt --lake LAKE --rules PACK --sources ABSENT",
        "detect FILE --rules ABSENT",
        "sql --lake LAKE --rules ABSENT SELECT",
        "rules coverage --rules ABSENT",
        "rules backtest PACK --events ABSENT",
        "rules backtest PACK --events FILE --against ABSENT",
        "simulate labelled --logs ABSENT",
        "simulate labelled --logs FILE --table ABSENT",
        "simulate labelled --logs FILE --rules ABSENT",
        "simulate atomic --atomics ABSENT",
        "simulate stratus aws.defense-evasion.cloudtrail-stop --to http://127.0.0.1:1 --stratus ABSENT",
        "bench detect --rules PACK --alone --lane ABSENT",
        "bench detect --rules ABSENT --alone",
        "bench detect --rules PACK --rsigma ABSENT",
        "bench serve --rules PACK --alone --lane ABSENT",
        "bench serve --rules ABSENT --alone --lane FILE",
        "bench serve --rules PACK --rsigma ABSENT",
        "serve --config ABSENT",
    ] {
        let words = line.split(' ').map(|word| match word {
            ABSENT => absent.clone(),
            "DIGEST" => digest.clone(),
            "FILE" => path("file"),
            "FOLDER" => path("folder"),
            "LAKE" => lake.clone(),
            "OUT" => path("out"),
            "PACK" => concat!(env!("CARGO_MANIFEST_DIR"), "/rules/sigma/trust").to_owned(),
            "SEALED" => path("sealed"),
            "PUBLIC" => key.trim_end().to_owned(),
            word => word.to_owned(),
        });
        let run = tarn(&words.collect::<Vec<_>>());
        let before = line.split_once(&format!(" {ABSENT}")).unwrap().0;
        let option = before.rsplit(' ').next().unwrap();
        let named = run.stderr.contains(&format!("{option}: ")) && run.stderr.contains(&absent);
        assert!(run.code == 2 && named, "tarn {line}: {}: {}", run.code, run.stderr);
    }
}
