#!/usr/bin/env python3
"""OpenTelemetry's SDK exports logs, spans and metrics to a running Tarn: over gRPC, gRPC with gzip, and HTTP with protobuf.

    otlp.py HOST HTTP_PORT GRPC_PORT [TOKEN]

Needs opentelemetry-sdk and opentelemetry-exporter-otlp. Exits with 1 if an export fails, or succeeds with a wrong token.
"""

import json
import logging
import sys

import grpc
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind

CLOUDTRAIL = {"eventSource": "iam.amazonaws.com", "eventName": "CreateUser", "eventTime": "2026-03-17T10:30:00Z"}


class Watched:
    """An exporter that remembers what its exports gave."""

    def __init__(self, exporter):
        self.exporter, self.results = exporter, []

    def export(self, batch, **options):
        result = self.exporter.export(batch, **options)
        self.results.append(result.name)
        return result

    def __getattr__(self, name):
        return getattr(self.exporter, name)


def export(name, logs, spans, metrics):
    """Two log records, a span and two metrics through these exporters; gives the results."""
    logs, spans, metrics = Watched(logs), Watched(spans), Watched(metrics)
    resource = Resource.create({"service.name": name, "host.name": "client-1"})
    provider = LoggerProvider(resource=resource)
    provider.add_log_record_processor(SimpleLogRecordProcessor(logs))
    tracing = TracerProvider(resource=resource)
    tracing.add_span_processor(SimpleSpanProcessor(spans))
    logger = logging.getLogger(name)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(LoggingHandler(logger_provider=provider))
    attributes = {"http.request.method": "GET", "http.response.status_code": 200, "url.path": "/cart"}
    with tracing.get_tracer("otlp.py").start_as_current_span("GET /cart", kind=SpanKind.SERVER, attributes=attributes):
        logger.warning("hello from the SDK", extra={"order": 7, "tags": ["a", "b"]})
        logger.info(json.dumps(CLOUDTRAIL))
    provider.shutdown()
    tracing.shutdown()
    metering = MeterProvider([PeriodicExportingMetricReader(metrics, export_interval_millis=600_000)], resource=resource)
    meter = metering.get_meter("otlp.py")
    meter.create_counter("orders", "1", "Orders.").add(7, {"shop": "a"})
    meter.create_histogram("wait", "s").record(0.3)
    # Collects once more, and exports that.
    metering.shutdown()
    print(name, "logs", logs.results, "spans", spans.results, "metrics", metrics.results)
    return logs.results + spans.results + metrics.results


def main():
    host, http_port, grpc_port = sys.argv[1:4]
    token = sys.argv[4] if len(sys.argv) > 4 else None

    def over_grpc(token, **more):
        headers = (("authorization", f"Bearer {token}"),) if token else None
        more = {"endpoint": f"{host}:{grpc_port}", "insecure": True, "headers": headers, "timeout": 10, **more}
        return GrpcLogs(**more), GrpcSpans(**more), GrpcMetrics(**more)

    def over_http(token):
        more = {"headers": {"authorization": f"Bearer {token}"} if token else None, "timeout": 10}
        at = f"http://{host}:{http_port}/v1"
        metrics = HttpMetrics(endpoint=f"{at}/metrics", **more)
        return HttpLogs(endpoint=f"{at}/logs", **more), HttpSpans(endpoint=f"{at}/traces", **more), metrics

    results = export("grpc", *over_grpc(token))
    results += export("grpc-gzip", *over_grpc(token, compression=grpc.Compression.Gzip))
    results += export("http", *over_http(token))
    failed = [result for result in results if result != "SUCCESS"]
    if token:
        denied = export("denied-grpc", *over_grpc("wrong")) + export("denied-http", *over_http("wrong"))
        failed += [result for result in denied if result != "FAILURE"]
    sys.exit(1 if failed or len(results) != 12 else 0)


if __name__ == "__main__":
    main()
