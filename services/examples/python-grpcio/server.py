"""A model service in Python: the Open Inference Protocol over gRPC, for one model. It holds no deadline, retry, queue or
restart of its own: that is the work of the sidecar before it. Usage: server.py PORT
"""

import signal
import statistics
import sys
from array import array
from concurrent.futures import ThreadPoolExecutor

import grpc
import health_pb2
import health_pb2_grpc
import inference_pb2 as oip
import inference_pb2_grpc

NAME = "statistics"
TENSOR = oip.ModelMetadataResponse.TensorMetadata


class Service(inference_pb2_grpc.GRPCInferenceServiceServicer):
    def ServerLive(self, request, context):
        return oip.ServerLiveResponse(live=True)

    def ServerReady(self, request, context):
        return oip.ServerReadyResponse(ready=True)

    def ServerMetadata(self, request, context):
        return oip.ServerMetadataResponse(name="python-grpcio", version="1")

    def ModelReady(self, request, context):
        return oip.ModelReadyResponse(ready=require_model(request.name, context))

    def ModelMetadata(self, request, context):
        require_model(request.name, context)
        return oip.ModelMetadataResponse(
            name=NAME,
            versions=["1"],
            platform="python",
            inputs=[TENSOR(name="values", datatype="FP32", shape=[-1, -1])],
            outputs=[TENSOR(name="mean", datatype="FP32", shape=[-1]), TENSOR(name="deviation", datatype="FP32", shape=[-1])],
        )

    def ModelInfer(self, request, context):
        require_model(request.model_name, context)
        rows = rows_of(request, context)
        answer = oip.ModelInferResponse(model_name=NAME, model_version="1", id=request.id)
        for name, of in (("mean", statistics.fmean), ("deviation", statistics.pstdev)):
            answer.outputs.add(name=name, datatype="FP32", shape=[len(rows)])
            answer.raw_output_contents.append(array("f", map(of, rows)).tobytes())
        return answer


class Health(health_pb2_grpc.HealthServicer):
    def Check(self, request, context):
        if request.service:
            require_model(request.service, context)
        return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)


def require_model(name, context):
    if name != NAME:
        context.abort(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: '{name}' is not found")
    return True


def rows_of(request, context):
    """The input as lists of floats: raw bytes, or typed contents."""
    found = [(tensor.name, tensor.datatype, len(tensor.shape)) for tensor in request.inputs]
    if found != [("values", "FP32", 2)]:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"found inputs {found}, expected 'values' FP32 of rank 2")
    rows, columns = request.inputs[0].shape
    raw = request.raw_input_contents
    values = array("f", raw[0]) if raw and len(raw[0]) % 4 == 0 else request.inputs[0].contents.fp32_contents
    if rows < 0 or columns < 1 or len(values) != rows * columns:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"'values': found {len(values)}, expected [{rows},{columns}]")
    return [values[i * columns : (i + 1) * columns] for i in range(rows)]


def main(port):
    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Service(), server)
    health_pb2_grpc.add_HealthServicer_to_server(Health(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    signal.signal(signal.SIGTERM, lambda *_: server.stop(grace=10))
    server.start()
    server.wait_for_termination()


main(sys.argv[1])
