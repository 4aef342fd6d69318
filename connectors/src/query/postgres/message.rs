//! What clients send: messages of PostgreSQL's protocol 3.0 ("Message Formats" in its manual), read with bounds.
//!
//! Only the messages that a read-only server understands; `COPY` data and function calls are [`Frontend::Other`].
//! `pgwire` writes the answers; its own decoder panics on messages that end early, so it is not used here.

use bytes::{Buf, Bytes, BytesMut};
use pgwire::messages::PgWireBackendMessage;
use std::io;
use thiserror::Error;
use tokio_util::codec::{Decoder, Encoder};

/// The longest message before a client is known: a startup message, or a password.
const UNKNOWN_BYTES_MAX: usize = 10_000;
/// Parameters of a statement, and of a startup message.
const COUNT_MAX: usize = 4096;

const CANCEL: i32 = 80_877_102;
const SSL: i32 = 80_877_103;
const GSS: i32 = 80_877_104;

/// A message that cannot be read. The connection ends: where the next one begins is not known.
#[derive(Debug, Error)]
pub enum MessageError {
    /// It ends before its parts do.
    #[error("a message of type {kind:?} ends early")]
    Truncated {
        /// Its type.
        kind: char,
    },
    /// Longer than is taken.
    #[error("a message of {bytes} bytes; {limit} are taken")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A text that is none.
    #[error("a message of type {kind:?} has a text that is not UTF-8")]
    NotText {
        /// Its type.
        kind: char,
    },
    /// Another number than can be.
    #[error("a message of type {kind:?} has {number} where that cannot be")]
    Number {
        /// Its type.
        kind: char,
        /// What it says.
        number: i32,
    },
    /// The connection's.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A statement or a portal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Statement,
    Portal,
}

/// A message of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frontend {
    /// Wants TLS.
    Ssl,
    /// Wants GSSAPI encryption.
    Gss,
    /// Wants another connection's query to end.
    Cancel {
        pid: i32,
        secret: i32,
    },
    /// The beginning.
    Startup {
        major: u16,
        minor: u16,
        parameters: Vec<(String, String)>,
    },
    Password(String),
    Query(String),
    /// A statement with a name, and the types of its parameters as far as the client knows them (0: it does not).
    Parse {
        name: String,
        sql: String,
        types: Vec<u32>,
    },
    /// A portal: a statement with values. A format is 0 for text and 1 for binary; none or one of them may be for all.
    Bind {
        portal: String,
        statement: String,
        formats: Vec<i16>,
        values: Vec<Option<Bytes>>,
        results: Vec<i16>,
    },
    Describe(Target, String),
    /// Rows of a portal, at most so many; 0 for all.
    Execute {
        portal: String,
        rows_max: u32,
    },
    Close(Target, String),
    Flush,
    Sync,
    Terminate,
    /// A message that is not understood.
    Other(char),
}

/// Reads messages, and writes what `pgwire` has.
#[derive(Debug)]
pub struct Codec {
    /// Whether the next message has no type: until a connection's startup message.
    pub starting: bool,
    /// The longest message.
    pub bytes_max: usize,
}

impl Codec {
    /// Of a new connection.
    pub fn new() -> Self {
        Self { starting: true, bytes_max: UNKNOWN_BYTES_MAX }
    }
}

impl Encoder<PgWireBackendMessage> for Codec {
    type Error = io::Error;

    fn encode(&mut self, message: PgWireBackendMessage, into: &mut BytesMut) -> io::Result<()> {
        message.encode(into).map_err(io::Error::other)
    }
}

impl Decoder for Codec {
    type Item = Frontend;
    type Error = MessageError;

    fn decode(&mut self, from: &mut BytesMut) -> Result<Option<Frontend>, MessageError> {
        let head = usize::from(!self.starting);
        let kind = if self.starting { '\0' } else { from.first().map_or('\0', |kind| char::from(*kind)) };
        let Some(length) = from.get(head..head + 4).and_then(|length| length.try_into().ok()).map(i32::from_be_bytes)
        else {
            return Ok(None);
        };
        let bytes = usize::try_from(length).map_err(|_| MessageError::Number { kind, number: length })?;
        if bytes < 4 {
            return Err(MessageError::Number { kind, number: length });
        }
        if bytes > self.bytes_max {
            return Err(MessageError::TooLong { bytes, limit: self.bytes_max });
        }
        if from.len() < head + bytes {
            return Ok(None);
        }
        let mut body = from.split_to(head + bytes).freeze();
        body.advance(head + 4);
        let mut body = Body { kind, left: body };
        if self.starting { starting(&mut body).map(Some) } else { started(&mut body).map(Some) }
    }
}

fn starting(body: &mut Body) -> Result<Frontend, MessageError> {
    match body.int()? {
        SSL => Ok(Frontend::Ssl),
        GSS => Ok(Frontend::Gss),
        CANCEL => Ok(Frontend::Cancel { pid: body.int()?, secret: body.int()? }),
        version => {
            let (major, minor) = ((version >> 16) as u16, (version & 0xffff) as u16);
            // What other versions have behind it is not known.
            let parameters = if major == 3 { pairs(body)? } else { Vec::new() };
            Ok(Frontend::Startup { major, minor, parameters })
        }
    }
}

