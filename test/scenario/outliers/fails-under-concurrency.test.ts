/**
 * A replica begins to fail while many calls are under way. It is out with the fifth answer that fails, whatever else is
 * in flight: what follows are the calls it had by then, and none of them is charged a second time.
 */
import assert from 'node:assert/strict';
import { findingsOf } from '../../kit/core/ejections.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { DetectorPool } from '../../kit/scenario/detector-pool.js';

const IN_FLIGHT = 120;

describe('Scenario: an endpoint fails under concurrency', () => {
  it('is out with the fifth failure, with a hundred calls in flight, and gets no further one', () => {
    const pool = new DetectorPool();
    const held: PeerStream[] = [];
    pool.backend('b').answer = (stream) => void held.push(stream);
    for (let i = 0; i < IN_FLIGHT; i++) pool.caller.call();
    pool.run();
    assert.equal(held.length, IN_FLIGHT / 3);
    for (const [i, stream] of held.entries()) {
      assert.equal(pool.report('b').state, i < 5 ? 'eligible' : 'ejected', `after ${i} failures`);
      pool.settle(stream.fail(14));
    }
    const found = pool.load(300, 10);
    assert.equal(found['b'], undefined);
    assert.equal(held.length, IN_FLIGHT / 3);
    const { detected } = findingsOf(pool.out.cluster.ejections);
    assert.deepEqual([pool.endpoint('b').ejection.ejections, detected], [1, 1]);
  });
});
