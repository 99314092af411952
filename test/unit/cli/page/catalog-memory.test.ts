import assert from 'node:assert/strict';
import { CatalogMemory } from '../../../../sidecar/cli/page/catalog-memory.js';

const counts = (faults: number, latency: number) =>
  new Map([
    ['consecutive-faults', faults],
    ['latency', latency],
  ]);

describe('what a page keeps from one look at metrics to the next', () => {
  it('knows since when a state lasts, until it changes or is not seen in a look', () => {
    const memory = new CatalogMemory();
    const at = (nowMs: number, state?: string) => {
      memory.begin(nowMs);
      const since = state === undefined ? undefined : memory.since('e', state);
      memory.end();
      return since;
    };
    assert.deepEqual([at(0, 'eligible'), at(2_000, 'eligible'), at(4_000, 'ejected')], [0, 2_000, 0]);
    assert.deepEqual([at(6_000), at(8_000, 'ejected')], [undefined, 0]);
  });

  it('names the detector whose count rose last, and all that have any at the first look', () => {
    const memory = new CatalogMemory();
    assert.equal(memory.latestDetector('e', counts(0, 0)), '');
    assert.equal(memory.latestDetector('e', counts(1, 0)), 'consecutive-faults');
    assert.equal(memory.latestDetector('e', counts(1, 2)), 'latency');
    assert.equal(memory.latestDetector('e', counts(1, 2)), 'latency');
    assert.equal(memory.latestDetector('other', counts(1, 2)), 'consecutive-faults or latency');
  });

  it('takes a sidecar that was started again, whose counts are below those before, as it is', () => {
    const memory = new CatalogMemory();
    memory.latestDetector('e', counts(5, 0));
    memory.latestDetector('e', counts(0, 0));
    assert.equal(memory.latestDetector('e', counts(0, 1)), 'latency');
  });
});
