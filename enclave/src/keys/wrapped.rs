//! Keys that a key management service has wrapped, in one file: names, ciphertexts, and what these were wrapped with. There is
//! nothing secret in it; what unwraps is the service, for whom its own policy of the key allows it.
//!
//! ```json
//! {"version": 1, "keys": {"models/scorer/weights": {"key_id": "arn:…", "ciphertext": "…", "context": {"…": "…"}}}}
//! ```

use super::kms::{CIPHERTEXT_BYTES_MAX, Wrapped};
use super::{KeyName, file};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Bytes of the file.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Names in an encryption context.
const CONTEXT_MAX: usize = 64;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WrappedError {
    /// It could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It has another form.
    #[error("{}: {reason}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What was found and expected.
        reason: String,
    },
    /// A name that has a key already.
    #[error("{0} has a key already")]
    Exists(KeyName),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    version: u32,
    keys: BTreeMap<String, Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    key_id: String,
    ciphertext: String,
    context: BTreeMap<String, String>,
}

/// The file. One process writes it.
pub struct WrappedKeys {
    path: PathBuf,
    keys: BTreeMap<KeyName, Wrapped>,
}

impl WrappedKeys {
    /// Opens the file, which need not be there yet.
    ///
    /// **Errors**: a file that cannot be read, or of another form, by the key that is wrong.
    pub fn open(path: &Path) -> Result<Self, WrappedError> {
        let failed = |source| WrappedError::File { path: path.to_owned(), source };
        let form = |reason: String| WrappedError::Form { path: path.to_owned(), reason };
        let mut bytes = Vec::new();
        match File::open(path) {
            Ok(file) => file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self { path: path.to_owned(), keys: BTreeMap::new() });
            }
            Err(error) => return Err(failed(error)),
        };
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(form(format!("is larger than {FILE_BYTES_MAX} bytes")));
        }
        let Contents { version, keys } = serde_json::from_slice(&bytes).map_err(|error| form(error.to_string()))?;
        if version != 1 {
            return Err(form(format!("version {version}, expected 1")));
        }
        let keys: Result<_, String> = keys.into_iter().map(|(name, entry)| read(&name, entry)).collect();
        Ok(Self { path: path.to_owned(), keys: keys.map_err(form)? })
    }

    /// Adds a key and writes the file: whole or not at all.
    ///
    /// **Errors**: the name has a key, or the file cannot be written; then nothing has changed.
    pub fn add(&mut self, name: &KeyName, wrapped: Wrapped) -> Result<(), WrappedError> {
        if self.keys.contains_key(name) {
            return Err(WrappedError::Exists(name.clone()));
        }
        self.keys.insert(name.clone(), wrapped);
        let written = self.write();
        if written.is_err() {
            self.keys.remove(name);
        }
        written
    }

    /// The keys.
    pub fn keys(&self) -> &BTreeMap<KeyName, Wrapped> {
        &self.keys
    }

    fn write(&self) -> Result<(), WrappedError> {
        let entry = |wrapped: &Wrapped| Entry {
            key_id: wrapped.key_id.clone(),
            ciphertext: STANDARD.encode(&wrapped.ciphertext),
            context: wrapped.context.clone(),
        };
        let keys = self.keys.iter().map(|(name, wrapped)| (name.to_string(), entry(wrapped))).collect();
        let text = serde_json::to_vec_pretty(&Contents { version: 1, keys });
        let written = text.map_err(Into::into).and_then(|text| file::replace(&self.path, &text));
        written.map_err(|source| WrappedError::File { path: self.path.clone(), source })
    }
}

fn read(name: &str, entry: Entry) -> Result<(KeyName, Wrapped), String> {
    let wrong = |what: &str| format!("keys.{name:?}: {what}");
    let key: KeyName = name.parse().map_err(|error: super::NameError| wrong(&error.to_string()))?;
    let ciphertext = STANDARD.decode(&entry.ciphertext).map_err(|_| wrong("ciphertext is no Base64"))?;
    if ciphertext.is_empty() || ciphertext.len() > CIPHERTEXT_BYTES_MAX {
        return Err(wrong(&format!("ciphertext of {} bytes, expected 1 to {CIPHERTEXT_BYTES_MAX}", ciphertext.len())));
    }
    if entry.context.len() > CONTEXT_MAX {
        return Err(wrong(&format!("context of {} names, expected at most {CONTEXT_MAX}", entry.context.len())));
    }
    Ok((key, Wrapped { key_id: entry.key_id, ciphertext, context: entry.context }))
}
