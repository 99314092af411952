import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { describedDefinitions, protocols, protoFile } from '../../../proto/load.js';

interface Descriptor {
  readonly name: string;
  readonly field: readonly { readonly name: string; readonly number: number }[];
  readonly nestedType?: readonly Descriptor[];
}

/** Fields of a message or, after a dot, of one inside it: `name = 1, version = 2`. */
function fieldsOf(name: string): string {
  const definitions = describedDefinitions();
  const typeOf = (full: string) => (definitions[full] as unknown as { type: Descriptor } | undefined)?.type;
  const outer = typeOf(name.slice(0, name.lastIndexOf('.')));
  const inner = outer?.nestedType?.find((nested) => name.endsWith(`.${nested.name}`));
  return (typeOf(name) ?? inner)!.field.map((f) => `${f.name} = ${f.number}`).join(', ');
}

const TENSOR = 'name = 1, datatype = 2, shape = 3, parameters = 4, contents = 5';
const METHODS = [
  ...['ServerLive', 'ServerReady', 'ModelReady', 'ServerMetadata', 'ModelMetadata', 'ModelInfer'],
  ...['ModelStreamInfer', 'ModelConfig', 'ModelStatistics'],
  ...['RepositoryIndex', 'RepositoryModelLoad', 'RepositoryModelUnload', 'TraceSetting', 'LogSettings'],
  ...['System', 'Cuda'].flatMap((kind) =>
    ['Status', 'Register', 'Unregister'].map((action) => `${kind}SharedMemory${action}`),
  ),
];
const DURATIONS = 'compute_input = 4, compute_infer = 5, compute_output = 6';
const MESSAGES = {
  'inference.ModelStreamInferResponse': 'error_message = 1, infer_response = 2',
  'inference.ModelConfig':
    'name = 1, platform = 2, version_policy = 3, max_batch_size = 4, input = 5, output = 6, instance_group = 7, default_model_filename = 8, dynamic_batching = 11, sequence_batching = 13, parameters = 14, backend = 17, model_transaction_policy = 19',
  'inference.ModelConfig.Input': 'name = 1, data_type = 2, dims = 4, optional = 8',
  'inference.ModelConfig.Output': 'name = 1, data_type = 2, dims = 3, label_filename = 4',
  'inference.ModelStatistics':
    'name = 1, version = 2, last_inference = 3, inference_count = 4, execution_count = 5, inference_stats = 6, batch_stats = 7, memory_usage = 8',
  'inference.InferStatistics': `success = 1, fail = 2, queue = 3, ${DURATIONS}`,
  'inference.RepositoryIndexResponse.ModelIndex': 'name = 1, version = 2, state = 3, reason = 4',
  'inference.RepositoryModelLoadRequest': 'repository_name = 1, model_name = 2, parameters = 3',
  'inference.ModelInferRequest':
    'model_name = 1, model_version = 2, id = 3, parameters = 4, inputs = 5, outputs = 6, raw_input_contents = 7',
  'inference.ModelInferRequest.InferInputTensor': TENSOR,
  'inference.ModelInferResponse.InferOutputTensor': TENSOR,
  'inference.ModelInferRequest.InferRequestedOutputTensor': 'name = 1, parameters = 2',
  'inference.ModelInferResponse':
    'model_name = 1, model_version = 2, id = 3, parameters = 4, outputs = 5, raw_output_contents = 6',
  'inference.InferParameter':
    'bool_param = 1, int64_param = 2, string_param = 3, double_param = 4, uint64_param = 5',
  'inference.InferTensorContents':
    'bool_contents = 1, int_contents = 2, int64_contents = 3, uint_contents = 4, uint64_contents = 5, fp32_contents = 6, fp64_contents = 7, bytes_contents = 8',
  'inference.ModelMetadataResponse':
    'name = 1, versions = 2, platform = 3, inputs = 4, outputs = 5, properties = 6',
  'inference.ModelMetadataResponse.TensorMetadata': 'name = 1, datatype = 2, shape = 3',
  'grpc.health.v1.HealthCheckRequest': 'service = 1',
  'grpc.health.v1.HealthCheckResponse': 'status = 1',
};

