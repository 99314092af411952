"""tritonclient.grpc.aio: the essentials of each kind of call.

usage: tritonclient_aio.py TARGET CASE...
"""

import asyncio
import sys

import numpy
import tritonclient.grpc.aio as triton
from tritonclient.utils import InferenceServerException

from cases import PIXELS, SECONDS, check, equal, report


def tensor(name, values):
    kind = {"f": "FP32", "i": "INT32", "O": "BYTES"}[values.dtype.kind]
    return [triton.InferInput(name, list(values.shape), kind).set_data_from_numpy(values)]


def number(value):
    return tensor("number", numpy.array([value], dtype=numpy.int32))


async def refused(code, words, call):
    try:
        await call
    except InferenceServerException as error:
        equal(error.status(), f"StatusCode.{code}")
        check(words in error.message(), f"found '{error.message()}', expected '{words}' in it")
        return
    raise AssertionError(f"the call succeeded, expected {code}")


async def health(client):
    check(await client.is_server_live() and await client.is_server_ready(), "the server is not ready")
    check(await client.is_model_ready("digits"), "the model is not ready")


async def metadata_and_config(client):
    equal((await client.get_server_metadata()).name, "outrider")
    equal([t.name for t in (await client.get_model_metadata("digits")).outputs], ["probabilities"])
    equal((await client.get_model_config("digits")).config.max_batch_size, 32)


async def statistics_and_repository(client):
    stats = await client.get_inference_statistics("digits")
    equal([each.name for each in stats.model_stats], ["digits"])
    index = await client.get_model_repository_index()
    check(("digits", "READY") in [(each.name, each.state) for each in index.models], f"found {index}")
    await client.unload_model("counting")
    await client.load_model("counting")
    check(await client.is_model_ready("counting"), "the model is not ready after it was loaded")


async def settings(client):
    equal(list((await client.get_trace_settings()).settings["trace_level"].value), ["OFF"])
    check((await client.get_log_settings()).settings["log_error"].bool_param, "log_error is off")
    equal(len((await client.get_system_shared_memory_status()).regions), 0)
    equal(len((await client.get_cuda_shared_memory_status()).regions), 0)


async def infer_many(client):
    calls = [client.infer("digits", tensor("pixels", PIXELS), client_timeout=SECONDS) for _ in range(64)]
    for answer in await asyncio.gather(*calls):
        equal(answer.as_numpy("probabilities").shape, (1, 10))


async def infer_bytes(client):
    words = numpy.array([b"", "Füße".encode()], dtype=numpy.object_)
    equal(list((await client.infer("text", tensor("x", words))).as_numpy("y")), list(words))


async def sequence(client):
    async def step(value, **flags):
        return int((await client.infer("sums", number(value), sequence_id=21, **flags)).as_numpy("total")[0])

    equal([await step(1, sequence_start=True), await step(2), await step(3, sequence_end=True)], [1, 3, 6])


async def cancel(client):
    """A cancelled call ends at once, and the server serves the next one."""
    long = triton.InferInput("n", [], "INT64").set_data_from_numpy(numpy.array(300_000, dtype=numpy.int64))
    task = asyncio.create_task(client.infer("loop", [long]))
    await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        pass
    equal((await client.infer("digits", tensor("pixels", PIXELS))).as_numpy("probabilities").shape, (1, 10))


async def refusals(client):
    await refused("NOT_FOUND", "'none'", client.infer("none", number(1)))
    await refused("INVALID_ARGUMENT", "found -1", client.infer("counting", number(-1)))
    await refused("INTERNAL", "minus two", client.infer("counting", number(-2)))
    await refused("UNIMPLEMENTED", "shared memory is not served", client.register_system_shared_memory("r", "/k", 8))
    await refused("UNIMPLEMENTED", "'log_info'", client.update_log_settings({"log_info": False}))
    await refused("UNIMPLEMENTED", "'trace_rate'", client.update_trace_settings(settings={"trace_rate": "9"}))


async def stream_infer(client):
    async def requests():
        for value in [3, 2]:
            yield {"model_name": "counter", "inputs": number(value), "request_id": str(value)}

    answers = {"3": [], "2": []}
    async for result, error in client.stream_infer(requests(), stream_timeout=SECONDS):
        check(error is None, f"found {error}")
        answers[result.get_response().id].append(int(result.as_numpy("total")[0]))
    equal(answers, {"3": [0, 1, 2], "2": [0, 1]})


async def stream_cancel(client):
    async def requests():
        yield {"model_name": "counter", "inputs": number(1_000_000_000)}

    answers = client.stream_infer(requests(), stream_timeout=SECONDS)
    result, error = await answers.__anext__()
    equal((int(result.as_numpy("total")[0]), error), (0, None))
    answers.cancel()
    equal(int((await client.infer("counter", number(5))).as_numpy("total")[0]), 5)


async def main(target, names):
    failed = 0
    async with triton.InferenceServerClient(target) as client:
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
