//! The daemon's listeners, and what is spoken on each.

use super::config::Config;
use super::http;
use axum::Router;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tarn_connectors::access::Access;
use tarn_connectors::body::BodyLimits;
use tarn_connectors::intake::Intake;
use tarn_connectors::listen::{Listener, Tls};
use tarn_connectors::query::flight;
use tarn_connectors::query::postgres::{self, Postgres};
use tarn_connectors::source::otlp::{self, OtlpState};
use tarn_connectors::source::push::{self, Push};
use tarn_connectors::source::syslog::{self, Datagrams, Syslog};
use tarn_connectors::source::tail::{self, Tail};
use tarn_connectors::source::{elasticsearch, splunk_hec};
use tarn_ingest::source::Sources;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long requests may go on after the daemon was told to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// What is spoken on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP over HTTP, push, Splunk HEC, evidence, SQL, metrics.
    Http,
    /// OTLP over gRPC.
    Grpc,
    /// PostgreSQL's.
    Postgres,
    /// Arrow Flight SQL.
    FlightSql,
    /// Elasticsearch's bulk API.
    Elasticsearch,
    /// Syslog over TCP, or TLS.
    SyslogTcp,
    /// Syslog over UDP.
    SyslogUdp,
}

/// Sockets that listen, and nobody answers yet.
pub struct Bound {
    streams: Vec<(Protocol, Listener)>,
    datagrams: Vec<Datagrams>,
}

impl Bound {
    /// Listens on all addresses of a configuration.
    ///
    /// **Errors**: an address that cannot be listened on, or may not without TLS and credentials.
    pub async fn bind(config: &Config, tls: Option<&Tls>, access: &Access) -> anyhow::Result<Self> {
        let listen = &config.listen;
        let all = [
            (Protocol::Http, &listen.http),
            (Protocol::Grpc, &listen.grpc),
            (Protocol::Postgres, &listen.postgres),
            (Protocol::FlightSql, &listen.flight_sql),
            (Protocol::Elasticsearch, &listen.elasticsearch),
            (Protocol::SyslogTcp, &listen.syslog_tcp),
        ];
        let (mut streams, mut datagrams) = (Vec::new(), Vec::new());
        for (protocol, address) in all.into_iter().flat_map(|(protocol, all)| all.iter().map(move |a| (protocol, *a))) {
            streams.push((protocol, Listener::bind(address, tls.cloned(), !access.is_open()).await?));
        }
        for address in &listen.syslog_udp {
            datagrams.push(syslog::bind(*address, config.syslog.unauthenticated).await?);
        }
        Ok(Self { streams, datagrams })
    }

    /// Where it listens: with the ports that were given where 0 was asked for.
    pub fn addresses(&self) -> Vec<(Protocol, SocketAddr)> {
        let streams = self.streams.iter().map(|(protocol, listener)| (*protocol, listener.address));
        streams.chain(self.datagrams.iter().map(|d| (Protocol::SyslogUdp, d.address))).collect()
    }

    /// Answers on all of them until `stop`.
    pub fn serve(
        self,
        state: http::State,
        receivers: &Receivers,
        config: &Config,
        stop: &CancellationToken,
    ) -> Vec<JoinHandle<()>> {
        let connections_max = config.limits.connections;
        let (postgres, flight) = (Postgres::new(state.queries.clone()), flight::router(state.queries.clone()));
        let http = http::router(state).merge(receivers.http());
        let mut serving = Vec::new();
        for (protocol, listener) in self.streams {
            let app: Router = match protocol {
                Protocol::Http => http.clone(),
                Protocol::Grpc => receivers.grpc(),
                Protocol::Elasticsearch => receivers.elasticsearch(),
                Protocol::FlightSql => flight.clone(),
                Protocol::Postgres => {
                    let served = postgres::serve(listener, postgres.clone(), connections_max, stop.clone(), DRAIN);
                    serving.push(tokio::spawn(served));
                    continue;
                }
                Protocol::SyslogTcp | Protocol::SyslogUdp => {
                    let served = syslog::serve(listener, receivers.syslog.clone(), stop.clone(), DRAIN);
                    serving.push(tokio::spawn(served));
                    continue;
                }
            };
            let app = match config.traces {
                Some(_) => app.layer(axum::middleware::from_fn(super::traces::request)),
                None => app,
            };
            serving.push(tokio::spawn(listener.serve(app, connections_max, stop.clone(), DRAIN)));
        }
        let datagrams = self.datagrams.into_iter();
        serving.extend(datagrams.map(|d| tokio::spawn(d.serve(receivers.syslog.clone(), stop.clone()))));
        serving
    }
}

/// The receivers of events.
pub struct Receivers {
    intake: Intake,
    otlp: OtlpState,
    push: Push,
    syslog: Syslog,
    evidence: Router,
}

/// Limits on bodies.
pub fn body_limits(config: &Config) -> BodyLimits {
    BodyLimits {
        wire_bytes_max: config.limits.body_mib << 20,
        bytes_max: config.limits.decompressed_mib << 20,
        timeout: Duration::from_secs(config.limits.body_seconds),
    }
}

impl Receivers {
    /// All of them, on one way in; `evidence` is the one of documents.
    pub fn new(intake: Intake, access: &Access, sources: Arc<Sources>, config: &Config, evidence: Router) -> Self {
        let body = body_limits(config);
        let access = access.clone();
        let otlp = OtlpState {
            intake: intake.clone(),
            access: access.clone(),
            sources: sources.clone(),
            body,
            limits: tarn_ingest::otlp::Limits::default(),
        };
        let push = Push { intake: intake.clone(), access: access.clone(), limits: body, sources };
        let syslog = Syslog { intake: intake.clone(), access, options: config.syslog, counts: Arc::default() };
        Self { intake, otlp, push, syslog, evidence }
    }

    /// What reads the files of a configuration.
    ///
    /// **Errors**: the folder of positions cannot be made.
    pub fn tails(&self, config: &Config) -> anyhow::Result<Vec<Tail>> {
        let folder = config.state.join("tail");
        if !config.tail.is_empty() {
            std::fs::create_dir_all(&folder)?;
        }
        let tail = |(name, options): (&String, &tail::Options)| Tail {
            options: options.clone(),
            intake: self.intake.clone(),
            positions: folder.join(format!("{name}.json")),
        };
        Ok(config.tail.iter().map(tail).collect())
    }

    fn http(&self) -> Router {
        let (otlp, push) = (otlp::router(self.otlp.clone()), push::router(self.push.clone()));
        otlp.merge(push).merge(splunk_hec::router(self.push.clone())).merge(self.evidence.clone())
    }

    fn grpc(&self) -> Router {
        otlp::grpc(self.otlp.clone())
    }

    fn elasticsearch(&self) -> Router {
        elasticsearch::router(self.push.clone())
    }
}
