//! What attests this process: the Nitro Secure Module of its enclave, or software in its place.

use super::measure;
use crate::command::named_file::{NamedFile, SMALL_BYTES_MAX};
use anyhow::Context;
use chrono::{TimeDelta, Utc};
use sha2::{Digest as _, Sha384};
use std::path::Path;
#[cfg(all(feature = "nsm", target_os = "linux"))]
use tarn_enclave::nsm::NitroSecureModule;
use tarn_enclave::simulated::{NsmRequest, SimulatedAuthority};

/// One of both.
pub(super) enum Attester {
    /// The hardware.
    #[cfg(all(feature = "nsm", target_os = "linux"))]
    Nitro(NitroSecureModule),
    /// Software, whose documents say so.
    Simulated {
        /// What signs.
        authority: Box<SimulatedAuthority>,
        /// PCR0 to PCR2.
        pcrs: [Vec<u8>; 3],
    },
}

impl Attester {
    /// The Nitro Secure Module.
    ///
    /// **Errors**: there is no `/dev/nsm`; this Tarn was built without the feature `nsm`.
    #[cfg(all(feature = "nsm", target_os = "linux"))]
    pub(super) fn nitro() -> anyhow::Result<Self> {
        Ok(Self::Nitro(NitroSecureModule::open()?))
    }

    /// The Nitro Secure Module, which this Tarn was built without.
    #[cfg(not(all(feature = "nsm", target_os = "linux")))]
    pub(super) fn nitro() -> anyhow::Result<Self> {
        let without = "this Tarn was built without the feature `nsm`, by which it asks /dev/nsm".to_owned();
        Err(crate::command::Usage(without).into())
    }

    /// A simulated enclave whose image is a file, or this program.
    ///
    /// **Errors**: [`Usage`](crate::command::Usage) for files that cannot be read, or are something else.
    pub(super) fn simulated(authority: &Path, measured: Option<&Path>, debug: bool) -> anyhow::Result<Self> {
        let file = NamedFile::by("--authority", authority);
        let authority = SimulatedAuthority::from_text(&file.text(SMALL_BYTES_MAX)?).map_err(|e| file.wrong(e))?;
        // The kernel and the application of a real image; here there is none but the file.
        let parts = [b"simulated kernel".as_slice(), b"simulated application"];
        let [kernel, application] = parts.map(|part| Sha384::digest(part).to_vec());
        let mut pcrs = [measure::of(measured.map(|path| NamedFile::by("--measure", path)))?, kernel, application];
        if debug {
            pcrs.iter_mut().for_each(|value| value.fill(0));
        }
        Ok(Self::Simulated { authority: Box::new(authority), pcrs })
    }

    /// A fresh document that binds a challenge, if there is one, and a public key.
    ///
    /// **Errors**: the module's.
    pub(super) fn document(&self, nonce: Option<Vec<u8>>, public_key: Vec<u8>) -> anyhow::Result<Vec<u8>> {
        match self {
            #[cfg(all(feature = "nsm", target_os = "linux"))]
            Self::Nitro(module) => Ok(module.document(nonce, Some(public_key))?),
            Self::Simulated { authority, pcrs } => {
                let now = Utc::now();
                let nsm = authority.nsm("tarn-simulated-enclave", now - TimeDelta::minutes(1))?;
                let pcrs = (0..).zip(pcrs.iter().cloned()).collect();
                let request = NsmRequest { timestamp: now, pcrs, nonce, public_key: Some(public_key), user_data: None };
                nsm.document(&request).context("the simulated module")
            }
        }
    }
}

impl tarn_enclave::keys::kms::Attester for Attester {
    fn document(&self, public_key: &[u8]) -> Result<Vec<u8>, String> {
        self.document(None, public_key.to_vec()).map_err(|error| format!("{error:#}"))
    }
}
