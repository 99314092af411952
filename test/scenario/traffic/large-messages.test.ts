/**
 * Peers that are wrong about sizes, or that take what they do not read: calls pass unharmed or end with a status, what is held
 * stays within the memory budget, and what could not be looked at is counted.
 */
import assert from 'node:assert/strict';
import { sizeLimitReports } from '../../../sidecar/app/metrics/size-limits.js';
import type { RouteConfig } from '../../../sidecar/config/model.js';
import { grpcMessage, Setting } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack, type UpstreamStackOptions } from '../../kit/scenario/upstream-stack.js';
import { anAnswer } from '../../kit/service/infer-answers.js';
import { anInferRequest } from '../../kit/service/infer-requests.js';
import { anUpstream, aSafeRoute } from '../../kit/stack/stack.js';

const MIB = 1024 * 1024;
/** The largest window of HTTP/2 (RFC 9113 section 6.9.2), and room for as many bytes on the connection. */
const WIDEST = { settings: [[Setting.initialWindowSize, 2 ** 31 - 1]] } as const;
const MOST = 4 * MIB;

/** A message whose prefix says that it has `length` bytes. */
function lying(message: Buffer, length: number): Buffer {
  const lie = Buffer.from(message);
  lie.writeUInt32BE(length, 1);
  return lie;
}

