"""Every call of tritonclient.grpc's InferenceServerClient but streams, which tritonclient_stream.py has.

usage: tritonclient_sync.py TARGET CASE...
"""

import queue
import sys
import threading

import numpy
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from cases import PIXELS, SECONDS, check, equal, run_cases


def tensor(name, values):
    kind = {"f": "FP32", "i": "INT32", "O": "BYTES"}[values.dtype.kind]
    return [triton.InferInput(name, list(values.shape), kind).set_data_from_numpy(values)]


def number(value):
    return tensor("number", numpy.array([value], dtype=numpy.int32))


def infer(client, **options):
    return client.infer("digits", tensor("pixels", PIXELS), client_timeout=SECONDS, **options)


def total(client, model, value, **options):
    return int(client.infer(model, number(value), client_timeout=SECONDS, **options).as_numpy("total")[0])


def refused(code, words, call):
    """The call fails with this status and a sentence that has these words."""
    try:
        call()
    except InferenceServerException as error:
        equal(error.status(), f"StatusCode.{code}")
        check(words in error.message(), f"found '{error.message()}', expected '{words}' in it")
        return error
    raise AssertionError(f"the call succeeded, expected {code}")


def health(client):
    check(client.is_server_live(client_timeout=SECONDS), "the server is not live")
    check(client.is_server_ready(client_timeout=SECONDS), "the server is not ready")
    check(client.is_model_ready("digits", client_timeout=SECONDS), "the model is not ready")
    check(client.is_model_ready("digits", "1", client_timeout=SECONDS), "version 1 is not ready")
    refused("NOT_FOUND", "'none'", lambda: client.is_model_ready("none", client_timeout=SECONDS))


def server_metadata(client):
    found = client.get_server_metadata(as_json=True, client_timeout=SECONDS)
    equal(found["name"], "outrider")
    for extension in ["statistics", "model_repository", "sequence", "classification", "schedule_policy", "trace", "logging"]:
        check(extension in found["extensions"], f"{extension} is not in {found['extensions']}")
    check("system_shared_memory" not in found["extensions"], "shared memory is announced")


def model_metadata(client):
    found = client.get_model_metadata("digits", client_timeout=SECONDS)
    equal([t.name for t in found.inputs], ["pixels"])
    equal(list(found.inputs[0].shape), [-1, 784])
    equal(list(found.versions), ["1"])
    equal(found.platform, "onnxruntime_onnx")


def model_config(client):
    config = client.get_model_config("digits", client_timeout=SECONDS).config
    equal((config.name, config.max_batch_size, list(config.input[0].dims)), ("digits", 32, [784]))
    check(config.HasField("dynamic_batching"), "no dynamic batching")
    check(client.get_model_config("counter", client_timeout=SECONDS).config.model_transaction_policy.decoupled, "not decoupled")
    sums = client.get_model_config("sums", as_json=True, client_timeout=SECONDS)["config"]
    equal(sums["sequence_batching"]["max_sequence_idle_microseconds"], "60000000")


def inference_statistics(client):
    def count():
        [stats] = client.get_inference_statistics("digits", client_timeout=SECONDS).model_stats
        return stats.inference_count, stats.inference_stats.success.count

    before = count()
    client.infer("digits", tensor("pixels", numpy.zeros((3, 784), dtype=numpy.float32)), client_timeout=SECONDS)
    equal(count(), (before[0] + 3, before[1] + 1))
    every = client.get_inference_statistics(client_timeout=SECONDS).model_stats
    equal(sorted(stats.name for stats in every), ["counter", "counting", "digits", "loop", "sums", "text"])


def repository(client):
    def states():
        index = client.get_model_repository_index(client_timeout=SECONDS)
        return {model.name: model.state for model in index.models}

    equal(states()["counting"], "READY")
    client.unload_model("counting", client_timeout=SECONDS)
    check(states()["counting"] != "READY", f"found {states()}")
    check(not ready_or_unknown(client, "counting"), "the model is ready after it was unloaded")
    client.load_model("counting", client_timeout=SECONDS)
    equal(states()["counting"], "READY")
    equal(total(client, "counting", 4), 4)
    refused("NOT_FOUND", "none", lambda: client.load_model("none", client_timeout=SECONDS))
    refused("UNIMPLEMENTED", "'config'", lambda: client.load_model("counting", config="{}", client_timeout=SECONDS))