describe('the protocol definitions', () => {
  it('are read from the files beside the sources, from wherever this runs', () => {
    for (const name of ['inference.proto', 'health.proto'] as const) assert.ok(existsSync(protoFile(name)));
    assert.equal(protocols(), protocols());
  });

  it('keep the names and numbers that other servers and clients of the protocol use', () => {
    assert.deepEqual(
      Object.values(protocols().inference).map((m) => m.path),
      METHODS.map((n) => `/inference.GRPCInferenceService/${n}`),
    );
    for (const [name, fields] of Object.entries(MESSAGES)) assert.equal(fieldsOf(name), fields, name);
    const { Check, Watch } = protocols().health;
    assert.deepEqual([Check.path, Check.responseStream], ['/grpc.health.v1.Health/Check', false]);
    assert.deepEqual([Watch.path, Watch.responseStream], ['/grpc.health.v1.Health/Watch', true]);
  });

  it('give reflection the names that protoc gives', () => {
    const definitions = describedDefinitions();
    const inference = definitions['inference.ModelInferRequest'] as { fileDescriptorProtos: Buffer[] };
    const files = inference.fileDescriptorProtos.map((bytes) => bytes.toString('latin1'));
    // A name in a descriptor follows its tag (`\\n` for a type, `2` for a field's type) and its length.
    for (const entry of ['\n\x0fPropertiesEntry', '\n\x0fParametersEntry'])
      assert.ok(files.some((file) => file.includes(entry)));
    // json_name: field 10.
    for (const json of ['R\x09modelName', 'R\x11rawOutputContents'])
      assert.ok(files.some((file) => file.includes(json)));
    for (const wrong of ['\n\nProperties', '\n\nParameters', '2\nProperties', '2\nParameters'])
      assert.ok(files.every((file) => !file.includes(wrong)));
  });

  it('lose no bit of a 64-bit integer', () => {
    const { ModelInfer } = protocols().inference;
    const int64 = ['9223372036854775807', '-9223372036854775808', '9007199254740993'];
    const uint64 = ['18446744073709551615', '0'];
    const contents = { int64_contents: int64, uint64_contents: uint64 };
    const parameters = { p: { uint64_param: uint64[0]! } };
    const bytes = ModelInfer.requestSerialize({
      model_name: 'm',
      inputs: [{ name: 'x', datatype: 'INT64', shape: int64, contents, parameters }],
    });
    const read = ModelInfer.requestDeserialize(bytes).inputs?.[0];
    assert.deepEqual(read?.shape, int64);
    assert.deepEqual(read?.contents?.int64_contents, BigInt64Array.from(int64.map(BigInt)));
    assert.deepEqual(read?.contents?.uint64_contents, BigUint64Array.from(uint64.map(BigInt)));
    assert.equal(read?.parameters?.['p']?.uint64_param, uint64[0]);
  });

  it('refuse every truncation that does not fall between two fields', () => {
    const { ModelInfer } = protocols().inference;
    const bytes = ModelInfer.requestSerialize({
      model_name: 'model',
      id: 'identifier',
      raw_input_contents: [Buffer.alloc(300)],
    });
    const whole: number[] = [];
    for (let length = 0; length < bytes.length; length++) {
      try {
        ModelInfer.requestDeserialize(bytes.subarray(0, length));
        whole.push(length);
      } catch (error) {
        assert.ok(error instanceof Error);
      }
    }
    assert.deepEqual(whole, [0, 7, 19]);
  });

  it('read numbers of any fixed or varying width that they do not know, and refuse groups', () => {
    const { ModelReady } = protocols().inference;
    const unknown = Buffer.from([
      0x78, 0xff, 0xff, 0x03, 0x7d, 1, 2, 3, 4, 0x79, 1, 2, 3, 4, 5, 6, 7, 8, 0x0a, 1, 0x6d,
    ]);
    assert.deepEqual(ModelReady.requestDeserialize(unknown), { name: 'm', version: '' });
    const tooLong = [0x78, ...new Array(11).fill(0x80)];
    for (const wrong of [[0x7b], [0x7e, 1], [0x7d, 1, 2], [0x79, 1], tooLong, [0x78]])
      assert.throws(() => ModelReady.requestDeserialize(Buffer.from(wrong)), `${wrong}`);
  });
});
