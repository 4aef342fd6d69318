//! Evidence in the daemon: documents that are verified as they come in, and the ledger that follows the durable log.
//!
//! ```text
//! POST /v1/evidence ─► verified ─► records, rows and the document: one frame of the log
//!                                              ├─► mapping, detection, as any other
//!                                              └─► (once its rows are committed) ─► leaves of the lake's ledger
//! ```
//!
//! The other direction, from ledger to rows, is [`crate::recording`]'s, for those who must record before they answer. It
//! asks the tables for what they have; so here a record is a row of them before it is a leaf, and no row is made twice.

mod delivered;
mod known;
mod ledger;
mod mapped;
mod receiver;
mod records;

pub use known::Known;
pub use ledger::{Followed, Keeper};
pub use receiver::{Parts, router};
pub use records::Marks;

use crate::command::{Usage, ledger_key};
use crate::trust;
use anyhow::Context;
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tarn_attest::Policies;
use tarn_attest::ledger::Signer;
use tarn_schema_ocsf::{ClassUid, Schema};

/// What is done with evidence.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvidenceConfig {
    /// The signing key of the lake's evidence ledger: a file, or `awskms:///KEY?name=NAME`. None: the ledger is left alone.
    pub ledger_key: Option<String>,
    /// Tables whose records are evidence, too, whatever they were mapped from.
    pub tables: Vec<String>,
    /// The trust policies that documents are verified by. None: no documents are taken.
    pub policies: Option<PathBuf>,
    /// The trusted root of policies that name none. None: that of Sigstore's public instance.
    pub trusted_root: Option<PathBuf>,
}

impl EvidenceConfig {
    /// The ledger's key.
    ///
    /// **Errors**: [`Usage`], which names the key of the configuration.
    pub async fn signer(&self) -> anyhow::Result<Option<Signer>> {
        let Some(named) = &self.ledger_key else { return Ok(None) };
        Ok(Some(ledger_key::signer(named).await.context("evidence.ledger_key")?))
    }

    /// The classes of `tables`.
    ///
    /// **Errors**: [`Usage`] for a table of no class.
    pub fn classes(&self) -> anyhow::Result<Vec<ClassUid>> {
        let class = |table: &String| {
            let class = Schema::v1_8().classes().find(|class| class.table() == *table);
            let none = || Usage(format!("evidence.tables: {table:?} is the table of no class (docs/lake.md)")).into();
            class.map(|class| class.uid).ok_or_else(none)
        };
        self.tables.iter().map(class).collect()
    }

    /// Looks at what names the ledger's key, and at the policies.
    ///
    /// **Errors**: as [`Self::signer`] and [`Self::policies`].
    pub fn check(&self) -> anyhow::Result<()> {
        if let Some(named) = &self.ledger_key {
            ledger_key::check(named).map_err(|e| Usage(format!("evidence.ledger_key: {e}")))?;
        }
        self.classes()?;
        self.policies().map(drop)
    }

    /// The policies.
    ///
    /// **Errors**: [`Usage`], which names the key of the configuration, and that of the file.
    pub fn policies(&self) -> anyhow::Result<Option<Policies>> {
        let root = self.trusted_root.as_deref().map(trust::root).transpose();
        let root = root.map_err(|e| Usage(format!("evidence.trusted_root: {e}")))?;
        match &self.policies {
            Some(path) => {
                let policies = trust::policies(path, root);
                policies.map(Some).map_err(|e| Usage(format!("evidence.policies: {e}")).into())
            }
            None if root.is_some() => {
                Err(Usage("evidence.trusted_root: is of no use without evidence.policies".into()).into())
            }
            None => Ok(None),
        }
    }
}

/// The policies in force, which a reload replaces. Cheap to clone.
#[derive(Clone, Default)]
pub struct Trust(Arc<Mutex<Option<Arc<Policies>>>>);

impl Trust {
    /// These policies, from now on.
    pub fn set(&self, policies: Option<Policies>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = policies.map(Arc::new);
    }

    /// Those of this moment.
    pub fn get(&self) -> Option<Arc<Policies>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
