/** The budget of memory: which connection loses calls when it is used up, and when none does. */
import assert from 'node:assert/strict';
import type { QueueConfig } from '../../../sidecar/config/model.js';
import { STALLED_MS } from '../../../sidecar/core/admission/stalled-work.js';
import { FlushScheduler } from '../../../sidecar/transport/flush-scheduler.js';
import { FIRST_WINDOW, MemoryBudget, type MemoryHolder } from '../../../sidecar/transport/memory-budget.js';
import { data, Flag, FrameType, grpcMessage, Setting, settingsOf } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { assertEnd } from '../../kit/stack/call-ends.js';
import {
  type Application,
  anInbound,
  anUpstream,
  aRoute,
  aStreamRoute,
  type InboundStack,
  type OutboundStack,
  Stack,
} from '../../kit/stack/stack.js';
import { ManualClock } from '../../kit/time/manual-clock.js';

const MIB = 1024 * 1024;

class Fake implements MemoryHolder {
  lost = 0;
  window = FIRST_WINDOW;
  constructor(
    private readonly memory: MemoryBudget,
    public bytes: number,
  ) {
    memory.holders.add(this);
    memory.waiting.bytes += bytes;
  }
  heldBytes(): number {
    return this.bytes;
  }
  grantedBytes(): number {
    return 0;
  }
  shed(bytes: number): number {
    const freed = Math.min(this.bytes, Math.ceil(bytes));
    this.bytes -= freed;
    this.lost += freed;
    this.memory.waiting.bytes -= freed;
    return freed;
  }
  findStalled(): void {}
  setFirstWindow(bytes: number): void {
    this.window = bytes;
  }
}

describe('The budget of memory', () => {
  const deferred: (() => void)[] = [];
  const turn = new FlushScheduler((fn) => void deferred.push(fn), new ManualClock());
  const review = (memory: MemoryBudget, nowMs = 0): void => {
    if (memory.isAlarmed) memory.review(turn, nowMs);
    while (deferred.length > 0) deferred.shift()!();
  };

  /** A budget of 1,000 bytes after a review with connections that hold these, and what each of them lost. */
  const reviewed = (...held: readonly number[]): { memory: MemoryBudget; lost: number[] } => {
    const memory = new MemoryBudget(1000);
    const holders = held.map((bytes) => new Fake(memory, bytes));
    review(memory);
    return { memory, lost: holders.map(({ lost }) => lost) };
  };

  it('the budget sheds from the connection that holds most, and only what is needed', () => {
    const { memory, lost } = reviewed(100, 800, 300);
    assert.deepEqual(lost, [0, 325, 0]);
    assert.equal(memory.used, 875);
  });

  it('the budget sheds from the two largest connections where one is not enough', () => {
    const { memory, lost } = reviewed(100, 1200, 900);
    const [small, large, other] = lost as [number, number, number];
    assert.equal(small, 0);
    assert.ok(large > other && other > 0, `${large}, ${other}`);
    assert.ok(memory.used <= 875, `${memory.used}`);
  });

  it('the budget sheds nothing at its limit, nor for what is written at the end of the turn', () => {
    const memory = new MemoryBudget(1000);
    const at = new Fake(memory, 1000);
    review(memory);
    memory.waiting.bytes += 500;
    memory.review(turn, 0);
    deferred.shift()!();
    memory.waiting.bytes -= 500;
    while (deferred.length > 0) deferred.shift()!();
    assert.equal(at.lost, 0);
  });

  it('the budget counts a reserved window once', () => {
    const memory = new MemoryBudget(1000);
    assert.equal(memory.reserveWindow(900), true);
    const holder = new Fake(memory, 900);
    review(memory);
    assert.deepEqual([holder.lost, memory.reserve(1)], [0, false]);
    memory.withdraw(900);
    assert.equal(memory.reserve(1), true);
  });

  it('the budget makes windows small from one half on, and large again below one quarter, a second later', () => {
    const memory = new MemoryBudget(1000);
    const holder = new Fake(memory, 501);
    review(memory);
    const tight = holder.window;
    assert.ok(tight < FIRST_WINDOW);
    holder.shed(200);
    review(memory, 5000);
    assert.equal(holder.window, tight, 'above a quarter');
    holder.shed(100);
    review(memory, 900);
    assert.equal(holder.window, tight, 'too soon');
    review(memory, 1000);
    assert.equal(holder.window, FIRST_WINDOW);
    assert.equal(holder.lost, 300);
  });
});

