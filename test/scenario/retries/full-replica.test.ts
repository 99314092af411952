/**
 * A replica that turns everything away gets hardly a call while others serve, and its share again when it has room: what
 * it turned away has not made it look slow.
 */
import assert from 'node:assert/strict';
import { LocalReplyReasons } from '../../../sidecar/core/outcome/local-reply-reason.js';
import { Outcome } from '../../../sidecar/core/outcome/outcome.js';
import { grpcMessage } from '../../kit/http2/h2-frames.js';
import type { Field } from '../../kit/http2/hpack-lite.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { countBy } from '../../kit/scenario/counts.js';
import { DetectorPool } from '../../kit/scenario/detector-pool.js';
import { Mesh } from '../../kit/scenario/mesh-in-memory.js';
import { aSafeRoute, aStreamRoute, MESSAGE } from '../../kit/stack/stack.js';

const RUN_MS = 20;
const PLACES = 4;
const RETRIED = aSafeRoute({ retry: { attempts: 2, on: [8, 14], backoff: { baseMs: 25, maxMs: 250 } } });

/** A mesh whose models have places. */
function busyMesh(): Mesh {
  const queue = { concurrency: PLACES, maxWaiting: PLACES };
  const mesh = new Mesh({ routes: [RETRIED], queue });
  for (const { model, name } of mesh.replicas)
    model.answer = (stream) => void mesh.stack.clock.after(RUN_MS, () => stream.reply(Buffer.from(name)));
  return mesh;
}

describe('Scenario: one of several replicas is full', () => {
  it('sends hardly anything to one that turns everything away, and its share when it has room again', () => {
    const mesh = busyMesh();
    mesh.load(500, 6);
    const { model } = mesh.replicas[0]!;
    const { answer } = model;
    model.answer = (stream) => stream.reply(Buffer.alloc(0), 8);
    mesh.load(1000, 4);
    const before = mesh.endpoint(0).attempts;
    const from = mesh.sent.length;
    mesh.load(5000, 4);
    mesh.advance(1000);
    const share = (mesh.endpoint(0).attempts - before) / (mesh.sent.length - from);
    assert.ok(share < 0.05, `${(100 * share).toFixed(1)} % of the calls went to it first`);
    assert.deepEqual(mesh.failures(from), {});
    model.answer = answer;
    mesh.load(8000, 4);
    assert.ok(mesh.shares(600)['r1']! > 150, JSON.stringify(mesh.shares(600)));
  });
});

/** What a sidecar says of a call that its model has not seen. */
function says(
  stream: PeerStream,
  reason: string,
  { status = 14, model = [] as readonly string[] } = {},
): void {
  const names = model.map((name): Field => ['outrider-model', name]);
  stream.fail(status, [['outrider-reason', reason], ['outrider-unprocessed', 'true'], ...names]);
}

