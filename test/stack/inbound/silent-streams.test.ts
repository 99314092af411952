/** Silent streams at a model that takes few at once: they keep no other call out, and they are left alone while they do not. */
import assert from 'node:assert/strict';
import { Setting } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import {
  type Application,
  anInbound,
  aRoute,
  aStreamRoute,
  type InboundStack,
  MESSAGE,
  Stack,
} from '../../kit/stack/stack.js';

const TALK = '/talk.Service/Talk';
const QUICK = '/quick.Service/Ask';
/** Of one connection; there are at most four. */
const STREAMS = 10;
const LARGE = Buffer.alloc(400_000);

describe('Silent streams at a model', () => {
  let stack: Stack;
  let side: InboundStack;
  let begun: number;

  beforeEach(() => {
    stack = new Stack();
    begun = 0;
    stack.backend('model').peerOptions = { settings: [[Setting.maxConcurrentStreams, STREAMS]] };
    const routes = [aStreamRoute({ methods: ['/talk.Service/*'] }), aRoute({ timeoutMs: 0 })];
    side = stack.inbound(anInbound({ routes, queue: { concurrency: 1000, maxWaiting: 1000 } }));
    side.model.answer = (stream) => {
      if (stream.header(':path') === QUICK) stream.reply();
      else stream.begin().data(LARGE).trailers(0);
    };
  });
  afterEach(() => stack.close());

  const caller = (options = {}): Application => stack.app(side.listener, 'app', options);
  /** Calls that take nothing of their answers. */
  const deaf = (n: number): PeerStream[] => {
    const app = caller({ settings: [[Setting.initialWindowSize, 0]] });
    const calls = stack.settle(Array.from({ length: n }, () => app.call()));
    return calls;
  };
  /** Streams in both directions that have said something. */
  const talks = (app: Application, n: number): PeerStream[] => {
    const made = Array.from({ length: n }, () => app.call({ path: TALK, body: null }).data(MESSAGE));
    stack.run();
    for (const far of side.model.requests.slice(begun)) far.begin();
    begun = side.model.requests.length;
    stack.run();
    return made;
  };
  const over = (calls: readonly PeerStream[]): PeerStream[] => calls.filter(({ isOver }) => isOver);
  /** How many of `n` calls of a caller of its own, one every 50 ms, were answered. */
  const answered = (n: number): number => {
    const app = caller();
    const calls: PeerStream[] = [];
    for (let i = 0; i < n; i++) {
      calls.push(app.call({ path: QUICK, timeout: '2S' }));
      stack.run();
      stack.advance(50);
    }
    stack.advance(2_000);
    return calls.filter(({ status }) => status === 0).length;
  };

  it('silent streams of a caller that reads no responses end when other calls wait for a stream', () => {
    const hoard = deaf(60);
    assert.equal(answered(120), 120);
    const lost = over(hoard);
    assert.ok(lost.length >= 1 && lost.length <= 45, `${lost.length} of 60 ended`);
    for (const call of lost) assert.equal(call.resetCode, 11);
  });

  it('a stream that is silent in both directions ends with `silent-stream`', () => {
    const hoard = talks(caller(), 60);
    assert.equal(answered(120), 120);
    const lost = over(hoard);
    assert.ok(lost.length >= 1 && lost.length <= 45, `${lost.length} of 60 ended`);
    for (const call of lost) assert.deepEqual([call.status, call.reason], [8, 'silent-stream']);
  });

  it('silent streams stay while the connections have room for others', () => {
    const few = talks(caller(), 3 * STREAMS);
    assert.equal(answered(50), 50);
    stack.advance(200_000);
    assert.equal(over(few).length, 0);
  });

  it('silent streams stay when each caller has one, though a call waits', () => {
    const each = Array.from({ length: 4 * STREAMS }, () => talks(caller(), 1)).flat();
    assert.equal(answered(3), 0);
    assert.equal(over(each).length, 0);
  });

  it('silent streams of a caller stay while another caller has more', () => {
    const modest = talks(caller(), 3);
    const hoard = talks(caller(), 57);
    assert.equal(answered(50), 50);
    assert.equal(over(modest).length, 0);
    assert.ok(over(hoard).length >= 1);
  });
});
