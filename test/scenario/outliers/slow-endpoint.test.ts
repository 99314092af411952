/**
 * One endpoint is slow. Its attempts end at their limit and go elsewhere; no call takes longer than its deadline, and
 * load moves away from it.
 */
import assert from 'node:assert/strict';
import { Mesh } from '../../kit/scenario/mesh-in-memory.js';
import { aSafeRoute } from '../../kit/stack/stack.js';

describe('Scenario: a slow endpoint', () => {
  let mesh: Mesh;
  const slowBy = (ms: number): void => {
    mesh.replicas[0]!.model.answer = (stream) =>
      void mesh.stack.clock.after(ms, () => stream.reply(Buffer.from('r1')));
  };

  it('beyond the attempt limit costs a call that limit and no more', () => {
    mesh = new Mesh();
    mesh.load(300);
    slowBy(2000);
    const from = mesh.sent.length;
    mesh.load(3000);
    mesh.advance(1000);
    assert.deepEqual(mesh.failures(), {});
    for (const { startMs, endMs } of mesh.sent.slice(from)) assert.ok(endMs - startMs <= 330);
  });

  it('ten times as slow as the others gets a tenth of the calls at most', () => {
    mesh = new Mesh({ seed: 3 });
    mesh.load(500);
    slowBy(50);
    mesh.load(10_000);
    mesh.load(3000);
    mesh.advance(100);
    assert.deepEqual(mesh.failures(), {});
    const shares = mesh.shares(300);
    assert.ok((shares['r1'] ?? 0) <= 30, JSON.stringify(shares));
  });

  it('never makes a call exceed its deadline, whatever is tried within it', () => {
    mesh = new Mesh({ routes: [aSafeRoute({ attemptTimeoutMs: 300, timeoutMs: 450 })] });
    for (const { model } of mesh.replicas) model.answer = () => {};
    const call = mesh.call();
    mesh.advance(440);
    assert.equal(call.isOver, false);
    mesh.advance(20);
    assert.deepEqual([call.status, call.reason], [4, 'deadline-exceeded']);
    mesh.stack.assertIdle();
  });
});
