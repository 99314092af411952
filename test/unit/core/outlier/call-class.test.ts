import assert from 'node:assert/strict';
import { CallClasses, NO_MODEL, sizeOf } from '../../../../sidecar/core/outlier/call-class.js';
import { KINDS, Latencies, SPAN_MS } from '../../../../sidecar/core/outlier/latency.js';

const INFER = '/inference.GRPCInferenceService/ModelInfer';

/** What the calls are asked: method, model, size, when. */
function numbersOf(
  kinds: CallClasses,
  calls: readonly (readonly [method: string, model: string, bytes: number, atMs?: number])[],
): number[] {
  return calls.map(([method, model, bytes, atMs = 0]) => {
    const octets = Buffer.from(`${model}-and what lies behind it`);
    return kinds.numberOf(method, octets, model.length, bytes, atMs);
  });
}

describe('Kinds of calls', () => {
  it('tells sizes apart by powers of 4', () => {
    assert.deepEqual(
      [0, 1, 3, 4, 15, 16, 1_024, 4_095, 4_096, 67_108_864, 2 ** 40].map(sizeOf),
      [0, 0, 0, 1, 1, 2, 5, 5, 6, 13, 13],
    );
  });

  it('are by method, model and size, and numbered as they turn up', () => {
    const kinds = new CallClasses();
    assert.deepEqual(
      numbersOf(kinds, [
        [INFER, 'digits', 100],
        [INFER, 'digitz', 100],
        [INFER, 'digit', 100],
        [INFER, 'digits', 5_000],
        ['/inference.GRPCInferenceService/ModelReady', 'digits', 100],
        [INFER, '', 100],
        [INFER, 'digits', 120],
        [INFER, 'digitz', 80],
        [INFER, '', 100],
      ]),
      [0, 1, 2, 3, 4, 5, 0, 1, 5],
    );
    assert.equal(kinds.numberOf(INFER, NO_MODEL, 0, 100, 0), 5);
  });

  it('keep a name of their own: the octets it came in are read into again', () => {
    const kinds = new CallClasses();
    const octets = Buffer.from('one');
    assert.equal(kinds.numberOf(INFER, octets, 3, 9, 0), 0);
    octets.write('two');
    assert.equal(kinds.numberOf(INFER, octets, 3, 9, 0), 1);
    octets.write('one');
    assert.equal(kinds.numberOf(INFER, octets, 3, 9, 0), 0);
  });

  const fill = (kinds: CallClasses, atMs: number): number[] =>
    numbersOf(
      kinds,
      Array.from({ length: KINDS }, (_, i) => [INFER, `model ${i}`, 100, atMs] as const),
    );

  it('have no number when there are too many of them at once', () => {
    const kinds = new CallClasses();
    assert.deepEqual(
      fill(kinds, 0),
      Array.from({ length: KINDS }, (_, i) => i),
    );
    assert.deepEqual(
      numbersOf(kinds, [
        [INFER, 'one more', 100],
        [INFER, 'model 5', 100],
        [INFER, 'one more', 100, 2 * SPAN_MS - 1],
      ]),
      [-1, 5, -1],
    );
  });

  it('give their number away when no time of theirs counts any more', () => {
    const kinds = new CallClasses();
    fill(kinds, 0);
    assert.deepEqual(
      numbersOf(kinds, [
        [INFER, 'model 0', 100, 1],
        [INFER, 'one more', 100, 2 * SPAN_MS],
        [INFER, 'model 1', 100, 2 * SPAN_MS],
        [INFER, 'model 0', 100, 2 * SPAN_MS],
      ]),
      [0, 1, 2, 0],
    );
  });

  it('begin with nothing under a number that was another’s', () => {
    for (const lastMs of [0, 1, SPAN_MS - 1, SPAN_MS, SPAN_MS + 1, 7_777.7]) {
      const latencies = new Latencies();
      latencies.record(3, 10, lastMs);
      assert.equal(latencies.at(3, lastMs + 2 * SPAN_MS)!.count, 0, `${lastMs}`);
    }
  });
});
