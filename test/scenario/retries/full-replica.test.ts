/**
 * A replica that turns everything away gets hardly a call while others serve, and its share again when it has room: what
 * it turned away has not made it look slow.
 */
import assert from 'node:assert/strict';
import { LocalReplyReasons } from '../../../sidecar/core/outcome/local-reply-reason.js';
import { Outcome } from '../../../sidecar/core/outcome/outcome.js';
import { DetectorPool } from '../../kit/scenario/detector-pool.js';
import { Mesh, type MeshOptions } from '../../kit/scenario/mesh-in-memory.js';
import { aSafeRoute } from '../../kit/stack/stack.js';

const RUN_MS = 20;
const PLACES = 4;
const RETRIED = aSafeRoute({ retry: { attempts: 2, on: [8, 14], backoff: { baseMs: 25, maxMs: 250 } } });

/** A mesh whose models have places, and how often each began to run. */
function busyMesh(options: MeshOptions): { readonly mesh: Mesh; readonly runs: number[] } {
  const mesh = new Mesh({
    balance: 'least-loaded',
    routes: [RETRIED],
    queue: { concurrency: PLACES, maxWaiting: PLACES },
    ...options,
  });
  const runs = mesh.replicas.map(() => 0);
  for (const [i, { model, name }] of mesh.replicas.entries()) {
    model.answer = (stream) => {
      runs[i]! += 1;
      mesh.stack.clock.after(RUN_MS, () => stream.reply(Buffer.from(name)));
    };
  }
  return { mesh, runs };
}

describe('Scenario: one of several replicas is full', () => {
  let mesh: Mesh;
  afterEach(() => mesh.close());

  it('sends hardly anything to one that turns everything away, and its share when it has room again', () => {
    const world = busyMesh({ replicas: 3 });
    mesh = world.mesh;
    mesh.load(500, 6);
    mesh.replicas[0]!.model.answer = (stream) => stream.reply(Buffer.alloc(0), 8);
    mesh.load(1000, 4);
    const before = mesh.endpoint(0).attempts;
    const from = mesh.sent.length;
    mesh.load(5000, 4);
    mesh.advance(1000);
    const share = (mesh.endpoint(0).attempts - before) / (mesh.sent.length - from);
    assert.ok(share < 0.05, `${(100 * share).toFixed(1)} % of the calls went to it first`);
    assert.deepEqual(mesh.failures(from), {});
    world.mesh.replicas[0]!.model.answer = (stream) =>
      void mesh.stack.clock.after(RUN_MS, () => stream.reply(Buffer.from('r1')));
    mesh.load(8000, 4);
    assert.ok(mesh.shares(600)['r1']! > 150, JSON.stringify(mesh.shares(600)));
  });
});

describe('Scenario: sidecars say that their models have not seen the call', () => {
  let pool: DetectorPool;
  afterEach(() => pool.close());

  /** Every call comes to its deadline in line, and its sidecar says so, or gives another reason. */
  const turnAway = (
    tls: 'mesh' | 'plaintext',
    { name, status }: (typeof LocalReplyReasons)[keyof typeof LocalReplyReasons],
  ) => {
    pool = new DetectorPool(['a', 'b', 'c', 'd'], { tls });
    for (const each of pool.names) pool.works(each, 20);
    pool.load(80);
    for (const each of pool.names) {
      pool.backend(each).answer = (stream) =>
        void pool.clock.after(1990, () =>
          stream.fail(status, [
            ['outrider-reason', name],
            ['outrider-unprocessed', 'true'],
            ...(name === LocalReplyReasons.modelNotReady.name ? ([['outrider-model', 'm']] as const) : []),
          ]),
        );
    }
    pool.load(60, 20, { timeout: '2S' });
    pool.advance(3000);
  };

  for (const reason of Object.values(LocalReplyReasons)) {
    if (!reason.isUnprocessed || reason === LocalReplyReasons.modelUnavailable) continue;
    if (reason === LocalReplyReasons.modelNotReady) continue;
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
    pool = new DetectorPool(['a', 'b', 'c'], {});
    for (const name of pool.names)
      pool.backend(name).answer = (stream) => {
        const isAsked = stream.header('x-model') === 'broken';
        if (!isAsked || !out.includes(name)) return void stream.reply(Buffer.from('ok'));
        stream.fail(14, [
          ['outrider-reason', LocalReplyReasons.modelNotReady.name],
          ['outrider-unprocessed', 'true'],
          ['outrider-model', 'broken'],
        ]);
      };
  };
  const BROKEN = { metadata: [['x-model', 'broken']] as const };
  const retried = (): number => pool.out.outbound.retries;

  it('model-not-ready: another replica is tried, and serves it', () => {
    serveWithout(['a']);
    const found = pool.load(60, 20, BROKEN);
    assert.deepEqual(found, { ok: 60 });
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
    pool = new DetectorPool(['a', 'b'], {});
    let isNamed = true;
    pool.backend('a').answer = (stream) =>
      void stream.fail(14, [
        ['outrider-reason', LocalReplyReasons.modelCrashed.name],
        ...(isNamed ? ([['outrider-model', 'broken']] as const) : []),
      ]);
    pool.load(40, 20);
    assert.deepEqual(pool.states, ['eligible', 'eligible']);
    assert.equal(pool.endpoint('a').outcomes[Outcome.fault], 0);
    isNamed = false;
    pool.load(4, 20);
    assert.deepEqual(pool.states, ['ejected', 'eligible'], 'without a name it is about all');
  });

  it('outside the mesh the same words mean nothing', () => {
    turnAway('plaintext', LocalReplyReasons.queueExpired);
    assert.equal(pool.states.filter((state) => state === 'ejected').length, 2);
  });
});
