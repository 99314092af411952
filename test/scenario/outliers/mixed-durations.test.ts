/** Calls of 1 ms and of 2 s at the same replicas: no replica is found bad for those that it was given. */
import assert from 'node:assert/strict';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { aRoute } from '../../kit/stack/stack.js';
import { seeded } from '../../kit/time/seeded-random.js';

const DETECTORS = { latency: { mode: 'enforce', factor: 3, minCalls: 20 } } as never;

/** Three replicas whose calls take from 1 ms to 2 s, by chance, `slowBy` times as long at the first. */
function mixed(slowBy = 1): UpstreamStack {
  const ejection = { detectors: DETECTORS } as never;
  const stack = new UpstreamStack(['a', 'b', 'c'], { ejection, routes: [aRoute({ timeoutMs: 60_000 })] });
  const random = seeded(5);
  for (const name of stack.names) {
    const factor = name === 'a' ? slowBy : 1;
    stack.answers((stream) => {
      const tookMs = factor * 2_000 ** random();
      stack.clock.after(tookMs, () => void stream.reply(Buffer.from(name)));
    }, name);
  }
  return stack;
}

describe('Scenario: calls that take from 1 ms to 2 s', () => {
  it('get no replica ejected in five minutes', () => {
    const stack = mixed();
    const answers = stack.load(3_000, 100);
    stack.advance(2_000);
    for (const name of stack.names) assert.equal(stack.endpoint(name).ejection.ejections, 0, name);
    for (const name of stack.names) assert.ok((answers[name] ?? 0) > 750, JSON.stringify(answers));
    stack.assertIdle();
  });

  it('do not hide a replica that takes ten times as long', () => {
    const stack = mixed(10);
    stack.load(1_500, 40);
    const states = stack.names.map((name) => stack.endpoint(name).ejection.ejections > 0);
    assert.deepEqual(states, [true, false, false]);
  });
});
