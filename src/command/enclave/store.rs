//! Where keys are kept: a local store, or AWS KMS by the feature `kms`.

use super::attester::Attester;
use crate::command::Usage;
use clap::{Args as ClapArgs, ValueEnum};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tarn_enclave::Secret;
use tarn_enclave::keys::kms::Wrapped;
use tarn_enclave::keys::local::LocalStore;
use tarn_enclave::keys::{KeyName, KeyStore};

/// Which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Keys {
    /// A file of keys, under a wrapping key.
    Local,
    /// AWS KMS, which unwraps them for this broker's enclave.
    Kms,
}

/// The store that keys are released from.
#[derive(ClapArgs)]
pub(super) struct StoreArgs {
    /// Where keys are kept
    #[arg(long, value_enum, default_value_t = Keys::Local, value_name = "STORE")]
    keys: Keys,
    /// The key store, of `tarn enclave seal`
    #[arg(long, value_name = "FILE")]
    store: PathBuf,
    /// The local store's wrapping key
    #[arg(long, value_name = "FILE", required_if_eq("keys", "local"))]
    wrapping_key: Option<PathBuf>,
    /// Attest to KMS as a simulated enclave, by `tarn enclave authority`, and not by the Nitro Secure Module
    #[arg(long, value_name = "FILE")]
    authority: Option<PathBuf>,
}

impl StoreArgs {
    /// Opens the store.
    ///
    /// **Errors**: no such store, as keys are read once; files that are of another form; for KMS, no Nitro Secure Module, or a Tarn that was built without it.
    pub(super) async fn open(&self) -> anyhow::Result<Arc<dyn KeyStore>> {
        if !self.store.exists() {
            let store = self.store.display();
            return Err(Usage(format!("--store: {store}: no such file; tarn enclave seal makes it")).into());
        }
        match (self.keys, &self.wrapping_key) {
            (Keys::Local, Some(_)) if self.authority.is_some() => {
                Err(Usage("--authority attests to KMS: give --keys kms".to_owned()).into())
            }
            (Keys::Local, Some(wrapping_key)) => {
                let wrong = |error| Usage(format!("--store, --wrapping-key: {error}"));
                Ok(Arc::new(LocalStore::open(&self.store, wrapping_key).map_err(wrong)?))
            }
            (Keys::Local, None) => Err(Usage("a local store has a --wrapping-key".to_owned()).into()),
            (Keys::Kms, Some(_)) => Err(Usage("keys of KMS have no --wrapping-key".to_owned()).into()),
            (Keys::Kms, None) => {
                let attester = match &self.authority {
                    Some(authority) => Attester::simulated(authority, None, false)?,
                    None => Attester::nitro()?,
                };
                kms(&self.store, attester).await
            }
        }
    }
}

#[cfg(feature = "kms")]
async fn kms(store: &Path, attester: Attester) -> anyhow::Result<Arc<dyn KeyStore>> {
    use tarn_enclave::keys::aws_kms::AwsKms;
    use tarn_enclave::keys::{kms::KmsStore, wrapped::WrappedKeys};
    let keys = WrappedKeys::open(store).map_err(|error| Usage(format!("--store: {error}")))?.keys().clone();
    Ok(Arc::new(KmsStore::new(Arc::new(AwsKms::from_environment().await), Arc::new(attester), keys)?))
}

#[cfg(not(feature = "kms"))]
async fn kms(_: &Path, _: Attester) -> anyhow::Result<Arc<dyn KeyStore>> {
    Err(without())
}

/// A new key of KMS: in the clear, and wrapped.
///
/// **Errors**: KMS refused, or is away; a Tarn that was built without the feature `kms`.
#[cfg(feature = "kms")]
pub(super) async fn data_key(kms_key: &str, name: &KeyName) -> anyhow::Result<(Secret, Wrapped)> {
    use tarn_enclave::keys::aws_kms::AwsKms;
    use tarn_enclave::keys::kms::context;
    AwsKms::from_environment().await.data_key(kms_key, context(name)).await.map_err(anyhow::Error::msg)
}

/// A new key of KMS, which this Tarn was built without.
#[cfg(not(feature = "kms"))]
pub(super) async fn data_key(_: &str, _: &KeyName) -> anyhow::Result<(Secret, Wrapped)> {
    Err(without())
}

#[cfg(not(feature = "kms"))]
fn without() -> anyhow::Error {
    Usage("this Tarn was built without the feature `kms`, by which it asks AWS KMS".to_owned()).into()
}
