//! Bodies of HTTP requests: read and decompressed within limits, and what a request shows of its sender.

use crate::access::Credentials;
use crate::listen::Peer;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use std::io::Read;
use std::time::Duration;
use thiserror::Error;

/// Limits on one body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// As it is sent.
    pub wire_bytes_max: usize,
    /// After decompression.
    pub bytes_max: usize,
    /// From the first byte to the last.
    pub timeout: Duration,
}

impl Default for BodyLimits {
    /// 16 MiB, 64 MiB, 30 s.
    fn default() -> Self {
        Self { wire_bytes_max: 16 << 20, bytes_max: 64 << 20, timeout: Duration::from_secs(30) }
    }
}

/// A body that cannot be had.
#[derive(Debug, Error)]
pub enum BodyError {
    /// More bytes than are taken: 413.
    #[error("the body has more than {limit} bytes {}", if *decompressed { "once decompressed" } else { "as sent" })]
    TooLarge {
        /// The limit that it exceeds.
        limit: usize,
        /// Whether it does after decompression only.
        decompressed: bool,
    },
    /// An encoding that is not known here: 415.
    #[error("content encoding {name:?} is not known; gzip, zstd, deflate and identity are")]
    Encoding {
        /// As it was sent.
        name: String,
    },
    /// Bytes that are not what the encoding says: 400.
    #[error("the body is no valid {encoding}: {reason}")]
    Compression {
        /// The encoding.
        encoding: String,
        /// What is wrong.
        reason: String,
    },
    /// The sender stopped half way: 400.
    #[error("the body ended early: {reason}")]
    Interrupted {
        /// What happened.
        reason: String,
    },
    /// Too slow: 408.
    #[error("the body took longer than {} s", limit.as_secs())]
    Slow {
        /// The limit.
        limit: Duration,
    },
}

impl BodyError {
    /// The answer's status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Encoding { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Compression { .. } | Self::Interrupted { .. } => StatusCode::BAD_REQUEST,
            Self::Slow { .. } => StatusCode::REQUEST_TIMEOUT,
        }
    }
}

/// Reads and decompresses a body.
///
/// **Bounds**: as much memory as the limits allow; a body that says that it is longer is not read at all.
/// **Errors**: [`BodyError`].
pub async fn read(headers: &HeaderMap, body: Body, limits: &BodyLimits) -> Result<Bytes, BodyError> {
    let limit = limits.wire_bytes_max;
    let said: Option<usize> = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    if said.is_some_and(|said| said > limit) {
        return Err(BodyError::TooLarge { limit, decompressed: false });
    }
    let collected = tokio::time::timeout(limits.timeout, collect(body, said.unwrap_or(0), limit));
    let wire = collected.await.map_err(|_| BodyError::Slow { limit: limits.timeout })??;
    let encoding = headers.get(header::CONTENT_ENCODING).map(|v| String::from_utf8_lossy(v.as_bytes()).to_lowercase());
    let encoding = encoding.as_deref().map(str::trim);
    match encoding {
        None | Some("" | "identity") => Ok(wire),
        Some("gzip" | "x-gzip") => unpack("gzip", flate2::bufread::MultiGzDecoder::new(wire.as_ref()), limits),
        Some("deflate") => unpack("deflate", flate2::bufread::ZlibDecoder::new(wire.as_ref()), limits),
        Some("zstd") => unzstd(&wire, limits),
        Some(name) => Err(BodyError::Encoding { name: name.to_owned() }),
    }
}

/// Decompresses a body that is a .gz or .zst itself, up to twice; others stay as they are.
///
/// **Bounds** and **errors**: as [`read`].
pub fn expand(mut bytes: Bytes, limits: &BodyLimits) -> Result<Bytes, BodyError> {
    for _ in 0..2 {
        bytes = match bytes.get(..4) {
            Some([0x1f, 0x8b, ..]) => unpack("gzip", flate2::bufread::MultiGzDecoder::new(bytes.as_ref()), limits)?,
            Some([0x28, 0xb5, 0x2f, 0xfd]) => unzstd(&bytes, limits)?,
            _ => break,
        };
    }
    Ok(bytes)
}

fn unzstd(bytes: &[u8], limits: &BodyLimits) -> Result<Bytes, BodyError> {
    match zstd::stream::read::Decoder::with_buffer(bytes) {
        Ok(decoder) => unpack("zstd", decoder, limits),
        Err(error) => Err(BodyError::Compression { encoding: "zstd".to_owned(), reason: error.to_string() }),
    }
}

