/** Calls that are copied elsewhere: whatever becomes of the copy, the call is not affected, and differences are counted. */
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { mirrorReports, trafficShiftMetrics } from '../../../sidecar/app/metrics/traffic-shift.js';
import type { MirrorConfig, RouteConfig } from '../../../sidecar/config/model.js';
import { grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { endpoint } from '../../kit/scenario/discovered-upstream.js';
import { UpstreamStack, type UpstreamStackOptions } from '../../kit/scenario/upstream-stack.js';
import { anAnswer } from '../../kit/service/infer-answers.js';
import { anInferRequest } from '../../kit/service/infer-requests.js';
import {
  anUpstream,
  aRoute,
  aStreamRoute,
  type CallOptions,
  MESSAGE,
  type OutboundStack,
} from '../../kit/stack/stack.js';

const SCORES = anAnswer([0.1, 0.7, 0.2]);

const FELL_BACK = 'resource-exhausted; from=spare';
const SENT = { sent: 1, compared: 0, crashed: 0, refused: 0 };
const GARBAGE = Buffer.from('garbage');
const says = (body: Buffer) => (stream: PeerStream) => void stream.reply(body);

describe('Scenario: a mirror', () => {
  let stack: UpstreamStack;
  let shadow: OutboundStack;

  function start(
    mirror: Partial<MirrorConfig> = {},
    memoryBytes = 1 << 28,
    route: Partial<RouteConfig> = {},
    peer: UpstreamStackOptions['peer'] = {},
  ): void {
    const config = { upstream: 'shadow', ratio: 1, maxInFlight: 8, tolerance: 1e-4, ...mirror };
    stack = new UpstreamStack(
      ['a'],
      { routes: [aRoute({ ...route, mirror: config })] },
      { memoryBytes, peer },
    );
    shadow = stack.outbound(anUpstream(['b'], { name: 'shadow' }));
    stack.answers(says(SCORES), 'a', 'b');
  }

  const call = (options: CallOptions = {}): PeerStream => stack.call(options);

  /** A call, and long enough for its copy to be sent, answered and compared. */
  function mirrored(options: CallOptions = {}, ms = 50): void {
    call(options);
    settle(ms);
  }

  function shadowRoute(route: RouteConfig): void {
    stack.settle(shadow.outbound.state.update(anUpstream(['b'], { name: 'shadow', routes: [route] })));
  }

  /** Long enough for a copy to be sent, answered and compared. */
  function settle(ms = 50): void {
    stack.advance(ms);
  }

  const counts = () => stack.out.outbound.state.trafficShift.mirrors.get('shadow')!;
  const copies = () => stack.requestsAt('b');

  afterEach(() => {
    settle(120_000);
    assert.equal(counts()?.inFlight ?? 0, 0);
  });

  it('sends the request again once the call is over, marked, and compares the answers', () => {
    start();
    const answered = call({ timeout: '2S', metadata: [['x-user', 'u1']] });
    assert.deepEqual([answered.status, copies().length], [0, 0]);
    settle();
    const [copy] = copies();
    assert.equal(copy!.body.toString(), MESSAGE.toString());
    const names = ['outrider-mirrored', 'x-user', ':authority', 'grpc-previous-rpc-attempts'];
    const fields = names.map((name) => copy!.header(name));
    assert.deepEqual(fields, ['1', 'u1', 'shadow', undefined]);
    assert.match(copy!.header('grpc-timeout')!, /^(1\d{3}|2000)m$|^[12]S$|u$/);
    assert.equal(stack.backend('a').last.header('outrider-mirrored'), undefined);
    const { sent, compared, mismatched, argmax } = counts();
    assert.deepEqual([sent, compared, mismatched.values, argmax], [1, 1, 0, { same: 1, other: 0 }]);
    assert.deepEqual(mirrorReports([stack.out.outbound.state], 0), [
      { upstream: 'digits', to: 'shadow', sent: 1, inFlight: 0, skipped: 0, compared: 1, mismatched: 0 },
    ]);
    // Copies count as no caller's calls.
    for (const { service, started } of stack.context.stats.calls)
      assert.ok(service === 'digits' || started === 0);
  });

  it('is written down as the copy that it is', () => {
    start();
    const written: (boolean | undefined)[] = [];
    stack.context.recorder = { record: (each) => void written.push(each.isCopy) };
    mirrored();
    assert.deepEqual(written, [false, true]);
  });

  const shadows: Record<string, (stream: PeerStream) => void> = {
    'never answers': () => {},
    fails: (stream) => void stream.fail(14),
    'answers slowly': (stream) => void stack.clock.after(700, () => stream.reply(SCORES)),
    'answers garbage': (stream) => void stream.reply(GARBAGE),
    'answers nothing but an end': (stream) => void stream.begin().trailers(0),
    'breaks off': (stream) => void stream.begin().data(SCORES.subarray(0, 3)).reset(2),
    'resets at once': (stream) => void stream.reset(7),
    'answers with very much': (stream) => void stream.reply(grpcMessage(Buffer.alloc(300_000))),
    'answers differently': (stream) => void stream.reply(anAnswer([9, 0, 0])),
    'speaks HTTP': (stream) => void stream.headers([[':status', '503']]).end(),
    'goes away': (stream) => void stream.peer.socket.destroy(),
  };

  for (const [what, answer] of Object.entries(shadows)) {
    it(`does its calls no harm when the other upstream ${what}`, () => {
      start();
      stack.answers(answer, 'b');
      for (let i = 0; i < 40; i++) {
        const startMs = stack.clock.now();
        const each = call();
        assert.deepEqual([each.status, each.body.toString('hex')], [0, SCORES.toString('hex')]);
        assert.equal(stack.clock.now(), startMs);
        stack.advance(5);
      }
      settle(20_000);
      const { sent, skipped, compared, notCompared, inFlight } = counts();
      const uncompared = Object.values(notCompared).reduce((sum, n) => sum + n, 0);
      assert.deepEqual([sent + skipped.busy, compared + uncompared, inFlight], [40, sent, 0]);
      stack.assertIdle();
    });
  }

  it('does its calls no harm when the shadow has no endpoint', () => {
    start();
    stack.settle(stack.kill('b'));
    for (let i = 0; i < 5; i++) assert.equal(call().status, 0);
    settle(20_000);
    assert.equal(counts().mismatched.status, 5);
    const why = /^the copy ended with UNAVAILABLE \((no-endpoint|connect-failed)\), the call with OK$/;
    assert.match(counts().last, why);
  });

  it('is not tried again, whatever the other upstream’s route says', () => {
    start();
    const retry = { attempts: 3, on: [14], backoff: { baseMs: 0, maxMs: 0 } };
    shadowRoute(aRoute({ idempotent: true, retry }));
    stack.answers((stream) => void stream.fail(14), 'b');
    mirrored();
    assert.equal(copies().length, 1);
  });

  it('holds no answer of a copy beyond the half of the memory budget that is for such work', () => {
    const limit = 4 * 1024 * 1024;
    start({}, limit);
    const { memory } = stack.context;
    stack.answers(() => {}, 'b');
    mirrored();
    const [copy] = copies();
    memory.force(limit / 2);
    stack.settle(copy!.begin().data(grpcMessage(Buffer.alloc(300_000))));
    assert.equal(memory.reservedBytes, 0, 'its windows grow');
    assert.ok(memory.waiting.bytes < 64 * 1024, `${memory.waiting.bytes}`);
    stack.settle(copy!.trailers(0));
    memory.release(limit / 2);
    assert.equal(counts().notCompared['too-large'], 1);
  });

  it('has no more than so many copies under way', () => {
    start({ maxInFlight: 3 });
    stack.answers(() => {}, 'b');
    stack.load(10, 5);
    const { sent, skipped, inFlight } = counts();
    assert.deepEqual([sent, skipped.busy, inFlight, copies().length], [3, 7, 3, 3]);
    settle(16_000);
    assert.equal(counts().mismatched.status, 3);
    assert.match(counts().last, /DEADLINE_EXCEEDED \(deadline-exceeded\), the call with OK/);
  });

  it('copies a share', () => {
    start({ ratio: 0.2 });
    for (let i = 0; i < 500; i++) call();
    settle();
    const { sent, skipped } = counts();
    const taken = sent + skipped.busy;
    assert.ok(Math.abs(taken - 100) < 36, `${taken} of 500`);
  });

  it('skips what is not buffered whole, what memory has no room for, and calls that were cancelled', () => {
    start();
    call({ body: grpcMessage(Buffer.alloc(4 * 1024 * 1024 + 1)) });
    assert.equal(counts().skipped['too-large'], 1);
    stack.answers(() => {}, 'a');
    const left = call();
    stack.settle(left.reset(8));
    assert.equal(counts().skipped.cancelled, 1);
    settle();
    assert.deepEqual([counts().sent, copies().length], [0, 0]);
    stack.close();

    // Its first attempt has failed with all that belongs to an answer.
    start({}, undefined, {
      idempotent: true,
      retry: { attempts: 2, on: [14], backoff: { baseMs: 25, maxMs: 25 } },
    });
    stack.answers((stream) => void stream.fail(14), 'a');
    const retried = call();
    stack.settle(retried.reset(8));
    assert.equal(counts().skipped.cancelled, 1);
    settle();
    assert.deepEqual([counts().sent, copies().length], [0, 0]);
    stack.close();

    start({}, 400_000);
    mirrored({ body: grpcMessage(Buffer.alloc(250_000)) });
    assert.equal(counts().skipped.memory, 1);
    stack.assertIdle();
  });

  /** The sidecar beside the model answers for it. */
  const sidecarSays = (
    stream: PeerStream,
    reason: string,
    status: number,
    ...more: [string, string][]
  ): void => void stream.fail(status, [['outrider-reason', reason], ...more]);
  const skipped = () => {
    const { sent, compared, skipped: why } = counts();
    return { sent, compared, crashed: why.crashed, refused: why.refused };
  };

  it('does not send what crashed the model, nor what is refused for that', () => {
    start();
    let runs = 0;
    stack.answers((stream) => {
      runs++;
      sidecarSays(stream, 'model-crashed', 14);
    }, 'a');
    const body = anInferRequest('digits', 400);
    const ends = [0, 1, 2].map(() => {
      const stream = call({ body });
      stack.advance(2_000);
      return stream.reason;
    });
    assert.deepEqual([...ends, runs], ['model-crashed', 'model-crashed', 'poison', 2]);
    assert.equal(copies().length, 0, 'the other upstream would be the next victim');
    assert.deepEqual(skipped(), { sent: 0, compared: 0, crashed: 3, refused: 0 });
  });

  it('does not send what the model process was lost with, unless another one answered it', () => {
    start();
    stack.answers((stream) => sidecarSays(stream, 'connection-lost', 14), 'a');
    mirrored();
    assert.deepEqual([skipped(), copies().length], [{ sent: 0, compared: 0, crashed: 1, refused: 0 }, 0]);
    stack.close();

    const retry = { attempts: 2, on: [14], backoff: { baseMs: 0, maxMs: 0 } };
    start({}, undefined, { idempotent: true, retry });
    let isFirst = true;
    stack.answers(
      (stream) => {
        if (!isFirst) return void stream.reply(SCORES);
        isFirst = false;
        sidecarSays(stream, 'connection-lost', 14);
      },
      'a',
      'c',
    );
    stack.update({ routes: stack.out.outbound.state.config.routes }, ['a', 'c']);
    assert.equal(call().status, 0);
    settle();
    assert.deepEqual(skipped(), { sent: 1, compared: 1, crashed: 0, refused: 0 });
  });

  it('does not send what the model process was lost with, or no endpoint had, though an answer of before was given', () => {
    start({}, undefined, { fallback: [{ kind: 'last-good', maxAgeMs: 60_000, maxBytes: 100_000 }] });
    mirrored();
    assert.deepEqual(skipped(), { sent: 1, compared: 1, crashed: 0, refused: 0 });
    stack.answers((stream) => sidecarSays(stream, 'connection-lost', 14), 'a');
    const lost = call();
    settle();
    assert.equal(lost.status, 0);
    assert.match(lost.header('outrider-degraded')!, /from=last-good/);
    assert.deepEqual(skipped(), { sent: 1, compared: 1, crashed: 1, refused: 0 });
    stack.settle(stack.kill('a'));
    const unserved = call();
    settle(20_000);
    assert.equal(unserved.status, 0);
    assert.deepEqual(skipped(), { sent: 1, compared: 1, crashed: 1, refused: 1 });
  });

  for (const [reason, status, why] of [
    ['rate-limited', 8, 'the caller is over its rate'],
    ['overloaded', 8, 'the replica is full'],
    ['intentions-not-loaded', 14, 'the replica has no intentions yet'],
  ] as const)
    it(`does not send what no model worked on, as ${why}: that says nothing about the version`, () => {
      start();
      stack.answers((stream) => sidecarSays(stream, reason, status, ['outrider-unprocessed', 'true']), 'a');
      assert.equal(call().status, status);
      settle();
      assert.deepEqual(skipped(), { sent: 0, compared: 0, crashed: 0, refused: 1 });
      assert.equal(counts().mismatched.status, 0);
      stack.answers((stream) => void stream.fail(status), 'a');
      mirrored();
      assert.deepEqual(
        [skipped().sent, counts().mismatched.status],
        [1, 1],
        'what a model itself says counts',
      );
    });

  it('does not send what only the upstream that it fell back to worked on, whether that answered or not', () => {
    start({}, undefined, { fallback: [{ kind: 'upstream', upstream: 'spare' }] });
    stack.outbound(anUpstream(['c'], { name: 'spare' }));
    stack.answers((stream) => sidecarSays(stream, 'overloaded', 8, ['outrider-unprocessed', 'true']), 'a');
    stack.answers(says(SCORES), 'c');
    const fellBack = call();
    settle();
    assert.deepEqual([fellBack.status, fellBack.header('outrider-degraded')], [0, FELL_BACK]);
    assert.deepEqual(skipped(), { sent: 0, compared: 0, crashed: 0, refused: 1 });
    stack.answers((stream) => void stream.fail(14), 'c');
    assert.equal(call().status, 8);
    settle();
    assert.deepEqual(skipped(), { sent: 0, compared: 0, crashed: 0, refused: 2 });
  });

  it('sends what its own upstream worked on before another one answered', () => {
    start({}, undefined, { idempotent: true, fallback: [{ kind: 'upstream', upstream: 'spare' }] });
    stack.outbound(anUpstream(['c'], { name: 'spare' }));
    stack.answers((stream) => void stream.fail(14), 'a');
    stack.answers(says(SCORES), 'c');
    mirrored();
    assert.deepEqual([skipped(), counts().notCompared.degraded], [SENT, 1]);
  });

  it('does not send what was cut off before all of its message was sent', () => {
    start({}, undefined, {}, { replenishes: false });
    stack.answers(() => {}, 'a');
    stack.caller.call({ body: anInferRequest('digits', 150_000) });
    stack.run();
    stack.settle(stack.backend('a').peer.socket.break());
    settle();
    assert.deepEqual(skipped(), { sent: 0, compared: 0, crashed: 0, refused: 1 });
  });

  it('does not send what has no endpoint, or finds the breaker open', () => {
    start();
    stack.settle(stack.kill('a'));
    call();
    settle(20_000);
    assert.deepEqual(skipped(), { sent: 0, compared: 0, crashed: 0, refused: 1 });
  });

  it('compares answers that are too long to be held, of requests of half a megabyte', () => {
    start();
    const scores = (value: number): Buffer => anAnswer(new Array<number>(75_000).fill(value));
    const body = anInferRequest('digits', 588_000);
    stack.answers(says(scores(0.5)), 'a', 'b');
    const answered = call({ body });
    assert.ok(answered.body.equals(scores(0.5)));
    settle(200);
    assert.deepEqual([counts().sent, counts().compared, counts().mismatched.values], [1, 1, 0]);
    assert.equal(copies()[0]!.body.length, body.length);
    stack.answers(says(scores(0.7)), 'b');
    mirrored({ body }, 200);
    assert.deepEqual([counts().compared, counts().mismatched.values], [2, 1]);
    stack.assertIdle();
  });

  it('does not compare answers longer than what may be kept, and counts them', () => {
    start();
    stack.answers(says(grpcMessage(Buffer.alloc(4 * 1024 * 1024 + 1))), 'a', 'b');
    mirrored({}, 200);
    assert.deepEqual([counts().sent, counts().notCompared['too-large']], [1, 1]);
    stack.assertIdle();
  });

  it('leaves out what the other upstream cannot take as a whole', () => {
    start();
    shadowRoute(aStreamRoute());
    assert.equal(call().status, 0);
    settle();
    assert.deepEqual([counts().sent, counts().skipped['no-route']], [0, 1]);
  });

  it('tells what differed last, without the values', () => {
    start();
    stack.answers(says(anAnswer([0.6, 0.3, 0.1])), 'b');
    mirrored();
    const [report] = mirrorReports([stack.out.outbound.state], stack.clock.now() + 1000);
    const what = 'output "scores": 3 of 3 elements differ, by up to 0.5; 1 of 1 largest classes are others';
    assert.deepEqual([report!.mismatched, report!.last], [1, what]);
    assert.ok(report!.lastAgoMs! >= 1000);
    const families = trafficShiftMetrics([stack.out.outbound.state]);
    const of = { upstream: 'digits', to: 'shadow' };
    for (const [name, labels] of [
      ['sent', of],
      ['mismatched', { ...of, about: 'values' }],
      ['largest_class', { ...of, class: 'other' }],
    ] as const) {
      const family = families.find((each) => each.name === `outrider_mirror_${name}_total`)!;
      const sample = family.samples.find((each) => isDeepStrictEqual(each.labels, labels))!;
      assert.equal('value' in sample && sample.value, 1, name);
    }
  });

  it('tells of an answer that cannot be read, and of none', () => {
    start();
    for (const body of [GARBAGE, Buffer.alloc(0)]) {
      stack.answers(says(body), 'b');
      mirrored();
    }
    assert.equal(counts().mismatched.unreadable, 2);
    assert.equal(counts().last, "the copy's answer cannot be read");
    stack.answers(says(GARBAGE), 'a');
    mirrored();
    assert.equal(counts().notCompared.unreadable, 1);
  });

  it('tells how much longer the copies took', () => {
    start();
    stack.answers((stream) => void stack.clock.after(20, () => stream.reply(SCORES)), 'a');
    stack.answers((stream) => void stack.clock.after(120, () => stream.reply(SCORES)), 'b');
    mirrored({}, 200);
    assert.ok(Math.abs(counts().differenceSumMs - 100) < 5, String(counts().differenceSumMs));
  });

  it('agrees where both fail alike, and compares no answers of other methods', () => {
    start();
    stack.answers((stream) => void stream.fail(3), 'a', 'b');
    mirrored();
    assert.deepEqual([counts().compared, counts().last], [1, '']);
    stack.answers(says(Buffer.from('one')), 'a');
    stack.answers(says(Buffer.from('other')), 'b');
    mirrored({ path: '/a.B/C' });
    assert.deepEqual([counts().compared, counts().last], [2, '']);
  });

  it('of a split call goes to the other upstream too, unless the call itself went there', () => {
    start();
    const mirror = { upstream: 'shadow', ratio: 1, maxInFlight: 8, tolerance: 0 };
    const all = (upstream: string) => ({ match: [], weights: { [upstream]: 1 } });
    stack.outbound(anUpstream(['c'], { name: 'canary' }));
    stack.answers(says(SCORES), 'c');
    stack.update({ routes: [aRoute({ mirror, split: all('canary') })] });
    mirrored();
    assert.deepEqual([stack.backend('c').requests.length, copies().length, counts().sent], [1, 1, 1]);
    stack.update({ routes: [aRoute({ mirror, split: all('shadow') })] });
    mirrored();
    assert.deepEqual([copies().length, counts().sent], [2, 1]);
  });

  it('ends a copy whose handling throws', () => {
    start();
    stack.answers(() => {}, 'b');
    mirrored();
    const [session] = shadow.cluster.endpoints[0]!.pool.sessions;
    const [stream] = session!.connection.state.table.all();
    stack.settle(stream!.owner.giveUp?.());
    assert.deepEqual([counts().inFlight, copies()[0]!.isOver], [0, true]);
  });

  it('is sent once, even where a rule of the registry asks for more', () => {
    start({ upstream: 'found' });
    const consul = { service: 'found', tags: [], meta: {}, failover: [] };
    const found = stack.outbound(anUpstream([], { name: 'found', consul }));
    stack.answers((stream) => void stream.fail(14), 'b', 'c');
    const sent = () => stack.requestsAt('b', 'c').length;
    // The first one waits until it is known where it can go.
    mirrored({}, 500);
    const rule = { split: [{ weight: 1, cluster: '' }], retry: { attempts: 3, on: [14] } };
    const endpoints = [endpoint('b'), endpoint('c')];
    found.outbound.state.apply({ routes: [rule], clusters: new Map([['', { endpoints }]]) });
    settle(500);
    assert.equal(sent(), 1);
    for (let i = 0; i < 5; i++) mirrored({}, 500);
    assert.equal(sent(), 6);
  });
});
