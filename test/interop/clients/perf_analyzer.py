"""The calls that perf_analyzer makes of a Triton server over gRPC, in its order, with what it reads of each answer.

usage: perf_analyzer.py TARGET CASE...

From the sources of perf_analyzer 2.60 (src/perf_analyzer.cc, model_parser.cc, inference_profiler.cc, infer_context.cc,
client_backend/triton): ModelMetadata, ModelConfig; the profiler asks ServerMetadata whether the server has statistics;
each measurement window stands between two ModelStatistics; without a shared memory option no call of shared memory. Its
program needs glibc 2.38.
"""

import queue
import sys

import numpy
import tritonclient.grpc as triton
from google.protobuf import json_format

from cases import SECONDS, check, equal, run_cases

NUMBERS = {"FP32": numpy.float32, "INT32": numpy.int32, "INT64": numpy.int64}
WINDOW = 50  # requests


def as_json(message):
    """perf_analyzer prints the messages as JSON with every field that has a value or is a plain one."""
    return json_format.MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


class Parsed:
    """What ModelParser::InitTriton keeps."""

    def __init__(self, client, model):
        metadata = as_json(client.get_model_metadata(model, client_timeout=SECONDS))
        config = as_json(client.get_model_config(model, client_timeout=SECONDS))["config"]
        self.name = metadata["name"]
        self.scheduler = next((key for key in ["sequence_batching", "dynamic_batching"] if key in config), "none")
        self.max_batch_size = int(config["max_batch_size"])
        check(config["platform"] != "ensemble", "an ensemble, which has no steps")
        self.decoupled = config["model_transaction_policy"]["decoupled"]
        skip = 1 if self.max_batch_size > 0 else 0
        self.inputs = {t["name"]: (t["datatype"], [int(d) for d in t["shape"]][skip:]) for t in metadata["inputs"]}
        self.outputs = [t["name"] for t in metadata["outputs"]]
        optional = set()
        for each in config["input"]:
            check(each["name"] in self.inputs, f"no metadata found for input tensor {each['name']}")
            if each["optional"]:
                optional.add(each["name"])
        for each in config["output"]:
            check(each["name"] in self.outputs, f"no metadata found for output tensor {each['name']}")
        for name in optional:
            del self.inputs[name]  # no data is made for optional inputs
        for name, (_, shape) in self.inputs.items():
            check(-1 not in shape, f"input {name} has a shape of any size, perf_analyzer wants --shape")

    def request(self, batch_size):
        """Random data, one row for each of the batch; every output is requested."""
        inputs = []
        for name, (datatype, shape) in self.inputs.items():
            whole = [batch_size, *shape] if self.max_batch_size > 0 else shape
            data = (numpy.random.default_rng(1).random(whole) * 3 + 1).astype(NUMBERS[datatype])
            inputs.append(triton.InferInput(name, whole, datatype).set_data_from_numpy(data))
        return {"inputs": inputs, "outputs": [triton.InferRequestedOutput(name) for name in self.outputs]}


def statistics(client, parsed):
    found = {}
    for each in client.get_inference_statistics(parsed.name, client_timeout=SECONDS).model_stats:
        found[(each.name, each.version)] = each
    return found


def measure(client, parsed, batch_size, send):
    """One window, and its summary: the version whose queue count grew, found by number as std::stoll does."""
    check("statistics" in client.get_server_metadata(client_timeout=SECONDS).extensions, "no statistics extension")
    before = statistics(client, parsed)
    send(WINDOW)
    after = statistics(client, parsed)
    grown = [
        int(version)
        for (_, version), each in after.items()
        if each.inference_stats.queue.count > before[(parsed.name, version)].inference_stats.queue.count
    ]
    equal(len(grown), 1)
    key = (parsed.name, str(grown[0]))
    grew = lambda read: read(after[key]) - read(before[key])
    equal(grew(lambda s: s.inference_stats.success.count), WINDOW)
    equal(grew(lambda s: s.inference_count), WINDOW * batch_size)
    executions = grew(lambda s: s.execution_count)
    check(1 <= executions <= WINDOW, f"{executions} executions of {WINDOW} requests")
    for part in ["queue", "compute_input", "compute_infer", "compute_output"]:
        check(grew(lambda s: getattr(s.inference_stats, part).count) >= executions, f"{part} was not counted")
    whole = grew(lambda s: s.inference_stats.success.ns)
    parts = sum(grew(lambda s: getattr(s.inference_stats, p).ns) for p in ["queue", "compute_input", "compute_infer", "compute_output"])
    check(0 < parts <= whole * 1.001, f"the parts take {parts} ns of {whole} ns")


def synchronous(client):
    parsed = Parsed(client, "digits")
    equal((parsed.scheduler, parsed.max_batch_size, parsed.inputs), ("dynamic_batching", 32, {"pixels": ("FP32", [784])}))
    for batch_size in [1, 8]:
        request = parsed.request(batch_size)

        def send(calls):
            for _ in range(calls):
                answer = client.infer(parsed.name, **request)
                check(all(answer.as_numpy(name) is not None for name in parsed.outputs), "an output is missing")

        measure(client, parsed, batch_size, send)


def asynchronous(client):
    """--async --concurrency-range 8: request ids say which answer is which."""
    parsed = Parsed(client, "digits")
    request = parsed.request(1)

    def send(calls):
        answers = queue.Queue()
        for at in range(calls):
            if at >= 8:
                take(answers)
            client.async_infer(parsed.name, callback=lambda result, error: answers.put((result, error)), request_id=str(at), **request)
        for _ in range(min(8, calls)):
            take(answers)

    measure(client, parsed, 1, send)


def take(answers):
    result, error = answers.get(timeout=SECONDS)
    check(error is None, f"found {error}")
    return result.get_response()


def sequences(client):
    """A model with sequence_batching: async, no batch, `start` with the first and `end` with the last of each sequence."""
    parsed = Parsed(client, "sums")
    equal((parsed.scheduler, parsed.max_batch_size), ("sequence_batching", 0))
    request = parsed.request(1)

    def send(calls):
        length = 5
        for at in range(calls):
            answers = queue.Queue()
            flags = {"sequence_start": at % length == 0, "sequence_end": at % length == length - 1}
            keep = lambda result, error: answers.put((result, error))
            client.async_infer(parsed.name, callback=keep, request_id=str(at), sequence_id=1 + at // length, **flags, **request)
            take(answers)

    measure(client, parsed, 1, send)


def streaming(client):
    """--async --streaming with a decoupled model: the first answer of each request, until its final one."""
    parsed = Parsed(client, "counter")
    check(parsed.decoupled, "not decoupled")
    request = parsed.request(1)

    def send(calls):
        answers = queue.Queue()
        client.start_stream(lambda result, error: answers.put((result, error)))
        for at in range(calls):
            client.async_stream_infer(parsed.name, request_id=str(at), enable_empty_final_response=True, **request)
            is_final = False
            while not is_final:
                response = take(answers)
                equal(response.id, str(at))
                is_final = response.parameters["triton_final_response"].bool_param
        client.stop_stream()

    before = statistics(client, parsed)
    send(5)
    after = statistics(client, parsed)
    key = (parsed.name, "1")
    equal(after[key].inference_stats.success.count - before[key].inference_stats.success.count, 5)
    check(after[key].inference_stats.queue.count > before[key].inference_stats.queue.count, "the queue was not counted")


if __name__ == "__main__":
    with triton.InferenceServerClient(sys.argv[1]) as client:
        sys.exit(run_cases(globals(), sys.argv[2:], client))
