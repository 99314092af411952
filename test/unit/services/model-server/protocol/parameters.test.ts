import assert from 'node:assert/strict';
import { status } from '@grpc/grpc-js';
import type { InferParameter, ModelInferRequest } from '../../../../../proto/messages.js';
import type { Model } from '../../../../../services/model-server/models/model.js';
import {
  inferParameter,
  parameterValue,
  readParameters,
} from '../../../../../services/model-server/protocol/parameters.js';
import type { RpcError } from '../../../../../services/model-server/rpc.js';

type Parameters = Record<string, InferParameter>;

const MODEL = { name: 'm', takesParameters: false, sequences: undefined } as unknown as Model;
const KEEPS = { ...MODEL, sequences: {} } as Model;
const CODE = { ...MODEL, takesParameters: true } as Model;

const read = (parameters: Parameters, model = MODEL, more: Partial<ModelInferRequest> = {}) =>
  readParameters(model, { model_name: 'm', inputs: [], parameters, ...more });

const refused = (code: status, message: RegExp) => (error: RpcError) => {
  assert.equal(error.code, code);
  assert.match(error.message, message);
  return true;
};

describe('the parameters of a request', () => {
  it('are none by default', () => {
    const none = {
      sequence: undefined,
      priority: 0,
      queueTimeoutMs: Number.POSITIVE_INFINITY,
      emptyFinalResponse: false,
      custom: {},
    };
    assert.deepEqual(read({}), none);
    assert.deepEqual(readParameters(MODEL, { model_name: 'm', inputs: [] }), none);
    assert.deepEqual(
      read({ timeout: { int64_param: 0 }, priority: { uint64_param: '0' }, sequence_id: { int64_param: 0 } }),
      none,
    );
  });

  it('say priority, time-out in microseconds and the last response', () => {
    const { priority, queueTimeoutMs, emptyFinalResponse } = read({
      priority: { uint64_param: '2' },
      timeout: { string_param: '1500' },
      triton_enable_empty_final_response: { bool_param: true },
    });
    assert.deepEqual([priority, queueTimeoutMs, emptyFinalResponse], [2, 1.5, true]);
  });

  it('say the sequence by number or text, for a model that keeps them', () => {
    const start = { sequence_start: { bool_param: true } };
    assert.deepEqual(
      read({ sequence_id: { uint64_param: '18446744073709551615' }, ...start }, KEEPS).sequence,
      {
        id: '18446744073709551615',
        start: true,
        end: false,
      },
    );
    assert.equal(read({ sequence_id: { string_param: 'a' } }, KEEPS).sequence?.id, 'a');
  });

  it('of a model in code may be any that no extension has', () => {
    const { custom, priority } = read(
      { mode: { string_param: 'x' }, k: { int64_param: '5' }, priority: { int64_param: 1 } },
      CODE,
    );
    assert.deepEqual([custom, priority], [{ mode: 'x', k: 5n }, 1]);
  });

  const UINT = { uint64_param: '7' };
  for (const [title, code, message, parameters, model] of [
    [
      'unknown to a network',
      status.INVALID_ARGUMENT,
      /^model 'm': found parameter 'q', which is not known; expected only sequence_id/,
      { q: UINT },
    ],
    [
      'a sequence where none is kept',
      status.UNIMPLEMENTED,
      /found parameter 'sequence_id' \(7\), but the model keeps no sequences/,
      { sequence_id: UINT },
    ],
    [
      'an end without a sequence',
      status.INVALID_ARGUMENT,
      /found 'sequence_end' without 'sequence_id', expected both/,
      { sequence_end: { bool_param: true } },
      KEEPS,
    ],
    [
      'a sequence id that is a fraction',
      status.INVALID_ARGUMENT,
      /found 'sequence_id' 1.5, expected an integer or text/,
      { sequence_id: { double_param: 1.5 } },
      KEEPS,
    ],
    [
      'a sequence id too long to keep',
      status.INVALID_ARGUMENT,
      /found a 'sequence_id' of 257 characters, expected at most 256/,
      { sequence_id: { string_param: 'a'.repeat(257) } },
      KEEPS,
    ],
    [
      'a time-out below zero',
      status.INVALID_ARGUMENT,
      /found 'timeout' -1, expected an integer from 0/,
      { timeout: { int64_param: '-1' } },
    ],
    [
      'a priority in words',
      status.INVALID_ARGUMENT,
      /found 'priority' high, expected an integer from 0/,
      { priority: { string_param: 'high' } },
    ],
    [
      'a flag that is a number',
      status.INVALID_ARGUMENT,
      /found 'sequence_start' 7, expected a bool/,
      { sequence_start: UINT },
      KEEPS,
    ],
  ] as readonly [string, status, RegExp, Parameters, Model?][])
    it(`are refused with ${title}`, () => {
      assert.throws(() => read(parameters, model), refused(code, message));
    });

  it('of tensors are checked too: what asks for nothing passes, shared memory is UNIMPLEMENTED', () => {
    const input = (parameters: Parameters) => ({
      inputs: [{ name: 'x', datatype: 'FP32', shape: [1], parameters }],
    });
    read({}, MODEL, input({ binary_data_size: UINT, shared_memory_region: { string_param: '' } }));
    const region = { shared_memory_region: { string_param: 'r' } };
    assert.throws(
      () => read({}, MODEL, input(region)),
      refused(
        status.UNIMPLEMENTED,
        /model 'm', input 'x': found parameter 'shared_memory_region' \(r\), which is not served/,
      ),
    );
    assert.throws(
      () => read({}, MODEL, { outputs: [{ name: 'y', parameters: { q: UINT } }] }),
      refused(
        status.INVALID_ARGUMENT,
        /model 'm', output 'y': found parameter 'q', which is not known; expected only classification/,
      ),
    );
  });

  it('keep their value from the wire and back', () => {
    for (const value of ['text', '', true, false, 5n, -5n, 1.5])
      assert.equal(parameterValue(inferParameter(value)), value);
    assert.equal(parameterValue({}), '');
  });
});
