//! Listening: addresses, TLS, and HTTP connections within limits.
//!
//! **Closed by default**: an address beyond loopback needs a certificate and credentials, or [`Listener::bind`] refuses.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// How long a client may take for a TLS handshake or a request's head.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Certificates of a listener: PEM files.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The certificate, and those between it and the root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Roots of clients' certificates; with it, clients have to show one.
    pub client_ca: Option<PathBuf>,
}

/// Why there is no listener.
#[derive(Debug, Error)]
pub enum ListenError {
    /// The address is in use, or not this machine's.
    #[error("cannot listen on {address}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Beyond loopback without protection.
    #[error("{address} can be reached from other machines: that needs {missing}")]
    Unprotected {
        /// Where.
        address: SocketAddr,
        /// What is missing.
        missing: &'static str,
    },
    /// A certificate or key that cannot be read.
    #[error("{}: no usable {what}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What was expected in it.
        what: &'static str,
        /// Why.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// Certificate and key that do not go together.
    #[error("{}: the certificate cannot be used", path.display())]
    Certificate {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// Roots that cannot be used.
    #[error("{}: the client roots cannot be used", path.display())]
    ClientRoots {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::server::VerifierBuilderError,
    },
}

/// TLS of a listener; [`Tls::reload`] takes rotated files for connections from then on.
#[derive(Clone, Debug)]
pub struct Tls {
    files: TlsFiles,
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

impl Tls {
    /// Reads the files. **Errors**: [`ListenError`] about the file that is wrong.
    pub fn open(files: TlsFiles) -> Result<Self, ListenError> {
        let config = Arc::new(RwLock::new(Arc::new(server_config(&files)?)));
        Ok(Self { files, config })
    }

    /// Reads the files again. **Errors**: as [`Tls::open`]; what was read before stays in use then.
    pub fn reload(&self) -> Result<(), ListenError> {
        let config = Arc::new(server_config(&self.files)?);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// Shakes hands on a connection; none where the client does not, or not in time.
    pub async fn accept(&self, stream: TcpStream, address: SocketAddr) -> Option<(TlsStream<TcpStream>, Peer)> {
        handshake(self.config(), stream, address).await
    }

    /// As [`Tls::accept`], where `protocol` is spoken (ALPN, RFC 7301) in place of HTTP.
    pub async fn accept_as(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        protocol: &[u8],
    ) -> Option<(TlsStream<TcpStream>, Peer)> {
        let mut config = ServerConfig::clone(&self.config());
        config.alpn_protocols = vec![protocol.to_vec()];
        handshake(Arc::new(config), stream, address).await
    }

    /// What new connections use.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn handshake(
    config: Arc<ServerConfig>,
    stream: TcpStream,
    address: SocketAddr,
) -> Option<(TlsStream<TcpStream>, Peer)> {
    let handshake = TlsAcceptor::from(config).accept(stream);
    let stream = tokio::time::timeout(HANDSHAKE_MAX, handshake).await.ok()?.ok()?;
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let spiffe_id = shown.and_then(|certificate| uri_name(certificate));
    Some((stream, Peer { address, spiffe_id }))
}

fn certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, ListenError> {
    let pem = |source| ListenError::Pem { path: path.clone(), what: "certificate", source };
    let all: Vec<_> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(pem)?;
    if all.is_empty() { Err(pem(rustls_pki_types::pem::Error::NoItemsFound)) } else { Ok(all) }
}

fn server_config(files: &TlsFiles) -> Result<ServerConfig, ListenError> {
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|source| ListenError::Pem {
        path: files.key.clone(),
        what: "private key",
        source,
    })?;
    let bad = |source| ListenError::Certificate { path: files.certificate.clone(), source };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(bad)?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = rustls::RootCertStore::empty();
            for root in certificates(path)? {
                roots.add(root).map_err(|source| ListenError::Certificate { path: path.clone(), source })?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(
                verifier.map_err(|source| ListenError::ClientRoots { path: path.clone(), source })?,
            )
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(bad)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Who is at the other end of a connection; an extension of its requests.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// The first URI name of its certificate, which was verified.
    pub spiffe_id: Option<Arc<str>>,
}

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    /// Where it listens: with the port that was given where 0 was asked for.
    pub address: SocketAddr,
    tls: Option<Tls>,
}

impl Listener {
    /// Listens on `address`. `authenticated` says whether clients have to show credentials.
    ///
    /// **Errors**: [`ListenError::Unprotected`] beyond loopback without TLS or credentials; [`ListenError::Bind`].
    pub async fn bind(address: SocketAddr, tls: Option<Tls>, authenticated: bool) -> Result<Self, ListenError> {
        if !address.ip().is_loopback() {
            let missing = match (tls.is_some(), authenticated) {
                (true, true) => None,
                (false, true) => Some("TLS (tls.certificate and tls.key)"),
                (true, false) => Some("credentials ([[access]])"),
                (false, false) => Some("TLS (tls.certificate and tls.key) and credentials ([[access]])"),
            };
            if let Some(missing) = missing {
                return Err(ListenError::Unprotected { address, missing });
            }
        }
        let socket = TcpListener::bind(address).await.map_err(|source| ListenError::Bind { address, source })?;
        let address = socket.local_addr().map_err(|source| ListenError::Bind { address, source })?;
        Ok(Self { socket, address, tls })
    }

