"""A collector of traces in Python: OTLP over HTTP and gRPC, read by OpenTelemetry's own message classes.

Writes one line of JSON for each span to standard output, and first the ports that it listens at.
Usage: otlp_receiver.py [HTTP_PORT [GRPC_PORT]]
"""

import json
import sys
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

lock = threading.Lock()


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


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        request = trace_service_pb2.ExportTraceServiceRequest.FromString(body)
        take(request, "http", {"x-key": self.headers.get("x-key")})
        answer = trace_service_pb2.ExportTraceServiceResponse().SerializeToString()
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
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


ports = [int(each) for each in sys.argv[1:]] + [0, 0]
http_server = ThreadingHTTPServer(("127.0.0.1", ports[0]), Handler)
grpc_server = grpc.server(futures.ThreadPoolExecutor(2))
trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Servicer(), grpc_server)
grpc_port = grpc_server.add_insecure_port(f"127.0.0.1:{ports[1]}")
grpc_server.start()
write({"http": http_server.server_port, "grpc": grpc_port})
http_server.serve_forever()