def ready_or_unknown(client, model):
    try:
        return client.is_model_ready(model, client_timeout=SECONDS)
    except InferenceServerException as error:
        equal(error.status(), "StatusCode.NOT_FOUND")
        return False


def trace_settings(client):
    found = client.get_trace_settings(client_timeout=SECONDS)
    equal(list(found.settings["trace_level"].value), ["OFF"])
    equal(client.get_trace_settings("digits", as_json=True, client_timeout=SECONDS)["settings"]["trace_level"]["value"], ["OFF"])
    change = {"trace_level": ["TIMESTAMPS"]}
    refused("UNIMPLEMENTED", "'trace_level'", lambda: client.update_trace_settings(settings=change, client_timeout=SECONDS))


def log_settings(client):
    check(client.get_log_settings(client_timeout=SECONDS).settings["log_info"].bool_param, "log_info is off")
    change = {"log_verbose_level": 1}
    refused("UNIMPLEMENTED", "'log_verbose_level'", lambda: client.update_log_settings(change, client_timeout=SECONDS))


def system_shared_memory(client):
    equal(len(client.get_system_shared_memory_status(client_timeout=SECONDS).regions), 0)
    register = lambda: client.register_system_shared_memory("region", "/key", 64, client_timeout=SECONDS)
    refused("UNIMPLEMENTED", "system shared memory is not served", register)
    client.unregister_system_shared_memory(client_timeout=SECONDS)


def cuda_shared_memory(client):
    equal(len(client.get_cuda_shared_memory_status(client_timeout=SECONDS).regions), 0)
    register = lambda: client.register_cuda_shared_memory("region", b"aGFuZGxl", 0, 64, client_timeout=SECONDS)
    refused("UNIMPLEMENTED", "CUDA shared memory is not served", register)
    client.unregister_cuda_shared_memory(client_timeout=SECONDS)


def tensor_in_shared_memory(client):
    region = triton.InferInput("pixels", [1, 784], "FP32")
    region.set_shared_memory("region", 3136)
    refused("UNIMPLEMENTED", "shared_memory_", lambda: client.infer("digits", [region], client_timeout=SECONDS))


def infer_raw(client):
    answer = infer(client, request_id="q-1", model_version="1")
    equal(answer.get_response().id, "q-1")
    probabilities = answer.as_numpy("probabilities")
    equal(probabilities.shape, (1, 10))
    check(abs(float(probabilities.sum()) - 1) < 1e-3, f"found probabilities that add up to {probabilities.sum()}")


def infer_bytes(client):
    words = numpy.array([b"", "Füße".encode(), b"a" * 100_000], dtype=numpy.object_)
    answer = client.infer("text", tensor("x", words), client_timeout=SECONDS)
    equal(list(answer.as_numpy("y")), list(words))
    values = numpy.array([b"a", b"\xff\x00"], dtype=numpy.object_)  # ONNX strings are text
    refused("INVALID_ARGUMENT", "element 1", lambda: client.infer("text", tensor("x", values), client_timeout=SECONDS))


def requested_outputs(client):
    answer = infer(client, outputs=[triton.InferRequestedOutput("probabilities")])
    equal([output.name for output in answer.get_response().outputs], ["probabilities"])
    wrong = [triton.InferRequestedOutput("none")]
    refused("INVALID_ARGUMENT", "'none'", lambda: infer(client, outputs=wrong))


def classification(client):
    answer = infer(client, outputs=[triton.InferRequestedOutput("probabilities", class_count=3)])
    classes = [text.decode().split(":") for text in answer.as_numpy("probabilities").reshape(-1)]
    equal(len(classes), 3)
    values = [float(value) for value, _, _ in classes]
    equal(values, sorted(values, reverse=True))
    for _, index, label in classes:
        equal(index, label)  # the labels of digits are the digits


def sequence(client):
    step = lambda value, **flags: total(client, "sums", value, sequence_id=7, **flags)
    equal([step(1, sequence_start=True), step(2), step(4, sequence_end=True)], [1, 3, 7])
    refused("FAILED_PRECONDITION", "sequence '7'", lambda: step(1))
    named = lambda value, **flags: total(client, "sums", value, sequence_id="line-4", **flags)
    equal([named(5, sequence_start=True), named(5, sequence_end=True)], [5, 10])
    unkept = lambda: total(client, "counting", 1, sequence_id=7, sequence_start=True)
    refused("UNIMPLEMENTED", "keeps no sequences", unkept)


