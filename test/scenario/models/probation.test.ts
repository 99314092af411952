/**
 * A model that dies again and again, each time soon after it is ready: its sidecar says on its connections that the new process is on
 * probation, and callers leave it alone while enough others take the calls, and at no other time.
 */
import assert from 'node:assert/strict';
import { ModelHost } from '../../../sidecar/app/model-host.js';
import type { Endpoint } from '../../../sidecar/cluster/endpoint.js';
import { HEALTH_CHECK } from '../../../sidecar/codec/health.js';
import { MinimumUptime } from '../../../sidecar/core/health/minimum-uptime.js';
import { EjectionState } from '../../../sidecar/core/outlier/ejection.js';
import { Readiness } from '../../../sidecar/http2/constants.js';
import { DETECTORS } from '../../kit/scenario/detector-pool.js';
import { Mesh, type MeshOptions } from '../../kit/scenario/mesh-in-memory.js';
import { anAppContext } from '../../kit/stack/app-context.js';
import { addressOf, anInbound, aRoute, aSafeRoute, Stack } from '../../kit/stack/stack.js';

const AWAY_MS = 500;
const LIFE_MS = 300;

/** The process behind a replica, as its supervisor tells of it, with its memory. */
class ShortLived {
  private readonly uptime = new MinimumUptime();
  private readySinceMs: number;
  private readonly host: ModelHost;
  /** Calls that reached the model. */
  calls = 0;

  constructor(
    private readonly mesh: Mesh,
    at = 0,
  ) {
    const { side, model } = mesh.replicas[at]!;
    const { backend, instance } = side;
    const server = { address: addressOf(model.name), models: [] };
    this.host = new ModelHost(server, anAppContext(mesh.stack), { hasOthers: false });
    this.host.attach([{ backend, instance }]);
    this.host.superviseBy({
      report: () => ({ state: 'ready', why: '', restarts: 0 }),
      stop: async () => {},
      strike: () => ({ kind: 'spared', why: 'no drills here' }),
      thaw: () => {},
    });
    // Long before, and no healthy run.
    this.readySinceMs = mesh.stack.clock.now() - 5_000;
    const { answer } = model;
    model.answer = (stream) => {
      if (stream.header(':path') !== HEALTH_CHECK) this.calls += 1;
      answer?.(stream);
    };
  }

  dies(): void {
    this.uptime.ended(this.mesh.stack.clock.now() - this.readySinceMs);
    this.is('backoff');
  }

  isBack(): void {
    this.is('starting');
    this.readySinceMs = this.mesh.stack.clock.now();
    this.is('ready');
  }

  staysUp(): void {
    this.uptime.met();
    this.is('ready');
  }

  /** Its health says NOT_SERVING for a moment. */
  pauses(): void {
    this.is('starting');
    this.is('ready');
  }

  private is(state: 'backoff' | 'starting' | 'ready'): void {
    const isOnProbation = state === 'ready' && this.uptime.ms > 0;
    const why = state === 'ready' ? '' : 'killed by SIGSEGV';
    this.host.processChanged({ state, why, restarts: 0, isOnProbation });
    if (state === 'ready') this.mesh.advance(1);
  }
}

const begin = (options: MeshOptions = {}): Mesh => {
  const mesh = new Mesh({ routes: [aSafeRoute({ attemptTimeoutMs: 400 })], ...options });
  mesh.load(500);
  return mesh;
};

