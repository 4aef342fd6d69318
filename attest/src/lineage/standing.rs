//! Whether an image is attested, in one word and with the record that says so.

use super::{Records, Row, Stage, State, newest, read};

/// What the evidence of an image came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The newest verification of one of its documents passed.
    Attested,
    /// None passed: all failed, or there is none.
    Unattested,
    /// Which image it is is not known.
    Unknown,
}

impl Standing {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Attested => "attested",
            Self::Unattested => "unattested",
            Self::Unknown => "unknown",
        }
    }
}

/// An image and its standing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its digest, `sha256:…`; none where it is not known.
    pub digest: Option<String>,
    /// What its evidence came to.
    pub standing: Standing,
    /// Why, in words: the verification's reason.
    pub detail: String,
    /// `metadata.uid` of the verification; none where there is none.
    pub record: Option<String>,
}

impl Image {
    /// One that is named by a tag, or by nothing.
    pub fn unknown() -> Self {
        let detail = "no record says which image it is of".to_owned();
        Self { digest: None, standing: Standing::Unknown, detail, record: None }
    }
}

/// The standing of an image by `artifact_signing` records, of which the newest of each document under each policy counts, as
/// in the view `evidence_verdicts`. Of several that say the same the newest is named.
pub fn standing(digest: &str, signing: &[Row]) -> Image {
    let records = Records { signing: signing.to_vec(), ..Records::default() };
    let verdicts = newest(read::edges(digest, &records, &[])).into_iter().filter(|edge| edge.stage == Stage::Signature);
    let best = verdicts.max_by_key(|edge| (edge.state == State::Whole, edge.time));
    let standing = match &best {
        Some(edge) if edge.state == State::Whole => Standing::Attested,
        _ => Standing::Unattested,
    };
    let detail = best.as_ref().map_or_else(|| "no record of a verification".to_owned(), |edge| edge.detail.clone());
    Image { digest: Some(digest.to_owned()), standing, detail, record: best.and_then(|edge| edge.record) }
}