    /// The next connection, before any handshake.
    pub async fn accept(&self) -> (TcpStream, SocketAddr) {
        loop {
            match self.socket.accept().await {
                Ok(accepted) => return accepted,
                Err(error) => {
                    // Out of file descriptors, mostly: others are closed in time.
                    tracing::warn!(%error, address = %self.address, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// TLS of its connections.
    pub fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// Serves HTTP/1.1 and HTTP/2 until `stop`; requests under way are finished then, for at most `drain`.
    pub async fn serve(self, app: Router, connections_max: usize, stop: CancellationToken, drain: Duration) {
        let room = Arc::new(Semaphore::new(connections_max));
        let under_way = tokio_util::task::TaskTracker::new();
        loop {
            let permit = tokio::select! {
                () = stop.cancelled() => break,
                permit = Arc::clone(&room).acquire_owned() => permit,
            };
            let (stream, address) = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.accept() => accepted,
            };
            let (app, stop, tls) = (app.clone(), stop.clone(), self.tls.clone());
            under_way.spawn(async move {
                let _ = stream.set_nodelay(true);
                match tls {
                    None => connection(stream, Peer { address, spiffe_id: None }, app, stop).await,
                    Some(tls) => {
                        let Some((stream, peer)) = tls.accept(stream, address).await else { return };
                        connection(stream, peer, app, stop).await;
                    }
                }
                drop(permit);
            });
        }
        under_way.close();
        let _ = tokio::time::timeout(drain, under_way.wait()).await;
    }
}

async fn connection<S>(stream: S, peer: Peer, app: Router, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let app = app.map_request(move |mut request: Request<_>| {
        request.extensions_mut().insert(peer.clone());
        request.map(Body::new)
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HANDSHAKE_MAX);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(256).keep_alive_interval(Some(HANDSHAKE_MAX));
    let served = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
    tokio::pin!(served);
    // An error is the client's going away, or its not speaking HTTP.
    tokio::select! {
        _ = served.as_mut() => return,
        () = stop.cancelled() => served.as_mut().graceful_shutdown(),
    }
    let _ = served.await;
}

/// The first URI among a certificate's alternative names.
pub fn uri_name(certificate: &CertificateDer<'_>) -> Option<Arc<str>> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let names = parsed.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| match name {
        x509_parser::extensions::GeneralName::URI(uri) => Some((*uri).into()),
        _ => None,
    })
}
