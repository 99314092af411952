/**
 * A replica that turns everything away gets hardly a call while others serve, and its share again when it has room: what
 * it turned away has not made it look slow.
 */
import assert from 'node:assert/strict';
import { LocalReplyReasons } from '../../../sidecar/core/outcome/local-reply-reason.js';
import { Outcome } from '../../../sidecar/core/outcome/outcome.js';
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

  /** Every call comes to its deadline in line, and its sidecar says so, or gives another reason. */
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
    const { modelUnavailable, modelNotReady } = LocalReplyReasons;
    if (!reason.isUnprocessed || reason === modelUnavailable || reason === modelNotReady) continue;
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
  const retried = (): number => pool.out.outbound.retries;

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
  it('those in line are refused before their callers give up the first message, and no replica is at fault', () => {
    const times = { firstMessageTimeoutMs: 5_000, idempotent: true, retry: aSafeRoute().retry! };
    const queue = { concurrency: 2, maxWaiting: 64 };
    const mesh = new Mesh({ replicas: 2, routes: [aStreamRoute(times)], queue });
    let isTalking = true;
    const talk = (stream: PeerStream): void => {
      if (!isTalking || stream.resetCode !== undefined) return;
      stream.data(MESSAGE);
      mesh.stack.clock.after(500, () => talk(stream));
    };
    for (const { model } of mesh.replicas) model.answer = (stream) => talk(stream.begin());
    const calls = Array.from({ length: 40 }, () => mesh.call());
    mesh.advance(20_000);
    isTalking = false;
    for (const { model } of mesh.replicas)
      for (const stream of model.requests) mesh.stack.settle(stream.trailers(0));
    assert.deepEqual(
      countBy(calls, ({ status }) => String(status)),
      { 0: 4, 8: 36 },
    );
    for (const i of [0, 1]) {
      const { outcomes, ejection } = mesh.endpoint(i);
      assert.equal(outcomes[Outcome.fault], 0);
      assert.ok(outcomes[Outcome.overload]! > 0);
      assert.equal(ejection.ejections, 0);
    }
  });
});
