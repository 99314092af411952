/**
 * Clients that cancel thousands of calls a second, beside clients that behave, through two sidecars before a server of Node,
 * which ends connections with more than 1,000 resets and 33 a second. The calls of all meet on the same connections
 * between the sidecars and to the server: those of the others must not be lost with them.
 */

import assert from 'node:assert/strict';
import { assertDisconnected } from '../kit/attacks/attacked-sidecar.js';
import { ErrorCode, rstStream } from '../kit/http2/h2-frames.js';
import { rawClient, unaryRequest } from '../kit/http2/raw-client.js';
import type { RawPeer } from '../kit/http2/raw-peer.js';
import { Caller } from '../kit/interop/client.js';
import { startLoad } from '../kit/interop/load.js';
import { type Pair, startPair } from '../kit/process/sidecars.js';
import { Knob, startTestService, type TestService } from '../kit/service/test-service.js';

const UNARY = '/grpc.testing.TestService/UnaryCall';
/** The service answers later than it is cancelled. */
const HELD: readonly [string, string] = [Knob.delayMs, '50'];
const PAUSE_MS = 5;
/** Calls of the others take this long, so that the flood has the processor. */
const GOOD_MS = 20;

/** Fewer than the calls that a connection may have open. */
const MOST_OPEN = 100;

/**
 * Opens calls at a rate, and cancels each a moment later; until there were `most`, or it is cut off. `perTurn`: how many it makes up
 * for at once where it is late. Returns how many it cancelled.
 */
async function cancelCalls(
  peer: RawPeer,
  perSecond: number,
  most: number,
  perTurn = MOST_OPEN,
): Promise<number> {
  const startedMs = performance.now();
  let opened = 0;
  let cancelled = 0;
  while (cancelled < most) {
    const due = Math.ceil(((performance.now() - startedMs) / 1000) * perSecond);
    const last = Math.min(most, opened + perTurn, due);
    const block: Buffer[] = [];
    do {
      for (; cancelled < opened; cancelled += 1) block.push(rstStream(cancelled * 2 + 1));
      for (const end = Math.min(last, opened + MOST_OPEN); opened < end; opened += 1)
        block.push(unaryRequest(opened * 2 + 1, UNARY, Buffer.alloc(0), [HELD]));
    } while (opened < last);
    if (block.length > 0 && !(await peer.sendAll(Buffer.concat(block)))) break;
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  return cancelled;
}

describe('attacks: floods of cancels beside clients that behave', () => {
  let service: TestService;
  let pair: Pair;
  let good: Caller[] = [];
  const peers: RawPeer[] = [];

  before(async function () {
    this.timeout(60_000);
    service = await startTestService();
    pair = await startPair({ local: service.address });
    await pair.ready();
    good = [1, 2, 3].map(() => new Caller(pair.target));
  });
  afterEach(async () => {
    for (const peer of peers.splice(0)) peer.close();
  });
  after(async () => {
    for (const caller of good) caller.close();
    await pair?.close();
    service?.close();
  });

  async function flooder(): Promise<RawPeer> {
    const peer = await rawClient(pair.target);
    peers.push(peer);
    return peer;
  }

  /**
   * Three clients have twelve calls in flight before, while and after `flood` goes on; all their calls must go well, however many a
   * busy machine lets them make.
   */
  async function beside<T>(flood: () => Promise<T>): Promise<T> {
    const loads = good.map((caller) => startLoad(caller, 4, GOOD_MS));
    const more = () => Promise.all(loads.map((load) => load.more(8)));
    const stopped = () => Promise.all(loads.map((load) => load.stop()));
    await more();
    const flooded = await flood().catch(async (error) => {
      await stopped();
      throw error;
    });
    await more();
    const ends = await stopped();
    const calls = ends.reduce((sum, end) => sum + end.good, 0);
    const failures = ends.flatMap((end) => end.failures);
    const found = `${failures.length} failed beside ${calls} that went well: ${failures[0]}`;
    assert.equal(failures.length, 0, found);
    assert.equal(await pair.service.limitHits('rapid-resets'), 0);
    return flooded;
  }

  it('three that stay below the limit, and cancel 5,000 calls a second together', async function () {
    this.timeout(60_000);
    // Together more than a connection may bring: the sidecar must not pass all of them on.
    const each = 4_000;
    const cancelled = await beside(async () => {
      const floods = await Promise.all([1, 2, 3].map(flooder));
      return Promise.all(floods.map((peer) => cancelCalls(peer, 1_700, each)));
    });
    assert.deepEqual(cancelled, [each, each, each], 'one of them was cut off');
    assert.ok(service.stats.cancelled > 1_500, `${service.stats.cancelled} cancels reached the service`);
    assert.equal(await pair.caller.limitHits('rapid-resets'), 0);
  });

  it('one far above the limit, which is cut off', async function () {
    this.timeout(60_000);
    await beside(async () => {
      const peer = await flooder();
      // On a machine that is busy the flood still reaches the limit: what is late is made up for, and it lasts as long as it takes.
      const most = 400_000;
      const cancelled = await cancelCalls(peer, 20_000, most, 20_000);
      assert.ok(cancelled < most, 'it was not cut off');
      await assertDisconnected(peer, [ErrorCode.enhanceYourCalm]);
    });
    assert.equal(await pair.caller.limitHits('rapid-resets'), 1);
  });
});
