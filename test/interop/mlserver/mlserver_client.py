"""MLServer's own gRPC stubs, types and codecs as a client.

Not among the cases: metadata of a model. Its field 6 is a map of strings in the protocol, and one of messages in these stubs.

usage: mlserver_client.py TARGET CASE...
"""

import pathlib
import sys

import grpc
from mlserver.codecs import NumpyCodec
from mlserver.grpc import dataplane_pb2 as messages
from mlserver.grpc.converters import (
    ModelInferRequestConverter,
    ModelInferResponseConverter,
)
from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub
from mlserver.types import InferenceRequest, RequestOutput

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "clients"))
from cases import PIXELS, SECONDS, check, equal, run_cases  # noqa: E402


def infer(stub, request, use_raw):
    message = ModelInferRequestConverter.from_types(request, model_name="digits", use_raw=use_raw)
    answer = stub.ModelInfer(message, timeout=SECONDS)
    return ModelInferResponseConverter.to_types(answer)


def pixels(**options):
    return InferenceRequest(inputs=[NumpyCodec.encode_input("pixels", PIXELS)], **options)


def health(stub):
    check(stub.ServerLive(messages.ServerLiveRequest(), timeout=SECONDS).live, "not live")
    check(stub.ServerReady(messages.ServerReadyRequest(), timeout=SECONDS).ready, "not ready")
    check(stub.ModelReady(messages.ModelReadyRequest(name="digits"), timeout=SECONDS).ready, "model not ready")


def infer_raw(stub):
    answer = infer(stub, pixels(id="m-1"), True)
    equal((answer.id, answer.model_name), ("m-1", "digits"))
    values = NumpyCodec.decode_output(answer.outputs[0])
    equal(values.shape, (1, 10))
    check(abs(values.sum() - 1) < 1e-3, f"found {values.sum()}, expected 1")


def infer_contents(stub):
    raw = infer(stub, pixels(), True).outputs[0]
    typed = infer(stub, pixels(), False).outputs[0]
    check((NumpyCodec.decode_output(raw) == NumpyCodec.decode_output(typed)).all(), "other values")


def requested_outputs(stub):
    answer = infer(stub, pixels(outputs=[RequestOutput(name="probabilities")]), True)
    equal([output.name for output in answer.outputs], ["probabilities"])


def refusals(stub):
    for name, code in (("none", grpc.StatusCode.NOT_FOUND), ("digits", grpc.StatusCode.INVALID_ARGUMENT)):
        try:
            stub.ModelInfer(messages.ModelInferRequest(model_name=name), timeout=SECONDS)
        except grpc.RpcError as error:
            equal(error.code(), code)
            continue
        raise AssertionError(f"the call of {name} succeeded, expected {code}")


with grpc.insecure_channel(sys.argv[1]) as channel:
    sys.exit(run_cases(globals(), sys.argv[2:], GRPCInferenceServiceStub(channel)))
