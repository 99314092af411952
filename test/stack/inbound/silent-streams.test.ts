/** Silent streams at a model that takes few at once: they keep no other call out, and they are left alone while they do not. */
import assert from 'node:assert/strict';
import { Setting } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { assertEnd, statusesOf } from '../../kit/stack/call-ends.js';
import { ModelStack } from '../../kit/stack/model-stack.js';
import { type Application, aRoute, aStreamRoute, MESSAGE } from '../../kit/stack/stack.js';

const TALK = '/talk.Service/Talk';
const QUICK = '/quick.Service/Ask';
/** Of one connection; there are at most four. */
const STREAMS = 10;
const LARGE = Buffer.alloc(400_000);

describe('Silent streams at a model', () => {
  let stack: ModelStack;
  let begun: number;

  beforeEach(() => {
    begun = 0;
    const peer = { settings: [[Setting.maxConcurrentStreams, STREAMS]] } as const;
    const routes = [aStreamRoute({ methods: ['/talk.Service/*'] }), aRoute({ timeoutMs: 0 })];
    stack = new ModelStack({ routes, queue: { concurrency: 1000, maxWaiting: 1000 } }, { peer });
    stack.model.answer = (stream) => {
      if (stream.header(':path') === QUICK) stream.reply();
      else stream.begin().data(LARGE).trailers(0);
    };
  });

  const caller = (options = {}): Application => stack.caller('app', options);
  /** Calls that take nothing of their answers. */
  const deaf = (n: number): PeerStream[] => {
    const app = caller({ settings: [[Setting.initialWindowSize, 0]] });
    return stack.settle(Array.from({ length: n }, () => app.call()));
  };
  /** Streams in both directions that have said something. */
  const talks = (app: Application, n: number): PeerStream[] => {
    const made = Array.from({ length: n }, () => app.call({ path: TALK, body: null }).data(MESSAGE));
    stack.run();
    for (const far of stack.requests.slice(begun)) far.begin();
    begun = stack.requests.length;
    stack.run();
    return made;
  };
  const over = (calls: readonly PeerStream[]): PeerStream[] => calls.filter(({ isOver }) => isOver);
  /** Those of 60 that ended: some, and not all. */
  const someOf = (hoard: readonly PeerStream[]): PeerStream[] => {
    const lost = over(hoard);
    assert.ok(lost.length >= 1 && lost.length <= 45, `${lost.length} of 60 ended`);
    return lost;
  };
  /** How many of `n` calls of a caller of its own, one every 50 ms, were answered. */
  const answered = (n: number): number => {
    const app = caller();
    const calls: PeerStream[] = [];
    for (let i = 0; i < n; i++) {
      calls.push(stack.call({ path: QUICK, timeout: '2S' }, app));
      stack.advance(50);
    }
    stack.advance(2_000);
    return statusesOf(calls).filter((status) => status === 0).length;
  };

  it('silent streams of a caller that reads no responses end when other calls wait for a stream', () => {
    const hoard = deaf(60);
    assert.equal(answered(120), 120);
    for (const call of someOf(hoard)) assert.equal(call.resetCode, 11);
  });

  it('a stream that is silent in both directions ends with `silent-stream`', () => {
    const hoard = talks(caller(), 60);
    assert.equal(answered(120), 120);
    for (const call of someOf(hoard)) assertEnd(call, [8, 'silent-stream']);
  });

  it('silent streams stay while the connections have room for others', () => {
    const few = talks(caller(), 3 * STREAMS);
    assert.equal(answered(50), 50);
    stack.advance(200_000);
    assert.equal(over(few).length, 0);
  });

  it('silent streams stay when each caller has one, though a call waits', () => {
    const each = Array.from({ length: 4 * STREAMS }, () => talks(caller(), 1)).flat();
    assert.deepEqual([answered(3), over(each).length], [0, 0]);
  });

  it('silent streams of a caller stay while another caller has more', () => {
    const modest = talks(caller(), 3);
    const hoard = talks(caller(), 57);
    assert.deepEqual([answered(50), over(modest).length], [50, 0]);
    assert.ok(over(hoard).length >= 1);
  });
});
