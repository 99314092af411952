/**
 * A request that crashes the model process that works on it. It is not sent to one replica after the other, and refused
 * after the second crash; requests that were beside it are none the worse for it.
 */
import assert from 'node:assert/strict';
import { poisonReports } from '../../../sidecar/app/endpoint-report.js';
import { MODEL_INFER } from '../../../sidecar/codec/inference.js';
import { MessageWriter } from '../../../sidecar/codec/protobuf.js';
import type { FallbackConfig, RouteConfig } from '../../../sidecar/config/model.js';
import { PoisonTable, REMEMBERED_MS } from '../../../sidecar/core/retry/poison-table.js';
import { grpcMessage } from '../../kit/http2/h2-frames.js';
import type { Field } from '../../kit/http2/hpack-lite.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { isCheck, says, UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import {
  anUpstream,
  aSafeRoute,
  aStreamRoute,
  type CallOptions,
  type UpstreamOptions,
} from '../../kit/stack/stack.js';

const NAMES = ['a', 'b', 'c'];
const BAD = Buffer.from('\0\0\0\0\x03bad');
const GOOD = Buffer.from('\0\0\0\0\x04good');

describe('Scenario: a request that crashes models', () => {
  let stack: UpstreamStack;
  let isServing: boolean;

  const start = (route: Partial<RouteConfig> = {}, over: UpstreamOptions = {}): void => {
    isServing = true;
    stack = new UpstreamStack(NAMES, { routes: [aSafeRoute(route)], ...over });
    stack.outbound(anUpstream(['small'], { name: 'small' }));
    stack.answers(answer, ...NAMES, 'small');
  };
  const CRASH: readonly Field[] = [
    ['outrider-reason', 'model-crashed'],
    ['grpc-message', 'SIGSEGV'],
  ];
  const LOST: readonly Field[] = [['outrider-reason', 'connection-lost']];
  const crash = (stream: PeerStream): void => void stream.fail(14, CRASH);
  const AWAY: readonly Field[] = [
    ['outrider-reason', 'model-unavailable'],
    ['outrider-unprocessed', 'true'],
  ];
  const answer = (stream: PeerStream): void => {
    if (isCheck(stream)) return says(isServing)(stream);
    if (stream.body.includes('bad')) return crash(stream);
    stream.reply(stream.body);
  };
  const call = (body: Buffer | null = GOOD, options: CallOptions = {}): PeerStream =>
    stack.call({ body, ...options });
  const seen = (stream: PeerStream) => [stream.status, stream.reason];
  /** How often it was begun anywhere. */
  const begun = (text: string, names: readonly string[] = [...NAMES, 'small']): number =>
    stack.requestsAt(...names).filter(({ body }) => body.includes(text)).length;
  /** Endpoints answer checks, and requests stay in the list that is returned. */
  const holdAll = (): PeerStream[] => {
    const isAt: PeerStream[] = [];
    stack.answers((stream) => void (isCheck(stream) ? answer(stream) : isAt.push(stream)));
    return isAt;
  };
  /** The model is started again. */
  const recover = (): void => stack.advance(2_000);

  it('is not tried again, unlike one whose model is merely away', () => {
    start();
    assert.deepEqual(seen(call(BAD)), [14, 'model-crashed']);
    assert.equal(begun('bad'), 1);
    stack.answers((stream) => void stream.fail(14, AWAY));
    call(GOOD);
    assert.ok(begun('good') > 1);
  });

  it('ends two processes at most where their sidecars cannot say that they crashed, as with SIGKILL', () => {
    start({ retry: { attempts: 3, on: [14], backoff: { baseMs: 0, maxMs: 0 } } });
    stack.answers((stream) => {
      if (isCheck(stream) || !stream.body.includes('bad')) answer(stream);
      else stream.fail(14, LOST);
    });
    for (let i = 1; i <= 2; i++) {
      assert.deepEqual(seen(call(BAD)), [14, 'connection-lost']);
      assert.equal(begun('bad'), 2 * i);
      recover();
    }
    assert.deepEqual(seen(call(BAD)), [7, 'poison']);
    assert.equal(begun('bad'), 4);
  });

  it('is none that lost one process, and was answered by another one', () => {
    start();
    for (let i = 0; i < 4; i++) {
      let isFirst = true;
      stack.answers((stream) => {
        if (isCheck(stream) || !isFirst) return answer(stream);
        isFirst = false;
        stream.fail(14, LOST);
      });
      assert.equal(call(GOOD).status, 0);
      recover();
    }
    assert.equal(stack.out.outbound.state.poison.isIdle, true, 'nothing is on record');
  });

  it('is recognised whatever its id', () => {
    start();
    const bad = (id: string): Buffer =>
      grpcMessage(new MessageWriter().text(1, 'm').text(3, id).text(5, 'bad').finish());
    const infer = (body: Buffer): PeerStream => call(body, { path: MODEL_INFER });
    for (const id of ['1', 'another']) {
      assert.deepEqual(seen(infer(bad(id))), [14, 'model-crashed']);
      recover();
    }
    for (const id of ['', '3', 'one more']) assert.deepEqual(seen(infer(bad(id))), [7, 'poison']);
    const other = grpcMessage(new MessageWriter().text(1, 'm').text(3, '1').text(5, 'not').finish());
    assert.deepEqual(seen(infer(other)), [0, undefined]);
    assert.equal(begun('bad'), 2);
  });

  it('is refused after the second crash, and others of its size are not', () => {
    start();
    for (let i = 0; i < 2; i++) {
      assert.deepEqual(seen(call(BAD)), [14, 'model-crashed']);
      recover();
    }
    const other = Buffer.from('\0\0\0\0\x03not');
    for (let i = 0; i < 5; i++) {
      assert.deepEqual(seen(call(BAD)), [7, 'poison']);
      assert.deepEqual(seen(call(other)), [0, undefined]);
    }
    assert.equal(begun('bad'), 2);
    assert.equal(stack.out.outbound.state.poison.crashes, 2);
    const elsewhere = call(BAD, { path: '/inference.GRPCInferenceService/ModelReady' });
    assert.deepEqual(seen(elsewhere), [14, 'model-crashed'], 'another question');
    stack.advance(REMEMBERED_MS);
    assert.deepEqual(seen(call(BAD)), [14, 'model-crashed'], 'perhaps it has been mended');
    stack.assertIdle();
  });

  it('is refused however slowly it comes, and nothing is refused that is too large to be kept', () => {
    start();
    const body = Buffer.concat([BAD, Buffer.alloc(100_000)]);
    for (let i = 0; i < 2; i++) {
      call(body);
      recover();
    }
    const slow = call(null);
    for (let at = 0; at < body.length; at += 20_000) {
      slow.data(body.subarray(at, at + 20_000));
      stack.advance(700);
    }
    assert.equal(slow.isOver, false);
    stack.settle(slow.end());
    assert.deepEqual(seen(slow), [7, 'poison']);
    assert.equal(begun('bad'), 2);
    const large = Buffer.concat([BAD, Buffer.alloc(5 << 20)]);
    for (let i = 0; i < 3; i++) {
      assert.equal(seen(call(large))[1], 'model-crashed');
      recover();
    }
    stack.assertIdle();
  });

  it('leaves those in peace that were beside it twice, and were answered between', () => {
    start();
    const isAt = holdAll();
    for (let i = 0; i < 4; i++) {
      const calls = [call(GOOD), call(BAD), call(GOOD)];
      for (const stream of isAt.splice(0)) crash(stream);
      stack.run();
      for (const [n, each] of calls.entries())
        assert.equal(each.reason, n === 1 && i >= 2 ? 'poison' : 'model-crashed', `time ${i}, call ${n}`);
      recover();
      const after = call(GOOD);
      for (const stream of isAt.splice(0)) stream.reply();
      stack.run();
      assert.equal(after.status, 0, `time ${i}`);
    }
  });

  it('is charged once with a crash that several of it were in', () => {
    start();
    const isAt = holdAll();
    const calls = [call(GOOD), call(GOOD), call(GOOD)];
    for (const stream of isAt.splice(0)) crash(stream);
    stack.run();
    assert.deepEqual(calls.map(seen), Array(3).fill([14, 'model-crashed']));
    recover();
    stack.answers(answer);
    assert.equal(call(GOOD).status, 0);
  });

  it('goes to no other upstream, neither at first nor while the primary rests', () => {
    const fallback: FallbackConfig[] = [{ kind: 'upstream', upstream: 'small' }];
    start({ fallback });
    assert.deepEqual(seen(call(BAD)), [14, 'model-crashed']);
    assert.equal(begun('bad', ['small']), 0);
    stack.answers((stream) => void stream.fail(13));
    for (let i = 0; i < 8; i++) assert.equal(call(GOOD).header('outrider-degraded'), 'internal; from=small');
    const away = call(Buffer.from('\0\0\0\0\x04bad2'));
    assert.deepEqual(seen(away), [14, 'model-crashed']);
    assert.deepEqual([begun('bad2', ['small']), begun('bad2', NAMES)], [1, 0], 'nor back to the primary');
    stack.assertIdle();
  });

  it('may be answered as it was before', () => {
    start({ fallback: [{ kind: 'last-good', maxAgeMs: 60_000, maxBytes: 100_000 }] });
    call(GOOD);
    stack.answers((stream) => (isCheck(stream) ? answer : crash)(stream));
    const stream = call(GOOD);
    assert.deepEqual([stream.status, stream.header('outrider-degraded')], [0, 'unavailable; from=last-good']);
  });

  it('gets no second copy once it has crashed the first, and a copy under way may answer', () => {
    start({ hedge: { percentile: 0.9, minDelayMs: 1, maxRatio: 0.5 } });
    const isAt: PeerStream[] = [];
    stack.answers((stream) => {
      if (isCheck(stream)) return answer(stream);
      if (stream.body.includes('bad')) isAt.push(stream);
      else stack.clock.after(5, () => stream.reply());
    });
    stack.load(60, 10, { body: GOOD });
    const early = call(BAD);
    crash(isAt.shift()!);
    stack.advance(100);
    assert.deepEqual([seen(early), isAt.length], [[14, 'model-crashed'], 0]);
    recover();
    for (const last of ['crashes', 'answers'] as const) {
      const late = call(Buffer.from(`\0\0\0\0\x09bad ${last}`));
      stack.advance(50);
      assert.equal(isAt.length, 2);
      stack.settle(crash(isAt.shift()!));
      assert.equal(late.isOver, false);
      if (last === 'crashes') crash(isAt.shift()!);
      else isAt.shift()!.reply();
      stack.advance(100);
      assert.deepEqual([late.status, isAt.length], [last === 'crashes' ? 14 : 0, 0]);
      recover();
    }
  });

  it('is not believed of what is outside the mesh', () => {
    start({}, { tls: 'plaintext' });
    call(BAD);
    assert.equal(begun('bad'), 2);
  });

  it('is not known of streams, whose messages are not kept', () => {
    start({}, { routes: [aStreamRoute()] });
    for (let i = 0; i < 4; i++) {
      assert.equal(seen(call(BAD))[1], 'model-crashed');
      recover();
    }
  });

  it('costs its replica calls until that serves again, and no longer', () => {
    start();
    isServing = false;
    call(BAD);
    const victim = stack.out.cluster.endpoints.find(({ ejection }) => ejection.isDown);
    assert.ok(victim, 'it is out at once');
    const asked = () => stack.requestsAt(victim.id).filter((each) => !isCheck(each)).length;
    const before = asked();
    for (let i = 0; i < 30; i++) assert.equal(call(GOOD).status, 0);
    assert.equal(asked(), before);
    isServing = true;
    stack.advance(700);
    for (let i = 0; i < 9; i++) assert.equal(call(GOOD).status, 0);
    assert.equal(asked() - before, 3, 'its share');
    assert.equal(stack.report(victim.id).state, 'eligible');
  });

  it('is shown by digits that say nothing of it', () => {
    const table = new PoisonTable();
    const fingerprint = 'a secret tag';
    for (const startedMs of [0, 10])
      table.crashed({ fingerprint, upstream: 'u', bytes: 3 }, startedMs, 5 + startedMs);
    const [report] = poisonReports(table, 1_015);
    assert.match(report!.fingerprint, /^[0-9a-f]{16}$/);
    const { fingerprint: _, ...others } = report!;
    assert.deepEqual(others, { upstream: 'u', crashes: 2, isRefused: true, forMs: REMEMBERED_MS - 1_000 });
  });
});
