/** How fast streams flow is shown, endpoint by endpoint; nothing is held against a slow one, nor against one whose caller is slow. */
import assert from 'node:assert/strict';
import { grpcMessage, windowUpdate } from '../../kit/http2/h2-frames.js';
import { DetectorPool } from '../../kit/scenario/detector-pool.js';
import { aStreamRoute } from '../../kit/stack/stack.js';

const TOKEN = grpcMessage(Buffer.from('token'));
const LASTS_MS = 5_000;

describe('Scenario: the pace of streams', () => {
  let pool: DetectorPool;

  /** Sends a message every `everyMs`, for five seconds. */
  const flows = (name: string, everyMs: number): void =>
    pool.answers((stream) => {
      stream.begin();
      const endMs = pool.clock.now() + LASTS_MS;
      const goOn = (): void => {
        if (stream.resetCode !== undefined) return;
        if (pool.clock.now() >= endMs) return void stream.trailers(0);
        stream.data(TOKEN);
        pool.clock.after(everyMs, goOn);
      };
      goOn();
    }, name);
  const paceOf = (name: string): number => pool.endpoint(name).pace.messagesPerSecond;

  beforeEach(() => {
    pool = new DetectorPool(['a', 'b', 'c'], { routes: [aStreamRoute()] });
    flows('a', 100);
    for (const name of ['b', 'c']) flows(name, 20);
  });

  it('is what one stream gives in a second, and ejects no endpoint', () => {
    for (let i = 0; i < 48; i++) {
      pool.call();
      pool.advance(200);
    }
    pool.advance(2 * LASTS_MS);
    assert.ok(Math.abs(paceOf('a') - 10) < 1, `${paceOf('a')}`);
    for (const name of ['b', 'c']) assert.ok(Math.abs(paceOf(name) - 50) < 3, `${paceOf(name)}`);
    assert.deepEqual(pool.states, ['eligible', 'eligible', 'eligible']);
  });

  it('is not that of a caller that does not keep up', () => {
    const slow = { settings: [[4, 40]], replenishes: false } as const;
    const caller = pool.app(pool.out.listener, undefined, slow);
    const call = pool.settle(caller.call());
    for (let i = 0; i < 2_000 && !call.isOver; i++) {
      caller.send(windowUpdate(0, 4));
      pool.settle(call.credit(4));
      pool.advance(100);
    }
    assert.equal(call.status, 0);
    assert.deepEqual(pool.names.map(paceOf), [0, 0, 0]);
  });

  it('is not that of a caller that has more to say', () => {
    const call = pool.call({ body: null });
    const stream = pool.requests[0]!;
    pool.settle(stream.begin());
    for (let i = 0; i < 100; i++) {
      pool.settle(stream.data(TOKEN));
      pool.advance(50);
    }
    pool.settle(call.end());
    pool.advance(2 * LASTS_MS);
    assert.deepEqual(pool.names.map(paceOf), [0, 0, 0]);
  });
});
