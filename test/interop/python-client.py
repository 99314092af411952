"""Interoperability cases from a client that shares no code with the project: Python's grpcio.

usage: python-client.py PROTO_DIR PROTO_FILE TARGET CASE...

Prints one JSON object per case: {"case": NAME, "ok": true} or {"case": NAME, "ok": false, "why": TEXT}; exits 1 when
one failed. Stubs are made from the .proto file in memory.
"""

import json
import struct
import sys
import threading
import time

import grpc

SECONDS = 20
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def equal(found, wanted):
    check(found == wanted, f"found {found!r}, wanted {wanted!r}")


def zeros(pb, size):
    return pb.Payload(body=b"\0" * size)


def empty_unary(pb, stub):
    equal(stub.EmptyCall(pb.Empty(), timeout=SECONDS), pb.Empty())


def large_unary(pb, stub, **options):
    request = pb.SimpleRequest(response_size=314159, payload=zeros(pb, 271828))
    response = stub.UnaryCall(request, timeout=SECONDS, **options)
    equal(len(response.payload.body), 314159)


def client_compressed_unary(pb, stub):
    large_unary(pb, stub, compression=grpc.Compression.Gzip)
    large_unary(pb, stub, compression=grpc.Compression.Deflate)


def client_streaming(pb, stub):
    sizes = [27182, 8, 1828, 45904]
    requests = (pb.StreamingInputCallRequest(payload=zeros(pb, size)) for size in sizes)
    equal(stub.StreamingInputCall(requests, timeout=SECONDS).aggregated_payload_size, sum(sizes))


def server_streaming(pb, stub):
    sizes = [31415, 9, 2653, 58979]
    request = pb.StreamingOutputCallRequest(response_parameters=[pb.ResponseParameters(size=size) for size in sizes])
    equal([len(r.payload.body) for r in stub.StreamingOutputCall(request, timeout=SECONDS)], sizes)


def ping_pong(pb, stub):
    answered = threading.Semaphore(0)
    sizes = [31415, 9, 2653, 58979]

    def requests():
        for size in sizes:
            yield pb.StreamingOutputCallRequest(
                response_parameters=[pb.ResponseParameters(size=size)], payload=zeros(pb, size)
            )
            check(answered.acquire(timeout=SECONDS), "no answer before the next message")

    seen = []
    for response in stub.FullDuplexCall(requests(), timeout=SECONDS):
        seen.append(len(response.payload.body))
        answered.release()
    equal(seen, sizes)


def custom_metadata(pb, stub):
    binary = bytes(range(256))
    call = stub.UnaryCall.future(
        pb.SimpleRequest(response_size=10),
        timeout=SECONDS,
        metadata=[
            ("x-grpc-test-echo-initial", "test_initial_metadata_value"),
            ("x-grpc-test-echo-trailing-bin", b"\xab\xab\xab"),
            ("x-grpc-test-echo-trailing-bin", binary),
        ],
    )
    call.result()
    initial = [v for k, v in call.initial_metadata() if k == "x-grpc-test-echo-initial"]
    trailing = [v for k, v in call.trailing_metadata() if k == "x-grpc-test-echo-trailing-bin"]
    equal(initial, ["test_initial_metadata_value"])
    equal(trailing, [b"\xab\xab\xab", binary])


def failure(call):
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call succeeded")


def status_code_and_message(pb, stub):
    message = "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n"
    for text in ["test status message", message]:
        request = pb.SimpleRequest(response_status=pb.EchoStatus(code=2, message=text))
        error = failure(lambda: stub.UnaryCall(request, timeout=SECONDS))
        equal((error.code(), error.details()), (grpc.StatusCode.UNKNOWN, text))


def status_details(pb, stub):
    details = b"\x08\x02\x12\x04test\x00\xff"
    request = pb.SimpleRequest(response_status=pb.EchoStatus(code=9, message="no"))
    metadata = [("x-test-status-details-bin", details)]
    error = failure(lambda: stub.UnaryCall(request, timeout=SECONDS, metadata=metadata))
    equal(error.code(), grpc.StatusCode.FAILED_PRECONDITION)
    equal([v for k, v in error.trailing_metadata() if k == "grpc-status-details-bin"], [details])


def unimplemented_method(pb, stub):
    error = failure(lambda: stub.UnimplementedCall(pb.Empty(), timeout=SECONDS))
    equal(error.code(), grpc.StatusCode.UNIMPLEMENTED)


def deadline(pb, stub):
    started = time.monotonic()
    error = failure(
        lambda: stub.UnaryCall(pb.SimpleRequest(), timeout=0.2, metadata=[("x-test-delay-ms", "5000")])
    )
    equal(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
    check(time.monotonic() - started < 4, "the deadline came late")


def cancel_after_first_response(pb, stub):
    go_on = threading.Event()

    def requests():
        yield pb.StreamingOutputCallRequest(response_parameters=[pb.ResponseParameters(size=10)])
        go_on.wait(SECONDS)

    call = stub.FullDuplexCall(requests(), timeout=SECONDS)
    next(call)
    call.cancel()
    go_on.set()
    error = failure(lambda: list(call))
    equal(error.code(), grpc.StatusCode.CANCELLED)


def concurrent_unary(pb, stub):
    calls = [stub.UnaryCall.future(pb.SimpleRequest(response_size=size), timeout=SECONDS) for size in range(500)]
    equal([len(call.result().payload.body) for call in calls], list(range(500)))


def model_infer(pb, stub):
    """One inference with raw tensors; the sum of the ten probabilities tells a real answer."""
    pixels = struct.pack("<784f", *([0.0] * 784))
    request = pb.ModelInferRequest(
        model_name="digits",
        id="from-python",
        inputs=[pb.ModelInferRequest.InferInputTensor(name="pixels", datatype="FP32", shape=[1, 784])],
        raw_input_contents=[pixels],
    )
    response = stub.ModelInfer(request, timeout=SECONDS)
    equal((response.model_name, response.id), ("digits", "from-python"))
    check(len(response.outputs) >= 1, "no output")
    check(len(response.raw_output_contents) == len(response.outputs), "answers are not raw")
    metadata = stub.ModelMetadata(pb.ModelMetadataRequest(name="digits"), timeout=SECONDS)
    equal([tensor.name for tensor in metadata.inputs], ["pixels"])
    check(stub.ModelReady(pb.ModelReadyRequest(name="digits"), timeout=SECONDS).ready, "not ready")
    bad = pb.ModelInferRequest(model_name="digits", inputs=request.inputs, raw_input_contents=[pixels[:-4]])
    error = failure(lambda: stub.ModelInfer(bad, timeout=SECONDS))
    equal(error.code(), grpc.StatusCode.INVALID_ARGUMENT)
    check("pixels" in error.details(), f"the message names no tensor: {error.details()}")


def main(directory, file, target, cases):
    sys.path.insert(0, directory)
    pb, services = grpc.protos_and_services(file)
    service = "GRPCInferenceServiceStub" if hasattr(services, "GRPCInferenceServiceStub") else "TestServiceStub"
    failed = 0
    with grpc.insecure_channel(target, options=UNLIMITED) as channel:
        stub = getattr(services, service)(channel)
        for name in cases:
            try:
                globals()[name](pb, stub)
                print(json.dumps({"case": name, "ok": True}), flush=True)
            except Exception as error:  # every failure is a result, whatever its kind
                failed += 1
                print(json.dumps({"case": name, "ok": False, "why": f"{type(error).__name__}: {error}"}), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]))
