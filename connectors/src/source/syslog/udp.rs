//! Datagrams: one message each.

use super::Syslog;
use super::batch::Batch;
use crate::listen::ListenError;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use tokio::net::UdpSocket;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The longest datagram that there is.
const DATAGRAM_BYTES_MAX: usize = 64 << 10;
/// Senders whose messages wait at a time.
const SENDERS_MAX: usize = 1024;

/// A socket for datagrams.
#[derive(Debug)]
pub struct Datagrams {
    socket: UdpSocket,
    /// Where it listens: with the port that was given where 0 was asked for.
    pub address: SocketAddr,
}

/// Listens on `address`. Datagrams say nothing about who sent them, and can be read on their way.
///
/// **Errors**: [`ListenError::Unprotected`] beyond loopback, unless `unauthenticated`; [`ListenError::Bind`].
pub async fn bind(address: SocketAddr, unauthenticated: bool) -> Result<Datagrams, ListenError> {
    if !address.ip().is_loopback() && !unauthenticated {
        let missing = "syslog.unauthenticated = true, as UDP has neither TLS nor credentials";
        return Err(ListenError::Unprotected { address, missing });
    }
    let socket = UdpSocket::bind(address).await.map_err(|source| ListenError::Bind { address, source })?;
    let address = socket.local_addr().map_err(|source| ListenError::Bind { address, source })?;
    Ok(Datagrams { socket, address })
}

impl Datagrams {
    /// Takes datagrams until `stop`; those that were read are handed over then.
    pub async fn serve(self, syslog: Syslog, stop: CancellationToken) {
        let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
        let mut batches: HashMap<IpAddr, Batch> = HashMap::new();
        let (mut bytes, mut due) = (0, None);
        loop {
            let moment = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            let received = tokio::select! {
                () = stop.cancelled() => break,
                () = moment => None,
                received = self.socket.recv_from(&mut datagram) => Some(received),
            };
            match received {
                // An earlier datagram could not be answered, or the like: the socket is still good.
                Some(Err(_)) => continue,
                Some(Ok((length, from))) => {
                    let batch = batches.entry(from.ip()).or_insert_with(|| Batch::new(from.ip()));
                    let limit = syslog.options.message_bytes_max;
                    let message = &datagram[..length];
                    if length > limit {
                        let reason = tarn_ingest::Reason::TooLarge { bytes: length as u64, limit };
                        batch.dead(&message[..limit], reason);
                    } else {
                        batch.message(message);
                    }
                    bytes += length;
                    let waits = *due.get_or_insert_with(|| Instant::now() + syslog.wait());
                    let more = bytes < syslog.options.batch_bytes && batches.len() < SENDERS_MAX;
                    if more && waits > Instant::now() {
                        continue;
                    }
                }
                None => {}
            }
            (bytes, due) = (0, None);
            hand_over(&mut batches, &syslog).await;
        }
        hand_over(&mut batches, &syslog).await;
    }
}

/// Hands every sender's messages over, once: there is nobody who could be made to wait.
async fn hand_over(batches: &mut HashMap<IpAddr, Batch>, syslog: &Syslog) {
    let Ok(sender) = syslog.admit(None) else {
        batches.drain().filter_map(|(_, mut batch)| batch.take()).for_each(|block| syslog.dropped(&block));
        return;
    };
    for (_, mut batch) in batches.drain() {
        batch.settle();
        let Some(block) = batch.take() else { continue };
        let kept = block.clone();
        if let Err(refused) = syslog.deliver(block, &sender).await {
            tracing::warn!(%refused, "syslog: datagrams are dropped");
            syslog.dropped(&kept);
        }
    }
}
