/**
 * Five times as many calls as the model can serve, for a while. The model stays busy with calls that end in time, the
 * rest is refused at once, nothing is computed in vain, and all is well as soon as the load is.
 */
import assert from 'node:assert/strict';
import type { QueueConfig } from '../../../sidecar/config/model.js';
import { Flag } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import {
  type Application,
  anInbound,
  type CallOptions,
  type InboundStack,
  MESSAGE,
  Stack,
} from '../../kit/stack/stack.js';

/** The model: so many at once, each for so long; what is beyond them waits inside it, as in most servers. */
const PLACES = 4;
const RUN_MS = 20;
/** Of a request that comes slowly. */
const UPLOAD_MS = 100;
const CAPACITY_PER_SECOND = (PLACES * 1_000) / RUN_MS;
const ALLOW_ALL = [{ from: '*', to: 'digits', action: 'allow' }] as const;

interface Sent {
  readonly stream: PeerStream;
  readonly sentMs: number;
  tookMs: number;
}

class World {
  readonly stack = new Stack();
  readonly side: InboundStack;
  /** Runs that the model ended, wanted or not. */
  runs = 0;
  /** Those among them whose caller had gone. */
  vain = 0;
  private busy = 0;
  private readonly inside: PeerStream[] = [];
  private readonly open: Sent[] = [];

  constructor(queue: Partial<QueueConfig>) {
    this.side = this.stack.inbound(anInbound({ queue, intentions: ALLOW_ALL }));
    this.side.model.answer = (stream) => {
      this.inside.push(stream);
      this.work();
    };
  }

  app(name: string): Application {
    return this.stack.app(this.side.listener, name);
  }

  /** An open loop: `factor` times the capacity, for so long. */
  load(
    seconds: number,
    factor: number,
    next: (i: number) => readonly [Application, CallOptions],
    onSent: (stream: PeerStream) => void = () => {},
  ): Sent[] {
    const everyMs = 1_000 / (CAPACITY_PER_SECOND * factor);
    const sent: Sent[] = [];
    for (let i = 0; i < (seconds * 1_000) / everyMs; i++) {
      const [app, options] = next(i);
      const each = { stream: app.call(options), sentMs: this.stack.clock.now(), tookMs: Number.NaN };
      onSent(each.stream);
      sent.push(each);
      this.open.push(each);
      this.advance(everyMs);
    }
    return sent;
  }

  advance(ms: number): void {
    this.stack.advance(ms);
    const nowMs = this.stack.clock.now();
    for (let i = this.open.length - 1; i >= 0; i--) {
      const each = this.open[i]!;
      if (!each.stream.isOver) continue;
      each.tookMs = nowMs - each.sentMs;
      this.open.splice(i, 1);
    }
  }

  /** Until nothing is under way. */
  rest(): void {
    for (let i = 0; i < 5_000 && this.open.length > 0; i++) this.advance(1);
  }

  private work(): void {
    while (this.busy < PLACES) {
      const stream = this.inside.shift();
      if (stream === undefined) return;
      this.busy++;
      this.stack.clock.after(RUN_MS, () => {
        this.busy--;
        this.runs++;
        if (stream.resetCode === undefined) stream.reply();
        else this.vain++;
        this.work();
      });
    }
  }
}

const ok = (calls: readonly Sent[]): Sent[] => calls.filter(({ stream }) => stream.status === 0);
const refused = (calls: readonly Sent[]): Sent[] => calls.filter(({ stream }) => stream.status === 8);
const slowest = (calls: readonly Sent[]): number => Math.max(...calls.map(({ tookMs }) => tookMs));

