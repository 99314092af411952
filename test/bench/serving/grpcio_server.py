"""Serves one ONNX file by ModelInfer, on grpc.aio and onnxruntime: `grpcio_server.py FILE PORT`. Inputs are raw numbers."""

import asyncio
import sys

import grpc
import numpy
import onnxruntime
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import np_to_triton_dtype, triton_to_np_dtype


class Servicer(service_pb2_grpc.GRPCInferenceServiceServicer):
    def __init__(self, path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.outputs = [output.name for output in self.session.get_outputs()]

    async def ModelInfer(self, request, context):
        feeds = {
            tensor.name: numpy.frombuffer(raw, dtype=triton_to_np_dtype(tensor.datatype)).reshape(tensor.shape)
            for tensor, raw in zip(request.inputs, request.raw_input_contents)
        }
        results = self.session.run(self.outputs, feeds)
        response = service_pb2.ModelInferResponse(model_name=request.model_name, model_version="1", id=request.id)
        for name, result in zip(self.outputs, results):
            response.outputs.add(name=name, datatype=np_to_triton_dtype(result.dtype), shape=result.shape)
            response.raw_output_contents.append(result.tobytes())
        return response


async def main():
    server = grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Servicer(sys.argv[1]), server)
    server.add_insecure_port(f"127.0.0.1:{sys.argv[2]}")
    await server.start()
    await server.wait_for_termination()


asyncio.run(main())
