/**
 * Calls whose deadlines are shorter than any answer takes. Their retries can only end by the deadline: they do not use up the budget of calls that
 * have more time.
 */
import assert from 'node:assert/strict';
import { Status } from '../../../sidecar/core/outcome/status.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { countBy } from '../../kit/scenario/counts.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { aSafeRoute } from '../../kit/stack/stack.js';

const SLOW = '/vision.Service/Describe';
const OTHER = '/vision.Service/Classify';
/** Longer than the calls of it have. */
const SLOW_MS = 300;

describe('Scenario: calls with deadlines shorter than any answer', () => {
  let stack: UpstreamStack;

  const reply = (stream: PeerStream): void => {
    if (stream.resetCode === undefined) stream.reply();
  };
  const start = (ratio = 0.2, perSecond = 3): void => {
    const retry = { attempts: 2, on: [14], backoff: { baseMs: 0, maxMs: 0 } };
    stack = new UpstreamStack(['a', 'b'], {
      routes: [aSafeRoute({ methods: [SLOW], attemptTimeoutMs: 100, retry }), aSafeRoute({ retry })],
      budget: { ratio, perSecond },
      ejection: { mode: 'observe' },
    });
    slow(SLOW_MS);
  };
  /** Calls of the other method fail at the first endpoint that they come to, and are answered at the second. */
  const slow = (ms: number, at: readonly string[] = ['a', 'b']): void => {
    const failed = new Set<string>();
    for (const name of ['a', 'b'])
      stack.answers((stream) => {
        if (stream.header(':path') === OTHER) {
          const id = stream.header('id')!;
          if (failed.has(id)) return void stream.reply();
          failed.add(id);
          stream.fail(Status.UNAVAILABLE);
        } else if (at.includes(name)) stack.clock.after(ms, () => reply(stream));
        else stream.reply();
      }, name);
  };
  /** Seconds of twenty slow calls with so little time, and nearly three others; the statuses of each. */
  const load = (seconds: number, timeout: string) => {
    const calls: Record<'slow' | 'other', PeerStream[]> = { slow: [], other: [] };
    for (let i = 0; i < seconds * 20; i++) {
      calls.slow.push(stack.caller.call({ path: SLOW, timeout }));
      if (i % 7 === 3) {
        const metadata = [['id', `${calls.other.length}-${seconds}`]] as const;
        calls.other.push(stack.caller.call({ path: OTHER, timeout: '5S', metadata }));
      }
      stack.advance(50);
    }
    stack.advance(1_000);
    const statuses = (made: PeerStream[]) => countBy(made, ({ status }) => `${status}`);
    return { slow: statuses(calls.slow), other: statuses(calls.other) };
  };
  it('leave the retries to others', () => {
    start(0.1, 2);
    load(10, '150m');
    const { other } = load(30, '150m');
    assert.deepEqual(other, { 0: 86 });
    const { granted } = stack.out.cluster.budget;
    assert.ok(granted < 200, `${granted} retries for 115 calls that could be answered`);
  });

  it('have theirs again soon after answers have become quicker', () => {
    start(1, 10);
    load(5, '150m');
    // One endpoint hangs for such calls, and the other answers them at once.
    slow(SLOW_MS, ['a']);
    load(2, '150m');
    const { slow: statuses } = load(10, '150m');
    assert.deepEqual(statuses, { 0: 200 });
  });

  it('that are met at another endpoint all along keep theirs', () => {
    start(1, 10);
    slow(SLOW_MS, ['a']);
    assert.deepEqual(load(10, '150m').slow, { 0: 200 });
  });

  it('take none from calls of the same method that have more time', () => {
    start(1, 10);
    load(5, '150m');
    stack.answers((stream) => stream.fail(Status.UNAVAILABLE), 'a');
    stack.answers((stream) => void stack.clock.after(SLOW_MS, () => reply(stream)), 'b');
    stack.update({
      routes: [aSafeRoute({ attemptTimeoutMs: 0 })],
      budget: { ratio: 1, perSecond: 10 },
      ejection: { mode: 'observe' },
    });
    const calls = Array.from({ length: 10 }, () => {
      const call = stack.call({ path: SLOW, timeout: '2S' });
      stack.advance(400);
      return call.status;
    });
    assert.deepEqual(countBy(calls, String), { 0: 10 });
  });
});
