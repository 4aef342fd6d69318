//! What is read, and what is refused.
#![allow(clippy::unwrap_used)]

use super::*;

const SMALL: &str = "lake = 'l'\nstate = 's'\n";

fn parse(text: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Config::parse("tarn.toml", text, environment).map_err(|e| e.to_string())
}

#[test]
fn the_environment_goes_over_the_file() {
    let config = parse(SMALL, &[]).unwrap();
    assert_eq!((config.lake.as_str(), config.commit.seconds), ("l", 10));
    let over = [("TARN_SERVE__LAKE", "s3://b/l"), ("TARN_SERVE__COMMIT__SECONDS", "3"), ("HOME", "/root")];
    let config = parse(SMALL, &over).unwrap();
    assert_eq!((config.lake.as_str(), config.commit.seconds), ("s3://b/l", 3));
    let over = [("TARN_SERVE__LISTEN__HTTP", "['127.0.0.1:0']")];
    assert_eq!(parse(SMALL, &over).unwrap().listen.http[0].port(), 0);
}

#[test]
fn errors_name_their_key() {
    let error = |text: &str| parse(&format!("{SMALL}{text}"), &[]).unwrap_err();
    for (text, key) in [
        ("lakes = 1", "lakes"),
        ("[listen]\nhttp = ['nowhere']", "http"),
        ("[commit]\nseconds = 0", "commit.seconds"),
        ("[commit]\nseconds = 'x'", "seconds"),
        ("[detection]\nlate_seconds = -1", "late_seconds"),
        ("[log]\ndisk_mib = 1", "log.disk_mib"),
        ("[evidence]\nledger = 'evidence.key'", "ledger"),
        ("[[access]]\nname = 'a'\n[[access]]\nname = 'a'", "access"),
        ("[[access]]\nname = 'a'\ningest_mib_per_second = 0", "access.a.ingest_mib_per_second"),
    ] {
        let error = error(text);
        assert!(error.contains(key) && error.starts_with("tarn.toml"), "{text}: {error}");
    }
    let error = parse("lake = 'l'", &[]).unwrap_err();
    assert!(error.contains("state is not given") && error.contains("--state"), "{error}");
    let error = parse(SMALL, &[("TARN_SERVE__LAKE__X", "1")]).unwrap_err();
    assert!(error.contains("TARN_SERVE__LAKE__X"), "{error}");
}
