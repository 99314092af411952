import assert from 'node:assert/strict';
import { EndpointForesight } from '../../../../sidecar/core/foresight/endpoint-foresight.js';
import { judgeAll } from '../../../../sidecar/core/foresight/judge.js';

/** Endpoints of which each shows one of these shares of failures. */
function failing(...shares: readonly number[]): EndpointForesight[] {
  return shares.map((share) => {
    const each = new EndpointForesight();
    each.look({ successes: 200, faults: 0, calls: 0 }, () => 0, 0);
    each.judge({ shift: 0, faults: 0, growth: 0 }, 0);
    each.look({ successes: 200 + 1_000 * (1 - share), faults: 1_000 * share, calls: 0 }, () => 0, 1_000);
    return each;
  });
}

describe('the endpoints of a pool', () => {
  it('are each held against the median of the others', () => {
    const changes = judgeAll(failing(0, 0, 0.05, 0), 1_000);
    assert.deepEqual(changes, [undefined, undefined, 'rose', undefined]);
  });

  it('are not suspected of what all show', () => {
    assert.deepEqual(judgeAll(failing(0.05, 0.05, 0.05), 1_000), [undefined, undefined, undefined]);
    assert.deepEqual(judgeAll(failing(0.05, 0.05), 1_000), [undefined, undefined]);
  });

  it('of which there is one is held against itself', () => {
    assert.deepEqual(judgeAll(failing(0.05), 1_000), ['rose']);
    assert.deepEqual(judgeAll([], 1_000), []);
  });
});
