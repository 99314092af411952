/**
 * Five times as many calls as the model can serve, for a while. The model stays busy with calls that end in time, the
 * rest is refused at once, nothing is computed in vain, and all is well as soon as the load is.
 */
import assert from 'node:assert/strict';
import type { QueueConfig } from '../../../sidecar/config/model.js';
import { sidecarConfig } from '../../kit/config/problems-of.js';
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

class World extends Stack {
  readonly side: InboundStack;
  /** Runs that the model ended, wanted or not. */
  runs = 0;
  /** Those among them whose caller had gone. */
  vain = 0;
  private busy = 0;
  private readonly inside: PeerStream[] = [];
  private readonly underWay: Sent[] = [];

  constructor(queue: Partial<QueueConfig>) {
    super();
    this.side = this.inbound(anInbound({ queue, intentions: ALLOW_ALL }));
    this.side.model.answer = (stream) => {
      this.inside.push(stream);
      this.work();
    };
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
      const each = { stream: app.call(options), sentMs: this.clock.now(), tookMs: Number.NaN };
      onSent(each.stream);
      sent.push(each);
      this.underWay.push(each);
      this.advance(everyMs);
    }
    return sent;
  }

  override advance(ms: number): void {
    super.advance(ms);
    const nowMs = this.clock.now();
    for (let i = this.underWay.length - 1; i >= 0; i--) {
      const each = this.underWay[i]!;
      if (!each.stream.isOver) continue;
      each.tookMs = nowMs - each.sentMs;
      this.underWay.splice(i, 1);
    }
  }

  /** Until nothing is under way. */
  rest(): void {
    for (let i = 0; i < 5_000 && this.underWay.length > 0; i++) this.advance(1);
  }

  private work(): void {
    while (this.busy < PLACES) {
      const stream = this.inside.shift();
      if (stream === undefined) return;
      this.busy++;
      this.clock.after(RUN_MS, () => {
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
  let web: Application;
  const open = (queue: Partial<QueueConfig>): void => {
    world = new World(queue);
    web = world.app(world.side.listener, 'web');
  };
  /** Five times the capacity by one caller, for so long; then all is at rest. */
  const flood = (seconds: number, options: CallOptions): Sent[] => {
    const calls = world.load(seconds, 5, () => [web, options]);
    world.rest();
    return calls;
  };
  afterEach(() => world.rest());

  const isGoodput = (calls: readonly Sent[], seconds: number): void => {
    const share = ok(calls).length / (seconds * CAPACITY_PER_SECOND);
    assert.ok(share >= 0.9, `${(100 * share).toFixed(1)} % of the capacity`);
  };

  for (const [what, queue] of [
    ['a short line', { concurrency: PLACES, maxWaiting: PLACES }],
    ['a long line, where deadlines decide', { concurrency: PLACES, maxWaiting: 1_000 }],
  ] as const) {
    it(`${what}: the model stays busy, with nothing in vain, and refusals are immediate`, () => {
      open(queue);
      const calls = flood(2, { timeout: '400m' });
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
    open({ concurrency: PLACES, maxWaiting: PLACES });
    const upload = (stream: PeerStream): void => {
      if (!stream.isOver) stream.data(MESSAGE, Flag.endStream);
    };
    const next = () => [web, { timeout: '1S', body: null }] as const;
    const calls = world.load(2, 5, next, (stream) => world.clock.after(UPLOAD_MS, () => upload(stream)));
    world.rest();
    isGoodput(calls, 2);
    const early = refused(calls).filter(({ tookMs }) => tookMs <= 1).length;
    // The others found room in the line when they came, and it was gone when they were complete.
    assert.ok(early > refused(calls).length / 3, `${early} of ${refused(calls).length}`);
  });

  it('a short line keeps what is served quick: at most two runs', () => {
    open({ concurrency: PLACES, maxWaiting: PLACES });
    const calls = flood(2, { timeout: '1S' });
    assert.ok(slowest(ok(calls)) <= 2 * RUN_MS + 2, `${slowest(ok(calls))} ms`);
  });

  it('a number that is far too high is found out, and the model’s own line stays short', () => {
    open({ concurrency: 64, maxWaiting: 16, adaptive: { min: 1, max: 200 } });
    world.load(6, 5, () => [web, { timeout: '1S' }]);
    const calls = flood(3, { timeout: '1S' });
    isGoodput(calls, 3);
    const { concurrency } = world.side.backend.queue;
    assert.ok(concurrency >= PLACES && concurrency <= 3 * PLACES, `${concurrency}`);
  });

  it('a number so high that every deadline passes inside the model is found out too', () => {
    open({ concurrency: 100, maxWaiting: 16, adaptive: { min: 1, max: 200 } });
    const hopeless = world.load(1, 5, () => [web, { timeout: '150m' }]);
    world.load(10, 5, () => [web, { timeout: '150m' }]);
    const calls = flood(3, { timeout: '150m' });
    assert.ok(ok(hopeless).length < 0.9 * CAPACITY_PER_SECOND, 'the scenario is none');
    isGoodput(calls, 3);
  });

  it('calls of the first class do not notice, as long as they alone are not too many', () => {
    const priority = { key: 'x-class', classes: ['now', 'later'], defaultClass: 'later' };
    open({ concurrency: PLACES, maxWaiting: 2 * PLACES, priority });
    const now: CallOptions = { timeout: '1S', metadata: [['x-class', 'now']] };
    const calls = world.load(2, 5, (i) => [web, i % 10 === 0 ? now : { timeout: '1S' }]);
    world.rest();
    const first = calls.filter((_, i) => i % 10 === 0);
    assert.equal(ok(first).length, first.length);
    assert.ok(slowest(first) <= 2 * RUN_MS + 2, `${slowest(first)} ms`);
    isGoodput(calls, 2);
    const { evictedTotal } = world.side.backend.queue;
    assert.equal(evictedTotal, 0, 'room is left for them: no call waits only to give way');
  });

  it('a caller that floods costs another one nothing but its turn, by default', () => {
    const { fair } = sidecarConfig(`service: digits
inbound: {listen: "127.0.0.1:1", local: "127.0.0.1:2", mtls: off}`).inbound!.queue;
    open({ concurrency: PLACES, maxWaiting: 2 * PLACES, fair });
    const flooding = world.app(world.side.listener, 'flood');
    const calls = world.load(2, 5, (i) => [i % 15 === 0 ? web : flooding, { timeout: '1S' }]);
    world.rest();
    const polite = calls.filter((_, i) => i % 15 === 0);
    assert.equal(ok(polite).length, polite.length);
    assert.ok(slowest(polite) <= 3 * RUN_MS, `${slowest(polite)} ms`);
    isGoodput(calls, 2);
  });
});
