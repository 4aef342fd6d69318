//! The local store: one file of keys, each wrapped by AES-256-GCM under a wrapping key that lies in a file of its own. Both
//! are for their owner alone (mode 0600), and are refused otherwise.
//!
//! It protects keys from whoever reads backups or the store's disk, not from whoever is root on the broker's machine.

use super::{Fetched, KeyName, KeyStore, StoreError, StoreKind, file};
use crate::secret::Secret;
use async_trait::async_trait;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

/// Bytes of a wrapping key.
const KEY_BYTES: usize = 32;
/// Bytes of the store's file.
const STORE_BYTES_MAX: u64 = 64 << 20;
/// What each key is bound to beside its name.
const CONTEXT: &str = "tarn key store 1";

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file that others than its owner may read.
    #[error("{} has mode {mode:o}, expected 600: keys are for their owner alone", path.display())]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A file of another form.
    #[error("{} is no {expected}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
    },
    /// A name that has a key already.
    #[error("{0} has a key already")]
    Exists(KeyName),
    /// The library could not encrypt.
    #[error("the key could not be wrapped")]
    Crypto,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    version: u32,
    keys: BTreeMap<String, Wrapped>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrapped {
    nonce: String,
    ciphertext: String,
}

/// The store. Keys are read when it is opened; one process writes it.
pub struct LocalStore {
    path: PathBuf,
    wrapping: RandomizedNonceKey,
    keys: BTreeMap<String, Wrapped>,
}

impl LocalStore {
    /// Makes a wrapping key in a new file.
    ///
    /// **Errors**: the file is there already, or cannot be written.
    pub fn create_wrapping_key(path: &Path) -> Result<(), LocalError> {
        let key = Secret::random(KEY_BYTES).ok_or(LocalError::Crypto)?;
        let text = Secret::new(format!("{}\n", hex::encode(key.expose())).into_bytes());
        let failed = |source| LocalError::File { path: path.to_owned(), source };
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
        file.write_all(text.expose()).and_then(|()| file.sync_all()).map_err(failed)
    }

    /// Opens a store, which need not be there yet.
    ///
    /// **Errors**: a file that cannot be read, that others may read, or of another form.
    pub fn open(store: &Path, wrapping_key: &Path) -> Result<Self, LocalError> {
        let form = |path: &Path, expected| LocalError::Form { path: path.to_owned(), expected };
        let text = read(wrapping_key)?.ok_or_else(|| form(wrapping_key, "wrapping key, which is made first"))?;
        let key =
            std::str::from_utf8(text.expose()).ok().and_then(|text| hex::decode(text.trim()).ok()).map(Secret::new);
        let key =
            key.filter(|key| key.expose().len() == KEY_BYTES).ok_or_else(|| form(wrapping_key, "wrapping key"))?;
        let wrapping = RandomizedNonceKey::new(&AES_256_GCM, key.expose()).map_err(|_| LocalError::Crypto)?;
        let keys = match read(store)? {
            None => BTreeMap::new(),
            Some(text) => match serde_json::from_slice(text.expose()) {
                Ok(Contents { version: 1, keys }) if keys.keys().all(|name| KeyName::from_str(name).is_ok()) => keys,
                _ => return Err(form(store, "key store of version 1")),
            },
        };
        Ok(Self { path: store.to_owned(), wrapping, keys })
    }

    /// Adds a key and writes the store: whole or not at all.
    ///
    /// **Errors**: the name has a key, or the file cannot be written; then nothing has changed.
    pub fn add(&mut self, name: &KeyName, key: &Secret) -> Result<(), LocalError> {
        if self.keys.contains_key(name.as_str()) {
            return Err(LocalError::Exists(name.clone()));
        }
        let mut bytes = key.expose().to_vec();
        let nonce = self.wrapping.seal_in_place_append_tag(Aad::from(aad(name)), &mut bytes);
        let nonce = nonce.map_err(|_| LocalError::Crypto)?;
        let wrapped = Wrapped { nonce: STANDARD.encode(nonce.as_ref()), ciphertext: STANDARD.encode(bytes) };
        self.keys.insert(name.as_str().to_owned(), wrapped);
        let written = self.write();
        if written.is_err() {
            self.keys.remove(name.as_str());
        }
        written
    }

    /// The names that have a key, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }

    fn write(&self) -> Result<(), LocalError> {
        let failed = |source| LocalError::File { path: self.path.clone(), source };
        let contents = Contents { version: 1, keys: self.keys.clone() };
        let text = serde_json::to_vec_pretty(&contents).map_err(|_| LocalError::Crypto)?;
        file::replace(&self.path, &text).map_err(failed)
    }

    fn unwrap(&self, name: &KeyName) -> Result<Secret, StoreError> {
        let wrapped = self.keys.get(name.as_str()).ok_or(StoreError::NotFound)?;
        let failed =
            || StoreError::Failed("the key does not open: another wrapping key, or a changed store".to_owned());
        let nonce = STANDARD.decode(&wrapped.nonce).map_err(|_| failed())?;
        let nonce: [u8; NONCE_LEN] = nonce.try_into().map_err(|_| failed())?;
        let mut secret = Secret::new(STANDARD.decode(&wrapped.ciphertext).map_err(|_| failed())?);
        let opened = self.wrapping.open_in_place(Nonce::from(&nonce), Aad::from(aad(name)), secret.expose_mut());
        let bytes = opened.map_err(|_| failed())?.len();
        secret.expose_mut().truncate(bytes);
        Ok(secret)
    }
}

/// A key opens under its own name only.
fn aad(name: &KeyName) -> Vec<u8> {
    format!("{CONTEXT}\n{name}").into_bytes()
}

fn read(path: &Path) -> Result<Option<Secret>, LocalError> {
    let failed = |source| LocalError::File { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(LocalError::Mode { path: path.to_owned(), mode });
    }
    let mut text = Secret::new(Vec::new());
    file.take(STORE_BYTES_MAX).read_to_end(text.expose_mut()).map_err(failed)?;
    Ok(Some(text))
}

#[async_trait]
impl KeyStore for LocalStore {
    async fn key(&self, name: &KeyName) -> Result<Fetched, StoreError> {
        Ok(Fetched { key: self.unwrap(name)?, request_uid: None })
    }

    fn kind(&self) -> StoreKind {
        StoreKind::Local
    }
}
