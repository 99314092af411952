"""A collector of traces and metrics in Python: OTLP over HTTP and gRPC, read by OpenTelemetry's own message classes.

Writes one line of JSON for each span to standard output, and first the ports that it listens at. GET /metrics of the HTTP
port has the newest export of metrics of each instance.
Usage: otlp_receiver.py [HTTP_PORT [GRPC_PORT]]
"""

import json
import sys
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

lock = threading.Lock()
# By instance: the number of its exports, and the newest one.
exports = {}


def value_of(any_value):
    return getattr(any_value, any_value.WhichOneof("value"))


def attributes_of(pairs):
    return {pair.key: value_of(pair.value) for pair in pairs}


def write(line):
    with lock:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def take(request, protocol, headers):
    for resource_spans in request.resource_spans:
        resource = attributes_of(resource_spans.resource.attributes)
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                write(
                    {
                        "protocol": protocol,
                        "headers": headers,
                        "resource": resource,
                        "scope": scope_spans.scope.name,
                        "traceId": span.trace_id.hex(),
                        "spanId": span.span_id.hex(),
                        "parentId": span.parent_span_id.hex(),
                        "name": span.name,
                        "kind": span.kind,
                        "startMs": span.start_time_unix_nano / 1e6,
                        "endMs": span.end_time_unix_nano / 1e6,
                        "status": span.status.code,
                        "message": span.status.message,
                        "attributes": attributes_of(span.attributes),
                    }
                )


def point_of(point, kind):
    common = {
        "attributes": attributes_of(point.attributes),
        "startMs": point.start_time_unix_nano / 1e6,
        "timeMs": point.time_unix_nano / 1e6,
    }
    if kind != "histogram":
        return {**common, "value": getattr(point, point.WhichOneof("value"))}
    return {
        **common,
        "count": point.count,
        "sum": point.sum if point.HasField("sum") else None,
        "buckets": list(point.bucket_counts),
        "bounds": list(point.explicit_bounds),
    }


def metric_of(metric):
    kind = metric.WhichOneof("data")
    data = getattr(metric, kind)
    return {
        "name": metric.name,
        "description": metric.description,
        "kind": kind,
        "type": attributes_of(metric.metadata)["prometheus.type"],
        "temporality": 0 if kind == "gauge" else data.aggregation_temporality,
        "isMonotonic": kind == "sum" and data.is_monotonic,
        "points": [point_of(each, kind) for each in data.data_points],
    }


def take_metrics(request, protocol, headers):
    for resource_metrics in request.resource_metrics:
        resource = attributes_of(resource_metrics.resource.attributes)
        scopes = resource_metrics.scope_metrics
        found = {
            "protocol": protocol,
            "headers": headers,
            "resource": resource,
            "scopes": [each.scope.name for each in scopes],
            "metrics": [metric_of(metric) for each in scopes for metric in each.metrics],
        }
        with lock:
            number = exports.get(resource["service.instance.id"], {"number": 0})["number"] + 1
            exports[resource["service.instance.id"]] = {"number": number, **found}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {"x-key": self.headers.get("x-key")}
        if self.path == "/v1/metrics":
            take_metrics(metrics_service_pb2.ExportMetricsServiceRequest.FromString(body), "http", headers)
        else:
            take(trace_service_pb2.ExportTraceServiceRequest.FromString(body), "http", headers)
        # An answer without fields is the same for both.
        self.answer("application/x-protobuf", b"")

    def do_GET(self):
        with lock:
            body = json.dumps(exports).encode()
        self.answer("application/json", body)

    def answer(self, kind, answer):
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


class Servicer(trace_service_pb2_grpc.TraceServiceServicer):
    def Export(self, request, context):
        metadata = dict(context.invocation_metadata())
        take(request, "grpc", {"x-key": metadata.get("x-key")})
        return trace_service_pb2.ExportTraceServiceResponse()


class MetricsServicer(metrics_service_pb2_grpc.MetricsServiceServicer):
    def Export(self, request, context):
        metadata = dict(context.invocation_metadata())
        take_metrics(request, "grpc", {"x-key": metadata.get("x-key")})
        return metrics_service_pb2.ExportMetricsServiceResponse()


ports = [int(each) for each in sys.argv[1:]] + [0, 0]
http_server = ThreadingHTTPServer(("127.0.0.1", ports[0]), Handler)
grpc_server = grpc.server(futures.ThreadPoolExecutor(2))
trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Servicer(), grpc_server)
metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(MetricsServicer(), grpc_server)
grpc_port = grpc_server.add_insecure_port(f"127.0.0.1:{ports[1]}")
grpc_server.start()
write({"http": http_server.server_port, "grpc": grpc_port})
http_server.serve_forever()
