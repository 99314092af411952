/** Taps on the calls of a sidecar's data plane: what they show, what they drop, and that they leave nothing behind. */
import assert from 'node:assert/strict';
import type { LogFields } from '../../../../sidecar/runtime/log/logger.js';
import { AccessLog } from '../../../../sidecar/telemetry/access-log.js';
import { Recorders } from '../../../../sidecar/telemetry/recorders.js';
import { MAX_TAPS, OpenTaps } from '../../../../sidecar/telemetry/tap/open-taps.js';
import type { TapOptions } from '../../../../sidecar/telemetry/tap/tap.js';
import type { TapFilter } from '../../../../sidecar/telemetry/tap/tap-filter.js';
import { type Application, anUpstream, aSafeRoute, Stack } from '../../../kit/stack/stack.js';

describe('taps', () => {
  let stack: Stack;
  let app: Application;
  let recorders: Recorders;
  let taps: OpenTaps;
  let shown: LogFields[];
  let dropped: number[];
  let hasRoom: boolean;
  beforeEach(() => {
    stack = new Stack();
    app = stack.app(stack.outbound(anUpstream(['a', 'b'], { routes: [aSafeRoute()] })).listener);
    recorders = new Recorders(stack.context);
    taps = new OpenTaps('app', stack.context, stack.clock, (all) => recorders.set('tap', all));
    shown = [];
    dropped = [];
    hasRoom = true;
  });
  afterEach(() => {
    for (const close of closers.splice(0)) close();
    stack.close();
  });
  const closers: (() => void)[] = [];

  const open = (filter: TapFilter = {}, over: Partial<TapOptions> = {}) => {
    const close = taps.open(
      { filter, sampleRatio: 1, perSecond: 10, ...over },
      {
        call: (fields) => {
          if (hasRoom) shown.push(fields);
          return hasRoom;
        },
        dropped: (count) => void dropped.push(count),
      },
    );
    if (close !== undefined) closers.push(close);
    return close;
  };
  /** A call that is answered with this status. */
  const called = (status: number): void => {
    for (const name of ['a', 'b'])
      stack.backend(name).answer = (stream) => (status === 0 ? stream.reply() : stream.fail(status));
    stack.settle(app.call());
    stack.advance(1);
  };
  const answered = (): void => called(0);

  it('say of a call that was under way how many of its attempts began before', () => {
    stack.settle(app.call());
    open();
    const { last } = stack.backend('a');
    stack.settle(last.fail(14));
    stack.settle(stack.backend('b').last.reply());
    const [{ status, attempts, attemptsBefore } = {}] = shown;
    assert.deepEqual([status, attemptsBefore], ['OK', 1]);
    assert.equal((attempts as unknown[]).length, 1);
  });

  it('cost a call nothing while none is open: there is no recorder and no timer', () => {
    const pending = stack.clock.pending();
    assert.equal(stack.context.recorder, null);
    const close = open();
    assert.equal(stack.context.recorder, taps);
    close?.();
    close?.();
    assert.equal(stack.context.recorder, null);
    assert.equal(stack.clock.pending(), pending);
  });

  it('show a call with its attempts, beside the access log, and leave the log when they close', () => {
    const logged: LogFields[] = [];
    const log = new AccessLog((fields) => void logged.push(fields), 1, 'app', stack.context);
    recorders.set('log', log);
    const close = open();
    answered();
    assert.equal(logged.length, 1);
    assert.deepEqual(
      shown.map(({ time, ...fields }) => [typeof time, fields]),
      [['string', logged[0]]],
    );
    close?.();
    assert.equal(stack.context.recorder, log);
    answered();
    assert.deepEqual([shown.length, logged.length], [1, 2]);
  });

  it('show what fits', () => {
    const filters: readonly (readonly [TapFilter, number])[] = [
      [{ direction: 'outbound' }, 1],
      [{ direction: 'inbound' }, 0],
      [{ service: 'digits' }, 1],
      [{ service: 'other' }, 0],
      [{ method: 'Infer' }, 1],
      [{ method: 'Nothing' }, 0],
      [{ model: 'x' }, 0],
      [{ status: 0 }, 1],
      [{ status: 14 }, 0],
      [{ reason: 'overloaded' }, 0],
      [{ isFailed: true }, 0],
      [{ slowMs: 0 }, 1],
      [{ slowMs: 1_000 }, 0],
    ];
    for (const [filter, count] of filters) {
      shown = [];
      const close = open(filter);
      answered();
      close?.();
      assert.equal(shown.length, count, JSON.stringify(filter));
    }
  });

  it('find failures by status', () => {
    const close = open({ isFailed: true, status: 5 });
    answered();
    called(5);
    close?.();
    assert.deepEqual(
      shown.map(({ status }) => status),
      ['NOT_FOUND'],
    );
  });

  it('show so many calls a second, count the others once a second, and begin anew', () => {
    open({}, { perSecond: 2 });
    for (let i = 0; i < 5; i++) answered();
    assert.equal(shown.length, 2);
    stack.advance(1_000);
    answered();
    stack.advance(1_000);
    assert.equal(shown.length, 3);
    assert.deepEqual(dropped, [3, 0]);
  });

  it('drop what a slow reader does not take, and try again a second later', () => {
    open();
    hasRoom = false;
    answered();
    answered();
    stack.advance(1_000);
    hasRoom = true;
    answered();
    assert.deepEqual([shown.length, dropped], [1, [2]]);
  });

  it('show a share of the calls', () => {
    open({}, { sampleRatio: 0.001 });
    for (let i = 0; i < 5; i++) answered();
    assert.ok(shown.length < 5);
    stack.advance(1_000);
    assert.deepEqual(dropped, [0], 'what is not sampled is not dropped');
  });

  it('are bounded in number', () => {
    const open4 = Array.from({ length: MAX_TAPS }, () => open());
    assert.ok(open4.every((close) => close !== undefined));
    assert.equal(open(), undefined);
    open4[0]?.();
    assert.ok(open() !== undefined);
  });
});
