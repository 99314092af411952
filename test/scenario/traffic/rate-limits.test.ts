/** A caller goes over its `rate_limits`. That is about the caller: its calls are not multiplied, and nothing is learned of the replicas. */
import assert from 'node:assert/strict';
import { Outcome } from '../../../sidecar/core/outcome/outcome.js';
import { EjectionState } from '../../../sidecar/core/outlier/ejection.js';
import { grpcMessage } from '../../kit/http2/h2-frames.js';
import { DETECTORS } from '../../kit/scenario/detector-pool.js';
import { Mesh, type MeshOptions } from '../../kit/scenario/mesh-in-memory.js';
import { aRoute, aSafeRoute, aStreamRoute, type InboundOptions } from '../../kit/stack/stack.js';

const OVER = '8 rate-limited';

describe('Scenario: a caller over its rate limit', () => {
  let mesh: Mesh;
  const limitTo = (perSecond: number, options: MeshOptions = {}, burst = 1): void => {
    const rateLimits = [{ callers: ['*'], methods: ['*'], perSecond, burst }];
    // Each replica says that it has room.
    const loadReports = { intervalMs: 1_000, forward: false };
    mesh = new Mesh({ loadReports, ...options, inbound: { rateLimits } });
  };
  const attempts = (): number => mesh.out.cluster.endpoints.reduce((sum, each) => sum + each.attempts, 0);
  /** So many of the calls were refused as over the limit, and all others were answered. */
  const refused = (from = 0): number => {
    const { [OVER]: over = 0, ...others } = mesh.failures(from);
    assert.deepEqual(others, {});
    return over;
  };

  for (const [what, route] of [
    ['a route without retries', aRoute()],
    ['a route that retries on unavailable', aSafeRoute()],
  ] as const)
    it(`is tried at one other replica, on ${what}, and no more though all of them have room`, () => {
      const budget = { ratio: 1, perSecond: 100 };
      limitTo(2, { replicas: 8, routes: [route], upstream: { budget } });
      mesh.load(3_000, 10, { body: grpcMessage(Buffer.alloc(20_000)) });
      mesh.advance(500);
      assert.ok(refused() > 200, JSON.stringify(mesh.failures()));
      const extra = attempts() - mesh.sent.length;
      assert.ok(extra >= refused() && extra <= mesh.sent.length, `${extra} extra attempts`);
      mesh.close();
    });

  /** The first replica refuses the caller, and says that it has nothing to do; the others take all. */
  const limitFirst = (options: MeshOptions = {}): void => {
    const inboundOf = (i: number): InboundOptions =>
      i > 0 ? {} : { rateLimits: [{ callers: ['*'], methods: ['*'], perSecond: 0.001, burst: 1 }] };
    const loadReports = { intervalMs: 1_000, forward: false };
    mesh = new Mesh({ replicas: 2, loadReports, routes: [aRoute()], ...options, inboundOf });
  };
  const budgetLeft = (): number => mesh.out.cluster.budget.balance(mesh.stack.clock.now());

  for (const balance of ['least-loaded', 'round-robin'] as const)
    it(`is answered by a replica where it is within the limit, though that has more to do, with ${balance}`, () => {
      limitFirst({ balance, upstream: { budget: { ratio: 0, perSecond: 3 } } });
      const full = budgetLeft();
      for (const { model, name } of mesh.replicas)
        model.answer = (stream) => void mesh.stack.clock.after(100, () => stream.reply(Buffer.from(name)));
      mesh.load(10_000, 50);
      mesh.advance(500);
      assert.equal(refused(), 0);
      assert.deepEqual([mesh.sent.length, budgetLeft()], [200, full], 'none of it is paid from the budget');
      const first = mesh.endpoint(0).attempts;
      if (balance === 'least-loaded')
        assert.ok(first < 60, `${first} first attempts at the one that refuses`);
    });

  it('is answered there with streams of half a megabyte, too', () => {
    limitFirst({ routes: [aStreamRoute()] });
    mesh.load(2_000, 50, { body: grpcMessage(Buffer.alloc(600_000)) });
    mesh.advance(500);
    assert.equal(refused(), 0);
    assert.ok(mesh.endpoint(0).attempts < 15, `${mesh.endpoint(0).attempts}`);
  });

  it('leaves the budget to calls of a replica that dies', () => {
    const budget = { ratio: 0, perSecond: 3 };
    limitTo(0.5, { replicas: 2, routes: [aSafeRoute()], upstream: { budget } });
    mesh.load(3_000);
    mesh.advance(200);
    assert.ok(refused() > 250);
    const { granted, refused: lacked } = mesh.out.cluster.budget;
    assert.deepEqual([granted, lacked, budgetLeft()], [0, 0, 30]);
    // Its failed moves do not throttle what the budget has saved.
    const now = mesh.stack.clock.now();
    assert.equal(
      Array.from({ length: 30 }, () => mesh.out.cluster.budget.withdraw(now)).every(Boolean),
      true,
    );
  });

  it('hears when to come back, from the replica that refused', () => {
    limitTo(0.5, { replicas: 2 });
    mesh.load(200);
    mesh.advance(100);
    const { stream } = mesh.sent.at(-1)!;
    assert.equal(stream.reason, 'rate-limited');
    const waitMs = Number(stream.trailer('grpc-retry-pushback-ms'));
    assert.ok(waitMs > 1_000 && waitMs <= 2_000, `${waitMs} ms`);
    mesh.close();
  });

  it('does not bring a slow replica back, nor take calls from the others', () => {
    const ejection = { detectors: DETECTORS, baseMs: 120_000 };
    limitTo(100, { balance: 'round-robin', ejection, routes: [aRoute()] }, 100);
    mesh.replicas[0]!.model.answer = (stream) =>
      void mesh.stack.clock.after(80, () => stream.reply(Buffer.from('r1')));
    // Within the limits.
    mesh.load(8_000, 10);
    const [slow, ...others] = [0, 1, 2].map((i) => mesh.endpoint(i));
    assert.equal(slow!.ejection.state, EjectionState.ejected, 'the slow one is out');
    const from = mesh.sent.length;
    mesh.load(3_000, 2);
    mesh.advance(200);
    assert.ok(refused(from) > 300);
    assert.equal(slow!.ejection.state, EjectionState.ejected);
    for (const { outcomes, weightFactor } of others)
      assert.deepEqual([outcomes[Outcome.overload], weightFactor], [0, 1]);
    mesh.close();
  });
});
