//! What the durable log holds: frames, each a delivery of events, or what detection made of those before it.
//!
//! **Format**, versions 1 to 4: four bytes of the head's length, least significant first; the head ([`Head`], postcard); the
//! records' JSON; the originals of records that were no JSON. A frame's sequence is the log's. Frames of a newer version
//! are an error: an older release must not guess. Version 2 is that of [`Kind::Updates`] alone, 3 of [`Kind::Metrics`], 4 of
//! [`Kind::Evidence`].

use anyhow::Context;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tarn_connectors::intake::{Content, Delivery};
use tarn_ingest::DeadLetter;
use tarn_ingest::Reason;
use tarn_ingest::container::Block;
use tarn_ingest::source::{Source, Sources};
use tokio::sync::OwnedSemaphorePermit;

const VERSION: u8 = 4;

/// What a frame is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Events as they came in.
    Events {
        /// The log source of all of them, where the sender named it.
        source: Option<String>,
        /// Who sent them.
        sender: Option<String>,
    },
    /// Findings in events up to a sequence. Each is in one such frame.
    Findings {
        /// All findings of frames up to this one are in this frame and those before it.
        through: u64,
    },
    /// Nothing came in for a while: the clock of correlations moved on by this much.
    Idle {
        /// Microseconds since the last frame.
        elapsed: i64,
    },
    /// What people did with findings: records for the lake, and for sinks that follow findings; no rule sees them.
    Updates {
        /// Who.
        by: String,
    },
    /// Data points of metrics, for their table; no rule and no sink sees them.
    Metrics {
        /// Who sent them.
        sender: Option<String>,
    },
    /// OCSF records that were made of one document: evidence, and the rows of a bill of materials.
    Evidence {
        /// Who sent it.
        sender: Option<String>,
        /// The document as it came.
        document: Vec<u8>,
    },
}

impl Kind {
    /// The oldest format that has it.
    fn version(&self) -> u8 {
        match self {
            Self::Events { .. } | Self::Findings { .. } | Self::Idle { .. } => 1,
            Self::Updates { .. } => 2,
            Self::Metrics { .. } => 3,
            Self::Evidence { .. } => 4,
        }
    }
}

/// A frame at work.
#[derive(Debug)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// When it came in, microseconds since 1970, UTC.
    pub time: i64,
    /// Its records.
    pub block: Block,
    /// Room in memory, given back with the frame.
    _room: Option<OwnedSemaphorePermit>,
}

/// A frame that is on disk.
#[derive(Clone, Debug)]
pub struct Logged {
    /// Its place in the log.
    pub sequence: u64,
    /// The arrival of its first record.
    pub arrival: i64,
    /// It.
    pub frame: Arc<Frame>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    version: u8,
    kind: Kind,
    time: i64,
    json_bytes: u32,
    records: Vec<Record>,
    dead: Vec<Dead>,
}

#[derive(Serialize, Deserialize)]
struct Record {
    number: u64,
    json: (u32, u32),
    original: Option<(u32, u32)>,
}

#[derive(Serialize, Deserialize)]
struct Dead {
    number: u64,
    offset: Option<u64>,
    bytes: Vec<u8>,
    reason: String,
}