describe('Scenario: sidecars say that their models have not seen the call', () => {
  let pool: DetectorPool;

  /** Every call comes to its deadline in the queue, and its sidecar says so, or gives another reason. */
  const turnAway = (
    tls: 'mesh' | 'plaintext',
    { name, status }: (typeof LocalReplyReasons)[keyof typeof LocalReplyReasons],
  ) => {
    pool = new DetectorPool(['a', 'b', 'c', 'd'], { tls });
    pool.works(pool.names, 20);
    pool.load(80);
    const model = name === LocalReplyReasons.modelNotReady.name ? ['m'] : [];
    pool.answers((stream) => void pool.clock.after(1990, () => says(stream, name, { status, model })));
    pool.load(60, 20, { timeout: '2S' });
    pool.advance(3000);
  };

  for (const reason of Object.values(LocalReplyReasons)) {
    const { modelUnavailable, modelNotReady, rateLimited } = LocalReplyReasons;
    if (!reason.isUnprocessed || reason === modelUnavailable || reason === modelNotReady) continue;
    if (reason.name === rateLimited.name) continue;
    it(`${reason.name}: less for them, and none is ejected`, () => {
      turnAway('mesh', reason);
      assert.deepEqual(pool.states, ['eligible', 'eligible', 'eligible', 'eligible']);
      for (const each of pool.names) {
        const { outcomes } = pool.endpoint(each);
        assert.equal(outcomes[Outcome.fault], 0);
        assert.ok(outcomes[Outcome.overload]! > 0);
      }
    });
  }

  it('rate-limited: nothing is held against them', () => {
    turnAway('mesh', LocalReplyReasons.rateLimited);
    assert.deepEqual(pool.states, ['eligible', 'eligible', 'eligible', 'eligible']);
    for (const each of pool.names) {
      const { outcomes } = pool.endpoint(each);
      assert.equal(outcomes[Outcome.fault]! + outcomes[Outcome.overload]!, 0);
      assert.ok(outcomes[Outcome.refusal]! > 0);
    }
  });

  it('model-not-ready: one model of several, so nothing is held against the endpoint, nor less given to it', () => {
    turnAway('mesh', LocalReplyReasons.modelNotReady);
    assert.deepEqual(pool.states, ['eligible', 'eligible', 'eligible', 'eligible']);
    for (const each of pool.names) {
      const { outcomes } = pool.endpoint(each);
      assert.equal(outcomes[Outcome.fault]! + outcomes[Outcome.overload]!, 0);
      assert.ok(outcomes[Outcome.refusal]! > 0);
    }
  });

  /** Every replica serves one model; those named do not serve the other. */
  const serveWithout = (out: readonly string[]): void => {
    pool = new DetectorPool();
    for (const name of pool.names)
      pool.answers((stream) => {
        const isAsked = stream.header('x-model') === 'broken';
        if (!isAsked || !out.includes(name)) return void stream.reply(Buffer.from('ok'));
        says(stream, LocalReplyReasons.modelNotReady.name, { model: ['broken'] });
      }, name);
  };
  const BROKEN = { metadata: [['x-model', 'broken']] as const };
  const retried = (): number => pool.out.outbound.state.retries;

  it('model-not-ready: another replica is tried, and serves it', () => {
    serveWithout(['a']);
    assert.deepEqual(pool.load(60, 20, BROKEN), { ok: 60 });
    assert.ok(retried() > 10, `${retried()} retries`);
  });

  it('model-not-ready everywhere: no retry is spent on it, so that other calls have theirs', () => {
    serveWithout(['a', 'b', 'c']);
    pool.load(100, 20, BROKEN);
    assert.ok(retried() <= 6, `${retried()} retries of calls that no replica could answer`);
    assert.equal(pool.out.cluster.budget.refused, 0);
    assert.deepEqual(pool.states, ['eligible', 'eligible', 'eligible']);
  });

  it('a process that crashed, of one model of several: the endpoint goes on with the others', () => {
    pool = new DetectorPool(['a', 'b']);
    const crashed: Field = ['outrider-reason', LocalReplyReasons.modelCrashed.name];
    let names: readonly Field[] = [['outrider-model', 'broken']];
    pool.answers((stream) => void stream.fail(14, [crashed, ...names]), 'a');
    pool.load(40, 20);
    assert.deepEqual(pool.states, ['eligible', 'eligible']);
    assert.equal(pool.endpoint('a').outcomes[Outcome.fault], 0);
    names = [];
    pool.load(4, 20);
    assert.deepEqual(pool.states, ['ejected', 'eligible'], 'without a name it is about all');
  });

  it('outside the mesh the same words mean nothing', () => {
    turnAway('plaintext', LocalReplyReasons.queueExpired);
    assert.equal(pool.states.filter((state) => state === 'ejected').length, 2);
  });
});

