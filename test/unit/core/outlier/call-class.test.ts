import assert from 'node:assert/strict';
import { CallClasses, NO_MODEL, sizeOf } from '../../../../sidecar/core/outlier/call-class.js';
import { Latencies, MAX_CALL_CLASSES, SPAN_MS } from '../../../../sidecar/core/outlier/latency.js';

const INFER = '/inference.GRPCInferenceService/ModelInfer';

/** Numbers of these calls, each given by method, model, size and time. */
function numbersOf(
  classes: CallClasses,
  calls: readonly (readonly [method: string, model: string, bytes: number, atMs?: number])[],
): number[] {
  return calls.map(([method, model, bytes, atMs = 0]) => {
    const key = Buffer.from(`${model}-and bytes behind it`);
    return classes.indexOf(method, key, model.length, bytes, atMs);
  });
}

describe('CallClasses', () => {
  it('has size classes by powers of 4', () => {
    const sizes = [0, 1, 3, 4, 15, 16, 1_024, 4_095, 4_096, 67_108_864, 2 ** 40].map(sizeOf);
    assert.deepEqual(sizes, [0, 0, 0, 1, 1, 2, 5, 5, 6, 13, 13]);
  });

  it('numbers classes by method, model and size as they appear', () => {
    const classes = new CallClasses();
    const numbers = numbersOf(classes, [
      [INFER, 'digits', 100],
      [INFER, 'digitz', 100],
      [INFER, 'digit', 100],
      [INFER, 'digits', 5_000],
      ['/inference.GRPCInferenceService/ModelReady', 'digits', 100],
      [INFER, '', 100],
      [INFER, 'digits', 120],
      [INFER, 'digitz', 80],
      [INFER, '', 100],
    ]);
    assert.deepEqual(numbers, [0, 1, 2, 3, 4, 5, 0, 1, 5]);
    assert.equal(classes.indexOf(INFER, NO_MODEL, 0, 100, 0), 5);
  });

  it('copies the model name, whose buffer is reused', () => {
    const classes = new CallClasses();
    const key = Buffer.alloc(3);
    const numbers = ['one', 'two', 'one'].map((name) => {
      key.write(name);
      return classes.indexOf(INFER, key, 3, 9, 0);
    });
    assert.deepEqual(numbers, [0, 1, 0]);
  });

  const all = Array.from({ length: MAX_CALL_CLASSES }, (_, i) => i);
  const fill = (classes: CallClasses, atMs: number): number[] =>
    numbersOf(
      classes,
      all.map((i) => [INFER, `model ${i}`, 100, atMs] as const),
    );

  it('gives no number while all are in use', () => {
    const classes = new CallClasses();
    assert.deepEqual(fill(classes, 0), all);
    const numbers = numbersOf(classes, [
      [INFER, 'one more', 100],
      [INFER, 'model 5', 100],
      [INFER, 'one more', 100, 2 * SPAN_MS - 1],
    ]);
    assert.deepEqual(numbers, [-1, 5, -1]);
  });

  it('reuses a number when no latency recorded under it counts any more', () => {
    const classes = new CallClasses();
    fill(classes, 0);
    const numbers = numbersOf(classes, [
      [INFER, 'model 0', 100, 1],
      [INFER, 'one more', 100, 2 * SPAN_MS],
      [INFER, 'model 1', 100, 2 * SPAN_MS],
      [INFER, 'model 0', 100, 2 * SPAN_MS],
    ]);
    assert.deepEqual(numbers, [0, 1, 2, 0]);
  });

  it('finds no latencies of the former class under a reused number', () => {
    for (const lastMs of [0, 1, SPAN_MS - 1, SPAN_MS, SPAN_MS + 1, 7_777.7]) {
      const latencies = new Latencies();
      latencies.record(3, 10, lastMs);
      assert.equal(latencies.at(3, lastMs + 2 * SPAN_MS)!.window.count, 0, `${lastMs}`);
    }
  });

  it('counts how often a number has been given away', () => {
    const classes = new CallClasses();
    fill(classes, 0);
    numbersOf(classes, [[INFER, 'one more', 100, 2 * SPAN_MS]]);
    assert.deepEqual([classes.generationOf(0), classes.generationOf(1)], [2, 1]);
  });
});
