import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ConnectionWaiters } from '../../../sidecar/transport/connection-waiters.js';

describe('ConnectionWaiters', () => {
  const [a, b, c] = [{}, {}, {}];

  it('waiters are served by turns of their callers, and of each in the order of arrival', () => {
    const waiters = new ConnectionWaiters<{ holder: object; name: string }>();
    const holders = { a, b, c };
    for (const name of ['a1', 'a2', 'a3', 'b1', 'c1', 'c2'])
      waiters.add({ holder: holders[name[0] as 'a' | 'b' | 'c'], name });
    const order = waiters.clear().map(({ name }) => name);
    assert.deepEqual(order, ['a1', 'b1', 'c1', 'a2', 'c2', 'a3']);
    assert.equal(waiters.take(), undefined);
  });

  it('each waiter is served once, unless it leaves', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(3), fc.nat(20)), { maxLength: 200 }), (steps) => {
        const waiters = new ConnectionWaiters<{ holder: object; n: number }>();
        const holders = [a, b, c];
        const inside = new Set<{ holder: object; n: number }>();
        for (const [what, n] of steps) {
          if (what < 2) {
            const waiter = { holder: holders[n % 3]!, n };
            waiters.add(waiter);
            inside.add(waiter);
          } else if (what === 2) {
            const taken = waiters.take();
            assert.equal(taken === undefined, inside.size === 0);
            if (taken !== undefined) assert.ok(inside.delete(taken));
          } else {
            const [one] = inside;
            if (one === undefined) continue;
            waiters.remove(one);
            waiters.remove(one);
            inside.delete(one);
          }
          assert.equal(waiters.size, inside.size);
          for (const holder of holders) {
            const hasOthers = [...inside].some((each) => each.holder !== holder);
            assert.equal(waiters.hasOthersThan(holder), hasOthers);
          }
        }
      }),
    );
  });
});
