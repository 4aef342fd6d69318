//! Bills of materials as rows: one a component, whichever format it was in.

use crate::digest::Digest;
use std::fmt;

/// A bill of materials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sbom {
    /// Its format.
    pub format: Format,
    /// The format's version, such as `1.7` or `SPDX-2.3`.
    pub version: String,
    /// The document's own identity: CycloneDX's serial number, SPDX's namespace.
    pub serial: Option<String>,
    /// What it is the bill of, where it says so as a component.
    pub subject: Option<Component>,
    /// What is in it, those within others too; in the document's order.
    pub components: Vec<Component>,
    /// Values that are not what their field says, which are left out of their components.
    pub rejected: Vec<Rejected>,
}

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// CycloneDX 1.2 to 1.7, JSON.
    CycloneDx,
    /// SPDX 2.2 and 2.3, JSON.
    Spdx,
}

impl Format {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CycloneDx => "CycloneDX",
            Self::Spdx => "SPDX",
        }
    }
}

/// A component: a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Component {
    /// Its identity in the document: CycloneDX's `bom-ref`, SPDX's `SPDXID`.
    pub reference: Option<String>,
    /// The reference of the component that it stands in (CycloneDX).
    pub parent: Option<String>,
    /// Its name, with CycloneDX's group before it (`group/name`).
    pub name: String,
    /// Its version.
    pub version: Option<String>,
    /// Its package URL.
    pub purl: Option<Purl>,
    /// Its licences: SPDX identifiers, expressions or names; without NOASSERTION and NONE.
    pub licenses: Vec<String>,
    /// Its hashes.
    pub hashes: Vec<Digest>,
}

/// A value that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The component's name.
    pub component: String,
    /// The field.
    pub field: &'static str,
    /// The value.
    pub value: String,
}

/// A package URL: `pkg:type/namespace/name@version?qualifiers#subpath` (ECMA-427).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Purl(String);

impl Purl {
    /// Reads one: the scheme, a type, and a name.
    pub fn read(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("pkg:")?.trim_start_matches('/');
        let (kind, rest) = rest.split_once('/')?;
        let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-');
        let name = rest.split(['?', '#']).next()?.trim_matches('/');
        let plain = !text.chars().any(|c| c.is_whitespace() || c.is_control());
        let named =
            kind.starts_with(|c: char| c.is_ascii_alphabetic()) && kind.chars().all(letters) && !name.is_empty();
        (plain && named && !name.starts_with('@')).then(|| Self(text.to_owned()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Purl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Bytes of a reference: it stands in every component within.
const REFERENCE_BYTES_MAX: usize = 1024;

/// Takes a reference, or notes that it is too long.
pub(super) fn reference(text: Option<String>, component: &str, rejected: &mut Vec<Rejected>) -> Option<String> {
    let text = text?;
    if text.len() > REFERENCE_BYTES_MAX {
        rejected.push(Rejected { component: component.to_owned(), field: "reference", value: text });
        return None;
    }
    Some(text)
}

/// Reads a purl, or notes that it is none.
pub(super) fn purl(text: Option<String>, component: &str, rejected: &mut Vec<Rejected>) -> Option<Purl> {
    let text = text?;
    let purl = Purl::read(&text);
    if purl.is_none() {
        rejected.push(Rejected { component: component.to_owned(), field: "purl", value: text });
    }
    purl
}

/// Reads a hash, or notes that it is none. Algorithms that are not known here are left out without a word.
pub(super) fn hash(name: &str, value: &str, component: &str, rejected: &mut Vec<Rejected>) -> Option<Digest> {
    let algorithm = crate::digest::Algorithm::named(name)?;
    let digest = Digest::from_hex(algorithm, value).ok();
    if digest.is_none() {
        rejected.push(Rejected { component: component.to_owned(), field: "hash", value: value.to_owned() });
    }
    digest
}
