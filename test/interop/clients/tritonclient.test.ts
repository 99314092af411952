/** Triton's Python client, unchanged: every call of it through two sidecars with mutual TLS. */

import { suiteModels } from '../../kit/interop/model-pair.js';
import { pythonCases } from '../../kit/interop/python-cases.js';
import { EFFORT } from '../../kit/mocha/effort.js';

const SYNC = [
  ...['health', 'server_metadata', 'model_metadata', 'model_config', 'inference_statistics', 'repository'],
  ...['trace_settings', 'log_settings', 'system_shared_memory', 'cuda_shared_memory'],
  ...[
    'tensor_in_shared_memory',
    'infer_raw',
    'infer_bytes',
    'requested_outputs',
    'classification',
    'sequence',
  ],
  ...['priority', 'queue_timeout', 'client_timeout', 'parameters', 'headers', 'compression', 'wrong_tensors'],
  'async_infer',
];
const AIO = [
  ...['health', 'metadata_and_config', 'statistics_and_repository', 'settings', 'infer_many', 'infer_bytes'],
  ...['sequence', 'cancel', 'refusals', 'stream_infer', 'stream_cancel'],
];
const STREAM = [
  ...[
    'decoupled',
    'empty_final_response',
    'one_answer_each',
    'error_in_the_middle',
    'sequence',
    'stop_and_start',
  ],
  ...['cancel_requests', 'stream_timeout', 'compression', 'grpc_error_header', 'many_streams'],
];

/** What a stream makes of requests for several models. */
const MODELS = { 'one process': 'several_models', 'a process per model': 'one_model' } as const;

/** The path is the same but for one sidecar more; both are tried at night. */
const SERVINGS =
  EFFORT > 1 ? (['one process', 'a process per model'] as const) : (['a process per model'] as const);

for (const serving of SERVINGS)
  describe(`tritonclient through two sidecars with mutual TLS, ${serving}`, () => {
    const suite = suiteModels(serving);
    const target = () => [suite.target];

    describe('the synchronous client', () =>
      pythonCases('tritonclient', 'clients/tritonclient_sync.py', SYNC, target));
    describe('the asyncio client', () =>
      pythonCases('tritonclient', 'clients/tritonclient_aio.py', AIO, target));
    describe('streams', () =>
      pythonCases('tritonclient', 'clients/tritonclient_stream.py', [...STREAM, MODELS[serving]], target));
  });
