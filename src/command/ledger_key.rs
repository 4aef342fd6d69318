//! A ledger's signing key as commands name it: a file, or a key that AWS KMS keeps (`awskms:///KEY?name=NAME`).

use super::Usage;
use std::io::Read;
use tarn_attest::ledger::{KeyError, KmsKey, Signer};

/// A key's file is a line.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// What signs with a key.
///
/// **Errors**: [`Usage`] for what names or holds none; KMS refuses or is not reached.
pub async fn signer(named: &str) -> anyhow::Result<Signer> {
    let wrong = |error: KeyError| Usage(format!("{named}: {error}"));
    if KmsKey::is_one(named) {
        return Ok(KmsKey::parse(named).map_err(wrong)?.signer().await?);
    }
    let unread = |error: std::io::Error| Usage(format!("{named}: {error}"));
    let mut text = String::new();
    std::fs::File::open(named).map_err(unread)?.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(unread)?;
    Ok(Signer::parse(&text).map_err(wrong)?)
}
