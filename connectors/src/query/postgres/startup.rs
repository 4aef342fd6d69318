//! How a connection begins: TLS, the startup message, and who the client is ("Start-up" in the manual's section 55.2.1).
//!
//! A token is sent as the password, in the clear inside TLS: only its digest is kept, from which no challenge can be made.

use super::message::{Codec, Frontend, MessageError};
use super::settings::Settings;
use super::{Postgres, fatal};
use crate::access::{Credentials, Denied, Identity, Scope};
use crate::listen::{Peer, Tls};
use futures::{SinkExt, StreamExt};
use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::response::{GssEncResponse, SslResponse};
use pgwire::messages::startup::{Authentication, NegotiateProtocolVersion};
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::codec::{Framed, FramedParts};

/// What messages go over.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// A connection's messages.
pub type Messages = Framed<Box<dyn Io>, Codec>;

/// A client that is known.
pub struct Client {
    pub messages: Messages,
    pub identity: Identity,
    pub settings: Settings,
}

/// Takes a connection up to where the client may ask; `None` where it does not get there.
pub async fn start(socket: TcpStream, address: SocketAddr, tls: Option<&Tls>, server: &Postgres) -> Option<Client> {
    let mut messages = Framed::new(socket, Codec::new());
    loop {
        match messages.next().await?.ok()? {
            Frontend::Ssl => match tls {
                None => messages.send(Backend::SslResponse(SslResponse::Refuse)).await.ok()?,
                Some(tls) => {
                    messages.send(Backend::SslResponse(SslResponse::Accept)).await.ok()?;
                    // What was sent before the handshake cannot be trusted to be the client's.
                    if !messages.read_buffer().is_empty() {
                        return None;
                    }
                    let (socket, peer) = tls.accept_as(messages.into_inner(), address, b"postgresql").await?;
                    let messages: Messages = Framed::new(Box::new(socket), Codec::new());
                    return greet(messages, peer, server).await;
                }
            },
            Frontend::Gss => messages.send(Backend::GssEncResponse(GssEncResponse::Refuse)).await.ok()?,
            Frontend::Cancel { pid, secret } => {
                server.connections.cancel(pid, secret, &server.queries);
                return None;
            }
            Frontend::Startup { .. } if tls.is_some() => {
                let error = fatal("28000", "this server takes TLS only: connect with sslmode=require or better");
                let _ = messages.send(error).await;
                return None;
            }
            Frontend::Startup { major, minor, parameters } => {
                let plain = messages.into_parts();
                let mut parts = FramedParts::new::<Backend>(Box::new(plain.io) as Box<dyn Io>, plain.codec);
                parts.read_buf = plain.read_buf;
                let messages = Framed::from_parts(parts);
                return admit(messages, Peer { address, spiffe_id: None }, server, (major, minor), parameters).await;
            }
            _ => return None,
        }
    }
}

/// The startup message inside TLS.
async fn greet(mut messages: Messages, peer: Peer, server: &Postgres) -> Option<Client> {
    loop {
        match messages.next().await?.ok()? {
            Frontend::Gss => messages.send(Backend::GssEncResponse(GssEncResponse::Refuse)).await.ok()?,
            Frontend::Cancel { pid, secret } => {
                server.connections.cancel(pid, secret, &server.queries);
                return None;
            }
            Frontend::Startup { major, minor, parameters } => {
                return admit(messages, peer, server, (major, minor), parameters).await;
            }
            _ => return None,
        }
    }
}

async fn admit(
    mut messages: Messages,
    peer: Peer,
    server: &Postgres,
    (major, minor): (u16, u16),
    parameters: Vec<(String, String)>,
) -> Option<Client> {
    messages.codec_mut().starting = false;
    if major != 3 {
        let error = fatal("08P01", &format!("protocol {major}.{minor} is not spoken here; 3.0 is"));
        let _ = messages.send(error).await;
        return None;
    }
    let unknown: Vec<String> =
        parameters.iter().map(|(name, _)| name).filter(|name| name.starts_with("_pq_.")).cloned().collect();
    if minor > 0 || !unknown.is_empty() {
        let oldest = NegotiateProtocolVersion::new(3 << 16, unknown);
        messages.send(Backend::NegotiateProtocolVersion(oldest)).await.ok()?;
    }
    let identity = match identify(&mut messages, &peer, server).await? {
        Ok(identity) => identity,
        Err(denied) => {
            let code = if denied == Denied::Forbidden { "42501" } else { "28P01" };
            let _ = messages.send(fatal(code, &denied.to_string())).await;
            tracing::warn!(address = %peer.address, %denied, "PostgreSQL: a client is refused");
            return None;
        }
    };
    let mut settings = Settings::default();
    // Texts are UTF-8 and times in UTC, whatever a client would like.
    let wishes = ["application_name", "extra_float_digits"];
    for (name, value) in parameters.into_iter().filter(|(name, _)| wishes.contains(&name.as_str())) {
        settings.set(&name, Some(value));
    }
    messages.codec_mut().bytes_max = server.message_bytes_max();
    Some(Client { messages, identity, settings })
}

/// By certificate, or else by the token that is sent as a password. `None` where the client goes away.
async fn identify(messages: &mut Messages, peer: &Peer, server: &Postgres) -> Option<Result<Identity, Denied>> {
    let access = server.queries.access();
    let spiffe_id = peer.spiffe_id.as_deref().map(str::to_owned);
    let shown = Credentials { token: None, spiffe_id: spiffe_id.clone() };
    match access.check(&shown, Scope::Query) {
        Err(Denied::Unauthenticated) => {}
        known => return Some(known),
    }
    messages.send(Backend::Authentication(Authentication::CleartextPassword)).await.ok()?;
    match messages.next().await? {
        Ok(Frontend::Password(token)) => {
            Some(access.check(&Credentials { token: Some(token), spiffe_id }, Scope::Query))
        }
        Ok(_) => Some(Err(Denied::Unauthenticated)),
        Err(MessageError::Io(_)) => None,
        Err(_) => Some(Err(Denied::Unauthenticated)),
    }
}
