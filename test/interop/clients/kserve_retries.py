"""One call of kserve's client, with its default retries (3 attempts on UNAVAILABLE); prints the status it ends with.

usage: kserve_retries.py TARGET
"""

import asyncio
import logging
import sys

import grpc
import numpy
from kserve import InferenceGRPCClient, InferInput, InferRequest


async def main(target):
    tensor = InferInput(name="x", shape=[1], datatype="INT32")
    tensor.set_data_from_numpy(numpy.array([1], dtype=numpy.int32), binary_data=True)
    async with InferenceGRPCClient(target, timeout=20) as client:
        try:
            await client.infer(InferRequest(model_name="m", infer_inputs=[tensor]))
            print("OK")
        except grpc.RpcError as error:
            print(error.code().name)


logging.disable(logging.CRITICAL)
asyncio.run(main(sys.argv[1]))