/// A block's JSON as bytes.
struct Shared(Arc<String>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Frame {
    /// A frame that came in at `time`.
    pub fn new(kind: Kind, time: i64, block: Block) -> Self {
        Self { kind, time, block, _room: None }
    }

    /// A frame of a delivery.
    pub fn of(delivery: Delivery, time: i64) -> Self {
        let sender = delivery.sender.map(|name| name.to_string());
        let kind = match delivery.content {
            Content::Events => Kind::Events { source: delivery.source, sender },
            Content::Metrics => Kind::Metrics { sender },
            Content::Evidence { document } => Kind::Evidence { sender, document: document.into() },
        };
        Self::new(kind, time, delivery.block)
    }

    /// The log source of all its records, where that is known before they are looked at.
    pub fn source<'a>(&self, sources: &'a Sources) -> Option<&'a Source> {
        match &self.kind {
            Kind::Events { source, .. } => sources.named(source.as_deref()?),
            Kind::Evidence { .. } => sources.native(),
            Kind::Findings { .. } | Kind::Updates { .. } | Kind::Idle { .. } | Kind::Metrics { .. } => None,
        }
    }

    /// Who sent it, where somebody did.
    pub fn sender(&self) -> Option<&str> {
        match &self.kind {
            Kind::Events { sender, .. } | Kind::Metrics { sender } | Kind::Evidence { sender, .. } => sender.as_deref(),
            Kind::Findings { .. } | Kind::Updates { .. } | Kind::Idle { .. } => None,
        }
    }

    /// Keeps `room` taken for as long as the frame is in memory.
    pub fn with_room(self, room: OwnedSemaphorePermit) -> Self {
        Self { _room: Some(room), ..self }
    }

    /// About how much memory and disk it takes, in bytes.
    pub fn size(&self) -> usize {
        let dead: usize = self.block.dead.iter().map(|letter| letter.bytes.len() + 64).sum();
        let document = if let Kind::Evidence { document, .. } = &self.kind { document.len() } else { 0 };
        document + self.block.json.len() + self.block.text.len() + dead + 48 * self.block.records.len() + 64
    }

    /// The frame as bytes, in order.
    ///
    /// **Errors**: more than 4 GiB of text.
    pub fn encode(&self) -> anyhow::Result<Vec<Bytes>> {
        let block = &self.block;
        let narrow = |n: usize| u32::try_from(n).context("a frame of more than 4 GiB");
        let span = |range: &std::ops::Range<usize>| anyhow::Ok((narrow(range.start)?, narrow(range.end)?));
        let record = |r: &tarn_ingest::container::RecordSpan| {
            let original = r.original.as_ref().map(span).transpose()?;
            anyhow::Ok(Record { number: r.number, json: span(&r.json)?, original })
        };
        let dead = |letter: &DeadLetter| Dead {
            number: letter.number,
            offset: letter.offset,
            bytes: letter.bytes.clone(),
            reason: letter.reason.to_string(),
        };
        let head = postcard::to_stdvec(&Head {
            version: self.kind.version(),
            kind: self.kind.clone(),
            time: self.time,
            json_bytes: narrow(block.json.len())?,
            records: block.records.iter().map(record).collect::<Result<_, _>>()?,
            dead: block.dead.iter().map(dead).collect(),
        })?;
        let length = narrow(head.len())?.to_le_bytes();
        let head = [&length[..], &head].concat();
        let json = Bytes::from_owner(Shared(Arc::clone(&block.json)));
        let parts = [Bytes::from(head), json, Bytes::copy_from_slice(block.text.as_bytes())];
        Ok(parts.into_iter().filter(|part| !part.is_empty()).collect())
    }

    /// A frame as it was written.
    ///
    /// **Errors**: bytes that are no frame, or one of a newer version.
    pub fn decode(bytes: &[u8]) -> anyhow::Result<Self> {
        let (length, rest) = bytes.split_first_chunk::<4>().context("expected the length of a frame's head")?;
        let length = u32::from_le_bytes(*length) as usize;
        let (head, texts) = rest.split_at_checked(length).context("the frame ends within its head")?;
        let version = head.first().copied().unwrap_or(0);
        anyhow::ensure!(
            (1..=VERSION).contains(&version),
            "a frame of version {version}; this release reads 1 to {VERSION}"
        );
        let head: Head = postcard::from_bytes(head).context("a damaged head")?;
        let (json, originals) =
            texts.split_at_checked(head.json_bytes as usize).context("the frame ends within its JSON")?;
        let wide = |(start, end): (u32, u32)| start as usize..end as usize;
        let records = head.records.into_iter().map(|r| (r.number, wide(r.json), r.original.map(wide)));
        let dead = head.dead.into_iter().map(|dead| DeadLetter {
            number: dead.number,
            offset: dead.offset,
            bytes: dead.bytes,
            reason: Reason::Decoder(dead.reason),
        });
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).context("a frame whose text is no UTF-8");
        let block = Block::from_parts(text(json)?, text(originals)?, records, dead.collect());
        let block = block.map_err(|number| anyhow::anyhow!("record {number} is not within its frame"))?;
        Ok(Self::new(head.kind, head.time, block))
    }

    /// Gives the records the identity of their place: the log's writer and the frame's sequence.
    pub fn at(mut self, writer: uuid::Uuid, sequence: u64) -> Self {
        let digest = Sha256::new().chain_update(writer.as_bytes()).chain_update(sequence.to_be_bytes());
        self.block.origin = digest.finalize().into();
        self
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn frame() -> Frame {
        let mut block = Block::default();
        block.push(1, r#"{"a":1}"#);
        block.push_with_original(2, r#"{"b":"é"}"#, "b=é");
        let reason = Reason::NotUtf8;
        block.dead.push(DeadLetter { number: 3, offset: Some(9), bytes: vec![0xff], reason });
        Frame::new(Kind::Events { source: Some("okta".into()), sender: None }, 7, block)
    }

    #[test]
    fn a_frame_comes_back_as_it_was() {
        let frame = frame();
        let bytes = frame.encode().unwrap().concat();
        let read = Frame::decode(&bytes).unwrap();
        assert_eq!((&read.kind, read.time), (&frame.kind, frame.time));
        let texts = |frame: &Frame| -> Vec<(u64, String, String)> {
            let block = &frame.block;
            block.records.iter().map(|r| (r.number, block.json(r).into(), block.original(r).into())).collect()
        };
        assert_eq!(texts(&read), texts(&frame));
        assert_eq!(read.block.dead[0].bytes, [0xff]);
        assert_eq!(read.block.dead[0].reason.to_string(), frame.block.dead[0].reason.to_string());
    }

    #[test]
    fn only_what_older_releases_cannot_read_is_of_a_newer_version() {
        let version = |kind: Kind| {
            let bytes = Frame::new(kind.clone(), 7, Block::default()).encode().unwrap().concat();
            assert_eq!(Frame::decode(&bytes).unwrap().kind, kind);
            bytes[4]
        };
        assert_eq!(version(Kind::Findings { through: 3 }), 1);
        assert_eq!(version(Kind::Updates { by: "kim".into() }), 2);
        assert_eq!(version(Kind::Metrics { sender: None }), 3);
        assert_eq!(version(Kind::Evidence { sender: None, document: vec![0xff, 0] }), 4);
    }

    #[test]
    fn bytes_that_are_no_frame_are_an_error() {
        let bytes = frame().encode().unwrap().concat();
        for length in 0..bytes.len() {
            // Cut anywhere, it is an error or has fewer originals; it never panics.
            let _ = Frame::decode(&bytes[..length]);
        }
        let mut newer = bytes;
        newer[4] = VERSION + 1;
        assert!(Frame::decode(&newer).unwrap_err().to_string().contains("version 5"));
        assert!(Frame::decode(&[0xff; 64]).is_err());
    }
}