describe('Memory that is short', () => {
  let stack: Stack;
  let out: OutboundStack;
  const start = (memoryBytes: number, routes = [aRoute({ timeoutMs: 0 })]): void => {
    stack = new Stack({ memoryBytes });
    out = stack.outbound(anUpstream(['a'], { routes, pool: { pingIntervalMs: 0 } }));
  };
  /** An inbound side whose model answers at once. */
  const serve = (queue: Partial<QueueConfig>): InboundStack => {
    const side = stack.inbound(anInbound({ routes: [aRoute({ timeoutMs: 0 })], queue }));
    side.model.answer = (stream) => stream.reply();
    return side;
  };

  const SHUT = { settings: [[Setting.initialWindowSize, 0]] } as const;
  /** Answers of `bytes` to calls of `app`, as far as the windows let them come. */
  const answers = (app: Application, n: number, bytes: number): PeerStream[] => {
    const calls = stack.settle(Array.from({ length: n }, () => app.call()));
    for (const request of stack.backend('a').requests.slice(-n))
      request.begin().data(Buffer.alloc(bytes)).trailers(0);
    stack.run();
    return calls;
  };
  const ended = (calls: readonly PeerStream[]): number => calls.filter((call) => call.isOver).length;

  it('an exhausted budget ends calls of the caller that reads no responses, and none of others', () => {
    start(4 * MIB);
    const modest = stack.app(out.listener, undefined, SHUT);
    const few = answers(modest, 5, 60_000);
    const hoarder = stack.app(out.listener, undefined, SHUT);
    const many: PeerStream[] = [];
    for (let i = 0; i < 20; i++) many.push(...answers(hoarder, 10, 60_000));
    assert.ok(stack.context.memory.used <= 4 * MIB, `${stack.context.memory.used}`);
    assert.ok(ended(many) > 50, `${ended(many)} of 200 ended`);
    for (const call of many) if (call.isOver) assert.equal(call.resetCode, 11);
    assert.equal(ended(few), 0);
    assert.equal(stack.context.stats.shedCalls, ended(many));
    for (const call of few) call.credit(100_000);
    stack.run();
    for (const call of few) assert.equal(call.bytes, 60_000);
  });

  it('a budget with room ends no call', () => {
    start(4 * MIB);
    const hoarder = stack.app(out.listener, undefined, SHUT);
    const many = answers(hoarder, 50, 60_000);
    // Not before a response that nobody reads is given up for its time.
    stack.advance(299_000);
    assert.equal(ended(many), 0);
  });

  it('an exhausted budget ends endless requests with a reason, and not a unary call beside them', () => {
    stack = new Stack({ memoryBytes: 4 * MIB });
    const side = serve({ concurrency: 8 });
    const hoarder = stack.app(side.listener, 'app');
    const begun: PeerStream[] = [];
    for (let i = 0; i < 20; i++) {
      for (let k = 0; k < 10; k++) begun.push(hoarder.call({ body: null }).data(Buffer.alloc(60_000)));
      stack.run();
    }
    assert.ok(stack.context.memory.used <= 4 * MIB, `${stack.context.memory.used}`);
    const over = begun.filter((call) => call.isOver);
    assert.ok(over.length > 50, `${over.length} of 200 ended`);
    for (const call of over) assertEnd(call, [8, 'memory-budget'], { 'outrider-unprocessed': undefined });
    assert.equal(side.model.requests.length, 0, 'none of them took a place at the model');
    assert.equal(stack.settle(stack.app(side.listener, 'app').call()).status, 0);
  });

  it('a whole request that its model has not seen is refused so that another replica may have it, and no other one is', () => {
    stack = new Stack({ memoryBytes: 4 * MIB });
    const side = serve({ concurrency: 60, maxWaiting: 1_000, maxWaitingBytes: 64 * MIB });
    // Half of the answers are larger than a request that waits.
    side.model.answer = (stream) =>
      stream.begin().data(Buffer.alloc(Number(stream.header('x-id')) % 2 === 0 ? 50_000 : 5_000));
    const app = stack.app(side.listener, 'app');
    const calls: PeerStream[] = [];
    for (let i = 0; i < 40; i++) {
      for (let k = 0; k < 10; k++)
        calls.push(
          app.call({ body: grpcMessage(Buffer.alloc(25_000)), metadata: [['x-id', `${calls.length}`]] }),
        );
      stack.run();
    }
    const seen = new Set(side.model.requests.map((request) => request.header('x-id')));
    const over = calls.filter((call) => call.isOver);
    for (const call of over) assertEnd(call, [8, 'memory-budget']);
    const marked = calls.map((call) => call.isOver && call.trailer('outrider-unprocessed') === 'true');
    const expected = calls.map((call, i) => call.isOver && !seen.has(`${i}`));
    assert.deepEqual(marked, expected);
    const unmarked = over.length - marked.filter(Boolean).length;
    assert.ok(unmarked > 0 && unmarked < over.length, `${unmarked} of ${over.length} without a mark`);
  });

  describe('and requests that are buffered whole', () => {
    const REQUEST = 512 * 1024;
    /** A message of `REQUEST` bytes, with its prefix. */
    const message = Buffer.alloc(REQUEST);
    message.writeUInt32BE(REQUEST - 5, 1);
    /** Of the first bytes of each request, which are sent at once. */
    const FIRST = 40_000;
    let side: InboundStack;
    beforeEach(() => {
      stack = new Stack({ memoryBytes: 12 * MIB });
      side = serve({ concurrency: 4, maxWaiting: 1000, maxWaitingBytes: 64 * MIB });
    });
    const whole = (app: Application): PeerStream => app.call({ body: null }).data(message, Flag.endStream);
    const begun = (n: number): PeerStream[] => {
      const app = stack.app(side.listener, 'app');
      const begin = () => app.call({ body: null }).data(message.subarray(0, FIRST));
      return stack.settle(Array.from({ length: n }, begin));
    };
    const assertAnswered = (calls: readonly PeerStream[]): void =>
      assert.deepEqual(
        [...new Set(calls.map(({ status, reason }) => `${status} ${reason}`))],
        ['0 undefined'],
      );

    it('requests that do not fit into the budget wait, and none is lost', () => {
      const app = stack.app(side.listener, 'app');
      const calls = Array.from({ length: 40 }, () => whole(app));
      for (let i = 0; i < 200 && calls.some(({ isOver }) => !isOver); i++) {
        stack.run();
        stack.advance(10);
      }
      assertAnswered(calls);
      assert.equal(stack.context.stats.shedCalls, 0);
    });

    it('a request that holds memory and sends nothing ends once another waits for it', () => {
      const held = begun(20);
      stack.advance(600);
      const canary = stack.settle(whole(stack.app(side.listener, 'app')));
      for (let i = 0; i < 60; i++) stack.advance(100);
      assert.equal(canary.status, 0);
      for (const { isOver, status, reason } of held)
        if (isOver) assert.deepEqual([status, reason], [8, 'memory-budget']);
    });

    it('a complete request that waits for its model stays, however many wait for memory', () => {
      const app = stack.app(side.listener, 'app');
      side.model.answer = () => {};
      const queued = Array.from({ length: 10 }, () => stack.settle(whole(app)));
      assert.equal(side.model.requests.length, 4, 'the others wait in its queue');
      begun(20);
      for (let i = 0; i < 60; i++) stack.advance(100);
      assert.equal(queued.filter(({ isOver }) => isOver).length, 0);
      side.model.answer = (stream) => stream.reply();
      for (const request of side.model.requests.slice()) stack.settle(request.reply());
      stack.advance(100);
      assertAnswered(queued);
    });

    it('a request too long to be kept, which waits for its model, stays as well', () => {
      stack.close();
      stack = new Stack({ memoryBytes: 12 * MIB });
      const routes = [aRoute({ timeoutMs: 0, replayBytes: 100_000 })];
      side = stack.inbound(anInbound({ routes, queue: { concurrency: 1 } }));
      const app = stack.app(side.listener, 'app');
      stack.settle(app.call());
      const queued = stack.settle(app.call({ body: null }).data(message.subarray(0, 200_000)));
      const others = stack.app(side.listener, 'app');
      for (let i = 0; i < 200; i++) others.call({ body: null }).data(message.subarray(0, FIRST));
      for (let i = 0; i < 60; i++) stack.advance(100);
      assert.equal(queued.isOver, false);
      side.model.answer = (stream) => stream.reply();
      stack.settle(side.model.requests[0]!.reply());
      queued.data(message.subarray(200_000), Flag.endStream);
      stack.advance(100);
      assert.equal(queued.status, 0);
    });

    it('a request that sends nothing stays while there is room for all', () => {
      const slow = begun(4);
      stack.advance(600_000);
      assert.ok(slow.every(({ isOver }) => !isOver));
      for (const call of slow) call.data(message.subarray(FIRST), Flag.endStream);
      stack.run();
      stack.advance(100);
      assertAnswered(slow);
    });

    it('a request that goes on slowly stays, though others wait', () => {
      const slow = begun(20);
      for (let at = FIRST; at < REQUEST; at += 8_000) {
        for (const call of slow) {
          const end = Math.min(REQUEST, at + 8_000);
          call.data(message.subarray(at, end), end === REQUEST ? Flag.endStream : 0);
        }
        stack.run();
        stack.advance(1_000);
      }
      for (let i = 0; i < 100; i++) {
        stack.run();
        stack.advance(100);
      }
      assertAnswered(slow);
    });
  });

  describe('Windows of requests', () => {
    const QUESTION = grpcMessage(Buffer.alloc(40 * 1024));
    const promised = (): number => stack.context.memory.reservedBytes;
    beforeEach(() => {
      const backoff = { baseMs: 0, maxMs: 0 };
      start(4 * MIB, [aRoute({ idempotent: true, retry: { attempts: 2, on: [14], backoff } })]);
    });
    const begun = (): PeerStream => {
      const call = stack.app(out.listener).call({ body: null });
      return stack.settle(call.data(QUESTION.subarray(0, 36 * 1024)));
    };

    it('nothing is promised to a request that is complete, so that many leave room for retries', () => {
      const app = stack.app(out.listener);
      for (let i = 0; i < 12; i++) stack.settle(app.call({ body: QUESTION }));
      assert.equal(promised(), 0);
      assert.equal(stack.context.memory.reserve(2 * MIB), true);
      stack.context.memory.release(2 * MIB);
    });

    it('what was promised to a request is given back as soon as it is complete', () => {
      const calls = [begun(), begun()];
      assert.equal(promised(), 2 * (MIB - FIRST_WINDOW));
      calls[0]!.data(QUESTION.subarray(36 * 1024), Flag.endStream);
      calls[1]!.headers([['x-trailer', '1']], Flag.endStream);
      stack.run();
      assert.equal(promised(), 0);
      assert.deepEqual(
        calls.map(({ isOver }) => isOver),
        [false, false],
      );
    });

    it('and once, where its call ends in the same turn', () => {
      const call = begun();
      call.data(QUESTION.subarray(36 * 1024), Flag.endStream);
      stack.settle(call.reset());
      assert.equal(promised(), 0);
      assert.equal(stack.context.memory.held, 0);
    });
  });

  /** The first windows of streams that a caller was told of, in order. */
  const windows = ({ frames }: Application): (number | undefined)[] => {
    const said = frames.filter(({ type, flags }) => type === FrameType.settings && (flags & Flag.ack) === 0);
    return said.map((each) => settingsOf(each).get(Setting.initialWindowSize));
  };

  describe('First windows after large requests', () => {
    const LARGE = Buffer.alloc(200_000);
    const serveAll = (memoryBytes: number): Application => {
      start(memoryBytes);
      stack.backend('a').answer = (stream) => stream.reply();
      return stack.app(out.listener);
    };
    const upload = (app: Application, times: number): void => {
      for (let i = 0; i < times; i++) assert.equal(stack.settle(app.call({ body: LARGE })).status, 0);
    };

    it('the fifth large request of a connection needs no WINDOW_UPDATE, and those of others do', () => {
      const app = serveAll(64 * MIB);
      const updates = (): number =>
        app.frames.filter(({ type, streamId }) => type === FrameType.windowUpdate && streamId !== 0).length;
      upload(app, 3);
      assert.deepEqual(windows(app), [65_536]);
      assert.ok(updates() >= 3);
      upload(app, 2);
      assert.deepEqual(windows(app), [65_536, MIB]);
      const before = updates();
      upload(app, 1);
      assert.equal(updates(), before);
      assert.deepEqual(windows(stack.app(out.listener)), [65_536]);
    });

    it('requests that fit into their first window change nothing, however many', () => {
      const app = serveAll(64 * MIB);
      for (let i = 0; i < 100; i++) stack.settle(app.call({ body: Buffer.alloc(60_000) }));
      assert.deepEqual(windows(app), [65_536]);
    });

    it('a connection with more than sixteen open streams gets the usual window again, for good', () => {
      const app = serveAll(64 * MIB);
      upload(app, 5);
      const open = stack.settle(Array.from({ length: 17 }, () => app.call({ body: null })));
      stack.settle(open[0]!.data(Buffer.alloc(10)));
      assert.deepEqual(windows(app), [65_536, MIB, 65_536]);
      for (const call of open) call.reset();
      upload(app, 10);
      assert.deepEqual(windows(app), [65_536, MIB, 65_536]);
    });

    it('memory that becomes short takes the wide window back, for good', () => {
      const app = serveAll(8 * MIB);
      upload(app, 5);
      stack.backend('a').answer = () => {};
      const hoarder = stack.app(out.listener, undefined, SHUT);
      const calls = answers(hoarder, 80, 60_000);
      assert.deepEqual(windows(app), [65_536, MIB, 32_768]);
      for (const call of calls) call.reset();
      stack.advance(2000);
      stack.settle(app.call({ body: null }).reset());
      assert.deepEqual(windows(app), [65_536, MIB, 32_768, 65_536]);
    });
  });

  describe('and uploads that stop', () => {
    /** Of the 16 KiB that fill half of a small window, so that each stays here. */
    const PART = 15_000;
    const UPLOAD = grpcMessage(Buffer.alloc(50 * PART));
    /** So many of one part that memory is short, and no more. */
    const UPLOADS = 200;
    let others: Application[];
    beforeEach(() => {
      start(4 * MIB);
      stack.backend('a').answer = (stream) => stream.reply();
      others = [];
    });
    /** Each on a connection of its own. */
    const stalled = (n: number): PeerStream[] =>
      Array.from({ length: n }, () => {
        const app = stack.app(out.listener);
        others.push(app);
        return stack.settle(app.call({ body: null }).data(UPLOAD.subarray(0, PART)));
      });
    const lostAsShort = (calls: readonly PeerStream[]): number => {
      const over = calls.filter(({ isOver }) => isOver);
      for (const { status, reason } of over) assert.deepEqual([status, reason], [8, 'memory-budget']);
      return over.length;
    };

    it('are ended before those that move, though these are all of one connection and hold more', () => {
      const stopped = stalled(UPLOADS);
      stack.advance(STALLED_MS);
      const app = stack.app(out.listener);
      const moving = Array.from({ length: 20 }, () => app.call({ body: null }));
      const sent = moving.map(() => 0);
      for (let round = 0; round < 12; round++) {
        moving.forEach((call, i) => {
          call.data(UPLOAD.subarray(sent[i]!, sent[i]! + 1_000));
          sent[i]! += 1_000;
        });
        stack.run();
        stack.advance(1_000);
      }
      // With these, more than the budget has been asked for.
      stalled(40);
      assert.ok(lostAsShort(stopped) > 0);
      moving.forEach((call, i) => void call.data(UPLOAD.subarray(sent[i]), Flag.endStream));
      stack.settle(moving);
      assert.deepEqual([...new Set(moving.map(({ status }) => status))], [0]);
    });

    it('are ended, the first ones first, as soon as three quarters are in use, and no more than is needed', () => {
      const stopped = stalled(100);
      stack.advance(STALLED_MS / 2);
      stopped.push(...stalled(60));
      stack.advance(STALLED_MS);
      stack.settle(stack.app(out.listener).call());
      assert.equal(lostAsShort(stopped), 0, 'there is room');
      stopped.push(...stalled(10));
      const lost = lostAsShort(stopped);
      assert.ok(lost > 0 && lost < 40, `${lost} of ${stopped.length}`);
      assert.equal(lostAsShort(stopped.slice(0, lost)), lost);
    });

    it('are left alone while they move, however slowly, and while there is room', () => {
      const slow = stalled(30);
      stack.advance(60_000);
      assert.equal(lostAsShort(slow), 0);
      for (const call of slow) call.data(UPLOAD.subarray(PART), Flag.endStream);
      stack.settle(slow);
      assert.deepEqual([...new Set(slow.map(({ status }) => status))], [0]);
    });
  });

  it('a tight budget gives peers a smaller window, in force from their acknowledgement on', () => {
    start(4 * MIB, [aStreamRoute({ idleTimeoutMs: 0 })]);
    const app = stack.app(out.listener);
    const open = stack.settle(app.call({ body: null }));
    const hoarder = stack.app(out.listener, undefined, SHUT);
    const calls = answers(hoarder, 40, 60_000);
    assert.deepEqual(windows(app), [65_536, 32_768]);
    assert.deepEqual(windows(stack.app(out.listener)), [32_768]);
    stack.settle(open.data(Buffer.alloc(200_000), Flag.endStream));
    assert.equal(stack.backend('a').requests[0]!.bytes, 200_000);
    for (const call of calls) call.reset();
    stack.advance(2000);
    stack.settle(app.call({ body: null }).reset());
    assert.deepEqual(windows(app), [65_536, 32_768, 65_536]);
  });

  it('a peer that still sends by the larger window is not cut off', () => {
    start(4 * MIB, [aStreamRoute({ idleTimeoutMs: 0 })]);
    stack.backend('a').peerOptions = { replenishes: false, settings: [[Setting.initialWindowSize, 0]] };
    stack.backend('a').peer.socket.destroy();
    stack.run();
    const app = stack.app(out.listener);
    const open = stack.settle(app.call({ body: null }));
    const hoarder = stack.app(out.listener, undefined, SHUT);
    app.socket.pause();
    answers(hoarder, 40, 60_000);
    stack.settle(app.send(Buffer.concat([1, 2, 3].map(() => data(open.id, Buffer.alloc(16_000))))));
    // 48,000 bytes of 32,768: its window is below zero, and the next byte breaks the rule.
    stack.settle(app.socket.resume());
    assert.equal(open.isOver, false);
    stack.settle(app.send(data(open.id, Buffer.alloc(1))));
    assert.equal(open.resetCode, 3);
  });
});
