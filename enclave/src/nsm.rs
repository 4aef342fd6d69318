//! The Nitro Secure Module of the enclave that this runs in, by its device `/dev/nsm`: it signs what the enclave is, and
//! whatever the enclave binds into that (AWS Nitro Enclaves NSM API).

use aws_nitro_enclaves_nsm_api::api::{Request, Response};
use aws_nitro_enclaves_nsm_api::driver::{nsm_exit, nsm_init, nsm_process_request};
use serde_bytes::ByteBuf;

/// Bytes that the module takes of a public key, of user data and of a nonce.
const PUBLIC_KEY_BYTES_MAX: usize = 1024;
const NONCE_BYTES_MAX: usize = 512;

/// Why there is no document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NsmError {
    /// The device is not there, or not for this process.
    #[error("/dev/nsm cannot be opened: this is no AWS Nitro enclave, or the device is not for this user")]
    NoDevice,
    /// More than the module takes.
    #[error("{what} of {bytes} bytes, the module takes {most}")]
    TooLarge {
        /// What.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The most.
        most: usize,
    },
    /// The module refused.
    #[error("the Nitro Secure Module answered {0}")]
    Refused(String),
}

/// The module, opened.
#[derive(Debug)]
pub struct NitroSecureModule {
    descriptor: i32,
}

impl NitroSecureModule {
    /// Opens the device.
    ///
    /// **Errors**: [`NsmError::NoDevice`].
    pub fn open() -> Result<Self, NsmError> {
        let descriptor = nsm_init();
        if descriptor < 0 { Err(NsmError::NoDevice) } else { Ok(Self { descriptor }) }
    }

    /// A fresh attestation document (COSE_Sign1) that binds a challenge and a public key.
    ///
    /// **Errors**: more than the module takes; the module refused.
    pub fn document(&self, nonce: Option<Vec<u8>>, public_key: Option<Vec<u8>>) -> Result<Vec<u8>, NsmError> {
        let limits = [("a nonce", &nonce, NONCE_BYTES_MAX), ("a public key", &public_key, PUBLIC_KEY_BYTES_MAX)];
        for (what, value, most) in limits {
            let bytes = value.as_ref().map_or(0, Vec::len);
            if bytes > most {
                return Err(NsmError::TooLarge { what, bytes, most });
            }
        }
        let request = Request::Attestation {
            user_data: None,
            nonce: nonce.map(ByteBuf::from),
            public_key: public_key.map(ByteBuf::from),
        };
        match nsm_process_request(self.descriptor, request) {
            Response::Attestation { document } => Ok(document),
            Response::Error(code) => Err(NsmError::Refused(format!("{code:?}"))),
            _ => Err(NsmError::Refused("something else than a document".to_owned())),
        }
    }
}

impl Drop for NitroSecureModule {
    fn drop(&mut self) {
        nsm_exit(self.descriptor);
    }
}

#[cfg(test)]
mod tests {
    use super::{NitroSecureModule, NsmError};

    #[test]
    fn without_the_device_it_says_so() {
        if std::path::Path::new("/dev/nsm").exists() {
            return;
        }
        assert!(matches!(NitroSecureModule::open(), Err(NsmError::NoDevice)));
    }
}