describe('Scenario: large messages', () => {
  let stack: UpstreamStack;

  function start(route: Partial<RouteConfig> = {}, options: UpstreamStackOptions = {}): void {
    const detectors = {
      invalidOutput: { mode: 'enforce', above: 0.5, minSamples: 20, sampleRatio: 1 },
    } as const;
    const routes = [aSafeRoute({ timeoutMs: 60_000, ...route })];
    const ejection = { detectors };
    stack = new UpstreamStack(['a', 'b'], { routes, ejection, pool: { pingIntervalMs: 0 } }, options);
  }
  const counts = () => stack.out.cluster.sweep!.inspector!.counts;
  const assertNothingKept = (): void => {
    stack.advance(120_000);
    assert.equal(stack.context.memory.held, 0);
    assert.deepEqual(stack.states, ['eligible', 'eligible']);
  };

  it('that an endpoint with the widest window never reads are held within the budget, and calls elsewhere go on', () => {
    const memoryBytes = 24 * MIB;
    start({}, { memoryBytes, peer: WIDEST });
    stack.works('b');
    stack.call({ body: Buffer.alloc(10) });
    stack.call({ body: Buffer.alloc(10) });
    stack.backend('a').peer.socket.pause();
    const body = anInferRequest('digits', MOST);
    const sent = Array.from({ length: 24 }, () => stack.call({ body, timeout: '10S' }));
    const { memory } = stack.context;
    assert.ok(memory.used <= memoryBytes, `${memory.used} bytes held`);
    stack.advance(11_000);
    assert.ok(sent.every(({ isOver }) => isOver));
    assert.ok(
      sent.filter(({ status }) => status === 0).length >= 12,
      'those at the other endpoint are answered',
    );
    stack.backend('a').peer.socket.resume();
    stack.advance(120_000);
    assert.equal(memory.held, 0);
  });

  it('that a caller with the widest window never reads are not held for inspection beyond half of the budget', () => {
    const memoryBytes = 32 * MIB;
    start({}, { memoryBytes });
    const answer = anAnswer(new Array<number>(MIB - 64).fill(0.5));
    stack.answers((stream) => void stream.reply(answer));
    const slow = stack.app(stack.out.listener, undefined, WIDEST);
    slow.socket.pause();
    const sent = stack.settle(Array.from({ length: 16 }, () => slow.call()));
    stack.advance(200);
    const { memory } = stack.context;
    assert.ok(memory.used <= memoryBytes, `${memory.used} bytes held`);
    const quick = stack.call();
    assert.ok(quick.body.equals(answer), 'another caller has its answer');
    stack.settle(slow.socket.resume());
    stack.advance(2_000);
    assert.ok(sent.every(({ isOver }) => isOver));
    assertNothingKept();
  });

  const answers: Record<string, Buffer> = {
    'says that it has 4 GiB': lying(anAnswer(new Array<number>(50_000).fill(1)), 2 ** 32 - 1),
    'says that it has one byte': lying(anAnswer(new Array<number>(50_000).fill(1)), 1),
    'is two messages': Buffer.concat([anAnswer(new Array<number>(50_000).fill(1)), anAnswer([1])]),
    'is all zeros': Buffer.alloc(200_000),
    'is all ones': Buffer.alloc(200_000, 0xff),
    'has a million fields': grpcMessage(Buffer.alloc(2 * MIB, Buffer.from([0x32, 0]))),
  };
  for (const [what, answer] of Object.entries(answers)) {
    it(`of which an answer ${what} pass to the byte; nothing is charged`, () => {
      start();
      stack.answers((stream) => void stream.reply(answer));
      for (let i = 0; i < 6; i++) {
        const call = stack.call({ body: anInferRequest('digits', 300_000) });
        assert.deepEqual([call.status, call.body.equals(answer)], [0, true]);
        stack.advance(100);
      }
      assert.deepEqual([counts().unreadable, counts().charged], [6, 0]);
      assertNothingKept();
    });
  }

  for (const [what, length] of [
    ['4 GiB', 2 ** 32 - 1],
    ['nothing', 0],
  ] as const) {
    it(`of which a request says that it has ${what} pass to the byte, and are sent again`, () => {
      start();
      const body = lying(anInferRequest('digits', 300_000), length);
      let calls = 0;
      stack.answers((stream) => void (calls++ === 0 ? stream.fail(14) : stream.reply(anAnswer([1]))));
      const call = stack.call({ body });
      assert.deepEqual([call.status, calls], [0, 2]);
      assert.ok(stack.requests.every((request: PeerStream) => request.body.equals(body)));
      assertNothingKept();
    });
  }

  it('of one byte more than may be kept pass, once, and are counted', () => {
    start({ holdBytes: MOST });
    const [request, answer] = [grpcMessage(Buffer.alloc(MOST + 1)), grpcMessage(Buffer.alloc(MOST + 1, 1))];
    stack.answers((stream) => void stream.begin().data(answer).trailers(14));
    const call = stack.call({ body: request });
    assert.deepEqual([call.status, call.body.equals(answer), stack.requests.length], [14, true, 1]);
    const why = '1 requests longer than replay, 1 answers longer than hold';
    assert.deepEqual(sizeLimitReports([stack.out.outbound.state]), [
      { upstream: 'digits', feature: 'repeat', why },
      { upstream: 'digits', feature: 'inspection', why: '1 requests longer than replay' },
    ]);
    assertNothingKept();
  });

  it('of just as many bytes are kept whole, and sent again after a late error', () => {
    start({ holdBytes: MOST });
    const [request, answer] = [grpcMessage(Buffer.alloc(MOST)), grpcMessage(Buffer.alloc(MOST, 1))];
    let calls = 0;
    stack.answers(
      (stream) => void (calls++ === 0 ? stream.begin().data(answer).trailers(14) : stream.reply(answer)),
    );
    const call = stack.call({ body: request });
    assert.deepEqual([call.status, call.body.equals(answer), calls], [0, true, 2]);
    assertNothingKept();
  });

  it('that are compared with those of an upstream which answers without end are compared no more than they fit', () => {
    const mirror = { upstream: 'shadow', ratio: 1, maxInFlight: 8, tolerance: 1e-4 };
    start({ mirror });
    const shadow = stack.outbound(anUpstream(['s'], { name: 'shadow' }));
    const answer = anAnswer(new Array<number>(50_000).fill(1));
    stack.answers((stream) => void stream.reply(answer));
    stack.backend('s').answer = (stream) => void stream.begin().data(Buffer.alloc(32 * MIB));
    assert.equal(stack.call().status, 0);
    stack.advance(100);
    assert.ok(stack.context.memory.used < 8 * MIB, `${stack.context.memory.used} bytes held`);
    const stats = stack.out.outbound.state.trafficShift.mirrors.get('shadow')!;
    assert.deepEqual([stats.sent, stats.inFlight], [1, 1]);
    stack.advance(70_000);
    assert.equal(stats.inFlight, 0);
    assert.equal(shadow.cluster.endpoints.length, 1);
    assertNothingKept();
  });
});