describe('Scenario: overload', () => {
  let world: World;
  afterEach(() => {
    world.rest();
    world.stack.close();
  });

  const isGoodput = (calls: readonly Sent[], seconds: number): void => {
    const share = ok(calls).length / (seconds * CAPACITY_PER_SECOND);
    assert.ok(share >= 0.9, `${(100 * share).toFixed(1)} % of the capacity`);
  };

  for (const [what, queue] of [
    ['a short line', { concurrency: PLACES, maxWaiting: PLACES }],
    ['a long line, where deadlines decide', { concurrency: PLACES, maxWaiting: 1_000 }],
  ] as const) {
    it(`${what}: the model stays busy, with nothing in vain, and refusals are immediate`, () => {
      world = new World(queue);
      const web = world.app('web');
      const calls = world.load(2, 5, () => [web, { timeout: '400m' }]);
      world.rest();
      isGoodput(calls, 2);
      assert.equal(ok(calls).length + refused(calls).length, calls.length, 'no call waits in vain');
      assert.equal(world.vain, 0);
      assert.ok(slowest(refused(calls)) <= 1, `${slowest(refused(calls))} ms`);
      assert.ok(slowest(ok(calls)) <= 400);
      // The load drops: the rest of the queue is served, and then no call is refused any more.
      const after = world.load(1, 0.8, () => [web, { timeout: '400m' }]);
      world.rest();
      const lastBad = after.findLastIndex(({ stream, tookMs }) => stream.status !== 0 || tookMs > 3 * RUN_MS);
      assert.ok(lastBad < after.length / 2, `${lastBad} of ${after.length}`);
    });
  }

  it('requests that take long to come are refused before they are sent', () => {
    world = new World({ concurrency: PLACES, maxWaiting: PLACES });
    const web = world.app('web');
    const calls = world.load(
      2,
      5,
      () => [web, { timeout: '1S', body: null }],
      (stream) =>
        world.stack.clock.after(UPLOAD_MS, () => {
          if (!stream.isOver) stream.data(MESSAGE, Flag.endStream);
        }),
    );
    world.rest();
    isGoodput(calls, 2);
    const early = refused(calls).filter(({ tookMs }) => tookMs <= 1).length;
    // The others found room in the line when they came, and it was gone when they were complete.
    assert.ok(early > refused(calls).length / 3, `${early} of ${refused(calls).length}`);
  });

  it('a short line keeps what is served quick: at most two runs', () => {
    world = new World({ concurrency: PLACES, maxWaiting: PLACES });
    const web = world.app('web');
    const calls = world.load(2, 5, () => [web, { timeout: '1S' }]);
    world.rest();
    assert.ok(slowest(ok(calls)) <= 2 * RUN_MS + 2, `${slowest(ok(calls))} ms`);
  });

  it('a number that is far too high is found out, and the model’s own line stays short', () => {
    world = new World({ concurrency: 64, maxWaiting: 16, adaptive: { min: 1, max: 200 } });
    const web = world.app('web');
    world.load(6, 5, () => [web, { timeout: '1S' }]);
    const calls = world.load(3, 5, () => [web, { timeout: '1S' }]);
    world.rest();
    isGoodput(calls, 3);
    const { concurrency } = world.side.backend.queue;
    assert.ok(concurrency >= PLACES && concurrency <= 3 * PLACES, `${concurrency}`);
  });

  it('a number so high that every deadline passes inside the model is found out too', () => {
    world = new World({ concurrency: 100, maxWaiting: 16, adaptive: { min: 1, max: 200 } });
    const web = world.app('web');
    const hopeless = world.load(1, 5, () => [web, { timeout: '150m' }]);
    world.load(10, 5, () => [web, { timeout: '150m' }]);
    const calls = world.load(3, 5, () => [web, { timeout: '150m' }]);
    world.rest();
    assert.ok(ok(hopeless).length < 0.9 * CAPACITY_PER_SECOND, 'the scenario is none');
    isGoodput(calls, 3);
  });

  it('calls of the first class do not notice, as long as they alone are not too many', () => {
    const priority = { key: 'x-class', classes: ['now', 'later'], defaultClass: 'later' };
    world = new World({ concurrency: PLACES, maxWaiting: 2 * PLACES, priority });
    const web = world.app('web');
    const now: CallOptions = { timeout: '1S', metadata: [['x-class', 'now']] };
    const calls = world.load(2, 5, (i) => [web, i % 10 === 0 ? now : { timeout: '1S' }]);
    world.rest();
    const first = calls.filter((_, i) => i % 10 === 0);
    assert.equal(ok(first).length, first.length);
    assert.ok(slowest(first) <= 2 * RUN_MS + 2, `${slowest(first)} ms`);
    isGoodput(calls, 2);
    assert.equal(
      world.side.backend.queue.evictedTotal,
      0,
      'room is left for them: no call waits only to give way',
    );
  });

  it('a caller that floods costs another one nothing but its turn', () => {
    world = new World({ concurrency: PLACES, maxWaiting: 2 * PLACES, fair: true });
    const [flood, web] = [world.app('flood'), world.app('web')];
    const calls = world.load(2, 5, (i) => [i % 15 === 0 ? web : flood, { timeout: '1S' }]);
    world.rest();
    const polite = calls.filter((_, i) => i % 15 === 0);
    assert.equal(ok(polite).length, polite.length);
    assert.ok(slowest(polite) <= 3 * RUN_MS, `${slowest(polite)} ms`);
    isGoodput(calls, 2);
  });
});
