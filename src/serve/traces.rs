//! The daemon's own traces: spans of its requests, queries, mapping, detection, commits and alerts, sent by OTLP over HTTP.
//!
//! Spans have the target [`TARGET`], which no log shows. Those of a request go on with the trace of its sender (W3C
//! `traceparent`). **Bounds**: the exporter's queue (2,048 spans); what comes when it is full is dropped.

use super::config::TracesConfig;
use anyhow::Context;
use async_trait::async_trait;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, HeaderExtractor, HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use std::time::Duration;
use tokio::runtime::Handle;
use tracing::{Instrument, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

/// The target of spans that are traces.
pub const TARGET: &str = "trace";
/// How long one delivery of spans may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where spans go; dropped, it sends the rest of them.
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// An exporter on the current runtime.
    ///
    /// **Errors**: an endpoint that is no URL.
    pub fn open(config: &TracesConfig) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none()).build()?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(OnRuntime { client, runtime: Handle::current() })
            .with_endpoint(&config.endpoint)
            .build()
            .with_context(|| format!("traces.endpoint: {}", config.endpoint))?;
        let sampled = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.sample)));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(sampled)
            .with_resource(Resource::builder().with_service_name("tarn").build())
            .build();
        Ok(Self(provider))
    }

    /// What makes spans of those of the program.
    pub fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> + use<S> {
        let spans = tracing_opentelemetry::layer().with_tracer(self.0.tracer("tarn"));
        spans.with_filter(Targets::new().with_target(TARGET, tracing::Level::INFO))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        // The last spans are worth no failure.
        let _ = self.0.shutdown_with_timeout(TIMEOUT);
    }
}

/// A client for the exporter's own thread, which is none of the runtime's.
#[derive(Debug)]
struct OnRuntime {
    client: reqwest::Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for OnRuntime {
    async fn send_bytes(&self, request: axum::http::Request<Bytes>) -> Result<axum::http::Response<Bytes>, HttpError> {
        let request = reqwest::Request::try_from(request)?;
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move {
            let answer = client.execute(request).await?;
            // What a collector has to say is not read: its status is all that counts.
            Ok::<_, reqwest::Error>(answer.status())
        });
        let mut answer = axum::http::Response::new(Bytes::new());
        *answer.status_mut() = sent.await??;
        Ok(answer)
    }
}

/// The span of a request.
pub async fn request(request: Request, next: Next) -> Response {
    let span = tracing::info_span!(
        target: TARGET,
        "request",
        otel.name = %request.method(),
        otel.kind = "server",
        otel.status_code = tracing::field::Empty,
        http.request.method = %request.method(),
        url.path = request.uri().path(),
        http.response.status_code = tracing::field::Empty,
    );
    if !span.is_disabled() {
        let sender = TraceContextPropagator::new().extract(&HeaderExtractor(request.headers()));
        // It has no parent where the span is not sampled.
        let _ = span.set_parent(sender);
    }
    let answer = next.run(request).instrument(span.clone()).await;
    span.record("http.response.status_code", answer.status().as_u16());
    if answer.status().is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    answer
}
