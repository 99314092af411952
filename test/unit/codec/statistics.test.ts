/** ModelStatistics as our model server writes it with protobuf.js, read and written by the sidecar. */
import assert from 'node:assert/strict';
import { protocols } from '../../../proto/load.js';
import type { ModelStatistics as Message } from '../../../proto/messages.js';
import {
  batchSizes,
  decodeStatistics,
  decodeStatisticsRequest,
  encodeStatistics,
} from '../../../sidecar/codec/statistics.js';

const { ModelStatistics } = protocols().inference;

describe('messages of statistics', () => {
  const times = (count: number) => ({ count, ns: count * 1_000 });
  const parts = { compute_input: times(4), compute_infer: times(5), compute_output: times(6) };
  const model: Message = {
    name: 'digits',
    version: '2',
    last_inference: 1_764_000_000_000,
    inference_count: 12,
    execution_count: 5,
    inference_stats: { success: times(10), fail: times(2), queue: times(3), ...parts },
    batch_stats: [
      { batch_size: 8, ...parts },
      { batch_size: 1, ...parts },
    ],
    memory_usage: [{ type: 'CPU', id: 0, byte_size: 70_000_000 }],
  };
  const encoded = ModelStatistics.responseSerialize({ model_stats: [model, { ...model, name: 'lite' }] });

  it('are read as an independent encoder writes them', () => {
    const [digits, lite] = decodeStatistics(encoded);
    assert.deepEqual([digits!.name, digits!.version, lite!.name], ['digits', '2', 'lite']);
    assert.equal(digits!.lastInferenceMs, 1_764_000_000_000);
    assert.equal(digits!.memoryBytes, 70_000_000);
    const { counts } = digits!;
    assert.deepEqual([counts.get('inference_count'), counts.get('execution_count')], [12, 5]);
    assert.deepEqual([counts.get('success.count'), counts.get('fail.ns')], [10, 2_000]);
    assert.equal(counts.get('batch.8.compute_infer.count'), 5);
    assert.deepEqual(batchSizes(counts), [1, 8]);
  });

  it('are written so that an independent decoder reads the same', () => {
    const written = ModelStatistics.responseDeserialize(encodeStatistics(decodeStatistics(encoded)));
    const [read] = written.model_stats;
    assert.equal(Number(read!.inference_count), 12);
    assert.equal(Number(read!.inference_stats!.compute_output.ns), 6_000);
    assert.deepEqual(
      read!.batch_stats.map((each) => [Number(each.batch_size), Number(each.compute_infer!.count)]),
      [
        [1, 5],
        [8, 5],
      ],
    );
    assert.equal(Number(read!.memory_usage[0]!.byte_size), 70_000_000);
  });

  it('are asked for by name and version', () => {
    const asked = ModelStatistics.requestSerialize({ name: 'digits', version: '2' });
    assert.deepEqual(decodeStatisticsRequest(asked), { name: 'digits', version: '2' });
    assert.deepEqual(decodeStatisticsRequest(Buffer.alloc(0)), { name: '', version: '' });
  });

  it('that are cut off are refused', () => {
    assert.throws(() => decodeStatistics(encoded.subarray(0, encoded.length - 3)), RangeError);
  });
});
