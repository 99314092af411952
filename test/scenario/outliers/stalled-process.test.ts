/**
 * Our own process stands still, for a moment or for long, again and again, with checks of every endpoint under way and
 * their timeouts passing meanwhile. No endpoint is found unhealthy for it; one that is really frozen is found all the same.
 */
import assert from 'node:assert/strict';
import { healthAnswer } from '../../../sidecar/codec/health.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';

const NAMES = Array.from({ length: 20 }, (_, i) => `e${i}`);

for (const kind of ['grpc', 'ping', 'tcp'] as const) {
  describe(`Scenario: a stall of the sidecar itself makes no endpoint unhealthy (${kind})`, () => {
    let stack: UpstreamStack;

    beforeEach(() => {
      const times = { intervalMs: 500, timeoutMs: 200, unhealthyThreshold: 1, healthyThreshold: 1 };
      const health = { kind, service: '', ...times };
      stack = new UpstreamStack(NAMES, { health, pool: { pingIntervalMs: 0 } }, { seed: 5 });
      stack.answers((stream) => void stack.clock.after(60, () => stream.reply(healthAnswer(true))));
      stack.advance(3000);
    });

    const unhealthy = (): string[] =>
      stack.out.cluster.endpoints.filter((each) => each.unhealthy !== '').map(({ label }) => label);

    for (const stallMs of [150, 250, 500, 3000]) {
      it(`of ${stallMs} ms, twenty times`, () => {
        for (let i = 0; i < 20; i++) {
          stack.advance(137);
          stack.clock.stall(stallMs);
          stack.run();
          assert.deepEqual(unhealthy(), [], `stall ${i}`);
          stack.advance(300);
          assert.deepEqual(unhealthy(), [], `after stall ${i}`);
        }
      });
    }

    it('and the one that is frozen is found between them', () => {
      const backend = stack.backend('e7');
      backend.mode = 'silent';
      backend.peer.socket.isCut = true;
      for (let i = 0; i < 5; i++) {
        stack.clock.stall(300);
        stack.advance(3000);
      }
      assert.deepEqual(unhealthy(), ['e7:1']);
    });
  });
}