describe('Scenario: a replica whose model has died of late', () => {
  it('is called in the life before its first end, and in none of the short ones that follow', () => {
    const mesh = begin();
    const loop = new ShortLived(mesh);
    mesh.load(LIFE_MS);
    assert.ok(loop.calls > 0);
    for (let life = 0; life < 7; life++) {
      loop.dies();
      mesh.load(AWAY_MS);
      const before = loop.calls;
      loop.isBack();
      mesh.load(LIFE_MS);
      assert.equal(loop.calls, before, `life ${life + 2}`);
    }
    assert.deepEqual(mesh.failures(), {});
    mesh.close();
  });

  it('gets calls once it has stayed up, and each of the few seconds until then the reason is said', () => {
    const mesh = begin();
    const loop = new ShortLived(mesh);
    loop.dies();
    mesh.load(AWAY_MS);
    loop.isBack();
    const endpoint = mesh.endpoint(0);
    assert.deepEqual(
      [endpoint.readiness, endpoint.ejection.isHeld, endpoint.eligible],
      [Readiness.probation, true, false],
    );
    loop.staysUp();
    assert.deepEqual([endpoint.readiness, endpoint.ejection.isHeld], [Readiness.serving, false]);
    mesh.load(2_000);
    assert.ok(mesh.shares(100)['r1']! > 0, JSON.stringify(mesh.shares(100)));
    assert.deepEqual(mesh.failures(), {});
    mesh.close();
  });

  it('is called at once where it is the only one', () => {
    const mesh = begin({ replicas: 1, routes: [aRoute()] });
    const loop = new ShortLived(mesh);
    loop.dies();
    mesh.advance(AWAY_MS);
    loop.isBack();
    const from = mesh.sent.length;
    mesh.load(300);
    mesh.advance(40);
    assert.deepEqual(mesh.failures(from), {});
    assert.deepEqual(mesh.shares(30), { r1: 30 });
    mesh.close();
  });

  it('is called where fewer than half take calls without it: two of three are on probation', () => {
    const mesh = begin();
    const loops = [new ShortLived(mesh, 0), new ShortLived(mesh, 1)];
    for (const loop of loops) loop.dies();
    mesh.load(AWAY_MS);
    for (const loop of loops) loop.isBack();
    mesh.load(2_000);
    mesh.advance(40);
    assert.deepEqual(Object.keys(mesh.shares(100)).sort(), ['r1', 'r2', 'r3']);
    assert.deepEqual(mesh.failures(), {});
    mesh.close();
  });

  it('has its trial first, as after any ejection, where calls are not held back from it', () => {
    const mesh = begin();
    const loops = [new ShortLived(mesh, 0), new ShortLived(mesh, 1)];
    for (const loop of loops) loop.dies();
    mesh.load(AWAY_MS);
    assert.notEqual(mesh.endpoint(0).ejection.state, EjectionState.admitted);
    for (const loop of loops) loop.isBack();
    for (const at of [0, 1]) {
      assert.equal(mesh.endpoint(at).readiness, Readiness.probation);
      assert.notEqual(mesh.endpoint(at).ejection.state, EjectionState.admitted);
    }
    mesh.close();
  });

  it('is called as soon as the other of two dies', () => {
    const mesh = begin({ replicas: 2 });
    const [loop, other] = [new ShortLived(mesh, 0), new ShortLived(mesh, 1)];
    loop.dies();
    mesh.load(AWAY_MS);
    loop.isBack();
    mesh.load(200);
    assert.deepEqual(Object.keys(mesh.shares(20)), ['r2']);
    other.dies();
    const from = mesh.sent.length;
    mesh.load(1_000);
    mesh.advance(40);
    assert.deepEqual(mesh.failures(from), {});
    assert.deepEqual(mesh.shares(100), { r1: 100 });
    mesh.close();
  });

  it('is called while the others refuse calls as full', () => {
    const queue = { concurrency: 1, maxWaiting: 1 };
    const mesh = begin({ queue, ejection: { detectors: DETECTORS } });
    const loop = new ShortLived(mesh);
    loop.dies();
    mesh.load(AWAY_MS);
    loop.isBack();
    mesh.load(500);
    assert.equal(mesh.endpoint(0).ejection.isHeld, true);
    const before = loop.calls;
    // Each of the two takes one call in 5 ms, and has one waiting.
    mesh.load(1_000, 1);
    assert.equal(mesh.endpoint(0).ejection.isHeld, false);
    assert.ok(loop.calls > before);
    mesh.close();
  });

  it('takes a call that another one has refused as full, while calls are held back from it', () => {
    const mesh = begin({ replicas: 2, queue: { concurrency: 1, maxWaiting: 1 } });
    const loop = new ShortLived(mesh);
    loop.dies();
    mesh.load(AWAY_MS);
    loop.isBack();
    mesh.load(500);
    const [before, from] = [loop.calls, mesh.sent.length];
    // More than the other one takes at a time, and too short for anything to be released.
    mesh.load(4, 1);
    mesh.advance(40);
    assert.equal(mesh.endpoint(0).ejection.isHeld, true);
    assert.ok(loop.calls > before);
    assert.deepEqual(mesh.failures(from), {});
    mesh.close();
  });

  describe('and was ejected for its faults:', () => {
    /** Its process answers as a language-model engine does whose core has died. */
    const ejected = (): readonly [Mesh, ShortLived, Endpoint] => {
      const mesh = begin({ balance: 'round-robin', ejection: { baseMs: 30_000 } });
      const { model } = mesh.replicas[0]!;
      const { answer } = model;
      model.answer = (stream) => stream.fail(13);
      const loop = new ShortLived(mesh);
      mesh.load(1_000);
      model.answer = answer;
      const endpoint = mesh.endpoint(0);
      assert.deepEqual([endpoint.ejection.state, endpoint.ejection.isDown], [EjectionState.ejected, false]);
      return [mesh, loop, endpoint];
    };

    it('a new process need not wait for the end of the ejection: a call probes it once it has stayed up', () => {
      const [mesh, loop, endpoint] = ejected();
      loop.dies();
      mesh.load(AWAY_MS);
      loop.isBack();
      mesh.load(500);
      assert.equal(endpoint.ejection.state, EjectionState.ejected);
      loop.staysUp();
      mesh.load(500);
      assert.equal(endpoint.ejection.state, EjectionState.admitted);
      mesh.close();
    });

    it('so it is where no call comes: the health of the new process admits it', () => {
      const [mesh, loop, endpoint] = ejected();
      loop.dies();
      mesh.load(AWAY_MS);
      loop.isBack();
      mesh.advance(1_000);
      loop.staysUp();
      mesh.advance(7_000);
      assert.equal(endpoint.ejection.state, EjectionState.admitted);
      mesh.close();
    });

    /** A pod in its place: a sidecar that is new, whose model loads. */
    const isReplaced = (mesh: Mesh): void => {
      const [replica] = mesh.replicas;
      replica!.kill();
      replica!.side.instance.setState({ kind: 'starting' });
      replica!.place.mode = 'accepts';
      mesh.load(5_000);
      assert.equal(mesh.endpoint(0).readiness, Readiness.loading);
      replica!.side.instance.setState({ kind: 'ready' });
      mesh.advance(1);
    };

    it('one with a new sidecar, too, as soon as it has loaded', () => {
      const [mesh, , endpoint] = ejected();
      isReplaced(mesh);
      mesh.load(500);
      assert.equal(endpoint.ejection.state, EjectionState.admitted);
      mesh.close();
    });

    it('the same process waits for it, also where it did not serve for a moment', () => {
      const [mesh, loop, endpoint] = ejected();
      mesh.load(5_000);
      loop.pauses();
      mesh.load(5_000);
      assert.deepEqual([endpoint.ejection.state, endpoint.ejection.failedProbes], [EjectionState.ejected, 0]);
      mesh.close();
    });

    it('and so does a new one whose probe fails', () => {
      const [mesh, , endpoint] = ejected();
      mesh.replicas[0]!.model.answer = (stream) => stream.fail(13);
      isReplaced(mesh);
      mesh.load(5_000);
      assert.deepEqual([endpoint.ejection.state, endpoint.ejection.failedProbes], [EjectionState.ejected, 1]);
      mesh.close();
    });
  });

  it('says nothing where another model behind the same sidecar is ready and has not died', () => {
    const { inbound } = new Stack().inbound(anInbound(), { models: ['a', 'b'] });
    const [a, b] = inbound.state.backends.map(({ instances }) => instances[0]!);
    a!.setState({ kind: 'ready', isOnProbation: true });
    assert.equal(inbound.state.readiness, Readiness.serving);
    b!.setState({ kind: 'away', why: 'it died' });
    assert.equal(inbound.state.readiness, Readiness.probation);
  });
});