describe('Scenario: more streams than the replicas have places for', () => {
  const TIMES = { firstMessageTimeoutMs: 5_000, idempotent: true, retry: aSafeRoute().retry! };

  let hasEnded = false;
  beforeEach(() => {
    hasEnded = false;
  });

  /** Two replicas that run two streams each. */
  const start = (maxWaiting = 64): Mesh =>
    new Mesh({ replicas: 2, routes: [aStreamRoute(TIMES)], queue: { concurrency: 2, maxWaiting } });
  /** The model sends a message every `everyMs`, so many of them, then the end. */
  const talks = (mesh: Mesh, i: number, everyMs: number, messages = Number.POSITIVE_INFINITY): void => {
    const say = (stream: PeerStream, left: number): void => {
      if (stream.resetCode !== undefined || hasEnded) return;
      stream.data(MESSAGE);
      mesh.stack.clock.after(everyMs, () => (left > 1 ? say(stream, left - 1) : stream.trailers(0)));
    };
    mesh.replicas[i]!.model.answer = (stream) =>
      void mesh.stack.clock.after(everyMs, () => say(stream.begin(), messages));
  };
  const assertNoFault = (mesh: Mesh): void => {
    for (const i of [0, 1]) {
      const { outcomes, ejection } = mesh.endpoint(i);
      assert.equal(outcomes[Outcome.fault], 0, `replica ${i + 1}`);
      assert.ok(outcomes[Outcome.overload]! > 0);
      assert.equal(ejection.ejections, 0);
    }
  };
  /** Ends streams that go on for ever. */
  const end = (mesh: Mesh): void => {
    hasEnded = true;
    for (const { model } of mesh.replicas)
      for (const stream of model.requests) mesh.stack.settle(stream.trailers(0));
  };

  it('those in the queue are refused before their callers give up the first message, and no replica is at fault', () => {
    const mesh = start();
    for (const i of [0, 1]) talks(mesh, i, 500);
    const calls = Array.from({ length: 40 }, () => mesh.call());
    mesh.advance(20_000);
    end(mesh);
    assert.deepEqual(
      countBy(calls, ({ status }) => String(status)),
      { 0: 4, 8: 36 },
    );
    assertNoFault(mesh);
  });

  it('the same of requests of 600 KB, of which a replica in the queue has taken the beginning only', () => {
    const mesh = start();
    for (const i of [0, 1]) talks(mesh, i, 500);
    const body = grpcMessage(Buffer.alloc(600_000));
    const calls = Array.from({ length: 12 }, () => mesh.call({ body }));
    mesh.advance(20_000);
    end(mesh);
    assert.deepEqual(
      countBy(calls, ({ status }) => String(status)),
      { 0: 4, 8: 8 },
    );
    assertNoFault(mesh);
  });

  it('replicas that need a third of the time for a first message serve what they can at twice their load', () => {
    const mesh = start();
    for (const i of [0, 1]) talks(mesh, i, 1_600, 1);
    // Of a stream every 400 ms half find a place of the four for their 3.2 s.
    mesh.load(60_000, 400, {});
    mesh.advance(10_000);
    const { 0: served = 0 } = countBy(mesh.sent, ({ stream }) => String(stream.status));
    assert.ok(served > 65, `${served} of 150, and 75 are possible`);
    assertNoFault(mesh);
  });

  it('one that is stuck is at fault all the same, and is ejected', () => {
    const mesh = start();
    talks(mesh, 0, 1_600, 1);
    mesh.replicas[1]!.model.answer = (stream) => void stream.begin();
    mesh.load(60_000, 400, {});
    mesh.advance(10_000);
    assert.equal(mesh.endpoint(0).outcomes[Outcome.fault], 0);
    assert.ok(mesh.endpoint(1).outcomes[Outcome.fault]! >= 5);
    assert.ok(mesh.endpoint(1).ejection.ejections > 0);
  });

  it('one that gets stuck after it has served is ejected as well', () => {
    const mesh = start();
    for (const i of [0, 1]) talks(mesh, i, 1_600, 1);
    mesh.load(20_000, 400, {});
    assertNoFault(mesh);
    mesh.replicas[1]!.model.answer = (stream) => void stream.begin();
    mesh.load(60_000, 400, {});
    assert.ok(mesh.endpoint(1).ejection.ejections > 0);
    assert.equal(mesh.endpoint(0).outcomes[Outcome.fault], 0);
    mesh.advance(10_000);
  });
});

describe('Scenario: calls come to their deadlines in the queue', () => {
  for (const route of [aSafeRoute({ timeoutMs: 60_000 }), aStreamRoute({ idempotent: true })])
    it(`${route.kind}: no replica is at fault, as it was only busy`, () => {
      const mesh = new Mesh({ replicas: 2, routes: [route], queue: { concurrency: 1, maxWaiting: 64 } });
      const { clock } = mesh.stack;
      for (const { model } of mesh.replicas)
        model.answer = (stream) =>
          void clock.after(30_000, () => stream.resetCode === undefined && stream.reply(MESSAGE));
      for (let i = 0; i < 2; i++) mesh.call({ timeout: '60S' });
      for (let i = 0; i < 10; i++) {
        mesh.load(200, 20, { timeout: '2S' });
        mesh.advance(2_200);
      }
      assert.deepEqual(
        countBy(mesh.sent.slice(2), ({ stream }) => String(stream.status)),
        { 4: 100 },
      );
      for (const i of [0, 1]) {
        assert.equal(mesh.endpoint(i).outcomes[Outcome.fault], 0);
        assert.equal(mesh.endpoint(i).ejection.ejections, 0);
      }
      mesh.advance(10_000);
    });
});
