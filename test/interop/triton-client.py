"""Cases from the stock Python client of Triton and other servers of the protocol: tritonclient.grpc.

usage: triton-client.py TARGET CASE...

Prints one JSON object per case: {"case": NAME, "ok": true} or {"case": NAME, "ok": false, "why": TEXT}; exits 1 when
one failed. The target serves the `digits` model.
"""

import json
import sys

import numpy
import tritonclient.grpc as triton

SECONDS = 20


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def pixels():
    tensor = triton.InferInput("pixels", [1, 784], "FP32")
    return [tensor.set_data_from_numpy(numpy.zeros((1, 784), dtype=numpy.float32))]


def infer(client, **options):
    return client.infer("digits", pixels(), client_timeout=SECONDS, **options)


def refused(client, code, parameter, **options):
    try:
        infer(client, **options)
    except triton.InferenceServerException as error:
        check(error.status() == f"StatusCode.{code}", f"found {error.status()}: {error.message()}")
        check(f"'{parameter}'" in error.message(), f"the message does not name {parameter}: {error.message()}")
        return
    raise AssertionError(f"{parameter} was ignored")


def health_and_metadata(client):
    check(client.is_server_live() and client.is_server_ready(), "the server is not ready")
    check(client.is_model_ready("digits"), "the model is not ready")
    metadata = client.get_model_metadata("digits")
    check([t.name for t in metadata.inputs] == ["pixels"], f"found {metadata.inputs}")


def plain_infer(client):
    answer = infer(client, request_id="q-1").as_numpy("probabilities")
    check(answer.shape == (1, 10), f"found {answer.shape}")
    check(abs(float(answer.sum()) - 1) < 1e-3, f"found probabilities that add up to {answer.sum()}")


def requested_output(client):
    answer = infer(client, outputs=[triton.InferRequestedOutput("probabilities")])
    check(answer.as_numpy("probabilities").shape == (1, 10), "the output is missing")



def classification(client):
    outputs = [triton.InferRequestedOutput("probabilities", class_count=3)]
    refused(client, "UNIMPLEMENTED", "classification", outputs=outputs)


def sequence(client):
    refused(client, "UNIMPLEMENTED", "sequence_id", sequence_id=7, sequence_start=True)


def priority(client):
    refused(client, "UNIMPLEMENTED", "priority", priority=1)


def timeout(client):
    refused(client, "UNIMPLEMENTED", "timeout", timeout=5_000_000)


def unknown_parameter(client):
    refused(client, "INVALID_ARGUMENT", "temperature", parameters={"temperature": "hot"})


def shared_memory(client):
    tensor = triton.InferInput("pixels", [1, 784], "FP32")
    tensor.set_shared_memory("region", 3136)
    try:
        client.infer("digits", [tensor], client_timeout=SECONDS)
    except triton.InferenceServerException as error:
        check(error.status() == "StatusCode.UNIMPLEMENTED", f"found {error.status()}: {error.message()}")
        check("shared_memory_" in error.message(), error.message())
        return
    raise AssertionError("shared memory was ignored")


def main(target, cases):
    failed = 0
    with triton.InferenceServerClient(target) as client:
        for name in cases:
            try:
                globals()[name](client)
                print(json.dumps({"case": name, "ok": True}), flush=True)
            except Exception as error:  # every failure is a result, whatever its kind
                failed += 1
                print(json.dumps({"case": name, "ok": False, "why": f"{type(error).__name__}: {error}"}), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