/// All of a body, which says that it has so many bytes.
async fn collect(mut body: Body, said: usize, limit: usize) -> Result<Bytes, BodyError> {
    let mut whole = BytesMut::new();
    let mut first: Option<Bytes> = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| BodyError::Interrupted { reason: e.to_string() })?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + first.as_ref().map_or(0, Bytes::len) + data.len() > limit {
            return Err(BodyError::TooLarge { limit, decompressed: false });
        }
        // A body in one piece is not copied.
        match first.take() {
            None if whole.is_empty() => first = Some(data),
            before => {
                // Growing step by step would copy it each time.
                if whole.is_empty() {
                    whole.reserve(said);
                }
                whole.extend_from_slice(before.as_deref().unwrap_or_default());
                whole.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| whole.freeze()))
}

fn unpack(encoding: &str, reader: impl Read, limits: &BodyLimits) -> Result<Bytes, BodyError> {
    let mut whole = Vec::new();
    let limit = limits.bytes_max;
    let mut reader = reader.take(limit as u64 + 1);
    let read = reader.read_to_end(&mut whole);
    read.map_err(|e| BodyError::Compression { encoding: encoding.to_owned(), reason: e.to_string() })?;
    if whole.len() > limit {
        return Err(BodyError::TooLarge { limit, decompressed: true });
    }
    Ok(whole.into())
}

/// What a request shows: `Authorization` with `Bearer`, Splunk's `Splunk`, Elasticsearch's `ApiKey` or the password of
/// `Basic`, and its connection's certificate.
pub fn credentials(parts: &Parts) -> Credentials {
    let peer = parts.extensions.get::<Peer>();
    let spiffe_id = peer.and_then(|peer| peer.spiffe_id.as_deref().map(str::to_owned));
    let shown = parts.headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    Credentials { token: shown.and_then(token_of), spiffe_id }
}

/// The token of an `Authorization` header, in any of those forms.
pub fn token_of(authorization: &str) -> Option<String> {
    let (scheme, rest) = authorization.trim().split_once(' ')?;
    let rest = rest.trim();
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" | "splunk" => Some(rest.to_owned()),
        // Elasticsearch's keys are an id and a secret; some shippers send a token as it is.
        "apikey" => Some(behind_colon(rest).unwrap_or_else(|| rest.to_owned())),
        "basic" => behind_colon(rest),
        _ => None,
    }
}

/// What follows the colon in a text in base 64.
fn behind_colon(encoded: &str) -> Option<String> {
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
    Some(String::from_utf8(decoded).ok()?.split_once(':')?.1.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    async fn read_as(encoding: &str, body: Vec<u8>, limits: &BodyLimits) -> Result<Bytes, BodyError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_str(encoding).unwrap());
        read(&headers, Body::from(body), limits).await
    }

    #[tokio::test]
    async fn encodings_are_undone() {
        let limits = BodyLimits::default();
        assert_eq!(read_as("gzip", gzip(b"events"), &limits).await.unwrap(), "events");
        assert_eq!(read_as("zstd", zstd::encode_all(&b"events"[..], 1).unwrap(), &limits).await.unwrap(), "events");
        assert_eq!(read_as("identity", b"events".to_vec(), &limits).await.unwrap(), "events");
        let status = |r: Result<Bytes, BodyError>| r.unwrap_err().status();
        assert_eq!(status(read_as("br", b"events".to_vec(), &limits).await), StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert_eq!(status(read_as("gzip", b"events".to_vec(), &limits).await), StatusCode::BAD_REQUEST);
    }

    #[tokio::test]
    async fn a_bomb_is_refused_at_the_limit() {
        let limits = BodyLimits { bytes_max: 1 << 20, ..BodyLimits::default() };
        let refused = read_as("gzip", gzip(&vec![0; 8 << 20]), &limits).await.unwrap_err();
        assert!(matches!(refused, BodyError::TooLarge { decompressed: true, .. }), "{refused}");
        let limits = BodyLimits { wire_bytes_max: 100, ..limits };
        let refused = read_as("identity", vec![0; 101], &limits).await.unwrap_err();
        assert!(matches!(refused, BodyError::TooLarge { decompressed: false, .. }), "{refused}");
    }

    #[test]
    fn tokens_come_in_the_schemes_of_shippers() {
        assert_eq!(token_of("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(token_of("Splunk abc").as_deref(), Some("abc"));
        assert_eq!(token_of("ApiKey abc").as_deref(), Some("abc"));
        assert_eq!(token_of("ApiKey dXNlcjphYmM=").as_deref(), Some("abc"));
        assert_eq!(token_of("Basic dXNlcjphYmM=").as_deref(), Some("abc"));
        assert_eq!(token_of("Digest abc"), None);
        assert_eq!(token_of("abc"), None);
    }
}