def priority(client):
    equal(total(client, "counting", 6, priority=1), 6)


def loop(client, turns, **options):
    n = triton.InferInput("n", [], "INT64").set_data_from_numpy(numpy.array(turns, dtype=numpy.int64))
    return client.infer("loop", [n], client_timeout=SECONDS, **options)


def runs_of(client, model):
    return client.get_inference_statistics(model, client_timeout=SECONDS).model_stats[0].inference_stats.success.count


def queue_timeout(client):
    """The timeout of the schedule policy, in µs: a request that would wait longer is refused and not run."""
    equal(total(client, "counting", 6, timeout=5_000_000), 6)
    before = runs_of(client, "loop")
    long = triton.InferInput("n", [], "INT64").set_data_from_numpy(numpy.array(300_000, dtype=numpy.int64))
    done = queue.Queue()
    for _ in range(3):
        client.async_infer("loop", [long], lambda result, error: done.put(error), client_timeout=SECONDS)
    short = 0
    try:
        while short < 200:  # the long runs may arrive after the first of them
            loop(client, 1, timeout=1)
            short += 1
        raise AssertionError("every request ran, though it had waited longer than its timeout")
    except InferenceServerException as error:
        equal(error.status(), "StatusCode.DEADLINE_EXCEEDED")
        check("it was not run" in error.message(), f"found '{error.message()}'")
    equal([done.get(timeout=SECONDS) for _ in range(3)], [None, None, None])
    equal(runs_of(client, "loop") - before, 3 + short)


def client_timeout(client):
    """The client's own deadline ends the call, here or by the words of the sidecar; the server goes on."""
    long = triton.InferInput("n", [], "INT64").set_data_from_numpy(numpy.array(300_000, dtype=numpy.int64))
    refused("DEADLINE_EXCEEDED", "eadline", lambda: client.infer("loop", [long], client_timeout=0.02))
    check(client.is_server_ready(client_timeout=SECONDS), "the server is not ready after a call timed out")


def parameters(client):
    answer = client.infer("counting", number(1), parameters={"mode": "x", "depth": 3, "fast": True}, client_timeout=SECONDS)
    found = answer.get_response().parameters
    equal((found["mode"].string_param, found["depth"].int64_param, found["fast"].bool_param), ("x", 3, True))
    refused("INVALID_ARGUMENT", "'temperature'", lambda: infer(client, parameters={"temperature": "hot"}))


def headers(client):
    equal(infer(client, headers={"x-tenant": "a", "x-trace-bin": b"\x00\x01"}).as_numpy("probabilities").shape, (1, 10))


def compression(client):
    plain = infer(client).as_numpy("probabilities")
    for algorithm in ["gzip", "deflate"]:
        packed = infer(client, compression_algorithm=algorithm).as_numpy("probabilities")
        check(numpy.array_equal(plain, packed), f"{algorithm} gives another answer")


def wrong_tensors(client):
    values = numpy.zeros((1, 783), dtype=numpy.float32)
    refused("INVALID_ARGUMENT", "'pixels'", lambda: client.infer("digits", tensor("pixels", values), client_timeout=SECONDS))
    refused("INVALID_ARGUMENT", "'points'", lambda: client.infer("digits", tensor("points", PIXELS), client_timeout=SECONDS))
    refused("NOT_FOUND", "'none'", lambda: client.infer("none", tensor("pixels", PIXELS), client_timeout=SECONDS))
    version = lambda: client.infer("digits", tensor("pixels", PIXELS), model_version="9", client_timeout=SECONDS)
    refused("NOT_FOUND", "9", version)


def async_infer(client):
    done = threading.Semaphore(0)
    answers = []

    def take(result, error):
        answers.append((result, error))
        done.release()

    for _ in range(32):
        client.async_infer("digits", tensor("pixels", PIXELS), take, client_timeout=SECONDS)
    for _ in range(32):
        check(done.acquire(timeout=SECONDS), "an answer is missing")
    equal([f"{error.status()}: {error.message()}" for _, error in answers if error is not None], [])


if __name__ == "__main__":
    with triton.InferenceServerClient(sys.argv[1]) as client:
        sys.exit(run_cases(globals(), sys.argv[2:], client))
