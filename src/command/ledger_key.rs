//! A ledger's signing key as commands name it: a file, or a key that AWS KMS keeps (`awskms:///KEY?name=NAME`).

use super::Usage;
use super::named_file::NamedFile;
use tarn_attest::ledger::{KeyError, KmsKey, Signer};

/// A key's file is a line.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// What signs with a key.
///
/// **Errors**: [`Usage`] for what names or holds none; KMS refuses or is not reached.
pub async fn signer(named: &str) -> anyhow::Result<Signer> {
    match read(named)? {
        Key::Kms(key) => Ok(key.signer().await?),
        Key::File(signer) => Ok(signer),
    }
}

/// Looks at what names a key; a key service is not asked.
///
/// **Errors**: [`Usage`] for what names or holds none.
pub fn check(named: &str) -> anyhow::Result<()> {
    read(named).map(drop)
}

enum Key {
    Kms(KmsKey),
    File(Signer),
}

fn read(named: &str) -> anyhow::Result<Key> {
    let wrong = |error: KeyError| Usage(format!("{named}: {error}"));
    if KmsKey::is_one(named) {
        return Ok(Key::Kms(KmsKey::parse(named).map_err(wrong)?));
    }
    if named.starts_with("PRIVATE+KEY+") {
        return Err(Usage("expected a file with the key, got the key itself".to_owned()).into());
    }
    let text = NamedFile::argument(named.as_ref()).text(FILE_BYTES_MAX)?;
    Ok(Key::File(Signer::parse(&text).map_err(wrong)?))
}