/// Names and values, up to an empty name.
fn pairs(body: &mut Body) -> Result<Vec<(String, String)>, MessageError> {
    let mut all = Vec::new();
    loop {
        let name = body.text()?;
        if name.is_empty() {
            return Ok(all);
        }
        all.push((name, body.text()?));
    }
}

fn started(body: &mut Body) -> Result<Frontend, MessageError> {
    Ok(match body.kind {
        'p' => Frontend::Password(body.text()?),
        'Q' => Frontend::Query(body.text()?),
        'P' => {
            let (name, sql) = (body.text()?, body.text()?);
            let types = body.many(|body| body.int().map(|oid| oid as u32))?;
            Frontend::Parse { name, sql, types }
        }
        'B' => Frontend::Bind {
            portal: body.text()?,
            statement: body.text()?,
            formats: body.many(Body::short)?,
            values: body.many(Body::value)?,
            results: body.many(Body::short)?,
        },
        'D' => Frontend::Describe(body.target()?, body.text()?),
        'C' => Frontend::Close(body.target()?, body.text()?),
        'E' => Frontend::Execute { portal: body.text()?, rows_max: u32::try_from(body.int()?).unwrap_or(0) },
        'H' => Frontend::Flush,
        'S' => Frontend::Sync,
        'X' => Frontend::Terminate,
        other => Frontend::Other(other),
    })
}

/// What is left of a message.
struct Body {
    kind: char,
    left: Bytes,
}

impl Body {
    fn take(&mut self, bytes: usize) -> Result<Bytes, MessageError> {
        let kind = self.kind;
        if bytes > self.left.len() { Err(MessageError::Truncated { kind }) } else { Ok(self.left.split_to(bytes)) }
    }

    fn int(&mut self) -> Result<i32, MessageError> {
        Ok(self.take(4)?.get_i32())
    }

    fn short(&mut self) -> Result<i16, MessageError> {
        Ok(self.take(2)?.get_i16())
    }

    fn text(&mut self) -> Result<String, MessageError> {
        let kind = self.kind;
        let end = self.left.iter().position(|byte| *byte == 0).ok_or(MessageError::Truncated { kind })?;
        let text = self.take(end)?;
        self.left.advance(1);
        String::from_utf8(text.into()).map_err(|_| MessageError::NotText { kind })
    }

    fn value(&mut self) -> Result<Option<Bytes>, MessageError> {
        match self.int()? {
            -1 => Ok(None),
            bytes => {
                let length = usize::try_from(bytes);
                self.take(length.map_err(|_| MessageError::Number { kind: self.kind, number: bytes })?).map(Some)
            }
        }
    }

    fn target(&mut self) -> Result<Target, MessageError> {
        match self.take(1)?.get_u8() {
            b'S' => Ok(Target::Statement),
            b'P' => Ok(Target::Portal),
            other => Err(MessageError::Number { kind: self.kind, number: i32::from(other) }),
        }
    }

    fn many<T>(&mut self, one: impl Fn(&mut Self) -> Result<T, MessageError>) -> Result<Vec<T>, MessageError> {
        let count = self.short()?;
        match usize::try_from(count) {
            Ok(count) if count <= COUNT_MAX => (0..count).map(|_| one(self)).collect(),
            _ => Err(MessageError::Number { kind: self.kind, number: i32::from(count) }),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(starting: bool, bytes: &[u8]) -> Result<Option<Frontend>, MessageError> {
        Codec { starting, bytes_max: 1000 }.decode(&mut BytesMut::from(bytes))
    }

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = (body.len() as i32 + 4).to_be_bytes();
        [&[kind], length.as_slice(), body].concat()
    }

    #[test]
    fn messages_are_read() {
        let sql = message(b'Q', b"SELECT 1\0");
        assert_eq!(decoded(false, &sql).unwrap(), Some(Frontend::Query("SELECT 1".into())));
        assert_eq!(decoded(false, &sql[..7]).unwrap(), None);
        let bind = message(b'B', b"\0s\0\0\x01\0\x01\0\x02\xff\xff\xff\xff\0\0\0\x02hi\0\0");
        let values = vec![None, Some(Bytes::from_static(b"hi"))];
        let (portal, statement, formats) = (String::new(), "s".into(), vec![1]);
        assert_eq!(
            decoded(false, &bind).unwrap(),
            Some(Frontend::Bind { portal, statement, formats, values, results: Vec::new() })
        );
        let startup = b"\0\0\0\x14\0\x03\0\0user\0soc\0\0\0\0";
        let parameters = vec![("user".into(), "soc".into())];
        assert_eq!(decoded(true, startup).unwrap(), Some(Frontend::Startup { major: 3, minor: 0, parameters }));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert!(matches!(decoded(false, &message(b'Q', b"no end")), Err(MessageError::Truncated { kind: 'Q' })));
        assert!(matches!(decoded(false, b"Q\x7f\xff\xff\xff"), Err(MessageError::TooLong { limit: 1000, .. })));
        assert!(matches!(decoded(false, b"Q\0\0\0\x03"), Err(MessageError::Number { number: 3, .. })));
        assert!(matches!(decoded(false, &message(b'Q', b"\xff\0")), Err(MessageError::NotText { .. })));
    }

    proptest! {
        #[test]
        fn nothing_panics(starting: bool, kind in proptest::sample::select(b"pQPBDCEHSXdf".to_vec()), body: Vec<u8>) {
            let whole = message(kind, &body);
            let _ = decoded(starting, if starting { &whole[1..] } else { &whole });
        }
    }
}
