"""ModelStreamInfer by tritonclient.grpc: start_stream, async_stream_infer, stop_stream.

usage: tritonclient_stream.py TARGET CASE...
"""

import queue
import sys

import numpy
import tritonclient.grpc as triton

from cases import SECONDS, check, equal, run_cases


def number(value):
    return [triton.InferInput("number", [1], "INT32").set_data_from_numpy(numpy.array([value], dtype=numpy.int32))]


class Stream:
    """One stream of a client of its own; what comes is taken in order."""

    def __init__(self, target, **options):
        self.answers = queue.Queue()
        self.client = triton.InferenceServerClient(target)
        self.options = options

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.client.stop_stream()
        self.client.close()

    def start(self):
        self.client.start_stream(lambda result, error: self.answers.put((result, error)), **self.options)

    def send(self, model, value, **options):
        self.client.async_stream_infer(model, number(value), **options)

    def take(self):
        return self.answers.get(timeout=SECONDS)

    def value(self):
        result, error = self.take()
        check(error is None, f"found {error}")
        return int(result.as_numpy("total")[0])


def decoupled(target):
    with Stream(target) as stream:
        stream.send("counter", 4)
        equal([stream.value() for _ in range(4)], [0, 1, 2, 3])
    check(stream.answers.empty(), "there are more answers than the model gave")


def empty_final_response(target):
    with Stream(target) as stream:
        stream.send("counter", 2, request_id="a", enable_empty_final_response=True)
        equal([stream.value(), stream.value()], [0, 1])
        result, error = stream.take()
        response = result.get_response()
        equal((error, response.id, len(response.outputs)), (None, "a", 0))
        check(response.parameters["triton_final_response"].bool_param, f"found {response.parameters}")


def one_answer_each(target):
    """A model that is not decoupled: one answer for each request, and it is the final one."""
    with Stream(target) as stream:
        for value in range(5):
            stream.send("counting", value, request_id=str(value), enable_empty_final_response=True)
        results = [stream.take() for _ in range(5)]
    equal(sorted(int(result.as_numpy("total")[0]) for result, _ in results), [0, 1, 2, 3, 4])
    for result, _ in results:
        check(result.get_response().parameters["triton_final_response"].bool_param, "an answer is not final")


def error_in_the_middle(target):
    """The request that fails is answered by a sentence, and the stream goes on."""
    with Stream(target) as stream:
        stream.send("counting", 5)
        equal(stream.value(), 5)
        stream.send("counting", -1)
        _, error = stream.take()
        check("found -1, expected 0 or more" in error.message(), f"found {error}")
        stream.send("counting", 6)
        equal(stream.value(), 6)


def several_models(target):
    """Where one process serves all models, each request of a stream is for the one that it names."""
    with Stream(target) as stream:
        stream.send("counting", 5)
        equal(stream.value(), 5)
        stream.send("none", 1)
        _, error = stream.take()
        check("'none'" in error.message(), f"found {error}")
        stream.send("counter", 1)
        equal(stream.value(), 0)


def one_model(target):
    """Where each model has a process of its own, a stream belongs to the model of its first request."""
    with Stream(target) as stream:
        stream.send("counting", 5)
        equal(stream.value(), 5)
        stream.send("counter", 1)
        _, error = stream.take()
        equal(error.status(), "StatusCode.UNIMPLEMENTED")
        check("began with the model 'counting'" in error.message(), f"found {error}")


def sequence(target):
    with Stream(target) as stream:
        for value, flags in [(1, {"sequence_start": True}), (2, {}), (4, {"sequence_end": True})]:
            stream.send("sums", value, sequence_id=31, **flags)
        equal([stream.value() for _ in range(3)], [1, 3, 7])


def stop_and_start(target):
    with Stream(target) as stream:
        for _ in range(3):
            stream.send("counter", 1)
            equal(stream.value(), 0)
            stream.client.stop_stream()
            stream.start()


def cancel_requests(target):
    with Stream(target) as stream:
        stream.send("counter", 1_000_000_000)
        equal(stream.value(), 0)
        stream.client.stop_stream(cancel_requests=True)
        answer = stream.client.infer("counter", number(7), client_timeout=SECONDS)
        equal(int(answer.as_numpy("total")[0]), 7)


def stream_timeout(target):
    with Stream(target, stream_timeout=0.5) as stream:
        stream.send("counter", 1_000_000_000)
        equal(stream.value(), 0)
        error = None
        while error is None:
            _, error = stream.take()
        equal(error.status(), "StatusCode.DEADLINE_EXCEEDED")


def compression(target):
    for algorithm in ["gzip", "deflate"]:
        with Stream(target, compression_algorithm=algorithm) as stream:
            stream.send("counter", 3)
            equal([stream.value() for _ in range(3)], [0, 1, 2])


def grpc_error_header(target):
    """With Triton's header a request that fails ends the stream with its status."""
    with Stream(target, headers={"triton_grpc_error": "true"}) as stream:
        stream.send("counting", -1)
        _, error = stream.take()
        equal(error.status(), "StatusCode.INVALID_ARGUMENT")
        check("found -1" in error.message(), f"found {error}")


def many_streams(target):
    streams = [Stream(target).__enter__() for _ in range(16)]
    for stream in streams:
        stream.send("counter", 20)
    for stream in streams:
        equal([stream.value() for _ in range(20)], list(range(20)))
    for stream in streams:
        stream.__exit__()


if __name__ == "__main__":
    sys.exit(run_cases(globals(), sys.argv[2:], sys.argv[1]))
