"""kserve's InferenceGRPCClient: every call of it, and its retries.

usage: kserve_client.py TARGET CASE...
"""

import asyncio
import sys

import grpc
import numpy
from kserve import InferenceGRPCClient, InferInput, InferRequest

from cases import PIXELS, check, equal, report


def request(model, name, values, datatype, **options):
    tensor = InferInput(name=name, shape=list(values.shape), datatype=datatype)
    tensor.set_data_from_numpy(values, binary_data=True)
    return InferRequest(model_name=model, infer_inputs=[tensor], **options)


def number(value, model="counting", **options):
    return request(model, "number", numpy.array([value], dtype=numpy.int32), "INT32", **options)


async def refused(code, words, call):
    try:
        await call
    except grpc.RpcError as error:
        equal(error.code(), code)
        check(words in error.details(), f"found '{error.details()}', expected '{words}' in it")
        return
    raise AssertionError(f"the call succeeded, expected {code}")


async def health(client):
    check(await client.is_server_live() and await client.is_server_ready(), "the server is not ready")
    check(await client.is_model_ready("digits"), "the model is not ready")
    await refused(grpc.StatusCode.NOT_FOUND, "'none'", client.is_model_ready("none"))


async def infer(client):
    answer = await client.infer(request("digits", "pixels", PIXELS, "FP32", request_id="k-1"))
    equal((answer.id, answer.model_name), ("k-1", "digits"))
    equal(answer.outputs[0].as_numpy().shape, (1, 10))


async def infer_contents(client):
    """Without binary data kserve puts the elements into `contents`."""
    tensor = InferInput(name="pixels", shape=[1, 784], datatype="FP32")
    tensor.set_data_from_numpy(PIXELS, binary_data=False)
    answer = await client.infer(InferRequest(model_name="digits", infer_inputs=[tensor]))
    equal(answer.outputs[0].as_numpy().shape, (1, 10))


async def infer_bytes(client):
    words = numpy.array([b"a", "Füße".encode()], dtype=numpy.object_)
    answer = await client.infer(request("text", "x", words, "BYTES"))
    equal([bytes(word) for word in answer.outputs[0].as_numpy()], list(words))


async def parameters_and_headers(client):
    asked = number(3, parameters={"mode": "x", "depth": 3})
    answer = await client.infer(asked, headers=(("x-tenant", "a"),), timeout=10)
    equal(int(answer.outputs[0].as_numpy()[0]), 3)
    check("x" in str(answer.parameters["mode"]), f"found {answer.parameters}")


async def errors(client):
    await refused(grpc.StatusCode.INVALID_ARGUMENT, "found -1", client.infer(number(-1)))
    await refused(grpc.StatusCode.NOT_FOUND, "'none'", client.infer(number(1, model="none")))


async def timeout(client):
    long = request("loop", "n", numpy.array(300_000, dtype=numpy.int64), "INT64")
    await refused(grpc.StatusCode.DEADLINE_EXCEEDED, "eadline", client.infer(long, timeout=0.02))


async def main(target, names):
    failed = 0
    async with InferenceGRPCClient(target, timeout=20) as client:
        for name in names:
            try:
                await globals()[name](client)
                report(name)
            except Exception as error:  # every failure is a result, whatever its kind
                failed = 1
                report(name, error)
    return failed


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1], sys.argv[2:])))
