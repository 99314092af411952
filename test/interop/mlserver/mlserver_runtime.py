"""A runtime of MLServer that serves one ONNX file by onnxruntime; `parameters.uri` of its settings is the file."""

import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse, MetadataTensor

DATATYPES = {"tensor(float)": "FP32", "tensor(int64)": "INT64", "tensor(int32)": "INT32"}


def declared(tensors):
    def sizes(shape):
        return [size if isinstance(size, int) else -1 for size in shape]

    return [MetadataTensor(name=t.name, datatype=DATATYPES[t.type], shape=sizes(t.shape)) for t in tensors]


class OnnxRuntime(MLModel):
    async def load(self) -> bool:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        path = self.settings.parameters.uri
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.inputs = declared(self.session.get_inputs())
        self.outputs = declared(self.session.get_outputs())
        self.names = [output.name for output in self.outputs]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        feeds = {tensor.name: NumpyCodec.decode_input(tensor) for tensor in payload.inputs}
        results = self.session.run(self.names, feeds)
        outputs = [NumpyCodec.encode_output(*named) for named in zip(self.names, results)]
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=outputs)
